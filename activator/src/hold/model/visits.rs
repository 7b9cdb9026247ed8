//! Where requests are that have left the queue: the end of the path, at which the script says what becomes of each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::Response;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tower::Service;

use crate::path::again::{Again, Cause};
use crate::path::body::ResponseBody;
use crate::path::call::{Answer, Sending, Trouble};
use crate::path::count::Counted;
use crate::path::fault::{Fault, Phase};
use crate::pods::{Pod, Taken};

/// The number of a request stands here.
pub(super) const ID: &str = "id";

/// A request at a pod.
pub(super) struct Visit {
    pub(super) pod: Arc<Pod>,
    pub(super) since: Instant,
    end: Option<oneshot::Sender<End>>,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Answer,
    Back(Cause),
    Break,
}

/// A response that has begun.
pub(super) struct Stream {
    pub(super) taken: Taken,
    _counted: Option<Counted>,
}

#[derive(Default)]
pub(super) struct State {
    /// By the request's number.
    pub(super) visits: BTreeMap<usize, Visit>,
    pub(super) streams: Vec<Stream>,
    /// Those who came since somebody looked.
    pub(super) came: Vec<usize>,
    /// A request was at two pods at once.
    pub(super) twice: bool,
}

/// All pods, as far as requests are concerned.
#[derive(Clone, Default)]
pub(super) struct Visits(Arc<Mutex<State>>);

/// Ends a visit when it is dropped, by whomever.
struct There(Visits, usize);

impl Drop for There {
    fn drop(&mut self) {
        self.0.lock().visits.remove(&self.1);
    }
}

impl Visits {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Has the visit with this number, modulo those there are, end so.
    pub(super) fn end(&self, number: usize, end: End) {
        let mut state = self.lock();
        let open = state.visits.values_mut().filter(|visit| visit.end.is_some());
        let mut open: Vec<_> = open.collect();
        if open.is_empty() {
            return;
        }
        let at = number % open.len();
        let _ = open[at].end.take().unwrap().send(end);
    }
}

impl Service<Sending> for Visits {
    type Response = Answer;
    type Error = Trouble;
    type Future = BoxFuture<'static, Result<Answer, Trouble>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, Sending { mut call, grant }: Sending) -> Self::Future {
        let id = call.parts.headers[ID].to_str().unwrap().parse().unwrap();
        let pod = Arc::clone(grant.taken.pod());
        let (sender, end) = oneshot::channel();
        let visit = Visit { pod: Arc::clone(&pod), since: Instant::now(), end: Some(sender) };
        let mut state = self.lock();
        state.twice |= state.visits.insert(id, visit).is_some();
        state.came.push(id);
        drop(state);
        let (there, all) = (There(self.clone(), id), self.clone());
        Box::pin(async move {
            let _there = there;
            let awaited = pod.pulse.sent();
            match end.await.unwrap() {
                End::Answer => {
                    awaited.answered();
                    all.lock().streams.push(Stream { taken: grant.taken, _counted: call.counted.take() });
                    Ok(Answer::warm(Response::new(ResponseBody::empty())))
                }
                End::Back(cause) => {
                    drop((awaited, grant));
                    // As `path::forward` does with one that it could not reach.
                    let blamed = || pod.pulse.failed() && call.function.eject(&pod, "test", Instant::now());
                    if cause == Cause::Unsent && !blamed() {
                        pod.cast_doubt();
                    }
                    let pod = Arc::clone(&pod);
                    Err(Trouble::Again(Box::new(Again { call, pod, cause, fault: Fault::Unreachable })))
                }
                End::Break => Err(Trouble::Failed(call.failure(Fault::Broken("test"), Phase::Forward, false))),
            }
        })
    }
}
