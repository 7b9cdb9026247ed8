//! What runs source: the runtimes of this installation.

use std::{collections::BTreeMap, str::FromStr};

use crds::{Amount, revision::hash8};
use serde::{Deserialize, Serialize};

use crate::function::validate::LEAST_MEMORY;

/// A runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runtime {
    /// Its image, with tag or digest.
    pub image: String,
    /// What its functions have that ask for nothing else.
    #[serde(default)]
    pub resources: Defaults,
    /// Environment variables of its functions, ahead of those in their `env`, which win. May refer to `$(ROUSE_HEAP_MIB)`.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// Resources for who asks for none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// Memory, request and limit alike.
    #[serde(default)]
    pub memory: Option<Amount>,
    /// CPU request.
    #[serde(default)]
    pub cpu: Option<Amount>,
}

impl Runtime {
    /// What changes with anything that pods have of it: the image, and of the rest a hash, if there is any.
    pub fn fingerprint(&self) -> String {
        let rest = Self { image: String::new(), ..self.clone() };
        if rest == Self::default() {
            return self.image.clone();
        }
        format!("{},{}", self.image, hash8(&serde_json::to_vec(&rest).unwrap_or_default()))
    }

    fn check(&self) -> Result<(), String> {
        if self.image.is_empty() || self.image.contains(char::is_whitespace) {
            return Err("has no image".to_owned());
        }
        let Defaults { memory, cpu } = &self.resources;
        for (what, amount, least) in [("memory", memory, LEAST_MEMORY), ("cpu", cpu, 1)] {
            match amount.as_ref().map(Amount::milli) {
                Some(Err(error)) => return Err(format!("has resources.{what} that cannot be read: {error}")),
                Some(Ok(milli)) if milli < least => {
                    return Err(format!(
                        "has resources.{what} below the least, which is 8Mi of memory and 1m of a core"
                    ));
                }
                _ => {}
            }
        }
        match self.env.keys().find(|name| is_reserved(name)) {
            Some(name) => Err(format!("has the variable {name}, which Rouse sets itself")),
            None => Ok(()),
        }
    }
}

/// Whether Rouse sets that environment variable in pods with source.
pub fn is_reserved(name: &str) -> bool {
    name == "PORT" || name == "FUNCTION_TARGET" || name.starts_with("ROUSE_")
}

/// The runtimes by name, as the chart's values have them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Runtimes(BTreeMap<String, Runtime>);

impl Runtimes {
    /// The runtime of that name.
    pub fn get(&self, name: &str) -> Option<&Runtime> {
        self.0.get(name)
    }

    /// All names, in order, for people.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

impl FromStr for Runtimes {
    type Err = String;

    /// Reads `{"NAME": {"image": "…", "resources": {"memory": "…", "cpu": "…"}, "env": {"NAME": "…"}}, …}`.
    fn from_str(text: &str) -> Result<Self, String> {
        let runtimes: Self =
            serde_json::from_str(text).map_err(|error| format!("the runtimes are not understood: {error}"))?;
        for (name, runtime) in &runtimes.0 {
            runtime.check().map_err(|error| format!("the runtime {name} {error}"))?;
        }
        Ok(runtimes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_whole_or_not_at_all() {
        let two: Runtimes = r#"{"python": {"image": "a:1"}, "node": {"image": "b:1"}}"#.parse().unwrap();
        assert_eq!((two.names().as_str(), two.get("python").unwrap().image.as_str()), ("node, python", "a:1"));
        // As Helm writes a large bare number.
        let number = r#"{"python": {"image": "a:1", "resources": {"cpu": "0.5", "memory": "1.073741824e+09"}}}"#;
        assert!(number.parse::<Runtimes>().is_ok());
        assert_eq!("{}".parse::<Runtimes>().unwrap().names(), "none");
        for (wrong, says) in [
            ("", "not understood"),
            (r#"{"python": "a:1"}"#, "not understood"),
            (r#"{"python": {"image": "a", "more": 1}}"#, "not understood"),
            (r#"{"python": {"image": ""}}"#, "python has no image"),
            (
                r#"{"python": {"image": "a", "resources": {"memory": "much"}}}"#,
                "python has resources.memory that cannot be read",
            ),
            (
                r#"{"python": {"image": "a", "resources": {"memory": "4Mi"}}}"#,
                "python has resources.memory below the least",
            ),
            (r#"{"python": {"image": "a", "resources": {"cpu": 0}}}"#, "python has resources.cpu below the least"),
            (r#"{"python": {"image": "a", "resources": {"disk": "1"}}}"#, "not understood"),
            (r#"{"python": {"image": "a", "env": {"PORT": "1"}}}"#, "python has the variable PORT"),
            (r#"{"python": {"image": "a", "env": {"ROUSE_SOURCE": ""}}}"#, "python has the variable ROUSE_SOURCE"),
        ] {
            let error = wrong.parse::<Runtimes>().unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }

    #[test]
    fn whatever_pods_have_of_it_is_in_its_fingerprint() {
        let of = |text: &str| serde_json::from_str::<Runtime>(text).unwrap().fingerprint();
        assert_eq!(of(r#"{"image": "a:1"}"#), "a:1");
        let all = [
            r#"{"image": "a:1", "resources": {"memory": "1Gi"}}"#,
            r#"{"image": "a:1", "resources": {"cpu": 1}}"#,
            r#"{"image": "a:1", "env": {"A": "1"}}"#,
            r#"{"image": "a:1", "env": {"A": "2"}}"#,
        ];
        let distinct: std::collections::BTreeSet<String> = all.iter().map(|text| of(text)).collect();
        assert_eq!(distinct.len(), all.len());
        assert!(distinct.iter().all(|fingerprint| fingerprint.starts_with("a:1,")));
    }
}
