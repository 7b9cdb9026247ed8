//! What activators told since the reader last looked, by Function.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::Instant,
};

use tokio::sync::Notify;

use super::activator::{Added, Changes};

/// Loads of one Function that wait for the reader; more are added up into the newest.
const LOADS: usize = 64;

/// What one activator's totals of one Function grew by between two of its reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The earlier report, by this process's clock.
    pub from: Instant,
    /// The later one.
    pub to: Instant,
    /// By how much.
    pub added: Added,
}

/// Functions (UIDs) with news, each with its loads. It never outgrows the number of Functions times [`LOADS`].
#[derive(Debug, Default)]
pub struct News {
    waiting: Mutex<HashMap<String, Vec<Loaded>>>,
    bell: Notify,
}

impl News {
    /// Adds what a report changed.
    pub fn add(&self, changes: &Changes) {
        let Some((from, to)) = changes.interval.filter(|_| !changes.touched.is_empty()) else { return };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for function in &changes.touched {
            let loads = waiting.entry(function.clone()).or_default();
            let Some(added) = changes.added.get(function) else { continue };
            let full = loads.len() >= LOADS;
            match loads.last_mut().filter(|_| full) {
                Some(last) => last.merge(from, to, added),
                None => loads.push(Loaded { from, to, added: *added }),
            }
        }
        drop(waiting);
        self.bell.notify_one();
    }

    /// Waits until there is something. For one reader.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Takes all that waits.
    pub fn take(&self) -> BTreeMap<String, Vec<Loaded>> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect()
    }
}

impl Loaded {
    fn merge(&mut self, from: Instant, to: Instant, added: &Added) {
        self.from = self.from.min(from);
        self.to = self.to.max(to);
        self.added.add(added);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn changes(until: Instant, requests: u64) -> Changes {
        let added = Added { requests, in_flight_request_ms: 10 * requests, held_request_ms: 0 };
        Changes {
            touched: ["f", "quiet"].map(str::to_owned).into(),
            added: BTreeMap::from([("f".to_owned(), added)]),
            interval: Some((until - Duration::from_millis(20), until)),
            ..Changes::default()
        }
    }

    #[tokio::test]
    async fn each_load_keeps_its_time_and_nothing_is_lost_when_nobody_reads() {
        let start = Instant::now() + Duration::from_secs(60);
        let news = News::default();
        for step in 1..=1000 {
            news.add(&changes(start + Duration::from_millis(20 * step), 1));
        }
        news.rung().await;
        let all = news.take();
        assert_eq!(all.keys().collect::<Vec<_>>(), ["f", "quiet"]);
        assert!(all["quiet"].is_empty(), "news without a load");
        let loads = &all["f"];
        assert_eq!(loads.len(), LOADS);
        assert_eq!((loads[0].from, loads[0].to), (start, start + Duration::from_millis(20)));
        let last = loads.last().unwrap();
        assert_eq!((last.from, last.to), (loads[LOADS - 2].to, start + Duration::from_secs(20)));
        assert_eq!(loads.iter().map(|load| load.added.requests).sum::<u64>(), 1000);
        assert!(news.take().is_empty());
    }
}
