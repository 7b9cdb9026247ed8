//! The start of a node, in order. The order is upstream's: the controller manager gives up soon
//! without an API server, and pods need a runtime.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::children::Children;
use super::{close_events, probe};
use crate::node::address::{CONTROLLER_MANAGER, DNS_READY, ETCD, KUBELET_HEALTH, NODE_NAME, PROXY_HEALTH, SCHEDULER};
use crate::node::api;
use crate::node::components::{Component, dns_service};
use crate::node::event::Event;
use crate::node::plan::Plan;

/// Brings the node up and reports each step, and at the end the success. The caller reports a failure.
pub(super) fn run(plan: &Plan, children: &Children) -> Result<()> {
    Start { plan, children }.all()?;
    fs::write(plan.paths.serving(), "")?;
    if !Event::Ready.send() {
        bail!("whoever started the node is gone");
    }
    close_events()
}

struct Start<'a> {
    plan: &'a Plan,
    children: &'a Children,
}

impl Start<'_> {
    fn all(&self) -> Result<()> {
        let asynchronous = tokio::runtime::Builder::new_current_thread().enable_all().build()?;

        self.step("etcd and containerd")?;
        self.start(Component::Etcd)?;
        self.start(Component::Containerd)?;
        self.until(Component::Etcd, || probe::tcp(ETCD))?;

        self.step("API server")?;
        self.start(Component::Apiserver)?;
        let client = asynchronous.block_on(api::client(&self.plan.paths.kubeconfig("admin")))?;
        self.until(Component::Apiserver, || asynchronous.block_on(api::ready(&client)))?;
        self.until(Component::Containerd, || probe::unix(&self.plan.paths.containerd_socket()))?;

        self.step("controllers, kubelet, proxy, DNS")?;
        let rest = [Component::ControllerManager, Component::Scheduler, Component::Kubelet, Component::Proxy];
        for component in rest {
            self.start(component)?;
        }
        asynchronous.block_on(self.publish_dns(&client))?;
        self.start(Component::Dns)?;
        self.until(Component::ControllerManager, || probe::tcp(CONTROLLER_MANAGER))?;
        self.until(Component::Scheduler, || probe::tcp(SCHEDULER))?;
        self.until(Component::Kubelet, || probe::http(KUBELET_HEALTH, "/healthz"))?;
        self.until(Component::Proxy, || probe::http(PROXY_HEALTH, "/healthz"))?;
        self.until(Component::Dns, || probe::http(DNS_READY, "/ready"))?;

        self.step("node Ready")?;
        self.serves_pods(&asynchronous, &client)
    }

    /// Ready by its own word, and with the account that every pod of the default namespace runs as.
    fn serves_pods(&self, asynchronous: &Runtime, client: &kube::Client) -> Result<()> {
        self.until(Component::Kubelet, || asynchronous.block_on(api::node_ready(client, NODE_NAME)))?;
        self.until(Component::ControllerManager, || asynchronous.block_on(api::default_account(client)))
    }

    async fn publish_dns(&self, client: &kube::Client) -> Result<()> {
        for object in dns_service() {
            let object: DynamicObject = serde_json::from_value(object)?;
            let types: &TypeMeta = object.types.as_ref().context("an object without a kind")?;
            let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(types)?);
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), "kube-system", &resource);
            let name = object.metadata.name.clone().unwrap_or_default();
            let apply = PatchParams::apply("rouse-e2e");
            timeout(Duration::from_secs(10), api.patch(&name, &apply, &Patch::Apply(&object))).await??;
        }
        Ok(())
    }

    fn step(&self, name: &str) -> Result<()> {
        if !Event::Step(name.to_owned()).send() {
            bail!("whoever started the node is gone");
        }
        Ok(())
    }

    fn start(&self, component: Component) -> Result<()> {
        self.children.start(component, component.command(self.plan))
    }

    fn until(&self, component: Component, serves: impl FnMut() -> bool) -> Result<()> {
        probe::until(self.plan, self.children, component, serves)
    }
}
