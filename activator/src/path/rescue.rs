//! The only place where a failure becomes a response.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{HeaderValue, Method, Response, Version};
use http_body::Body as _;
use tokio::time::Instant;
use tower::{Layer, Service};

use super::body::ResponseBody;
use super::call::{Answer, Arrival};
use super::fault::Failure;
use super::problem;
use crate::args::Limits;
use crate::hold::comeback;

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
    S: Service<Arrival, Response = Answer, Error = Box<Failure>, Future: Unpin>,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = Rescued<S::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // No layer below makes anybody wait before a call.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, arrival: Arrival) -> Self::Future {
        let (request_id, grpc) = (arrival.request_id.clone(), arrival.grpc);
        let http1 = arrival.parts.version < Version::HTTP_2;
        let head = arrival.parts.method == Method::HEAD;
        Rescued { answer: self.inner.call(arrival), request_id, grpc, http1, head, most: self.most }
    }
}

/// An answer, whatever becomes of the request.
#[derive(Debug)]
pub struct Rescued<F> {
    answer: F,
    request_id: HeaderValue,
    grpc: bool,
    http1: bool,
    head: bool,
    most: Duration,
}

impl<F> Rescued<F> {
    fn document(&self, failure: Box<Failure>) -> Answer {
        let after = comeback::tell(&failure, Instant::now());
        let mut response = problem::response(&failure, self.request_id.to_str().unwrap_or_default(), self.grpc, after);
        if self.http1 && failure.fault.ends_connection() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if self.head {
            response = without_body(response);
        }
        let response = response.map(|body| body.until(Instant::now() + self.most));
        let cold = failure.cold;
        Answer { response, timeline: None, cold, function: None, failure: Some(failure) }
    }
}

impl<F: Future<Output = Result<Answer, Box<Failure>>> + Unpin> Future for Rescued<F> {
    type Output = Result<Answer, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(cx));
        Poll::Ready(Ok(answer.unwrap_or_else(|failure| self.document(failure))))
    }
}

/// The answer to HEAD: the length of the body, and none of it. hyper sees to that in HTTP/1 only.
fn without_body(response: Response<ResponseBody>) -> Response<ResponseBody> {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(parts, ResponseBody::empty())
}
