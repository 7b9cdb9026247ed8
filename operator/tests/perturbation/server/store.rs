//! The objects, as an API server keeps them: one version for all, ownership of fields, generations, deletion.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    fields::{self, Owner},
    kind::{self, Kind},
    patch,
};

/// When the clock of this world starts: 2026-01-01.
const START: i64 = 1_767_225_600;
/// Finalizer of a deletion that waits for what belongs to the object.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";

/// Names an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) plural: &'static str,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(kind: &'static Kind, namespace: &str, name: &str) -> Self {
        Self { plural: kind.plural, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    fn kind(&self) -> &'static Kind {
        kind::of(self.plural).expect("a key has a kind")
    }
}

/// What is written: the object itself, or a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Main,
    Status,
    Scale,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Main => "",
            Self::Status => "status",
            Self::Scale => "scale",
        }
    }
}

/// A request that is not carried out.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(code: u16, reason: &'static str, message: &str) -> Self {
        Self { code, reason, message: message.to_owned() }
    }

    pub(crate) fn conflict(message: &str) -> Self {
        Self::new(409, "Conflict", message)
    }

    pub(super) fn invalid(message: &str) -> Self {
        Self::new(422, "Invalid", message)
    }

    fn missing(key: &Key) -> Self {
        Self::new(404, "NotFound", &format!("{} {} not found", key.plural, key.name))
    }
}

/// One change of one object.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) key: Key,
    pub(super) before: Option<Arc<Value>>,
    /// After it; of a deletion, the object as it was, with the version of the deletion.
    pub(super) object: Arc<Value>,
    pub(super) deleted: bool,
}

struct Record {
    value: Arc<Value>,
    owners: Vec<Owner>,
}

/// All objects and all changes.
pub(crate) struct Store {
    objects: BTreeMap<Key, Record>,
    pub(super) log: Vec<Change>,
    version: u64,
    names: u64,
    started: Instant,
}

type Written = Result<Arc<Value>, Refusal>;

impl Store {
    pub(super) fn new() -> Self {
        Self { objects: BTreeMap::new(), log: Vec::new(), version: 1000, names: 0, started: Instant::now() }
    }

    /// The version of the newest change.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// A number that was never given before.
    pub(crate) fn number(&mut self) -> u64 {
        self.names += 1;
        self.names
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.objects.get(key).map(|record| Arc::clone(&record.value))
    }

    /// All objects of a kind.
    pub(crate) fn all(&self, plural: &str) -> Vec<(Key, Arc<Value>)> {
        let of_kind = self.objects.iter().filter(|(key, _)| key.plural == plural);
        of_kind.map(|(key, record)| (key.clone(), Arc::clone(&record.value))).collect()
    }

    /// Every object.
    pub(crate) fn everything(&self) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        self.objects.iter().map(|(key, record)| (key, &record.value))
    }

    /// The objects of a kind as they were at an earlier version.
    pub(super) fn at(&self, plural: &str, version: u64) -> Vec<(Key, Arc<Value>)> {
        let mut then = BTreeMap::new();
        for change in self.log.iter().filter(|change| change.key.plural == plural && change.version <= version) {
            if change.deleted {
                then.remove(&change.key);
            } else {
                then.insert(change.key.clone(), Arc::clone(&change.object));
            }
        }
        then.into_iter().collect()
    }

    pub(crate) fn create(&mut self, key: &Key, mut body: Value, manager: &str) -> Written {
        if self.objects.contains_key(key) {
            return Err(Refusal::new(409, "AlreadyExists", &format!("{} {} already exists", key.plural, key.name)));
        }
        let kind = key.kind();
        if kind.status && kind.plural != "pods" {
            body.as_object_mut().unwrap().remove("status");
        }
        body["apiVersion"] = json!(kind.api_version);
        body["kind"] = json!(kind.kind);
        body["metadata"]["name"] = json!(key.name);
        body["metadata"]["namespace"] = json!(key.namespace);
        body["metadata"]["uid"] = json!(format!("00000000-0000-4000-8000-{:012}", self.number()));
        body["metadata"]["creationTimestamp"] = json!(self.time());
        kind::default(kind, &mut body);
        let mut owners = Vec::new();
        fields::took(&mut owners, (manager, "Update", ""), &fields::Leaves::new(), &fields::leaves(&body));
        Ok(self.commit(key, body, owners))
    }

    /// Writes a part of an object; the rest of what `change` does is lost.
    pub(crate) fn update(
        &mut self,
        key: &Key,
        part: Part,
        manager: &str,
        change: impl FnOnce(&mut Value) -> Result<(), Refusal>,
    ) -> Written {
        let record = self.objects.get(key).ok_or_else(|| Refusal::missing(key))?;
        let (before, mut owners) = (Arc::clone(&record.value), record.owners.clone());
        let mut after = Value::clone(&before);
        change(&mut after)?;
        match part {
            Part::Main => {
                if key.kind().status {
                    after["status"] = before["status"].clone();
                }
                for field in
                    ["uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "managedFields"]
                {
                    after["metadata"][field] = before["metadata"][field].clone();
                }
                if key.plural == "deployments" && after["spec"]["selector"] != before["spec"]["selector"] {
                    return Err(Refusal::invalid("spec.selector: field is immutable"));
                }
                kind::default(key.kind(), &mut after);
            }
            Part::Status => {
                let status = after["status"].take();
                after = Value::clone(&before);
                after["status"] = status;
            }
            Part::Scale => {
                let replicas = after["spec"]["replicas"].take();
                after = Value::clone(&before);
                after["spec"]["replicas"] = replicas;
            }
        }
        tidy(&mut after);
        if after == *before {
            return Ok(before);
        }
        let who = (manager, "Update", part.name());
        fields::took(&mut owners, who, &fields::leaves(&before), &fields::leaves(&after));
        Ok(self.commit(key, after, owners))
    }

    /// A merge patch; a version in it is a condition.
    pub(crate) fn merge(&mut self, key: &Key, part: Part, manager: &str, body: &Value) -> Written {
        self.update(key, part, manager, |object| {
            let version = &body["metadata"]["resourceVersion"];
            if !version.is_null() && *version != object["metadata"]["resourceVersion"] {
                return Err(Refusal::conflict(
                    "the object has been modified; please apply your changes to the latest version",
                ));
            }
            json_patch::merge(object, body);
            Ok(())
        })
    }

    pub(crate) fn json_patch(&mut self, key: &Key, part: Part, manager: &str, body: &Value) -> Written {
        self.update(key, part, manager, |object| patch::operations(object, body))
    }

    /// Server-side apply.
    pub(crate) fn apply(&mut self, key: &Key, manager: &str, force: bool, body: &Value) -> Written {
        let given = |field: &str| Some(&body["metadata"][field]).filter(|value| !value.is_null());
        let Some(record) = self.objects.get(key) else {
            if given("uid").is_some() {
                return Err(Refusal::conflict("Precondition failed: UID in precondition, no object"));
            }
            let made = self.create(key, body.clone(), manager)?;
            if let Some(record) = self.objects.get_mut(key) {
                record.owners.iter_mut().for_each(|owner| owner.operation = "Apply");
                let wanted = fields::leaves(body);
                record.owners.iter_mut().for_each(|owner| owner.paths.retain(|path| wanted.contains_key(path)));
            }
            return Ok(made);
        };
        for field in ["uid", "resourceVersion"] {
            if given(field).is_some_and(|value| *value != record.value["metadata"][field]) {
                return Err(Refusal::conflict(&format!("Precondition failed: metadata.{field}")));
            }
        }
        let (before, mut owners) = (Arc::clone(&record.value), record.owners.clone());
        let mut config = body.clone();
        config.as_object_mut().unwrap().remove("status");
        let (wanted, live) = (fields::leaves(&config), fields::leaves(&before));
        let mine = |owner: &Owner| owner.manager == manager && owner.operation == "Apply";
        let differs = |path: &String| wanted.get(path) != live.get(path);
        if !force
            && owners
                .iter()
                .any(|owner| !mine(owner) && owner.paths.iter().any(|p| wanted.contains_key(p) && differs(p)))
        {
            return Err(Refusal::conflict("Apply failed with conflicts"));
        }
        let mut after = Value::clone(&before);
        let others = |path: &String| owners.iter().any(|owner| !mine(owner) && owner.paths.contains(path));
        for path in owners.iter().filter(|owner| mine(owner)).flat_map(|owner| &owner.paths) {
            if !wanted.contains_key(path) && !others(path) {
                fields::remove(&mut after, path);
            }
        }
        for part in ["labels", "annotations", "ownerReferences", "finalizers"] {
            if let Some(config) = given(part) {
                fields::merge(part, &mut after["metadata"][part], config);
            }
        }
        for (part, config) in config.as_object().into_iter().flatten().filter(|(part, _)| *part != "metadata") {
            fields::merge(part, &mut after[part.as_str()], config);
        }
        kind::default(key.kind(), &mut after);
        for owner in owners.iter_mut().filter(|owner| !mine(owner)) {
            owner.paths.retain(|path| !wanted.contains_key(path) || !differs(path));
        }
        owners.retain(|owner| !mine(owner) && !owner.paths.is_empty());
        let paths = wanted.into_keys().collect();
        owners.push(Owner { manager: manager.to_owned(), operation: "Apply", subresource: "", paths });
        tidy(&mut after);
        Ok(self.commit(key, after, owners))
    }

    /// Deletes, at once or, with `foreground` or finalizers, once nothing holds it any more. `conditions`: uid and version.
    pub(crate) fn delete(&mut self, key: &Key, conditions: &Value, foreground: bool) -> Result<(), Refusal> {
        let object = self.get(key).ok_or_else(|| Refusal::missing(key))?;
        for field in ["uid", "resourceVersion"] {
            if !conditions[field].is_null() && conditions[field] != object["metadata"][field] {
                return Err(Refusal::conflict(&format!("Precondition failed: {field}")));
            }
        }
        let held = object["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
        if !held && !foreground {
            self.remove(key);
            return Ok(());
        }
        self.terminate(key, foreground);
        Ok(())
    }

    /// Marks an object as one that goes.
    pub(crate) fn terminate(&mut self, key: &Key, foreground: bool) {
        let Some(record) = self.objects.get(key) else { return };
        let (mut after, owners) = (Value::clone(&record.value), record.owners.clone());
        if after["metadata"]["deletionTimestamp"].is_null() {
            after["metadata"]["deletionTimestamp"] = json!(self.time());
            if foreground {
                after["metadata"]["finalizers"] = json!([FOREGROUND]);
            }
            self.commit(key, after, owners);
        }
    }

    /// Takes an object away.
    pub(crate) fn remove(&mut self, key: &Key) {
        let Some(record) = self.objects.remove(key) else { return };
        self.version += 1;
        let mut last = Value::clone(&record.value);
        last["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let change = Change {
            version: self.version,
            key: key.clone(),
            before: Some(record.value),
            object: Arc::new(last),
            deleted: true,
        };
        self.log.push(change);
    }

    /// Keeps an object if it is another than before.
    fn commit(&mut self, key: &Key, mut object: Value, owners: Vec<Owner>) -> Arc<Value> {
        let record = self.objects.get(key);
        if let Some(record) = record.filter(|record| *record.value == object && record.owners == owners) {
            return Arc::clone(&record.value);
        }
        let before = record.map(|record| Arc::clone(&record.value));
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        object["metadata"]["managedFields"] = fields::managed(&owners, key.kind().api_version);
        if key.kind().generation {
            let generation = before.as_ref().map_or(0, |before| before["metadata"]["generation"].as_i64().unwrap_or(0));
            let same = before.as_ref().is_some_and(|before| before["spec"] == object["spec"]);
            object["metadata"]["generation"] = json!(if same { generation } else { generation + 1 });
        }
        let value = Arc::new(object);
        let change =
            Change { version: self.version, key: key.clone(), before, object: Arc::clone(&value), deleted: false };
        self.log.push(change);
        self.objects.insert(key.clone(), Record { value: Arc::clone(&value), owners });
        let leaves = !value["metadata"]["deletionTimestamp"].is_null();
        if leaves && key.plural != "pods" && value["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty) {
            self.remove(key);
        }
        value
    }

    fn time(&self) -> String {
        let seconds = i64::try_from(self.started.elapsed().as_secs()).unwrap_or(0);
        Timestamp::from_second(START + seconds).unwrap().to_string()
    }
}

/// Takes nulls out of the metadata, where they stand for what is not there.
fn tidy(object: &mut Value) {
    if object["status"].is_null() {
        object.as_object_mut().unwrap().remove("status");
    }
    object["metadata"].as_object_mut().unwrap().retain(|_, value| !value.is_null());
}
