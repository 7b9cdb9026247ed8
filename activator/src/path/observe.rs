//! Outermost: one sample a response, and a line for those that somebody may want to read about.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::Response;
use tokio::time::Instant;
use tower::{Layer, Service};
use tracing::{debug, info};

use super::body::ResponseBody;
use super::call::{Accepted, Answer, Arrival};
use super::fault::Phase;
use super::headers;
use crate::metrics::Metrics;

/// Makes [`Observe`].
#[derive(Clone, Debug)]
pub struct ObserveLayer {
    metrics: Arc<Metrics>,
}

impl ObserveLayer {
    /// Samples go to `metrics`.
    pub fn new(metrics: &Arc<Metrics>) -> Self {
        Self { metrics: Arc::clone(metrics) }
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe { inner, metrics: Arc::clone(&self.metrics) }
    }
}

/// Gives every request its id and trace, and every response its sample. A caller that goes away before the response's head
/// counts as 499, in the metrics only.
#[derive(Clone, Debug)]
pub struct Observe<S> {
    inner: S,
    metrics: Arc<Metrics>,
}

/// Counts a request whose caller went away: the connection drops its future.
struct Unanswered {
    metrics: Arc<Metrics>,
    answered: bool,
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if !self.answered {
            self.metrics.client_gone();
        }
    }
}

impl<S> Service<Accepted> for Observe<S>
where
    S: Service<Arrival, Response = Answer, Error = Infallible, Future: Send + 'static>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, Accepted { request, peer, refused }: Accepted) -> Self::Future {
        let arrived = Instant::now();
        let (mut parts, body) = request.into_parts();
        headers::strip_own(&mut parts.headers);
        let request_id = headers::ensure_request_id(&mut parts.headers);
        headers::ensure_trace(&mut parts.headers);
        let grpc = headers::is_grpc(&parts.headers);
        let mut unanswered = Unanswered { metrics: Arc::clone(&self.metrics), answered: false };
        let answer =
            self.inner.call(Arrival { parts, body, peer, arrived, request_id: request_id.clone(), grpc, refused });
        Box::pin(async move {
            let Ok(answer) = answer.await;
            unanswered.answered = true;
            unanswered.metrics.answered(&answer, arrived.elapsed());
            log(&answer, request_id.to_str().unwrap_or_default(), arrived);
            Ok(answer.response)
        })
    }
}

fn log(answer: &Answer, request_id: &str, arrived: Instant) {
    let status = answer.response.status().as_u16();
    let millis = arrived.elapsed().as_millis();
    if let Some(failure) = &answer.failure {
        let function = failure.function.as_deref().unwrap_or("-");
        let (status, phase, fault) = (failure.fault.status().as_u16(), failure.phase.as_str(), failure.fault.slug());
        let detail = &failure.fault;
        if failure.phase == Phase::Route {
            // Anybody can make as many of these as they like.
            debug!(request_id, status, phase, fault, %detail, millis, "A request belongs to no function.");
        } else {
            info!(request_id, status, function, phase, fault, %detail, millis, "A request was not answered by its function.");
        }
    } else if let Some(timeline) = &answer.timeline {
        let function = answer.function.as_deref().unwrap_or("-");
        info!(request_id, status, function, millis, phases = %timeline, cold = answer.cold, "A held request was answered.");
    } else {
        debug!(request_id, status, millis, "A request was answered.");
    }
}
