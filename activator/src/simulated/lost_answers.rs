//! A wake that the API server does, and of which its answer does not come.

use std::time::Duration;

use super::{ACTIVATOR, API, SLACK, WATCHED_AGAIN, seeds};

#[test]
fn a_wake_of_which_only_the_answer_is_lost_is_not_repeated() {
    seeds(10, false, |mut net| {
        net.cluster.lock().mute = true;
        (0..3).for_each(|_| net.callers.ask("GET", "cold", "/"));
        net.pass(5 * SLACK);
        // The watch says what the answer would have said.
        assert_eq!(net.cluster.lock().patches, [("cold".to_owned(), 1)]);
        net.pod("a", "cold");
        net.until_answered(SLACK, "cold", 3);
        assert_eq!(net.callers.statuses("cold"), [Some(200); 3]);
        assert_eq!((net.times("GET /"), net.held()), (3, 0));
    });
}

#[test]
fn a_wake_of_which_nothing_is_heard_is_repeated_and_changes_nothing() {
    seeds(3, false, |mut net| {
        net.callers.ask("GET", "cold", "/");
        net.sim.partition_oneway(API, ACTIVATOR);
        net.pass_with_traffic(Duration::from_secs(4));
        net.sim.repair_oneway(API, ACTIVATOR);
        net.until(3 * SLACK, |net| !net.cluster.lock().patches.is_empty());
        net.pass(3 * SLACK);
        let patches = net.cluster.lock().patches.clone();
        assert!(patches.len() <= 5 && patches.iter().all(|patch| *patch == ("cold".to_owned(), 1)), "{patches:?}");
        net.pod("a", "cold");
        net.until_answered(WATCHED_AGAIN, "cold", 1);
        assert_eq!(net.callers.statuses("cold"), [Some(200)]);
        assert_eq!(net.times("GET /") - net.traffic, 1);
        net.assert_traffic();
    });
}
