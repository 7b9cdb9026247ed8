//! Which host and path belong to which Function. Pure, and shared: the operator judges Triggers with it, the activator
//! routes with it, so both always agree.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::net::Ipv6Addr;

use crate::trigger::{Method, PathKind, PathMatch};

/// The domains under which functions have addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domains {
    /// Outside the cluster: `NAME.NAMESPACE.EXTERNAL`.
    pub external: String,
    /// Inside it: `NAME.NAMESPACE.svc.CLUSTER`.
    pub cluster: String,
}

/// What a host name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// A function's own address.
    Function {
        /// Name of the Function.
        name: &'a str,
        /// Its namespace.
        namespace: &'a str,
    },
    /// One label: a function without its namespace.
    Bare(&'a str),
    /// Anything else: a Trigger may claim it.
    Other(&'a str),
}

/// The host of an authority in the form in which hosts are compared: without port and final dot, in lower case. `None`
/// for what is no host. Copies only what is not in that form.
pub fn normalise(authority: &str) -> Option<Cow<'_, str>> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (ip, port) = rest.split_once(']')?;
        let ip: Ipv6Addr = ip.parse().ok()?;
        let fine = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return fine.then(|| format!("[{ip}]").into());
    }
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.len() > 253 || !is_port(port) {
        return None;
    }
    Some(if has_capitals(host)? { host.to_ascii_lowercase().into() } else { host.into() })
}

/// Looks through the labels of a host name; `None` for what is none.
fn has_capitals(host: &str) -> Option<bool> {
    let (mut capitals, mut empty) = (false, true);
    for byte in host.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => empty = false,
            b'A'..=b'Z' => (capitals, empty) = (true, false),
            b'.' if !empty => empty = true,
            _ => return None,
        }
    }
    (!empty).then_some(capitals)
}

/// RFC 3986, section 3.2.3: digits, or none at all.
fn is_port(text: &str) -> bool {
    text.is_empty() || (text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok())
}

impl Domains {
    /// Classifies a host that [`normalise`] returned. The forms of a function's own address are `NAME.NAMESPACE`, and
    /// that with `.svc`, `.svc.CLUSTER` or `.EXTERNAL` behind it.
    pub fn classify<'a>(&self, host: &'a str) -> Host<'a> {
        let strip = |suffix: &str| host.strip_suffix(suffix).and_then(|rest| rest.strip_suffix('.'));
        let stem = strip(&self.cluster)
            .and_then(|rest| rest.strip_suffix(".svc"))
            .or_else(|| strip("svc"))
            .or_else(|| strip(&self.external))
            .unwrap_or(host);
        match stem.split_once('.') {
            Some((name, namespace)) if !name.is_empty() && !namespace.is_empty() && !namespace.contains('.') => {
                Host::Function { name, namespace }
            }
            None if stem == host => Host::Bare(host),
            _ => Host::Other(host),
        }
    }
}

/// Namespace and name of a Trigger.
pub type TriggerKey = (String, String);

/// What one Trigger asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The Trigger.
    pub key: TriggerKey,
    /// Its creation, in seconds since 1970: the older claim wins.
    pub created: i64,
    /// The Function, in the Trigger's namespace.
    pub function: String,
    /// Hosts, as written.
    pub hosts: Vec<String>,
    /// Path.
    pub path: PathMatch,
    /// Methods; empty = all.
    pub methods: Vec<Method>,
}

/// What becomes of a claim. It holds or falls as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// In force.
    Routed,
    /// This host is a function's own address.
    HostReserved(String),
    /// An older Trigger has this route, given as `METHOD host/path`.
    Conflict {
        /// The older Trigger.
        with: TriggerKey,
        /// The route that both claim.
        route: String,
    },
}

/// The path of a claim as it is compared: a prefix has no final slash.
pub fn canonical(path: &PathMatch) -> (PathKind, &str) {
    match path.kind {
        PathKind::Exact => (PathKind::Exact, path.value.as_str()),
        PathKind::Prefix => (PathKind::Prefix, path.value.trim_end_matches('/')),
    }
}

/// Judges all claims of a cluster: the older `created` first, then namespace and name. A claim that falls claims
/// nothing, so it does not take a route from a younger one.
pub fn judge<'a>(claims: impl IntoIterator<Item = &'a Claim>, domains: &Domains) -> BTreeMap<TriggerKey, Verdict> {
    type Route<'a> = (String, (PathKind, &'a str), Option<Method>);
    let mut ordered: Vec<&Claim> = claims.into_iter().collect();
    ordered.sort_by(|a, b| (a.created, &a.key).cmp(&(b.created, &b.key)));
    let mut taken: HashMap<Route<'a>, &TriggerKey> = HashMap::new();
    let mut verdicts = BTreeMap::new();
    for claim in ordered {
        let hosts: Vec<String> = claim.hosts.iter().filter_map(|host| normalise(host)).map(Cow::into_owned).collect();
        let reserved = hosts.iter().find(|host| !matches!(domains.classify(host), Host::Other(_)));
        if let Some(host) = reserved {
            verdicts.insert(claim.key.clone(), Verdict::HostReserved(host.clone()));
            continue;
        }
        let methods =
            if claim.methods.is_empty() { vec![None] } else { claim.methods.iter().copied().map(Some).collect() };
        let path = canonical(&claim.path);
        let routes: Vec<Route<'a>> =
            hosts.iter().flat_map(|host| methods.iter().map(move |method| (host.clone(), path, *method))).collect();
        let clash = routes.iter().find_map(|route| taken.get(route).map(|with| (route, *with)));
        let verdict = match clash {
            Some(((host, _, method), with)) => {
                let method = method.map_or("any method", Method::as_str);
                Verdict::Conflict { with: with.clone(), route: format!("{method} {host}{}", claim.path.value) }
            }
            None => {
                taken.extend(routes.into_iter().map(|route| (route, &claim.key)));
                Verdict::Routed
            }
        };
        verdicts.insert(claim.key.clone(), verdict);
    }
    verdicts
}

/// Whether `path` (of a request, without its query) is covered.
pub fn covers(pattern: &PathMatch, path: &str) -> bool {
    let (kind, value) = canonical(pattern);
    match kind {
        PathKind::Exact => path == value,
        PathKind::Prefix => path.strip_prefix(value).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
    }
}

/// Whether every path is covered.
pub fn covers_all(pattern: &PathMatch) -> bool {
    canonical(pattern) == (PathKind::Prefix, "")
}

/// Order of preference among patterns that cover one path: exact first, then the longer.
pub fn preference(pattern: &PathMatch) -> (bool, usize) {
    let (kind, value) = canonical(pattern);
    (kind == PathKind::Exact, value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domains() -> Domains {
        Domains { external: "localhost".into(), cluster: "cluster.local".into() }
    }

    #[test]
    fn every_form_of_an_address_names_its_function() {
        let d = domains();
        for host in ["hello.shop", "hello.shop.svc", "hello.shop.svc.cluster.local", "hello.shop.localhost"] {
            assert_eq!(d.classify(host), Host::Function { name: "hello", namespace: "shop" }, "{host}");
        }
        assert_eq!(d.classify("hello"), Host::Bare("hello"));
        for host in ["api.example.com", "a.hello.shop.localhost", "hello.localhost", "x.svc", "a.b.c.svc.cluster.local"]
        {
            let seen = d.classify(host);
            assert!(!matches!(seen, Host::Bare(_)), "{host}: {seen:?}");
        }
        assert_eq!(d.classify("api.example.com"), Host::Other("api.example.com"));
        assert_eq!(d.classify("a.hello.shop.localhost"), Host::Other("a.hello.shop.localhost"));
    }

    #[test]
    fn hosts_are_compared_without_port_case_and_final_dot() {
        for (authority, host) in [
            ("Hello.Shop:8080", Some("hello.shop")),
            ("hello.shop.", Some("hello.shop")),
            ("hello.shop.:80", Some("hello.shop")),
            ("[::1]:80", Some("[::1]")),
            ("", None),
            (":80", None),
            ("a..", None),
            ("a..b", None),
            (".a", None),
            ("a/b", None),
            ("a@b", None),
            ("a:b", None),
            ("a:65536", None),
            ("a:80:80", None),
            ("a:+1", None),
            ("[::1]80", None),
            ("[::1]:x", None),
            ("[a]", None),
            ("a:", Some("a")),
        ] {
            assert_eq!(normalise(authority).as_deref(), host, "{authority}");
        }
    }

    fn claim(name: &str, created: i64, host: &str, path: &str, methods: &[Method]) -> Claim {
        Claim {
            key: ("shop".into(), name.into()),
            created,
            function: "f".into(),
            hosts: vec![host.into()],
            path: PathMatch { kind: PathKind::Prefix, value: path.into() },
            methods: methods.to_vec(),
        }
    }

    #[test]
    fn the_older_claim_keeps_the_route() {
        let claims = [
            claim("young", 2, "api.example.com", "/a/", &[]),
            claim("old", 1, "api.example.com", "/a", &[]),
            claim("method", 3, "api.example.com", "/a", &[Method::Post]),
            claim("elsewhere", 3, "api.example.org", "/a", &[]),
            claim("tie-b", 4, "tie.example.com", "/", &[]),
            claim("tie-a", 4, "tie.example.com", "/", &[]),
            claim("thief", 0, "hello.default.svc", "/", &[]),
        ];
        let verdicts = judge(&claims, &domains());
        let of = |name: &str| &verdicts[&("shop".to_owned(), name.to_owned())];
        assert_eq!(*of("old"), Verdict::Routed);
        assert_eq!(
            *of("young"),
            Verdict::Conflict { with: ("shop".into(), "old".into()), route: "any method api.example.com/a/".into() }
        );
        assert_eq!(*of("method"), Verdict::Routed);
        assert_eq!(*of("elsewhere"), Verdict::Routed);
        assert_eq!(*of("tie-a"), Verdict::Routed);
        assert!(matches!(of("tie-b"), Verdict::Conflict { .. }));
        assert_eq!(*of("thief"), Verdict::HostReserved("hello.default.svc".into()));
    }

    #[test]
    fn a_claim_that_falls_takes_nothing() {
        let mut both = claim("second", 2, "a.example.com", "/", &[]);
        both.hosts.push("b.example.com".into());
        let claims = [claim("first", 1, "a.example.com", "/", &[]), both, claim("third", 3, "b.example.com", "/", &[])];
        let verdicts = judge(&claims, &domains());
        assert_eq!(verdicts[&("shop".to_owned(), "third".to_owned())], Verdict::Routed);
    }

    #[test]
    fn a_prefix_covers_whole_segments() {
        let prefix = |value: &str| PathMatch { kind: PathKind::Prefix, value: value.into() };
        let exact = PathMatch { kind: PathKind::Exact, value: "/a".into() };
        for (pattern, path, covered) in [
            (&prefix("/"), "/", true),
            (&prefix("/"), "/x/y", true),
            (&prefix("/a"), "/a", true),
            (&prefix("/a"), "/a/b", true),
            (&prefix("/a/"), "/a", true),
            (&prefix("/a"), "/ab", false),
            (&exact, "/a", true),
            (&exact, "/a/", false),
        ] {
            assert_eq!(covers(pattern, path), covered, "{pattern:?} {path}");
        }
        assert!(preference(&exact) > preference(&prefix("/a/b")));
        assert!(preference(&prefix("/a/b")) > preference(&prefix("/a")));
    }
}
