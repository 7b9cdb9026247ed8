//! Why a request was not answered by its function. The texts are public: no pod IP, node or object outside the caller's
//! own function appears in one. What the operators of the cluster need beyond that goes to the log.

use std::sync::Arc;
use std::time::Duration;

use crds::Reason;
use http::{HeaderValue, StatusCode};
use thiserror::Error;

use crate::function::{Function, Key};

/// Where a request was when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Looking for its function.
    Route,
    /// In the queue, or refused by it.
    Hold,
    /// Sent, or about to be sent, to a pod.
    Forward,
}

impl Phase {
    /// As it stands in problem documents and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Hold => "hold",
            Self::Forward => "forward",
        }
    }
}

/// Whose share of the queue is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Share {
    /// `spec.queue.maxRequests` of the function.
    Function,
    /// The namespace's share of this activator.
    Namespace,
    /// This activator's own limit, in requests or bytes.
    Process,
}

impl Share {
    /// As it stands in problem documents and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Namespace => "namespace",
            Self::Process => "process",
        }
    }
}

/// Why a request was not answered by its function.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// The request breaks a rule of HTTP on which its routing depends.
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
    /// The path and query are longer than the limit, in bytes.
    #[error("the path and query are longer than {0} bytes")]
    UriTooLong(usize),
    /// The header fields are longer than the limit, in bytes.
    #[error("the header fields are longer than {0} bytes")]
    HeadTooLong(u32),
    /// There are more header fields than the limit.
    #[error("there are more than {0} header fields")]
    TooManyFields(usize),
    /// The body is longer than the limit, in bytes.
    #[error("the body is longer than {0} bytes")]
    BodyTooLong(u64),
    /// The body came too slowly, or not at all.
    #[error("the body was waited for in vain, or came too slowly")]
    BodyTooSlow,
    /// There is no such function.
    #[error("there is no function `{name}` in namespace `{namespace}`")]
    NoFunction {
        /// Name, from the host.
        name: String,
        /// Namespace, from the host.
        namespace: String,
    },
    /// The host is a name without a namespace.
    #[error("the host `{0}` names no namespace: write http://{0}.NAMESPACE")]
    Bare(String),
    /// The host has Triggers, but none for this path.
    #[error("no Trigger of this host covers the path")]
    NoRoute,
    /// Triggers cover the path, but not with this method. Carries the methods they take.
    #[error("the method is not one of {0}")]
    Method(String),
    /// Nobody claims the host.
    #[error("no function and no Trigger has the host `{0}`")]
    Misdirected(String),
    /// `spec.scaling.mode` is `Paused`, and no pod is left.
    #[error("the function is paused")]
    Paused,
    /// `spec.scaling.mode` is `Manual`, `spec.scaling.replicas` is 0, and no pod is left. Carries the function.
    #[error(
        "the function is scaled to 0 by hand: kubectl scale function/{} -n {} --replicas=1 starts it, and with \
         spec.scaling.mode: Auto a request does", .0.name, .0.namespace
    )]
    ScaledToZeroByHand(Key),
    /// The queue is full.
    #[error("the queue is full: the share of the {} is used up", .0.as_str())]
    QueueFull(Share),
    /// Every replica has more requests to answer than it is to have.
    #[error("every replica has as many requests to answer as may wait")]
    Overloaded,
    /// The function cannot start. Carries the reason, one word, and what Kubernetes says.
    #[error("the function cannot start: {message}")]
    StartFailed {
        /// One CamelCase word.
        reason: Arc<str>,
        /// What Kubernetes says of it.
        message: Arc<str>,
    },
    /// The API server refuses to wake the function.
    #[error("the function could not be woken: {0}")]
    WakeRefused(Arc<str>),
    /// No pod took the request before `coldStartSeconds` had passed. Carries what was waited for.
    #[error("no replica was ready in time: {0}")]
    ColdStartDeadline(&'static str),
    /// The function was deleted while the request waited.
    #[error("the function was deleted")]
    Deleted,
    /// The pod broke the exchange.
    #[error("the replica broke the exchange: {0}")]
    Broken(&'static str),
    /// No pod could be reached, time and again.
    #[error("no replica could be reached")]
    Unreachable,
    /// The caller went away while it waited. Nobody reads the answer: 499 is for the log and the metrics.
    #[error("the caller went away")]
    ClientGone,
    /// The response did not begin within `firstByteSeconds` or `requestSeconds`.
    #[error("the response did not begin in time")]
    RequestDeadline,
}

impl Fault {
    /// Whether it is the request itself that is wrong.
    pub fn is_malformed(&self) -> bool {
        matches!(self, Self::Malformed(_) | Self::UriTooLong(_) | Self::HeadTooLong(_) | Self::TooManyFields(_))
    }

    /// Whether an HTTP/1 connection can carry no request after it: where this one ends is not agreed on, or not waited for,
    /// or nobody is there any more.
    pub fn ends_connection(&self) -> bool {
        self.is_malformed() || matches!(self, Self::BodyTooSlow | Self::ClientGone)
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::UriTooLong(_) => StatusCode::URI_TOO_LONG,
            Self::HeadTooLong(_) | Self::TooManyFields(_) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BodyTooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NoFunction { .. } | Self::Bare(_) | Self::NoRoute | Self::Deleted => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Misdirected(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::Paused
            | Self::ScaledToZeroByHand(_)
            | Self::QueueFull(_)
            | Self::Overloaded
            | Self::StartFailed { .. }
            | Self::WakeRefused(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken(_) | Self::Unreachable => StatusCode::BAD_GATEWAY,
            Self::ClientGone => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            Self::ColdStartDeadline(_) | Self::RequestDeadline => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// A short name that does not change: the last part of the problem's type, and the metric label.
    pub const fn slug(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed-request",
            Self::UriTooLong(_) => "uri-too-long",
            Self::HeadTooLong(_) => "head-too-long",
            Self::TooManyFields(_) => "too-many-fields",
            Self::BodyTooLong(_) => "body-too-long",
            Self::BodyTooSlow => "body-too-slow",
            Self::NoFunction { .. } | Self::Bare(_) => "no-such-function",
            Self::NoRoute => "no-such-route",
            Self::Method(_) => "method-not-allowed",
            Self::Misdirected(_) => "misdirected",
            Self::Paused => "paused",
            Self::ScaledToZeroByHand(_) => "scaled-to-zero",
            Self::QueueFull(_) => "queue-full",
            Self::Overloaded => "overloaded",
            Self::StartFailed { .. } => "start-failed",
            Self::WakeRefused(_) => "wake-refused",
            Self::ColdStartDeadline(_) => "cold-start-deadline",
            Self::Deleted => "function-deleted",
            Self::Broken(_) => "broken-exchange",
            Self::Unreachable => "unreachable",
            Self::ClientGone => "client-gone",
            Self::RequestDeadline => "request-deadline",
        }
    }

    /// One line that is the same for every fault of the kind.
    pub const fn title(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "Malformed request",
            Self::UriTooLong(_) => "URI too long",
            Self::HeadTooLong(_) => "Request header fields too large",
            Self::TooManyFields(_) => "Too many request header fields",
            Self::BodyTooLong(_) => "Body too large",
            Self::BodyTooSlow => "Body too slow",
            Self::NoFunction { .. } | Self::Bare(_) => "No such function",
            Self::NoRoute => "No such route",
            Self::Method(_) => "Method not allowed",
            Self::Misdirected(_) => "No function has this host",
            Self::Paused => "The function is paused",
            Self::ScaledToZeroByHand(_) => "The function is scaled to zero by hand",
            Self::QueueFull(_) => "Too many requests wait",
            Self::Overloaded => "The function is overloaded",
            Self::StartFailed { .. } => "The function cannot start",
            Self::WakeRefused(_) => "The function could not be woken",
            Self::ColdStartDeadline(_) => "The function did not start in time",
            Self::Deleted => "The function was deleted",
            Self::Broken(_) => "The function broke the exchange",
            Self::Unreachable => "The function could not be reached",
            Self::ClientGone => "The caller went away",
            Self::RequestDeadline => "The function did not answer in time",
        }
    }

    /// One word for what is wrong with the function, where there is one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::StartFailed { reason, .. } => Some(reason),
            Self::Paused => Some(Reason::Paused.as_str()),
            Self::ScaledToZeroByHand(_) => Some(Reason::ScaledToZeroByHand.as_str()),
            Self::WakeRefused(_) => Some("WakeRefused"),
            _ => None,
        }
    }

    /// `Allow`, which a 405 must carry (RFC 9110, section 15.5.6).
    pub fn allow(&self) -> Option<HeaderValue> {
        match self {
            Self::Method(methods) => HeaderValue::from_str(methods).ok(),
            _ => None,
        }
    }

    /// The gRPC status that says the same (gRPC's `http-grpc-status-mapping`, and its `statuscodes` where that is silent).
    pub fn grpc_status(&self) -> u8 {
        match self.status() {
            StatusCode::BAD_REQUEST => 13,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::MISDIRECTED_REQUEST => 12,
            StatusCode::GATEWAY_TIMEOUT => 4,
            StatusCode::SERVICE_UNAVAILABLE if matches!(self, Self::QueueFull(_) | Self::Overloaded) => 8,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY => 14,
            _ => 8,
        }
    }
}

/// A fault with what is known of the request that met it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What went wrong.
    pub fault: Fault,
    /// Where.
    pub phase: Phase,
    /// The function, once routed.
    pub function: Option<Arc<Function>>,
    /// For how long the request was here.
    pub waited: Duration,
    /// The limit that ended it, for faults that are deadlines.
    pub limit: Option<Duration>,
    /// Whether it waited for a start.
    pub cold: bool,
}

impl Failure {
    /// A fault before the function was known.
    pub fn route(fault: Fault) -> Box<Self> {
        Box::new(Self { fault, phase: Phase::Route, function: None, waited: Duration::ZERO, limit: None, cold: false })
    }
}
