//! Sends a request to the pod it was granted, and streams both ways.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crds::function::Protocol;
use futures::future::BoxFuture;
use http::header::{CONNECTION, EXPECT, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use tokio::time::{Instant, sleep};
use tower::Service;
use tracing::debug;

use super::again::{Again, Cause};
use super::body::{BodyLimit, Held, RequestBody, ResponseBody};
use super::call::{Answer, Call, Sending, Trouble};
use super::count::Counted;
use super::fault::{Fault, Phase};
use super::headers::{self, Sender};
use super::http2;
use super::room::Room;
use super::tunnel::Tunnels;
use super::untaken::Stream;
use crate::args::Limits;
use crate::hold::Grant;
use crate::metrics::{Ejection, Metrics};
use crate::pods::Pod;
use crate::pool::{Connection, Exchange, NOT_HTTP, PodBody, Refused, SendError};
use crate::server::{Deadline, Pace, Reading, Slow, within};

/// A caller that expects `100 Continue` from a pod that does not say it gets its body read after this (RFC 9110, section
/// 10.1.1: do not wait indefinitely).
const CONTINUE: Duration = Duration::from_secs(1);

/// Sends requests to pods.
#[derive(Clone)]
pub struct Forward {
    shared: Arc<Shared>,
}

struct Shared {
    tunnels: Tunnels,
    max_body: u64,
    pace: Pace,
    room: Arc<Room>,
    metrics: Arc<Metrics>,
}

impl Forward {
    /// Upgraded connections go to `tunnels`.
    pub fn new(tunnels: &Tunnels, limits: &Limits, metrics: &Arc<Metrics>) -> Self {
        let shared = Shared {
            tunnels: tunnels.clone(),
            max_body: limits.max_body_bytes,
            pace: Pace::new(limits),
            room: Room::new(limits.max_replay_bytes),
            metrics: Arc::clone(metrics),
        };
        Self { shared: Arc::new(shared) }
    }
}

impl Service<Sending> for Forward {
    type Response = Answer;
    type Error = Trouble;
    type Future = BoxFuture<'static, Result<Answer, Trouble>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, Sending { call, grant }: Sending) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { shared.send(call, grant).await })
    }
}

impl Shared {
    async fn send(&self, mut call: Box<Call>, grant: Grant) -> Result<Answer, Trouble> {
        let pod = Arc::clone(grant.taken.pod());
        let Some(pool) = pod.pool() else { return Err(again(call, pod, Cause::Gone, Fault::Unreachable)) };
        self.metrics.underway(&call.function);
        let protocol = pool.target().protocol;
        let sent = Instant::now();
        let (own, deadline, first_byte) = {
            let spec = call.function.spec.load();
            let deadline = call.capped(sent + spec.request);
            let own = sent + spec.first_byte.map_or(spec.request, |most| most.min(spec.request));
            (own, deadline, deadline.min(own))
        };
        if deadline <= sent {
            return Err(late(&call, sent, deadline));
        }
        let limit = BodyLimit::new(self.max_body);
        let (repeated, repeatable) = (call.repeated.is_some(), is_repeatable(&call));
        let shares = call.body.is_some() && protocol == Protocol::H2C;
        // A stream of messages may be silent either way for as long as its deadline allows.
        let timed = call.body.is_some() && !headers::is_grpc(&call.parts.headers);
        let mut request = outgoing(&mut call, protocol, limit.clone());
        let kept = if repeatable { request.body_mut().keep(&self.room) } else { None };
        let upload = if shares { request.body_mut().share() } else { None };
        let slow = if timed { self.time(request.body_mut()) } else { None };

        let (awaited, heads) = (pod.pulse.sent(), pod.pulse.heads());
        let outcome = match within(first_byte, pin!(pool.send(request, repeatable && !repeated))).await {
            Some(outcome) => outcome,
            None => {
                // What its caller did not want to wait for says nothing of the pod, nor what may not have got there.
                if first_byte == own && !pool.is_crowded() {
                    self.blame(&pod, &call);
                }
                return Err(late(&call, sent, first_byte));
            }
        };
        if let Ok(response) = &outcome {
            if let Some(why) = objection(&call, protocol, response) {
                drop(awaited);
                self.blame(&pod, &call);
                return Err(Trouble::Failed(call.failure(Fault::Broken(why), Phase::Forward, false)));
            }
            awaited.answered();
            if let Some(kept) = &kept {
                kept.let_go();
            }
        } else {
            drop(awaited);
        }
        let response = match outcome {
            Ok(response) => response,
            Err(SendError::Unsent { request, cause }) => {
                self.doubt(&pod, &call, &cause, pod.pulse.heads() != heads);
                let Some(()) = restore(&mut call, *request) else {
                    let fault = Fault::Broken("it turned the request away in the middle");
                    return Err(Trouble::Failed(call.failure(fault, Phase::Forward, false)));
                };
                let cause = if matches!(cause, Refused::Closed) { Cause::Gone } else { Cause::Unsent };
                return Err(again(call, pod, cause, Fault::Unreachable));
            }
            Err(SendError::GivenUp { head }) => {
                debug!(function = %call.function.key, pod = %pod.name, "A request does not wait for its pod any longer.");
                let body = kept.map_or(Some(RequestBody::empty()), |kept| kept.take_back());
                return Err(anew(
                    call,
                    pod,
                    Some(head),
                    body,
                    deadline,
                    Cause::Lost,
                    Fault::Broken("it gave no answer"),
                ));
            }
            Err(SendError::Broken { head, error, on }) => {
                let fault = match limit.as_ref().and_then(|limit| limit.exceeded()) {
                    Some(bytes) => Fault::BodyTooLong(bytes),
                    None if slow.is_some_and(|slow| slow.is_so()) => Fault::BodyTooSlow,
                    None if error.is_caller() || upload.is_some_and(|upload| upload.is_broken()) => {
                        call.peer.unfinished()
                    }
                    None => Fault::Broken(error.describe()),
                };
                debug!(function = %call.function.key, pod = %pod.name, %error, "An exchange with a pod broke.");
                let broken = matches!(fault, Fault::Broken(_));
                let lost = broken && error.is_lost();
                if broken && (on == Connection::New || (on == Connection::Old && !lost)) {
                    self.blame(&pod, &call);
                }
                let body = kept.map_or(Some(RequestBody::empty()), |kept| kept.take_back());
                let cause = match on {
                    Connection::New => Cause::Lost,
                    Connection::Old => Cause::Stale,
                    Connection::Closed => Cause::Gone,
                };
                return Err(anew(call, pod, Some(head).filter(|_| repeatable && lost), body, deadline, cause, fault));
            }
        };
        // Set by the count layer above; a request that came another way is counted from here.
        let counted = call.counted.take().unwrap_or_else(|| Counted::new(&call.function).0);
        counted.answer();
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let function = Some(Arc::clone(&call.function));
            let switched = self.switch(call, response, grant, counted).map_err(Trouble::Failed)?;
            return Ok(Answer { function, ..Answer::warm(switched) });
        }
        let stream = call.peer.untaken.as_ref().map(|untaken| Stream::new(untaken, deadline));
        let deadline = Deadline::set(deadline);
        let held = Held { taken: grant.taken, upload, counted, deadline, stream };
        Ok(Answer::warm(incoming(response, held)))
    }

    /// Has the time of a request's body kept.
    fn time(&self, body: &mut RequestBody) -> Option<Slow> {
        let (reading, slow) = Reading::begin(self.pace)?;
        body.timed(reading);
        Some(slow)
    }

    /// A pod that a request could not reach takes no further one before the probe has passed again, unless the cause says
    /// nothing of it. `answered`: it has begun another response meanwhile.
    fn doubt(&self, pod: &Pod, call: &Call, cause: &Refused, answered: bool) {
        if !cause.is_reason_to_doubt(answered) {
            return;
        }
        if !self.blame(pod, call) {
            pod.cast_doubt();
        }
        self.metrics.unreachable();
        debug!(function = %call.function.key, pod = %pod.name, %cause, "A pod could not be reached.");
    }

    /// A request failed at the pod. One too many in a row, and the pod is left alone, if others are there.
    fn blame(&self, pod: &Pod, call: &Call) -> bool {
        let ejected = pod.pulse.failed() && call.function.eject(pod, "requests fail", Instant::now());
        if ejected {
            self.metrics.ejected(Ejection::Failures);
        }
        ejected
    }

    /// The pod goes over to another protocol: both connections become one tunnel.
    fn switch(
        &self,
        mut call: Box<Call>,
        response: Exchange,
        grant: Grant,
        counted: Counted,
    ) -> Result<Response<ResponseBody>, Box<super::fault::Failure>> {
        let (Some((_, caller)), (mut parts, PodBody::Switched(pod))) = (call.upgrade.take(), response.into_parts())
        else {
            return Err(call.failure(Fault::Broken(NOT_HTTP), Phase::Forward, false));
        };
        let protocol = parts.headers.get(UPGRADE).cloned();
        self.tunnels.join(caller, pod, (grant.taken, counted));
        headers::strip(&mut parts.headers, Sender::Pod);
        parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        if let Some(protocol) = protocol {
            parts.headers.insert(UPGRADE, protocol);
        }
        Ok(Response::from_parts(parts, ResponseBody::empty()))
    }
}

/// The request as the pod gets it.
fn outgoing(call: &mut Call, protocol: Protocol, limit: Option<Arc<BodyLimit>>) -> Box<Request<RequestBody>> {
    let (mut parts, ()) = Request::new(()).into_parts();
    std::mem::swap(&mut parts, &mut call.parts);
    // hyper's own notes on how the request came in do not belong on the way out.
    parts.extensions.clear();
    let expects = parts.headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    match protocol {
        Protocol::HTTP1 => {
            headers::for_http1(&mut parts, &call.host);
            headers::frame(&mut parts.headers, call.body.is_some());
            if let Some((protocol, _)) = &call.upgrade {
                parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
                parts.headers.insert(UPGRADE, protocol.clone());
            }
        }
        Protocol::H2C => headers::for_http2(&mut parts, &call.host),
    }
    let body = call.body.take().map_or(RequestBody::empty(), |body| body.limited(limit));
    let mut request = Box::new(Request::from_parts(parts, body));
    match protocol {
        // Said or not, the body goes out then.
        Protocol::HTTP1 if expects => request.body_mut().after(sleep(CONTINUE)),
        // HTTP/2 has no need of it, and what the pod's server makes of it is its own affair.
        Protocol::H2C => drop(request.headers_mut().remove(EXPECT)),
        Protocol::HTTP1 => {}
    }
    request
}

/// Puts a request that was not sent back together. `None` if some of its body is gone.
fn restore(call: &mut Call, request: Request<RequestBody>) -> Option<()> {
    let (head, body) = request.into_parts();
    call.parts = whole(head);
    let body = body.again()?;
    call.body = (!body.is_empty()).then_some(body);
    Some(())
}

/// A head that was made ready for one pod, and may go to one of another protocol.
fn whole(mut head: Parts) -> Parts {
    // What of these the caller said is not passed on.
    for name in [CONNECTION, UPGRADE, TRANSFER_ENCODING] {
        head.headers.remove(name);
    }
    head
}

/// Why a pod's answer is none, if it is none: it says nothing good of the pod.
fn objection(call: &Call, protocol: Protocol, response: &Exchange) -> Option<&'static str> {
    if protocol == Protocol::H2C && !http2::is_response(response.headers()) {
        return Some(NOT_HTTP);
    }
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return None;
    }
    match (&call.upgrade, response.body()) {
        (None, _) => Some("it switched protocols unasked"),
        (Some(_), PodBody::Switched(_)) => None,
        (Some(_), _) => Some(NOT_HTTP),
    }
}

fn again(call: Box<Call>, pod: Arc<Pod>, cause: Cause, fault: Fault) -> Trouble {
    Trouble::Again(Box::new(Again { call, pod, cause, fault }))
}

/// A request that a pod may have had, to be sent to another one if it is still whole. It keeps its deadline.
fn anew(
    mut call: Box<Call>,
    pod: Arc<Pod>,
    head: Option<Box<Parts>>,
    body: Option<RequestBody>,
    deadline: Instant,
    cause: Cause,
    fault: Fault,
) -> Trouble {
    let Some((head, body)) = head.zip(body) else {
        return Trouble::Failed(call.failure(fault, Phase::Forward, false));
    };
    call.parts = whole(*head);
    call.body = (!body.is_empty()).then_some(body);
    call.repeated = Some(deadline);
    again(call, pod, cause, fault)
}

fn late(call: &Call, sent: Instant, deadline: Instant) -> Trouble {
    let mut failure = call.failure(Fault::RequestDeadline, Phase::Forward, false);
    failure.limit = Some(deadline.saturating_duration_since(sent));
    Trouble::Failed(failure)
}

/// The response as the caller gets it.
fn incoming(response: Exchange, held: Held) -> Response<ResponseBody> {
    let (mut parts, body) = response.into_parts();
    headers::strip(&mut parts.headers, Sender::Pod);
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    Response::from_parts(parts, ResponseBody::pod(body, held))
}

/// Whether it does no harm if a pod has had it and another gets it too: it is idempotent (RFC 9110, section 9.2.2), and the
/// caller has heard nothing of it, as it does with a `100 Continue` or a change of the protocol.
fn is_repeatable(call: &Call) -> bool {
    let method = &call.parts.method;
    let idempotent = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE);
    idempotent && call.upgrade.is_none() && (call.body.is_none() || !call.parts.headers.contains_key(EXPECT))
}
