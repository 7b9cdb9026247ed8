//! A place for one test: a namespace of its own on the node with Rouse installed, and the steps that tests share.

use std::{
    fmt::Display,
    future::Future,
    io::Write,
    net::SocketAddr,
    time::{Duration, Instant},
};

use ::kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    discovery,
};
use anyhow::{Context, Result, anyhow, bail, ensure};
use crds::{ConditionType, Function, Reason, Trigger, condition, labels};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Event, Namespace, Pod, ResourceQuota, Service, ServiceAccount},
};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{
    cluster::Cluster,
    http::{self, Answer},
    install, kube,
};

/// Image of the test application.
pub const APP: &str = "rouse.local/testapp:1";
/// The same application with another version inside.
pub const APP_2: &str = "rouse.local/testapp:2";
/// Longest ordinary step.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Longest whole test: on a machine that is busy with fifteen others, some take twice as long as alone.
const WHOLE: Duration = Duration::from_secs(900);

/// Where a test works.
pub struct Scene {
    /// The cluster, for kubectl and helm.
    pub cluster: Cluster,
    /// A client with every right.
    pub client: Client,
    /// A namespace of this test's own.
    pub namespace: String,
    /// The activator's Service.
    pub entry: SocketAddr,
}

/// Runs a test in a namespace of its own. On failure it says what stood in the namespace; the namespace goes either way.
///
/// # Panics
/// When the node or Rouse is missing, or when the test fails: this is how a test says so.
#[allow(clippy::panic)]
pub fn scene<F: Future<Output = Result<()>>>(name: &str, test: impl FnOnce(Scene) -> F) {
    if let Err(error) = run(name, test) {
        panic!("{name}: {error:#}");
    }
}

fn run<F: Future<Output = Result<()>>>(name: &str, test: impl FnOnce(Scene) -> F) -> Result<()> {
    let cluster = Cluster::select(None).context("these tests need the node: run `cargo e2e install` first")?;
    cluster.runtime()?.block_on(async {
        let scene = Scene::open(&cluster, name).await?;
        let (client, namespace) = (scene.client.clone(), scene.namespace.clone());
        let result = match tokio::time::timeout(WHOLE, test(scene)).await {
            Ok(result) => result,
            Err(_) => Err(anyhow!("not done within {WHOLE:?}")),
        };
        if result.is_err() {
            eprintln!("--- what stood in {namespace} when {name} failed\n{}", account(&client, &namespace).await);
        }
        Api::<Namespace>::all(client).delete(&namespace, &DeleteParams::background()).await?;
        result
    })
}

/// The activator's address inside the cluster.
///
/// # Errors
/// When Rouse is not installed.
pub async fn entry(client: &Client) -> Result<SocketAddr> {
    let services: Api<Service> = Api::namespaced(client.clone(), install::NAMESPACE);
    let service = services.get_opt(install::ACTIVATOR).await?;
    let service = service.context("Rouse is not installed on the node: run `cargo e2e install` first")?;
    let spec = service.spec.context("a Service without a spec")?;
    let port = spec.ports.and_then(|ports| ports.first().map(|p| p.port)).unwrap_or(80);
    Ok(format!("{}:{port}", spec.cluster_ip.unwrap_or_default()).parse()?)
}

/// What a person would look at first.
async fn account(client: &Client, namespace: &str) -> String {
    let mut lines = Vec::new();
    let all = ListParams::default();
    for f in Api::<Function>::namespaced(client.clone(), namespace).list(&all).await.into_iter().flatten() {
        lines.push(format!("function {}: {}", f.name_any(), json!(f.status)));
    }
    for d in Api::<Deployment>::namespaced(client.clone(), namespace).list(&all).await.into_iter().flatten() {
        let replicas = d.spec.as_ref().and_then(|s| s.replicas);
        lines.push(format!("deployment {}: {replicas:?} {}", d.name_any(), json!(d.status)));
    }
    for p in Api::<Pod>::namespaced(client.clone(), namespace).list(&all).await.into_iter().flatten() {
        lines.push(format!(
            "pod {} (deleted {}): {}",
            p.name_any(),
            p.metadata.deletion_timestamp.is_some(),
            json!(p.status)
        ));
    }
    for e in Api::<Event>::namespaced(client.clone(), namespace).list(&all).await.into_iter().flatten() {
        let about = e.involved_object.name.unwrap_or_default();
        lines.push(format!("event {about}: {} {}", e.reason.unwrap_or_default(), e.message.unwrap_or_default()));
    }
    lines.join("\n")
}

impl Scene {
    /// A new namespace, named after `name`, under the strictest Pod Security level: functions must not need more.
    ///
    /// # Errors
    /// When Rouse is not installed, or its Service leads nowhere.
    pub async fn open(cluster: &Cluster, name: &str) -> Result<Self> {
        let client = kube::client(cluster).await?;
        let suffix = uuid::Uuid::new_v4().simple().to_string();
        let namespace = format!("{name}-{}", &suffix[..6]);
        let scene = Self { entry: entry(&client).await?, cluster: cluster.clone(), client, namespace };
        let namespaces: Api<Namespace> = Api::all(scene.client.clone());
        let enforced = json!({"metadata": {"name": scene.namespace, "labels": {
            "pod-security.kubernetes.io/enforce": "restricted"}}});
        namespaces.create(&PostParams::default(), &serde_json::from_value(enforced)?).await?;
        // A controller makes it some time after the namespace. A pod that is made by hand before that is refused.
        let accounts = scene.api::<ServiceAccount>();
        until("the namespace has its ServiceAccount", PATIENCE, async || {
            Ok(accounts.get_metadata_opt("default").await?.map(drop))
        })
        .await?;
        // Pods are ready a moment before the node's proxy rules lead to them.
        until("the activator's Service takes connections", PATIENCE, async || {
            Ok(TcpStream::connect(scene.entry).await.ok().map(drop))
        })
        .await?;
        Ok(scene)
    }

    /// Deletes the namespace, and waits until all that was in it is gone.
    ///
    /// # Errors
    /// When that takes longer than `patience`.
    pub async fn close(&self, patience: Duration) -> Result<()> {
        self.delete().await?;
        self.gone(patience).await
    }

    /// Deletes the namespace. Does not wait.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn delete(&self) -> Result<()> {
        self.namespaces().delete(&self.namespace, &DeleteParams::background()).await?;
        Ok(())
    }

    /// Waits until all that was in the namespace is gone.
    ///
    /// # Errors
    /// When that takes longer than `patience`.
    pub async fn gone(&self, patience: Duration) -> Result<()> {
        let namespaces = self.namespaces();
        until("the namespace is gone", patience, async || {
            Ok(namespaces.get_metadata_opt(&self.namespace).await?.is_none().then_some(()))
        })
        .await
    }

    fn namespaces(&self) -> Api<Namespace> {
        Api::all(self.client.clone())
    }

    /// An API of the test's namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: ::kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The inside address of a function.
    pub fn host(&self, function: &str) -> String {
        format!("{function}.{}", self.namespace)
    }

    /// Creates any object in the test's namespace.
    ///
    /// # Errors
    /// With the API server's words when it refuses.
    pub async fn create(&self, manifest: Value) -> Result<DynamicObject> {
        let object: DynamicObject = serde_json::from_value(manifest)?;
        let types = object.types.clone().context("a manifest without apiVersion and kind")?;
        let gvk = ::kube::core::GroupVersionKind::try_from(&types)?;
        let (resource, _) = discovery::pinned_kind(&self.client, &gvk).await?;
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
        Ok(api.create(&PostParams::default(), &object).await?)
    }

    /// Creates a Function; `spec` needs no image, and is small unless it says otherwise, so that the pods of many tests
    /// find a place on one node. Does not wait.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn apply_function(&self, name: &str, spec: Value) -> Result<Function> {
        let mut whole = json!({"image": APP, "resources": {"memory": "32Mi", "cpu": "10m"}});
        if let (Some(whole), Some(spec)) = (whole.as_object_mut(), spec.as_object()) {
            whole.extend(spec.clone());
        }
        let function =
            json!({"apiVersion": "rouse.dev/v1alpha1", "kind": "Function", "metadata": {"name": name}, "spec": whole});
        Ok(self.api::<Function>().create(&PostParams::default(), &serde_json::from_value(function)?).await?)
    }

    /// Creates a Function and waits until it is Ready.
    ///
    /// # Errors
    /// When it does not become Ready.
    pub async fn function(&self, name: &str, spec: Value) -> Result<Function> {
        self.apply_function(name, spec).await?;
        self.function_when(name, "Ready", |f| holds(f, ConditionType::Ready)).await
    }

    /// Merges `spec` into a Function's spec (RFC 7396). Does not wait.
    ///
    /// # Errors
    /// With the API server's words when it refuses.
    pub async fn change_function(&self, name: &str, spec: Value) -> Result<Function> {
        let patch = Patch::Merge(json!({"spec": spec}));
        Ok(self.api::<Function>().patch(name, &PatchParams::default(), &patch).await?)
    }

    /// Waits for a Function to be as `wanted` says.
    ///
    /// # Errors
    /// When it is not within a minute and a half; says what it was.
    pub async fn function_when(&self, name: &str, what: &str, wanted: impl Fn(&Function) -> bool) -> Result<Function> {
        let api = self.api::<Function>();
        let deadline = Instant::now() + PATIENCE + PATIENCE / 2;
        loop {
            let seen = api.get(name).await?;
            if wanted(&seen) {
                return Ok(seen);
            }
            ensure!(Instant::now() < deadline, "function {name} is not {what}: {}", json!(seen.status));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Creates a Trigger. Does not wait.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn apply_trigger(&self, name: &str, spec: Value) -> Result<Trigger> {
        let trigger =
            json!({"apiVersion": "rouse.dev/v1alpha1", "kind": "Trigger", "metadata": {"name": name}, "spec": spec});
        Ok(self.api::<Trigger>().create(&PostParams::default(), &serde_json::from_value(trigger)?).await?)
    }

    /// Creates a ResourceQuota, and waits until it is in force: until its controller has counted, it refuses in other words.
    ///
    /// # Errors
    /// When it is not in force within a minute.
    pub async fn quota(&self, name: &str, hard: Value) -> Result<()> {
        self.create(
            json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": {"hard": hard}}),
        )
        .await?;
        until("the quota in force", PATIENCE, async || {
            let status = self.api::<ResourceQuota>().get(name).await?.status;
            Ok(status.and_then(|status| status.used).map(drop))
        })
        .await
    }

    /// One GET to a function, through the activator.
    ///
    /// # Errors
    /// When there is no whole answer within a minute and a half.
    pub async fn get(&self, function: &str, path: &str) -> Result<Answer> {
        http::get(self.entry, &self.host(function), path, PATIENCE + PATIENCE / 2).await
    }

    /// One GET to a function with volumes, sent again while the answer is that one cannot be mounted: a busy kubelet says so of
    /// a ConfigMap or Secret that it has not read yet, and mounts it a moment later.
    ///
    /// # Errors
    /// When there is no other answer within three minutes.
    pub async fn get_mounted(&self, host: &str, path: &str) -> Result<Answer> {
        until("an answer, with the volumes mounted", PATIENCE * 3, async || {
            let answer = http::get(self.entry, host, path, PATIENCE * 3).await?;
            let unmounted = answer.status == 503 && answer.text().contains(Reason::VolumeMountError.as_str());
            Ok((!unmounted).then_some(answer))
        })
        .await
    }

    /// The function's pods that are not being deleted.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn pods(&self, function: &str) -> Result<Vec<Pod>> {
        let mut pods = self.pods_to_the_last(function).await?;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(pods)
    }

    /// The same with those that are on their way out.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn pods_to_the_last(&self, function: &str) -> Result<Vec<Pod>> {
        let selector = format!("{}={function}", labels::FUNCTION);
        Ok(self.api::<Pod>().list(&ListParams::default().labels(&selector)).await?.items)
    }

    /// `spec.replicas` of the Deployment that serves a function.
    ///
    /// # Errors
    /// When there is none.
    pub async fn replicas(&self, function: &str) -> Result<i32> {
        let status = self.api::<Function>().get(function).await?.status.unwrap_or_default();
        let deployment = self.api::<Deployment>().get(&status.revision).await?;
        Ok(deployment.spec.and_then(|spec| spec.replicas).unwrap_or(1))
    }

    /// Waits until the function is at zero and its pods are gone.
    ///
    /// # Errors
    /// When it is not within a minute and a half.
    pub async fn at_zero(&self, function: &str) -> Result<()> {
        until("the function is at zero", PATIENCE + PATIENCE / 2, async || {
            let left = self.pods_to_the_last(function).await?.len();
            Ok((left == 0 && self.replicas(function).await? == 0).then_some(()))
        })
        .await
    }

    /// kubectl in the test's namespace, with `input` on its standard input. Gives what it wrote on standard output.
    ///
    /// # Errors
    /// With its own words when it fails.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        let all = [&["--namespace", self.namespace.as_str()], arguments].concat();
        kube::succeed(kube::kubectl(&self.cluster, &all, input)?)
    }
}

/// Whether a condition of a Function is there and true.
pub fn holds(function: &Function, kind: ConditionType) -> bool {
    function.status.as_ref().is_some_and(|status| {
        status.observed_generation == function.metadata.generation.unwrap_or_default()
            && condition::is_true(&status.conditions, kind)
    })
}

/// Prints a figure beside the harness' own lines, of passing tests too.
pub fn tell(figure: impl Display) {
    // Not by `eprintln!`, which the harness swallows while a test passes. Nobody to read it is no failure.
    let _ = writeln!(std::io::stderr(), "    {figure}");
}

/// Looks again and again until there is something.
///
/// # Errors
/// When there is nothing within `patience`, or a look fails.
pub async fn until<T>(what: &str, patience: Duration, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            bail!("not within {patience:?}: {what}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
