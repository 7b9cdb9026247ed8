//! Command line and environment, parsed once into validated types.

use std::time::Duration;

use clap::Parser;

use crate::{boost::Boost, leadership::SHORTEST, runtimes::Runtimes};

/// Rouse's operator: reconciles Functions and Triggers, and sizes functions while it leads.
#[derive(Clone, Debug, Parser)]
#[command(name = "operator", version)]
pub struct Args {
    /// Port for health and metrics.
    #[arg(long, env = "ROUSE_ADMIN_PORT", default_value_t = crds::names::ADMIN_PORT)]
    pub admin_port: u16,
    /// Port for the activators' streams.
    #[arg(long, env = "ROUSE_LINK_PORT", default_value_t = crds::names::LINK_PORT)]
    pub link_port: u16,
    /// Domain under which functions are reached from outside: NAME.NAMESPACE.DOMAIN.
    #[arg(long, env = "ROUSE_DOMAIN", default_value = "localhost", value_parser = domain)]
    pub domain: String,
    /// Port in the URLs that functions show; 0 = none. Unset: 8080 under the domain `localhost`, which is meant for
    /// `kubectl port-forward`, and none under any other.
    #[arg(long, env = "ROUSE_URL_PORT")]
    pub url_port: Option<u16>,
    /// Scheme in the URLs that functions show.
    #[arg(long, env = "ROUSE_URL_SCHEME", default_value = "http", value_parser = ["http", "https"])]
    pub url_scheme: String,
    /// The cluster's own DNS domain.
    #[arg(long, env = "ROUSE_CLUSTER_DOMAIN", default_value = "cluster.local", value_parser = domain)]
    pub cluster_domain: String,
    /// Name of the activator's Service, in the namespace of this pod.
    #[arg(long, env = "ROUSE_ACTIVATOR_SERVICE", default_value = "rouse-activator")]
    pub activator_service: String,
    /// Name of the activators' ServiceAccount, in the namespace of this pod: only its tokens open a stream.
    #[arg(long, env = "ROUSE_ACTIVATOR_SERVICE_ACCOUNT", default_value = "rouse-activator")]
    pub activator_service_account: String,
    /// Name of this pod.
    #[arg(long, env = "POD_NAME", default_value = "operator")]
    pub pod_name: String,
    /// UID of this pod.
    #[arg(long, env = "POD_UID", default_value = "")]
    pub pod_uid: String,
    /// Address of this pod, at which activators reach the leader.
    #[arg(long, env = "POD_IP", default_value = "127.0.0.1")]
    pub pod_ip: std::net::IpAddr,
    /// Namespace of this pod: Rouse's own.
    #[arg(long, env = "POD_NAMESPACE", default_value = "rouse-system")]
    pub pod_namespace: String,
    /// Seconds for which the leader's lease holds without a renewal.
    #[arg(long, env = "ROUSE_LEASE_SECONDS", default_value = "15", value_parser = lease)]
    pub lease: Duration,
    /// Seconds for which a pod may be unschedulable before its start counts as failed; 0 = never, for clusters that add
    /// nodes.
    #[arg(long, env = "ROUSE_UNSCHEDULABLE_SECONDS", default_value = "10", value_parser = seconds)]
    pub unschedulable: Duration,
    /// Whether functions with a CPU limit start with a higher one, where the API server can resize pods in place.
    #[arg(long, env = "ROUSE_STARTUP_BOOST", default_value_t = true, action = clap::ArgAction::Set)]
    pub startup_boost: bool,
    /// The CPU limit of a start as a multiple of the function's own.
    #[arg(long, env = "ROUSE_STARTUP_BOOST_FACTOR", default_value_t = 4,
        value_parser = clap::value_parser!(u32).range(1..=100))]
    pub startup_boost_factor: u32,
    /// The least CPU limit of a start, in thousandths of a core.
    #[arg(long, env = "ROUSE_STARTUP_BOOST_LEAST_MILLI_CPU", default_value_t = 1000,
        value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub startup_boost_least_milli_cpu: u32,
    /// What runs source, as JSON: `{"NAME": {"image": "IMAGE", "resources": {"memory": "256Mi"}, "env": {"NAME": "VALUE"}}, …}`;
    /// only the image is needed.
    #[arg(long, env = "ROUSE_RUNTIMES", default_value = "{}")]
    pub runtimes: Runtimes,
    /// Which log lines are written, in `tracing`'s filter syntax.
    #[arg(long, env = "ROUSE_LOG", default_value = "info")]
    pub log: String,
    /// How they are written: json or text.
    #[arg(long, env = "ROUSE_LOG_FORMAT", default_value = "json")]
    pub log_format: runtime::telemetry::Format,
}

impl Args {
    /// The start-up boost, unless it is switched off.
    pub fn startup_boost(&self) -> Option<Boost> {
        let boost = Boost { factor: self.startup_boost_factor, least_milli: self.startup_boost_least_milli_cpu };
        self.startup_boost.then_some(boost)
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: u32 = text.parse().map_err(|_| format!("`{text}` is not a whole number of seconds"))?;
    Ok(Duration::from_secs(seconds.into()))
}

fn lease(text: &str) -> Result<Duration, String> {
    match seconds(text)? {
        few if few < SHORTEST => {
            Err(format!("a lease of {text} s is too short: write at least {}", SHORTEST.as_secs()))
        }
        enough => Ok(enough),
    }
}

fn domain(text: &str) -> Result<String, String> {
    match crds::route::normalise(text) {
        Some(host) if host.len() <= 120 && !text.contains(':') && !text.starts_with('[') => Ok(host.into_owned()),
        _ => Err(format!("`{text}` is not a DNS domain of at most 120 characters")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_has_a_default() {
        let args = Args::try_parse_from(["operator"]).unwrap();
        assert_eq!((args.admin_port, args.link_port), (9090, 9443));
        assert_eq!(args.lease, Duration::from_secs(15));
        assert_eq!(args.domain, "localhost");
        assert_eq!(args.startup_boost(), Some(Boost { factor: 4, least_milli: 1000 }));
        assert_eq!(Args::try_parse_from(["operator", "--startup-boost=false"]).unwrap().startup_boost(), None);
    }

    #[test]
    fn wrong_values_are_refused() {
        for wrong in [
            "--lease=9",
            "--unschedulable=1.5",
            "--domain=a b",
            "--domain=a:80",
            "--url-scheme=ftp",
            "--pod-ip=here",
            "--startup-boost=maybe",
            "--runtimes=python",
            "--startup-boost-factor=0",
            "--startup-boost-least-milli-cpu=-1",
        ] {
            assert!(Args::try_parse_from(["operator", wrong]).is_err(), "{wrong}");
        }
    }
}
