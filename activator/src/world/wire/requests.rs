//! The table of requests.

use serde_json::json;

use super::*;
use crate::args::Limits;
use crate::world::world_with;

/// What is expected of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    /// It reaches the pod, which answers 200.
    Passes,
    /// It is answered so, and the connection closes; no pod sees it.
    Refused(u16),
    /// It begins to reach the pod, and what follows is not valid: 400, and no further request.
    Breaks,
}

use Expect::{Breaks, Passes, Refused};

type Row = (&'static str, Vec<u8>, Expect);

const BAD: Expect = Refused(400);

fn row(name: &'static str, bytes: impl AsRef<[u8]>, expect: Expect) -> Row {
    (name, bytes.as_ref().to_vec(), expect)
}

/// A GET with these lines behind a right Host.
fn with(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: hello.shop\r\n{lines}\r\n\r\n")
}

/// A POST with these lines behind a right Host, and what follows the head.
fn post(lines: &str, body: &str) -> String {
    format!("POST /count HTTP/1.1\r\nHost: hello.shop\r\n{lines}\r\n\r\n{body}")
}

/// A request with these as its only fields.
fn fields(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n")
}

fn first(line: &str) -> String {
    format!("{line}\r\nHost: hello.shop\r\n\r\n")
}

fn first_lines() -> Vec<Row> {
    [
        ("a plain request", "GET / HTTP/1.1", Passes),
        ("HTTP/1.0", "GET / HTTP/1.0", Passes),
        ("a method of somebody's own", "PURGE / HTTP/1.1", Passes),
        ("a method with a hyphen", "M-SEARCH / HTTP/1.1", Passes),
        ("a query", "GET /?a=b&c HTTP/1.1", Passes),
        ("a query with odd bytes", "GET /?a={b}|c^d`e[f] HTTP/1.1", Passes),
        ("a query with a quote", "GET /?\"a\" HTTP/1.1", BAD),
        ("a query with brackets", "GET /?<a> HTTP/1.1", BAD),
        ("an encoded path", "GET /a%20b%2Fc HTTP/1.1", Passes),
        ("dot segments without a Trigger", "GET /a/../b//c/. HTTP/1.1", Passes),
        ("a whole URL", "GET http://hello.shop/x HTTP/1.1", Passes),
        ("a whole URL in capitals", "GET HTTP://HELLO.shop/x HTTP/1.1", Passes),
        ("the server itself", "OPTIONS * HTTP/1.1", Passes),
        ("small letters", "get / HTTP/1.1", BAD),
        ("mixed letters", "Get / HTTP/1.1", BAD),
        ("no method", " / HTTP/1.1", BAD),
        ("a method with a control byte", "G\x01T / HTTP/1.1", BAD),
        ("a method with a NUL", "GE\0T / HTTP/1.1", BAD),
        ("a method with a separator", "GE(T / HTTP/1.1", BAD),
        ("two spaces before the target", "GET  / HTTP/1.1", BAD),
        ("a tab before the target", "GET\t/ HTTP/1.1", BAD),
        ("two spaces behind the target", "GET /  HTTP/1.1", BAD),
        ("a space behind the version", "GET / HTTP/1.1 ", BAD),
        ("a tab behind the target", "GET /\tHTTP/1.1", BAD),
        ("a space in the target", "GET /a b HTTP/1.1", BAD),
        ("no target", "GET HTTP/1.1", BAD),
        ("no version", "GET /", BAD),
        ("only a word", "GET", BAD),
        ("HTTP/0.9", "GET / HTTP/0.9", BAD),
        ("HTTP/1.2", "GET / HTTP/1.2", BAD),
        ("HTTP/2.0", "GET / HTTP/2.0", BAD),
        ("HTTP/1.10", "GET / HTTP/1.10", BAD),
        ("HTTP/1", "GET / HTTP/1", BAD),
        ("http in small letters", "GET / http/1.1", BAD),
        ("another protocol", "GET / RTSP/1.1", BAD),
        ("a version with a comma", "GET / HTTP/1,1", BAD),
        ("TRACE", "TRACE / HTTP/1.1", BAD),
        ("CONNECT to a host", "CONNECT hello.shop:80 HTTP/1.1", BAD),
        ("CONNECT to a path", "CONNECT / HTTP/1.1", BAD),
        ("a target without a slash", "GET a HTTP/1.1", BAD),
        ("an authority as target", "GET hello.shop:80 HTTP/1.1", BAD),
        ("a query as target", "GET ?a HTTP/1.1", BAD),
        ("a star with GET", "GET * HTTP/1.1", BAD),
        ("a fragment", "GET /a#b HTTP/1.1", BAD),
        ("a fragment alone", "GET # HTTP/1.1", BAD),
        ("a fragment in the query", "GET /?a#b HTTP/1.1", BAD),
        ("a backslash", "GET /a\\b HTTP/1.1", BAD),
        ("a backslash first", "GET \\a HTTP/1.1", BAD),
        ("a NUL in the path", "GET /a\0b HTTP/1.1", BAD),
        ("an encoded NUL", "GET /a%00b HTTP/1.1", BAD),
        ("a byte that is not ASCII", "GET /\u{e9} HTTP/1.1", BAD),
        ("a DEL", "GET /a\x7fb HTTP/1.1", BAD),
        ("a control byte in the path", "GET /a\x0bb HTTP/1.1", BAD),
        ("a percent alone", "GET /100% HTTP/1.1", BAD),
        ("a percent and one digit", "GET /%4 HTTP/1.1", BAD),
        ("a percent and no digits", "GET /%zz HTTP/1.1", BAD),
        ("IIS's own encoding", "GET /%u0041 HTTP/1.1", BAD),
        ("another host in the target", "GET http://other.shop/ HTTP/1.1", BAD),
        ("another port in the target", "GET http://hello.shop:81/ HTTP/1.1", BAD),
        ("user information in the target", "GET http://user@hello.shop/ HTTP/1.1", BAD),
        ("a target without a host", "GET http:///a HTTP/1.1", BAD),
        ("another scheme", "GET ftp://hello.shop/ HTTP/1.1", BAD),
        ("a scheme without slashes", "GET http:hello.shop HTTP/1.1", BAD),
    ]
    .map(|(name, line, expect)| row(name, first(line), expect))
    .into()
}

fn hosts() -> Vec<Row> {
    [
        ("with a port", "Host: hello.shop:8080", Passes),
        ("in capitals", "HOST: HELLO.SHOP", Passes),
        ("with a final dot", "Host: hello.shop.", Passes),
        ("with an empty port", "Host: hello.shop:", Passes),
        ("space about the value", "Host: \t hello.shop \t", Passes),
        ("no Host", "A: b", BAD),
        ("an empty Host", "Host:", BAD),
        ("only space", "Host: \t ", BAD),
        ("two Hosts", "Host: hello.shop\r\nHost: other.shop", BAD),
        ("the same Host twice", "Host: hello.shop\r\nHost: hello.shop", BAD),
        ("a second Host in small letters", "Host: hello.shop\r\nhost: hello.shop", BAD),
        ("two in one", "Host: hello.shop, other.shop", BAD),
        ("two with a space", "Host: hello.shop other.shop", BAD),
        ("with a path", "Host: hello.shop/a", BAD),
        ("with a query", "Host: hello.shop?a", BAD),
        ("with a fragment", "Host: hello.shop#a", BAD),
        ("with user information", "Host: user@hello.shop", BAD),
        ("with a scheme", "Host: http://hello.shop", BAD),
        ("with a backslash", "Host: hello.shop\\a", BAD),
        ("with a percent", "Host: hello%2eshop", BAD),
        ("a port of letters", "Host: hello.shop:http", BAD),
        ("a port too large", "Host: hello.shop:65536", BAD),
        ("a port with a sign", "Host: hello.shop:+80", BAD),
        ("two ports", "Host: hello.shop:80:80", BAD),
        ("only a port", "Host: :80", BAD),
        ("a byte that is not ASCII", "Host: h\u{e9}llo.shop", BAD),
        ("a tab within", "Host: hello\t.shop", BAD),
        ("a broken IPv6 address", "Host: [::1", BAD),
        ("text behind an IPv6 address", "Host: [::1]a", BAD),
        ("text as an IPv6 address", "Host: [hello]", BAD),
        ("quoted", "Host: \"hello.shop\"", BAD),
        ("a space before the colon", "Host : hello.shop", BAD),
        ("a tab before the colon", "Host\t: hello.shop", BAD),
        ("a NUL behind the name", "Host\0: hello.shop", BAD),
        ("nobody's host", "Host: example.com", Refused(421)),
        ("no such function", "Host: nobody.shop", Refused(404)),
        ("a bare name", "Host: hello", Refused(404)),
    ]
    .map(|(name, lines, expect)| row(name, fields(lines), expect))
    .into()
}

fn lengths() -> Vec<Row> {
    [
        ("a length", "Content-Length: 5", "hello", Passes),
        ("a length of zero", "Content-Length: 0", "", Passes),
        ("leading zeros", "Content-Length: 0005", "hello", Passes),
        ("no length at all", "A: b", "", Passes),
        ("two equal lengths", "Content-Length: 5\r\nContent-Length: 5", "hello", BAD),
        ("two lengths", "Content-Length: 5\r\nContent-Length: 6", "hello", BAD),
        ("a list of equal lengths", "Content-Length: 5, 5", "hello", BAD),
        ("a list of lengths", "Content-Length: 5, 6", "hello", BAD),
        ("a plus", "Content-Length: +5", "hello", BAD),
        ("a minus", "Content-Length: -5", "hello", BAD),
        ("minus zero", "Content-Length: -0", "", BAD),
        ("hexadecimal", "Content-Length: 0x5", "hello", BAD),
        ("a fraction", "Content-Length: 5.0", "hello", BAD),
        ("an exponent", "Content-Length: 5e0", "hello", BAD),
        ("an underscore", "Content-Length: 1_0", "hellohello", BAD),
        ("a space within", "Content-Length: 1 0", "hellohello", BAD),
        ("a semicolon", "Content-Length: 5;", "hello", BAD),
        ("nothing", "Content-Length:", "", BAD),
        ("letters", "Content-Length: five", "hello", BAD),
        ("quoted", "Content-Length: \"5\"", "hello", BAD),
        ("more than fits", "Content-Length: 18446744073709551616", "hello", BAD),
        ("far more than fits", "Content-Length: 99999999999999999999999999", "hello", BAD),
        ("digits of another script", "Content-Length: \u{665}", "hello", BAD),
        ("a vertical tab", "Content-Length: \x0b5", "hello", BAD),
        ("a space before the colon", "Content-Length : 5", "hello", BAD),
        ("its underscore twin", "Content_Length: 5", "hello", BAD),
        ("both, the length first", "Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n", BAD),
        ("both, the encoding first", "Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n", BAD),
        ("both, the length zero", "Content-Length: 0\r\nTransfer-Encoding: chunked", "0\r\n\r\n", BAD),
        ("both, the encoding not valid", "Content-Length: 5\r\nTransfer-Encoding: xchunked", "hello", BAD),
        ("both, the encoding empty", "Content-Length: 5\r\nTransfer-Encoding:", "hello", BAD),
    ]
    .map(|(name, lines, body, expect)| row(name, post(lines, body), expect))
    .into()
}

fn encodings() -> Vec<Row> {
    let old = "POST / HTTP/1.0\r\nHost: hello.shop\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    [
        ("chunked", "Transfer-Encoding: chunked", Passes),
        ("in capitals", "TRANSFER-ENCODING: CHUNKED", Passes),
        ("space about the value", "Transfer-Encoding: \tchunked ", Passes),
        ("identity", "Transfer-Encoding: identity", BAD),
        ("identity, chunked", "Transfer-Encoding: identity, chunked", BAD),
        ("chunked, identity", "Transfer-Encoding: chunked, identity", BAD),
        ("gzip, chunked", "Transfer-Encoding: gzip, chunked", BAD),
        ("gzip", "Transfer-Encoding: gzip", BAD),
        ("chunked twice in one", "Transfer-Encoding: chunked, chunked", BAD),
        ("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", BAD),
        ("identity beside chunked", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", BAD),
        ("chunked beside identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", BAD),
        ("nothing", "Transfer-Encoding:", BAD),
        ("a comma", "Transfer-Encoding: ,chunked", BAD),
        ("a comma behind", "Transfer-Encoding: chunked,", BAD),
        ("a parameter", "Transfer-Encoding: chunked;q=1", BAD),
        ("quoted", "Transfer-Encoding: \"chunked\"", BAD),
        ("in one word", "Transfer-Encoding: xchunked", BAD),
        ("cut short", "Transfer-Encoding: chunke", BAD),
        ("a vertical tab before", "Transfer-Encoding: \x0bchunked", BAD),
        ("a form feed behind", "Transfer-Encoding: chunked\x0c", BAD),
        ("a NUL within", "Transfer-Encoding: chun\0ked", BAD),
        ("a byte that is not ASCII", "Transfer-Encoding: chunke\u{11f}", BAD),
        ("a space before the colon", "Transfer-Encoding : chunked", BAD),
        ("a tab before the colon", "Transfer-Encoding\t: chunked", BAD),
        ("a space before the name", " Transfer-Encoding: chunked", BAD),
        ("no colon", "Transfer-Encoding chunked", BAD),
        ("its underscore twin", "Transfer_Encoding: chunked", BAD),
        ("folded", "Transfer-Encoding:\r\n chunked", BAD),
        ("folded with a tab", "Transfer-Encoding:\r\n\tchunked", BAD),
    ]
    .map(|(name, lines, expect)| row(name, post(lines, "5\r\nhello\r\n0\r\n\r\n"), expect))
    .into_iter()
    .chain([row("chunks in HTTP/1.0", old, BAD)])
    .collect()
}

fn chunks() -> Vec<Row> {
    [
        ("no chunk", "0\r\n\r\n", Passes),
        ("a chunk", "5\r\nhello\r\n0\r\n\r\n", Passes),
        ("capital digits", "A\r\nhellohello\r\n0\r\n\r\n", Passes),
        ("leading zeros", "0005\r\nhello\r\n0000\r\n\r\n", Passes),
        ("an extension", "5;a=b\r\nhello\r\n0;c\r\n\r\n", Passes),
        ("a trailer", "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", Passes),
        ("no size", "\r\nhello\r\n0\r\n\r\n", Breaks),
        ("a minus", "-5\r\nhello\r\n0\r\n\r\n", Breaks),
        ("a plus", "+5\r\nhello\r\n0\r\n\r\n", Breaks),
        ("0x", "0x5\r\nhello\r\n0\r\n\r\n", Breaks),
        ("no digit", "g\r\nhello\r\n0\r\n\r\n", Breaks),
        ("a space before the size", " 5\r\nhello\r\n0\r\n\r\n", Breaks),
        ("a space behind the size", "5 \r\nhello\r\n0\r\n\r\n", Breaks),
        ("a tab behind the size", "5\t\r\nhello\r\n0\r\n\r\n", Breaks),
        ("an underscore", "0_5\r\nhello\r\n0\r\n\r\n", Breaks),
        ("a size beyond 64 bits", "10000000000000005\r\nhello\r\n0\r\n\r\n", Breaks),
        ("a size of 64 bits", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n", Breaks),
        ("LF behind the size", "5\nhello\r\n0\r\n\r\n", Breaks),
        ("CR behind the size", "5\rhello\r\n0\r\n\r\n", Breaks),
        ("CR CR LF behind the size", "5\r\r\nhello\r\n0\r\n\r\n", Breaks),
        ("LF behind the data", "5\r\nhello\n0\r\n\r\n", Breaks),
        ("nothing behind the data", "5\r\nhello0\r\n\r\n", Breaks),
        ("longer than its size", "5\r\nhello!\r\n0\r\n\r\n", Breaks),
        ("shorter than its size", "6\r\nhello\r\n0\r\n\r\n", Breaks),
        ("LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n", Breaks),
        ("CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n", Breaks),
        ("a NUL in an extension", "5;a\0\r\nhello\r\n0\r\n\r\n", Breaks),
        ("LF behind the last size", "0\n\r\n", Breaks),
        ("LF at the end", "0\r\n\n", Breaks),
        ("text behind the last chunk", "0\r\nGET / HTTP/1.1\r\n\r\n", Breaks),
        ("a folded trailer", "0\r\nA: b\r\n c\r\n\r\n", Breaks),
        ("a trailer without a colon", "0\r\nA\r\n\r\n", Breaks),
        ("a trailer without a name", "0\r\n: a\r\n\r\n", Breaks),
        ("a space in a trailer's name", "0\r\nA : b\r\n\r\n", Breaks),
        ("LF behind a trailer", "0\r\nA: b\n\r\n", Breaks),
        ("a NUL in a trailer", "0\r\nA: \0\r\n\r\n", Breaks),
    ]
    .map(|(name, body, expect)| row(name, post("Transfer-Encoding: chunked", body), expect))
    .into()
}

fn other_fields() -> Vec<Row> {
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__";
    let mut rows: Vec<Row> = [
        ("any field", "X-Any: thing", Passes),
        ("an empty value", "X-Any:", Passes),
        ("a value that is no ASCII", "X-Any: \u{20ac}", Passes),
        ("a tab in a value", "X-Any: a\tb", Passes),
        ("every kind of byte in a name", "!#$%&'*+-.^_`|~09azAZ: a", Passes),
        ("a name in underscores", "X_Any: thing", Passes),
        ("HTTP/2 by upgrade, which is not taken", h2c, Passes),
        ("a folded line", "X-Any: a\r\n b", BAD),
        ("a line folded with a tab", "X-Any: a\r\n\tb", BAD),
        ("a folded line of space", "X-Any: a\r\n \r\nB: c", BAD),
        ("a space before the colon", "X-Any : a", BAD),
        ("a space within a name", "X Any: a", BAD),
        ("no name", ": a", BAD),
        ("no colon", "X-Any", BAD),
        ("a NUL in a value", "X-Any: a\0b", BAD),
        ("a NUL in a name", "X\0Any: a", BAD),
        ("a control byte in a value", "X-Any: a\x01b", BAD),
        ("an escape in a value", "X-Any: a\x1bb", BAD),
        ("a DEL in a value", "X-Any: a\x7fb", BAD),
        ("a CR in a value", "X-Any: a\rb", BAD),
        ("a CR at the end of a value", "X-Any: a\r\r\nB: c", BAD),
        ("a CR in a name", "X\rAny: a", BAD),
        ("an LF in a value", "X-Any: a\nB: c", BAD),
        ("an LF that ends a line", "X-Any: a\nHost: other.shop", BAD),
        ("a byte that is not ASCII in a name", "X-\u{e9}: a", BAD),
        ("a bracket in a name", "X[Any]: a", BAD),
        ("a quote in a name", "\"X\": a", BAD),
        ("a slash in a name", "X/Any: a", BAD),
    ]
    .map(|(name, lines, expect)| row(name, with(lines), expect))
    .into();
    let many = |count: usize| (0..count).map(|i| format!("X-{i}: a\r\n")).collect::<String>();
    let long = |kib: usize| "a".repeat(kib << 10);
    rows.extend([
        // Ours come to them, and a pod's server has a limit of its own.
        row("80 fields beside the Host", with(many(80).trim_end()), Passes),
        row("100 fields beside the Host", with(many(100).trim_end()), Refused(431)),
        row("1,000 fields", with(many(1000).trim_end()), Refused(431)),
        row("fields of 15 KiB", with(&format!("X: {}", long(15))), Passes),
        row("fields of 40 KiB", with(&format!("X: {}", long(40))), Refused(431)),
        row("a name of 40 KiB", with(&format!("{}: a", long(40))), Refused(431)),
        row("a field without an end", format!("GET / HTTP/1.1\r\nX: {}", long(40)), Refused(431)),
        row("a path of 8,000 bytes", first(&format!("GET /{} HTTP/1.1", "a".repeat(8000))), Passes),
        row("a path of 9,000 bytes", first(&format!("GET /{} HTTP/1.1", "a".repeat(9000))), Refused(414)),
        row("a path without an end", format!("GET /{}", long(40)), Refused(414)),
        row("a method without an end", long(40), Refused(414)),
    ]);
    rows
}

/// A body of so many chunks, each with an extension of so many bytes.
fn extended(chunks: usize, bytes: usize) -> String {
    let chunk = format!("1;{}\r\nx\r\n", "e".repeat(bytes));
    post("Transfer-Encoding: chunked", &(chunk.repeat(chunks) + "0\r\n\r\n"))
}

fn extensions() -> Vec<Row> {
    vec![
        row("many extensions", extended(150, 85), Passes),
        row("extensions of 16 KiB less a byte", extended(3, 5461), Passes),
        row("extensions of 16 KiB", extended(4, 4096), Breaks),
        row("too many extensions", extended(200, 85), Breaks),
    ]
}

fn line_ends() -> Vec<Row> {
    vec![
        row("LF behind the first line", "GET / HTTP/1.1\nHost: hello.shop\r\n\r\n", BAD),
        row("LF behind a field", "GET / HTTP/1.1\r\nHost: hello.shop\n\r\n", BAD),
        row("LF at the end", "GET / HTTP/1.1\r\nHost: hello.shop\r\n\n", BAD),
        row("LF alone everywhere", "GET / HTTP/1.1\nHost: hello.shop\n\n", BAD),
        row("CR behind the first line", "GET / HTTP/1.1\rHost: hello.shop\r\n\r\n", BAD),
        row("CR before the end", "GET / HTTP/1.1\r\nHost: hello.shop\r\n\r\r\n\r\n", BAD),
        row("one empty line before it", "\r\nGET / HTTP/1.1\r\nHost: hello.shop\r\n\r\n", Passes),
        row("two empty lines before it", "\r\n\r\nGET / HTTP/1.1\r\nHost: hello.shop\r\n\r\n", BAD),
        row("LF before it", "\nGET / HTTP/1.1\r\nHost: hello.shop\r\n\r\n", BAD),
        row("a space before it", " GET / HTTP/1.1\r\nHost: hello.shop\r\n\r\n", BAD),
        row("a NUL before it", "\0GET / HTTP/1.1\r\nHost: hello.shop\r\n\r\n", BAD),
        row("a space before the first field", "GET / HTTP/1.1\r\n Host: hello.shop\r\n\r\n", BAD),
        row("a TLS handshake", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\x0a\n".as_slice(), BAD),
        row("another protocol", "HELO example.com\r\n\r\n", BAD),
        row("an answer", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", BAD),
    ]
}

#[tokio::test]
async fn each_row_is_answered_as_it_should_be() {
    let world = world().await;
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    assert_eq!(statuses(&answer(&world, with("A: b").as_bytes(), begun(1)).await), [200]);
    let tables = [first_lines(), hosts(), lengths(), encodings(), chunks(), extensions(), other_fields(), line_ends()];
    let rows: Vec<Row> = tables.into_iter().flatten().collect();
    assert!(rows.len() >= 200, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for (name, bytes, expect) in rows {
        let before = pod.seen().len();
        // What a request that is smuggled in behind it would look like.
        let behind = if expect == Passes { "" } else { "GET /smuggled HTTP/1.1\r\nHost: hello.shop\r\n\r\n" };
        // Who is not found may ask again on the same connection.
        let responses = if matches!(expect, Refused(404 | 421)) { 2 } else { 1 };
        let answer = answer(&world, &[&bytes, behind.as_bytes()].concat(), begun(responses)).await;
        let seen = pod.seen()[before..].to_vec();
        let smuggled = seen.iter().any(|line| line.contains("smuggled"));
        let fine = match expect {
            Passes => statuses(&answer) == [200] && seen.len() == 1,
            Refused(404 | 421) => statuses(&answer).len() == responses && seen.len() == 1,
            Refused(status) => statuses(&answer) == [status] && seen.is_empty(),
            // The pod may have seen its head.
            Breaks => statuses(&answer) == [400] && !smuggled,
        };
        if !fine {
            let bytes = bytes[..bytes.len().min(200)].escape_ascii();
            wrong.push(format!("{name}: {expect:?}, but the pod saw {seen:?}\n  {bytes}\n  {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} rows\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn a_body_arrives_whatever_the_method() {
    let world = world().await;
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    for method in ["GET", "POST", "DELETE", "OPTIONS", "QUERY"] {
        for (framing, body) in
            [("Content-Length: 5", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n")]
        {
            let request = post(framing, body).replacen("POST", method, 1);
            let end = "\r\n\r\n5";
            let answer = answer(&world, request.as_bytes(), |answer| answer.ends_with(end)).await;
            assert!(answer.ends_with(end), "{method} with {framing}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_body_that_breaks_behind_a_pause_never_ends_well() {
    let world = world().await;
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    for (first, second) in
        [("0;a", "\0\r\n\r\n"), ("0\r\nA:", "\0\r\n\r\n"), ("0\r\nA: b", "\n\r\n"), ("5\r\nhe", "llo!\r\n0\r\n\r\n")]
    {
        let seen = pod.seen().len();
        let mut caller = TcpStream::connect(world.address).await.unwrap();
        caller.write_all(post("Transfer-Encoding: chunked", first).as_bytes()).await.unwrap();
        // The pod has the head, so hyper has the first part of the body.
        super::super::eventually(|| pod.seen().len() > seen).await;
        caller.write_all(second.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _ = timeout(SOON, caller.read_to_string(&mut answer)).await.expect("it hangs");
        assert!(!statuses(&answer).contains(&200), "{first:?} and {second:?}: {answer}");
    }
}

#[tokio::test]
async fn a_refusal_comes_in_its_turn() {
    let world = world().await;
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    let slow = "GET /slow HTTP/1.1\r\nHost: hello.shop\r\n\r\n";
    let bad = "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
    let why = "more than one Host";
    let answer = answer(&world, format!("{slow}{bad}{slow}").as_bytes(), |answer| answer.contains(why)).await;
    assert_eq!(statuses(&answer), [200, 400]);
    assert!(answer.contains("application/problem+json") && answer.contains(why), "{answer}");
    assert_eq!(pod.seen().len(), 1);
}

#[tokio::test]
async fn a_refusal_can_be_read_to_its_end() {
    let world = world().await;
    // More than a connection could be closed over without a reset.
    let bytes = [b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".as_slice(), &vec![b'x'; 100 << 10]].concat();
    for _ in 0..20 {
        assert_eq!(statuses(&answer(&world, &bytes, begun(1)).await), [400]);
    }
}

#[tokio::test]
async fn an_answer_can_be_read_to_its_end_by_who_still_writes_its_request() {
    let body = "x".repeat(100 << 10);
    for (host, max_body_bytes, status) in [("nobody.shop", 0, 404), ("hello.shop", 10, 413)] {
        let world = world_with(json!({}), Limits { max_body_bytes, ..Limits::default() }).await;
        let pod = TestPod::start("a").await;
        world.appear(&pod, "r1");
        for framing in ["Content-Length: 1000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nf4240\r\n"] {
            let bytes = format!("POST /count HTTP/1.1\r\nHost: {host}\r\n{framing}{body}");
            let mut caller = TcpStream::connect(world.address).await.unwrap();
            caller.write_all(bytes.as_bytes()).await.unwrap();
            let mut answer = String::new();
            let read = timeout(Duration::from_secs(10), caller.read_to_string(&mut answer)).await;
            read.expect("the connection stays open").unwrap();
            assert_eq!(statuses(&answer), [status], "{host} {framing:?}");
            // Who still writes would see a reset, and may lose the answer with it.
            assert!(caller.take_error().unwrap().is_none(), "{host} {framing:?}");
        }
    }
}

#[tokio::test]
async fn requests_follow_a_protocol_that_was_not_changed() {
    let world = world().await;
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    let ask = with("Connection: upgrade\r\nUpgrade: websocket");
    let both = format!("{ask}{}", with("A: b"));
    assert_eq!(statuses(&answer(&world, both.as_bytes(), begun(2)).await), [200, 200]);
    let bad = fields("Host: a\r\nHost: b");
    assert_eq!(statuses(&answer(&world, format!("{ask}{bad}").as_bytes(), begun(2)).await), [200, 400]);
}
