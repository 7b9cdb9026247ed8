//! A failure as a response: RFC 9457 problem details, or gRPC's trailers-only form.

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::json;

use super::body::ResponseBody;
use super::fault::Failure;
use super::headers;

const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// The answer to a request that failed. `grpc` = the call was gRPC's, which reads its status from the header. `after` = the
/// seconds after which its caller may come back, where that makes sense.
pub fn response(failure: &Failure, request_id: &str, grpc: bool, after: Option<u64>) -> Response<ResponseBody> {
    let mut response = if grpc { trailers_only(failure) } else { document(failure, request_id) };
    let headers = response.headers_mut();
    headers.insert(headers::COLD_START, headers::flag(failure.cold));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(after) = after {
        headers.insert(RETRY_AFTER, HeaderValue::from(after));
        if grpc {
            // Where its retry policy has the caller come again on such a status, it waits as long (gRFC A6).
            headers.insert(PUSHBACK, HeaderValue::from(after * 1000));
        }
    }
    if let Some(allow) = failure.fault.allow() {
        headers.insert(ALLOW, allow);
    }
    response
}

fn document(failure: &Failure, request_id: &str) -> Response<ResponseBody> {
    let status = failure.fault.status();
    let mut problem = json!({
        "type": format!("https://rouse.dev/problems/{}", failure.fault.slug()),
        "title": failure.fault.title(),
        "status": status.as_u16(),
        "detail": failure.fault.to_string(),
        "phase": failure.phase.as_str(),
        "waitedMs": u64::try_from(failure.waited.as_millis()).unwrap_or(u64::MAX),
        "requestId": request_id,
    });
    if let Some(function) = &failure.function {
        problem["function"] = json!(function.key.to_string());
    }
    if let Some(limit) = failure.limit {
        problem["limitMs"] = json!(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
    }
    if let Some(reason) = failure.fault.reason() {
        problem["reason"] = json!(reason);
    }
    let mut response = Response::new(ResponseBody::full(problem.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

/// gRPC over HTTP/2, "Responses": `Trailers-Only` is one header block with HTTP status 200.
fn trailers_only(failure: &Failure) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from(u16::from(failure.fault.grpc_status())));
    if let Ok(message) = HeaderValue::from_str(&percent_encoded(&failure.fault.to_string())) {
        headers.insert("grpc-message", message);
    }
    response
}

/// gRPC's `Percent-Encoded`: every byte outside printable ASCII, and `%`.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => {
                use std::fmt::Write as _;
                // Writing to a String cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt as _;

    use super::*;
    use crate::function::{Function, Key, Spec};
    use crate::path::fault::{Fault, Phase, Share};

    fn failure(fault: Fault) -> Failure {
        Failure {
            fault,
            phase: Phase::Hold,
            function: Some(Function::new(Key::new("shop", "hello"), "f-uid".into(), Spec::test())),
            waited: Duration::from_millis(1500),
            limit: Some(Duration::from_secs(60)),
            cold: true,
        }
    }

    #[tokio::test]
    async fn a_failure_is_a_problem_document() {
        let fault = Fault::StartFailed { reason: "ImagePullError".into(), message: "not found".into() };
        let response = response(&failure(fault), "id-1", false, Some(7));
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["rouse-cold-start"], "true");
        assert_eq!(response.headers()["retry-after"], "7");
        assert!(!response.headers().contains_key(PUSHBACK));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            body,
            json!({
                "type": "https://rouse.dev/problems/start-failed",
                "title": "The function cannot start",
                "status": 503,
                "detail": "the function cannot start: not found",
                "function": "shop/hello",
                "reason": "ImagePullError",
                "phase": "hold",
                "waitedMs": 1500,
                "limitMs": 60000,
                "requestId": "id-1",
            })
        );
    }

    #[test]
    fn a_method_that_is_not_taken_says_which_are() {
        let response = response(&failure(Fault::Method("POST, PUT".into())), "", false, None);
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "POST, PUT");
    }

    #[test]
    fn grpc_reads_its_status_from_the_header() {
        let response = response(&failure(Fault::QueueFull(Share::Function)), "id", true, Some(7));
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], "8");
        assert_eq!(response.headers()["grpc-message"], "the queue is full: the share of the function is used up");
        assert_eq!(response.headers()["retry-after"], "7");
        assert_eq!(response.headers()["grpc-retry-pushback-ms"], "7000");
        assert_eq!(percent_encoded("50% ö"), "50%25 %C3%B6");
    }
}
