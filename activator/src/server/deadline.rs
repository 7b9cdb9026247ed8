//! Ends an exchange when its time is up, whatever the caller does.
//!
//! hyper asks a response's body for more only after the caller has taken what there was, so a body cannot keep its own
//! time. It is kept beside what serves the exchange: the connection for HTTP/1, which carries one exchange at a time, and
//! the stream's task for HTTP/2. At the deadline that future is dropped, with the body and all that the body holds on to.
//! A dropped HTTP/1 connection is closed; a dropped stream is reset by h2, which then discards what it had buffered.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::coop::unconstrained;
use tokio::time::{Instant, sleep, sleep_until};

use super::upload::Upload;

tokio::task_local! {
    /// The exchange of the future that is being polled.
    static CURRENT: Arc<Mutex<Exchange>>;
}

/// The last exchange.
#[derive(Debug)]
struct Exchange {
    deadline: Option<Instant>,
    phase: Phase,
    /// The body of a request whose response has not begun.
    upload: Option<Arc<Upload>>,
    /// By when the response must have begun, and who asks for it.
    head: Option<(Instant, Waker)>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Since then there is none.
    Between(Instant),
    /// Whoever serves the request keeps the time.
    Asked,
    /// The response has begun, and has a deadline.
    Answered,
}

impl Default for Exchange {
    fn default() -> Self {
        Self { deadline: None, phase: Phase::Between(Instant::now()), upload: None, head: None }
    }
}

impl Exchange {
    /// When to give up, if ever. Within an exchange a caller may take its time, up to the deadline; see [`Late`] for after
    /// it.
    fn limit(&self, late: impl Fn() -> Late) -> Option<Instant> {
        let since = match self.phase {
            Phase::Answered => return self.deadline,
            Phase::Asked => return None,
            Phase::Between(since) => since,
        };
        let Late { stalled, taken, half, unused } = late();
        let within_it = |at: Instant| self.deadline.map_or(at, |deadline| deadline.max(at));
        let unused = unused.map(|most| match stalled {
            // A little now and then is no reason to wait for ever.
            Some(_) => within_it(since + most),
            None => taken.map_or(since, |taken| taken.max(since)) + most,
        });
        [stalled.map(within_it), half, unused].into_iter().flatten().min()
    }

    /// Whether the response should have begun. Whoever asks for it is woken, and finds it out.
    fn overdue(&mut self, now: Instant) -> bool {
        let overdue = self.head.take_if(|(at, _)| *at <= now);
        if let Some((_, waker)) = &overdue {
            waker.wake_by_ref();
        }
        overdue.is_some()
    }
}

/// When a caller is given up between two exchanges, if ever.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Late {
    /// It takes nothing of what is left of the last exchange, whose deadline it has for that in any case. That is no longer
    /// anybody's, but pins the connection, and whatever request comes behind it.
    pub(super) stalled: Option<Instant>,
    /// When it went on taking what is sent, if it had stopped. Its time without a request begins when nothing is left to take,
    /// which may be long after the last piece was there for it.
    pub(super) taken: Option<Instant>,
    /// It has said half of what it wants.
    pub(super) half: Option<Instant>,
    /// How long it may want nothing.
    pub(super) unused: Option<Duration>,
}

fn lock(exchange: &Mutex<Exchange>) -> MutexGuard<'_, Exchange> {
    exchange.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The deadline of an exchange; it holds until this is dropped.
#[derive(Debug)]
pub struct Deadline(Arc<Mutex<Exchange>>);

impl Deadline {
    /// For the exchange that the present task serves. `None` where no connection is served.
    pub fn set(at: Instant) -> Option<Self> {
        let exchange = CURRENT.try_with(Arc::clone).ok()?;
        *lock(&exchange) = Exchange { deadline: Some(at), phase: Phase::Answered, upload: None, head: None };
        Some(Self(exchange))
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        lock(&self.0).phase = Phase::Between(Instant::now());
    }
}

/// A request has come on the connection that the present task serves.
pub(super) fn asked() {
    // Where none is served, nobody keeps its time.
    let _ = CURRENT.try_with(|exchange| lock(exchange).phase = Phase::Asked);
}

/// Waits until the connection that the present task serves has had no exchange for `most`, counted from now on.
pub(super) async fn unused(most: Duration) {
    let Ok(exchange) = CURRENT.try_with(Arc::clone) else { return sleep(most).await };
    let began = Instant::now();
    let mut until = began + most;
    loop {
        sleep_until(until).await;
        let (now, phase) = (Instant::now(), lock(&exchange).phase);
        let last = match phase {
            Phase::Between(since) => since.max(began),
            Phase::Asked | Phase::Answered => now,
        };
        until = last + most;
        if until <= now {
            return;
        }
    }
}

/// Does `work`, but not beyond `at`; `None` then. The exchange's timer serves for it: most work is done long before.
pub async fn within<W: Future>(at: Instant, work: W) -> Option<W::Output> {
    let Ok(exchange) = CURRENT.try_with(Arc::clone) else { return tokio::time::timeout_at(at, work).await.ok() };
    let mut work = pin!(work);
    let mut begun = false;
    poll_fn(|cx| {
        let polled = work.as_mut().poll(cx);
        let mut exchange = lock(&exchange);
        if polled.is_ready() {
            exchange.head = None;
            return polled.map(Some);
        }
        match &exchange.head {
            Some((_, waker)) if waker.will_wake(cx.waker()) => {}
            // It was taken away when it was due.
            None if begun => return Poll::Ready(None),
            _ => exchange.head = Some((at, cx.waker().clone())),
        }
        begun = true;
        Poll::Pending
    })
    .await
}

/// Has the time of this body kept up to its response; whether the present task serves a connection.
pub(super) fn watch_upload(upload: &Arc<Upload>) -> bool {
    CURRENT.try_with(|exchange| lock(exchange).upload = Some(Arc::clone(upload))).is_ok()
}

/// Serves to the end, or drops `serving` when its exchange's deadline passes; `None` then. So it does when it is late, while
/// no exchange is open.
///
/// One timer for however many exchanges: it is moved for an earlier deadline only, and wakes for nothing once in a while.
pub(super) async fn watched<F: Future>(serving: F, late: impl Fn() -> Late) -> Option<F::Output> {
    let exchange = Arc::<Mutex<Exchange>>::default();
    let mut timer = pin!(sleep(Duration::MAX));
    let mut over = |cx: &mut Context<'_>| {
        loop {
            let (limit, head, upload) = {
                let exchange = lock(&exchange);
                (exchange.limit(&late), exchange.head.as_ref().map(|(at, _)| *at), exchange.upload.clone())
            };
            let due = upload.as_ref().and_then(|upload| upload.due());
            let Some(at) = limit.into_iter().chain(head).chain(due).min() else { return Poll::Pending };
            // Most of the time: what is asked for now ends later than what the timer is set for.
            if at >= timer.deadline() && !timer.is_elapsed() {
                // Whatever the rest of the task has used up of its budget.
                if pin!(unconstrained(timer.as_mut())).poll(cx).is_pending() {
                    return Poll::Pending;
                }
                continue;
            }
            let now = Instant::now();
            if limit.is_some_and(|limit| limit <= now) {
                return Poll::Ready(());
            }
            if at <= now {
                // Whoever waits for it answers, and what is served goes on.
                if !lock(&exchange).overdue(now) && upload.is_some_and(|upload| upload.look(now)) {
                    lock(&exchange).upload = None;
                }
                continue;
            }
            if at < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(at);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    };
    let mut serving = pin!(CURRENT.scope(Arc::clone(&exchange), serving));
    poll_fn(|cx| match serving.as_mut().poll(cx) {
        Poll::Ready(served) => Poll::Ready(Some(served)),
        // After it, so that a deadline it has just set is seen.
        Poll::Pending => over(cx).map(|()| None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn an_exchange_ends_at_its_deadline_with_all_it_holds() {
        let began = Instant::now();
        let held = Arc::new(());
        let holds = Arc::clone(&held);
        let serving = async move {
            let _deadline = Deadline::set(began + SECOND).unwrap();
            pending::<()>().await;
            drop(holds);
        };
        assert_eq!(watched(serving, Late::default).await, None);
        assert_eq!((began.elapsed(), Arc::strong_count(&held)), (SECOND, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_unused_from_the_end_of_its_last_exchange_on() {
        let ended_after = async |exchanges: &[(u32, u32)]| {
            let began = Instant::now();
            let serving = async {
                let use_it = async {
                    for (from, to) in exchanges {
                        sleep_until(began + *from * SECOND).await;
                        asked();
                        let _deadline = Deadline::set(began + 100 * SECOND);
                        sleep_until(began + *to * SECOND).await;
                    }
                    pending::<()>().await;
                };
                // As from a stop after two seconds.
                let stop = async {
                    sleep(2 * SECOND).await;
                    unused(5 * SECOND).await;
                };
                tokio::select! { () = use_it => {}, () = stop => {} }
            };
            watched(serving, Late::default).await.unwrap();
            began.elapsed().as_secs()
        };
        assert_eq!(ended_after(&[]).await, 7);
        assert_eq!(ended_after(&[(0, 1)]).await, 7);
        assert_eq!(ended_after(&[(0, 3)]).await, 8);
        assert_eq!(ended_after(&[(0, 30)]).await, 35);
        assert_eq!(ended_after(&[(3, 4), (6, 8)]).await, 13);
    }

    #[tokio::test(start_paused = true)]
    async fn each_exchange_has_its_own() {
        let began = Instant::now();
        let serving = async {
            let first = Deadline::set(began + 5 * SECOND);
            sleep(SECOND).await;
            drop(first);
            // Between two exchanges there is none.
            sleep(10 * SECOND).await;
            let second = Deadline::set(began + 20 * SECOND);
            sleep(SECOND).await;
            drop(second);
            // An earlier one than the timer is set for.
            let _third = Deadline::set(began + 13 * SECOND);
            pending::<()>().await;
        };
        assert_eq!(watched(serving, Late::default).await, None);
        assert_eq!(began.elapsed(), 13 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_future_that_is_always_busy_ends_too() {
        let began = Instant::now();
        let serving = async {
            let _deadline = Deadline::set(began + SECOND);
            loop {
                // Uses up the task's budget, so that no timer may say that it has passed.
                tokio::task::consume_budget().await;
                tokio::time::advance(Duration::from_millis(1)).await;
            }
        };
        assert_eq!(watched(serving, Late::default).await, None::<()>);
        assert!(began.elapsed() >= SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_may_stall_within_an_exchange_only() {
        let began = Instant::now();
        let stalled = Cell::new(None);
        let serving = async {
            let exchange = Deadline::set(began + 10 * SECOND);
            stalled.set(Some(began + SECOND));
            sleep(5 * SECOND).await;
            drop(exchange);
            pending::<()>().await;
        };
        assert_eq!(watched(serving, || Late { stalled: stalled.get(), ..Late::default() }).await, None);
        assert_eq!(began.elapsed(), 10 * SECOND, "what is left may be taken until the deadline");
    }

    #[tokio::test]
    async fn limits() {
        use Phase::{Answered, Asked, Between};
        let now = Instant::now();
        let (early, late) = (Some(now), Some(now + SECOND));
        let exchange = |deadline, phase| Exchange { deadline, phase, ..Exchange::default() };
        for (deadline, phase, stalled, limit) in [
            (None, Between(now), None, None),
            (None, Between(now), early, early),
            (early, Answered, None, early),
            (late, Answered, early, late),
            (early, Asked, early, None),
            (early, Between(now), None, None),
            (early, Between(now), late, late),
            (late, Between(now), early, late),
        ] {
            let late = || Late { stalled, ..Late::default() };
            assert_eq!(exchange(deadline, phase).limit(late), limit, "{deadline:?} {phase:?} {stalled:?}");
        }
        let half = || Late { stalled: late, half: early, ..Late::default() };
        assert_eq!(exchange(late, Between(now)).limit(half), early, "the last exchange is no excuse");
        assert_eq!(exchange(late, Answered).limit(half), late, "nobody looks at it yet");
        let unused = || Late { unused: Some(SECOND), ..Late::default() };
        assert_eq!(exchange(early, Between(now)).limit(unused), late);
        assert_eq!(exchange(early, Asked).limit(unused), None, "it waits for its answer");
        let takes = |stalled, taken| move || Late { stalled, taken, half: None, unused: Some(SECOND) };
        let (far, further) = (Some(now + 10 * SECOND), Some(now + 11 * SECOND));
        assert_eq!(exchange(far, Between(now)).limit(takes(late, None)), far, "it has the time of its exchange");
        assert_eq!(exchange(early, Between(now)).limit(takes(far, far)), late, "and no more");
        assert_eq!(exchange(early, Between(now)).limit(takes(None, far)), further, "it has only now got it all");
        assert_eq!(exchange(far, Between(now)).limit(takes(None, early)), late);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_not_used_ends() {
        let began = Instant::now();
        let serving = async {
            sleep(3 * SECOND).await;
            asked();
            // Held, for however long.
            sleep(100 * SECOND).await;
            drop(Deadline::set(began + 200 * SECOND));
            pending::<()>().await;
        };
        let late = || Late { unused: Some(5 * SECOND), ..Late::default() };
        assert_eq!(watched(serving, late).await, None);
        assert_eq!(began.elapsed(), 108 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn work_ends_when_its_head_is_due() {
        let began = Instant::now();
        let serving = async {
            assert_eq!(within(began + 2 * SECOND, sleep(SECOND)).await, Some(()));
            assert_eq!(within(began + 3 * SECOND, pending::<()>()).await, None);
            assert_eq!(began.elapsed(), 3 * SECOND);
            // What was in time leaves nothing behind.
            assert_eq!(within(began + 5 * SECOND, async { 7 }).await, Some(7));
            sleep(10 * SECOND).await;
        };
        assert_eq!(watched(serving, Late::default).await, Some(()));
        assert_eq!(within(Instant::now() + SECOND, pending::<()>()).await, None, "where no connection is served");
    }

    #[tokio::test]
    async fn elsewhere_there_is_no_exchange() {
        assert!(Deadline::set(Instant::now()).is_none());
    }
}
