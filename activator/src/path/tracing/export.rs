//! Spans to a collector, in batches, from a queue that is bounded: what does not fit is dropped, and no request waits for it.
//! `OTEL_TRACES_SAMPLER` and the `OTEL_BSP_…` variables are the SDK's own; by default a caller's sampled flag decides, and of
//! traces that begin here every one is recorded.

use std::time::{Duration, SystemTime};

use http::request::Parts;
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};
use tokio::task::spawn_blocking;

use crate::path::timing::Step;
use crate::path::trace::{self, Parent};
use crate::path::trail::Told;

/// A batch that is not taken by then is given up.
const DEADLINE: Duration = Duration::from_secs(5);

/// Sends spans.
#[derive(Clone, Debug)]
pub(super) struct Exporter {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// A span that is recorded.
#[derive(Debug)]
pub(super) struct Open {
    span: Span,
    began: SystemTime,
}

impl Exporter {
    pub(super) fn start(endpoint: &str, pod: &str) -> anyhow::Result<Self> {
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(DEADLINE).build()?;
        let pod = KeyValue::new("k8s.pod.name", pod.to_owned());
        let resource = Resource::builder().with_service_name("rouse-activator").with_attribute(pod).build();
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        let tracer = provider.tracer("rouse");
        Ok(Self { provider, tracer })
    }

    /// A span, if it is recorded. The head says then that it is the parent of what comes.
    pub(super) fn begin(&self, parts: &mut Parts) -> Option<Open> {
        let caller = Parent::of(&parts.headers);
        let parent = caller.map_or_else(Context::new, |caller| Context::new().with_remote_span_context(remote(caller)));
        let began = SystemTime::now();
        let name = parts.method.as_str().to_owned();
        let builder = self.tracer.span_builder(name).with_kind(SpanKind::Server).with_start_time(began);
        let span = builder.start_with_context(&self.tracer, &parent);
        let recorded = span.is_recording();
        if recorded || caller.is_none() {
            if caller.is_none() {
                parts.headers.remove(trace::TRACESTATE);
            }
            let own = span.span_context();
            let (trace, span) = (own.trace_id().to_bytes(), own.span_id().to_bytes());
            let (trace, span) = (u128::from_be_bytes(trace), u64::from_be_bytes(span));
            Parent { trace, span, sampled: recorded }.set(&mut parts.headers);
        }
        recorded.then_some(Open { span, began })
    }

    pub(super) async fn stop(self) {
        // It waits for a thread that waits for this runtime.
        let _ = spawn_blocking(move || self.provider.shutdown_with_timeout(DEADLINE)).await;
    }
}

fn remote(caller: Parent) -> SpanContext {
    let flags = if caller.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (trace, span) = (TraceId::from(caller.trace), SpanId::from(caller.span));
    SpanContext::new(trace, span, flags, true, TraceState::default())
}

impl Open {
    /// Attributes are named as OpenTelemetry's conventions for HTTP servers have them, and ours begin with `rouse.`.
    pub(super) fn end(mut self, told: &Told<'_>) {
        let mut say = |name: &'static str, value: Option<&str>| {
            if let Some(value) = value {
                self.span.set_attribute(KeyValue::new(name, value.to_owned()));
            }
        };
        say("http.request.method", told.method);
        say("server.address", told.host);
        say("url.path", told.path);
        say("error.type", told.fault);
        say("rouse.request_id", Some(told.request_id));
        say("rouse.function", told.function);
        say("rouse.revision", told.revision);
        say("k8s.pod.name", told.pod);
        self.span.set_attribute(KeyValue::new("http.response.status_code", i64::from(told.status)));
        self.span.set_attribute(KeyValue::new("rouse.cold_start", told.cold));
        self.span.set_attribute(KeyValue::new("rouse.whole", told.whole));
        if told.status >= 500 || !told.whole {
            self.span.set_status(Status::error(told.fault.unwrap_or_default().to_owned()));
        }
        if let Some(phases) = told.phases {
            let mut at = self.began;
            for step in Step::ALL {
                at += phases.phase(step);
                self.span.add_event_with_timestamp(step.as_str(), at, Vec::new());
            }
        }
        self.span.end_with_timestamp(self.began + told.took);
    }
}

#[cfg(test)]
mod tests;
