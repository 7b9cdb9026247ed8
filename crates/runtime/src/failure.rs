//! Failed starts: what Kubernetes' own objects say of them. Pure; both programs read the same objects and come to the
//! same verdict, so a held caller hears it even while the operator is away.
//!
//! Sources: the kubelet's waiting reasons (`pkg/kubelet/container/sync_result.go`, `pkg/kubelet/images/types.go`), the
//! scheduler's `PodScheduled` condition, the Deployment's `ReplicaFailure`.

use crds::{Reason, labels, names};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ContainerStateTerminated, ContainerStatus, Pod},
    },
    apimachinery::pkg::apis::meta::v1::Time,
};

use crate::shorten;

/// Longest message that is passed on, in characters: Kubernetes' own can run to kilobytes.
pub const MAX_MESSAGE: usize = 512;
/// Longest trace that is passed on, in bytes.
pub const MAX_TRACE: usize = 2048;

/// Why a start failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For programs.
    pub reason: Reason,
    /// For people: what is wrong, in Kubernetes' words where it has any. Names nothing outside the function.
    pub message: String,
    /// For the function's own people: the last lines of a traceback, with lines of its source. Empty = none.
    pub trace: String,
}

impl Failure {
    /// With the message cut to [`MAX_MESSAGE`].
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: cut(message.into(), MAX_MESSAGE), trace: String::new() }
    }

    /// Message and trace.
    pub fn whole(&self) -> String {
        if self.trace.is_empty() { self.message.clone() } else { format!("{}\n{}", self.message, self.trace) }
    }
}

fn cut(text: String, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// What a pod says of its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing bad.
    Fine,
    /// No node takes it since then. It becomes a failure after `unschedulableSeconds`, or never in a cluster that adds
    /// nodes.
    Unschedulable {
        /// Since when the scheduler says so.
        since: Option<Time>,
        /// The failure it becomes.
        failure: Failure,
    },
    /// It will not start.
    Failed(Failure),
}

/// Reads a pod. `was_ready`: whether its readiness has ever been proved; a container that exits twice before that is in
/// a crash loop, long before the kubelet calls it one.
pub fn of_pod(pod: &Pod, was_ready: bool) -> Start {
    let Some(status) = &pod.status else { return Start::Fine };
    let runs_source = pod.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(labels::RUNTIME));
    let mut containers = status.container_statuses.iter().flatten().filter(|c| c.name == names::CONTAINER);
    let failure = containers.find_map(|c| {
        let unloaded = (runs_source && !was_ready).then(|| of_source(c)).flatten();
        unloaded.or_else(|| {
            let failure = of_container(c, was_ready)?;
            Some(if runs_source { explained(failure, c) } else { failure })
        })
    });
    if let Some(failure) = failure {
        return Start::Failed(failure);
    }
    let scheduled = status.conditions.iter().flatten().find(|c| c.type_ == "PodScheduled");
    match scheduled {
        Some(c) if c.status == "False" && c.reason.as_deref() == Some("Unschedulable") => Start::Unschedulable {
            since: c.last_transition_time.clone(),
            failure: Failure::new(
                Reason::Unschedulable,
                format!("No node takes the pod: {}", c.message.as_deref().unwrap_or("the scheduler gives no reason")),
            ),
        },
        _ => Start::Fine,
    }
}

fn of_container(container: &ContainerStatus, was_ready: bool) -> Option<Failure> {
    let state = container.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let words = waiting.message.as_deref().unwrap_or("Kubernetes gives no details");
        let (reason, text) = match waiting.reason.as_deref()? {
            "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "RegistryUnavailable" => {
                (Reason::ImagePullError, format!("The image cannot be pulled: {words}"))
            }
            "InvalidImageName" => (Reason::InvalidImageName, format!("The image's name is not valid: {words}")),
            "CreateContainerConfigError" => {
                (Reason::ContainerConfigError, format!("The container's configuration is incomplete: {words}"))
            }
            "CreateContainerError" | "RunContainerError" => {
                (Reason::ContainerStartError, format!("The container cannot be started: {words}"))
            }
            "CrashLoopBackOff" => return Some(cannot_run(container).unwrap_or_else(|| crash(container))),
            _ => return exits_early(container, was_ready),
        };
        return Some(Failure::new(reason, text));
    }
    exits_early(container, was_ready)
}

/// The second exit of a container that was never ready. A command that cannot be run at all fails on its first.
///
/// A container that runs is judged by nothing in its past: whoever looks for the first time, as a new leader does, cannot
/// know whether it was ready between two restarts of weeks ago, and would end a pod that serves.
fn exits_early(container: &ContainerStatus, was_ready: bool) -> Option<Failure> {
    if container.state.as_ref().is_some_and(|state| state.running.is_some()) {
        return None;
    }
    let terminated = container.state.as_ref().and_then(|s| s.terminated.as_ref());
    if let Some(failure) = terminated.and_then(|_| cannot_run(container)) {
        return Some(failure);
    }
    let exits = container.restart_count + i32::from(terminated.is_some());
    (!was_ready && exits >= 2).then(|| crash(container))
}

/// The newest end of a container whose runtime could not load the source. The next try would end alike, so the first is
/// enough.
fn of_source(container: &ContainerStatus) -> Option<Failure> {
    if container.state.as_ref().is_some_and(|state| state.running.is_some()) {
        return None;
    }
    let end = last_end(container).filter(|end| end.exit_code == names::SOURCE_EXIT)?;
    let (sentence, trace) = last_words(end);
    let sentence =
        if sentence.is_empty() { "The source cannot be loaded, and its runtime does not say why." } else { sentence };
    Some(Failure { trace, ..Failure::new(Reason::SourceError, sentence) })
}

/// A crash of source, with what its runtime says of it: where the exception comes from that nobody caught.
fn explained(failure: Failure, container: &ContainerStatus) -> Failure {
    let end = last_end(container).filter(|_| failure.reason == Reason::CrashLoop);
    match end.map(last_words) {
        Some((sentence, trace)) if !sentence.is_empty() => {
            Failure { trace, ..Failure::new(failure.reason, format!("{} {sentence}", failure.message)) }
        }
        _ => failure,
    }
}

/// What a runtime has written into the termination log: a sentence for everybody, and a trace.
fn last_words(end: &ContainerStateTerminated) -> (&str, String) {
    let said = end.message.as_deref().unwrap_or_default();
    let (sentence, trace) = said.split_once('\n').unwrap_or((said, ""));
    (sentence, shorten::to_bytes(trace.trim_end(), MAX_TRACE))
}

/// The newest end of a container, if its command could not be run at all. The kubelet calls that a crash loop, too, once it
/// has tried twice, and an observer may see nothing before that.
fn cannot_run(container: &ContainerStatus) -> Option<Failure> {
    let end = last_end(container)?;
    matches!(end.reason.as_deref(), Some("StartError" | "ContainerCannotRun")).then(|| {
        let words = end.message.as_deref().unwrap_or("Kubernetes gives no details");
        Failure::new(Reason::ContainerStartError, format!("The container cannot be started: {words}"))
    })
}

fn last_end(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let states = [container.state.as_ref(), container.last_state.as_ref()];
    states.into_iter().flatten().find_map(|s| s.terminated.as_ref())
}

fn crash(container: &ContainerStatus) -> Failure {
    let text = match last_end(container) {
        Some(end) if end.reason.as_deref() == Some("OOMKilled") => {
            "The container used more memory than resources.memory allows and was ended, again and again.".to_owned()
        }
        Some(end) => match end.signal {
            Some(signal) if signal != 0 => format!("The container was ended by signal {signal}, again and again."),
            _ => format!("The container exits again and again, last with code {}.", end.exit_code),
        },
        None => "The container exits again and again.".to_owned(),
    };
    Failure::new(Reason::CrashLoop, text)
}

/// Reads a Deployment: pods that the API server refuses (quota, limits, policy, a missing ServiceAccount), so that there
/// is no pod to say so. What it says of an older generation does not count.
pub fn of_deployment(deployment: &Deployment) -> Option<Failure> {
    let status = deployment.status.as_ref()?;
    if status.observed_generation < deployment.metadata.generation {
        return None;
    }
    let refused = status.conditions.iter().flatten().find(|c| c.type_ == "ReplicaFailure" && c.status == "True")?;
    let words = refused.message.as_deref().unwrap_or("the API server gives no reason");
    // Ahead of Kubernetes' words, which may be cut.
    let boost = boosted(deployment).filter(|_| is_of_cpu_limit(words)).map_or_else(String::new, |limit| {
        format!(", which starts with a CPU limit of {limit} by the start-up boost (the next start is tried without)")
    });
    Some(Failure::new(Reason::PodsRefused, format!("Kubernetes refuses to make the pod{boost}: {words}")))
}

/// Whether a Deployment's pods are refused because they start with a higher CPU limit than their own.
pub fn is_of_boost(deployment: &Deployment, failure: &Failure) -> bool {
    failure.reason == Reason::PodsRefused && boosted(deployment).is_some() && is_of_cpu_limit(&failure.message)
}

/// Whether a Deployment's pods start with a higher CPU limit than their own.
pub fn is_boosted(deployment: &Deployment) -> bool {
    boosted(deployment).is_some()
}

/// Whether Kubernetes has seen a Deployment as it is now, and says of none of its pods that it is refused.
pub fn is_accepted(deployment: &Deployment) -> bool {
    let status = deployment.status.as_ref();
    let seen = status.is_some_and(|status| status.observed_generation >= deployment.metadata.generation);
    seen && of_deployment(deployment).is_none()
}

/// The CPU limit with which pods start, where that is not their own.
fn boosted(deployment: &Deployment) -> Option<&str> {
    let epoch = deployment.metadata.annotations.as_ref()?.get(labels::TEMPLATE_EPOCH)?;
    epoch.split_once(labels::BOOSTED).map(|(_, limit)| limit)
}

/// Whether a refusal is about a CPU limit that is too high, by a ResourceQuota or a LimitRange (Kubernetes'
/// `plugin/pkg/admission/limitranger` and `apiserver/pkg/admission/plugin/resourcequota`).
fn is_of_cpu_limit(words: &str) -> bool {
    ["limits.cpu", "maximum cpu usage per", "cpu max limit to request ratio per"]
        .iter()
        .any(|part| words.contains(part))
}

/// Reads the `reason` of an Event about a pod: failures that the pod itself does not show.
pub fn of_event(reason: &str, message: &str) -> Option<Failure> {
    match reason {
        "FailedMount" | "FailedAttachVolume" => {
            Some(Failure::new(Reason::VolumeMountError, format!("A volume cannot be mounted: {message}")))
        }
        "FailedCreatePodSandBox" => {
            Some(Failure::new(Reason::SandboxError, format!("The node cannot make the pod's sandbox: {message}")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
