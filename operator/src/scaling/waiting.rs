//! What could not be carried out at once. Pure.

use std::collections::{HashMap, VecDeque};

use super::function::Effect;
use crate::stores::Key;

/// Name of a revision, with its Function.
type Revision = (Key, String);

/// Effects that wait for their turn, the oldest first. One for each revision: a later one replaces an earlier one and
/// takes its place, since it was decided by what was seen later. So it never outgrows the number of revisions, however
/// long the API server answers nothing.
#[derive(Debug, Default)]
pub struct Waiting {
    turns: VecDeque<Revision>,
    effects: HashMap<Revision, Effect>,
}

impl Waiting {
    /// Adds what is to be done for a revision.
    pub fn add(&mut self, key: &Key, revision: &str, effect: Effect) {
        let revision = (key.clone(), revision.to_owned());
        if self.effects.insert(revision.clone(), effect).is_none() {
            self.turns.push_back(revision);
        }
    }

    /// Takes the one whose turn it is.
    pub fn take(&mut self) -> Option<(Key, Effect)> {
        let revision = self.turns.pop_front()?;
        let effect = self.effects.remove(&revision)?;
        Some((revision.0, effect))
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.effects.len()
    }

    /// Nothing is to be done for this Function any more.
    pub fn forget(&mut self, key: &Key) {
        let before = self.effects.len();
        self.effects.retain(|(of, _), _| of != key);
        if self.effects.len() < before {
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

    fn write(revision: &str, version: &str) -> Effect {
        Effect::Write { revision: revision.to_owned(), replicas: 1, version: version.to_owned() }
    }

    #[test]
    fn a_revision_waits_once_with_the_newest_and_keeps_its_turn() {
        let mut waiting = Waiting::default();
        for version in 0..1000 {
            for function in ["a", "b"] {
                waiting.add(&key(function), "r", write("r", &version.to_string()));
            }
        }
        waiting.add(&key("a"), "s", Effect::Read { revision: "s".to_owned() });
        assert_eq!((waiting.turns.len(), waiting.count()), (3, 3));
        assert_eq!(waiting.take(), Some((key("a"), write("r", "999"))));
        // It has had its turn: the next one stands behind the others.
        waiting.add(&key("a"), "r", write("r", "1000"));
        assert_eq!(waiting.take(), Some((key("b"), write("r", "999"))));
        assert_eq!(waiting.take(), Some((key("a"), Effect::Read { revision: "s".to_owned() })));
        assert_eq!(waiting.take(), Some((key("a"), write("r", "1000"))));
        assert_eq!(waiting.take(), None);
    }

    #[test]
    fn nothing_is_left_of_a_function_that_is_gone() {
        let mut waiting = Waiting::default();
        for (function, revision) in [("a", "r"), ("b", "r"), ("a", "s")] {
            waiting.add(&key(function), revision, write(revision, "1"));
        }
        waiting.forget(&key("a"));
        assert_eq!((waiting.turns.len(), waiting.count()), (1, 1));
        waiting.add(&key("a"), "r", write("r", "2"));
        assert_eq!(waiting.take(), Some((key("b"), write("r", "1"))));
        assert_eq!(waiting.take(), Some((key("a"), write("r", "2"))));
        assert_eq!(waiting.take(), None);
    }
}
