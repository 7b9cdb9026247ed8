//! Command line and environment, parsed once into validated types.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::path::trail::ACCESS_LOG;

/// Rouse's activator: holds, wakes and forwards requests to functions.
#[derive(Clone, Debug, Parser)]
#[command(name = "activator", version)]
pub struct Args {
    /// Port for requests.
    #[arg(long, env = "ROUSE_PORT", default_value_t = crds::names::ACTIVATOR_PORT)]
    pub port: u16,
    /// Port for health and metrics.
    #[arg(long, env = "ROUSE_ADMIN_PORT", default_value_t = crds::names::ADMIN_PORT)]
    pub admin_port: u16,
    /// Threads that serve requests; 0 = one for each core, up to 8.
    #[arg(long, env = "ROUSE_WORKERS", default_value_t = 0)]
    pub workers: usize,
    /// Domain under which functions are reached from outside: NAME.NAMESPACE.DOMAIN.
    #[arg(long, env = "ROUSE_DOMAIN", default_value = "localhost")]
    pub domain: String,
    /// The cluster's own DNS domain.
    #[arg(long, env = "ROUSE_CLUSTER_DOMAIN", default_value = "cluster.local")]
    pub cluster_domain: String,
    /// Name of this pod.
    #[arg(long, env = "POD_NAME", default_value = "activator")]
    pub pod_name: String,
    /// UID of this pod, by which the leader knows it.
    #[arg(long, env = "POD_UID", default_value = "")]
    pub pod_uid: String,
    /// Namespace of this pod, where the leader's Lease is.
    #[arg(long, env = "POD_NAMESPACE", default_value = "rouse-system")]
    pub pod_namespace: String,
    /// File with the service account token for the leader, audience `rouse-link`.
    #[arg(long, env = "ROUSE_TOKEN_FILE", default_value = "/var/run/rouse/token")]
    pub token_file: PathBuf,
    /// Seconds for which a pod may be unschedulable before its start counts as failed; 0 = hold to the deadline.
    #[arg(long, env = "ROUSE_UNSCHEDULABLE_SECONDS", default_value = "10", value_parser = seconds)]
    pub unschedulable: Duration,
    /// Seconds for which requests in flight may end after SIGTERM.
    #[arg(long, env = "ROUSE_DRAIN_SECONDS", default_value = "90", value_parser = seconds)]
    pub drain: Duration,
    /// Which log lines are written, in `tracing`'s filter syntax.
    #[arg(long, env = "ROUSE_LOG", default_value = "info")]
    pub log: String,
    /// How they are written: json or text.
    #[arg(long, env = "ROUSE_LOG_FORMAT", default_value = "json")]
    pub log_format: runtime::telemetry::Format,
    /// Whether every request gets a line in the log.
    #[arg(long, env = "ROUSE_ACCESS_LOG", default_value_t = false, action = clap::ArgAction::Set)]
    pub access_log: bool,
    /// URL of an OpenTelemetry collector that takes OTLP over gRPC, without TLS; empty = no traces. Only in a program that is
    /// built with the feature `otel`.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", default_value = "")]
    pub otlp_endpoint: String,
    /// Functions with series of their own in the metrics; those beyond are counted under `_other`.
    #[arg(long, env = "ROUSE_METRICS_FUNCTIONS", default_value_t = crate::metrics::FUNCTIONS)]
    pub metrics_functions: usize,
    /// What one caller or function may take.
    #[command(flatten)]
    pub limits: Limits,
}

impl Args {
    /// The filter of the log. The lines of the access log are no matter of levels: they are there or not.
    pub fn log_filter(&self) -> String {
        format!("{},{ACCESS_LOG}={}", self.log, if self.access_log { "info" } else { "off" })
    }
}

/// What one caller, function, namespace or process may take.
#[derive(Clone, Debug, Parser)]
pub struct Limits {
    /// Connections of callers at once; the next one waits to be accepted.
    #[arg(long, env = "ROUSE_MAX_CONNECTIONS", default_value = "30000")]
    pub max_connections: NonZeroUsize,
    /// The same of one address; the next one is closed at once. Many callers may share one: behind a NAT, or where nodes pass
    /// connections on in their own name.
    #[arg(long, env = "ROUSE_MAX_CONNECTIONS_PER_PEER", default_value = "15000")]
    pub max_connections_per_peer: NonZeroUsize,
    /// HTTP/2 streams of one connection at once.
    #[arg(long, env = "ROUSE_MAX_STREAMS", default_value = "100")]
    pub max_streams: NonZeroU32,
    /// HTTP/2 frames a second of one connection that carry nothing and that no request or body pays for; twice as many may
    /// come at once. 0 = no limit.
    #[arg(long, env = "ROUSE_MAX_CONTROL_FRAMES", default_value_t = 1000)]
    pub max_control_frames: u32,
    /// HTTP/2 streams a second that one connection may reset; twice as many may come at once. 0 = no limit.
    #[arg(long, env = "ROUSE_MAX_RESETS", default_value_t = 50)]
    pub max_resets: u32,
    /// Requests held at once in this process.
    #[arg(long, env = "ROUSE_MAX_HELD", default_value = "25000")]
    pub max_held: NonZeroUsize,
    /// Bytes of heads of held requests in this process.
    #[arg(long, env = "ROUSE_MAX_HELD_BYTES", default_value = "67108864")]
    pub max_held_bytes: NonZeroUsize,
    /// Share of both that one namespace may take, in percent.
    #[arg(long, env = "ROUSE_NAMESPACE_SHARE_PERCENT", default_value = "50", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub namespace_share_percent: u8,
    /// Bytes of a request's header fields; more is answered 431.
    #[arg(long, env = "ROUSE_MAX_HEAD_BYTES", default_value = "16384", value_parser = head_bytes)]
    pub max_head_bytes: u32,
    /// Bytes of a request's path and query; more is answered 414.
    #[arg(long, env = "ROUSE_MAX_URI_BYTES", default_value = "8192")]
    pub max_uri_bytes: NonZeroUsize,
    /// Bytes of a request's body; more is answered 413. 0 = no limit.
    #[arg(long, env = "ROUSE_MAX_BODY_BYTES", default_value_t = 0)]
    pub max_body_bytes: u64,
    /// Bytes of requests' bodies that are kept in this process while they are sent, so that they can be sent again. 0 = none.
    #[arg(long, env = "ROUSE_MAX_REPLAY_BYTES", default_value_t = 16_777_216)]
    pub max_replay_bytes: usize,
    /// Bytes that are read in this process while their requests are held, so that a caller that goes is noticed. 0 = none.
    #[arg(long, env = "ROUSE_MAX_AHEAD_BYTES", default_value_t = 67_108_864)]
    pub max_ahead_bytes: usize,
    /// Seconds from the first byte of a request's head to its last.
    #[arg(long, env = "ROUSE_HEAD_SECONDS", default_value = "5", value_parser = seconds)]
    pub head_timeout: Duration,
    /// Seconds in which a connection must bring the head of its next request, and for which it may take nothing of what is
    /// left of the last answer; for that it has at least what is left of `requestSeconds`, too.
    #[arg(long, env = "ROUSE_HEADER_SECONDS", default_value = "75", value_parser = seconds)]
    pub header_timeout: Duration,
    /// Seconds for which a pod may wait for more of a request's body before its response begins. 0 = no limit.
    #[arg(long, env = "ROUSE_BODY_IDLE_SECONDS", default_value = "30", value_parser = seconds)]
    pub body_idle: Duration,
    /// Bytes a second that a request's body must bring, over all the time for which a pod has waited for it. 0 = no limit.
    #[arg(long, env = "ROUSE_MIN_BODY_BYTES_PER_SECOND", default_value_t = 100)]
    pub min_body_rate: u32,
    /// Seconds of that time before which the rate does not count.
    #[arg(long, env = "ROUSE_BODY_GRACE_SECONDS", default_value = "20", value_parser = seconds)]
    pub body_grace: Duration,
    /// Seconds for which an upgraded connection may be silent both ways. 0 = no limit.
    #[arg(long, env = "ROUSE_TUNNEL_IDLE_SECONDS", default_value = "300", value_parser = seconds)]
    pub tunnel_idle: Duration,
    /// Seconds for which an unused connection to a pod is kept.
    #[arg(long, env = "ROUSE_POD_IDLE_SECONDS", default_value = "30", value_parser = seconds)]
    pub pod_idle: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: u32 = text.parse().map_err(|_| format!("`{text}` is not a whole number of seconds"))?;
    Ok(Duration::from_secs(seconds.into()))
}

/// hyper's HTTP/1 buffer holds at least 8 KiB, and an HTTP/2 SETTINGS value 2³²−1.
fn head_bytes(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(bytes) if (8192..=1 << 24).contains(&bytes) => Ok(bytes),
        _ => Err(format!("`{text}` is not a number of bytes from 8192 to 16777216")),
    }
}

impl Default for Limits {
    /// The defaults of the command line.
    fn default() -> Self {
        // Parsing an empty command line cannot fail: every argument has a default, and a test says so.
        Self::try_parse_from(["limits"]).unwrap_or_else(|error| error.exit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_has_a_default() {
        let args = Args::try_parse_from(["activator"]).unwrap();
        assert_eq!(args.port, 8080);
        assert_eq!(args.unschedulable, Duration::from_secs(10));
        assert_eq!((Limits::default().max_held.get(), Limits::default().max_ahead_bytes), (25_000, 64 << 20));
    }

    #[test]
    fn wrong_values_are_refused() {
        for wrong in [
            ["activator", "--max-held=0"],
            ["activator", "--namespace-share-percent=101"],
            ["activator", "--max-head-bytes=100"],
            ["activator", "--drain=1.5"],
        ] {
            assert!(Args::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }
}
