use std::time::Duration;

use kube::runtime::reflector;

use super::*;
use crate::metrics::{ApiWrite, Kind, Outcome as Pass};

#[path = "../../../../crates/runtime/testing/metrics_table.rs"]
mod table;

#[test]
fn every_metric_is_in_the_documentation() {
    let mut registry = Registry::default();
    let passes = crate::metrics::Metrics::default();
    passes.register(&mut registry, reflector::store().0);
    passes.pass(Kind::Function, Pass::Done, Duration::ZERO);
    passes.wrote(ApiWrite::Apply);
    let scaling = Metrics::register(&mut registry);
    scaling.wrote(0, Way::Down, Outcome::Done);
    scaling.resized(&Resized::Done);
    scaling.decided(&Because::Spec { from: 1 });
    scaling.ended(Why::Idle, End::Gone);
    table::assert_documented("The operator", &registry);
}
