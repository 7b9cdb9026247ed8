//! What is remembered of one request, where somebody reads about single requests: in the access log or in a trace. Made only
//! where one of these is on; it travels with the response's body, and is told when that is over or the caller has gone.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::HOST;
use http::request::Parts;
use http::{HeaderValue, Method};
use tokio::time::Instant;
use tracing::{Level, enabled, field, info};

use super::call::Answer;
use super::fault::Fault;
use super::timing::Timeline;
use super::tracing::Span;

/// The target of the log's lines: no filter lets them through but the one that the command line makes for them.
pub const ACCESS_LOG: &str = "activator::access";

/// Bytes of a request's body that went to a pod.
#[derive(Clone, Debug, Default)]
pub struct Received(Arc<AtomicU64>);

impl Received {
    /// So many more.
    pub fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// What is told of one request in the end.
#[derive(Debug)]
pub struct Told<'a> {
    /// Kept or made.
    pub request_id: &'a str,
    /// None, as the next two, of a request that is not valid: what it says is not repeated.
    pub method: Option<&'a str>,
    /// As the caller wrote it.
    pub host: Option<&'a str>,
    /// Without the query.
    pub path: Option<&'a str>,
    /// 499 of one whose caller went away.
    pub status: u16,
    /// Why the function did not answer.
    pub fault: Option<&'static str>,
    /// `NAMESPACE/NAME`.
    pub function: Option<&'a str>,
    /// Revision.
    pub revision: Option<&'a str>,
    /// Name of the pod.
    pub pod: Option<&'a str>,
    /// Whether it waited for a start.
    pub cold: bool,
    /// Of one that was held.
    pub phases: Option<&'a Timeline>,
    /// Bytes of the request's body that went to a pod.
    pub received_bytes: u64,
    /// Bytes of the response's body.
    pub sent_bytes: u64,
    /// Whether the response was sent to its end.
    pub whole: bool,
    /// From the request's head to the end of the response.
    pub took: Duration,
}

/// One request, to the end of its response.
pub struct Trail {
    /// Whether the log gets a line.
    logged: bool,
    span: Option<Span>,
    arrived: Instant,
    request_id: HeaderValue,
    /// None of one that is not valid: what it says is not to be repeated.
    asked: Option<Asked>,
    answered: Option<Answered>,
    received: Received,
    sent: u64,
    whole: bool,
}

/// What was asked for. Of a query nothing is kept: it may hold secrets.
#[derive(Debug)]
struct Asked {
    method: Method,
    host: String,
    path: String,
}

/// What the head of the response says, and where it comes from.
#[derive(Debug)]
struct Answered {
    status: u16,
    cold: bool,
    fault: Option<&'static str>,
    function: Option<String>,
    revision: Option<Arc<str>>,
    pod: Option<Arc<str>>,
    phases: Option<Box<Timeline>>,
}

impl Trail {
    /// Of a request, if anybody will read it. The bytes of its body are counted from here on.
    pub fn begin(
        parts: &Parts,
        request_id: &HeaderValue,
        arrived: Instant,
        valid: bool,
        span: Option<Span>,
    ) -> Option<Box<Self>> {
        let logged = enabled!(target: ACCESS_LOG, Level::INFO);
        if !logged && span.is_none() {
            return None;
        }
        let received = Received::default();
        let asked = valid.then(|| Asked {
            method: parts.method.clone(),
            host: host(parts).to_owned(),
            path: parts.uri.path().to_owned(),
        });
        let request_id = request_id.clone();
        let (answered, sent, whole) = (None, 0, false);
        Some(Box::new(Self { logged, span, arrived, request_id, asked, answered, received, sent, whole }))
    }

    /// Where the bytes of its body are counted.
    pub fn received(&self) -> &Received {
        &self.received
    }

    /// The head of the response goes out.
    pub fn answered(&mut self, answer: &Answer) {
        let failure = answer.failure.as_deref();
        let function = answer.function();
        let pod = answer.response.body().source();
        self.answered = Some(Answered {
            status: failure.map_or(answer.response.status(), |failure| failure.fault.status()).as_u16(),
            cold: answer.cold,
            fault: failure.map(|failure| failure.fault.slug()),
            function: function.map(|function| function.key.to_string()),
            revision: pod.map_or_else(
                || function.map(|function| Arc::clone(&function.spec.load().revision)),
                |pod| Some(Arc::clone(&pod.revision)),
            ),
            pod: pod.map(|pod| Arc::clone(&pod.name)),
            phases: answer.timeline.clone(),
        });
    }

    /// So many bytes of the body go out.
    pub fn sends(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// The body is over: wholly sent, or not.
    pub fn ends(&mut self, whole: bool) {
        self.whole |= whole;
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        let span = self.span.take();
        let (asked, answered) = (self.asked.as_ref(), self.answered.as_ref());
        let gone = Fault::ClientGone;
        let told = Told {
            request_id: self.request_id.to_str().unwrap_or_default(),
            method: asked.map(|asked| asked.method.as_str()),
            host: asked.map(|asked| &*asked.host),
            path: asked.map(|asked| &*asked.path),
            status: answered.map_or(gone.status().as_u16(), |answered| answered.status),
            fault: answered.map_or(Some(gone.slug()), |answered| answered.fault),
            function: answered.and_then(|answered| answered.function.as_deref()),
            revision: answered.and_then(|answered| answered.revision.as_deref()),
            pod: answered.and_then(|answered| answered.pod.as_deref()),
            cold: answered.is_some_and(|answered| answered.cold),
            phases: answered.and_then(|answered| answered.phases.as_deref()),
            received_bytes: self.received.0.load(Ordering::Relaxed),
            sent_bytes: self.sent,
            whole: self.whole,
            took: self.arrived.elapsed(),
        };
        if self.logged {
            log(&told);
        }
        if let Some(span) = span {
            span.end(&told);
        }
    }
}

fn log(told: &Told<'_>) {
    info!(
        target: ACCESS_LOG,
        request_id = told.request_id,
        method = told.method,
        host = told.host,
        path = told.path,
        status = told.status,
        fault = told.fault,
        function = told.function,
        revision = told.revision,
        pod = told.pod,
        cold = told.cold,
        phases = told.phases.map(field::display),
        received_bytes = told.received_bytes,
        sent_bytes = told.sent_bytes,
        whole = told.whole,
        seconds = told.took.as_secs_f64(),
        "A request."
    );
}

impl fmt::Debug for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trail").finish_non_exhaustive()
    }
}

/// Whom the request is for, without what is of use to nobody but a server that checks passwords.
fn host(parts: &Parts) -> &str {
    let authority = match parts.uri.authority() {
        Some(authority) => authority.as_str(),
        None => parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default(),
    };
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}
