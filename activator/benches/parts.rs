//! The parts of the warm path that are ours alone, in this process: `cargo bench -p activator --bench parts`.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::sync::Arc;

use activator::function::{Function, Key, Spec};
use activator::hold::Entry;
use activator::index::Index;
use activator::link::Beacon;
use activator::path::count::Counted;
use activator::pods::{Pod, Target};
use activator::routes::Table;
use crds::function::Protocol;
use crds::route::Domains;
use divan::{Bencher, black_box};
use http::Method;
use serde_json::json;
use tokio::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

fn object(number: usize) -> crds::Function {
    serde_json::from_value(json!({
        "apiVersion": "rouse.dev/v1alpha1", "kind": "Function",
        "metadata": {"namespace": format!("team-{}", number % 100), "name": format!("function-{number}"),
            "uid": format!("uid-{number}")},
        "spec": {"image": "i"}, "status": {"revision": "r1"},
    }))
    .unwrap()
}

/// So many functions, each with a Trigger on a host of its own and on one that they share.
fn table(functions: usize) -> Arc<Table> {
    let table = Arc::new(Table::new(Domains { external: "localhost".into(), cluster: "cluster.local".into() }));
    let index = Index::new(Arc::clone(&table), Arc::new(Beacon::default()));
    for number in 0..functions {
        index.function_applied(&object(number));
        for (name, host, path) in [
            (format!("own-{number}"), format!("host-{number}.shop.example"), "/".to_owned()),
            (format!("shared-{number}"), "api.shop.example".to_owned(), format!("/v1/service-{number}")),
        ] {
            let trigger = json!({
                "apiVersion": "rouse.dev/v1alpha1", "kind": "Trigger",
                "metadata": {"namespace": format!("team-{}", number % 100), "name": name, "uid": name,
                    "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"functionRef": {"name": format!("function-{number}")},
                    "http": {"hosts": [host], "path": {"type": "Prefix", "value": path}}},
            });
            index.trigger_applied(&serde_json::from_value(trigger).unwrap());
        }
    }
    index.publish();
    table
}

#[divan::bench(args = [10, 1_000, 10_000], sample_size = 10_000)]
fn route_by_name(bencher: Bencher<'_, '_>, functions: usize) {
    let table = table(functions);
    let hosts: Vec<_> = (0..functions).map(|n| format!("function-{n}.team-{}", n % 100)).collect();
    let mut turn = 0;
    bencher.bench_local(|| {
        turn = (turn + 7919) % functions;
        black_box(table.find(&hosts[turn], "/", &Method::GET).unwrap())
    });
}

#[divan::bench(args = [10, 1_000, 10_000], sample_size = 10_000)]
fn route_by_trigger(bencher: Bencher<'_, '_>, functions: usize) {
    let table = table(functions);
    let hosts: Vec<_> = (0..functions).map(|n| format!("host-{n}.shop.example")).collect();
    let mut turn = 0;
    bencher.bench_local(|| {
        turn = (turn + 7919) % functions;
        black_box(table.find(&hosts[turn], "/", &Method::GET).unwrap())
    });
}

/// All on one host, told apart by their paths.
#[divan::bench(args = [10, 1_000, 10_000], sample_size = 10_000)]
fn route_by_path(bencher: Bencher<'_, '_>, functions: usize) {
    let table = table(functions);
    let paths: Vec<_> = (0..functions).map(|n| format!("/v1/service-{n}/items/7")).collect();
    let mut turn = 0;
    bencher.bench_local(|| {
        turn = (turn + 7919) % functions;
        black_box(table.find("api.shop.example", &paths[turn], &Method::GET).unwrap())
    });
}

/// A function with one pod, ready or not.
fn function(ready: bool) -> Arc<Function> {
    let function = Function::new(Key::new("shop", "hello"), "f-uid".into(), Spec::of(&object(0)));
    let pod = Pod::new("p", "p", "f-uid", "r1", false);
    pod.locate(Target { address: "127.0.0.1:1".parse().unwrap(), protocol: Protocol::HTTP1 }, Instant::now());
    if ready {
        assert!(pod.prove(&pod.pool().unwrap(), Instant::now()));
    }
    function.serving.store(Arc::new(vec![pod]));
    function
}

#[divan::bench]
fn count(bencher: Bencher<'_, '_>) {
    let function = function(true);
    bencher.bench(|| drop(black_box(Counted::new(&function))));
}

/// A slot at a ready pod, and back.
#[divan::bench]
fn pass(bencher: Bencher<'_, '_>) {
    let function = function(true);
    bencher.bench(|| drop(black_box(function.pass(|_| true).unwrap())));
}

/// Into the queue, and out of it by leaving.
#[divan::bench]
fn hold(bencher: Bencher<'_, '_>) {
    let function = function(false);
    bencher.bench(|| match function.enter(Instant::now(), false) {
        Entry::Wait { ticket, wake } => drop(black_box((ticket, wake))),
        _ => panic!("it does not wait"),
    });
}

/// Into the queue, behind a thousand others.
#[divan::bench]
fn hold_behind_a_thousand(bencher: Bencher<'_, '_>) {
    let function = function(false);
    let _others: Vec<_> = (0..999).map(|_| function.enter(Instant::now(), false)).collect();
    bencher.bench_local(|| match function.enter(Instant::now(), false) {
        Entry::Wait { ticket, wake } => drop(black_box((ticket, wake))),
        _ => panic!("it does not wait"),
    });
}

/// A thousand in the queue, a pod that becomes ready, and every one of them has its turn; for all together.
#[divan::bench]
fn release_a_thousand(bencher: Bencher<'_, '_>) {
    bencher
        .with_inputs(|| {
            let function = function(false);
            let held: Vec<_> = (0..1000).map(|_| function.enter(Instant::now(), false)).collect();
            (function, held)
        })
        .bench_values(|(function, held)| {
            let pod = Arc::clone(&function.serving.load()[0]);
            pod.prove(&pod.pool().unwrap(), Instant::now());
            function.release();
            // Each that is answered lets the next one go.
            drop(held);
        });
}
