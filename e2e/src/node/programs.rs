//! Programs for use with the node. Run them from a thread inside its network: [`Node::inside`].

use std::process::Command;

use super::Node;

impl Node {
    /// kubectl as the cluster's administrator.
    pub fn kubectl(&self) -> Command {
        let mut command = Command::new(self.plan.tools.kube());
        command.arg("kubectl");
        self.environment(&mut command);
        command
    }

    /// Helm as the cluster's administrator.
    pub fn helm(&self) -> Command {
        let mut command = Command::new(self.plan.tools.helm());
        self.environment(&mut command);
        command
    }

    /// containerd's own client, in the kubelet's namespace.
    pub fn ctr(&self) -> Command {
        let mut command = Command::new(self.plan.tools.runtime().join("ctr"));
        command.arg("--address").arg(self.paths().containerd_socket()).args(["--namespace", "k8s.io"]);
        command
    }

    /// Access to this cluster, and caches that go with it: the next node has the same address, but
    /// other resources.
    fn environment(&self, command: &mut Command) {
        let data = |name: &str| self.paths().data(name);
        command
            .env("KUBECONFIG", self.paths().kubeconfig("admin"))
            .env("KUBECACHEDIR", data("kubectl"))
            .env("HELM_CACHE_HOME", data("helm/cache"))
            .env("HELM_CONFIG_HOME", data("helm/config"))
            .env("HELM_DATA_HOME", data("helm/data"));
    }
}
