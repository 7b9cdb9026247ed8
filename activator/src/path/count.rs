//! Counts requests as present, from here to the end of the response's body or of the upgraded connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tower::{Layer, Service};

use super::call::Call;
use crate::clock;
use crate::function::Function;
use crate::link::Beacon;

/// Makes [`Count`].
#[derive(Clone, Debug)]
pub struct CountLayer {
    /// Where to say that more requests are present than the leader was told of.
    pub beacon: Arc<Beacon>,
}

impl<S> Layer<S> for CountLayer {
    type Service = Count<S>;

    fn layer(&self, inner: S) -> Count<S> {
        Count { inner, beacon: Arc::clone(&self.beacon) }
    }
}

/// Gives each request its [`Counted`].
#[derive(Clone, Debug)]
pub struct Count<S> {
    inner: S,
    beacon: Arc<Beacon>,
}

/// One request of a function; counted until dropped. It travels with the request, then with the response's body.
#[derive(Debug)]
pub struct Counted {
    function: Arc<Function>,
    /// Whether there is an answer, whosever; without one its caller went away.
    answered: AtomicBool,
}

impl Counted {
    /// Begins to count. Also gives whether the leader should hear of it at once.
    pub fn new(function: &Arc<Function>) -> (Self, bool) {
        let news = function.totals.begin(clock::now());
        (Self { function: Arc::clone(function), answered: AtomicBool::new(false) }, news)
    }

    /// The function.
    pub fn function(&self) -> &Arc<Function> {
        &self.function
    }

    /// There is an answer to it.
    pub fn answer(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.function.totals.end(clock::now());
        if !*self.answered.get_mut() {
            self.function.record.gone();
        }
    }
}

impl<S: Service<Box<Call>>> Service<Box<Call>> for Count<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut call: Box<Call>) -> Self::Future {
        let (counted, news) = Counted::new(&call.function);
        call.counted = Some(counted);
        if news {
            self.beacon.urge();
        }
        self.inner.call(call)
    }
}
