//! A load generator: requests at a fixed rate, whatever becomes of them (open loop), or a fixed number of them at once
//! (closed loop), over HTTP/1.1 and HTTP/2, with every outcome kept in a [`Journal`].

mod connections;
mod journal;
mod order;
mod pace;

use std::{net::SocketAddr, time::Duration};

use http::Method;

pub use journal::{Clock, Counted, Journal, Sample, Second};
pub use order::{overtaken, overtaken_in_queue};
pub use pace::Running;

/// How the next request becomes due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Open loop: so many a second. A late answer does not delay the next request, and a request that is sent late counts
    /// from when it was due.
    PerSecond(f64),
    /// Closed loop: so many at once; an answer makes the next one due.
    AtOnce(usize),
    /// So many at once, and no more after them.
    Once(usize),
}

/// What a request is spoken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, over kept connections.
    Http1,
    /// HTTP/2 with prior knowledge, many streams on few connections.
    Http2,
}

/// One request, and what a whole answer to it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// GET, or POST with an id of its own that the test application logs.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Bytes of its body.
    pub body: usize,
    /// How many server-sent events its answer must have, for a stream.
    pub events: Option<usize>,
}

impl Shape {
    /// A GET that takes so many milliseconds.
    pub fn get(millis: u64) -> Self {
        Self { method: Method::GET, path: format!("/sleep?ms={millis}"), body: 0, events: None }
    }

    /// A POST that takes so many milliseconds.
    pub fn post(millis: u64) -> Self {
        Self { method: Method::POST, ..Self::get(millis) }
    }

    /// A POST with a body of so many bytes.
    pub fn upload(body: usize) -> Self {
        Self { method: Method::POST, path: "/upload".to_owned(), body, events: None }
    }

    /// A stream of an event each second.
    pub fn stream(seconds: usize) -> Self {
        let path = format!("/sse?n={seconds}&ms=1000");
        Self { method: Method::GET, path, body: 0, events: Some(seconds) }
    }
}

/// Requests to one function.
#[derive(Clone, Debug)]
pub struct Load {
    /// Its name in the journal.
    pub name: &'static str,
    /// The activator.
    pub entry: SocketAddr,
    /// The function.
    pub host: String,
    /// Taken in turn.
    pub protocols: Vec<Protocol>,
    /// When the next one is due.
    pub pace: Pace,
    /// Taken in turn, each by every protocol.
    pub shapes: Vec<Shape>,
    /// How long an answer may take to its end.
    pub patience: Duration,
    /// Whether it does what a careful client does beyond that: a GET that broke before its answer is sent once more, and a
    /// connection that is refused is tried again for some seconds.
    pub again: bool,
}

#[cfg(test)]
mod tests;
