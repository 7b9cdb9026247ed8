//! The only place where a failure becomes a response.

use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::header::CONNECTION;
use http::{HeaderValue, Version};
use tokio::time::Instant;
use tower::{Layer, Service};

use super::call::{Answer, Arrival};
use super::fault::Failure;
use super::problem;
use crate::args::Limits;

/// Makes [`Rescue`].
#[derive(Clone, Copy, Debug)]
pub struct RescueLayer {
    most: Duration,
}

impl RescueLayer {
    /// A caller has as long to take an answer of ours as it has to say what it wants.
    pub fn new(limits: &Limits) -> Self {
        Self { most: limits.header_timeout }
    }
}

impl<S> Layer<S> for RescueLayer {
    type Service = Rescue<S>;

    fn layer(&self, inner: S) -> Rescue<S> {
        Rescue { inner, most: self.most }
    }
}

/// Answers failures with problem documents, or the gRPC form of them; passes responses on.
#[derive(Clone, Copy, Debug)]
pub struct Rescue<S> {
    inner: S,
    most: Duration,
}

impl<S> Service<Arrival> for Rescue<S>
where
    S: Service<Arrival, Response = Answer, Error = Box<Failure>, Future: Send + 'static>,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // No layer below makes anybody wait before a call.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, arrival: Arrival) -> Self::Future {
        let (request_id, grpc) = (arrival.request_id.clone(), arrival.grpc);
        let http1 = arrival.parts.version < Version::HTTP_2;
        let (answer, most) = (self.inner.call(arrival), self.most);
        Box::pin(async move {
            Ok(answer.await.unwrap_or_else(|failure| {
                let mut response = problem::response(&failure, request_id.to_str().unwrap_or_default(), grpc);
                // Whoever sends what is not valid may not agree with us on where it ends.
                if http1 && failure.fault.is_malformed() {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                let response = response.map(|body| body.until(Instant::now() + most));
                let cold = failure.cold;
                Answer { response, timeline: None, cold, function: None, failure: Some(failure) }
            }))
        })
    }
}
