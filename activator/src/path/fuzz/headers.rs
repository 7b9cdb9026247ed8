//! A head on its way to a pod.

use std::net::IpAddr;

use http::header::{COOKIE, HOST, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Request, Version};

use crate::args::Limits;
use crate::path::headers::{self, By, Sender};
use crate::path::trace;
use crate::spelling::spell;

const WORDS: &[&[u8]] = &[
    b"Connection: ",
    b"Connection: close, ",
    b"Content-Length: 5\n",
    b"Transfer-Encoding: chunked\n",
    b"Host: hello.shop\n",
    b"Host: other.shop\n",
    b"X-Forwarded-For: 10.0.0.1\n",
    b"x_forwarded_for: 10.0.0.1\n",
    b"X-Forwarded-Anything: a\n",
    b"X_Forwarded-Host: a\n",
    b"X-Real-IP: a\n",
    b"X_Real_Ip: a\n",
    b"Forwarded: for=a\n",
    b"Rouse-Cold-Start: true\n",
    b"rouse_cold_start: true\n",
    b"ROUSE-: a\n",
    b"Keep-Alive: 5\n",
    b"Proxy-Connection: a\n",
    b"Proxy-Authorization: a\n",
    b"TE: trailers\n",
    b"TE: gzip\n",
    b"Trailer: Content-Length\n",
    b"Upgrade: websocket\n",
    b"HTTP2-Settings: a\n",
    b"Cookie: a=b\n",
    b"Cookie: c=d\n",
    b"Expect: 100-continue\n",
    b"X-Request-Id: a\n",
    b"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n",
    b"Tracestate: a=b\n",
    b"Any: thing\n",
    b"any, ",
    b"forwarded",
    b"content-length",
    b"host",
    b"transfer-encoding",
    b"\n",
    b": ",
    b",",
    b"-",
    b"_",
    b"\xff",
];

/// A head with the fields that these lines are.
fn head(lines: &[u8]) -> Parts {
    let (mut parts, ()) = Request::get("/a?b").body(()).unwrap().into_parts();
    for line in lines.split(|byte| *byte == b'\n') {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = (&line[..colon], line.get(colon + 1..).unwrap_or_default());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.trim_ascii())) {
            parts.headers.append(name, value);
        }
    }
    parts
}

/// The head as the layers leave it, each doing its part, and the authority that it was routed by. `None`: it is refused.
fn pass(mut parts: Parts, has_body: bool) -> Option<(Parts, HeaderValue)> {
    headers::ensure_request_id(&mut parts.headers);
    trace::ensure(&mut parts.headers);
    let host = HeaderValue::from_str(headers::authority(&parts, &Limits::default()).ok()?).ok()?;
    headers::strip(&mut parts.headers, Sender::Caller);
    headers::set_forwarded(&mut parts.headers, &By::new(IpAddr::from([127, 0, 0, 9])), &host);
    parts.headers.remove(HOST);
    headers::for_http1(&mut parts, &host);
    headers::frame(&mut parts.headers, has_body);
    Some((parts, host))
}

/// A name as an application may see it that gets its fields as variables.
fn as_variable(name: &HeaderName) -> String {
    name.as_str().replace('_', "-")
}

fn named_by_connection(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all("connection").iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect()
}

#[test]
fn headers() {
    bolero::check!().for_each(|input: &[u8]| {
        let parts = head(&spell(input, WORDS));
        let (came, has_body) = (parts.headers.clone(), input.len().is_multiple_of(2));
        let Some((passed, host)) = pass(parts, has_body) else { return };
        let fields = &passed.headers;

        assert_eq!(passed.version, Version::HTTP_11);
        let one = |name: &str| {
            let all: Vec<_> = fields.get_all(name).iter().collect();
            assert!(all.len() <= 1, "{name} more than once: {fields:?}");
            all.first().map(|value| value.as_bytes().to_vec())
        };
        assert_eq!(one("host").as_deref(), Some(host.as_bytes()));
        assert_eq!(Some(&host), came.get(HOST), "routed by another host than came");
        assert_eq!(one("x-forwarded-for").as_deref(), Some(b"127.0.0.9".as_slice()));
        assert_eq!(one("x-forwarded-proto").as_deref(), Some(b"http".as_slice()));
        assert_eq!(one("x-forwarded-host").as_deref(), Some(host.as_bytes()));
        assert!(one("forwarded").is_some_and(|value| value.starts_with(b"for=127.0.0.9;host=")));
        assert!(one("x-request-id").is_some() && one("traceparent").is_some());
        let cookies = one("cookie").map_or(0, |value| value.split(|byte| *byte == b';').count());
        assert!(cookies >= came.get_all(COOKIE).iter().count());

        // One way to tell where the body ends.
        let (length, encoding) = (one("content-length"), one("transfer-encoding"));
        assert!(length.is_none() || encoding.is_none(), "{fields:?}");
        assert!(!has_body || length.is_some() || encoding.is_some(), "{fields:?}");
        assert!(has_body || encoding.is_none(), "{fields:?}");
        assert_eq!(length.as_deref(), came.get("content-length").map(HeaderValue::as_bytes));

        let ours = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];
        let of_the_hop = ["connection", "keep-alive", "proxy-connection", "proxy-authorization", "upgrade"];
        for name in fields.keys() {
            let seen = as_variable(name);
            assert!(!seen.starts_with("rouse-") && !seen.starts_with("x-real-ip"), "{name}");
            assert!(!seen.starts_with("x-forwarded") || ours.contains(&name.as_str()), "{name}");
            assert!(!of_the_hop.contains(&name.as_str()), "{name}");
        }
        let kept =
            ["host", "cookie", "content-length", "forwarded", "x-request-id", "traceparent", "transfer-encoding"];
        for name in named_by_connection(&came) {
            let may = kept.contains(&name.as_str()) || ours.contains(&name.as_str());
            assert!(may || !fields.contains_key(&name), "{name} is named by Connection: {fields:?}");
        }
    });
}

/// What the target takes for granted: most plain heads are not refused.
#[test]
fn a_plain_head_passes() {
    let (passed, host) = pass(head(b"Host: hello.shop\nConnection: any\nAny: a\nOther: b"), true).unwrap();
    assert_eq!((host.as_bytes(), &passed.headers["other"]), (b"hello.shop".as_slice(), &HeaderValue::from_static("b")));
    assert!(!passed.headers.contains_key("any") && passed.headers["transfer-encoding"] == "chunked");
}
