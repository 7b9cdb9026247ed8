use serde_json::{Value, json};

use super::*;
use crate::{stores::Prune, testing::fixtures};

const WRITTEN: &str = "2026-11-21T10:00:00Z";

fn at(seconds: i64) -> Timestamp {
    WRITTEN.parse::<Timestamp>().unwrap() + Duration::from_secs(seconds.unsigned_abs())
}

fn deployment(uid: &str, manager: &str) -> Arc<Deployment> {
    written("hello-1", uid, manager, 1, Some(WRITTEN))
}

fn written(name: &str, uid: &str, manager: &str, replicas: i64, time: Option<&str>) -> Arc<Deployment> {
    let entry: Value = json!({"manager": manager, "operation": "Update", "subresource": "scale", "time": time,
        "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}}});
    let mut deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {labels::FUNCTION_UID: uid}, "managedFields": [entry]},
        "spec": {"replicas": replicas, "selector": {}, "template": {}},
    }))
    .unwrap();
    deployment.prune();
    Arc::new(deployment)
}

#[test]
fn a_foreign_write_is_told_of_for_ten_minutes_though_its_trace_is_gone() {
    let foreign = Foreign::default();
    let valid = fixtures::valid(json!({}));
    let ours = [deployment(&valid.uid, "rouse-autoscaler")];
    assert_eq!(foreign.look(&valid, &ours, at(0)), None);
    let (told, left) = foreign.look(&valid, &[deployment(&valid.uid, "kube-controller-manager")], at(1)).unwrap();
    assert_eq!((told.reason, left), (Reason::ForeignScaler, Duration::from_secs(599)));
    insta::assert_snapshot!(told.message);
    let again = foreign.look(&valid, &ours, at(599));
    assert_eq!(again, Some((told, Duration::from_secs(1))), "in the same words");
    assert_eq!(foreign.look(&valid, &ours, at(600)), None);
    // It stays as it was left, and is no news for ever.
    assert_eq!(foreign.look(&valid, &[deployment(&valid.uid, "kubectl")], at(700)), None);
    assert!(foreign.seen.lock().unwrap().is_empty());
}

#[test]
fn a_write_without_a_time_is_as_old_as_its_first_sight() {
    let foreign = Foreign::default();
    let valid = fixtures::valid(json!({}));
    let scaled = |name: &str, replicas: i64| written(name, &valid.uid, "kubectl", replicas, None);
    let left = |deployments: &[Arc<Deployment>], now: i64| {
        foreign.look(&valid, deployments, at(now)).map(|(_, left)| left.as_secs())
    };
    assert_eq!(left(&[scaled("hello-1", 5)], 0), Some(600));
    assert_eq!(left(&[scaled("hello-1", 5)], 200), Some(400));
    let both = [scaled("hello-1", 5), scaled("hello-2", 1)];
    assert_eq!(left(&both, 300), Some(600), "another Deployment's is another write");
    assert_eq!(left(&both, 700), Some(200));
    for now in [900, 901, 5000] {
        assert_eq!(left(&both, now), None, "{now}");
    }
    assert_eq!(left(&[scaled("hello-1", 5), scaled("hello-2", 2)], 6000), Some(600), "it was written again");
    assert_eq!(left(&[], 6100), Some(500));
    assert_eq!(left(&[], 6600), None);
    assert!(foreign.seen.lock().unwrap().is_empty());
}

#[test]
fn what_belongs_to_another_function_of_the_name_is_its_own_affair() {
    let foreign = Foreign::default();
    let valid = fixtures::valid(json!({}));
    assert_eq!(foreign.look(&valid, &[deployment("of an earlier one", "kubectl")], at(1)), None);
    foreign.look(&valid, &[deployment(&valid.uid, "kubectl")], at(1)).unwrap();
    foreign.forget(&valid.uid);
    assert_eq!(foreign.look(&valid, &[], at(1)), None);
}

#[test]
fn each_schedule_that_cannot_be_followed_is_told_with_its_place() {
    let schedule = |cron: &str, zone: &str| Schedule {
        cron: cron.to_owned(),
        time_zone: zone.to_owned(),
        duration_seconds: 60,
        min_replicas: 1,
    };
    assert_eq!(schedules(&[schedule("0 8 * * *", "Asia/Kolkata")]), None);
    let told =
        schedules(&[schedule("0 8 * * *", "UTC"), schedule("0 8 * * *", "CET/Summer"), schedule("0 0 31 2 *", "UTC")]);
    let told = told.unwrap();
    assert_eq!(told.reason, Reason::InvalidSchedule);
    insta::assert_snapshot!(told.message);
}
