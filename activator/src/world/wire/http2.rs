//! The table of requests over HTTP/2.

use std::collections::HashSet;

use super::frames::{Caller, DATA, END_STREAM, Field, Outcome, RST_STREAM, frame, headers};
use super::witness::witness;
use super::*;

/// What is expected of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    /// It reaches the pod, whole, and this is among what the pod is sent.
    Passes(&'static str),
    /// An answer of ours; the connection stays.
    Refused(u16),
    /// The stream is reset so; the connection stays.
    Reset(u32),
    /// The connection is given up so: the library does that for a field it cannot read.
    GoAway(u32),
    /// The pod may see the beginning, and never a whole request.
    Breaks(u32),
    /// The connection ends without a word.
    Ends,
}

use Expect::{Breaks, Ends, GoAway, Passes, Refused, Reset};

const BAD: Expect = Refused(400);
/// Codes of RFC 9113, section 7.
const PROTOCOL: u32 = 1;
const CALM: u32 = 11;
/// See [`Expect::GoAway`].
const UNREADABLE: Expect = GoAway(PROTOCOL);

struct Row {
    name: &'static str,
    bytes: Vec<u8>,
    expect: Expect,
}

const GET: [Field<'static>; 4] =
    [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"hello.shop")];

/// A request of these fields alone, and no body.
fn only(name: &'static str, fields: &[Field<'_>], expect: Expect) -> Row {
    Row { name, bytes: headers(1, END_STREAM, fields), expect }
}

/// The same, and a body to come.
fn only_head(name: &'static str, fields: &[Field<'_>], expect: Expect) -> Row {
    Row { name, bytes: headers(1, 0, fields), expect }
}

/// A GET with further fields.
fn with(name: &'static str, fields: &[Field<'_>], expect: Expect) -> Row {
    only(name, &[&GET, fields].concat(), expect)
}

/// A GET with another value of a field that it has.
fn but(name: &'static str, field: &str, value: &[u8], expect: Expect) -> Row {
    let fields = GET.map(|own| if own.0 == field.as_bytes() { (own.0, value) } else { own });
    only(name, &fields, expect)
}

/// A POST with a body, and what stands behind it.
fn post(name: &'static str, fields: &[Field<'_>], body: &[&str], behind: &[u8], expect: Expect) -> Row {
    let mut head = [&GET, fields].concat();
    head[0].1 = b"POST";
    let mut bytes = headers(1, 0, &head);
    for (at, part) in body.iter().enumerate() {
        let last = at + 1 == body.len() && behind.is_empty();
        bytes.extend(frame(DATA, if last { END_STREAM } else { 0 }, 1, part.as_bytes()));
    }
    bytes.extend_from_slice(behind);
    Row { name, bytes, expect }
}

fn pseudo() -> Vec<Row> {
    let without = |at: usize| GET.iter().enumerate().filter(|own| own.0 != at).map(|own| *own.1).collect::<Vec<_>>();
    let twice = |at: usize| [&GET[..], &[GET[at]]].concat();
    let connect = |more: &[Field<'static>]| [&[(b":method".as_slice(), b"CONNECT".as_slice()), GET[3]], more].concat();
    let slash: Field<'_> = (b":path", b"/");
    let protocol: Field<'_> = (b":protocol", b"websocket");
    vec![
        only("a plain request", &GET, Passes("GET / HTTP/1.1\r\n")),
        only("no method", &without(0), Reset(PROTOCOL)),
        only("no scheme", &without(1), Reset(PROTOCOL)),
        only("no path", &without(2), Reset(PROTOCOL)),
        only("no path and no authority", &[GET[0], GET[1], (b"host", b"hello.shop")], BAD),
        only("no authority and no Host", &without(3), BAD),
        only("two methods", &twice(0), Reset(PROTOCOL)),
        only("two schemes", &twice(1), Reset(PROTOCOL)),
        only("two paths", &twice(2), Reset(PROTOCOL)),
        only("two authorities", &twice(3), Reset(PROTOCOL)),
        with("one behind a field", &[(b"a", b"b"), (b":path", b"/")], Reset(PROTOCOL)),
        only("all behind a field", &[&[(b"a".as_slice(), b"b".as_slice())], &GET[..]].concat(), Reset(PROTOCOL)),
        with("one that nobody knows", &[(b":any", b"a")], UNREADABLE),
        with("one without a name", &[(b":", b"a")], UNREADABLE),
        with("one in capitals", &[(b":Path", b"/")], UNREADABLE),
        with("that of a response", &[(b":status", b"200")], Reset(PROTOCOL)),
        with("a protocol without CONNECT", &[protocol], Reset(PROTOCOL)),
        only("CONNECT", &connect(&[]), BAD),
        only("CONNECT to a path", &connect(&[slash]), Reset(PROTOCOL)),
        only("CONNECT to a URL", &connect(&[GET[1], slash]), Reset(PROTOCOL)),
        // hyper has no way to refuse it alone.
        only_head("CONNECT with a body", &connect(&[(b"content-length", b"5")]), Ends),
        only("CONNECT for a WebSocket", &connect(&[GET[1], slash, protocol]), Reset(PROTOCOL)),
        but("TRACE", ":method", b"TRACE", BAD),
        but("a method of somebody's own", ":method", b"PURGE", Passes("PURGE / HTTP/1.1\r\n")),
        but("a method with a hyphen", ":method", b"M-SEARCH", Passes("M-SEARCH / HTTP/1.1\r\n")),
        but("small letters", ":method", b"get", BAD),
        but("mixed letters", ":method", b"Get", BAD),
        but("an empty method", ":method", b"", UNREADABLE),
        but("a space in the method", ":method", b"GET ", UNREADABLE),
        but("a line end in the method", ":method", b"GET / HTTP/1.1\r\na: b\r\n\r\n", UNREADABLE),
        but("https", ":scheme", b"https", Passes("GET / HTTP/1.1\r\n")),
        but("another scheme", ":scheme", b"ftp", BAD),
        but("an empty scheme", ":scheme", b"", BAD),
        but("a scheme with a colon", ":scheme", b"http:", Reset(PROTOCOL)),
        but("a URL as scheme", ":scheme", b"http://other.shop/?a=", Reset(PROTOCOL)),
        but("a line end in the scheme", ":scheme", b"http\r\na: b", Reset(PROTOCOL)),
    ]
}

fn paths() -> Vec<Row> {
    let long = |length: usize| [b"/".as_slice(), &vec![b'a'; length]].concat();
    [
        ("a query", b"/?a=b&c".as_slice(), Passes("GET /?a=b&c HTTP/1.1\r\n")),
        ("a query with odd bytes", b"/?a={b}|c^d`e[f]", Passes("GET /?a={b}|c^d`e[f] HTTP/1.1\r\n")),
        ("an encoded path", b"/a%20b%2Fc", Passes("GET /a%20b%2Fc HTTP/1.1\r\n")),
        ("dot segments without a Trigger", b"/a/../b//c/.", Passes("GET /a/../b//c/. HTTP/1.1\r\n")),
        ("encoded dots without a Trigger", b"/%2e%2E/a", Passes("GET /%2e%2E/a HTTP/1.1\r\n")),
        ("an empty path", b"", Reset(PROTOCOL)),
        ("a star with GET", b"*", BAD),
        ("no slash", b"a", Reset(PROTOCOL)),
        ("a query alone", b"?a", BAD),
        ("a whole URL", b"http://hello.shop/", Reset(PROTOCOL)),
        ("an authority", b"hello.shop:80", Reset(PROTOCOL)),
        // The library cuts a fragment off before anybody sees it.
        ("a fragment", b"/a#b", Passes("GET /a HTTP/1.1\r\n")),
        ("a backslash", b"/a\\b", BAD),
        ("a space", b"/a b", Reset(PROTOCOL)),
        ("a version", b"/ HTTP/1.1\r\na: b\r\n\r\n", Reset(PROTOCOL)),
        ("a tab", b"/a\tb", Reset(PROTOCOL)),
        ("a NUL", b"/a\0b", Reset(PROTOCOL)),
        ("a NUL in the query", b"/?a\0b", Reset(PROTOCOL)),
        ("an encoded NUL", b"/a%00b", BAD),
        ("a DEL", b"/a\x7fb", Reset(PROTOCOL)),
        ("a DEL in the query", b"/?a\x7fb", Reset(PROTOCOL)),
        ("letters that are not ASCII", "/\u{e9}".as_bytes(), BAD),
        ("the same in the query", "/?\u{e9}".as_bytes(), BAD),
        ("bytes that are no text", b"/\xff", UNREADABLE),
        ("a quote in the query", b"/?\"a\"", Reset(PROTOCOL)),
        ("brackets in the query", b"/?<a>", Reset(PROTOCOL)),
        ("a percent alone", b"/100%", BAD),
        ("a percent and no digits", b"/%zz", BAD),
        ("8,000 bytes", &long(8000), Passes("GET /aaaa")),
        ("9,000 bytes", &long(9000), Refused(414)),
        ("9,000 bytes of a query", &[b"/?", &long(9000)[..]].concat(), Refused(414)),
        ("20,000 bytes", &long(20_000), Refused(431)),
    ]
    .map(|(name, path, expect)| but(name, ":path", path, expect))
    .into_iter()
    .chain([only(
        "the server itself",
        &[(b":method", b"OPTIONS"), GET[1], (b":path", b"*"), GET[3]],
        Passes("OPTIONS * HTTP/1.1\r\n"),
    )])
    .collect()
}

/// On a host whose Triggers tell paths apart.
fn routed_paths() -> Vec<Row> {
    [
        ("a path of its own", "/api/a", Passes("GET /api/a HTTP/1.1\r\n")),
        ("another's", "/b", Refused(404)),
        ("dot segments", "/api/../b", BAD),
        ("a dot segment", "/api/./b", BAD),
        ("an empty segment", "//api/a", BAD),
        ("an empty segment within", "/api//a", BAD),
        ("encoded dots", "/api/%2e%2e/b", BAD),
        ("an encoded slash", "/api%2fb", BAD),
        ("an encoded letter", "/%61pi/b", BAD),
    ]
    .map(|(name, path, expect)| {
        only(name, &[GET[0], GET[1], (b":path", path.as_bytes()), (b":authority", b"api.example.com")], expect)
    })
    .into()
}

fn hosts() -> Vec<Row> {
    let passes = Passes("\r\nhost: hello.shop\r\n");
    let authorities = [
        ("with a port", b"hello.shop:8080".as_slice(), Passes("\r\nhost: hello.shop:8080\r\n")),
        ("in capitals", b"HELLO.shop", Passes("GET /")),
        ("with a final dot", b"hello.shop.", Passes("GET /")),
        ("an empty one", b"", Reset(PROTOCOL)),
        ("user information", b"user@hello.shop", BAD),
        ("a path", b"hello.shop/a", Reset(PROTOCOL)),
        ("two in one", b"hello.shop, other.shop", Reset(PROTOCOL)),
        ("a space", b"hello.shop ", Reset(PROTOCOL)),
        ("a line end", b"hello.shop\r\na: b", Reset(PROTOCOL)),
        ("a NUL", b"hello.shop\0", Reset(PROTOCOL)),
        ("a port too large", b"hello.shop:65536", BAD),
        ("two ports", b"hello.shop:80:80", Reset(PROTOCOL)),
        ("a percent", b"hello%2eshop", Reset(PROTOCOL)),
        ("letters that are not ASCII", "h\u{e9}llo.shop".as_bytes(), Reset(PROTOCOL)),
        ("a broken IPv6 address", b"[::1", Reset(PROTOCOL)),
        ("nobody's host", b"www.example.com", Refused(421)),
        ("no such function", b"nobody.shop", Refused(404)),
    ];
    let fields: [(&str, &[Field<'_>], Expect); 8] = [
        ("the same as Host", &[(b"host", b"hello.shop")], passes),
        ("the same as Host, in capitals", &[(b"host", b"HELLO.SHOP")], Passes("GET /")),
        ("another Host", &[(b"host", b"other.shop")], BAD),
        ("another port in Host", &[(b"host", b"hello.shop:80")], BAD),
        ("an empty Host", &[(b"host", b"")], BAD),
        ("two Hosts", &[(b"host", b"hello.shop"), (b"host", b"other.shop")], BAD),
        ("the same Host twice", &[(b"host", b"hello.shop"), (b"host", b"hello.shop")], BAD),
        ("a Host with a space before it", &[(b"host", b" hello.shop")], BAD),
    ];
    let alone: [(&str, &[Field<'_>], Expect); 5] = [
        ("Host alone", &[(b"host", b"hello.shop")], passes),
        ("an empty Host alone", &[(b"host", b"")], BAD),
        ("two Hosts alone", &[(b"host", b"hello.shop"), (b"host", b"hello.shop")], BAD),
        ("a Host with a path alone", &[(b"host", b"hello.shop/a")], BAD),
        ("a Host with user information alone", &[(b"host", b"user@hello.shop")], BAD),
    ];
    let authorities = authorities.map(|(name, host, expect)| but(name, ":authority", host, expect));
    let fields = fields.map(|(name, fields, expect)| with(name, fields, expect));
    let alone = alone.map(|(name, fields, expect)| only(name, &[&GET[..3], fields].concat(), expect));
    authorities.into_iter().chain(fields).chain(alone).collect()
}

fn fields() -> Vec<Row> {
    let fields: [(&str, &[u8], &[u8], Expect); 47] = [
        ("any field", b"x-any", b"thing", Passes("\r\nx-any: thing\r\n")),
        ("an empty value", b"x-any", b"", Passes("\r\nx-any: \r\n")),
        ("a value that is no ASCII", b"x-any", "\u{20ac}".as_bytes(), Passes("\r\nx-any: \u{20ac}\r\n")),
        ("a tab in a value", b"x-any", b"a\tb", Passes("\r\nx-any: a\tb\r\n")),
        ("every kind of byte in a name", b"!#$%&'*+-.^_`|~09az", b"a", Passes("\r\n!#$%&'*+-.^_`|~09az: a\r\n")),
        ("a name in underscores", b"x_any", b"a", Passes("\r\nx_any: a\r\n")),
        ("TE: trailers", b"te", b"trailers", Passes("\r\nte: trailers\r\n")),
        ("capitals in a name", b"X-Any", b"a", UNREADABLE),
        ("no name", b"", b"a", UNREADABLE),
        ("a space in a name", b"x any", b"a", UNREADABLE),
        ("a colon in a name", b"x:any", b"a", UNREADABLE),
        ("a line end in a name", b"x\r\ny", b"a", UNREADABLE),
        ("a NUL in a name", b"x\0", b"a", UNREADABLE),
        ("a DEL in a name", b"x\x7f", b"a", UNREADABLE),
        ("a byte that is not ASCII in a name", b"x\xe9", b"a", UNREADABLE),
        ("a NUL in a value", b"x-any", b"a\0b", UNREADABLE),
        ("a CR in a value", b"x-any", b"a\rb", UNREADABLE),
        ("an LF in a value", b"x-any", b"a\nb: c", UNREADABLE),
        ("a line end in a value", b"x-any", b"a\r\nb: c", UNREADABLE),
        ("a control byte in a value", b"x-any", b"a\x01b", UNREADABLE),
        ("a DEL in a value", b"x-any", b"a\x7fb", UNREADABLE),
        ("a space before a value", b"x-any", b" a", BAD),
        ("a space behind a value", b"x-any", b"a ", BAD),
        ("a tab before a value", b"x-any", b"\ta", BAD),
        ("a tab behind a value", b"x-any", b"a\t", BAD),
        ("a space alone", b"x-any", b" ", BAD),
        ("Connection: close", b"connection", b"close", Reset(PROTOCOL)),
        ("Connection: keep-alive", b"connection", b"keep-alive", Reset(PROTOCOL)),
        ("Connection that names a field", b"connection", b"x-any", Reset(PROTOCOL)),
        ("an empty Connection", b"connection", b"", Reset(PROTOCOL)),
        ("Keep-Alive", b"keep-alive", b"timeout=5", Reset(PROTOCOL)),
        ("Proxy-Connection", b"proxy-connection", b"keep-alive", Reset(PROTOCOL)),
        ("Transfer-Encoding: chunked", b"transfer-encoding", b"chunked", Reset(PROTOCOL)),
        ("Transfer-Encoding: identity", b"transfer-encoding", b"identity", Reset(PROTOCOL)),
        ("Upgrade: h2c", b"upgrade", b"h2c", Reset(PROTOCOL)),
        ("Upgrade: websocket", b"upgrade", b"websocket", Reset(PROTOCOL)),
        ("TE: gzip", b"te", b"gzip", Reset(PROTOCOL)),
        ("TE: trailers, gzip", b"te", b"trailers, gzip", Reset(PROTOCOL)),
        ("TE: chunked", b"te", b"chunked", Reset(PROTOCOL)),
        ("Content_Length", b"content_length", b"5", BAD),
        ("Transfer_Encoding", b"transfer_encoding", b"chunked", BAD),
        // What only Rouse may say, and hearsay: passed on without it (see `forbidden`).
        ("a header of Rouse's", b"rouse-cold-start", b"6.6.6.6", Passes("GET /")),
        ("its underscore twin", b"rouse_cold_start", b"6.6.6.6", Passes("GET /")),
        ("X-Forwarded-For", b"x-forwarded-for", b"6.6.6.6", Passes("\r\nx-forwarded-for: 127.0.0.1\r\n")),
        ("its underscore twin", b"x_forwarded_for", b"6.6.6.6", Passes("\r\nx-forwarded-for: 127.0.0.1\r\n")),
        ("X-Real-IP in underscores", b"x_real_ip", b"6.6.6.6", Passes("GET /")),
        ("Forwarded", b"forwarded", b"for=6.6.6.6", Passes("for=127.0.0.1;")),
    ];
    let mut rows: Vec<Row> =
        fields.into_iter().map(|(name, field, value, expect)| with(name, &[(field, value)], expect)).collect();
    let names: Vec<String> = (0..1000).map(|at| format!("x-{at}")).collect();
    let many = |count: usize| names[..count].iter().map(|name| (name.as_bytes(), b"a".as_slice())).collect::<Vec<_>>();
    let (kib_15, kib_20, kib_80) = (vec![b'a'; 15 << 10], vec![b'a'; 20 << 10], vec![b'a'; 80 << 10]);
    rows.extend([
        with("cookies in crumbs", &[(b"cookie", b"a=1"), (b"cookie", b"b=2")], Passes("\r\ncookie: a=1; b=2\r\n")),
        with("two equal TEs", &[(b"te", b"trailers"), (b"te", b"trailers")], Passes("\r\nte: trailers\r\n")),
        with("80 fields", &many(80), Passes("\r\nx-79: a\r\n")),
        with("101 fields", &many(101), Refused(431)),
        with("1,000 fields", &many(1000), Refused(431)),
        with("fields of 15 KiB", &[(b"x", &kib_15)], Passes("\r\nx: aaaa")),
        with("fields of 20 KiB", &[(b"x", &kib_20)], Refused(431)),
        with("fields of 80 KiB", &[(b"x", &kib_80)], GoAway(CALM)),
        with("a name of 20 KiB", &[(&kib_20, b"a")], Refused(431)),
    ]);
    rows
}

fn bodies() -> Vec<Row> {
    let hello = Passes("\r\n\r\nhello");
    let length = |text: &'static str| [(b"content-length".as_slice(), text.as_bytes())];
    let twice = [length("5")[0], length("5")[0]];
    let differing = [length("5")[0], length("6")[0]];
    vec![
        post("a length", &length("5"), &["hello"], b"", hello),
        post("a length in two frames", &length("5"), &["hel", "lo"], b"", hello),
        post("a length of zero", &length("0"), &[""], b"", Passes("POST /")),
        post("no length", &[], &["hello"], b"", Passes("\r\n5\r\nhello\r\n0\r\n\r\n")),
        post("leading zeros", &length("0005"), &["hello"], b"", Passes("hello")),
        post("too little", &length("6"), &["hello"], b"", Breaks(PROTOCOL)),
        post("too little, in two frames", &length("6"), &["hel", "lo"], b"", Breaks(PROTOCOL)),
        post("too much", &length("4"), &["hello"], b"", Breaks(PROTOCOL)),
        post("too much, in two frames", &length("4"), &["hel", "lo"], b"", Breaks(PROTOCOL)),
        post("something for zero", &length("0"), &["hello"], b"", Breaks(PROTOCOL)),
        post("exactly, and then its end", &length("5"), &["hello", ""], b"", hello),
        post("nothing for zero, and then its end", &length("0"), &["", ""], b"", Passes("POST /")),
        post("exactly, and then more", &length("4"), &["hell", "o"], b"", Breaks(PROTOCOL)),
        post("nothing for zero, and then more", &length("0"), &["", "hello"], b"", Breaks(PROTOCOL)),
        post("two equal lengths", &twice, &["hello"], b"", BAD),
        post("two lengths", &differing, &["hello"], b"", Reset(PROTOCOL)),
        post("a list of lengths", &length("5, 5"), &["hello"], b"", Reset(PROTOCOL)),
        post("a plus", &length("+5"), &["hello"], b"", Reset(PROTOCOL)),
        post("a minus", &length("-5"), &["hello"], b"", Reset(PROTOCOL)),
        post("hexadecimal", &length("0x5"), &["hello"], b"", Reset(PROTOCOL)),
        post("a space before it", &length(" 5"), &["hello"], b"", Reset(PROTOCOL)),
        post("an empty length", &length(""), &[""], b"", BAD),
        post("more than fits", &length("99999999999999999999"), &["hello"], b"", Reset(PROTOCOL)),
        with("a length and no body", &length("5"), Reset(PROTOCOL)),
        with("a length of zero and no body", &length("0"), Passes("GET /")),
    ]
}

fn trailers() -> Vec<Row> {
    let row = |name, fields: &[Field<'_>], expect| {
        let announced: &[Field<'_>] = &[(b"trailer", b"x-sum, content-length, host, rouse-any, x_forwarded_for")];
        post(name, announced, &["hello"], &headers(1, END_STREAM, fields), expect)
    };
    let sum: Field<'_> = (b"x-sum", b"1");
    let passes = Passes("\r\n0\r\nx-sum: 1\r\n\r\n");
    let unfinished = headers(1, 0, &[sum]);
    vec![
        row("trailers", &[sum], passes),
        // The library takes them out before anybody sees them.
        row("a pseudo-header", &[(b":path", b"/b"), sum], passes),
        row("a pseudo-header behind a field", &[sum, (b":path", b"/b")], Breaks(PROTOCOL)),
        row("Connection", &[(b"connection", b"close")], Breaks(PROTOCOL)),
        row("Transfer-Encoding", &[(b"transfer-encoding", b"chunked")], Breaks(PROTOCOL)),
        row("Content-Length", &[(b"content-length", b"6"), sum], passes),
        row("Host", &[(b"host", b"6.6.6.6"), sum], passes),
        row("a header of Rouse's", &[(b"rouse-any", b"6.6.6.6"), sum], passes),
        row("hearsay", &[(b"x_forwarded_for", b"6.6.6.6"), sum], passes),
        row("capitals in a name", &[(b"X-Sum", b"1")], UNREADABLE),
        row("a line end in a value", &[(b"x-sum", b"1\r\n\r\nGET /")], UNREADABLE),
        post(
            "trailers behind a length",
            &[(b"content-length", b"5"), (b"trailer", b"x-sum")],
            &["hello"],
            &headers(1, END_STREAM, &[sum]),
            Passes("\r\n\r\nhello"),
        ),
        post("trailers that end nothing", &[], &["hello"], &unfinished, Breaks(PROTOCOL)),
        post(
            "less than the length before trailers",
            &[(b"content-length", b"6")],
            &["hello"],
            &headers(1, END_STREAM, &[sum]),
            Breaks(PROTOCOL),
        ),
        post(
            "a body behind trailers",
            &[],
            &["hello"],
            &[headers(1, END_STREAM, &[sum]), frame(DATA, END_STREAM, 1, b"!")].concat(),
            GoAway(PROTOCOL),
        ),
    ]
}

/// What no pod may be sent, whatever the row.
fn forbidden(request: &str) -> Option<&'static str> {
    let head = request.split("\r\n\r\n").next().unwrap_or_default();
    let names: Vec<String> =
        head.lines().skip(1).filter_map(|line| line.split(':').next()).map(str::to_ascii_lowercase).collect();
    let count = |name: &str| names.iter().filter(|own| *own == name).count();
    let twins: HashSet<String> = names.iter().map(|name| name.replace('_', "-")).collect();
    if count("host") != 1 {
        Some("not one Host")
    } else if count("content-length") + count("transfer-encoding") > 1 {
        Some("more than one length")
    } else if request.contains("6.6.6.6") {
        Some("hearsay")
    } else if twins.iter().any(|name| name.starts_with("rouse-")) {
        Some("what only Rouse may say")
    } else if ["connection", "upgrade", "keep-alive", "proxy-connection"].iter().any(|name| twins.contains(*name)) {
        Some("what is between neighbours")
    } else {
        None
    }
}

#[tokio::test]
async fn each_row_is_answered_as_it_should_be() {
    let world = world().await;
    let (pod, seen) = witness("a").await;
    world.appear(&pod, "r1");
    world.trigger("api.example.com", "/api");
    let tables = [pseudo(), paths(), routed_paths(), hosts(), fields(), bodies(), trailers()];
    let rows: Vec<Row> = tables.into_iter().flatten().collect();
    assert!(rows.len() >= 190, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for Row { name, bytes, expect } in rows {
        let mut caller = Caller::connect(world.address).await;
        caller.send(&bytes).await;
        let outcome = caller.outcome(1).await;
        // Whoever else is on the connection.
        caller.send(&headers(3, END_STREAM, &GET)).await;
        let next = caller.outcome(3).await;
        let stays = (next.status, next.ended) == (Some(200), true);
        let mut requests = seen.take();
        if stays {
            requests.pop();
        }
        let whole: Vec<&String> = requests.iter().filter(|request| !request.ends_with('…')).collect();
        let answered = |status| outcome == Outcome { status: Some(status), ended: true, ..Outcome::default() };
        let fine = match expect {
            Passes(part) => answered(200) && stays && requests.len() == 1 && whole.iter().all(|one| one.contains(part)),
            Refused(status) => answered(status) && stays && requests.is_empty(),
            Reset(code) => outcome.reset == Some(code) && outcome.status.is_none() && stays && requests.is_empty(),
            GoAway(code) => outcome.goaway == Some(code) && outcome.status.is_none() && !stays && whole.is_empty(),
            Breaks(code) => outcome.reset == Some(code) && outcome.status.is_none() && stays && whole.is_empty(),
            Ends => outcome == Outcome { closed: true, ..Outcome::default() } && !stays && requests.is_empty(),
        };
        let forbidden = requests.iter().find_map(|request| forbidden(request));
        if !fine || forbidden.is_some() {
            requests.iter_mut().for_each(|request| request.truncate(400));
            wrong.push(format!(
                "{name}: {expect:?}\n  {outcome:?} {forbidden:?}, the next {next:?}\n  the pod saw {requests:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{} rows\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn a_body_that_has_not_ended_is_never_whole_at_the_pod() {
    let world = world().await;
    let (pod, seen) = witness("a").await;
    world.appear(&pod, "r1");
    let mut head = [&GET[..], &[(b"content-length", b"4")]].concat();
    head[0].1 = b"POST";
    let cancel = frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    for (first, then) in [
        (frame(DATA, 0, 1, b"hell"), cancel.clone()),
        (frame(DATA, 0, 1, b"hell"), frame(DATA, END_STREAM, 1, b"o")),
        ([frame(DATA, 0, 1, b"he"), frame(DATA, 0, 1, b"ll")].concat(), cancel),
    ] {
        let mut caller = Caller::connect(world.address).await;
        caller.send(&[headers(1, 0, &head), first].concat()).await;
        // All has come by now that is to be kept from the pod.
        tokio::time::sleep(Duration::from_millis(200)).await;
        caller.send(&[then, headers(3, END_STREAM, &GET)].concat()).await;
        assert_eq!(caller.outcome(3).await.status, Some(200));
        let whole: Vec<String> = seen.take().into_iter().filter(|request| !request.ends_with('…')).collect();
        assert!(whole.len() == 1 && whole[0].starts_with("GET / "), "{whole:?}");
    }
}
