use crds::route::Domains;
use http::Response;
use prometheus_client::encoding::text::encode;
use serde_json::json;

use super::*;
use crate::args::Limits;
use crate::hold::Places;
use crate::index::Index;
use crate::link::Beacon;
use crate::path::body::ResponseBody;
use crate::path::fault::{Failure, Fault, Phase};
use crate::routes::Table;

#[path = "../../../crates/runtime/testing/metrics_table.rs"]
mod table;

struct Scene {
    registry: Registry,
    metrics: Arc<Metrics>,
    index: Arc<Index>,
}

fn scene(series: usize) -> Scene {
    let mut registry = Registry::default();
    let metrics = Metrics::with(&mut registry, series);
    let domains = Domains { external: "localhost".into(), cluster: "cluster.local".into() };
    let index = Arc::new(Index::new(Arc::new(Table::new(domains)), Arc::new(Beacon::default())));
    let (places, callers) = (Places::new(&Limits::default()), Arc::default());
    Levels::register(&mut registry, &metrics, &index, &places, &callers);
    Scene { registry, metrics, index }
}

impl Scene {
    fn function(&self, name: &str) -> Arc<Function> {
        let object = json!({
            "apiVersion": "rouse.dev/v1alpha1", "kind": "Function",
            "metadata": {"namespace": "shop", "name": name, "uid": format!("uid-{name}")},
            "spec": {"image": "i"}, "status": {"revision": format!("{name}-3f9c2a71")},
        });
        self.index.function_applied(&serde_json::from_value(object).unwrap());
        let functions = self.index.functions();
        functions.into_iter().find(|function| *function.key.name == *name).unwrap()
    }

    /// Everything that can be counted of a function.
    fn use_up(&self, function: &Arc<Function>) {
        let (metrics, took) = (&self.metrics, Duration::from_millis(20));
        let answer =
            || Answer { function: Some(Arc::clone(function)), ..Answer::warm(Response::new(ResponseBody::empty())) };
        function.totals.begin(Duration::ZERO);
        metrics.answered(&answer(), took);
        metrics.answered(&Answer { cold: true, ..answer() }, took);
        let fault = Fault::QueueFull(Share::Function);
        let function = Some(Arc::clone(function));
        let (phase, waited) = (Phase::Hold, Duration::ZERO);
        let failure = Failure { fault, phase, function: function.clone(), waited, limit: None, cold: false };
        metrics.answered(&Answer { failure: Some(Box::new(failure)), ..answer() }, took);
        metrics.overflow(Share::Function);
        metrics.crowded();
        let now = Instant::now();
        metrics.held(&Timeline::new(now, None, crate::pods::Seen::default(), now, now), true);
        metrics.wake(function.as_ref().unwrap(), WakeResult::Ok);
        metrics.retried(function.as_ref().unwrap(), Cause::Unsent, RetryOutcome::Sent);
        metrics.ejected(Ejection::Failures);
    }

    fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        text
    }
}

#[tokio::test]
async fn every_metric_is_in_the_documentation() {
    let scene = scene(1);
    scene.use_up(&scene.function("hello"));
    table::assert_documented("The activator", &scene.registry);
}

#[tokio::test]
async fn a_function_takes_its_series_with_it() {
    let scene = scene(10);
    let function = scene.function("hello");
    assert!(!scene.text().contains("hello"), "nobody has called it");
    scene.use_up(&function);
    let line = "rouse_activator_function_requests_total{namespace=\"shop\",function=\"hello\",\
                revision=\"hello-3f9c2a71\",class=\"2xx\"} 2";
    assert!(scene.text().contains(line), "{}", scene.text());
    scene.index.functions_are(&std::collections::HashSet::new());
    assert!(!scene.text().contains("hello"));
}

#[tokio::test]
async fn what_is_scraped_is_bounded() {
    let (each, few) = (scene(1000), scene(10));
    for scene in [&each, &few] {
        let before = scene.text().len();
        for number in 0..1000 {
            scene.use_up(&scene.function(&format!("function-{number:04}")));
        }
        let after = scene.text();
        println!("{} bytes with 1,000 functions, {before} without", after.len());
    }
    // All that can be said of a function, at the names that are usual.
    assert!(each.text().len() < 1000 * 4096, "{}", each.text().len());
    assert!(few.text().len() < 10 * 4096 + 32 * 1024, "{}", few.text().len());
    let other = "rouse_activator_function_requests_total{namespace=\"_other\",function=\"_other\",revision=\"_other\"";
    assert!(few.text().contains(&format!("{other},class=\"2xx\"}} 1980")), "{}", few.text());
    assert!(few.text().contains("rouse_activator_functions_without_series 990"));
    assert!(!each.text().contains("_other\""));
}
