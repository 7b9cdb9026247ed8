use super::*;

fn view() -> View<'static> {
    View {
        wanted: "new",
        serving: "old",
        serving_replicas: Some(3),
        serving_ready: Some(3),
        wanted_ready: Some(0),
        wanted_failure: None,
        wanted_lacks: None,
        waited: Duration::ZERO,
        patience: Duration::from_secs(60),
    }
}

fn failed(reason: Reason) -> Option<Failure> {
    Some(Failure::new(reason, "words"))
}

#[test]
fn decisions() {
    let late = Duration::from_secs(60);
    let grow = |replicas| Rollout::Grow { replicas };
    let out_of_time = || Rollout::Failed(Failure::new(Reason::RevisionFailed, "it did not become ready within 60 s"));
    let broken = |reason| Rollout::Failed(Failure::new(reason, "words"));
    let table = [
        ("the first revision", View { serving: "", serving_replicas: None, ..view() }, Rollout::Steady),
        ("nothing new", View { serving: "new", ..view() }, Rollout::Steady),
        (
            "nothing new, whatever is known",
            View { serving: "new", wanted_failure: failed(Reason::CrashLoop), ..view() },
            Rollout::Steady,
        ),
        ("at zero", View { serving_replicas: Some(0), ..view() }, Rollout::Switch),
        (
            "at zero, nobody knows anything",
            View { serving_replicas: Some(0), wanted_ready: None, ..view() },
            Rollout::Switch,
        ),
        ("the old Deployment is gone", View { serving_replicas: None, ..view() }, Rollout::Switch),
        (
            "broken, and the old Deployment is gone",
            View { serving_replicas: None, wanted_failure: failed(Reason::CrashLoop), ..view() },
            Rollout::Switch,
        ),
        (
            "too late, as there was room for some",
            View { wanted_ready: Some(2), wanted_lacks: failed(Reason::Unschedulable), waited: late, ..view() },
            broken(Reason::Unschedulable),
        ),
        (
            "room for some so far",
            View { wanted_ready: Some(2), wanted_lacks: failed(Reason::Unschedulable), ..view() },
            grow(3),
        ),
        ("none ready", view(), grow(3)),
        ("some ready", View { wanted_ready: Some(2), ..view() }, grow(3)),
        ("as many ready", View { wanted_ready: Some(3), ..view() }, Rollout::Switch),
        (
            "as many as the old one has ready",
            View { serving_ready: Some(2), wanted_ready: Some(2), ..view() },
            Rollout::Switch,
        ),
        (
            "an activator that has probed nobody",
            View { serving_ready: Some(0), wanted_ready: Some(0), ..view() },
            grow(3),
        ),
        ("the old one starts still", View { serving_ready: Some(0), wanted_ready: Some(1), ..view() }, Rollout::Switch),
        ("the old one is not known", View { serving_ready: None, wanted_ready: Some(2), ..view() }, grow(3)),
        ("the new one is not known", View { wanted_ready: None, ..view() }, grow(3)),
        ("too late", View { wanted_ready: Some(2), waited: late, ..view() }, out_of_time()),
        ("late but ready", View { wanted_ready: Some(3), waited: late, ..view() }, Rollout::Switch),
        ("broken", View { wanted_failure: failed(Reason::CrashLoop), ..view() }, broken(Reason::CrashLoop)),
        (
            "broken, at zero",
            View { serving_replicas: Some(0), wanted_failure: failed(Reason::CrashLoop), ..view() },
            broken(Reason::CrashLoop),
        ),
        ("no room", View { wanted_failure: failed(Reason::Unschedulable), ..view() }, broken(Reason::Unschedulable)),
        (
            "no room beside the old one, which is gone",
            View { serving_replicas: Some(0), wanted_failure: failed(Reason::PodsRefused), ..view() },
            Rollout::Switch,
        ),
    ];
    for (what, view, decision) in table {
        assert_eq!(decide(&view), decision, "{what}");
    }
}

#[test]
fn only_what_must_take_load_over_is_created_with_replicas() {
    assert_eq!(Rollout::Grow { replicas: 3 }.replicas(), 3);
    for at_zero in [Rollout::Steady, Rollout::Switch, Rollout::Failed(Failure::new(Reason::CrashLoop, ""))] {
        assert_eq!(at_zero.replicas(), 0);
    }
}
