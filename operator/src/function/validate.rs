//! Checks a Function once more: the schema's rules may be older than the operator, or loosened by hand. Pure; what comes
//! out cannot fail to be planned.

use std::sync::Arc;

use crds::{
    Amount, Function,
    function::{EmptyDirMount, MOST_BYTES, Mount, Protocol, cpu_milli_of, default_memory},
    labels, names, revision,
};
use k8s_openapi::{
    api::core::v1::{
        ConfigMapVolumeSource, EmptyDirVolumeSource, PersistentVolumeClaimVolumeSource, SecretVolumeSource, Volume,
        VolumeMount,
    },
    apimachinery::pkg::api::resource::Quantity,
};

use crate::{
    runtimes::{Runtime, Runtimes, is_reserved},
    stores::Key,
};

/// Least memory, in thousandths of a byte: 8 MiB.
pub const LEAST_MEMORY: i128 = 8 * 1_048_576 * 1000;

/// The spec breaks a rule; the text says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

/// A Function of which children can be made.
#[derive(Clone, Debug)]
pub struct Valid {
    /// The object.
    pub function: Arc<Function>,
    /// Its namespace and name.
    pub key: Key,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its UID.
    pub uid: String,
    /// The revision that its spec asks for.
    pub revision: String,
    /// Image of its pods: its own, or that of its runtime.
    pub image: String,
    /// Grace period of its pods, in seconds.
    pub grace_seconds: i64,
    /// ServiceAccount of its pods.
    pub service_account: String,
    /// Whether that one is made for the function.
    pub own_service_account: bool,
    /// What runs its source, if it has any.
    pub runtime: Option<Runtime>,
    /// Memory, request and limit alike.
    pub memory: Quantity,
    /// The same in MiB.
    pub memory_mib: i128,
    /// CPU request.
    pub cpu: Quantity,
    /// CPU limit.
    pub cpu_limit: Option<Quantity>,
    /// What of a CPU it has: the limit, or else the request, in thousandths of a core.
    pub cpu_milli: i128,
    /// Volumes and where they appear.
    pub volumes: Vec<(Volume, VolumeMount)>,
}

/// Checks a Function. `runtimes`: of the installation.
///
/// # Errors
/// [`Invalid`] for the first rule that it breaks.
pub fn function(function: &Arc<Function>, runtimes: &Runtimes) -> Result<Valid, Invalid> {
    let (meta, spec) = (&function.metadata, &function.spec);
    let part = |part: &Option<String>, what| part.clone().ok_or_else(|| Invalid(format!("the object has no {what}")));
    let (name, namespace, uid) =
        (part(&meta.name, "name")?, part(&meta.namespace, "namespace")?, part(&meta.uid, "uid")?);
    rule(dns_label(&name), || format!("metadata.name {name:?} must be 1 to 50 lower-case letters, digits and '-'"))?;
    rule(!spec.env.iter().any(|e| e.name == "PORT"), || "env must not contain PORT: set port".to_owned())?;
    let runtime = runtime(function, runtimes)?;
    rule((1..=65535).contains(&spec.port), || format!("port {} must be 1 to 65535", spec.port))?;
    let scaling = &spec.scaling;
    rule(scaling.min_replicas <= scaling.max_replicas, || {
        "scaling.minReplicas must not exceed maxReplicas".to_owned()
    })?;
    for (field, map) in [("labels", &spec.pod.labels), ("annotations", &spec.pod.annotations)] {
        let reserved = map.keys().find(|key| key.starts_with(labels::PREFIX));
        rule(reserved.is_none(), || format!("pod.{field} must not contain keys beginning with {}", labels::PREFIX))?;
    }
    let user_fits = spec.pod.run_as_user.is_none_or(|user| user > 0);
    rule(user_fits, || "pod.runAsUser must be at least 1: root is refused".to_owned())?;
    let least = i64::from(spec.timeouts.request_seconds) + names::PRE_STOP_SECONDS;
    let grace_fits = spec.pod.termination_grace_period_seconds.is_none_or(|grace| grace >= least);
    rule(grace_fits, || {
        format!("pod.terminationGracePeriodSeconds must be at least {least}: timeouts.requestSeconds + 2")
    })?;
    let Shares { memory, memory_mib, cpu, cpu_limit, cpu_milli } = shares(function, runtime)?;
    let volumes = spec.mounts.iter().enumerate().map(|(n, mount)| volume(n, mount)).collect::<Result<_, _>>()?;
    let own_service_account = spec.service_account_name.is_empty();
    Ok(Valid {
        function: Arc::clone(function),
        key: Key::new(&name).within(&namespace),
        revision: revision::name(&name, spec),
        image: runtime.map(|runtime| &runtime.image).or(spec.image.as_ref()).cloned().unwrap_or_default(),
        runtime: runtime.cloned(),
        grace_seconds: revision::grace_seconds(spec),
        service_account: if own_service_account {
            names::service_account(&name)
        } else {
            spec.service_account_name.clone()
        },
        own_service_account,
        memory,
        memory_mib,
        cpu,
        cpu_limit,
        cpu_milli,
        volumes,
        name,
        namespace,
        uid,
    })
}

fn rule(holds: bool, broken: impl FnOnce() -> String) -> Result<(), Invalid> {
    if holds { Ok(()) } else { Err(Invalid(broken())) }
}

/// What runs its source, if it has no image.
fn runtime<'a>(function: &Function, runtimes: &'a Runtimes) -> Result<Option<&'a Runtime>, Invalid> {
    let spec = &function.spec;
    let source = match (&spec.image, &spec.source) {
        (Some(image), None) => {
            let fits = !image.is_empty() && !image.contains(char::is_whitespace);
            rule(fits, || "image must be an image reference without spaces".to_owned())?;
            return Ok(None);
        }
        (None, Some(source)) => source,
        _ => return Err(Invalid("must have exactly one of image and source".to_owned())),
    };
    rule(source.inline.len() <= MOST_BYTES, || {
        let bytes = source.inline.len();
        format!(
            "source.inline has {bytes} bytes and must have at most {MOST_BYTES}: for more build an image, and name it in image"
        )
    })?;
    rule(spec.command.is_empty() && spec.args.is_empty(), || {
        "command and args are for image: source is run by its runtime".to_owned()
    })?;
    rule(spec.protocol == Protocol::HTTP1, || "protocol must be HTTP1 with source".to_owned())?;
    rule(!spec.env.iter().any(|e| is_reserved(&e.name)), || {
        "env must not contain FUNCTION_TARGET, which is source.entrypoint, nor names beginning with ROUSE_".to_owned()
    })?;
    let Some(runtime) = runtimes.get(&source.runtime) else {
        let text = "is no runtime of this installation, which has";
        return Err(Invalid(format!("source.runtime {:?} {text}: {}", source.runtime, runtimes.names())));
    };
    Ok(Some(runtime))
}

/// RFC 1035 label, as a Service's name must be, and short enough for what is appended to it.
fn dns_label(name: &str) -> bool {
    let bytes = name.as_bytes();
    let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    bytes.len() <= names::MAX_FUNCTION_NAME
        && bytes.first().is_some_and(u8::is_ascii_lowercase)
        && bytes.last().is_some_and(|b| *b != b'-')
        && bytes.iter().all(inner)
}

/// What a replica has.
struct Shares {
    memory: Quantity,
    memory_mib: i128,
    cpu: Quantity,
    cpu_limit: Option<Quantity>,
    cpu_milli: i128,
}

fn shares(function: &Function, runtime: Option<&Runtime>) -> Result<Shares, Invalid> {
    let (resources, defaults) = (&function.spec.resources, runtime.map(|runtime| &runtime.resources));
    let amount =
        |field: &str, amount: &Amount| amount.milli().map_err(|error| Invalid(format!("resources.{field}: {error}")));
    let memory = resources.memory.as_ref().or_else(|| defaults?.memory.as_ref());
    let memory = memory.cloned().unwrap_or_else(default_memory);
    let memory_milli = amount("memory", &memory)?;
    rule(memory_milli >= LEAST_MEMORY, || format!("resources.memory {} must be at least 8Mi", memory.0))?;
    let cpu = resources.cpu.as_ref().or_else(|| defaults?.cpu.as_ref());
    let request = match cpu {
        Some(cpu) => amount("cpu", cpu)?,
        None => cpu_milli_of(memory_milli),
    };
    rule(request >= 1, || "resources.cpu must be at least 1m".to_owned())?;
    let mut cpu_milli = request;
    if let Some(limit) = &resources.cpu_limit {
        cpu_milli = amount("cpuLimit", limit)?;
        rule(cpu_milli > request, || {
            let of =
                if resources.cpu.is_some() { "resources.cpu" } else { "what comes with the memory or the runtime" };
            format!(
                "resources.cpuLimit {} must exceed the CPU request of {request}m, {of}: raise it or set a lower cpu",
                limit.0
            )
        })?;
    }
    Ok(Shares {
        memory: memory.quantity(),
        memory_mib: memory_milli / 1000 / 1_048_576,
        cpu: cpu.map_or_else(|| Quantity(format!("{request}m")), Amount::quantity),
        cpu_limit: resources.cpu_limit.as_ref().map(Amount::quantity),
        cpu_milli,
    })
}

fn volume(n: usize, mount: &Mount) -> Result<(Volume, VolumeMount), Invalid> {
    let path = &mount.path;
    let path_fits =
        path.starts_with('/') && path.len() > 1 && !path.contains(':') && !path.split('/').any(|s| s == "..");
    rule(path_fits, || format!("mounts[{n}].path {path:?} must be an absolute path without '..' and ':'"))?;
    let mut volume = Volume { name: format!("mount-{n}"), ..Volume::default() };
    match (&mount.config_map, &mount.secret, &mount.empty_dir, &mount.persistent_volume_claim) {
        (Some(map), None, None, None) => {
            volume.config_map = Some(ConfigMapVolumeSource { name: map.name.clone(), ..Default::default() });
        }
        (None, Some(secret), None, None) => {
            volume.secret = Some(SecretVolumeSource { secret_name: Some(secret.name.clone()), ..Default::default() });
        }
        (None, None, Some(EmptyDirMount { size_limit }), None) => {
            let size_limit = size_limit.as_ref().map(Amount::quantity);
            volume.empty_dir = Some(EmptyDirVolumeSource { size_limit, ..Default::default() });
        }
        (None, None, None, Some(claim)) => {
            let source = PersistentVolumeClaimVolumeSource { claim_name: claim.name.clone(), ..Default::default() };
            volume.persistent_volume_claim = Some(source);
        }
        _ => {
            let text = "must have exactly one of configMap, secret, emptyDir and persistentVolumeClaim";
            return Err(Invalid(format!("mounts[{n}] {text}")));
        }
    }
    let mounted = VolumeMount {
        name: volume.name.clone(),
        mount_path: path.clone(),
        read_only: mount.read_only.then_some(true),
        ..VolumeMount::default()
    };
    Ok((volume, mounted))
}

#[cfg(test)]
mod tests;
