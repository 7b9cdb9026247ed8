//! The table of responses: what a pod may answer, and what becomes of the rest.

use super::*;

/// What the caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// The pod's answer, with this body.
    Whole(&'static str),
    /// An answer of ours.
    Status(u16),
    /// The pod's head, and visibly not the whole body.
    CutOff,
}

use Expect::{CutOff, Status, Whole};

const BAD: Expect = Status(502);

fn ok(lines: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{lines}\r\n{body}")
}

fn whole() -> Vec<(&'static str, String, Expect)> {
    let sized = ok("Content-Length: 5\r\n", "hello");
    vec![
        ("a length", sized.clone(), Whole("hello")),
        ("chunks", ok("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"), Whole("hello")),
        ("up to the end", ok("", "hello"), Whole("hello")),
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nhello".into(), Whole("hello")),
        ("no reason", "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello".into(), Whole("hello")),
        ("an early hint", format!("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n{sized}"), Whole("hello")),
        ("a trailer", ok("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\nA: b\r\n\r\n"), Whole("hello")),
    ]
}

fn heads() -> Vec<(&'static str, String, Expect)> {
    let chunked = "5\r\nhello\r\n0\r\n\r\n";
    let lines = [
        ("two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
        ("two equal lengths", "Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
        ("a list of lengths", "Content-Length: 5, 5\r\n", "hello"),
        ("a minus", "Content-Length: -5\r\n", "hello"),
        ("a plus", "Content-Length: +5\r\n", "hello"),
        ("letters", "Content-Length: five\r\n", "hello"),
        ("more than fits", "Content-Length: 18446744073709551616\r\n", "hello"),
        ("both", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", chunked),
        ("both, the other way", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", chunked),
        ("identity, chunked", "Transfer-Encoding: identity, chunked\r\n", chunked),
        ("gzip", "Transfer-Encoding: gzip\r\n", "hello"),
        ("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunked),
        ("a folded line", "A: b\r\n c\r\nContent-Length: 5\r\n", "hello"),
        ("a space before the colon", "Content-Length : 5\r\n", "hello"),
        ("a NUL", "A: \0\r\nContent-Length: 5\r\n", "hello"),
        ("LF behind a field", "Content-Length: 5\n", "hello"),
        ("CR in a value", "A: b\rc\r\nContent-Length: 5\r\n", "hello"),
    ];
    let raw = [
        ("chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("LF behind the first line", "HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\nhello"),
        ("LF everywhere", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"),
        ("no version", "200 OK\r\n\r\n"),
        ("HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n"),
        ("a status of two digits", "HTTP/1.1 20 OK\r\n\r\n"),
        ("a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"),
        ("a status of letters", "HTTP/1.1 abc OK\r\n\r\n"),
        ("nonsense", "\0\x01\x02\r\n\r\n"),
        ("nothing", ""),
        ("half a head", "HTTP/1.1 200 OK\r\nContent-Le"),
        ("101 unasked", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
    ];
    let lines = lines.into_iter().map(|(name, lines, body)| (name, ok(lines, body), BAD));
    let raw = raw.into_iter().map(|(name, bytes)| (name, bytes.to_owned(), BAD));
    let long = [
        ("only preliminary ones", "HTTP/1.1 102 Processing\r\n\r\n".repeat(100), BAD),
        ("too many fields", ok(&"A: b\r\n".repeat(101), "hello"), BAD),
        ("fields of 200 KiB", ok(&format!("A: {}\r\n", "b".repeat(200 << 10)), "hello"), BAD),
    ];
    lines.chain(raw).chain(long).collect()
}

fn bodies() -> Vec<(&'static str, String, Expect)> {
    let chunked = |body| ok("Transfer-Encoding: chunked\r\n", body);
    vec![
        ("too short", ok("Content-Length: 6\r\n", "hello"), CutOff),
        ("no last chunk", chunked("5\r\nhello\r\n"), CutOff),
        ("a chunk cut short", chunked("6\r\nhello"), CutOff),
        ("a chunk's size not valid", chunked("5\r\nhello\r\nxyz\r\n"), CutOff),
        ("a chunk longer than its size", chunked("4\r\nhello\r\n0\r\n\r\n"), CutOff),
    ]
}

#[tokio::test]
async fn each_row_becomes_what_it_should() {
    let rows = [whole(), heads(), bodies()].into_iter().flatten();
    each_row_becomes("http1", rows.map(|(name, response, expect)| (name, response.into_bytes(), expect))).await;
}

/// Tries each row on a pod that answers a request with its bytes and closes its side.
pub(super) async fn each_row_becomes(
    protocol: &'static str,
    rows: impl Iterator<Item = (&'static str, Vec<u8>, Expect)>,
) {
    let mut wrong = Vec::new();
    for (name, response, expect) in rows {
        let world = world().await;
        let mut pod = TestPod::raw("a", move |mut stream, _| {
            let response = response.clone();
            async move {
                if asked(&mut stream).await {
                    let _ = stream.write_all(&response).await;
                    let _ = stream.shutdown().await;
                    // What is left unread would reset the connection, and take the answer with it.
                    while let Ok(1..) = stream.read(&mut [0; 4096]).await {}
                }
            }
        })
        .await;
        pod.port_name = protocol;
        world.appear(&pod, "r1");
        // Of a kind that is not sent twice.
        let request = "POST / HTTP/1.1\r\nHost: hello.shop\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx";
        let fine = |answer: &str| {
            let first = statuses(answer).first().copied();
            let ended = answer.ends_with("\r\n0\r\n\r\n");
            match expect {
                Whole(body) => {
                    let sized =
                        answer.contains("content-length: 5\r\n") && answer.ends_with(&format!("\r\n\r\n{body}"));
                    first == Some(200) && (sized || (answer.contains(body) && ended)) && !answer.contains("6.6.6.6")
                }
                Status(status) => statuses(answer) == [status],
                CutOff => {
                    let sized = ["length: 6", "length: 4"].iter().any(|length| answer.contains(length));
                    let whole = answer.ends_with("hell") || answer.ends_with("hello!");
                    // hyper gives a head up together with its body where both are at hand.
                    let nothing = protocol == "h2c" && answer.is_empty();
                    nothing || (first == Some(200) && !ended && (answer.contains(": chunked") || (sized && !whole)))
                }
            }
        };
        let answer = answer(&world, request.as_bytes(), fine).await;
        if !fine(&answer) {
            let told = &answer[..answer.len().min(1000)];
            wrong.push(format!("{name}: expected {expect:?}\n  {told:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} rows\n{}", wrong.len(), wrong.join("\n"));
}

/// Whether a request has come, over either protocol: in HTTP/2 the head comes some time after the preface.
async fn asked(stream: &mut TcpStream) -> bool {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while !seen.windows(6).any(|part| part == b"POST /" || part[3..5] == [1, 4]) {
        match stream.read(&mut buffer).await {
            Ok(read @ 1..) => seen.extend_from_slice(&buffer[..read]),
            _ => return false,
        }
    }
    true
}
