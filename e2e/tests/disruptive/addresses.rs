//! A pod's address is given to another function's pod: the first function's requests never follow it there. Alone, since the
//! node's next addresses are chosen here.

use std::{fs, net::Ipv4Addr, path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use e2e::{
    cluster::Cluster,
    scene::{PATIENCE, Scene, tell, until},
};
use futures::future::try_join_all;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;

use crate::installation::disturb;

/// Where the network plugin `host-local` notes the address that it gave last; it goes on from there.
fn last_given(cluster: &Cluster) -> Result<PathBuf> {
    let Cluster::Node(node) = cluster else { bail!("only on the node of `cargo e2e up`") };
    Ok(node.paths().root().join("data/cni/pods/last_reserved_ip.0"))
}

/// Makes `address` the next one to be given, if it is free by then.
fn next(cluster: &Cluster, address: Ipv4Addr) -> Result<()> {
    let before = Ipv4Addr::from(u32::from(address) - 1);
    fs::write(last_given(cluster)?, before.to_string()).context("cannot choose the next address")
}

async fn function(scene: &Scene, who: &str) -> Result<()> {
    let spec = json!({"env": [{"name": "WHO", "value": who}], "scaling": {"windowSeconds": 3600}});
    scene.function(who, spec).await.map(drop)
}

async fn ask(scene: &Scene, who: &str) -> Result<()> {
    let answer = scene.get(who, "/env?name=WHO").await?;
    ensure!(answer.status == 200 && answer.text() == who, "{who} was answered {} {}", answer.status, answer.text());
    Ok(())
}

/// The one pod of a function and its address.
async fn pod(scene: &Scene, who: &str) -> Result<(Pod, Ipv4Addr)> {
    until("a pod with an address", PATIENCE, async || {
        let pods = scene.pods(who).await?;
        let pod = pods.into_iter().find(|pod| pod.status.as_ref().is_some_and(|s| s.pod_ip.is_some()));
        let address = pod.as_ref().and_then(|pod| pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok());
        Ok(pod.zip(address))
    })
    .await
}

/// Takes a function to zero behind Rouse's back, without waiting for its window. The operator wakes it again if what it was
/// told last is that a request is held.
async fn stop(scene: &Scene, who: &str) -> Result<()> {
    let revision = scene.api::<crds::Function>().get(who).await?.status.unwrap_or_default().revision;
    let api: Api<Deployment> = scene.api();
    let zero = Patch::Merge(json!({"spec": {"replicas": 0}}));
    until("the function is at zero and stays there", PATIENCE, async || {
        api.patch_scale(&revision, &PatchParams::default(), &zero).await?;
        let left = scene.pods_to_the_last(who).await?.len();
        Ok((left == 0 && scene.replicas(who).await? == 0).then_some(()))
    })
    .await
}

#[test]
fn a_reused_address_never_receives_the_first_functions_requests() {
    disturb("reuse", |scene, _| async move {
        function(&scene, "first").await?;
        function(&scene, "second").await?;
        let (mut reused, mut times) = (0, 0);
        // Another pod may come in between, or the address be free too late.
        while times < 5 || (reused == 0 && times < 12) {
            times += 1;
            // The activator has used connections to this address.
            try_join_all((0..8).map(|_| ask(&scene, "first"))).await?;
            let (_, address) = pod(&scene, "first").await?;
            stop(&scene, "first").await?;
            next(&scene.cluster, address)?;
            ask(&scene, "second").await?;
            reused += usize::from(pod(&scene, "second").await?.1 == address);
            try_join_all((0..8).map(|_| ask(&scene, "first"))).await?;
            try_join_all((0..8).map(|_| ask(&scene, "second"))).await?;
            stop(&scene, "second").await?;
            stop(&scene, "first").await?;
        }
        tell(format_args!("{reused} of {times} times the address went straight to the other function"));
        ensure!(reused > 0, "no address was ever reused: nothing is proved");
        Ok(())
    });
}

/// The same while requests for the first function come all the time and its pod is torn away.
#[test]
fn nor_while_it_is_torn_away() {
    disturb("torn", |scene, _| async move {
        function(&scene, "first").await?;
        function(&scene, "second").await?;
        ask(&scene, "first").await?;
        let (mut reused, mut asked) = (0, 0);
        for _ in 0..8 {
            let (torn, address) = pod(&scene, "first").await?;
            next(&scene.cluster, address)?;
            scene.api::<Pod>().delete(&torn.name_any(), &DeleteParams::default().grace_period(0)).await?;
            let steady = async {
                for _ in 0..40 {
                    try_join_all((0..4).map(|_| ask(&scene, "first"))).await?;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                anyhow::Ok(())
            };
            tokio::try_join!(steady, ask(&scene, "second"))?;
            asked += 160;
            reused += usize::from(pod(&scene, "second").await?.1 == address);
            stop(&scene, "second").await?;
        }
        tell(format_args!(
            "{asked} requests while pods were torn away; {reused} of 8 addresses went to the other function"
        ));
        Ok(())
    });
}
