//! Every address, range and port of the node. None of them is reachable from outside its namespaces,
//! so they never clash with the machine's own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The node's name in the cluster, and its host name.
pub const NODE_NAME: &str = "rouse-node";

/// The node's own address (TEST-NET-1, RFC 5737: nobody's real network).
pub const NODE_IP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The default route: the other end of the veth pair, where nobody answers.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// Pods: 1,022 addresses.
pub(crate) const POD_RANGE: &str = "10.244.0.0/22";

/// Services.
pub(crate) const SERVICE_RANGE: &str = "10.96.0.0/16";

/// The `kubernetes` Service: the API server as pods see it.
pub(crate) const API_SERVICE_IP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

/// The `kube-dns` Service: what pods have as their name server.
pub(crate) const DNS_SERVICE_IP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);

/// The domain of Services and pods.
pub const CLUSTER_DOMAIN: &str = "cluster.local";

/// The API server.
pub(crate) const API_PORT: u16 = 6443;

/// Where `readyz`-like endpoints and servers listen in the node's network namespace.
pub(crate) const ETCD: SocketAddr = local(2379);
pub(crate) const ETCD_PEER: SocketAddr = local(2380);
pub(crate) const KUBELET_HEALTH: SocketAddr = local(10248);
pub(crate) const SCHEDULER: SocketAddr = local(10259);
pub(crate) const CONTROLLER_MANAGER: SocketAddr = local(10257);
pub(crate) const PROXY_HEALTH: SocketAddr = local(10256);
pub(crate) const DNS_READY: SocketAddr = local(8181);

const fn local(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}
