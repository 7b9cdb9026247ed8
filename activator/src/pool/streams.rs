//! The streams on one connection to a pod, and how many of them the pod takes at once.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::task::AtomicWaker;
use hyper::client::conn::http2::Connection;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::net::TcpStream;
use crate::path::body::RequestBody;

/// Of one connection.
#[derive(Debug)]
pub(super) struct Streams {
    now: AtomicUsize,
    most: AtomicUsize,
    answered: AtomicBool,
    driver: AtomicWaker,
}

/// One that is open, or waits to be; until it is dropped.
#[derive(Debug)]
pub struct Stream(Arc<Streams>);

impl Streams {
    /// Of a connection that is not open yet.
    pub(super) fn new() -> Arc<Self> {
        let (now, answered, driver) = (AtomicUsize::new(0), AtomicBool::new(false), AtomicWaker::new());
        Arc::new(Self { now, most: AtomicUsize::new(usize::MAX), answered, driver })
    }

    /// One more.
    pub(super) fn open(self: &Arc<Self>) -> Stream {
        self.now.fetch_add(1, Ordering::Relaxed);
        Stream(Arc::clone(self))
    }

    pub(super) fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }

    /// Whether the pod takes another one.
    pub(super) fn has_room(&self) -> bool {
        self.now() < self.most.load(Ordering::Relaxed)
    }

    /// Whether some of them wait for others to end.
    pub(super) fn is_crowded(&self) -> bool {
        self.now() > self.most.load(Ordering::Relaxed)
    }

    /// Serves the connection to its end. A pod says how many streams it takes before it answers for the first time; to ask
    /// again with every request would take a lock.
    pub(super) async fn serve(
        self: Arc<Self>,
        mut connection: Connection<TokioIo<TcpStream>, RequestBody, TokioExecutor>,
    ) -> hyper::Result<()> {
        let mut known = false;
        poll_fn(|cx| {
            let ended = Pin::new(&mut connection).poll(cx);
            if !known {
                self.driver.register(cx.waker());
                known = self.answered.load(Ordering::Acquire);
                self.most.store(connection.current_max_send_streams(), Ordering::Relaxed);
            }
            ended
        })
        .await
    }
}

impl Stream {
    /// The pod has answered.
    pub(super) fn answered(&self) {
        if !self.0.answered.load(Ordering::Relaxed) {
            self.0.answered.store(true, Ordering::Release);
            self.0.driver.wake();
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}
