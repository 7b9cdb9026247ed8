//! Rouse's own metrics, read from a pod in the text format of Prometheus.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use crds::names;
use k8s_openapi::api::core::v1::Pod;

use crate::http;

/// How long a pod may take to say them.
const PATIENCE: Duration = Duration::from_secs(2);

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Without its labels; a counter's ends in `_total`.
    pub name: String,
    labels: Vec<(String, String)>,
    /// When it was read.
    pub value: f64,
}

impl Metric {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether it says how many requests there are now, of a namespace or of all.
    pub fn is_level_of(&self, namespace: &str) -> bool {
        let level = ["held_requests", "present_requests", "in_flight_requests"];
        level.iter().any(|end| self.name.ends_with(end)) && self.label("namespace").is_none_or(|of| of == namespace)
    }

    /// Whether it is of a function of this name, whatever its namespace.
    pub fn is_of(&self, function: &str) -> bool {
        self.label("function") == Some(function)
    }

    /// Its name, and the function that it is of.
    pub fn short(&self) -> String {
        match self.label("function") {
            Some(function) => format!("{} {function}", self.name),
            None => self.name.clone(),
        }
    }
}

/// What a pod says now.
///
/// # Errors
/// When it has no address, or does not answer within two seconds.
pub async fn of(pod: &Pod) -> Result<Vec<Metric>> {
    let ip = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).context("no IP")?;
    let address = SocketAddr::new(ip.parse()?, names::ADMIN_PORT);
    let answer = http::get(address, ip, "/metrics", PATIENCE).await?;
    Ok(answer.text().lines().filter_map(parse).collect())
}

/// The sum over all samples of a name.
pub fn sum(metrics: &[Metric], name: &str) -> f64 {
    metrics.iter().filter(|metric| metric.name == name).map(|metric| metric.value).sum()
}

fn parse(line: &str) -> Option<Metric> {
    if line.starts_with('#') {
        return None;
    }
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    // No value of ours holds a comma or a quote: they are names and words of a closed list.
    let labels = labels.trim_end_matches('}').split(',').filter_map(|label| {
        let (key, value) = label.split_once('=')?;
        Some((key.to_owned(), value.trim_matches('"').to_owned()))
    });
    Some(Metric { name: name.to_owned(), labels: labels.collect(), value: value.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_and_comments_are_not() {
        let text = "# TYPE rouse_activator_held_requests gauge\nrouse_activator_held_requests 3\n\
            rouse_activator_function_present_requests{namespace=\"shop\",function=\"hello\"} 7\n# EOF\n";
        let read: Vec<Metric> = text.lines().filter_map(parse).collect();
        assert_eq!(read.len(), 2);
        assert!(read[0].is_level_of("shop") && read[1].is_level_of("shop") && !read[1].is_level_of("other"));
        assert_eq!((read[1].short().as_str(), read[1].value), ("rouse_activator_function_present_requests hello", 7.0));
        assert_eq!(sum(&read, "rouse_activator_held_requests"), 3.0);
    }
}
