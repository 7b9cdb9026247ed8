//! What travels between the layers.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use tokio::time::Instant;

use super::again::Again;
use super::body::{RequestBody, ResponseBody};
use super::count::Counted;
use super::fault::{Failure, Fault, Phase};
use super::trail::Received;
use crate::function::Function;
use crate::hold::Grant;
use crate::server::Peer;

/// A request as it comes off a connection.
#[derive(Debug)]
pub struct Accepted {
    /// Head and body.
    pub request: Request<Incoming>,
    /// The connection.
    pub peer: Arc<Peer>,
    /// What came was no request to pass on, and this stands in its place.
    pub refused: Option<Fault>,
}

/// A request with what is known of it before it is routed.
#[derive(Debug)]
pub struct Arrival {
    /// Head.
    pub parts: Parts,
    /// Body, unread.
    pub body: Incoming,
    /// The connection.
    pub peer: Arc<Peer>,
    /// When its head was complete.
    pub arrived: Instant,
    /// Kept or made.
    pub request_id: HeaderValue,
    /// Whether the call is gRPC's.
    pub grpc: bool,
    /// See [`Accepted::refused`].
    pub refused: Option<Fault>,
    /// Where the bytes of its body are counted, if somebody asks for them.
    pub received: Option<Received>,
}

/// A request to a function.
#[derive(Debug)]
pub struct Call {
    /// Head, without what is between neighbours only.
    pub parts: Parts,
    /// Body, unread or kept as far as it was read; none if there is none.
    pub body: Option<RequestBody>,
    /// The authority as the caller wrote it.
    pub host: HeaderValue,
    /// The protocol that the caller wants to go over to, and the way to the connection then.
    pub upgrade: Option<(HeaderValue, OnUpgrade)>,
    /// The connection.
    pub peer: Arc<Peer>,
    /// When its head was complete.
    pub arrived: Instant,
    /// The caller's own deadline, if it named one.
    pub caller_deadline: Option<Instant>,
    /// The function.
    pub function: Arc<Function>,
    /// Counts it as present; set by the count layer.
    pub counted: Option<Counted>,
    /// For a request that a pod may have had already: the deadline that it had there.
    pub repeated: Option<Instant>,
}

impl Call {
    /// A failure of this request, which answers it.
    pub fn failure(&self, fault: Fault, phase: Phase, cold: bool) -> Box<Failure> {
        if let Some(counted) = &self.counted {
            counted.answer();
        }
        Box::new(Failure {
            fault,
            phase,
            function: Some(Arc::clone(&self.function)),
            waited: self.arrived.elapsed(),
            limit: None,
            cold,
        })
    }

    /// `instant`, or the caller's own deadline or that of an earlier sending if that comes first.
    pub fn capped(&self, instant: Instant) -> Instant {
        [self.caller_deadline, self.repeated].into_iter().flatten().fold(instant, Instant::min)
    }
}

/// A request with leave to send it to a pod.
#[derive(Debug)]
pub struct Sending {
    /// The request. On the heap, as it goes from layer to layer.
    pub call: Box<Call>,
    /// The slot at the pod.
    pub grant: Grant,
}

/// Why a request that had leave got no answer.
#[derive(Debug)]
pub enum Trouble {
    /// It may look for another pod.
    Again(Box<Again>),
    /// It ends here.
    Failed(Box<Failure>),
}

/// A response with what the log and the metrics say of it.
#[derive(Debug)]
pub struct Answer {
    /// Head and body.
    pub response: Response<ResponseBody>,
    /// For a request that was held for a start: the phases.
    pub timeline: Option<Box<super::timing::Timeline>>,
    /// Whether it waited for a start.
    pub cold: bool,
    /// The function, where the body does not have it: see [`Answer::function`].
    pub function: Option<Arc<Function>>,
    /// What went wrong, if something did.
    pub failure: Option<Box<Failure>>,
}

impl Answer {
    /// The function, once routed.
    pub fn function(&self) -> Option<&Arc<Function>> {
        let failed = || self.failure.as_ref().and_then(|failure| failure.function.as_ref());
        self.function.as_ref().or_else(|| self.response.body().function()).or_else(failed)
    }

    /// A pod's response to a request that did not wait.
    pub const fn warm(response: Response<ResponseBody>) -> Self {
        Self { response, timeline: None, cold: false, function: None, failure: None }
    }
}

/// `grpc-timeout` from the moment of arrival.
pub fn caller_deadline(arrived: Instant, timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| arrived.checked_add(timeout))
}
