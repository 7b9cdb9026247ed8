//! What could not be carried out at once. Pure.

use std::collections::{HashMap, VecDeque};

use crate::stores::Key;

/// What is to be asked of the API server for a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Read its Deployment.
    Read,
    /// Raise it.
    Raise {
        /// Replicas.
        replicas: i32,
        /// The condition of the write.
        version: String,
    },
}

/// Name of a revision, with its Function.
type Revision = (Key, String);

/// Calls that wait for their turn, the oldest first. One for each revision: a later one replaces an earlier one and takes
/// its place, since it was decided by what was seen later. So it never outgrows the number of revisions, however long the
/// API server answers nothing.
#[derive(Debug, Default)]
pub struct Waiting {
    turns: VecDeque<Revision>,
    calls: HashMap<Revision, Call>,
}

impl Waiting {
    /// Adds what is to be asked for a revision.
    pub fn add(&mut self, key: &Key, revision: String, call: Call) {
        let revision = (key.clone(), revision);
        if self.calls.insert(revision.clone(), call).is_none() {
            self.turns.push_back(revision);
        }
    }

    /// Takes the one whose turn it is.
    pub fn take(&mut self) -> Option<(Key, String, Call)> {
        let turn = self.turns.pop_front()?;
        let call = self.calls.remove(&turn)?;
        Some((turn.0, turn.1, call))
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.calls.len()
    }

    /// Nothing is to be asked for this Function any more.
    pub fn forget(&mut self, key: &Key) {
        let before = self.calls.len();
        self.calls.retain(|(of, _), _| of != key);
        if self.calls.len() < before {
            self.turns.retain(|(of, _)| of != key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new(name).within("shop")
    }

    fn raise(version: i32) -> Call {
        Call::Raise { replicas: 1, version: version.to_string() }
    }

    fn turn(function: &str, revision: &str, call: Call) -> Option<(Key, String, Call)> {
        Some((key(function), revision.to_owned(), call))
    }

    #[test]
    fn a_revision_waits_once_with_the_newest_and_keeps_its_turn() {
        let mut waiting = Waiting::default();
        for version in 0..1000 {
            for function in ["a", "b"] {
                waiting.add(&key(function), "r".to_owned(), raise(version));
            }
        }
        waiting.add(&key("a"), "s".to_owned(), Call::Read);
        assert_eq!((waiting.turns.len(), waiting.count()), (3, 3));
        assert_eq!(waiting.take(), turn("a", "r", raise(999)));
        // It has had its turn: the next one stands behind the others.
        waiting.add(&key("a"), "r".to_owned(), raise(1000));
        assert_eq!(waiting.take(), turn("b", "r", raise(999)));
        assert_eq!(waiting.take(), turn("a", "s", Call::Read));
        assert_eq!(waiting.take(), turn("a", "r", raise(1000)));
        assert_eq!(waiting.take(), None);
    }

    #[test]
    fn nothing_is_left_of_a_function_that_is_gone() {
        let mut waiting = Waiting::default();
        for (function, revision) in [("a", "r"), ("b", "r"), ("a", "s")] {
            waiting.add(&key(function), revision.to_owned(), raise(1));
        }
        waiting.forget(&key("a"));
        assert_eq!((waiting.turns.len(), waiting.count()), (1, 1));
        waiting.add(&key("a"), "r".to_owned(), raise(2));
        assert_eq!(waiting.take(), turn("b", "r", raise(1)));
        assert_eq!(waiting.take(), turn("a", "r", raise(2)));
        assert_eq!(waiting.take(), None);
    }
}
