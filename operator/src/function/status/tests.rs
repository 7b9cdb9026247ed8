use crds::{Reason, condition};
use serde_json::json;

use super::*;
use crate::{
    function::{apply::Applied, rollout::Rollout, starts::Started},
    testing::fixtures,
};

fn function() -> Function {
    serde_json::from_value(fixtures::function(json!({}))).unwrap()
}

fn at(seconds: i64) -> Time {
    Time(Timestamp::from_second(seconds).unwrap())
}

fn applied(before: &FunctionStatus, revision: &str, replicas: i32, ready: usize, now: i64) -> FunctionStatus {
    let applied = Applied { revision: revision.to_owned(), replicas };
    let serving = Started { ready: Some(ready), failed: None };
    let rollout = Rollout::Steady;
    let report_ =
        Report::Applied { applied: &applied, serving: &serving, rollout: &rollout, wanted: revision, degraded: &[] };
    let after = report(&function(), before, &report_, "http://hello".to_owned(), &at(now));
    let After::Whole(after) = after else { panic!("it is applied") };
    after
}

#[test]
fn a_pass_that_finds_nothing_new_says_nothing_new() {
    let first = applied(&FunctionStatus::default(), "r1", 0, 0, 100);
    assert_eq!(applied(&first, "r1", 0, 0, 200), first);
    let awake = applied(&first, "r1", 2, 2, 300);
    assert_eq!(applied(&awake, "r1", 2, 2, 400), awake);
    let ready = condition::find(&awake.conditions, ConditionType::Ready).unwrap();
    assert_eq!(ready.last_transition_time, at(100), "only its reason changed");
    assert_eq!(essence(&first), essence(&awake));
    assert_ne!(essence(&first), essence(&applied(&first, "r2", 0, 0, 300)));
}

#[test]
fn transitions_are_told_as_events() {
    let reasons = |before: &FunctionStatus, after: &FunctionStatus| -> Vec<String> {
        events::of(before, after).into_iter().map(|note| note.reason).collect()
    };
    let zero = applied(&FunctionStatus::default(), "r1", 0, 0, 100);
    let awake = applied(&zero, "r1", 2, 2, 200);
    let next = applied(&awake, "r2", 2, 2, 300);
    assert_eq!(reasons(&FunctionStatus::default(), &zero), ["Created"]);
    assert_eq!(reasons(&zero, &awake), ["WokenUp"]);
    assert_eq!(reasons(&awake, &zero), ["ScaledToZero"]);
    assert_eq!(reasons(&awake, &next), ["RevisionSwitched"]);
    assert_eq!(reasons(&awake, &awake), Vec::<String>::new());
    let fails = |before: &FunctionStatus, status: bool, reason| {
        let mut after = before.clone();
        condition::set(&mut after.conditions, ConditionType::WorkloadAvailable, status, reason, "words", 1, &at(500));
        after
    };
    let failed = fails(&awake, false, Reason::CrashLoop);
    assert_eq!(reasons(&awake, &failed), ["StartFailed"]);
    assert_eq!(reasons(&failed, &fails(&failed, false, Reason::ImagePullError)), ["StartFailed"]);
    assert_eq!(reasons(&failed, &awake), ["StartSucceeded"]);
    assert_eq!(reasons(&fails(&awake, false, Reason::ApiRefused), &awake), Vec::<String>::new());
}
