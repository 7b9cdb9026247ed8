use http::Request;

use super::*;

fn parts(version: Version, uri: &str, headers: &[(&'static str, &str)]) -> Parts {
    let mut request = Request::builder().version(version).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

#[test]
fn the_authority_is_unambiguous_or_refused() {
    let limits = Limits::default();
    let h1 = Version::HTTP_11;
    let fine = [
        (parts(h1, "/", &[("host", "a.b")]), "a.b"),
        (parts(Version::HTTP_2, "http://a.b/", &[]), "a.b"),
        (parts(h1, "http://a.b/", &[("host", "A.B")]), "a.b"),
    ];
    for (parts, authority_) in &fine {
        assert_eq!(authority(parts, &limits).as_deref(), Ok(*authority_), "{parts:?}");
    }
    let long = "x".repeat(9000);
    let refused = [
        (parts(h1, "/", &[]), 400),
        (parts(h1, "/", &[("host", "a.b"), ("host", "a.b")]), 400),
        (parts(h1, "http://a.b/", &[("host", "c.d")]), 400),
        (parts(h1, "http://u@a.b/", &[]), 400),
        (parts(h1, "/", &[("host", "a.b"), ("content-length", "5"), ("content-length", "5")]), 400),
        (parts(h1, "/", &[("host", "a.b"), ("content-length", "+5")]), 400),
        (parts(h1, "/", &[("host", "a.b"), ("content-length", "5"), ("transfer-encoding", "chunked")]), 400),
        (parts(Version::HTTP_10, "/", &[("host", "a.b"), ("transfer-encoding", "chunked")]), 400),
        (parts(h1, &format!("/{long}"), &[("host", "a.b")]), 414),
        (parts(h1, "/", &[("host", "a.b"), ("x-a", &long.repeat(9))]), 431),
    ];
    for (parts, status) in &refused {
        let fault = authority(parts, &limits).unwrap_err();
        assert_eq!(fault.status().as_u16(), *status, "{fault}");
    }
    let small = Limits { max_body_bytes: 10, ..limits };
    let big = parts(h1, "/", &[("host", "a.b"), ("content-length", "11")]);
    assert_eq!(authority(&big, &small).unwrap_err(), Fault::BodyTooLong(10));
}

#[test]
fn a_grpc_timeout_has_a_unit() {
    for (text, timeout) in [
        ("1H", Some(Duration::from_secs(3600))),
        ("2M", Some(Duration::from_secs(120))),
        ("3S", Some(Duration::from_secs(3))),
        ("4m", Some(Duration::from_millis(4))),
        ("5u", Some(Duration::from_micros(5))),
        ("6n", Some(Duration::from_nanos(6))),
        ("123456789S", None),
        ("S", None),
        ("1x", None),
        ("", None),
        ("-1S", None),
    ] {
        let parts = parts(Version::HTTP_2, "http://a.b/", &[("grpc-timeout", text)]);
        assert_eq!(grpc_timeout(&parts.headers), timeout, "{text}");
    }
}

#[test]
fn what_is_between_neighbours_stays_there() {
    let mut parts = parts(
        Version::HTTP_11,
        "/",
        &[
            ("host", "a.b"),
            ("connection", "keep-alive, x-secret, Host, TE"),
            ("keep-alive", "5"),
            ("x-secret", "1"),
            ("te", "gzip;q=0.5, Trailers"),
            ("trailer", "x-sum"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("rouse-cold-start", "true"),
            ("x-other", "2"),
        ],
    );
    strip(&mut parts.headers, Sender::Caller);
    let mut left: Vec<_> = parts.headers.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(
        (left, &parts.headers[TE]),
        (vec!["host", "te", "trailer", "x-other"], &HeaderValue::from_static("trailers"))
    );
}

#[test]
fn an_upgrade_is_passed_on_unless_it_is_to_http2() {
    let asks = |protocol| parts(Version::HTTP_11, "/", &[("connection", "Upgrade"), ("upgrade", protocol)]);
    assert_eq!(upgrade(&asks("websocket")).unwrap(), "websocket");
    assert!(upgrade(&asks("h2c")).is_none());
    assert!(upgrade(&parts(Version::HTTP_11, "/", &[("upgrade", "websocket")])).is_none());
}

#[test]
fn the_peer_is_who_is_connected() {
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-for", HeaderValue::from_static("6.6.6.6"));
    let host = HeaderValue::from_static("a.b:80");
    strip(&mut headers, Sender::Caller);
    assert!(headers.is_empty());
    set_forwarded(&mut headers, &By::new("::ffff:10.0.0.1".parse().unwrap()), &host);
    assert_eq!(headers["x-forwarded-for"], "10.0.0.1");
    assert_eq!(headers["x-forwarded-host"], "a.b:80");
    assert_eq!(headers["forwarded"], "for=10.0.0.1;host=\"a.b:80\";proto=http");
    set_forwarded(&mut headers, &By::new("fd00::1".parse().unwrap()), &host);
    assert_eq!(headers["forwarded"], "for=\"[fd00::1]\";host=\"a.b:80\";proto=http");
}

#[test]
fn ids_are_kept_or_made() {
    let mut headers = HeaderMap::new();
    let id = ensure_request_id(&mut headers);
    assert_eq!(id.len(), 32);
    assert_eq!(ensure_request_id(&mut headers), id);
    headers.insert(REQUEST_ID, HeaderValue::try_from("x".repeat(129)).unwrap());
    assert_eq!(ensure_request_id(&mut headers).len(), 32);
}

#[test]
fn of_two_ids_none_is_kept() {
    let mut headers = HeaderMap::new();
    headers.append(REQUEST_ID, HeaderValue::from_static("a"));
    headers.append(REQUEST_ID, HeaderValue::from_static("a"));
    let id = ensure_request_id(&mut headers);
    assert_eq!(headers.get_all(REQUEST_ID).iter().collect::<Vec<_>>(), [&id]);
    assert_ne!(id, "a");
}

#[test]
fn heads_are_turned_into_the_pods_protocol() {
    let host = HeaderValue::from_static("a.b");
    let mut from2 = parts(Version::HTTP_2, "http://a.b/x?y", &[("cookie", "a=1"), ("cookie", "b=2")]);
    for_http1(&mut from2, &host);
    assert_eq!((from2.version, from2.uri.to_string().as_str()), (Version::HTTP_11, "/x?y"));
    assert_eq!(from2.headers["host"], "a.b");
    assert_eq!(from2.headers["cookie"], "a=1; b=2");
    let mut from1 = parts(Version::HTTP_11, "/x?y", &[("host", "a.b")]);
    for_http2(&mut from1, &host);
    assert_eq!((from1.version, from1.uri.to_string().as_str()), (Version::HTTP_2, "http://a.b/x?y"));
    assert!(!from1.headers.contains_key("host"));
}

#[test]
fn a_detached_head_says_the_same() {
    let mut head = parts(Version::HTTP_2, "http://a.b/x?y=1", &[("x-a", "1"), ("x-a", "2"), ("accept", "*/*")]);
    let before = head.clone();
    detach(&mut head);
    assert_eq!((&head.headers, &head.uri), (&before.headers, &before.uri));
}

#[test]
fn hearsay_is_not_passed_on() {
    for name in [
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-forwarded-server",
        "x-forwarded-ssl",
        "x-forwarded-whatever",
        "x_forwarded_for",
        "x-forwarded_proto",
        "x-forwarded",
        "x-real-ip",
        "x_real_ip",
        "forwarded",
    ] {
        let mut headers = HeaderMap::new();
        for claim in ["6.6.6.6", "7.7.7.7"] {
            headers.append(name, HeaderValue::from_static(claim));
        }
        strip(&mut headers, Sender::Caller);
        set_forwarded(&mut headers, &By::new("10.0.0.1".parse().unwrap()), &HeaderValue::from_static("a.b"));
        let mut left: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        left.sort_unstable();
        let ours = [
            ("forwarded", "for=10.0.0.1;host=\"a.b\";proto=http"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-host", "a.b"),
            ("x-forwarded-proto", "http"),
        ];
        assert_eq!(left, ours, "{name}");
    }
    let mut headers = HeaderMap::new();
    for name in ["x-forward", "x-real", "x-other", "rouse_cold_start", "rouse-x", "rouse"] {
        headers.insert(name, HeaderValue::from_static("1"));
    }
    strip(&mut headers, Sender::Caller);
    set_forwarded(&mut headers, &By::new("10.0.0.1".parse().unwrap()), &HeaderValue::from_static("a.b"));
    let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    let others = [
        "forwarded",
        "rouse",
        "x-forward",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-other",
        "x-real",
    ];
    assert_eq!(left, others);
}

#[test]
fn nothing_that_is_kept_of_a_detached_head_keeps_the_buffer() {
    let buffer = bytes::Bytes::from(b"/x?y=1|GET|mine|Upgrade|websocket|a.b".to_vec());
    let at = |text: &str| {
        let start = buffer.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
        buffer.slice(start..start + text.len())
    };
    let mut head = parts(Version::HTTP_11, "/", &[]);
    head.uri = Uri::from_maybe_shared(at("/x?y=1")).unwrap();
    for (name, value) in
        [("x-request-id", "mine"), ("connection", "Upgrade"), ("upgrade", "websocket"), ("host", "a.b")]
    {
        head.headers.insert(name, HeaderValue::from_maybe_shared(at(value)).unwrap());
    }
    assert!(!buffer.is_unique());
    let kept = (ensure_request_id(&mut head.headers), upgrade(&head).unwrap());
    assert_eq!((kept.0.as_bytes(), kept.1.as_bytes()), (&b"mine"[..], &b"websocket"[..]));
    detach(&mut head);
    assert!(buffer.is_unique());
}

#[test]
fn digits_are_written_from_the_lowest() {
    assert_eq!(&hex::<32>(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c), b"0af7651916cd43dd8448eb211c80319c");
    assert_eq!(&hex::<16>(0xff), b"00000000000000ff");
    assert_eq!(&hex::<4>(0x12_3456), b"3456");
}
