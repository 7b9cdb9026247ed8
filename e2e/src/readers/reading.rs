//! What a server has read of a request, in one form for all servers.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde::Deserialize;

/// One request. Text has one letter for each byte.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Reading {
    /// Method.
    pub method: String,
    /// Target, as it came.
    pub target: String,
    /// Value of `Host`.
    pub host: String,
    /// All other fields, names in small letters.
    pub fields: Vec<(String, String)>,
    /// Body, in hexadecimal digits.
    pub body: String,
}

/// Fields that a proxy does not pass on, but says itself to whoever comes next.
const OF_THE_HOP: [&str; 6] = ["connection", "keep-alive", "te", "transfer-encoding", "upgrade", "content-length"];

impl Reading {
    /// From hexadecimal digits of JSON.
    ///
    /// # Errors
    /// When they are none.
    pub(super) fn parse(digits: &str) -> Result<Self> {
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let text: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
        let text = text.with_context(|| format!("no hexadecimal digits: {digits}"))?;
        serde_json::from_slice(&text).with_context(|| String::from_utf8_lossy(&text).into_owned())
    }

    /// What all readers can be asked about: without names that some of them leave out, in one order.
    #[must_use]
    pub fn comparable(mut self) -> Self {
        let common = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        self.fields.retain(|(name, _)| common(name) && name != "expect");
        // Stable: the order of fields of one name counts.
        self.fields.sort_by(|a, b| a.0.cmp(&b.0));
        self
    }

    /// The same of a reader behind a proxy: without what the proxy says itself.
    #[must_use]
    pub fn behind_a_proxy(mut self) -> Self {
        self.fields.retain(|(name, _)| !OF_THE_HOP.contains(&name.as_str()));
        self
    }

    /// The same without its fields, with its target as a path and its host as hosts are compared: what any two readers of the caller's own bytes must
    /// agree on.
    #[must_use]
    pub fn gist(mut self) -> Self {
        self.fields.clear();
        self.host = self.host.trim().to_ascii_lowercase();
        let Some((scheme, rest)) = self.target.split_once("://") else { return self };
        if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") {
            let path = rest.find(['/', '?']).map_or("", |at| &rest[at..]);
            self.target = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        }
        self
    }

    /// In what the two differ, in one line.
    pub fn differs_from(&self, other: &Self) -> Option<String> {
        let pairs = [
            ("method", &self.method, &other.method),
            ("target", &self.target, &other.target),
            ("host", &self.host, &other.host),
            ("body", &self.body, &other.body),
        ];
        let mut said: Vec<String> = pairs
            .into_iter()
            .filter(|(_, own, others)| own != others)
            .map(|(what, own, others)| format!("{what} {own:?}, not {others:?}"))
            .collect();
        if self.fields != other.fields {
            let (own, others): (BTreeSet<_>, BTreeSet<_>) =
                (self.fields.iter().collect(), other.fields.iter().collect());
            let (more, less): (Vec<_>, Vec<_>) = (own.difference(&others).collect(), others.difference(&own).collect());
            said.push(format!("fields more {more:?}, less {less:?}"));
        }
        (!said.is_empty()).then(|| said.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(target: &str, fields: &[(&str, &str)]) -> Reading {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Reading { method: "GET".into(), target: target.into(), host: "a".into(), fields, body: "6f6b".into() }
    }

    #[test]
    fn digits_are_read() {
        let json = r#"{"method":"GET","target":"/","host":"a","fields":[["b","c"]],"body":"6f6b"}"#;
        let digits: String = json.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(Reading::parse(&digits).unwrap(), reading("/", &[("b", "c")]));
        assert!(Reading::parse("7b7").is_err() && Reading::parse("zz").is_err());
    }

    #[test]
    fn the_order_of_names_does_not_count_and_that_of_values_does() {
        let one = reading("/", &[("b", "1"), ("a", "x"), ("b", "2"), ("a_b", "y")]).comparable();
        assert_eq!(one, reading("/", &[("a", "x"), ("b", "1"), ("b", "2")]).comparable());
        assert_ne!(one, reading("/", &[("a", "x"), ("b", "2"), ("b", "1")]).comparable());
        let bare = reading("/", &[("content-length", "2"), ("a", "x")]).behind_a_proxy();
        assert_eq!(bare.fields, reading("/", &[("a", "x")]).fields);
    }

    #[test]
    fn a_whole_url_is_its_path() {
        let target = |target| reading(target, &[("a", "b")]).gist().target;
        assert_eq!(target("HTTP://a/b?c"), "/b?c");
        assert_eq!(target("http://a?c://d"), "/?c://d");
        assert_eq!(target("http://a"), "/");
        assert_eq!(target("/a://b"), "/a://b");
    }

    #[test]
    fn a_difference_is_named() {
        let one = reading("/", &[("a", "b")]);
        assert_eq!(one.differs_from(&one), None);
        let said = one.differs_from(&reading("/x", &[("a", "c")])).unwrap();
        assert!(said.contains("target") && said.contains(r#""c""#) && !said.contains("body"), "{said}");
    }
}
