//! A set that is worked off: what is added twice before it is taken is taken once.

use std::{
    collections::HashSet,
    hash::Hash,
    sync::{Mutex, PoisonError},
};

use tokio::sync::Notify;

/// Keys that wait for work. It holds each key once, so it never outgrows the number of different keys.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: Mutex<HashSet<T>>,
    bell: Notify,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: Mutex::default(), bell: Notify::new() }
    }
}

impl<T: Clone + Eq + Hash> Queue<T> {
    /// Adds a key; nothing happens if it waits already.
    pub fn add(&self, key: T) {
        if self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(key) {
            self.bell.notify_one();
        }
    }

    /// Takes every key that waits; waits until there is one. For one reader at a time. Cancelling it loses nothing.
    pub async fn take(&self) -> HashSet<T> {
        loop {
            let taken = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            if !taken.is_empty() {
                return taken;
            }
            self.bell.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_added_twice_is_taken_once() {
        let queue = Queue::default();
        for key in [1, 2, 1] {
            queue.add(key);
        }
        assert_eq!(queue.take().await, HashSet::from([1, 2]));
        queue.add(3);
        assert_eq!(queue.take().await, HashSet::from([3]));
    }

    #[tokio::test]
    async fn a_waiting_reader_hears_of_a_key() {
        let queue = std::sync::Arc::new(Queue::default());
        let reader = tokio::spawn({
            let queue = std::sync::Arc::clone(&queue);
            async move { queue.take().await }
        });
        tokio::task::yield_now().await;
        queue.add(7);
        assert_eq!(reader.await.unwrap(), HashSet::from([7]));
    }
}
