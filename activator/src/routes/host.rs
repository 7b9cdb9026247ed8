//! The routes of one host, found by what they cover: a look-up takes one step for each length that a path of some route has,
//! however many routes there are.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use crds::route;
use crds::trigger::PathKind;

use super::Route;

/// Routes of which none claims what another one has.
#[derive(Debug, Default)]
pub(super) struct Routes {
    exact: HashMap<String, Vec<Route>>,
    /// By their prefix, without a final slash.
    prefixes: HashMap<String, Vec<Route>>,
    /// In bytes, of the prefixes: the longest first.
    lengths: BTreeSet<Reverse<usize>>,
    /// There are routes that do not cover every path.
    tells_apart: bool,
}

impl Routes {
    pub(super) fn add(&mut self, route: Route) {
        self.tells_apart |= !route::covers_all(&route.path);
        let (kind, path) = route::canonical(&route.path);
        let path = path.to_owned();
        let same = match kind {
            PathKind::Exact => self.exact.entry(path).or_default(),
            PathKind::Prefix => {
                self.lengths.insert(Reverse(path.len()));
                self.prefixes.entry(path).or_default()
            }
        };
        same.push(route);
        // Those for some methods before the one for all others.
        same.sort_by_key(|route| route.methods.is_empty());
    }

    /// Whether the path decides where a request goes.
    pub(super) fn tells_apart(&self) -> bool {
        self.tells_apart
    }

    /// Those that cover `path`, the best first: exact before prefix, longer before shorter.
    pub(super) fn covering<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Route> {
        // A prefix ends where a segment does.
        let prefix = |Reverse(length): &Reverse<usize>| {
            let ends = path.len() == *length || path.as_bytes().get(*length) == Some(&b'/');
            if ends { self.prefixes.get(path.get(..*length)?) } else { None }
        };
        let prefixes = self.lengths.iter().filter_map(prefix);
        self.exact.get(path).into_iter().chain(prefixes).flatten()
    }

    /// All of them, in the order in which they are tried.
    pub(super) fn all(&self) -> Vec<Route> {
        let mut all: Vec<Route> = self.exact.values().chain(self.prefixes.values()).flatten().cloned().collect();
        all.sort_by_cached_key(|route| {
            let (_, path) = route::canonical(&route.path);
            (Reverse(route::preference(&route.path)), path.to_owned(), route.methods.is_empty())
        });
        all
    }
}

#[cfg(test)]
mod tests {
    use crds::trigger::{Method, PathMatch};
    use proptest::prelude::*;

    use super::*;
    use crate::function::Key;

    fn segments(most: usize) -> impl Strategy<Value = String> {
        let segment = prop::sample::select(vec!["a", "b", "ab", "é", ""]);
        prop::collection::vec(segment, 0..most).prop_map(|segments| format!("/{}", segments.join("/")))
    }

    fn some_routes() -> impl Strategy<Value = Vec<Route>> {
        let kind = prop::sample::select(vec![PathKind::Exact, PathKind::Prefix]);
        let methods = prop::sample::select(vec![vec![], vec![Method::Get], vec![Method::Post]]);
        let route = (kind, segments(4), methods).prop_map(|(kind, value, methods)| Route {
            path: PathMatch { kind, value },
            methods,
            function: Key::new("shop", "f"),
        });
        prop::collection::vec(route, 0..12)
    }

    fn told(route: &Route) -> (PathKind, String, usize) {
        let (kind, path) = route::canonical(&route.path);
        (kind, path.to_owned(), route.methods.len())
    }

    proptest! {
        /// What is looked up is what one finds who looks at every route.
        #[test]
        fn a_look_up_misses_nothing(list in some_routes(), path in segments(6)) {
            let mut routes = Routes::default();
            list.iter().cloned().for_each(|route| routes.add(route));
            let found: Vec<_> = routes.covering(&path).map(told).collect();
            let mut sought: Vec<_> = list.iter().filter(|route| route::covers(&route.path, &path)).collect();
            sought.sort_by_key(|route| Reverse((route::preference(&route.path), !route.methods.is_empty())));
            prop_assert_eq!(&found, &sought.into_iter().map(told).collect::<Vec<_>>());
            let in_order: Vec<_> = routes.all().iter().filter(|route| route::covers(&route.path, &path)).map(told).collect();
            prop_assert_eq!(in_order, found, "the order that is shown is the one that counts");
            let apart = list.iter().any(|route| !route::covers_all(&route.path));
            prop_assert_eq!(routes.tells_apart(), apart);
        }
    }
}
