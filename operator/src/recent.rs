//! What this process wrote a moment ago, until the watch has caught up: without it, a pass that another child's event
//! starts would create a child again, or take a revision for not switched.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kube::{Resource, runtime::reflector::ObjectRef};
use tokio::time::Instant;

/// A watch that lags longer than this is not waited for.
pub const LAG: Duration = Duration::from_secs(10);

/// An object as it was answered, and when.
type Answer<K> = (Arc<K>, Instant);

/// Objects as the API server answered our last writes.
#[derive(Debug)]
pub struct Recent<K: Resource<DynamicType = ()> + 'static> {
    written: Mutex<HashMap<ObjectRef<K>, Answer<K>>>,
}

impl<K: Resource<DynamicType = ()>> Default for Recent<K> {
    fn default() -> Self {
        Self { written: Mutex::default() }
    }
}

impl<K: Resource<DynamicType = ()> + Clone> Recent<K> {
    /// Keeps the API server's answer to a write.
    pub fn wrote(&self, object: Arc<K>, now: Instant) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.retain(|_, (_, at)| now.saturating_duration_since(*at) < LAG);
        written.insert(ObjectRef::from_obj(&*object), (object, now));
    }

    /// The newer of what a store holds and what was written. What was written and is in no store after [`LAG`] is gone.
    pub fn newest(&self, key: &ObjectRef<K>, seen: Option<Arc<K>>, now: Instant) -> Option<Arc<K>> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((ours, at)) = written.get(key) else { return seen };
        let caught_up = seen.as_ref().is_some_and(|seen| version(&**seen) >= version(&**ours));
        if caught_up || now.saturating_duration_since(*at) >= LAG {
            written.remove(key);
            return seen;
        }
        Some(Arc::clone(ours))
    }
}

/// Versions grow, whatever the object (Kubernetes makes them comparable: KEP-5504).
fn version<K: Resource>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{api::core::v1::Service, apimachinery::pkg::apis::meta::v1::ObjectMeta};

    use super::*;

    fn service(version: &str) -> Arc<Service> {
        let resource_version = Some(version.to_owned());
        let name = Some("a".to_owned());
        Arc::new(Service {
            metadata: ObjectMeta { name, resource_version, ..ObjectMeta::default() },
            ..Service::default()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_counts_until_the_watch_has_caught_up() {
        let recent = Recent::default();
        let key = ObjectRef::from_obj(&*service("1"));
        let seen = |object: Option<Arc<Service>>| object.and_then(|o| o.metadata.resource_version.clone());
        recent.wrote(service("9"), Instant::now());
        assert_eq!(seen(recent.newest(&key, None, Instant::now())).as_deref(), Some("9"));
        assert_eq!(seen(recent.newest(&key, Some(service("8")), Instant::now())).as_deref(), Some("9"));
        assert_eq!(seen(recent.newest(&key, Some(service("10")), Instant::now())).as_deref(), Some("10"));
        assert_eq!(seen(recent.newest(&key, Some(service("8")), Instant::now())).as_deref(), Some("8"));
        recent.wrote(service("11"), Instant::now());
        tokio::time::advance(LAG).await;
        assert_eq!(seen(recent.newest(&key, None, Instant::now())), None);
    }
}
