//! A pod that takes down what it is sent, byte for byte.

use std::sync::{Arc, Mutex};

use super::*;

/// What a [`witness`] was sent.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    /// Its requests since the last look. One that was broken off ends in ` …`.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// An HTTP/1 pod that answers each request whole with 200, once it has read all of it.
pub(super) async fn witness(uid: &str) -> (TestPod, Seen) {
    let seen = Seen::default();
    let log = seen.clone();
    let pod = TestPod::raw(uid, move |mut stream, _| {
        let log = log.clone();
        async move {
            loop {
                let mut request = Vec::new();
                let whole = read(&mut stream, &mut request).await;
                if request.is_empty() {
                    return;
                }
                let text = String::from_utf8_lossy(&request).into_owned();
                log.0.lock().unwrap().push(if whole { text } else { text + " …" });
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                if !whole || stream.write_all(answer).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    (pod, seen)
}

/// Reads one request; whether to its end.
async fn read(stream: &mut TcpStream, request: &mut Vec<u8>) -> bool {
    while !request.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return false };
        request.push(byte);
    }
    let head = String::from_utf8_lossy(request).to_ascii_lowercase();
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let length = lines.clone().find(|line| line.0 == "content-length").map(|line| line.1.parse::<usize>().unwrap());
    let chunked = lines.clone().any(|line| line.0 == "transfer-encoding");
    let begun = request.len();
    let is_whole = |body: &[u8]| match length {
        Some(length) => body.len() == length,
        // No body in these tests has a line of `0` of its own.
        None if chunked => body.ends_with(b"\r\n\r\n") && (body.starts_with(b"0\r\n") || find(body, b"\r\n0\r\n")),
        None => true,
    };
    while !is_whole(&request[begun..]) {
        let Ok(byte) = stream.read_u8().await else { return false };
        request.push(byte);
    }
    true
}

fn find(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
