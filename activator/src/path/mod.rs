//! The path of a request, outermost layer first. One file a layer; what more than one of them needs lies beside them.

pub mod again;
pub mod body;
pub mod call;
pub mod count;
pub mod fault;
pub mod forward;
#[cfg(test)]
mod fuzz;
pub mod headers;
pub mod hold;
pub mod http2;
pub mod observe;
pub mod problem;
pub mod replay;
pub mod rescue;
pub mod room;
pub mod route;
pub mod target;
pub mod timing;
pub mod trace;
pub mod tracing;
mod traffic;
pub mod trail;
pub mod trailers;
pub mod tunnel;
pub mod untaken;

use std::convert::Infallible;
use std::sync::Arc;

use http::Response;
use tower::{Service, ServiceBuilder};

use self::tracing::Tracing;
use crate::args::Limits;
use crate::hold::Places;
use crate::link::Beacon;
use crate::metrics::Metrics;
use crate::routes::Table;
use crate::wake::Waker;
use body::ResponseBody;
use call::Accepted;
use tunnel::Tunnels;

/// What the layers share with the rest of the process.
#[derive(Clone)]
pub struct Parts {
    /// Where hosts and paths lead.
    pub table: Arc<Table>,
    /// Limits from the command line.
    pub limits: Arc<Limits>,
    /// Room for held requests.
    pub places: Arc<Places>,
    /// Wakes functions.
    pub waker: Waker,
    /// The way to the leader.
    pub beacon: Arc<Beacon>,
    /// Upgraded connections.
    pub tunnels: Tunnels,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Traces.
    pub tracing: Tracing,
}

/// The data path, outermost first.
pub fn build(
    parts: &Parts,
) -> impl Service<Accepted, Response = Response<ResponseBody>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
    ServiceBuilder::new()
        .layer(observe::ObserveLayer::new(&parts.metrics, &parts.tracing)) // one sample and at most one line a response
        .layer(rescue::RescueLayer::new(&parts.limits)) // the only place where a failure becomes a response
        .layer(route::RouteLayer::new(&parts.table, &parts.limits)) // host and path → function; 404, 421
        .layer(count::CountLayer { beacon: Arc::clone(&parts.beacon) }) // a guard that lives until the response's body ends
        .layer(hold::HoldLayer::new(&parts.places, &parts.waker, &parts.metrics)) // wait for a pod; one wake; deadline
        .service(forward::Forward::new(&parts.tunnels, &parts.limits, &parts.metrics)) // one pod, streaming both ways
}
