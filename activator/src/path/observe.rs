//! Outermost: one sample a response, and a line for those that somebody may want to read about.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderValue, Response};
use tokio::time::Instant;
use tower::{Layer, Service};
use tracing::{debug, info};

use super::body::ResponseBody;
use super::call::{Accepted, Answer, Arrival};
use super::fault::{Fault, Phase};
use super::headers;
use super::tracing::Tracing;
use super::trail::Trail;
use crate::function::Function;
use crate::metrics::Metrics;

/// Makes [`Observe`].
#[derive(Clone, Debug)]
pub struct ObserveLayer {
    metrics: Arc<Metrics>,
    tracing: Tracing,
}

impl ObserveLayer {
    /// Samples go to `metrics`, spans to `tracing`.
    pub fn new(metrics: &Arc<Metrics>, tracing: &Tracing) -> Self {
        Self { metrics: Arc::clone(metrics), tracing: tracing.clone() }
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe { inner, metrics: Arc::clone(&self.metrics), tracing: self.tracing.clone() }
    }
}

/// Gives every request its id and trace, and every response its sample. A caller that goes away before the response's head
/// counts as 499, in the metrics only.
#[derive(Clone, Debug)]
pub struct Observe<S> {
    inner: S,
    metrics: Arc<Metrics>,
    tracing: Tracing,
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
    S: Service<Arrival, Response = Answer, Error = Infallible, Future: Unpin>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Observed<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, Accepted { request, peer, refused }: Accepted) -> Self::Future {
        let arrived = Instant::now();
        let (mut parts, body) = request.into_parts();
        // At once for all that is put in here and below.
        parts.headers.reserve(headers::ADDED);
        let request_id = headers::ensure_request_id(&mut parts.headers);
        let span = self.tracing.begin(&mut parts);
        let trail = Trail::begin(&parts, &request_id, arrived, refused.is_none(), span);
        let grpc = headers::is_grpc(&parts.headers);
        let unanswered = Unanswered { metrics: Arc::clone(&self.metrics), answered: false };
        let (id, received) = (request_id.clone(), trail.as_ref().map(|trail| trail.received().clone()));
        let arrival = Arrival { parts, body, peer, arrived, request_id, grpc, refused, received };
        Observed { answer: self.inner.call(arrival), request_id: id, arrived, unanswered, trail }
    }
}

/// A response, once it is written down.
pub struct Observed<F> {
    answer: F,
    request_id: HeaderValue,
    arrived: Instant,
    unanswered: Unanswered,
    trail: Option<Box<Trail>>,
}

impl<F: Future<Output = Result<Answer, Infallible>> + Unpin> Future for Observed<F> {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Ok(mut answer) = ready!(Pin::new(&mut self.answer).poll(cx));
        let took = self.arrived.elapsed();
        self.unanswered.answered = true;
        self.unanswered.metrics.answered(&answer, took);
        log(&answer, self.request_id.to_str().unwrap_or_default(), took);
        if let Some(mut trail) = self.trail.take() {
            trail.answered(&answer);
            answer.response.body_mut().follow(trail);
        }
        Poll::Ready(Ok(answer.response))
    }
}

fn log(answer: &Answer, request_id: &str, took: Duration) {
    let status = answer.response.status().as_u16();
    let millis = took.as_millis();
    if let Some(failure) = &answer.failure {
        log_failure(&failure.fault, failure.phase, failure.function.as_ref(), request_id, took);
    } else if let Some(timeline) = &answer.timeline {
        let function = name(answer.function());
        info!(request_id, status, function, millis, phases = %timeline, cold = answer.cold, "A held request was answered.");
    } else {
        debug!(request_id, status, millis, "A request was answered.");
    }
}

/// A line for a request that its function did not answer.
pub(super) fn log_failure(
    detail: &Fault,
    phase: Phase,
    function: Option<&Arc<Function>>,
    request_id: &str,
    took: Duration,
) {
    let (status, fault, function, millis) = (detail.status().as_u16(), detail.slug(), name(function), took.as_millis());
    if phase == Phase::Route {
        // Anybody can make as many of these as they like.
        debug!(request_id, status, phase = phase.as_str(), fault, %detail, millis, "A request belongs to no function.");
    } else {
        let phase = phase.as_str();
        info!(request_id, status, function, phase, fault, %detail, millis, "A request was not answered by its function.");
    }
}

fn name(function: Option<&Arc<Function>>) -> String {
    function.map_or_else(|| "-".to_owned(), |function| function.key.to_string())
}
