//! The Go parts: of a node, Kubernetes with etcd, containerd with its plugins, CoreDNS and Helm; of a bench, a proxy; of
//! tests, h2spec, grpcurl and a server.
//!
//! Each is a Go module under `e2e`, with its versions in `go.mod` and their hashes in `go.sum`.
//! A built part lies in the cache in a folder named by the hash of all that went into it, so that a
//! part is built once per machine and version, and never used for another version by mistake.

mod build;
pub(crate) mod digest;

pub(crate) use digest::hex;

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::cache::Cache;
use crate::steps::Steps;

/// One Go module and how it is built.
#[derive(Debug)]
pub(crate) struct Part {
    /// The front of its folder's name in the cache.
    name: &'static str,
    /// Its folder under `e2e`.
    source: &'static str,
    /// What the user reads while it is built.
    label: &'static str,
    /// The packages: the module's own main, or the `tool` lines of its `go.mod`.
    packages: &'static str,
    /// Versions, stamped as upstream's own builds do.
    versions: &'static [(&'static str, &'static str)],
}

/// Without these the API server says v0.0.0, and charts that ask for a `kubeVersion` refuse to install.
const KUBE: Part = Part {
    name: "kube",
    source: "node/kube",
    label: "Kubernetes v1.36.3 and etcd",
    packages: ".",
    versions: &[
        ("k8s.io/component-base/version.gitVersion", "v1.36.3"),
        ("k8s.io/component-base/version.gitMajor", "1"),
        ("k8s.io/component-base/version.gitMinor", "36"),
        ("k8s.io/component-base/version.gitTreeState", "clean"),
        ("k8s.io/client-go/pkg/version.gitVersion", "v1.36.3"),
        ("k8s.io/client-go/pkg/version.gitMajor", "1"),
        ("k8s.io/client-go/pkg/version.gitMinor", "36"),
    ],
};

const RUNTIME: Part = Part {
    name: "runtime",
    source: "node/runtime",
    label: "containerd v2.2.9 and CNI plugins",
    packages: "tool",
    versions: &[("github.com/containerd/containerd/v2/version.Version", "v2.2.9")],
};

const DNS: Part = Part { name: "dns", source: "node/dns", label: "CoreDNS v1.15.0", packages: ".", versions: &[] };

const HELM: Part = Part {
    name: "helm",
    source: "node/helm",
    label: "Helm v4.3.1",
    packages: "tool",
    versions: &[
        ("helm.sh/helm/v4/internal/version.version", "v4.3.1"),
        ("helm.sh/helm/v4/internal/version.gitTreeState", "clean"),
    ],
};

const GO_PROXY: Part =
    Part { name: "goproxy", source: "proxies/goproxy", label: "a proxy in Go", packages: ".", versions: &[] };

const GO_READER: Part =
    Part { name: "goreader", source: "readers/goreader", label: "a server in Go", packages: ".", versions: &[] };

/// The folder of `goreader`, which says what Go's server reads in a request.
pub(crate) fn go_reader(cache: &Cache, steps: &Steps) -> Result<PathBuf> {
    build::cached(&GO_READER, cache, steps)
}

/// The folder of `goproxy`, a plain reverse proxy to measure beside the activator.
pub(crate) fn go_proxy(cache: &Cache, steps: &Steps) -> Result<PathBuf> {
    build::cached(&GO_PROXY, cache, steps)
}

/// The last version that is there as a Go module.
const H2SPEC: Part = Part { name: "h2spec", source: "h2spec", label: "h2spec v2.2.1", packages: "tool", versions: &[] };

/// `h2spec`, which tries a server of HTTP/2.
pub(crate) fn h2spec(cache: &Cache, steps: &Steps) -> Result<PathBuf> {
    Ok(build::cached(&H2SPEC, cache, steps)?.join("h2spec"))
}

/// What people call gRPC with by hand.
const GRPCURL: Part =
    Part { name: "grpcurl", source: "grpcurl", label: "grpcurl v1.9.4", packages: "tool", versions: &[] };

/// The folder of `grpcurl`.
pub(crate) fn grpcurl(cache: &Cache, steps: &Steps) -> Result<PathBuf> {
    build::cached(&GRPCURL, cache, steps)
}

/// Where the built programs of a node are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Tools {
    kube: PathBuf,
    runtime: PathBuf,
    dns: PathBuf,
    helm: PathBuf,
}

impl Tools {
    /// The built parts, from the cache where they are there. A first build takes about ten minutes on
    /// two cores; one after another, since each uses all cores.
    pub(crate) fn build(cache: &Cache, steps: &Steps) -> Result<Self> {
        let built = |part| build::cached(part, cache, steps);
        Ok(Self { runtime: built(&RUNTIME)?, kube: built(&KUBE)?, dns: built(&DNS)?, helm: built(&HELM)? })
    }

    /// Helm alone, likewise: it also works without a cluster.
    pub(crate) fn only_helm(cache: &Cache, steps: &Steps) -> Result<PathBuf> {
        Ok(build::cached(&HELM, cache, steps)?.join("helm"))
    }

    /// The binary that is every Kubernetes component, chosen by its first argument.
    pub(crate) fn kube(&self) -> PathBuf {
        self.kube.join("kube")
    }

    /// containerd, its shim, `ctr` and the CNI plugins.
    pub(crate) fn runtime(&self) -> &Path {
        &self.runtime
    }

    /// CoreDNS.
    pub(crate) fn dns(&self) -> PathBuf {
        self.dns.join("dns")
    }

    /// Helm.
    pub(crate) fn helm(&self) -> PathBuf {
        self.helm.join("helm")
    }
}
