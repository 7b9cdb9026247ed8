//! Hosts and paths on their way to a function.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crds::route::{self, Claim, Domains, Host, Verdict};
use crds::trigger::{Method, PathKind, PathMatch};

use crate::function::{Function, Key, Spec};
use crate::path::target;
use crate::routes::Table;
use crate::spelling::spell;

const WORDS: &[&[u8]] = &[
    b"api.example.com",
    b"API.example.COM.",
    b"tie.example.com",
    b"hello.shop",
    b"hello.shop.svc.cluster.local",
    b"hello.shop.localhost",
    b"hello",
    b"[::1]",
    b":8080",
    b"\n/uploads",
    b"\n/uploads/big",
    b"\n/rest",
    b"\n/",
    b"/uploads",
    b"/rest",
    b"/big",
    b"/..",
    b"/.",
    b"//",
    b"/",
    b"%2e",
    b"%2F",
    b"%5c",
    b"%75ploads",
    b"%00",
    b"%",
    b"%25",
    b"\\",
    b";a=b",
    b".",
    b"s",
    b"S",
    b"\xc3\xa9",
];

fn domains() -> Domains {
    Domains { external: "localhost".into(), cluster: "cluster.local".into() }
}

fn claim(name: &str, created: i64, host: &str, kind: PathKind, path: &str, methods: &[Method]) -> Claim {
    Claim {
        key: ("shop".to_owned(), name.to_owned()),
        created,
        function: name.into(),
        hosts: vec![host.into()],
        path: PathMatch { kind, value: path.into() },
        methods: methods.to_vec(),
    }
}

/// Each Trigger leads to a function of its own name.
fn table() -> Table {
    use PathKind::{Exact, Prefix};
    let claims = [
        claim("uploads", 1, "api.example.com", Prefix, "/uploads", &[]),
        claim("big", 1, "api.example.com", Prefix, "/uploads/big/", &[]),
        claim("exact", 1, "api.example.com", Exact, "/rest", &[Method::Get]),
        claim("rest", 1, "api.example.com", Prefix, "/rest", &[]),
        claim("all", 1, "tie.example.com", Prefix, "/", &[]),
    ];
    let table = Table::new(domains());
    let names = claims.iter().map(|claim| claim.function.clone()).chain(["hello".to_owned()]);
    let functions: Vec<Arc<Function>> =
        names.map(|name| Function::new(Key::new("shop", &name), name.into(), Spec::test())).collect();
    let claims: BTreeMap<_, _> = claims.into_iter().map(|claim| (claim.key.clone(), claim)).collect();
    table.publish(functions.iter(), &claims);
    table
}

/// A path as a generous server reads it: decoded, backslashes turned, empty and dot segments resolved.
fn generously(path: &str) -> String {
    let decode = |path: &str| {
        let (mut out, bytes, mut at) = (Vec::new(), path.as_bytes(), 0);
        while at < bytes.len() {
            let digits = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
            match digits.and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok()) {
                Some(byte) => (out.push(byte), at += 3).1,
                None => (out.push(bytes[at]), at += 1).1,
            }
        }
        String::from_utf8_lossy(&out).replace('\\', "/")
    };
    let decoded = decode(path);
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

#[test]
fn routes() {
    let table = table();
    bolero::check!().for_each(|input: &[u8]| {
        let spelt = spell(input, WORDS);
        let spelt = String::from_utf8_lossy(&spelt);
        let (authority, path) = spelt.split_once('\n').unwrap_or((&spelt, "/"));
        let get = http::Method::GET;
        let host = route::normalise(authority).map(Cow::into_owned);
        if let Some(host) = &host {
            assert_eq!(route::normalise(host).as_deref(), Some(&**host), "a host in its form is in its form");
            assert_eq!(route::normalise(&format!("{host}:8080")).as_deref(), Some(&**host), "with or without a port");
            if let Host::Function { name, namespace } = domains().classify(host) {
                assert!(
                    !name.contains('.') && !namespace.contains('.') && host.starts_with(&format!("{name}.{namespace}"))
                );
            }
        }
        let found = table.find(authority, path, &get).map(|function| function.key.name.to_string());
        let Ok(name) = found else { return };
        let host = host.expect("a function for what is no host");
        if target::path(path).is_err() || name == "hello" || name == "all" {
            return;
        }
        // A Trigger that tells paths apart.
        assert_eq!(host, "api.example.com");
        let meant = generously(path);
        let under =
            |prefix: &str| meant.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let owner = match () {
            () if meant == "/rest" && !path.ends_with('/') => "exact",
            () if under("/uploads/big") => "big",
            () if under("/uploads") => "uploads",
            () if under("/rest") => "rest",
            () => "nobody",
        };
        assert_eq!(name, owner, "{path} is read as {meant}");
    });
}

/// Claims as the input says, four bytes each.
fn claims(input: &[u8]) -> Vec<Claim> {
    const HOSTS: [&str; 6] = ["a.example.com", "A.example.com.", "b.example.com", "hello.shop", "x", "a b"];
    const PATHS: [&str; 5] = ["/", "/a", "/a/", "/a/b", ""];
    let one = |(at, four): (usize, &[u8])| {
        let [host, path, method, created] = four else { return None };
        let kind = if path & 0x40 == 0 { PathKind::Prefix } else { PathKind::Exact };
        let methods: &[Method] =
            [&[] as &[Method], &[Method::Get], &[Method::Post, Method::Get]][usize::from(method % 3)];
        let mut claim = claim(
            &format!("t{at}"),
            i64::from(created % 4),
            HOSTS[usize::from(host % 6)],
            kind,
            PATHS[usize::from(path % 5)],
            methods,
        );
        if host & 0x80 != 0 {
            claim.hosts.push(HOSTS[usize::from(host / 6 % 6)].into());
        }
        Some(claim)
    };
    input.chunks(4).take(12).enumerate().filter_map(one).collect()
}

#[test]
fn verdicts() {
    bolero::check!().for_each(|input: &[u8]| {
        let claims = claims(input);
        let verdicts = route::judge(&claims, &domains());
        assert_eq!(verdicts.len(), claims.len());
        let mut backwards = claims.clone();
        backwards.reverse();
        assert_eq!(route::judge(&backwards, &domains()), verdicts, "the order of claims counts");
        let mut owners = HashMap::new();
        for claim in claims.iter().filter(|claim| verdicts[&claim.key] == Verdict::Routed) {
            for host in claim.hosts.iter().filter_map(|host| route::normalise(host)) {
                assert!(matches!(domains().classify(&host), Host::Other(_)), "{host} is a function's own");
                let path =
                    claim.path.value.trim_end_matches(if claim.path.kind == PathKind::Prefix { '/' } else { '\0' });
                let all = [None].into_iter().filter(|_| claim.methods.is_empty());
                for method in claim.methods.iter().copied().map(Some).chain(all) {
                    let route = (host.clone(), claim.path.kind, path.to_owned(), method);
                    let other = owners.insert(route.clone(), &claim.key).filter(|other| *other != &claim.key);
                    assert_eq!(other, None, "two have {route:?}");
                }
            }
        }
        for (key, verdict) in &verdicts {
            if let Verdict::Conflict { with, .. } = verdict {
                assert_eq!(verdicts[with], Verdict::Routed, "{key:?} falls to one that fell");
            }
        }
    });
}
