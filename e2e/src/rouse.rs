//! Rouse on the node as something to disturb: its own pods counted, replaced, killed and frozen, and put back.

use std::{fs, net::SocketAddr};

use ::kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use anyhow::{Context, Result, ensure};
use crds::{labels, names};
use k8s_openapi::api::{apps::v1::Deployment, coordination::v1::Lease, core::v1::Pod};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

use crate::{
    install,
    scene::{PATIENCE, until},
};

/// Rouse on the node.
#[derive(Clone)]
pub struct Rouse {
    client: Client,
    operators: i32,
    activators: i32,
}

impl Rouse {
    /// As it is now.
    ///
    /// # Errors
    /// When it is not installed.
    pub async fn found(client: Client) -> Result<Self> {
        let mut rouse = Self { client, operators: 0, activators: 0 };
        rouse.operators = rouse.replicas(install::OPERATOR).await?;
        rouse.activators = rouse.replicas(install::ACTIVATOR).await?;
        ensure!(rouse.operators > 0 && rouse.activators > 0, "Rouse does not run: run `cargo e2e install` first");
        Ok(rouse)
    }

    /// As it was found, with a leader.
    ///
    /// # Errors
    /// When it does not settle.
    pub async fn restore(&self) -> Result<()> {
        self.scale(install::OPERATOR, self.operators).await?;
        self.scale(install::ACTIVATOR, self.activators).await?;
        self.leader().await?;
        Ok(())
    }

    fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), install::NAMESPACE)
    }

    fn all_pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), install::NAMESPACE)
    }

    async fn replicas(&self, deployment: &str) -> Result<i32> {
        let found = self.deployments().get(deployment).await?;
        Ok(found.spec.and_then(|spec| spec.replicas).unwrap_or(1))
    }

    /// All pods of one of its Deployments, those that are going included.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn pods(&self, deployment: &str) -> Result<Vec<Pod>> {
        let component = deployment.strip_prefix("rouse-").unwrap_or(deployment);
        let selector = format!("{}=rouse,{}={component}", labels::APP_NAME, labels::APP_COMPONENT);
        Ok(self.all_pods().list(&ListParams::default().labels(&selector)).await?.items)
    }

    /// Scales one of its Deployments, and waits until there are just so many pods, all ready, and none on its way out.
    ///
    /// # Errors
    /// When they are not within two minutes.
    pub async fn scale(&self, deployment: &str, replicas: i32) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        self.deployments().patch_scale(deployment, &PatchParams::default(), &patch).await?;
        self.settled(deployment).await
    }

    /// Replaces the pods of one of its Deployments one after another, as `kubectl rollout restart` does, and waits until the
    /// new ones are all ready and the last old one is gone.
    ///
    /// # Errors
    /// When that is not within two minutes.
    pub async fn restart(&self, deployment: &str) -> Result<()> {
        let now = jiff::Timestamp::now().to_string();
        let again = json!({"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": now}}});
        let patch = Patch::Merge(json!({"spec": {"template": again}}));
        self.deployments().patch(deployment, &PatchParams::default(), &patch).await?;
        self.settled(deployment).await
    }

    /// Waits until a Deployment's pods are all there, ready, of the newest template, and no others.
    ///
    /// # Errors
    /// When they are not within two minutes.
    pub async fn settled(&self, deployment: &str) -> Result<()> {
        until(&format!("{deployment} settled"), PATIENCE * 2, async || {
            let found = self.deployments().get(deployment).await?;
            let wanted = found.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
            let status = found.status.unwrap_or_default();
            let rolled_out = status.observed_generation == found.metadata.generation
                && status.updated_replicas.unwrap_or(0) == wanted
                && status.replicas.unwrap_or(0) == wanted;
            let pods = self.pods(deployment).await?;
            let ready = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none() && ready(pod)).count();
            let all = usize::try_from(wanted)?;
            Ok((rolled_out && ready == all && pods.len() == all).then_some(()))
        })
        .await
    }

    /// The Lease of the leader.
    ///
    /// # Errors
    /// When there is none.
    pub async fn lease(&self) -> Result<Lease> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), install::NAMESPACE);
        Ok(leases.get(names::LEASE).await?)
    }

    /// The operator's pod that leads, once there is one: it holds the Lease and serves the link that the Lease names.
    ///
    /// # Errors
    /// When there is none within a minute.
    pub async fn leader(&self) -> Result<Pod> {
        until("a leader", PATIENCE, async || {
            let lease = self.lease().await?;
            let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default();
            let address = lease.annotations().get(labels::LINK_ADDRESS).cloned().unwrap_or_default();
            let pods = self.pods(install::OPERATOR).await?;
            Ok(pods.into_iter().find(|pod| {
                let ip = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).unwrap_or("none");
                holder.contains(&pod.name_any()) && address.starts_with(&format!("{ip}:")) && ready(pod)
            }))
        })
        .await
    }

    /// The leader, once it is another pod than this.
    ///
    /// # Errors
    /// When there is none within a minute.
    pub async fn another_leader(&self, than: &Pod) -> Result<Pod> {
        until("another leader", PATIENCE, async || {
            let leader = self.leader().await?;
            Ok((leader.uid() != than.uid()).then_some(leader))
        })
        .await
    }

    /// Deletes a pod as an eviction does: it is asked to end.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn delete(&self, pod: &Pod) -> Result<()> {
        self.all_pods().delete(&pod.name_any(), &DeleteParams::default()).await?;
        Ok(())
    }

    /// Ends a pod as a lost machine does: its processes are gone at once and nobody cleans up. Another pod takes its
    /// place; the kubelet does not start this one again.
    ///
    /// # Errors
    /// When it has no processes on this machine, or the API server refuses to delete it.
    pub async fn kill(&self, pod: &Pod) -> Result<()> {
        signal(pod, Signal::SIGKILL)?;
        self.all_pods().delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await?;
        Ok(())
    }

    /// Ends a pod's processes as a crash does. The kubelet starts its container again, in the same pod.
    ///
    /// # Errors
    /// When it has no processes on this machine.
    pub fn crash(&self, pod: &Pod) -> Result<()> {
        signal(pod, Signal::SIGKILL)
    }

    /// As [`Self::kill`], and for good: its Deployment is smaller by one from then on, and it is this pod that goes.
    ///
    /// # Errors
    /// As [`Self::kill`].
    pub async fn kill_for_good(&self, deployment: &str, pod: &Pod) -> Result<()> {
        let cheapest = Patch::Merge(json!({"metadata": {"annotations": {labels::POD_DELETION_COST: "-1000"}}}));
        self.all_pods().patch(&pod.name_any(), &PatchParams::default(), &cheapest).await?;
        let smaller = Patch::Merge(json!({"spec": {"replicas": self.replicas(deployment).await? - 1}}));
        signal(pod, Signal::SIGKILL)?;
        self.deployments().patch_scale(deployment, &PatchParams::default(), &smaller).await?;
        // The Deployment's own deletion waits for the grace period of a pod whose machine would not answer.
        match self.all_pods().delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await {
            Err(::kube::Error::Api(status)) if status.code == 404 => Ok(()),
            done => Ok(done.map(drop)?),
        }
    }

    /// Stops a pod's processes where they are, as a machine that hangs does, until the value is dropped. They know nothing
    /// of the time between.
    ///
    /// # Errors
    /// When it has no processes on this machine.
    pub fn freeze<'a>(&self, pod: &'a Pod) -> Result<Frozen<'a>> {
        let frozen = Frozen { pod };
        signal(pod, Signal::SIGSTOP)?;
        Ok(frozen)
    }
}

/// A pod whose processes stand still.
#[must_use = "they go on when it is dropped"]
#[derive(Debug)]
pub struct Frozen<'a> {
    pod: &'a Pod,
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        // The kubelet may have killed them meanwhile.
        let _ = signal(self.pod, Signal::SIGCONT);
    }
}

/// Sends a signal to a pod's processes.
fn signal(pod: &Pod, signal: Signal) -> Result<()> {
    let processes = processes(&pod.uid().context("a pod without a UID")?)?;
    ensure!(!processes.is_empty(), "the pod {} has no processes", pod.name_any());
    for process in processes {
        // One that has ended meanwhile is as good.
        let _ = kill(process, signal);
    }
    Ok(())
}

/// Where an activator's pod takes requests.
///
/// # Errors
/// When it has no address.
pub fn address(activator: &Pod) -> Result<SocketAddr> {
    let ip = activator.status.as_ref().and_then(|status| status.pod_ip.as_deref()).context("no IP")?;
    Ok(SocketAddr::new(ip.parse()?, names::ACTIVATOR_PORT))
}

/// Whether Kubernetes takes a pod for ready.
pub fn ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True")
}

/// The processes of a pod but for its sandbox, by the control group that the kubelet put them into.
pub(crate) fn processes(uid: &str) -> Result<Vec<Pid>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that has ended meanwhile cannot be read.
        let group = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if group.contains(uid) && name.trim_end() != "pause" {
            found.push(Pid::from_raw(pid));
        }
    }
    Ok(found)
}
