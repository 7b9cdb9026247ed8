use link::v1::Hello;
use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn hello(boot: &str, clock_ms: u64) -> Report {
    let hello = Hello { boot_id: boot.into(), pod_name: "a".into(), pod_uid: "ua".into(), version: "1".into() };
    Report { hello: Some(hello), sequence: 1, clock_ms, ..Report::default() }
}

fn report(sequence: u64, clock_ms: u64) -> Report {
    Report { sequence, clock_ms, ..Report::default() }
}

fn count(uid: &str, requests: u64, in_flight: u32, held: u32, idle_ms: u64) -> FunctionCount {
    FunctionCount {
        uid: uid.into(),
        requests,
        in_flight_request_ms: requests * 10,
        held_request_ms: requests,
        in_flight,
        held,
        idle_ms,
        ..FunctionCount::default()
    }
}

fn pod(uid: &str, ready: bool) -> PodState {
    PodState { uid: uid.into(), function_uid: "f".into(), revision: "f-1".into(), ready, ..PodState::default() }
}

fn ack(epoch: u64, order: u64) -> Acknowledgement {
    Acknowledgement { epoch, function_uid: "f".into(), order, requests: 3, ..Acknowledgement::default() }
}

fn span(changes: &Changes) -> Duration {
    let (from, until) = changes.interval.unwrap();
    until - from
}

fn all_requests(changes: &Changes) -> u64 {
    changes.added.values().map(|added| added.requests).sum()
}

fn attached(now: Instant) -> Activator {
    Activator::attach(None, hello("b1", 100_000), now).unwrap().0
}

#[test]
fn a_stream_begins_with_a_hello_and_has_no_second() {
    let now = Instant::now();
    let first = Report { hello: None, ..hello("b1", 0) };
    assert_eq!(Activator::attach(None, first, now).unwrap_err(), Violation::NoHello);
    assert_eq!(Activator::attach(None, hello("", 0), now).unwrap_err(), Violation::Name);
    let second = Report { sequence: 2, ..hello("b1", 100_000) };
    assert_eq!(attached(now).report(second, now).unwrap_err(), Violation::SecondHello);
}

#[test]
fn a_gap_a_repetition_and_a_late_report_are_violations() {
    let now = Instant::now();
    for got in [0, 1, 3] {
        let violation = attached(now).report(report(got, 100_000), now).unwrap_err();
        assert_eq!(violation, Violation::Sequence { expected: 2, got });
    }
    let late = Report { sequence: 7, ..hello("b1", 0) };
    assert_eq!(Activator::attach(None, late, now).unwrap_err(), Violation::Sequence { expected: 1, got: 7 });
    assert!(attached(now).report(report(2, 100_000), now).is_ok());
}

#[test]
fn a_clock_that_goes_back_is_a_violation_within_a_boot() {
    let now = Instant::now();
    assert_eq!(attached(now).report(report(2, 99_999), now).unwrap_err(), Violation::Clock);
    assert_eq!(Activator::attach(Some(attached(now)), hello("b1", 99_999), now).unwrap_err(), Violation::Clock);
    assert!(Activator::attach(Some(attached(now)), hello("b2", 0), now).is_ok());
}

#[test]
fn intervals_follow_upon_each_other_however_long_a_report_takes() {
    let start = Instant::now() + 1000 * SECOND;
    let ms = Duration::from_millis;
    let (mut activator, changes) = Activator::attach(None, hello("b1", 100_000), start + ms(9)).unwrap();
    assert_eq!(changes.interval.unwrap().1, start + ms(9), "all that is known yet");
    let mut until = None;
    // Each a second after the one before by the sender's clock; the second comes 9 ms faster, the third 40 ms late.
    for (sequence, late) in [(2, 0), (3, 40), (4, 3)] {
        let clock = 100_000 + 1000 * (sequence - 1);
        let now = start + ms(1000 * (sequence - 1) + late);
        let (from, to) = activator.report(report(sequence, clock), now).unwrap().interval.unwrap();
        assert_eq!(to - from, SECOND);
        assert!(to <= now && until.is_none_or(|until: Instant| from - until <= ms(1)), "{sequence}");
        assert_eq!(activator.said("f", now).unwrap().at, to);
        until = Some(to);
    }
    // A clock that loses one part in a thousand is followed.
    assert!(until.unwrap() >= start + ms(3000));
}

#[test]
fn what_a_new_leader_finds_is_where_it_counts_from() {
    let now = Instant::now();
    let mut first = hello("b1", 100_000);
    first.functions = vec![count("f", 500, 0, 0, 7000)];
    let (mut activator, changes) = Activator::attach(None, first, now).unwrap();
    assert_eq!((changes.added.len(), span(&changes)), (0, 100 * SECOND));
    // A function that appears later had nothing before.
    let more = Report { functions: vec![count("f", 503, 1, 0, 0), count("g", 2, 0, 0, 0)], ..report(2, 100_100) };
    let changes = activator.report(more, now).unwrap();
    assert_eq!(changes.added["f"], Added { in_flight_request_ms: 30, held_request_ms: 3, requests: 3 });
    assert_eq!(changes.added["g"], Added { in_flight_request_ms: 20, held_request_ms: 2, requests: 2 });
    assert_eq!(span(&changes), SECOND / 10, "since the report before");
    // Attaching again in the same boot counts on; so does what arrived in between.
    let mut again = hello("b1", 100_200);
    again.functions = vec![count("f", 504, 0, 0, 10), count("g", 2, 0, 0, 50), count("h", 4, 0, 0, 10)];
    let (activator, changes) = Activator::attach(Some(activator), again, now).unwrap();
    assert_eq!(all_requests(&changes), 1 + 4);
    assert_eq!(span(&changes), SECOND / 10, "whatever the number of streams");
    // A boot that began under this leader is counted from its start.
    let mut reborn = hello("b2", 300);
    reborn.functions = vec![count("f", 6, 0, 0, 10)];
    let (_, changes) = Activator::attach(Some(activator), reborn, now).unwrap();
    assert_eq!((all_requests(&changes), span(&changes)), (6, Duration::from_millis(300)), "since it started");
}

#[test]
fn a_total_that_shrinks_is_a_violation() {
    let now = Instant::now();
    let mut first = hello("b1", 0);
    first.functions = vec![count("f", 500, 0, 0, 7000)];
    let (mut activator, _) = Activator::attach(None, first, now).unwrap();
    let less = Report { functions: vec![count("f", 499, 0, 0, 0)], ..report(2, 100) };
    assert_eq!(activator.report(less.clone(), now).unwrap_err(), Violation::Regression("f".into()));
    let again = Report { functions: less.functions, ..hello("b1", 100) };
    assert_eq!(Activator::attach(Some(activator), again, now).unwrap_err(), Violation::Regression("f".into()));
}

#[test]
fn quiet_is_told_by_the_sender_and_never_before_its_start() {
    let now = Instant::now();
    let mut first = hello("b1", 100_000);
    first.functions = vec![
        count("busy", 9, 1, 0, 0),
        count("held", 9, 0, 1, 0),
        count("quiet", 9, 0, 0, 7000),
        count("liar", 9, 0, 0, 900_000),
    ];
    let (activator, _) = Activator::attach(None, first, now).unwrap();
    assert_eq!(activator.seen("busy", now), Seen::Busy);
    assert_eq!(activator.seen("held", now), Seen::Busy);
    assert_eq!(activator.seen("quiet", now), Seen::Quiet(now - 7 * SECOND));
    assert_eq!(activator.seen("liar", now), Seen::Quiet(now - 100 * SECOND));
    assert_eq!(activator.seen("never named", now), Seen::Quiet(now - 100 * SECOND));
}

#[test]
fn silence_and_a_closed_stream_make_it_unknown() {
    let now = Instant::now();
    let mut activator = attached(now);
    let quiet = Seen::Quiet(now - 100 * SECOND);
    assert_eq!(activator.seen("f", now + UNKNOWN_AFTER - Duration::from_millis(1)), quiet);
    assert_eq!(activator.seen("f", now + UNKNOWN_AFTER), Seen::Unknown);
    // A heartbeat with no news says that nothing has changed.
    activator.report(report(2, 102_900), now + Duration::from_millis(2900)).unwrap();
    assert_eq!(activator.seen("f", now + 5 * SECOND), quiet);
    activator.detach();
    assert_eq!(activator.seen("f", now + 3 * SECOND), Seen::Unknown);
    assert!(activator.ack("f").is_none());
}

#[test]
fn an_acknowledgement_is_as_old_as_the_order_that_it_answers_to() {
    let begun = Instant::now();
    let (mut activator, arrives) = (attached(begun), begun + 9 * SECOND);
    let said = Acknowledgement { issued_ms: 4_000, ..ack(3, 8) };
    activator.report(Report { acknowledgements: vec![said], ..report(2, 100_000) }, arrives).unwrap();
    let ack = *activator.ack("f").unwrap();
    assert_eq!((ack.at, ack.as_of(begun).at), (arrives, begun + 4 * SECOND));
    let early = Ack { issued: 10 * SECOND, ..ack };
    assert_eq!(early.as_of(begun).at, arrives, "never newer than its arrival");
}

#[test]
fn pods_and_acknowledgements_are_kept_until_they_are_gone() {
    let now = Instant::now();
    let mut activator = attached(now);
    let more = Report { pods: vec![pod("p", true)], acknowledgements: vec![ack(3, 8)], ..report(2, 100_000) };
    let changes = activator.report(more, now).unwrap();
    assert_eq!(changes.readiness, BTreeSet::from(["f".to_owned()]));
    assert!(activator.pod("p").unwrap().ready);
    assert_eq!((activator.ack("f").unwrap().epoch, activator.ack("f").unwrap().order), (3, 8));
    let drained = PodState { drained: true, ..pod("p", true) };
    let changes = activator.report(Report { pods: vec![drained], ..report(3, 100_000) }, now).unwrap();
    assert!(activator.ack("f").is_none(), "an order that a report leaves out is in force no longer");
    assert!(changes.readiness.is_empty() && activator.pod("p").unwrap().drained);
    let gone = PodState { gone: true, ..pod("p", true) };
    let changes = activator.report(Report { pods: vec![gone], ..report(4, 100_000) }, now).unwrap();
    assert_eq!(changes.readiness.len(), 1);
    assert!(activator.pod("p").is_none());
    // A new stream's first report is a full account.
    let (activator, _) = Activator::attach(Some(activator), hello("b1", 100_000), now).unwrap();
    assert!(activator.ack("f").is_none());
}

#[test]
fn more_than_any_activator_can_have_is_refused() {
    let now = Instant::now();
    let functions = (0..=limits::FUNCTIONS).map(|n| count(&n.to_string(), 0, 0, 0, 0)).collect();
    let flood = Report { functions, ..report(2, 100_000) };
    assert!(matches!(attached(now).report(flood, now), Err(Violation::TooMany { .. })));
    let mut activator = attached(now);
    for sequence in 2..=3 {
        let pods = (0..=limits::PODS / 2).map(|n| pod(&format!("{sequence}-{n}"), true)).collect();
        let outcome = activator.report(Report { pods, ..report(sequence, 100_000) }, now);
        assert_eq!(outcome.is_err(), sequence == 3, "all reports together count");
    }
    let long = count(&"x".repeat(254), 0, 0, 0, 0);
    let outcome = attached(now).report(Report { functions: vec![long], ..report(2, 100_000) }, now);
    assert_eq!(outcome.unwrap_err(), Violation::Name);
}

proptest! {
    /// Whatever is reported in whatever streams and boots: nothing is ever counted twice, and what is added up never
    /// exceeds the requests that there were.
    #[test]
    fn added_requests_never_exceed_those_that_came(
        events in prop::collection::vec((0_u8..10, 0_u64..5), 1..60),
    ) {
        let mut now = Instant::now();
        let (mut boot, mut clock, mut total, mut sequence) = (0, 1000, 100, 1);
        let first = Report { functions: vec![count("f", total, 0, 0, 0)], ..hello("0", clock) };
        let (mut activator, changes) = Activator::attach(None, first, now).unwrap();
        let mut added = all_requests(&changes);
        let mut came = 0;
        for (event, requests) in events {
            now += SECOND;
            clock += 1000;
            total += requests;
            came += requests;
            let functions = vec![count("f", total, 0, 0, 0)];
            let changes = match event {
                0 => {
                    // The container restarts: totals start from zero; what it counted since its last report is lost.
                    boot += 1;
                    (clock, total, sequence) = (10, requests, 1);
                    let first = Report { functions: vec![count("f", total, 0, 0, 0)], ..hello(&boot.to_string(), clock) };
                    let (next, changes) = Activator::attach(Some(activator), first, now).unwrap();
                    activator = next;
                    changes
                }
                1 => {
                    sequence = 1;
                    let first = Report { functions, ..hello(&boot.to_string(), clock) };
                    let (next, changes) = Activator::attach(Some(activator), first, now).unwrap();
                    activator = next;
                    changes
                }
                _ => {
                    sequence += 1;
                    activator.report(Report { functions, ..report(sequence, clock) }, now).unwrap()
                }
            };
            added += all_requests(&changes);
            prop_assert!(added <= came);
        }
        prop_assert_eq!(added, came);
    }
}
