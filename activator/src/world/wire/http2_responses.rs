//! The table of responses over HTTP/2.

use super::frames::{DATA, END_STREAM, Field, HEADERS, RST_STREAM, frame, greeting, headers};
use super::responses::{Expect, each_row_becomes};

use Expect::{CutOff, Status, Whole};

const BAD: Expect = Status(502);

type Row = (&'static str, Vec<u8>, Expect);

const OK: Field<'static> = (b":status", b"200");

/// A head with these fields behind its status, and a body.
fn with(name: &'static str, fields: &[Field<'_>], body: &str, expect: Expect) -> Row {
    (name, [headers(1, 0, &[&[OK], fields].concat()), data(body)].concat(), expect)
}

/// A head of these fields alone, and a body.
fn only(name: &'static str, fields: &[Field<'_>], expect: Expect) -> Row {
    (name, [headers(1, 0, fields), data("hello")].concat(), expect)
}

fn data(body: &str) -> Vec<u8> {
    frame(DATA, END_STREAM, 1, body.as_bytes())
}

fn heads() -> Vec<Row> {
    let hint = headers(1, 0, &[(b":status".as_slice(), b"103".as_slice()), (b"link", b"a")]);
    let sized = headers(1, 0, &[OK, (b"content-length", b"5")]);
    let mut rows = vec![
        ("an early hint", [hint, sized, data("hello")].concat(), Whole("hello")),
        with("no length", &[], "hello", Whole("hello")),
        only("no status", &[(b"a", b"b")], BAD),
        only("two statuses", &[OK, OK], BAD),
        only("a status behind a field", &[(b"a", b"b"), OK], BAD),
        only("a status of letters", &[(b":status", b"abc")], BAD),
        only("a status of two digits", &[(b":status", b"20")], BAD),
        only("a status of four digits", &[(b":status", b"2000")], BAD),
        only("an empty status", &[(b":status", b"")], BAD),
        only("a pseudo-header that nobody knows", &[OK, (b":any", b"a")], BAD),
        // The library takes it out.
        only("a pseudo-header of requests", &[OK, (b":path", b"/")], Whole("hello")),
        ("a body before the head", data("hello"), BAD),
        ("a length and no body", headers(1, END_STREAM, &[OK, (b"content-length", b"5")]), BAD),
        ("nothing but a reset", frame(RST_STREAM, 0, 1, &[0, 0, 0, 2]), BAD),
        ("nothing", Vec::new(), BAD),
        ("half a frame", headers(1, 0, &[OK])[..12].to_vec(), BAD),
        ("a block that is none", frame(HEADERS, 4, 1, &[0xff; 20]), BAD),
    ];
    let fields: [(&str, &[u8], &[u8], Expect); 20] = [
        ("a length", b"content-length", b"5", Whole("hello")),
        ("a length in capitals", b"Content-Length", b"5", BAD),
        ("a list of lengths", b"content-length", b"5, 5", BAD),
        ("a plus", b"content-length", b"+5", BAD),
        ("a minus", b"content-length", b"-5", BAD),
        ("letters", b"content-length", b"five", BAD),
        ("an empty length", b"content-length", b"", BAD),
        ("more than fits", b"content-length", b"18446744073709551616", BAD),
        ("the length's underscore twin", b"content_length", b"5", BAD),
        ("Connection", b"connection", b"close", BAD),
        ("Keep-Alive", b"keep-alive", b"timeout=5", BAD),
        ("Transfer-Encoding", b"transfer-encoding", b"chunked", BAD),
        ("Upgrade", b"upgrade", b"websocket", BAD),
        ("a NUL in a value", b"a", b"\0", BAD),
        ("an LF in a value", b"a", b"b\nc: d", BAD),
        ("a line end in a value", b"a", b"b\r\n\r\nHTTP/1.1 200 OK", BAD),
        ("a line end in a name", b"a: b\r\nc", b"d", BAD),
        ("a space in a name", b"a ", b"b", BAD),
        ("no name", b"", b"b", BAD),
        ("a header of Rouse's", b"rouse-cold-start", b"6.6.6.6", Whole("hello")),
    ];
    rows.extend(fields.into_iter().map(|(name, field, value, expect)| with(name, &[(field, value)], "hello", expect)));
    let length = |text: &'static [u8]| -> Field<'static> { (b"content-length", text) };
    let names: Vec<String> = (0..101).map(|at| format!("x-{at}")).collect();
    let many: Vec<Field<'_>> = names.iter().map(|name| (name.as_bytes(), b"a".as_slice())).collect();
    rows.extend([
        with("two equal lengths", &[length(b"5"), length(b"5")], "hello", BAD),
        with("two lengths", &[length(b"5"), length(b"6")], "hello", BAD),
        with("too many fields", &many, "hello", BAD),
        with("fields of 60 KiB", &[(b"a", &vec![b'b'; 60 << 10])], "hello", Whole("hello")),
        with("fields of 70 KiB", &[(b"a", &vec![b'b'; 70 << 10])], "hello", BAD),
        with("fields of 300 KiB", &[(b"a", &vec![b'b'; 300 << 10])], "hello", BAD),
    ]);
    rows
}

fn bodies() -> Vec<Row> {
    let head = headers(1, 0, &[OK]);
    let part = frame(DATA, 0, 1, b"hel");
    vec![
        with("shorter than its length", &[(b"content-length", b"6")], "hello", CutOff),
        with("longer than its length", &[(b"content-length", b"4")], "hello", CutOff),
        ("a reset within", [&head[..], &part, &frame(RST_STREAM, 0, 1, &[0, 0, 0, 2])].concat(), CutOff),
        ("a reset without an error within", [&head[..], &part, &frame(RST_STREAM, 0, 1, &[0; 4])].concat(), CutOff),
        ("no end", [&head[..], &part].concat(), CutOff),
        ("a head behind the head", [&head[..], &head, &data("hello")].concat(), CutOff),
        ("trailers that are none", [&head[..], &part, &headers(1, END_STREAM, &[(b"A", b"b")])].concat(), CutOff),
        ("too long a frame", [&head[..], &frame(DATA, END_STREAM, 1, &vec![b'a'; 20_000])].concat(), CutOff),
    ]
}

#[tokio::test]
async fn each_row_becomes_what_it_should() {
    let rows = [heads(), bodies()].concat();
    assert!(rows.len() >= 50, "{} rows", rows.len());
    let rows = rows.into_iter().map(|(name, bytes, expect)| (name, [greeting(), bytes].concat(), expect));
    each_row_becomes("h2c", rows).await;
}
