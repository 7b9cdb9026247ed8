//! Traces: nothing, unless the activator is built with the feature `otel` and told of a collector.

#[cfg(feature = "otel")]
mod export;

use http::request::Parts;

use super::trace;
use super::trail::Told;

/// Makes the spans of this process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tracing {
    #[cfg(feature = "otel")]
    exporter: Option<export::Exporter>,
}

/// One span, from a request's head to the end of its response.
#[derive(Debug)]
pub struct Span {
    #[cfg(feature = "otel")]
    open: export::Open,
}

impl Tracing {
    /// Spans go to this collector, by OTLP over gRPC; none is made if it is empty. Called within a runtime.
    ///
    /// # Errors
    /// When the address is none, or this program is built without.
    #[cfg(feature = "otel")]
    pub fn start(endpoint: &str, pod: &str) -> anyhow::Result<Self> {
        let exporter = (!endpoint.is_empty()).then(|| export::Exporter::start(endpoint, pod)).transpose()?;
        Ok(Self { exporter })
    }

    /// Spans go to this collector, by OTLP over gRPC; none is made if it is empty. Called within a runtime.
    ///
    /// # Errors
    /// When the address is none, or this program is built without.
    #[cfg(not(feature = "otel"))]
    pub fn start(endpoint: &str, _: &str) -> anyhow::Result<Self> {
        anyhow::ensure!(endpoint.is_empty(), "this program is built without OpenTelemetry (feature `otel`)");
        Ok(Self::default())
    }

    /// Keeps the caller's trace or begins one, and begins a span in it where one is recorded: only then it is the caller that
    /// the pod sees.
    pub fn begin(&self, parts: &mut Parts) -> Option<Span> {
        #[cfg(feature = "otel")]
        if let Some(exporter) = &self.exporter {
            return exporter.begin(parts).map(|open| Span { open });
        }
        trace::ensure(&mut parts.headers);
        None
    }

    /// Sends what has not been sent. Takes a few seconds at most.
    pub async fn stop(self) {
        #[cfg(feature = "otel")]
        if let Some(exporter) = self.exporter {
            exporter.stop().await;
        }
    }
}

impl Span {
    /// The response is over.
    pub fn end(self, told: &Told<'_>) {
        #[cfg(feature = "otel")]
        self.open.end(told);
        #[cfg(not(feature = "otel"))]
        let _ = told;
    }
}

#[cfg(all(test, not(feature = "otel")))]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_not_ignored_by_a_program_that_cannot_send() {
        assert!(Tracing::start("", "a").is_ok());
        assert!(Tracing::start("http://127.0.0.1:4317", "a").is_err());
    }
}
