//! Whether the API server can resize pods.

use std::time::Duration;

use kube::Client;
use runtime::client::within;
use tokio::time::sleep;
use tracing::{info, warn};

/// For one question.
const DEADLINE: Duration = Duration::from_secs(5);
/// Pause after an error.
const RETRY: Duration = Duration::from_secs(1);

/// The subresource by which a pod is resized in place, as discovery calls it: on by default since Kubernetes 1.33
/// (KEP-1287).
const RESIZE: &str = "pods/resize";

/// Whether the API server offers to resize pods in place. Asks until it answers; says so in the log if it does not.
pub async fn offered(client: &Client) -> bool {
    loop {
        match within(DEADLINE, client.list_core_api_resources("v1")).await {
            Ok(list) => {
                let offered = list.resources.iter().any(|resource| resource.name == RESIZE);
                if !offered {
                    info!("The API server cannot resize pods in place: functions start with their own CPU limit.");
                }
                return offered;
            }
            Err(error) if error.status().is_some_and(|status| (400..429).contains(&status)) => {
                warn!(%error, "The API server does not say whether it can resize pods: functions start with their own CPU limit.");
                return false;
            }
            Err(error) => {
                warn!(%error, "The API server could not be asked whether it can resize pods; asking again.");
                sleep(RETRY).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Full;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    /// An API server that answers with each of these in turn.
    fn client(answers: Vec<(u16, Value)>) -> Client {
        let answers = Arc::new(answers);
        let asked = Arc::new(AtomicUsize::new(0));
        let service = tower::service_fn(move |request: Request<Body>| {
            assert_eq!(request.uri().path(), "/api/v1");
            let (code, answer) = answers[asked.fetch_add(1, Ordering::Relaxed)].clone();
            let body = Full::new(Bytes::from(answer.to_string()));
            async move { Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap()) }
        });
        Client::new(service, "default")
    }

    fn list(names: &[&str]) -> (u16, Value) {
        let resource =
            |name: &&str| json!({"name": name, "singularName": "", "namespaced": true, "kind": "Pod", "verbs": []});
        let resources: Vec<Value> = names.iter().map(resource).collect();
        (200, json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1", "resources": resources}))
    }

    fn error(code: u16) -> (u16, Value) {
        (code, json!({"kind": "Status", "status": "Failure", "code": code, "reason": "", "message": "no"}))
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_offered_where_discovery_lists_it() {
        assert!(offered(&client(vec![list(&["pods", "pods/resize"])])).await);
        assert!(!offered(&client(vec![list(&["pods", "pods/eviction"])])).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_is_asked_about_again_and_a_refusal_is_a_no() {
        assert!(offered(&client(vec![error(503), error(429), list(&["pods/resize"])])).await);
        assert!(!offered(&client(vec![error(403)])).await);
    }
}
