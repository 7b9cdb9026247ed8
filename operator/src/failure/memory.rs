//! What a pod no longer says, or never did: since when it is known, and whether it was ever ready. By our own clock.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use runtime::failure::Failure;
use tokio::time::Instant;

/// What is remembered of one pod.
#[derive(Clone, Debug)]
pub struct Remembered {
    /// When this process first saw it.
    pub first_seen: Instant,
    /// When this process first saw that no node takes it; cleared once one does.
    pub unschedulable_since: Option<Instant>,
    /// Whether an activator ever proved it ready.
    pub ever_ready: bool,
    /// What Events said of its start.
    pub event: Option<Failure>,
    /// When Events were last read.
    pub events_read: Option<Instant>,
}

impl Remembered {
    fn new(now: Instant) -> Self {
        Self { first_seen: now, unschedulable_since: None, ever_ready: false, event: None, events_read: None }
    }
}

/// Memory of the pods of all Functions, by the Function's UID and then the pod's. Holds no more than there are pods.
#[derive(Debug, Default)]
pub struct Memory {
    functions: Mutex<HashMap<String, HashMap<String, Remembered>>>,
}

impl Memory {
    /// Runs `update` on the memory of every pod given, forgets the Function's other pods, and returns what is remembered.
    pub fn refresh<'a>(
        &self,
        function_uid: &str,
        pods: impl IntoIterator<Item = &'a str>,
        now: Instant,
        mut update: impl FnMut(&str, &mut Remembered),
    ) -> HashMap<String, Remembered> {
        let mut functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = functions.remove(function_uid).unwrap_or_default();
        let fresh: HashMap<String, Remembered> = pods
            .into_iter()
            .map(|uid| {
                let mut pod = known.remove(uid).unwrap_or_else(|| Remembered::new(now));
                update(uid, &mut pod);
                (uid.to_owned(), pod)
            })
            .collect();
        if !fresh.is_empty() {
            functions.insert(function_uid.to_owned(), fresh.clone());
        }
        fresh
    }

    /// Notes what Events said of a pod, and that they were read.
    pub fn read(&self, function_uid: &str, pod: &str, said: Option<Failure>, now: Instant) {
        let mut functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pod) = functions.get_mut(function_uid).and_then(|pods| pods.get_mut(pod)) {
            pod.events_read = Some(now);
            pod.event = said.or(pod.event.take());
        }
    }

    /// Forgets a Function that is gone.
    pub fn forget(&self, function_uid: &str) {
        self.functions.lock().unwrap_or_else(PoisonError::into_inner).remove(function_uid);
    }
}
