//! A collector that takes spans over the network, as any other does.

use std::collections::HashMap;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::args::Limits;
use crate::path::trace::Parent;
use crate::path::tracing::Tracing;
use crate::world::{TestPod, get, world_traced};

struct Collector(mpsc::UnboundedSender<Span>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans;
        for span in resources.into_iter().flat_map(|one| one.scope_spans).flat_map(|one| one.spans) {
            self.0.send(span).unwrap();
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Traces that go to a collector of this process, and what it gets.
async fn collected() -> (Tracing, mpsc::UnboundedReceiver<Span>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, spans) = mpsc::unbounded_channel();
    let service = TraceServiceServer::new(Collector(sender));
    let incoming = TcpListenerStream::new(listener);
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    (Tracing::start(&endpoint, "activator-0").unwrap(), spans)
}

fn attributes(span: &Span) -> HashMap<&str, String> {
    let text = |value: &Option<_>| match value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        other => panic!("{other:?}"),
    };
    let value = |pair| {
        text(&Option::as_ref(pair).and_then(|any: &opentelemetry_proto::tonic::common::v1::AnyValue| any.value.clone()))
    };
    span.attributes.iter().map(|pair| (pair.key.as_str(), value(&pair.value))).collect()
}

/// The `traceparent` that the pod saw, which it tells its callers.
fn seen(body: &str) -> Parent {
    let line = body.lines().find_map(|line| line.strip_prefix("traceparent: ")).unwrap();
    Parent::parse(line.as_bytes()).unwrap()
}

#[tokio::test]
async fn a_request_is_a_span_between_its_callers_and_its_functions() {
    let (tracing, mut spans) = collected().await;
    let mut world = world_traced(json!({}), Limits::default(), tracing.clone()).await;
    let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut request = get("/headers?token=hidden");
    request.headers_mut().insert("traceparent", caller.parse().unwrap());
    request.headers_mut().insert("tracestate", "a=1".parse().unwrap());
    let reply = world.send(request);
    world.expect_wake("r1", 1).await;
    world.deployment("r1", 1);
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    let reply = reply.await.unwrap();
    assert!(reply.body.contains("tracestate: a=1"), "{}", reply.body);
    tracing.stop().await;
    let span = spans.recv().await.unwrap();
    let (caller, seen) = (Parent::parse(caller.as_bytes()).unwrap(), seen(&reply.body));
    assert_eq!(span.trace_id, caller.trace.to_be_bytes());
    assert_eq!(span.parent_span_id, caller.span.to_be_bytes());
    assert_eq!((span.trace_id, span.span_id), (seen.trace.to_be_bytes().to_vec(), seen.span.to_be_bytes().to_vec()));
    assert!(seen.sampled && seen.span != caller.span);
    let span = Span { trace_id: Vec::new(), span_id: Vec::new(), ..span };
    let events: Vec<_> = span.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(events, ["held", "patch", "schedule", "start", "probe", "first-byte"]);
    assert!(
        span.events
            .iter()
            .all(|event| (span.start_time_unix_nano..=span.end_time_unix_nano).contains(&event.time_unix_nano))
    );
    let said = attributes(&span);
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("server.address", "hello.shop"),
        ("url.path", "/headers"),
        ("rouse.function", "shop/hello"),
        ("rouse.revision", "r1"),
        ("rouse.cold_start", "true"),
        ("k8s.pod.name", "a"),
    ] {
        assert_eq!(said.get(name).map(String::as_str), Some(value), "{name} of {said:?}");
    }
    assert!(!format!("{span:?}").contains("hidden"));
}

#[tokio::test]
async fn what_the_caller_does_not_record_is_not_recorded_and_what_begins_here_is() {
    let (tracing, mut spans) = collected().await;
    let mut world = world_traced(json!({}), Limits::default(), tracing.clone()).await;
    let pod = TestPod::start("a").await;
    world.deployment("r1", 1);
    world.appear(&pod, "r1");
    let unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let mut request = get("/headers");
    request.headers_mut().insert("traceparent", unsampled.parse().unwrap());
    let first = world.send(request).await.unwrap();
    assert!(first.body.contains(unsampled), "{}", first.body);
    let mut request = get("/headers");
    request.headers_mut().insert("tracestate", "lost=1".parse().unwrap());
    let second = world.send(request).await.unwrap();
    assert!(!second.body.contains("tracestate"), "{}", second.body);
    tracing.stop().await;
    let span = spans.recv().await.unwrap();
    let seen = seen(&second.body);
    assert_eq!((&span.trace_id[..], &span.span_id[..]), (&seen.trace.to_be_bytes()[..], &seen.span.to_be_bytes()[..]));
    assert!(span.parent_span_id.is_empty() && seen.sampled);
    assert!(spans.try_recv().is_err(), "one span");
}
