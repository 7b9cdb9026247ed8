//! What is counted of the link.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use super::activator::Added;

/// The link's metrics. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Streams that are open.
    pub streams: Gauge,
    /// Activators whose word holds.
    pub known: Gauge,
    /// Activators that count and are not heard.
    pub unknown: Gauge,
    /// Reports taken.
    pub reports: Counter,
    /// Reports that could not be right; each closed its stream.
    pub violations: Counter,
    /// Streams refused for want of a valid token.
    pub refused: Counter,
    /// Messages with orders sent.
    pub orders: Counter,
    requests: Counter,
    in_flight_seconds: Counter<f64, std::sync::atomic::AtomicU64>,
    held_seconds: Counter<f64, std::sync::atomic::AtomicU64>,
}

impl Metrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self::default();
        registry.register("rouse_link_streams", "Streams of activators that are open", this.streams.clone());
        registry.register("rouse_activators_known", "Activators that are heard", this.known.clone());
        registry.register("rouse_activators_unknown", "Activators that count and are not heard", this.unknown.clone());
        registry.register("rouse_link_reports", "Reports of activators", this.reports.clone());
        registry.register("rouse_link_violations", "Reports that could not be right", this.violations.clone());
        registry.register("rouse_link_refused", "Streams refused for want of a valid token", this.refused.clone());
        registry.register("rouse_link_orders", "Messages with orders sent", this.orders.clone());
        registry.register("rouse_reported_requests", "Requests that activators reported", this.requests.clone());
        registry.register(
            "rouse_reported_in_flight_request_seconds",
            "Integral over time of the requests in flight that activators reported",
            this.in_flight_seconds.clone(),
        );
        registry.register(
            "rouse_reported_held_request_seconds",
            "Integral over time of the held requests that activators reported",
            this.held_seconds.clone(),
        );
        this
    }

    /// What was counted so.
    #[cfg(test)]
    pub(crate) fn added(&self) -> Added {
        let milliseconds = |seconds: f64| (seconds * 1000.0).round() as u64;
        Added {
            requests: self.requests.get(),
            in_flight_request_ms: milliseconds(self.in_flight_seconds.get()),
            held_request_ms: milliseconds(self.held_seconds.get()),
        }
    }

    /// Counts what a report added for one Function.
    pub fn add(&self, added: &Added) {
        self.requests.inc_by(added.requests);
        self.in_flight_seconds.inc_by(seconds(added.in_flight_request_ms));
        self.held_seconds.inc_by(seconds(added.held_request_ms));
    }
}

fn seconds(milliseconds: u64) -> f64 {
    std::time::Duration::from_millis(milliseconds).as_secs_f64()
}
