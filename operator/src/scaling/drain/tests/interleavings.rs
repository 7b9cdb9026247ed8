//! Any order of everything that can happen.

use proptest::prelude::*;

use super::*;

/// A random life of one function with two activators, against a small model of the API server.
#[derive(Clone, Debug)]
enum Event {
    Step,
    Wait(u64),
    Ack(usize),
    /// An activator says nothing from now on.
    Silence(usize),
    /// A request arrives at an activator: it is held there (and reported), and the function is wanted.
    Request(usize),
    /// All requests end; the function is idle again.
    Quiet,
    /// The API server answers what is open; the flag: with a conflict-free world or not.
    Answer,
    /// An activator raises.
    Wake,
    /// The store catches up with the API server.
    Sync,
    /// The ReplicaSet controller makes pods what they should be.
    Reconcile,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => Just(Event::Step),
        3 => (1_u64..700).prop_map(Event::Wait),
        6 => (0_usize..2).prop_map(Event::Ack),
        1 => (0_usize..2).prop_map(Event::Silence),
        1 => (0_usize..2).prop_map(Event::Request),
        2 => Just(Event::Quiet),
        5 => Just(Event::Answer),
        1 => Just(Event::Wake),
        4 => Just(Event::Sync),
        2 => Just(Event::Reconcile),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn over_any_interleaving_only_what_everybody_let_go_is_lowered(
        events in prop::collection::vec(event(), 1..200),
    ) {
        let mut bench = Bench::new();
        // The API server.
        let (mut version, mut generation, mut replicas) = (10_u64, 1_i64, 1_i32);
        let mut pods: BTreeSet<String> = set(&["p0"]);
        let mut made = 1;
        // The store, and the load.
        let mut seen = revision("f", replicas, generation, &["p0"]);
        let (mut held, mut requests) = ([0_u32; 2], [0_u64; 2]);
        let mut busy = false;
        // What is open at the API server, with the number of wakes when the version was read.
        let mut open: Vec<(Step, i32)> = Vec::new();
        let mut wakes = 0;
        for event in events {
            match event {
                Event::Wait(milliseconds) => bench.wait(milliseconds),
                Event::Ack(index) if bench.drains.order().is_some() => bench.ack(index, held[index], 0, requests[index]),
                Event::Ack(_) => {}
                Event::Silence(index) => bench.acks.given[index] = None,
                Event::Request(index) => {
                    held[index] += 1;
                    requests[index] += 1;
                    busy = true;
                }
                Event::Quiet => {
                    held = [0; 2];
                    busy = false;
                }
                Event::Wake => {
                    replicas += 1;
                    generation += 1;
                    version += 1;
                    wakes += 1;
                }
                Event::Reconcile => {
                    if replicas == 0 {
                        pods.clear();
                    }
                    while pods.len() < usize::try_from(replicas).unwrap() {
                        pods.insert(format!("p{made}"));
                        made += 1;
                    }
                }
                Event::Sync => {
                    seen.replicas = replicas;
                    seen.generation = generation;
                    seen.version = version.to_string();
                    seen.pods.clone_from(&pods);
                }
                Event::Step => {
                    let why = (!busy).then_some(Why::Idle);
                    let steps = bench.step(&[(&seen, why)]);
                    for (_, step) in steps {
                        if step == Step::Read {
                            open.push((step, 0));
                        }
                    }
                }
                Event::Answer => {
                    let Some((step, wakes_at_read)) = open.pop() else { continue };
                    match step {
                        Step::Read => {
                            // The scaler looks at the Function before it takes an answer.
                            let why = (!busy).then_some(Why::Idle);
                            let again = bench.step(&[(&seen, why)]);
                            open.extend(again.into_iter().filter(|(_, step)| *step == Step::Read).map(|(_, step)| (step, 0)));
                            let step = bench.read("f", Ok(current(version, generation, replicas)));
                            let Some(lower) = step else { continue };
                            // The heart of it: at the moment of the write, everybody has let go of exactly these pods.
                            let order = bench.drains.order().unwrap().clone();
                            prop_assert!(seen.pods.is_subset(&order.pods));
                            for ack in &bench.acks.given {
                                let ack = ack.unwrap();
                                prop_assert_eq!((ack.epoch, ack.order, ack.held, ack.in_flight), (EPOCH, order.id, 0, 0));
                                prop_assert!(bench.now - ack.at <= FRESH);
                            }
                            open.push((lower, wakes));
                        }
                        Step::Lower { version: of, .. } => {
                            if of == version.to_string() {
                                // A wake since the read has changed the version, so it is never undone.
                                prop_assert_eq!(wakes_at_read, wakes);
                                replicas = 0;
                                generation += 1;
                                version += 1;
                                bench.written("f", Outcome::Done);
                            } else {
                                bench.written("f", Outcome::Conflict);
                            }
                        }
                        Step::Ended(..) | Step::Mark(_) => {}
                    }
                }
            }
            // An order exists exactly while something is on its way, and never names a pod that was made after a wake.
            prop_assert!(bench.drains.order().is_none() || !bench.drains.is_empty());
        }
        // From any state, with everybody calm and heard, it ends at zero with nothing on its way.
        held = [0; 2];
        for _ in 0..60 {
            bench.wait(500);
            if replicas == 0 {
                pods.clear();
            }
            seen = Revision { replicas, generation, version: version.to_string(), pods: pods.clone(), ..seen };
            for (step, _) in std::mem::take(&mut open) {
                match step {
                    Step::Read => {
                        if let Some(lower) = bench.read("f", Ok(current(version, generation, replicas))) {
                            open.push((lower, wakes));
                        }
                    }
                    Step::Lower { version: of, .. } if of == version.to_string() => {
                        (replicas, generation, version) = (0, generation + 1, version + 1);
                        bench.written("f", Outcome::Done);
                    }
                    Step::Lower { .. } => {
                        bench.written("f", Outcome::Conflict);
                    }
                    Step::Ended(..) | Step::Mark(_) => {}
                }
            }
            for (_, step) in bench.step(&[(&seen, Some(Why::Idle))]) {
                open.push((step, wakes));
            }
            if bench.drains.order().is_some() {
                for index in 0..2 {
                    bench.ack(index, held[index], 0, requests[index]);
                }
            }
        }
        prop_assert_eq!(replicas, 0);
        prop_assert!(bench.drains.is_empty() && bench.drains.order().is_none());
    }
}
