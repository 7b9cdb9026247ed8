use serde_json::{Value, json};

use super::*;

fn pod(state: Value) -> Pod {
    let mut container = json!({"name": "function", "image": "i", "imageID": "", "ready": false, "restartCount": 0});
    container.as_object_mut().unwrap().extend(state.as_object().unwrap().clone());
    serde_json::from_value(json!({"metadata": {}, "status": {"containerStatuses": [container]}})).unwrap()
}

fn waiting(reason: &str) -> Value {
    json!({"state": {"waiting": {"reason": reason, "message": "words"}}})
}

#[test]
fn waiting_reasons_that_mean_failure() {
    for (kubelet, reason) in [
        ("ErrImagePull", Reason::ImagePullError),
        ("ImagePullBackOff", Reason::ImagePullError),
        ("ErrImageNeverPull", Reason::ImagePullError),
        ("InvalidImageName", Reason::InvalidImageName),
        ("CreateContainerConfigError", Reason::ContainerConfigError),
        ("CreateContainerError", Reason::ContainerStartError),
        ("RunContainerError", Reason::ContainerStartError),
        ("CrashLoopBackOff", Reason::CrashLoop),
    ] {
        let Start::Failed(failure) = of_pod(&pod(waiting(kubelet)), false) else { panic!("{kubelet} is a failure") };
        assert_eq!(failure.reason, reason, "{kubelet}");
    }
    for fine in ["ContainerCreating", "PodInitializing"] {
        assert_eq!(of_pod(&pod(waiting(fine)), false), Start::Fine, "{fine}");
    }
}

#[test]
fn the_second_exit_before_ready_is_a_crash_loop() {
    let ended = json!({"terminated": {"exitCode": 3}});
    let first = pod(json!({"state": ended}));
    assert_eq!(of_pod(&first, false), Start::Fine);
    let second = pod(json!({"state": ended, "restartCount": 1}));
    let Start::Failed(failure) = of_pod(&second, false) else { panic!("a second exit is a failure") };
    assert_eq!(failure.reason, Reason::CrashLoop);
    assert!(failure.message.contains("code 3"), "{}", failure.message);
    assert_eq!(of_pod(&second, true), Start::Fine);
    let running = pod(json!({"state": {"running": {}}, "lastState": ended, "restartCount": 1}));
    assert_eq!(of_pod(&running, false), Start::Fine);
}

#[test]
fn a_container_that_runs_is_not_judged_by_its_past() {
    let ended = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
    let running = pod(json!({"state": {"running": {}}, "lastState": ended, "restartCount": 3}));
    assert_eq!(of_pod(&running, false), Start::Fine);
}

#[test]
fn a_command_that_cannot_run_fails_at_once() {
    let state = json!({"state": {"terminated": {"exitCode": 128, "reason": "StartError", "message": "no such file"}}});
    let Start::Failed(failure) = of_pod(&pod(state), false) else { panic!("it is a failure") };
    assert_eq!(failure.reason, Reason::ContainerStartError);
    assert!(failure.message.ends_with("no such file"), "{}", failure.message);
}

#[test]
fn a_command_that_cannot_run_is_no_crash_loop_even_if_seen_late() {
    let end = json!({"terminated": {"exitCode": 128, "reason": "StartError", "message": "no such file"}});
    let state = json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": end, "restartCount": 1});
    let Start::Failed(failure) = of_pod(&pod(state), false) else { panic!("it is a failure") };
    assert_eq!(failure.reason, Reason::ContainerStartError);
    assert!(failure.message.ends_with("no such file"), "{}", failure.message);
}

#[test]
fn unschedulable_says_since_when() {
    let pod: Pod = serde_json::from_value(json!({"metadata": {}, "status": {"conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/1 nodes are available", "lastTransitionTime": "2026-01-02T03:04:05Z"}]}}))
    .unwrap();
    let Start::Unschedulable { since, failure } = of_pod(&pod, false) else { panic!("it is unschedulable") };
    assert!(since.is_some());
    assert_eq!(failure.reason, Reason::Unschedulable);
}

#[test]
fn a_refusal_of_an_older_generation_does_not_count() {
    let deployment = |observed: i64| -> Deployment {
        serde_json::from_value(
            json!({"metadata": {"generation": 2}, "status": {"observedGeneration": observed, "conditions": [
            {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}]}}),
        )
        .unwrap()
    };
    assert_eq!(of_deployment(&deployment(1)), None);
    assert_eq!(of_deployment(&deployment(2)).unwrap().reason, Reason::PodsRefused);
}

#[test]
fn a_refusal_for_the_boosted_cpu_limit_says_so() {
    let deployment = |epoch: &str, message: &str| -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"generation": 2, "annotations": {labels::TEMPLATE_EPOCH: epoch}},
            "status": {"observedGeneration": 2, "conditions": [
                {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}]},
        }))
        .unwrap()
    };
    let of_limit = [
        "pods \"f\" is forbidden: exceeded quota: q, requested: limits.cpu=1, used: limits.cpu=0, limited: limits.cpu=500m",
        "pods \"f\" is forbidden: maximum cpu usage per Container is 500m, but limit is 1",
        "pods \"f\" is forbidden: cpu max limit to request ratio per Container is 2, but provided ratio is 20.000000",
    ];
    let of_else = "pods \"f\" is forbidden: exceeded quota: q, requested: requests.cpu=50m, used: requests.cpu=1, limited: requests.cpu=1";
    let boosted = |message| deployment("1+cpu=1000m", message);
    for (deployment, boost) in of_limit
        .map(|message| (boosted(message), true))
        .into_iter()
        .chain(of_limit.map(|message| (deployment("1", message), false)))
        .chain([(boosted(of_else), false)])
    {
        let failure = of_deployment(&deployment).unwrap();
        assert_eq!(is_of_boost(&deployment, &failure), boost, "{}", failure.message);
        assert_eq!(failure.message.contains("a CPU limit of 1000m by the start-up boost"), boost);
        assert!(failure.message.contains("pods \"f\" is forbidden"), "{}", failure.message);
    }
    assert!(is_boosted(&boosted(of_else)) && !is_boosted(&deployment("1", of_else)));
}

#[test]
fn a_deployment_is_accepted_once_kubernetes_has_seen_it_and_refuses_nothing() {
    let deployment = |observed: Option<i64>, refused: &str| -> Deployment {
        let refusal = json!({"type": "ReplicaFailure", "status": refused, "reason": "FailedCreate"});
        let status = observed.map(|observed| json!({"observedGeneration": observed, "conditions": [refusal]}));
        serde_json::from_value(json!({"metadata": {"generation": 2}, "status": status})).unwrap()
    };
    let cases = [(None, "False"), (Some(1), "False"), (Some(2), "True"), (Some(2), "False"), (Some(3), "False")];
    let accepted = cases.map(|(observed, refused)| is_accepted(&deployment(observed, refused)));
    assert_eq!(accepted, [false, false, false, true, true]);
}

#[test]
fn long_messages_are_cut() {
    let failure = Failure::new(Reason::CrashLoop, "é".repeat(MAX_MESSAGE + 1));
    assert_eq!(failure.message.chars().count(), MAX_MESSAGE + 1);
    assert!(failure.message.ends_with('…'));
}

#[test]
fn source_that_cannot_be_loaded_fails_at_its_first_exit() {
    let says = "The source has a syntax error in line 3.\n  File \"function.py\", line 3\n    retrun\n";
    let ended = json!({"terminated": {"exitCode": 78, "message": says}});
    let with_label = |state: Value| {
        let mut pod = pod(state);
        pod.metadata.labels = Some([(labels::RUNTIME.to_owned(), "python".to_owned())].into());
        pod
    };
    for state in [
        json!({"state": ended}),
        json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended, "restartCount": 2}),
    ] {
        let Start::Failed(failure) = of_pod(&with_label(state), false) else { panic!("it is a failure") };
        assert_eq!(failure.reason, Reason::SourceError);
        assert_eq!(failure.message, "The source has a syntax error in line 3.");
        assert_eq!(failure.trace, "  File \"function.py\", line 3\n    retrun");
        assert_eq!(failure.whole(), says.trim_end());
    }
    let running = json!({"state": {"running": {}}, "lastState": ended, "restartCount": 1});
    for fine in [
        with_label(running),
        pod(json!({"state": ended})),
        with_label(json!({"state": {"terminated": {"exitCode": 1}}})),
    ] {
        assert_eq!(of_pod(&fine, false), Start::Fine);
    }
    let Start::Failed(silent) = of_pod(&with_label(json!({"state": {"terminated": {"exitCode": 78}}})), false) else {
        panic!("it is a failure")
    };
    assert!(silent.message.contains("does not say why") && silent.trace.is_empty());
    let long = format!("One.\n{}", "é".repeat(MAX_TRACE + 9));
    let Start::Failed(long) =
        of_pod(&with_label(json!({"state": {"terminated": {"exitCode": 78, "message": long}}})), false)
    else {
        panic!("it is a failure")
    };
    assert!(long.trace.len() <= MAX_TRACE && long.trace.ends_with('…'), "{} bytes", long.trace.len());
}

#[test]
fn source_that_crashes_says_where() {
    let says = "Outside of any request, the source threw Error, in line 3.\nError: late\n    at function.js:3\n";
    let crashed = |message: &str| {
        json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 2,
            "lastState": {"terminated": {"exitCode": 1, "message": message}}})
    };
    let failure = |state: Value, runs_source: bool| {
        let mut pod = pod(state);
        if runs_source {
            pod.metadata.labels = Some([(labels::RUNTIME.to_owned(), "node".to_owned())].into());
        }
        let Start::Failed(failure) = of_pod(&pod, false) else { panic!("it is a failure") };
        failure
    };
    let of_source = failure(crashed(says), true);
    assert_eq!(of_source.reason, Reason::CrashLoop);
    let sentence = "The container exits again and again, last with code 1. Outside of any request, the source threw Error, in line 3.";
    assert_eq!(of_source.message, sentence);
    assert_eq!(of_source.trace, "Error: late\n    at function.js:3");
    // An image may write what is nobody else's business.
    for plain in [failure(crashed(says), false), failure(crashed(""), true)] {
        assert_eq!(plain.message, "The container exits again and again, last with code 1.");
        assert_eq!(plain.trace, "");
    }
}
