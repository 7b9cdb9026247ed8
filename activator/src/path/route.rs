//! Host and path to a function.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::{Either, Ready, ready};
use http::{HeaderValue, Request};
use http_body::Body as _;
use tower::{Layer, Service};

use super::body::RequestBody;
use super::call::{Answer, Arrival, Call, caller_deadline};
use super::fault::{Failure, Fault};
use super::headers::{self, Sender};
use crate::args::Limits;
use crate::routes::Table;

/// Makes [`Route`].
#[derive(Clone, Debug)]
pub struct RouteLayer {
    table: Arc<Table>,
    limits: Arc<Limits>,
}

impl RouteLayer {
    /// Routes by `table`; refuses heads beyond `limits`.
    pub fn new(table: &Arc<Table>, limits: &Arc<Limits>) -> Self {
        Self { table: Arc::clone(table), limits: Arc::clone(limits) }
    }
}

impl<S> Layer<S> for RouteLayer {
    type Service = Route<S>;

    fn layer(&self, inner: S) -> Route<S> {
        Route { inner, table: Arc::clone(&self.table), limits: Arc::clone(&self.limits) }
    }
}

/// Checks a head, finds its function, and makes the head ready to be passed on.
#[derive(Clone, Debug)]
pub struct Route<S> {
    inner: S,
    table: Arc<Table>,
    limits: Arc<Limits>,
}

impl<S> Route<S> {
    fn find(&self, arrival: Arrival) -> Result<Box<Call>, Fault> {
        let Arrival { parts, body, peer, arrived, grpc, refused, received, .. } = arrival;
        if let Some(fault) = refused {
            return Err(fault);
        }
        let authority = headers::authority(&parts, &self.limits)?;
        let host = HeaderValue::from_str(authority).map_err(|_| Fault::Malformed("Host is not valid"))?;
        let function = self.table.find(authority, parts.uri.path(), &parts.method)?;
        let timeout = grpc.then(|| headers::grpc_timeout(&parts.headers)).flatten();
        // An upgrade behind a body is none: what comes next on the connection would depend on who reads it.
        let protocol = headers::upgrade(&parts).filter(|_| body.is_end_stream());
        let mut request = Request::from_parts(parts, ());
        let upgrade = protocol.map(|protocol| (protocol, hyper::upgrade::on(&mut request)));
        let (mut parts, ()) = request.into_parts();
        headers::strip(&mut parts.headers, Sender::Caller);
        headers::set_forwarded(&mut parts.headers, &peer.by, &host);
        Ok(Box::new(Call {
            parts,
            body: (!body.is_end_stream()).then(|| RequestBody::new(body, peer.http2).counted_by(received)),
            host,
            upgrade,
            peer,
            arrived,
            caller_deadline: caller_deadline(arrived, timeout),
            function,
            counted: None,
            repeated: None,
        }))
    }
}

impl<S> Service<Arrival> for Route<S>
where
    S: Service<Box<Call>, Response = Answer, Error = Box<Failure>>,
{
    type Response = Answer;
    type Error = Box<Failure>;
    type Future = Either<S::Future, Ready<Result<Answer, Box<Failure>>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Box<Failure>>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, arrival: Arrival) -> Self::Future {
        let arrived = arrival.arrived;
        match self.find(arrival) {
            Ok(call) => Either::Left(self.inner.call(call)),
            Err(fault) => {
                let mut failure = Failure::route(fault);
                failure.waited = arrived.elapsed();
                Either::Right(ready(Err(failure)))
            }
        }
    }
}
