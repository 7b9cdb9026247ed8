//! Counts requests as present, from here to the end of the response's body or of the upgraded connection.

use std::sync::Arc;
use std::task::{Context, Poll};

use tower::{Layer, Service};

use super::call::Call;
use crate::clock;
use crate::function::Function;

/// Makes [`Count`].
#[derive(Clone, Copy, Debug)]
pub struct CountLayer;

impl<S> Layer<S> for CountLayer {
    type Service = Count<S>;

    fn layer(&self, inner: S) -> Count<S> {
        Count { inner }
    }
}

/// Gives each request its [`Counted`].
#[derive(Clone, Copy, Debug)]
pub struct Count<S> {
    inner: S,
}

/// One request of a function; counted until dropped. It travels with the request, then with the response's body.
#[derive(Debug)]
pub struct Counted {
    function: Arc<Function>,
}

impl Counted {
    /// Begins to count.
    pub fn new(function: &Arc<Function>) -> Self {
        function.totals.begin(clock::now());
        Self { function: Arc::clone(function) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.function.totals.end(clock::now());
    }
}

impl<S: Service<Call>> Service<Call> for Count<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut call: Call) -> Self::Future {
        call.counted = Some(Counted::new(&call.function));
        self.inner.call(call)
    }
}
