//! What is read when somebody asks: levels of the process, and the series of each function that is there.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::series::{OTHER, Rare, Seats, Series};
use super::{Class, Metrics, PREFIX};
use crate::clock;
use crate::function::totals::Snapshot;
use crate::function::{Function, Key};
use crate::hold::Places;
use crate::index::Index;
use crate::server::Callers;

/// Reads them.
#[derive(Debug)]
pub struct Levels {
    index: Arc<Index>,
    places: Arc<Places>,
    callers: Arc<Callers>,
    seats: Arc<Seats>,
}

/// One revision of one function, as of the scrape.
struct Shown<'a> {
    key: &'a Key,
    series: &'a Series,
    rare: Rare,
}

impl Shown<'_> {
    fn labels(&self) -> [(&str, &str); 3] {
        labels(self.key, &self.series.revision)
    }

    fn with<'s>(&'s self, name: &'s str, value: &'s str) -> [(&'s str, &'s str); 4] {
        let [namespace, function, revision] = self.labels();
        [namespace, function, revision, (name, value)]
    }
}

fn labels<'a>(key: &'a Key, revision: &'a str) -> [(&'a str, &'a str); 3] {
    [("namespace", &*key.namespace), ("function", &*key.name), ("revision", revision)]
}

impl Levels {
    /// Registers itself.
    pub fn register(
        registry: &mut Registry,
        metrics: &Metrics,
        index: &Arc<Index>,
        places: &Arc<Places>,
        callers: &Arc<Callers>,
    ) {
        registry.sub_registry_with_prefix(PREFIX).register_collector(Box::new(Self {
            index: Arc::clone(index),
            places: Arc::clone(places),
            callers: Arc::clone(callers),
            seats: Arc::clone(&metrics.seats),
        }));
    }

    fn process(&self, out: &mut DescriptorEncoder<'_>, functions: &[(Arc<Function>, Snapshot)]) -> fmt::Result {
        let held = self.places.used();
        let in_flight: u64 = functions.iter().map(|(_, totals)| totals.in_flight).sum();
        let connections = self.index.pods().into_iter().filter_map(|pod| pod.pool()).map(|pool| pool.connections());
        let (open, idle) = connections.fold((0, 0), |sum, each| (sum.0 + each.open, sum.1 + each.idle));
        gauge(out, "held_requests", "Requests held now", held.requests)?;
        gauge(out, "held_bytes", "Bytes of the heads of requests held now", held.bytes)?;
        gauge(out, "in_flight_requests", "Requests at pods now", in_flight)?;
        gauge(out, "connections", "Connections of callers now", self.callers.open())?;
        gauge(out, "pod_connections", "Connections to pods now, upgraded ones left out", open)?;
        gauge(out, "pod_idle_connections", "Connections to pods now that no request uses, HTTP/1 only", idle)?;
        gauge(out, "functions", "Functions that this activator knows", functions.len())?;
        let others = functions.iter().filter(|(function, totals)| totals.requests > 0 && !function.record.is_own());
        let about = "Functions that are counted under _other, being too many for series of their own";
        gauge(out, "functions_without_series", about, others.count())?;
        let accepted = ConstCounter::new(self.callers.accepted());
        let about = "Connections of callers that were accepted";
        accepted.encode(family(out, "accepted_connections", about, MetricType::Counter)?)
    }
}

impl Collector for Levels {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (out, now) = (&mut encoder, clock::now());
        let mut functions: Vec<_> = self
            .index
            .functions()
            .into_iter()
            .map(|function| (Arc::clone(&function), function.totals.read(now)))
            .collect();
        functions.sort_by(|(a, _), (b, _)| a.key.cmp(&b.key));
        self.process(out, &functions)?;

        let other = Key::new(OTHER, OTHER);
        let series: Vec<_> = functions
            .iter()
            .flat_map(|(function, _)| function.record.read(now).into_iter().map(|series| (&function.key, series)))
            .collect();
        let own = series.iter().map(|(key, series)| Shown { key, series, rare: series.rare() });
        let rest = Shown { key: &other, series: self.seats.other(), rare: self.seats.other().rare() };
        let shown: Vec<_> = own.chain([rest]).collect();

        let mut out_family = family(out, "function_requests", "Requests answered, by whomever", MetricType::Counter)?;
        for one in &shown {
            for class in Class::ALL {
                count(&mut out_family, &one.with("class", class.as_str()), one.series.requests(class))?;
            }
        }
        let about = "From a request's head to the head of its function's response";
        let mut out_family = family(out, "function_first_byte_seconds", about, MetricType::Histogram)?;
        for one in &shown {
            for (cold, histogram) in ["false", "true"].into_iter().zip(&one.series.first_byte) {
                if !histogram.is_empty() {
                    histogram.encode(out_family.encode_family(&one.with("cold", cold))?)?;
                }
            }
        }
        let about = "Requests that their function did not answer, by cause";
        let mut out_family = family(out, "function_faults", about, MetricType::Counter)?;
        for one in &shown {
            for (fault, requests) in &one.rare.faults {
                count(&mut out_family, &one.with("fault", fault), *requests)?;
            }
        }
        let mut out_family = family(out, "function_wakes", "Patches of /scale, by result", MetricType::Counter)?;
        for one in &shown {
            for (result, patches) in &one.rare.wakes {
                count(&mut out_family, &one.with("result", result.as_str()), *patches)?;
            }
        }
        let about = "Requests that were sent again";
        let mut out_family = family(out, "function_retries", about, MetricType::Counter)?;
        for one in &shown {
            count(&mut out_family, &one.labels(), one.rare.retries)?;
        }
        totals(out, &functions)
    }
}

/// What belongs to a function and not to a revision, as its waiters do.
fn totals(out: &mut DescriptorEncoder<'_>, functions: &[(Arc<Function>, Snapshot)]) -> fmt::Result {
    let own: Vec<_> = functions.iter().filter(|(function, _)| function.record.is_own()).collect();
    let mut each = |name, about, kind: MetricType, value: fn(&Snapshot) -> f64| {
        let mut family = family(out, name, about, kind)?;
        for (function, totals) in &own {
            let labels = [("namespace", &*function.key.namespace), ("function", &*function.key.name)];
            let encoder = family.encode_family(&labels)?;
            match kind {
                MetricType::Counter => ConstCounter::new(value(totals)).encode(encoder)?,
                _ => ConstGauge::new(value(totals)).encode(encoder)?,
            }
        }
        Ok(())
    };
    // The levels are small and the times are milliseconds: an f64 holds them.
    #[allow(clippy::cast_precision_loss)]
    {
        each("function_held_requests", "Requests held now", MetricType::Gauge, |totals| totals.held as f64)?;
        each("function_in_flight_requests", "Requests at pods now", MetricType::Gauge, |totals| {
            totals.in_flight as f64
        })?;
        let about = "Time that requests were held, all of them together";
        each("function_held_request_seconds", about, MetricType::Counter, |totals| totals.held_ms as f64 / 1000.0)?;
        let about = "Time that requests were at pods, to the ends of their responses, all of them together";
        each("function_in_flight_request_seconds", about, MetricType::Counter, |totals| {
            totals.in_flight_ms as f64 / 1000.0
        })
    }
}

fn family<'e>(
    out: &'e mut DescriptorEncoder<'_>,
    name: &'e str,
    about: &str,
    kind: MetricType,
) -> Result<MetricEncoder<'e>, fmt::Error> {
    out.encode_descriptor(name, about, None, kind)
}

fn gauge(out: &mut DescriptorEncoder<'_>, name: &str, about: &str, level: impl TryInto<i64>) -> fmt::Result {
    let level = ConstGauge::new(level.try_into().unwrap_or(i64::MAX));
    level.encode(family(out, name, about, MetricType::Gauge)?)
}

/// Nothing that never happened is shown: most functions have few of all these.
fn count(family: &mut MetricEncoder<'_>, labels: &[(&str, &str)], total: u64) -> fmt::Result {
    if total == 0 {
        return Ok(());
    }
    ConstCounter::new(total).encode(family.encode_family(&labels)?)
}
