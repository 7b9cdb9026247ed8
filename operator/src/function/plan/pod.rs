//! The pod of a function: as lean as it can be, because its shape decides the length of a cold start. Any volume costs
//! 0.3 s, so there is none unless the user asks: no token, no service links' worth of environment, no kubelet probe (the
//! activator probes), no second container. Passes the `restricted` level of the Pod Security Standards.

use std::collections::BTreeMap;

use crds::{function::Protocol, labels, names};
use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, ContainerPort, EnvVar, Lifecycle, LifecycleHandler, PodSecurityContext, PodSpec,
        PodTemplateSpec, ResourceRequirements, SeccompProfile, SecurityContext, SleepAction,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};

use super::{Valid, revision_labels, source};

/// User of a process for which none is given: `nobody` of the common minimal images.
const DEFAULT_USER: i64 = 65532;

/// The pod template. `boosted`: the CPU limit of the start, where it is not the function's own, which an annotation then
/// carries. There is no `resizePolicy`: without one a change of the CPU restarts nothing.
pub(super) fn template(valid: &Valid, boosted: Option<&Quantity>) -> PodTemplateSpec {
    let options = &valid.function.spec.pod;
    let mut pod_labels = options.labels.clone();
    pod_labels.extend(revision_labels(valid));
    pod_labels.insert(labels::FUNCTION_UID.to_owned(), valid.uid.clone());
    pod_labels.insert(labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_ROUSE.to_owned());
    if let Some(source) = &valid.function.spec.source {
        pod_labels.insert(labels::RUNTIME.to_owned(), source.runtime.clone());
    }
    let mut annotations = options.annotations.clone();
    if let Some(own) = valid.cpu_limit.as_ref().filter(|_| boosted.is_some()) {
        annotations.insert(labels::CPU_LIMIT.to_owned(), own.0.clone());
    }
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(pod_labels),
            annotations: map(&annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            containers: vec![container(valid, boosted.or(valid.cpu_limit.as_ref()))],
            volumes: some(valid.volumes.iter().map(|(volume, _)| volume.clone()).collect()),
            service_account_name: Some(valid.service_account.clone()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            termination_grace_period_seconds: Some(valid.grace_seconds),
            security_context: Some(pod_security(valid)),
            node_selector: map(&options.node_selector),
            tolerations: some(options.tolerations.clone()),
            affinity: options.affinity.clone(),
            topology_spread_constraints: some(options.topology_spread_constraints.clone()),
            runtime_class_name: text(&options.runtime_class_name),
            priority_class_name: text(&options.priority_class_name),
            image_pull_secrets: some(options.image_pull_secrets.clone()),
            ..PodSpec::default()
        }),
    }
}

fn container(valid: &Valid, cpu_limit: Option<&Quantity>) -> Container {
    let spec = &valid.function.spec;
    // First, so that the user's variables may refer to it as $(PORT).
    let port = EnvVar { name: "PORT".to_owned(), value: Some(spec.port.to_string()), value_from: None };
    let amounts = |cpu| BTreeMap::from_iter([("memory".to_owned(), valid.memory.clone())].into_iter().chain(cpu));
    let cpu = |amount: &_| ("cpu".to_owned(), Clone::clone(amount));
    Container {
        name: names::CONTAINER.to_owned(),
        image: Some(valid.image.clone()),
        image_pull_policy: Some(spec.image_pull_policy.as_str().to_owned()),
        command: some(spec.command.clone()),
        args: some(spec.args.clone()),
        ports: Some(vec![ContainerPort {
            name: Some(port_name(spec.protocol).to_owned()),
            container_port: spec.port,
            ..ContainerPort::default()
        }]),
        env: Some([vec![port], source::environment(valid), spec.env.clone()].concat()),
        env_from: some(spec.env_from.clone()),
        resources: Some(ResourceRequirements {
            requests: Some(amounts(Some(cpu(&valid.cpu)))),
            limits: Some(amounts(cpu_limit.map(cpu))),
            ..ResourceRequirements::default()
        }),
        volume_mounts: some(valid.volumes.iter().map(|(_, mount)| mount.clone()).collect()),
        // Every activator learns of the deletion while the pod still serves.
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction { seconds: names::PRE_STOP_SECONDS }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            // Our runtimes write nothing.
            read_only_root_filesystem: (spec.pod.read_only_root_filesystem || spec.source.is_some()).then_some(true),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

fn port_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::HTTP1 => names::PORT_HTTP1,
        Protocol::H2C => names::PORT_H2C,
    }
}

fn pod_security(valid: &Valid) -> PodSecurityContext {
    let user = valid.function.spec.pod.run_as_user.unwrap_or(DEFAULT_USER);
    let claims = valid.volumes.iter().any(|(volume, _)| volume.persistent_volume_claim.is_some());
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(user),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        // A fresh claim belongs to root: without this the process could not write to it.
        fs_group: claims.then_some(user),
        fs_group_change_policy: claims.then(|| "OnRootMismatch".to_owned()),
        ..PodSecurityContext::default()
    }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

fn map(map: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    Some(map.clone()).filter(|map| !map.is_empty())
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}
