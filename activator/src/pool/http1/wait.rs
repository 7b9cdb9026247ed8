//! What a request waits for at a pod, and the way to end that from another thread.

use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Context;

use futures::task::AtomicWaker;

/// Of one connection.
#[derive(Debug, Default)]
pub(super) struct Wait {
    state: AtomicU8,
    waiter: AtomicWaker,
}

impl Wait {
    /// Nothing that could be made good: also the time between two requests.
    const NOTHING: u8 = 0;
    /// The head of the answer to a request that may be sent again.
    const HEAD: u8 = 1;
    /// Nothing any more: see [`Wait::give_up`].
    const GIVEN_UP: u8 = 2;

    pub(super) fn begin(&self) {
        self.state.store(Self::HEAD, Ordering::Release);
    }

    /// The head has come.
    pub(super) fn end(&self) {
        self.state.store(Self::NOTHING, Ordering::Release);
        // An unused connection is not to keep the task that used it last.
        drop(self.waiter.take());
    }

    /// Whether it was given up. If not, the task is woken when it is.
    pub(super) fn is_given_up(&self, cx: &Context<'_>) -> bool {
        self.waiter.register(cx.waker());
        self.state.load(Ordering::Acquire) == Self::GIVEN_UP
    }

    /// Ends the wait of a request that waits for a head and may be sent again.
    pub(super) fn give_up(&self) {
        let given_up = self.state.compare_exchange(Self::HEAD, Self::GIVEN_UP, Ordering::AcqRel, Ordering::Relaxed);
        if given_up.is_ok() {
            self.waiter.wake();
        }
    }
}
