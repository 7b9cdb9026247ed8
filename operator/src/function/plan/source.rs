//! Code, on its way to the pod: a ConfigMap that the container has as one environment variable. As a volume it would make a
//! start 0.3 s longer; as a literal value in the pod template 60 KiB take 60 ms.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crds::names;
use k8s_openapi::api::core::v1::{ConfigMap, ConfigMapKeySelector, EnvVar, EnvVarSource};

use super::{Valid, metadata};

/// The variable with the code.
const SOURCE: &str = "ROUSE_SOURCE";
/// The variable that says that the code is in base64: no variable can hold a NUL.
const ENCODING: &str = "ROUSE_SOURCE_ENCODING";
/// The variable that names the function in the code: that of the Functions Framework's contract.
const TARGET: &str = "FUNCTION_TARGET";
/// The variable with the thousandths of a core that the function has.
const CPU: &str = "ROUSE_CPU_MILLI";
/// The variable with the MiB that a heap of collected garbage may grow to.
const HEAP: &str = "ROUSE_HEAP_MIB";
/// MiB that such a program needs beside its heap, at most: its code, young objects, buffers, stacks.
const BESIDE_HEAP: i128 = 256;

/// The code of a revision, under the revision's name. It is immutable: other code is another revision.
///
/// Not part of the plan: it is looked at, and so built, only while its Deployment is not there.
pub fn config_map(valid: &Valid) -> Option<ConfigMap> {
    let source = valid.function.spec.source.as_ref()?;
    let text = if is_encoded(&source.inline) { STANDARD.encode(&source.inline) } else { source.inline.clone() };
    Some(ConfigMap {
        metadata: metadata(valid, &valid.revision, BTreeMap::new()),
        data: Some(BTreeMap::from([(names::SOURCE_KEY.to_owned(), text)])),
        immutable: Some(true),
        ..ConfigMap::default()
    })
}

/// What a runtime is told by the environment.
pub(super) fn environment(valid: &Valid) -> Vec<EnvVar> {
    let Some(source) = &valid.function.spec.source else { return Vec::new() };
    let plain = |name: &str, value: String| EnvVar { name: name.to_owned(), value: Some(value), value_from: None };
    let key = ConfigMapKeySelector { name: valid.revision.clone(), key: names::SOURCE_KEY.to_owned(), optional: None };
    let value_from = Some(EnvVarSource { config_map_key_ref: Some(key), ..EnvVarSource::default() });
    let mut all = vec![
        // Kubernetes takes two dollars in a value for one.
        plain(TARGET, source.entrypoint.replace('$', "$$")),
        plain(CPU, valid.cpu_milli.to_string()),
        plain(HEAP, heap_mib(valid.memory_mib).to_string()),
        EnvVar { name: SOURCE.to_owned(), value: None, value_from },
    ];
    if is_encoded(&source.inline) {
        all.push(plain(ENCODING, "base64".to_owned()));
    }
    // Last: they may refer to those above.
    let own = |name: &str| valid.function.spec.env.iter().any(|e| e.name == name);
    let of_runtime = valid.runtime.iter().flat_map(|runtime| &runtime.env);
    all.extend(of_runtime.filter(|(name, _)| !own(name)).map(|(name, value)| plain(name, value.clone())));
    all
}

/// Half of a small memory, and all of a large one but [`BESIDE_HEAP`].
fn heap_mib(memory_mib: i128) -> i128 {
    (memory_mib / 2).max(memory_mib - BESIDE_HEAP)
}

fn is_encoded(text: &str) -> bool {
    text.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::heap_mib;

    #[test]
    fn a_heap_leaves_room_for_the_rest() {
        for (memory, heap) in [(8, 4), (128, 64), (256, 128), (512, 256), (1024, 768), (4096, 3840)] {
            assert_eq!(heap_mib(memory), heap, "{memory}");
        }
    }
}
