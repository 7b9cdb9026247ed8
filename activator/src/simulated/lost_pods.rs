//! A pod goes while requests are at it.

use std::time::Duration;

use super::{ACTIVATOR, Net, SLACK, seeds};

/// A connection over HTTP/2 on which nothing comes back is given up: ten seconds to the ping, and five for its answer.
const GIVEN_UP: Duration = Duration::from_secs(15);

/// A GET and a POST are at `w`, which will answer neither; then there is another pod.
fn two_at_one_pod(net: &mut Net) {
    for method in ["GET", "POST"] {
        net.callers.ask(method, "warm", "/once");
    }
    net.until(SLACK, |net| net.times("GET /once") + net.times("POST /once") == 2);
    net.pod("a", "warm");
    net.until(SLACK, |net| net.ready("a"));
}

/// The GET is answered by `a`, the POST was sent to nobody else.
fn assert_only_the_get_went_on(net: &Net) {
    let mut replies = net.callers.replies("warm");
    replies.retain(|reply| reply.status != Some(200) || reply.body != "a");
    assert_eq!(replies.iter().map(|reply| reply.status).collect::<Vec<_>>(), [Some(502)]);
    assert_eq!((net.times("GET /once"), net.times("POST /once")), (2, 1));
}

#[test]
fn a_pod_that_is_cut_off_loses_no_request_that_may_be_repeated() {
    seeds(10, true, |mut net| {
        two_at_one_pod(&mut net);
        net.sim.partition(ACTIVATOR, "w");
        net.until_answered(GIVEN_UP + 2 * SLACK, "warm", 2);
        assert_only_the_get_went_on(&net);
        let before = net.callers.replies("warm").len();
        for _ in 0..10 {
            net.callers.ask("POST", "warm", "/");
            net.pass(SLACK / 10);
        }
        // The pod is known to be gone to whoever comes now.
        net.until_answered(SLACK, "warm", before + 10);
        assert_only_the_get_went_on(&net);
    });
}

#[test]
fn a_pod_that_ends_loses_no_request_that_may_be_repeated() {
    seeds(10, false, |mut net| {
        two_at_one_pod(&mut net);
        net.sim.crash("w");
        net.until_answered(3 * SLACK, "warm", 2);
        assert_only_the_get_went_on(&net);
    });
}
