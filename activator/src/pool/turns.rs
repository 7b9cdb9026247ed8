//! Who may connect to a pod now, and whether there is any hope.
//!
//! A thousand connections in a moment are more than a listener takes: what exceeds its backlog gets no answer, or is
//! connected on one side only and hangs. So few are opened at once, and the others wait for their turn. How long that takes
//! depends on how fast the pod accepts, and so does a connection to a full backlog. What tells a pod that is busy from one
//! that is gone is that its kernel completes any connection at all.

use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::Refused;

/// Connections that are being opened to one pod at once. Each takes well under a millisecond where the pod has room for it.
const AT_ONCE: usize = 32;
/// A pod to which no connection has come about for so long, though one is wanted, is unreachable.
const HOPELESS: Duration = Duration::from_secs(2);

/// The turns to connect to one pod.
#[derive(Debug)]
pub(super) struct Turns {
    free: Semaphore,
    /// When a connection came about last.
    opened: Mutex<Option<Instant>>,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self { free: Semaphore::new(AT_ONCE), opened: Mutex::default() }
    }

    /// Waits for a turn and connects, in order of arrival. Cancel-safe: whoever leaves makes room.
    ///
    /// # Errors
    /// That of `connecting`, or [`Refused::Timeout`] when no connection of anybody's has come about for 2 s.
    pub(super) async fn take<T>(&self, connecting: impl Future<Output = Result<T, Refused>>) -> Result<T, Refused> {
        let mut connecting = pin!(async {
            // It is never closed.
            let _turn = self.free.acquire().await;
            let opened = connecting.await?;
            *self.opened() = Some(Instant::now());
            Ok(opened)
        });
        let mut ends = Instant::now() + HOPELESS;
        loop {
            if let Ok(done) = timeout_at(ends, &mut connecting).await {
                return done;
            }
            match self.opened().map(|opened| opened + HOPELESS) {
                Some(later) if later > ends => ends = later,
                _ => return Err(Refused::Timeout(HOPELESS)),
            }
        }
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use futures::FutureExt as _;
    use futures::future::join_all;
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn few_connect_at_once_and_the_others_wait_as_long_as_it_goes_on() {
        let (turns, underway, most) = (Turns::new(), Cell::new(0), Cell::new(0));
        let began = Instant::now();
        let connect = async || {
            underway.set(underway.get() + 1);
            most.set(underway.get().max(most.get()));
            sleep(HOPELESS * 3 / 4).await;
            underway.set(underway.get() - 1);
            Ok(())
        };
        let all = join_all((0..4 * AT_ONCE).map(|_| turns.take(connect()))).await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!((most.get(), began.elapsed()), (AT_ONCE, HOPELESS * 3));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_long_for_a_pod_that_is_gone_not_even_for_a_turn() {
        let (turns, began) = (Turns::new(), Instant::now());
        let all = join_all((0..4 * AT_ONCE).map(|_| turns.take(pending::<Result<(), _>>()))).await;
        assert!(all.iter().all(|ended| matches!(ended, Err(Refused::Timeout(_)))));
        assert_eq!(began.elapsed(), HOPELESS);
        // That it was there earlier does not help.
        turns.take(async { Ok(()) }).await.unwrap();
        sleep(HOPELESS / 2).await;
        let (began, gone) = (Instant::now(), turns.take(pending::<Result<(), _>>()));
        assert!(gone.await.is_err());
        assert_eq!(began.elapsed(), HOPELESS);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_leaves_makes_room() {
        let turns = Turns::new();
        let mut hanging: Vec<_> = (0..AT_ONCE).map(|_| Box::pin(turns.take(pending::<Result<(), _>>()))).collect();
        hanging.iter_mut().for_each(|one| assert!(one.now_or_never().is_none()));
        let (mut leaves, mut stays) = (Box::pin(turns.take(async { Ok(()) })), Box::pin(turns.take(async { Ok(()) })));
        assert!((&mut leaves).now_or_never().is_none() && (&mut stays).now_or_never().is_none());
        drop((leaves, hanging.pop()));
        assert!(stays.now_or_never().is_some_and(|ended| ended.is_ok()));
        // One that is refused as well.
        assert!(turns.take(async { Err::<(), _>(Refused::Closed) }).await.is_err());
        assert!(turns.take(async { Ok(()) }).now_or_never().is_some());
    }
}
