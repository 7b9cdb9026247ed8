//! Waits for a pod, in the function's queue, up to `coldStartSeconds`.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::{Instant, sleep_until, timeout};
use tower::{Layer, Service};

use super::again::Tries;
use super::call::{Answer, Call, Sending, Trouble};
use super::fault::{Failure, Fault, Phase};
use super::headers;
use super::observe;
use super::timing::Timeline;
use crate::function::Function;
use crate::hold::{Entry, Grant, Place, Places};
use crate::metrics::Metrics;
use crate::pods::Seen;
use crate::wake::Waker;

/// Makes [`Hold`].
#[derive(Clone)]
pub struct HoldLayer {
    shared: Arc<Shared>,
}

struct Shared {
    places: Arc<Places>,
    waker: Waker,
    metrics: Arc<Metrics>,
}

impl HoldLayer {
    /// Holds as many as `places` has room for, and has functions woken by `waker`.
    pub fn new(places: &Arc<Places>, waker: &Waker, metrics: &Arc<Metrics>) -> Self {
        let shared = Shared { places: Arc::clone(places), waker: waker.clone(), metrics: Arc::clone(metrics) };
        Self { shared: Arc::new(shared) }
    }
}

impl<S> Layer<S> for HoldLayer {
    type Service = Hold<S>;

    fn layer(&self, inner: S) -> Hold<S> {
        Hold { inner, shared: Arc::clone(&self.shared) }
    }
}

/// Passes a request on at once while a pod is ready and nobody waits; else holds it. One that comes back goes through again,
/// in the place that it had or would have had, and to another pod if there is one.
#[derive(Clone)]
pub struct Hold<S> {
    inner: S,
    shared: Arc<Shared>,
}

/// What is remembered of a request between its turns.
#[derive(Default)]
struct Wait {
    held: bool,
    cold: bool,
    /// Every ready pod was drained: it depends on the leader whether this becomes a cold start.
    drained: bool,
    /// For so long it has been at pods, in vain.
    at_pods: Duration,
    tries: Tries,
}

impl Shared {
    /// Leave to send, at once or after a wait.
    async fn admit(&self, call: &mut Call, wait: &mut Wait) -> Result<Grant, Box<Failure>> {
        let function = &Arc::clone(&call.function);
        if wait.tries.is_first() {
            if let Some(passed) = function.pass_newcomer() {
                return passed.map_err(|fault| call.failure(fault, Phase::Hold, false));
            }
        } else {
            if let Some(grant) = function.pass(|pod| wait.tries.is_new(pod)) {
                return Ok(grant);
            }
        }
        // One that was let in once is not turned away later.
        let again = !wait.tries.is_first();
        if let Some(fault) = function.refusal() {
            return Err(call.failure(fault, Phase::Hold, false));
        }
        let bytes = headers::size(&call.parts);
        let namespace = &function.key.namespace;
        let place = if again {
            self.places.take_again(namespace, bytes)
        } else {
            self.places.take(namespace, bytes).map_err(|share| {
                self.metrics.overflow(share);
                call.failure(Fault::QueueFull(share), Phase::Hold, false)
            })?
        };
        let (cold, drained) = (!function.any_ready(), function.all_drained());
        match function.enter(call.arrived, again) {
            Entry::Pass(grant) => Ok(grant),
            Entry::Refused(fault) => {
                if let Fault::QueueFull(share) = &fault {
                    self.metrics.overflow(*share);
                }
                Err(call.failure(fault, Phase::Hold, false))
            }
            Entry::Wait { ticket, wake } => {
                if let Some(watch) = wake {
                    self.waker.start(watch);
                }
                if !wait.held {
                    headers::detach(&mut call.parts);
                }
                wait.held = true;
                wait.cold |= cold;
                wait.drained |= drained;
                self.wait(call, ticket, place, wait).await
            }
        }
    }

    /// Waits in the queue; the place and the ticket are given up on every way out, being dropped at any await included.
    async fn wait(
        &self,
        call: &Call,
        mut ticket: crate::hold::Ticket,
        _place: Place,
        wait: &Wait,
    ) -> Result<Grant, Box<Failure>> {
        let limit = call.function.spec.load().cold_start;
        // What was not waited for a pod does not count: the pod of one that comes back may have had it for longer than that.
        let deadline = call.capped(call.arrived + wait.at_pods + limit);
        let _waiting = self.metrics.waiting(&call.function);
        let mut unheard = Unheard(Some(call));
        let outcome = tokio::select! {
            biased;
            outcome = ticket.granted() => outcome,
            () = sleep_until(deadline) => Err(Fault::ColdStartDeadline(call.function.waiting_for())),
            () = call.peer.left() => Err(Fault::ClientGone),
        };
        unheard.0 = None;
        outcome.map_err(|fault| {
            let mut failure = call.failure(fault, Phase::Hold, wait.cold);
            if matches!(failure.fault, Fault::ColdStartDeadline(_)) {
                failure.limit = Some(deadline.saturating_duration_since(call.arrived));
            }
            failure
        })
    }
}

/// A request that waits. Its connection, or its stream, drops it when the caller goes, and nobody answers.
struct Unheard<'a>(Option<&'a Call>);

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.0 {
            let id = call.parts.headers.get(headers::REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
            let function = Some(&call.function);
            observe::log_failure(&Fault::ClientGone, Phase::Hold, function, id, call.arrived.elapsed());
        }
    }
}

impl<S> Hold<S>
where
    S: Service<Sending, Response = Answer, Error = Trouble>,
{
    async fn run(mut self, mut call: Box<Call>, mut wait: Wait) -> Result<Answer, Box<Failure>> {
        let arrived = call.arrived;
        let function = Arc::clone(&call.function);
        loop {
            let mut grant = self.shared.admit(&mut call, &mut wait).await?;
            let soft = grant.soft.take();
            // The moment of the grant: what the scheduler takes to run this task counts as the pod's.
            let (sent, seen) = (grant.at, grant.taken.pod().seen());
            let went = Instant::now();
            let mut answer = pin!(self.inner.call(Sending { call, grant }));
            let first = match soft {
                None => answer.await,
                Some(soft) => {
                    let quick = timeout(soft.lasts(), &mut answer).await;
                    drop(soft);
                    match quick {
                        Ok(first) => first,
                        Err(_) => answer.await,
                    }
                }
            };
            match first {
                Ok(answer) => return Ok(self.mark(answer, &wait, &function, arrived, sent, seen)),
                Err(Trouble::Failed(mut failure)) => {
                    failure.cold = wait.cold;
                    return Err(failure);
                }
                Err(Trouble::Again(again)) => {
                    wait.at_pods += went.elapsed();
                    match wait.tries.again(*again, &self.shared.metrics) {
                        Ok(back) => call = back,
                        Err(mut failure) => {
                            failure.cold = wait.cold;
                            return Err(failure);
                        }
                    }
                }
            }
        }
    }

    /// Says on the response whether and for what it waited.
    fn mark(
        &self,
        mut answer: Answer,
        wait: &Wait,
        function: &Function,
        arrived: Instant,
        sent: Instant,
        seen: Seen,
    ) -> Answer {
        // The drained pods that it met have gone, and it waited for another.
        let cold = wait.cold || (wait.drained && seen.ready.is_some_and(|ready| ready > arrived));
        answer.cold = cold;
        let headers = answer.response.headers_mut();
        headers.insert(headers::COLD_START, headers::flag(cold));
        if wait.held {
            let timeline = Timeline::new(arrived, function.wakes.read(), seen, sent, Instant::now());
            if let Some(value) = timeline.header() {
                headers.append(headers::SERVER_TIMING, value);
            }
            self.shared.metrics.held(&timeline, cold);
            answer.timeline = Some(Box::new(timeline));
        }
        answer
    }
}

impl<S> Service<Box<Call>> for Hold<S>
where
    S: Service<Sending, Response = Answer, Error = Trouble, Future: Send + Unpin> + Clone + Send + Unpin + 'static,
{
    type Response = Answer;
    type Error = Box<Failure>;
    type Future = Holding<S>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Box<Failure>>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Box<Call>) -> Self::Future {
        let hold = self.clone();
        match call.function.pass_newcomer() {
            Some(Ok(grant)) => {
                let sent = grant.at;
                Holding(Turn::First(self.inner.call(Sending { call, grant }), hold, sent))
            }
            // To be held, or refused.
            _ => Holding(Turn::Further(Box::pin(hold.run(call, Wait::default())))),
        }
    }
}

/// What a request is about: most pass at once, and cost no more than that.
pub struct Holding<S: Service<Sending>>(Turn<S>);

enum Turn<S: Service<Sending>> {
    /// It passed, at this moment.
    First(S::Future, Hold<S>, Instant),
    /// It waits, is refused, or has to go through again.
    Further(BoxFuture<'static, Result<Answer, Box<Failure>>>),
}

impl<S> Future for Holding<S>
where
    S: Service<Sending, Response = Answer, Error = Trouble, Future: Send + Unpin> + Clone + Send + Unpin + 'static,
{
    type Output = Result<Answer, Box<Failure>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Turn::First(answer, hold, sent) = &mut self.0 {
            let again = match ready!(Pin::new(answer).poll(cx)) {
                Ok(mut answer) => {
                    answer.response.headers_mut().insert(headers::COLD_START, headers::flag(false));
                    return Poll::Ready(Ok(answer));
                }
                Err(Trouble::Failed(failure)) => return Poll::Ready(Err(failure)),
                Err(Trouble::Again(again)) => again,
            };
            let mut wait = Wait { at_pods: sent.elapsed(), ..Wait::default() };
            let call = match wait.tries.again(*again, &hold.shared.metrics) {
                Ok(call) => call,
                Err(failure) => return Poll::Ready(Err(failure)),
            };
            self.0 = Turn::Further(Box::pin(hold.clone().run(call, wait)));
        }
        match &mut self.0 {
            Turn::Further(answer) => answer.as_mut().poll(cx),
            Turn::First(..) => Poll::Pending,
        }
    }
}

#[cfg(test)]
#[path = "hold_tests.rs"]
mod tests;
