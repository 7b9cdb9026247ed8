//! A request reaches the function it names, whoever else has had that name, host or address, or would like to.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use crds::{ConditionType, Function, Reason, Trigger, condition};
use e2e::{
    http,
    scene::{PATIENCE, Scene, scene, tell, until},
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};

/// How long a deletion may take to become known, on a machine that is busy with other tests.
const NEWS: Duration = Duration::from_secs(20);

/// A spec whose pods say who they are at `/env?name=WHO`.
fn signed(who: &str) -> Value {
    json!({"env": [{"name": "WHO", "value": who}], "scaling": {"windowSeconds": 6}})
}

async fn who(scene: &Scene, function: &str) -> Result<String> {
    let answer = scene.get(function, "/env?name=WHO").await?;
    ensure!(answer.status == 200, "{function} answered {}: {}", answer.status, answer.text());
    Ok(answer.text())
}

#[test]
fn a_function_deleted_and_created_again_at_once_is_the_new_one() {
    scene("again", |scene| async move {
        let functions = scene.api::<Function>();
        scene.function("phoenix", signed("0")).await?;
        ensure!(who(&scene, "phoenix").await? == "0", "not the first one");
        for life in 1..=4 {
            functions.delete("phoenix", &DeleteParams::default()).await?;
            // A finalizer of somebody's is no business of this test: there is none of Rouse's.
            scene.apply_function("phoenix", signed(&life.to_string())).await?;
            let begin = Instant::now();
            // Even lives do not wait until it is Ready: their first request is held.
            if life % 2 == 1 {
                scene.function_when("phoenix", "Ready", |f| e2e::scene::holds(f, ConditionType::Ready)).await?;
                tell(format_args!("created again at once: Ready after {:.1?}", begin.elapsed()));
            }
            // The news of the deletion takes a moment to reach the activator; after that nobody meets the one before.
            let before = (life - 1).to_string();
            let mut served = until("an answer", PATIENCE, async || {
                let answer = scene.get("phoenix", "/env?name=WHO").await?;
                let stale = answer.status == 404 || answer.text() == before;
                Ok((!stale || begin.elapsed() > NEWS).then_some(answer.text()))
            })
            .await?;
            for _ in 0..10 {
                ensure!(served == life.to_string(), "life {life} was served by {served} after {:.1?}", begin.elapsed());
                served = who(&scene, "phoenix").await?;
            }
            tell(format_args!("created again at once: served after {:.1?}", begin.elapsed()));
        }
        let uid = functions.get("phoenix").await?.metadata.uid;
        until("nothing of the earlier ones", PATIENCE, async || {
            let owned = scene.api::<k8s_openapi::api::apps::v1::Deployment>().list(&Default::default()).await?;
            let foreign = owned
                .iter()
                .filter(|d| d.metadata.labels.as_ref().and_then(|l| l.get(crds::labels::FUNCTION_UID)) != uid.as_ref());
            Ok((foreign.count() == 0 && owned.items.len() == 1).then_some(()))
        })
        .await
    });
}

/// A namespace beside the test's own. Deleted when the test is done with it.
async fn neighbour<T>(scene: &Scene, work: impl AsyncFnOnce(Scene) -> Result<T>) -> Result<T> {
    let name = format!("{}-b", scene.namespace);
    let namespaces: Api<Namespace> = Api::all(scene.client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
    namespaces.create(&PostParams::default(), &namespace).await?;
    let beside = Scene {
        cluster: scene.cluster.clone(),
        client: scene.client.clone(),
        namespace: name.clone(),
        entry: scene.entry,
    };
    let result = work(beside).await;
    namespaces.delete(&name, &DeleteParams::background()).await?;
    result
}

#[test]
fn a_trigger_cannot_claim_a_functions_own_host() {
    scene("host", |scene| async move {
        scene.function("victim", signed("victim")).await?;
        let victim = scene.host("victim");
        neighbour(&scene, async |beside| {
            beside.function("thief", signed("thief")).await?;
            for (n, suffix) in ["", ".svc", ".svc.cluster.local", ".localhost"].into_iter().enumerate() {
                let (trigger, host) = (format!("claim-{n}"), format!("{victim}{suffix}"));
                let spec = json!({"functionRef": {"name": "thief"}, "http": {"hosts": [host, "fine.example.com"]}});
                beside.apply_trigger(&trigger, spec).await?;
                let reserved = until("judged", PATIENCE, async || {
                    let status = beside.api::<Trigger>().get(&trigger).await?.status.unwrap_or_default();
                    Ok(condition::find(&status.conditions, ConditionType::Ready).cloned())
                });
                let ready = reserved.await?;
                ensure!(
                    ready.status == "False" && ready.reason == Reason::HostReserved.as_str(),
                    "the claim of {host} is {} {}: {}",
                    ready.status,
                    ready.reason,
                    ready.message
                );
                for host in [host.clone(), format!("{}:8080", host.to_uppercase()), format!("{host}.")] {
                    let answer = http::get(beside.entry, &host, "/env?name=WHO", PATIENCE).await?;
                    ensure!(answer.text() == "victim", "{host} was answered {}: {}", answer.status, answer.text());
                }
            }
            // The claim falls as a whole.
            let answer = http::get(beside.entry, "fine.example.com", "/env?name=WHO", PATIENCE).await?;
            ensure!(answer.text() != "thief", "a refused Trigger still routes its other host");
            Ok(())
        })
        .await
    });
}

/// Every answer carries the name of who gave it, while pods and their addresses come and go.
#[test]
fn requests_never_reach_another_function_while_pods_come_and_go() {
    scene("churn", |scene| async move {
        let names: Vec<String> = (0..6).map(|n| format!("self-{n}")).collect();
        for name in &names {
            scene.function(name, signed(name)).await?;
        }
        let end = Instant::now() + PATIENCE;
        let churn = names.iter().enumerate().map(|(n, name)| {
            let scene = &scene;
            async move {
                let mut answers = 0_usize;
                while Instant::now() < end {
                    let served = who(scene, name).await?;
                    ensure!(&served == name, "a request to {name} was answered by {served}");
                    answers += 1;
                    if answers % 20 == 10 + n {
                        // None is left if the machine stood still for an idle window.
                        let pods = scene.pods(name).await?;
                        if let Some(pod) = pods.first().and_then(|pod| pod.metadata.name.clone()) {
                            let now = DeleteParams::default().grace_period(0);
                            let api = scene.api::<k8s_openapi::api::core::v1::Pod>();
                            api.delete(&pod, &now).await?;
                        }
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                anyhow::Ok(answers)
            }
        });
        let answers: usize = futures::future::try_join_all(churn).await?.into_iter().sum();
        tell(format_args!("{answers} requests while pods came and went, each answered by its own function"));
        Ok(())
    });
}
