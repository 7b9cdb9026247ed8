//! Functions that start with their own limit, because resizing was refused.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Revisions of which a boosted pod could not be made, or not be brought to its own limit: their next starts go without
/// a boost. It dies with the revision or the process, so a refusal whose cause is gone does not stand for ever. Cheap to
/// clone: clones share one map.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    /// By Function (UID), its newest such revision.
    revisions: Arc<Mutex<HashMap<String, String>>>,
}

impl Refusals {
    /// Notes a refusal. Whether it is news.
    pub fn note(&self, function_uid: &str, revision: &str) -> bool {
        let mut revisions = self.revisions.lock().unwrap_or_else(PoisonError::into_inner);
        revisions.insert(function_uid.to_owned(), revision.to_owned()).as_deref() != Some(revision)
    }

    /// Whether a revision is to start with its own limit.
    pub fn concern(&self, function_uid: &str, revision: &str) -> bool {
        let revisions = self.revisions.lock().unwrap_or_else(PoisonError::into_inner);
        revisions.get(function_uid).is_some_and(|refused| refused == revision)
    }

    /// Forgets a Function that is gone.
    pub fn forget(&self, function_uid: &str) {
        self.revisions.lock().unwrap_or_else(PoisonError::into_inner).remove(function_uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_news_once_and_dies_with_its_revision() {
        let refusals = Refusals::default();
        assert!(!refusals.concern("u", "f-1"));
        assert!(refusals.clone().note("u", "f-1") && !refusals.note("u", "f-1"));
        assert!(refusals.concern("u", "f-1") && !refusals.concern("u", "f-2") && !refusals.concern("v", "f-1"));
        assert!(refusals.note("u", "f-2"));
        assert!(!refusals.concern("u", "f-1"));
        refusals.forget("u");
        assert!(!refusals.concern("u", "f-2"));
    }
}
