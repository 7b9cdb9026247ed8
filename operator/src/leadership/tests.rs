use std::sync::Mutex;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use k8s_openapi::api::coordination::v1::Lease;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::*;

const FIFTEEN: Duration = Duration::from_secs(15);

/// An API server with one Lease. The manager compares the time of day, which a stopped clock does not stop: for it hardly
/// any time passes in these tests, so nothing expires by its reckoning; only what was waited for has.
#[derive(Default)]
struct Api {
    lease: Option<Value>,
    version: u64,
    down: bool,
    /// Who applied the holder last: a server-side apply by another conflicts with it.
    applier: Option<String>,
    /// Who asks, with the UID.
    user: Option<(String, String)>,
    /// How often somebody asked who he is.
    reviews: u32,
}

type Shared = std::sync::Arc<Mutex<Api>>;

fn client(api: &Shared) -> Client {
    let api = std::sync::Arc::clone(api);
    let service = tower::service_fn(move |request: Request<Body>| {
        let api = std::sync::Arc::clone(&api);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            if api.lock().unwrap().down {
                return std::future::pending().await;
            }
            let kind = head.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            let applies = kind.contains("apply-patch");
            let manager = head.uri.query().unwrap_or_default().to_owned();
            let holder = body["spec"]["holderIdentity"].as_str().unwrap_or_default();
            if applies && holder.starts_with("slow_") {
                sleep(Duration::from_millis(50)).await;
            }
            let (code, answer) = if head.uri.path().ends_with("selfsubjectreviews") {
                api.lock().unwrap().review()
            } else {
                api.lock().unwrap().answer(&head.method, applies.then_some(manager), &body)
            };
            let bytes = Bytes::from(answer.to_string());
            Ok::<_, std::convert::Infallible>(Response::builder().status(code).body(Full::new(bytes)).unwrap())
        }
    });
    Client::new(service, "default")
}

impl Api {
    /// `applier`: of a server-side apply, the query, which names the field manager.
    fn answer(&mut self, method: &Method, applier: Option<String>, body: &Value) -> (u16, Value) {
        let missing = (404, json!({"kind": "Status", "code": 404, "reason": "NotFound", "status": "Failure"}));
        match *method {
            Method::GET => self.lease.clone().map_or(missing, |lease| (200, lease)),
            Method::POST => (201, self.put(body.clone())),
            Method::PATCH => {
                let Some(mut lease) = self.lease.clone() else { return missing };
                if applier.is_some() {
                    if self.holder().is_some() && self.applier != applier {
                        return (
                            409,
                            json!({"kind": "Status", "code": 409, "reason": "Conflict", "status": "Failure"}),
                        );
                    }
                    self.applier = applier;
                }
                if let Some(owners) = body["metadata"].get("ownerReferences") {
                    lease["metadata"]["ownerReferences"] = owners.clone();
                }
                for (key, value) in body["spec"].as_object().into_iter().flatten() {
                    if value.is_null() {
                        lease["spec"].as_object_mut().unwrap().remove(key);
                    } else {
                        lease["spec"][key] = value.clone();
                    }
                }
                (200, self.put(lease))
            }
            _ => panic!("an unexpected request"),
        }
    }

    /// Who asks; nothing, if it is out of order.
    fn review(&mut self) -> (u16, Value) {
        self.reviews += 1;
        let Some((name, uid)) = &self.user else {
            return (500, json!({"kind": "Status", "code": 500, "reason": "InternalError", "status": "Failure"}));
        };
        (201, json!({"metadata": {}, "status": {"userInfo": {"username": name, "uid": uid}}}))
    }

    fn owner(&self) -> Option<Value> {
        self.lease.as_ref()?["metadata"].get("ownerReferences").cloned()
    }

    fn put(&mut self, mut lease: Value) -> Value {
        self.version += 1;
        lease["metadata"]["resourceVersion"] = json!((1000 + self.version).to_string());
        if lease["spec"].is_null() {
            lease["spec"] = json!({});
        }
        self.lease = Some(lease.clone());
        lease
    }

    fn holder(&self) -> Option<String> {
        self.lease.as_ref()?["spec"]["holderIdentity"].as_str().map(ToOwned::to_owned)
    }
}

fn settings(pod: &str) -> Settings {
    Settings { namespace: "rouse-system".to_owned(), pod: pod.to_owned(), duration: FIFTEEN }
}

fn lease(holder: Option<&str>, acquired: u8, renewed: u8, version: u64) -> Lease {
    let time = |second: u8| format!("2026-11-21T10:00:{second:02}.000000Z");
    serde_json::from_value(json!({
        "metadata": {"resourceVersion": version.to_string()},
        "spec": {"holderIdentity": holder, "acquireTime": time(acquired), "renewTime": time(renewed)},
    }))
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_term_rests_on_renewals_that_were_sent_in_time() {
    let start = Instant::now();
    let mut seen = Seen::default();
    assert_eq!(next(true, &seen, FIFTEEN, None, start), None);
    seen.take(&lease(Some("me"), 1, 1, 40), "me", Some(start));
    assert_eq!(next(false, &seen, FIFTEEN, None, start), None, "the manager does not say so yet");
    let first = next(true, &seen, FIFTEEN, None, start);
    assert_eq!(first, Some((Term { epoch: 40, valid_until: start + FIFTEEN }, 1)));
    // A look at it extends nothing; a renewal does, from when it was sent; the epoch stays.
    seen.take(&lease(Some("me"), 1, 1, 41), "me", None);
    assert_eq!(next(true, &seen, FIFTEEN, first, start), first);
    let later = start + Duration::from_secs(5);
    seen.take(&lease(Some("me"), 1, 6, 42), "me", Some(later));
    let renewed = next(true, &seen, FIFTEEN, first, later);
    assert_eq!(renewed, Some((Term { epoch: 40, valid_until: later + FIFTEEN }, 1)));
    // A renewal whose answer was lost and that is only read back.
    seen.take(&lease(Some("me"), 1, 11, 43), "me", None);
    assert_eq!(next(true, &seen, FIFTEEN, renewed, later), renewed);
    // It runs out, whatever the manager says; afterwards it is another term.
    assert_eq!(next(true, &seen, FIFTEEN, renewed, later + FIFTEEN), None);
    let back = later + FIFTEEN * 2;
    seen.take(&lease(Some("me"), 1, 50, 44), "me", Some(back));
    assert_eq!(next(true, &seen, FIFTEEN, None, back).unwrap().0.epoch, 44);
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_term_between_makes_another_epoch() {
    let start = Instant::now();
    let mut seen = Seen::default();
    seen.take(&lease(Some("me"), 1, 1, 40), "me", Some(start));
    let first = next(true, &seen, FIFTEEN, None, start);
    seen.take(&lease(Some("other"), 2, 2, 50), "me", None);
    assert_eq!(next(true, &seen, FIFTEEN, first, start), None);
    seen.take(&lease(Some("me"), 3, 3, 60), "me", Some(start));
    assert_eq!(next(true, &seen, FIFTEEN, first, start).unwrap().0.epoch, 60, "also if nobody looked in between");
}

#[tokio::test(start_paused = true)]
async fn good_for_leaves_room_for_the_write_and_for_clocks_that_differ() {
    let valid_until = Instant::now() + Duration::from_secs(10);
    let (_sender, terms) = watch::channel(Some(Term { epoch: 1, valid_until }));
    let leadership = Leadership::fixed(terms);
    assert!(leadership.good_for(Duration::from_secs(9)).is_some());
    assert!(leadership.good_for(Duration::from_millis(9001)).is_none());
    sleep(Duration::from_secs(10)).await;
    assert_eq!(leadership.current(), None);
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_the_other_takes_over_when_it_lets_go() {
    let api = Shared::default();
    let (stop_a, stop_b) = (CancellationToken::new(), CancellationToken::new());
    let (mut a, task_a) = start(client(&api), settings("a"), stop_a.clone());
    let first = timeout(FIFTEEN, a.won()).await.unwrap().unwrap();
    assert!(api.lock().unwrap().holder().unwrap().starts_with("a_"));
    let (mut b, task_b) = start(client(&api), settings("b"), stop_b.clone());
    // By then the other has seen that the Lease is held, and until when.
    sleep(Duration::from_secs(1)).await;
    assert_eq!(b.current(), None);
    stop_a.cancel();
    timeout(Duration::from_secs(5), task_a).await.unwrap().unwrap();
    assert_eq!(a.current(), None);
    // Well before the Lease would have run out.
    let second = timeout(Duration::from_secs(8), b.won()).await.unwrap().unwrap();
    assert!(second.epoch > first.epoch);
    timeout(Duration::from_secs(1), a.lost(first.epoch)).await.unwrap();
    stop_b.cancel();
    timeout(Duration::from_secs(5), task_b).await.unwrap().unwrap();
    assert_eq!(api.lock().unwrap().holder(), None);
}

#[tokio::test(start_paused = true)]
async fn of_two_that_start_at_once_one_leads() {
    let api = Shared::default();
    let stop = CancellationToken::new();
    let started = ["quick", "slow"].map(|pod| start(client(&api), settings(pod), stop.clone()));
    for _ in 0..100 {
        sleep(Duration::from_millis(100)).await;
        assert!(started.iter().filter(|(leadership, _)| leadership.current().is_some()).count() <= 1);
    }
    assert!(started.iter().any(|(leadership, _)| leadership.current().is_some()));
}

#[tokio::test(start_paused = true)]
async fn a_term_ends_when_the_api_server_is_away_for_too_long() {
    let api = Shared::default();
    let stop = CancellationToken::new();
    let (mut leadership, _task) = start(client(&api), settings("a"), stop);
    let term = leadership.won().await.unwrap();
    api.lock().unwrap().down = true;
    let begun = Instant::now();
    leadership.lost(term.epoch).await;
    assert!(begun.elapsed() <= FIFTEEN, "{:?}", begun.elapsed());
    assert_eq!(leadership.current(), None);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_is_made_again_with_a_later_epoch() {
    let api = Shared::default();
    let stop = CancellationToken::new();
    let (mut leadership, task) = start(client(&api), settings("a"), stop.clone());
    let first = leadership.won().await.unwrap();
    api.lock().unwrap().lease = None;
    let again = async {
        leadership.lost(first.epoch).await;
        leadership.won().await.unwrap()
    };
    let second = timeout(Duration::from_secs(30), again).await.unwrap();
    assert!(second.epoch > first.epoch);
    stop.cancel();
    timeout(Duration::from_secs(5), task).await.unwrap().unwrap();
}

const ACCOUNT: &str = "system:serviceaccount:rouse-system:rouse-operator";

fn is_user(api: &Shared, name: &str) {
    api.lock().unwrap().user = Some((name.to_owned(), "u-1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn the_lease_belongs_to_the_operators_account_also_when_it_is_made_again() {
    let api = Shared::default();
    is_user(&api, ACCOUNT);
    let stop = CancellationToken::new();
    let (mut leadership, _task) = start(client(&api), settings("a"), stop);
    let first = leadership.won().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let account = json!([{"apiVersion": "v1", "kind": "ServiceAccount", "name": "rouse-operator", "uid": "u-1"}]);
    assert_eq!(api.lock().unwrap().owner().unwrap(), account);
    // Renewals leave it alone, and it is written once.
    let version = api.lock().unwrap().version;
    sleep(FIFTEEN * 2).await;
    assert_eq!(api.lock().unwrap().owner().unwrap(), account);
    assert!(api.lock().unwrap().version <= version + 10, "renewed each five seconds, and no more");
    api.lock().unwrap().lease = None;
    leadership.lost(first.epoch).await;
    leadership.won().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(api.lock().unwrap().owner().unwrap(), account);
    assert_eq!(api.lock().unwrap().reviews, 1);
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_cannot_tell_who_it_is_leads_all_the_same() {
    let api = Shared::default();
    let (mut leadership, _task) = start(client(&api), settings("a"), CancellationToken::new());
    leadership.won().await.unwrap();
    sleep(FIFTEEN * 4).await;
    assert!(leadership.current().is_some());
    assert_eq!(api.lock().unwrap().owner(), None);
    assert!((3..=8).contains(&api.lock().unwrap().reviews), "asked with back-off");
    is_user(&api, ACCOUNT);
    sleep(Duration::from_secs(60)).await;
    assert!(api.lock().unwrap().owner().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_user_of_elsewhere_is_no_owner() {
    for user in ["system:serviceaccount:other:rouse-operator", "admin"] {
        let api = Shared::default();
        is_user(&api, user);
        let (mut leadership, _task) = start(client(&api), settings("a"), CancellationToken::new());
        leadership.won().await.unwrap();
        sleep(FIFTEEN).await;
        let api = api.lock().unwrap();
        assert_eq!((api.owner(), api.reviews), (None, 1));
    }
}
