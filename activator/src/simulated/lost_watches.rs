//! The API server is away, or its watches break and its lists fail.

use std::time::Duration;

use super::cluster::Lists;
use super::{ACTIVATOR, API, BRIEF, SLACK, WATCHED_AGAIN, seeds};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn cold_requests_are_held_while_the_api_server_is_away_and_served_when_it_is_back() {
    seeds(10, false, |mut net| {
        net.sim.partition(ACTIVATOR, API);
        (0..3).for_each(|_| net.callers.ask("GET", "cold", "/"));
        net.pass_with_traffic(6 * SECOND);
        assert_eq!((net.held(), net.callers.replies("cold").len()), (3, 0));
        assert!(net.cluster.lock().patches.is_empty());

        net.sim.repair(ACTIVATOR, API);
        net.until(3 * SECOND, |net| !net.cluster.lock().patches.is_empty());
        net.pod("a", "cold");
        net.until_answered(3 * SECOND, "cold", 3);
        assert!(net.callers.replies("cold").iter().all(|reply| reply.status == Some(200) && reply.body == "a"));
        net.pass(3 * SECOND);
        assert_eq!(net.cluster.lock().patches, [("cold".to_owned(), 1)]);
        assert_eq!((net.held(), net.times("GET /") - net.traffic), (0, 3));
        net.assert_traffic();
    });
}

#[test]
fn cold_requests_are_answered_in_time_when_the_api_server_stays_away() {
    seeds(2, false, |mut net| {
        net.sim.partition(ACTIVATOR, API);
        (0..3).for_each(|_| net.callers.ask("GET", "brief", "/"));
        net.pass_with_traffic(BRIEF + SLACK);
        let replies = net.callers.replies("brief");
        assert_eq!(replies.len(), 3);
        for reply in replies {
            assert_eq!(reply.status, Some(504), "{reply:?}");
            assert!((BRIEF..BRIEF + SLACK).contains(&reply.after), "{reply:?}");
        }
        assert_eq!(net.held(), 0);
        // Nothing is forgotten, however long that goes on.
        net.pass_with_traffic(WATCHED_AGAIN);
        assert_eq!(net.known(), ["w".to_owned()].into());
        net.assert_traffic();

        net.sim.repair(ACTIVATOR, API);
        net.pod("a", "brief");
        net.until(2 * WATCHED_AGAIN, |net| net.ready("a"));
        net.callers.forget();
        net.callers.ask("GET", "brief", "/");
        net.until_answered(SLACK, "brief", 1);
        assert_eq!(net.callers.statuses("brief"), [Some(200)]);
    });
}

#[test]
fn a_pod_of_which_the_news_was_lost_serves_once_the_watch_has_been_given_up() {
    seeds(2, false, |mut net| {
        net.callers.ask("GET", "cold", "/");
        net.until(SLACK, |net| !net.cluster.lock().patches.is_empty());
        net.pass(SLACK);
        net.sim.partition(ACTIVATOR, API);
        net.pod("a", "cold");
        net.pass_with_traffic(5 * SECOND);
        net.sim.repair(ACTIVATOR, API);
        assert_eq!(net.held(), 1);
        net.until_answered(WATCHED_AGAIN, "cold", 1);
        assert_eq!(net.callers.statuses("cold"), [Some(200)]);
        net.pass_with_traffic(SLACK);
        net.assert_traffic();
        assert_eq!(net.known(), ["a".to_owned(), "w".to_owned()].into());
    });
}

#[test]
fn a_watch_that_breaks_goes_on_where_it_was() {
    seeds(10, false, |mut net| {
        let listed = net.cluster.lock().listed;
        net.sim.hold(ACTIVATOR, API);
        net.cluster.cut();
        // One comes and goes meanwhile, another comes and stays.
        net.pod("a", "warm");
        net.cluster.delete("pods", "a");
        net.pod("b", "warm");
        net.pass_with_traffic(SECOND);
        assert_eq!(net.known(), ["w".to_owned()].into());
        net.sim.release(ACTIVATOR, API);
        net.until(5 * SECOND, |net| net.ready("b"));
        assert_eq!(net.known(), ["b".to_owned(), "w".to_owned()].into());
        net.pod("c", "warm");
        net.until(SLACK, |net| net.ready("c"));
        assert_eq!(net.cluster.lock().listed, listed, "nothing had to be listed again");
        net.assert_traffic();
    });
}

#[test]
fn a_watch_that_cannot_go_on_begins_with_a_list() {
    seeds(10, false, |mut net| {
        net.pod("a", "warm");
        net.until(SLACK, |net| net.ready("a"));
        net.sim.hold(ACTIVATOR, API);
        net.cluster.cut();
        net.cluster.delete("pods", "w");
        net.pod("b", "warm");
        net.pod("c", "cold");
        net.cluster.delete("pods", "c");
        net.cluster.compact();
        net.pass_with_traffic(SECOND);
        assert_eq!(net.known(), ["a".to_owned(), "w".to_owned()].into());
        net.sim.release(ACTIVATOR, API);
        net.until(5 * SECOND, |net| net.ready("b") && !net.known().contains("w"));
        assert_eq!(net.known(), ["a".to_owned(), "b".to_owned()].into());
        net.callers.ask("GET", "cold", "/");
        net.until(SLACK, |net| !net.cluster.lock().patches.is_empty());
        net.pass_with_traffic(SECOND);
        net.assert_traffic();
    });
}

#[test]
fn lists_that_fail_make_nothing_forgotten() {
    seeds(3, false, |mut net| {
        let listed = net.cluster.lock().listed;
        for lists in [Lists::Failed, Lists::Torn] {
            net.cluster.lock().lists = lists;
            net.cluster.compact();
            net.cluster.cut();
            net.pass_with_traffic(10 * SECOND);
            assert_eq!(net.known(), ["w".to_owned()].into());
            assert!(net.cluster.lock().listed > listed);
            net.callers.ask("GET", "cold", "/");
            net.pass_with_traffic(SECOND);
        }
        // What it takes to wake is known too.
        assert_eq!(net.cluster.lock().patches.first(), Some(&("cold".to_owned(), 1)));
        assert_eq!(net.held(), 2);
        net.pod("a", "cold");
        net.pod("b", "warm");
        net.cluster.delete("pods", "w");
        net.cluster.lock().lists = Lists::Well;
        // The longest pause between two attempts.
        net.until(25 * SECOND, |net| net.ready("a") && net.ready("b") && !net.known().contains("w"));
        net.until_answered(SLACK, "cold", 2);
        assert_eq!(net.callers.statuses("cold"), [Some(200); 2]);
        net.pass_with_traffic(SECOND);
        net.assert_traffic();
        assert!(net.asked.lock().unwrap().iter().any(|(pod, _)| *pod == "b"));
    });
}

/// Nothing runs, and nothing was missed: an empty list is as it should be.
#[test]
fn an_empty_list_after_the_last_pod_went_is_believed_at_once() {
    seeds(3, false, |mut net| {
        net.cluster.delete("pods", "w");
        net.until(SLACK, |net| net.known().is_empty());
        let listed = net.cluster.lock().listed;
        net.cluster.compact();
        net.cluster.cut();
        net.until(SECOND, |net| net.cluster.lock().listed > listed);
        net.callers.ask("GET", "cold", "/");
        net.until(SLACK, |net| !net.cluster.lock().patches.is_empty());
        net.pod("a", "cold");
        net.until_answered(SECOND, "cold", 1);
        assert_eq!(net.callers.statuses("cold"), [Some(200)]);
    });
}

#[test]
fn an_empty_list_is_believed_when_the_next_one_is_empty_too() {
    seeds(3, false, |mut net| {
        let listed = net.cluster.lock().listed;
        net.cluster.lock().lists = Lists::Empty;
        net.cluster.compact();
        net.cluster.cut();
        net.pass_with_traffic(3 * SECOND);
        // Each kind once, but for Triggers: there are none to be forgotten, so it goes on watching.
        assert_eq!(net.cluster.lock().listed, listed + 4);
        assert_eq!(net.known(), ["w".to_owned()].into());
        net.cluster.lock().lists = Lists::Well;
        net.pod("b", "warm");
        net.until(10 * SECOND, |net| net.ready("b"));
        net.pass_with_traffic(SECOND);
        net.assert_traffic();
        assert_eq!(net.known(), ["b".to_owned(), "w".to_owned()].into());

        net.cluster.lock().lists = Lists::Empty;
        net.cluster.compact();
        net.cluster.cut();
        net.until(15 * SECOND, |net| net.known().is_empty());
        net.callers.forget();
        net.callers.ask("GET", "warm", "/");
        net.until_answered(SLACK, "warm", 1);
        assert_eq!(net.callers.statuses("warm"), [Some(404)]);
    });
}
