//! Pods that are left alone for a while. See [`crate::pods::outlier`] for when and for how long.

use std::sync::PoisonError;

use tokio::time::Instant;
use tracing::info;

use super::Function;
use crate::pods::{Pod, outlier};

impl Function {
    /// Leaves a pod alone, unless too many are already. It comes back when its time is up and the probe passes, or when no
    /// other pod is left.
    pub fn eject(&self, pod: &Pod, why: &'static str, now: Instant) -> bool {
        // One at a time: two that each see room for one more would be one too many.
        let _one = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let serving = self.serving.load();
        let open = || serving.iter().filter(|pod| !pod.slots.read().drained && !pod.leaving.is_cancelled());
        let (ready, ejected) =
            (open().filter(|pod| pod.is_ready()).count(), open().filter(|pod| pod.is_ejected()).count());
        let Some(until) = outlier::may_eject(ready, ejected).then(|| pod.eject(now)).flatten() else { return false };
        let seconds = until.saturating_duration_since(now).as_secs();
        info!(function = %self.key, pod = %pod.name, why, seconds, "A pod is left alone for a while.");
        true
    }

    /// Has the pods that are left alone asked again now, if there is no other one.
    pub fn pardon(&self) {
        let serving = self.serving.load();
        let serves = |pod: &Pod| pod.is_ready() && !pod.slots.read().drained;
        if !serving.iter().any(|pod| serves(pod)) {
            serving.iter().for_each(|pod| pod.pardon());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::function::{Key, Spec};

    #[tokio::test]
    async fn half_of_the_pods_that_take_requests_and_never_the_last() {
        let function = Function::new(Key::new("shop", "hello"), "f-uid".into(), Spec::test());
        let pods: Vec<_> = ["a", "b", "c", "d", "e"].iter().map(|uid| Pod::test(uid, "r1")).collect();
        function.serving.store(Arc::new(pods.clone()));
        let now = Instant::now();
        let eject = |at: usize| function.eject(&pods[at], "test", now);
        assert!(!eject(0), "it is not ready");
        pods.iter().for_each(|pod| pod.prove_ready(now));
        pods[4].slots.drain();
        assert!(eject(0) && !eject(0) && eject(1));
        assert!(!eject(2) && pods[2].is_ready(), "half of four");
        assert!(!pods[0].is_ready() && pods[0].is_ejected());
        // Those that are left go: what was left alone is better than nothing.
        function.pardon();
        assert!(pods[0].is_ejected(), "not yet");
        pods[2].cast_doubt();
        pods[3].slots.drain();
        function.pardon();
        assert!(!pods[0].is_ejected() && !pods[1].is_ejected());
        pods[0].prove_ready(now);
        assert!(!eject(0), "the last one");
    }

    #[tokio::test]
    async fn a_pod_that_comes_back_is_on_trial() {
        let function = Function::new(Key::new("shop", "hello"), "f-uid".into(), Spec::test());
        let pods: Vec<_> = ["a", "b"].iter().map(|uid| Pod::test(uid, "r1")).collect();
        function.serving.store(Arc::new(pods.clone()));
        let now = Instant::now();
        pods.iter().for_each(|pod| pod.prove_ready(now));
        assert!(function.eject(&pods[0], "test", now));
        assert_eq!(pods[0].ejected_until(), Some(now + Duration::from_secs(5)));
        pods[0].prove_ready(now);
        assert!(pods[0].is_ready() && pods[0].pulse.failed());
        assert!(function.eject(&pods[0], "test", now));
        assert_eq!(pods[0].ejected_until(), Some(now + Duration::from_secs(10)));
    }
}
