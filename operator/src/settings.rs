//! What the reconcilers need to know of the installation.

use std::time::Duration;

use crds::route::Domains;

use crate::{args::Args, boost::Boost, runtimes::Runtimes};

/// What the reconcilers need to know of the installation. Fixed for the life of the process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The domains under which functions have addresses.
    pub domains: Domains,
    /// DNS name of the activator's Service, to which every function's Service points.
    pub activator_host: String,
    /// How long a pod may be unschedulable before its start counts as failed; `None` = for ever.
    pub unschedulable: Option<Duration>,
    /// How much higher the CPU limit of a start is; `None` = functions start with their own.
    pub boost: Option<Boost>,
    /// What runs source.
    pub runtimes: Runtimes,
    url_scheme: String,
    url_port: Option<u16>,
}

impl Settings {
    /// From the command line.
    pub fn new(args: &Args) -> Self {
        let domains = Domains { external: args.domain.clone(), cluster: args.cluster_domain.clone() };
        let by_domain = (args.domain == "localhost").then_some(8080);
        Self {
            activator_host: format!("{}.{}.svc.{}", args.activator_service, args.pod_namespace, args.cluster_domain),
            unschedulable: Some(args.unschedulable).filter(|some| !some.is_zero()),
            boost: args.startup_boost(),
            runtimes: args.runtimes.clone(),
            url_scheme: args.url_scheme.clone(),
            url_port: args.url_port.map_or(by_domain, |port| Some(port).filter(|port| *port != 0)),
            domains,
        }
    }

    /// The address of a function outside the cluster.
    pub fn url(&self, name: &str, namespace: &str) -> String {
        let port = self.url_port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{name}.{namespace}.{}{port}", self.url_scheme, self.domains.external)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn the_url_has_a_port_only_where_it_needs_one() {
        for (arguments, url) in [
            (vec!["operator"], "http://hello.shop.localhost:8080"),
            (vec!["operator", "--url-port=0"], "http://hello.shop.localhost"),
            (vec!["operator", "--domain=fn.example.com"], "http://hello.shop.fn.example.com"),
            (vec!["operator", "--domain=fn.example.com", "--url-scheme=https"], "https://hello.shop.fn.example.com"),
            (vec!["operator", "--domain=fn.example.com", "--url-port=81"], "http://hello.shop.fn.example.com:81"),
        ] {
            let settings = Settings::new(&Args::try_parse_from(arguments).unwrap());
            assert_eq!(settings.url("hello", "shop"), url);
        }
    }
}
