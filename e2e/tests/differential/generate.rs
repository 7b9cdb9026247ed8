//! Cases: the same ones every time, as many as are asked for.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::draft::{Body, Chunk, Draft, Field};
use super::twists::{ODD, Twist, WRONG};

/// What a caller sends on one connection.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) bytes: Vec<u8>,
    /// What is odd about it.
    pub(crate) twists: Vec<&'static str>,
}

/// Path of the last request of each case, behind which the connection closes.
pub(crate) const LAST: &str = "/last";

/// The last request.
pub(crate) fn last() -> Vec<u8> {
    format!("GET {LAST} HTTP/1.1\r\nHost: hello.shop\r\nConnection: close\r\n\r\n").into_bytes()
}

const METHODS: [&str; 6] = ["GET", "GET", "OPTIONS", "DELETE", "HEAD", "POST"];
const METHODS_OF_BODIES: [&str; 4] = ["POST", "PUT", "PATCH", "DELETE"];
const TARGETS: [&str; 5] = ["/", "/a", "/a/b?c=d", "/a.b_c-d", "/?"];
/// Some of them are requests to whoever takes their length for another.
const BODIES: [&[u8]; 8] = [
    b"hello",
    b"",
    b"GET /smuggled HTTP/1.1\r\nHost: hello.shop\r\n\r\n",
    b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: hello.shop\r\n\r\n",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"\r\n\r\n",
    b"\0\xff\n",
    b"0\r\n\r\n",
];
const FIELDS: [(&str, &str); 5] = [
    ("Accept", "*/*"),
    ("User-Agent", "caller/1"),
    ("Cookie", "a=b"),
    ("X-Any", "thing"),
    ("Content-Type", "text/plain"),
];

/// The cases that come of a seed.
pub(crate) fn cases(seed: u64, count: usize) -> Vec<Case> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..count).map(|_| case(&mut rng)).collect()
}

/// One to three requests, of which at most one is wrong, and the last one.
fn case(rng: &mut StdRng) -> Case {
    let requests = [1, 1, 2, 3].choose(rng).copied().unwrap_or(1);
    let wrong = if rng.random_bool(0.45) { Some(rng.random_range(0..requests)) } else { None };
    let mut case = Case { bytes: Vec::new(), twists: Vec::new() };
    for number in 0..requests {
        let mut draft = plain(rng);
        for _ in 0..rng.random_range(0..3) {
            case.twist(&mut draft, ODD, rng);
        }
        if wrong == Some(number) {
            case.twist(&mut draft, WRONG, rng);
        }
        let (mut head, body) = draft.written();
        if rng.random_bool(0.06) {
            case.twists.push("bytes at random");
            disturb(&mut head, rng);
        }
        case.bytes.extend(head);
        case.bytes.extend(body);
    }
    case.bytes.extend(last());
    case
}

impl Case {
    fn twist(&mut self, draft: &mut Draft, twists: &[Twist], rng: &mut StdRng) {
        if let Some((name, twist)) = twists.choose(rng) {
            self.twists.push(name);
            twist(draft, rng);
        }
    }
}

/// A request that nobody could take for another.
fn plain(rng: &mut StdRng) -> Draft {
    let one_of = |from: &[&'static str], rng: &mut StdRng| from.choose(rng).copied().unwrap_or("GET");
    let body = BODIES.choose(rng).copied().unwrap_or_default();
    let target = one_of(&TARGETS, rng);
    let kind = rng.random_range(0..3);
    let mut draft = Draft::new(one_of(if kind == 0 { &METHODS } else { &METHODS_OF_BODIES }, rng), target);
    for (name, value) in FIELDS.choose_multiple(rng, 2) {
        draft.fields.push(Field::new(name, value));
    }
    let at = rng.random_range(0..=draft.fields.len());
    match kind {
        1 => {
            draft.fields.insert(at, Field::new("Content-Length", body.len().to_string()));
            draft.body = Body::Plain(body.to_vec());
        }
        2 => {
            draft.fields.insert(at, Field::new("Transfer-Encoding", "chunked"));
            let size = rng.random_range(1..=body.len().max(1));
            draft.body = Body::Chunked(body.chunks(size).map(Chunk::new).collect(), b"0\r\n\r\n".to_vec());
        }
        _ => {}
    }
    draft
}

/// A byte more, less or another.
fn disturb(bytes: &mut Vec<u8>, rng: &mut StdRng) {
    let at = rng.random_range(0..bytes.len());
    let byte = b"\0\t\n\x0b\r !\"#%+,-./09:;=@AZ\\_az{\x7f\x80\xff".choose(rng).copied().unwrap_or(0);
    match rng.random_range(0..3) {
        0 => bytes.insert(at, byte),
        1 => drop(bytes.remove(at)),
        _ => bytes[at] = byte,
    }
}
