//! What the leader has been told on this stream, so that a report names only what has changed since. Pure.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use link::v1::{Acknowledgement, FunctionCount, PodState, Report};

use crate::function::Function;
use crate::pods::Pod;

/// What has been said on one stream.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    sequence: u64,
    /// By the Function's UID.
    functions: HashMap<Arc<str>, FunctionCount>,
    /// By the pod's UID.
    pods: HashMap<Arc<str>, PodState>,
}

impl Ledger {
    /// The next report. A function without a request so far is not in it, nor one of which everything has been said.
    pub(super) fn report(
        &mut self,
        now: Duration,
        functions: &[Arc<Function>],
        pods: &[Arc<Pod>],
        acknowledgements: Vec<Acknowledgement>,
    ) -> Report {
        self.sequence += 1;
        Report {
            hello: None,
            sequence: self.sequence,
            clock_ms: millis(now),
            functions: self.counts(now, functions),
            pods: self.states(pods),
            acknowledgements,
        }
    }

    fn counts(&mut self, now: Duration, functions: &[Arc<Function>]) -> Vec<FunctionCount> {
        let mut news = Vec::new();
        for function in functions {
            let totals = function.totals.tell(now);
            if totals.requests == 0 {
                continue;
            }
            let said = self.functions.get(&function.uid);
            let same = said.is_some_and(|said| {
                said.requests == totals.requests
                    && said.in_flight_request_ms == totals.in_flight_ms
                    && said.held_request_ms == totals.held_ms
                    && u64::from(said.in_flight) == totals.in_flight
                    && u64::from(said.held) == totals.held
            });
            if same {
                continue;
            }
            let count = FunctionCount {
                uid: function.uid.to_string(),
                namespace: function.key.namespace.to_string(),
                name: function.key.name.to_string(),
                in_flight_request_ms: totals.in_flight_ms,
                held_request_ms: totals.held_ms,
                requests: totals.requests,
                in_flight: u32::try_from(totals.in_flight).unwrap_or(u32::MAX),
                held: u32::try_from(totals.held).unwrap_or(u32::MAX),
                idle_ms: millis(totals.idle),
            };
            self.functions.insert(Arc::clone(&function.uid), count.clone());
            news.push(count);
        }
        if self.functions.len() > functions.len() {
            self.functions.retain(|uid, _| functions.iter().any(|function| function.uid == *uid));
        }
        news
    }

    fn states(&mut self, pods: &[Arc<Pod>]) -> Vec<PodState> {
        let mut before = std::mem::take(&mut self.pods);
        let mut news = Vec::new();
        for pod in pods {
            let load = pod.slots.read();
            let state = PodState {
                uid: pod.uid.to_string(),
                function_uid: pod.function_uid.to_string(),
                revision: pod.revision.to_string(),
                // One that is left alone is no start that failed, and nothing to wait for before a drain.
                ready: pod.is_ready() || pod.is_ejected(),
                drained: load.drained,
                in_flight: u32::try_from(load.in_flight).unwrap_or(u32::MAX),
                gone: false,
            };
            if before.remove(&pod.uid).as_ref() != Some(&state) {
                news.push(state.clone());
            }
            self.pods.insert(Arc::clone(&pod.uid), state);
        }
        news.extend(before.into_values().map(|state| PodState { ready: false, in_flight: 0, gone: true, ..state }));
        news
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::{Key, Spec};

    #[tokio::test]
    async fn only_news_is_told() {
        let function = Function::new(Key::new("shop", "hello"), "f-uid".into(), Spec::test());
        let idle = Function::new(Key::new("shop", "idle"), "i-uid".into(), Spec::test());
        let pod = Pod::test("p", "r1");
        let functions = [function.clone(), idle];
        let pods = [pod.clone()];
        let ms = Duration::from_millis;
        let mut ledger = Ledger::default();

        let first = ledger.report(ms(0), &functions, &pods, vec![]);
        assert_eq!((first.sequence, first.functions.len(), first.pods.len()), (1, 0, 1));

        function.totals.begin(ms(10));
        let second = ledger.report(ms(20), &functions, &pods, vec![]);
        assert_eq!((second.sequence, second.pods.len()), (2, 0));
        assert_eq!((second.functions[0].in_flight, second.functions[0].in_flight_request_ms), (1, 10));

        function.totals.end(ms(30));
        assert!(pod.slots.take());
        let third = ledger.report(ms(40), &functions, &pods, vec![]);
        assert_eq!((third.functions[0].in_flight, third.functions[0].idle_ms), (0, 10));
        assert_eq!(third.pods[0].in_flight, 1);

        let fourth = ledger.report(ms(50), &functions, &[], vec![]);
        assert!(fourth.functions.is_empty());
        assert_eq!(fourth.pods.len(), 1);
        assert!(fourth.pods[0].gone);
        let fifth = ledger.report(ms(60), &functions, &[], vec![]);
        assert!(fifth.functions.is_empty() && fifth.pods.is_empty());
    }
}
