//! What users and requests do. Each step begins when what came before has calmed down.

use std::sync::Arc;

use crds::{labels, names};
use serde_json::{Value, json};

use crate::{
    activator::Activator,
    server::{Key, Part, Server, kind},
};

/// What happens, in steps.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) steps: Vec<fn(&World)>,
    /// Steps that only prepare: another scenario has things go wrong in them.
    pub(crate) prepares: usize,
    /// No pod may ever start.
    pub(crate) asleep: bool,
}

/// The cluster, for users and requests.
pub(crate) struct World {
    server: Arc<Server>,
    activator: Arc<Activator>,
}

impl World {
    /// An empty cluster, but for Rouse's own Lease.
    pub(crate) fn new(server: &Arc<Server>, activator: &Arc<Activator>) -> Self {
        let world = Self { server: Arc::clone(server), activator: Arc::clone(activator) };
        let lease = Key::new(kind("leases").unwrap(), "rouse-system", names::LEASE);
        server.change(|state| state.store.create(&lease, json!({"metadata": {}, "spec": {}}), "lease").unwrap());
        world
    }

    fn key(plural: &str, name: &str) -> Key {
        Key::new(kind(plural).unwrap(), "shop", name)
    }

    fn create(&self, plural: &str, name: &str, object: Value) {
        self.server.change(|state| state.store.create(&Self::key(plural, name), object, "kubectl").unwrap());
    }

    fn patch(&self, plural: &str, name: &str, patch: Value) {
        let key = Self::key(plural, name);
        self.server.change(|state| state.store.merge(&key, Part::Main, "kubectl", &patch).unwrap());
    }

    fn delete(&self, plural: &str, name: &str, foreground: bool) {
        let key = Self::key(plural, name);
        self.server.change(|state| state.store.delete(&key, &json!({}), foreground).unwrap());
    }

    fn get(&self, plural: &str, name: &str) -> Value {
        self.server.see(|state| Value::clone(&state.store.get(&Self::key(plural, name)).unwrap()))
    }

    /// Creates a Function with a window of 10 s.
    fn function(&self, name: &str, spec: Value) {
        let mut object =
            json!({"metadata": {}, "spec": {"image": "registry.example/hello:1", "scaling": {"windowSeconds": 10}}});
        json_patch::merge(&mut object["spec"], &spec);
        self.create("functions", name, object);
    }

    fn spec(&self, name: &str, spec: Value) {
        self.patch("functions", name, json!({"spec": spec}));
    }

    fn trigger(&self, name: &str, function: &str, host: &str) {
        let spec = json!({"functionRef": {"name": function}, "http": {"hosts": [host]}});
        self.create("triggers", name, json!({"metadata": {}, "spec": spec}));
    }

    /// Name of the revision that serves, and of its Deployment.
    fn revision(&self, function: &str) -> String {
        self.get("functions", function)["status"]["revision"].as_str().unwrap().to_owned()
    }
}

const HELLO: &str = "hello";

fn hello(world: &World) {
    world.function(HELLO, json!({}));
}

fn warm(world: &World) {
    world.function(HELLO, json!({"scaling": {"minReplicas": 2}}));
}

fn request(world: &World) {
    world.activator.request(HELLO);
}

fn second_image(world: &World) {
    world.spec(HELLO, json!({"image": "registry.example/hello:2"}));
}

fn broken_image(world: &World) {
    world.spec(HELLO, json!({"image": "registry.example/broken:1"}));
}

/// One of them.
pub(crate) fn named(name: &str) -> Scenario {
    all().into_iter().find(|scenario| scenario.name == name).unwrap()
}

/// All of them.
pub(crate) fn all() -> Vec<Scenario> {
    let asleep = |name, prepares, steps| Scenario { name, steps, prepares, asleep: true };
    let awake = |name, prepares, steps| Scenario { name, steps, prepares, asleep: false };
    vec![
        asleep("create", 0, vec![hello]),
        asleep("delete", 1, vec![hello, |world| world.delete("functions", HELLO, false)]),
        asleep("change-image", 1, vec![hello, second_image]),
        asleep("change-env", 1, vec![hello, |world| world.spec(HELLO, json!({"env": [{"name": "A", "value": "1"}]}))]),
        asleep("change-scaling", 1, vec![hello, |world| world.spec(HELLO, json!({"scaling": {"maxReplicas": 7}}))]),
        asleep(
            "create-again",
            1,
            vec![hello, |world| {
                world.delete("functions", HELLO, false);
                hello(world);
            }],
        ),
        asleep(
            "trigger",
            1,
            vec![hello, |world| world.trigger("api", HELLO, "api.example.com"), |world| {
                world.delete("functions", HELLO, false);
            }],
        ),
        asleep(
            "triggers-compete",
            1,
            vec![
                hello,
                |world| world.trigger("older", HELLO, "api.example.com"),
                |world| {
                    world.trigger("younger", HELLO, "api.example.com");
                },
                |world| world.delete("triggers", "older", false),
            ],
        ),
        asleep(
            "name-taken",
            0,
            vec![
                |world| {
                    world.create("services", HELLO, json!({"metadata": {}, "spec": {"selector": {"app": "other"}}}));
                    hello(world);
                },
                |world| {
                    let managers = world.get("services", HELLO)["metadata"]["managedFields"].clone();
                    assert_eq!(
                        managers.as_array().map(Vec::len),
                        Some(1),
                        "somebody else's Service was written: {managers}"
                    );
                    world.delete("services", HELLO, false);
                },
            ],
        ),
        asleep(
            "invalid",
            0,
            vec![|world| world.function(HELLO, json!({"resources": {"cpu": "1", "cpuLimit": "500m"}})), |world| {
                world.spec(HELLO, json!({"resources": {"cpuLimit": "2"}}))
            }],
        ),
        asleep(
            "child-deleted",
            1,
            vec![hello, |world| {
                world.delete("services", HELLO, false);
                world.delete("deployments", &world.revision(HELLO), true);
            }],
        ),
        asleep(
            "child-edited",
            1,
            vec![hello, |world| {
                world.patch("services", HELLO, json!({"spec": {"externalName": "elsewhere.example.com"}}));
                world.patch(
                    "serviceaccounts",
                    &names::service_account(HELLO),
                    json!({"metadata": {"labels": {labels::FUNCTION: null}}}),
                );
                let hosts = json!({"spec": {"template": {"spec": {"enableServiceLinks": true}}}});
                world.patch("deployments", &world.revision(HELLO), hosts);
            }],
        ),
        asleep(
            "child-edited-then-deleted",
            1,
            vec![hello, |world| {
                let revision = world.revision(HELLO);
                world.patch(
                    "deployments",
                    &revision,
                    json!({"metadata": {"labels": {labels::MANAGED_BY: "somebody"}}}),
                );
                // Who lists what is old then sees something to mend, in an object that is gone.
                world.server.change(|state| state.step = state.store.version());
                world.delete("deployments", &revision, false);
            }],
        ),
        asleep(
            "upgrade",
            1,
            vec![hello, |world| {
                let older = json!({"metadata": {"annotations": {labels::TEMPLATE_EPOCH: "0"}},
                "spec": {"template": {"spec": {"hostname": "of-an-older-version"}}}});
                world.patch("deployments", &world.revision(HELLO), older);
            }],
        ),
        awake("wake-and-idle", 1, vec![hello, request]),
        awake("create-warm", 0, vec![warm]),
        awake("min-replicas", 1, vec![hello, |world| world.spec(HELLO, json!({"scaling": {"minReplicas": 2}}))]),
        awake("warm-image", 1, vec![warm, second_image]),
        awake(
            "pause",
            1,
            vec![warm, |world| world.spec(HELLO, json!({"scaling": {"mode": "Paused"}})), |world| {
                world.spec(HELLO, json!({"scaling": {"mode": "Auto"}}));
            }],
        ),
        awake(
            "failed-start",
            1,
            vec![|world| world.function(HELLO, json!({"image": "registry.example/broken:1"})), request, |world| {
                world.spec(HELLO, json!({"image": "registry.example/hello:1"}));
            }],
        ),
        awake("failed-rollout", 1, vec![warm, broken_image, second_image]),
        awake("warm-delete", 1, vec![warm, |world| world.delete("functions", HELLO, false)]),
        awake(
            "warm-create-again",
            1,
            vec![warm, |world| {
                world.delete("functions", HELLO, false);
                warm(world);
            }],
        ),
    ]
}
