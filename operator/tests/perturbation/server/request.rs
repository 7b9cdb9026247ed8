//! A request, taken apart.

use std::collections::BTreeMap;

use http::{Method, request::Parts};
use serde_json::Value;

use super::{
    kind::{self, Kind},
    store::{Key, Part, Store},
};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Apply,
    Merge,
    JsonPatch,
    Delete,
}

impl Verb {
    pub(crate) fn writes(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Apply => "apply",
            Self::Merge | Self::JsonPatch => "patch",
            Self::Delete => "delete",
        }
    }
}

/// A request, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) verb: Verb,
    pub(crate) kind: &'static Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) part: Part,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) metadata_only: bool,
    pub(crate) body: Value,
}

impl Request {
    /// `None`: this server knows nothing of the kind.
    pub(crate) fn parse(head: &Parts, body: Value) -> Option<Self> {
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let query: BTreeMap<String, String> = head
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (decode(key), decode(value)))
            .collect();
        let mut path = head.uri.path().trim_start_matches('/').split('/');
        let group = match path.next()? {
            "api" => path.next()?.to_owned(),
            "apis" => format!("{}/{}", path.next()?, path.next()?),
            _ => return None,
        };
        let mut rest: Vec<&str> = path.collect();
        let namespace =
            if rest.first() == Some(&"namespaces") { rest.drain(..2).nth(1)?.to_owned() } else { String::new() };
        let kind = kind::of(rest.first()?)?;
        if kind.api_version != group {
            return None;
        }
        let part = match rest.get(2) {
            None => Part::Main,
            Some(&"status") if kind.status => Part::Status,
            Some(&"scale") if kind.plural == "deployments" => Part::Scale,
            Some(_) => return None,
        };
        let named = rest.get(1).map(|name| (*name).to_owned());
        let verb = match (head.method.clone(), header("content-type")) {
            (Method::GET, _) if named.is_some() => Verb::Get,
            (Method::GET, _) if query.get("watch").is_some_and(|watch| watch == "true") => Verb::Watch,
            (Method::GET, _) => Verb::List,
            (Method::POST, _) => Verb::Create,
            (Method::DELETE, _) => Verb::Delete,
            (Method::PATCH, "application/apply-patch+yaml") => Verb::Apply,
            (Method::PATCH, "application/merge-patch+json") => Verb::Merge,
            (Method::PATCH, "application/json-patch+json") => Verb::JsonPatch,
            _ => return None,
        };
        let name = named.or_else(|| body["metadata"]["name"].as_str().map(str::to_owned)).unwrap_or_default();
        let metadata_only = header("accept").contains("as=PartialObjectMetadata");
        Some(Self { verb, kind, namespace, name, part, query, metadata_only, body })
    }

    pub(crate) fn key(&self) -> Key {
        Key::new(self.kind, &self.namespace, &self.name)
    }

    pub(crate) fn query(&self, key: &str) -> &str {
        self.query.get(key).map(String::as_str).unwrap_or_default()
    }

    /// Who writes.
    pub(crate) fn manager(&self) -> &str {
        match self.query("fieldManager") {
            "" => "rouse",
            manager => manager,
        }
    }

    /// What a write is called in a plan: the same in every run.
    pub(crate) fn words(&self, store: &Store) -> String {
        let name = match self.kind.plural {
            // Their names are made of the time of day.
            "events" => {
                let there = store.get(&self.key());
                let event = there.as_deref().unwrap_or(&self.body);
                event["reason"].as_str().unwrap_or_default().to_owned()
            }
            _ => self.name.clone(),
        };
        let part = match self.part {
            Part::Main => "",
            Part::Status => "/status",
            Part::Scale => "/scale",
        };
        format!("{} {} {name}{part}", self.verb.word(), self.kind.plural)
    }

    /// Whether an object is asked for, by its namespace and labels.
    pub(crate) fn selects(&self, key: &Key, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        let fits = |term: &str| match term.split_once('=') {
            Some((label, value)) => labels[label] == value,
            None => !labels[term].is_null(),
        };
        (self.namespace.is_empty() || self.namespace == key.namespace)
            && self.query("labelSelector").split(',').filter(|term| !term.is_empty()).all(fits)
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let hex: Vec<u8> = rest.by_ref().take(2).collect();
                let hex = String::from_utf8(hex).unwrap();
                bytes.push(u8::from_str_radix(&hex, 16).unwrap());
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).unwrap()
}
