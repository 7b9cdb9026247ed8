//! What has come from a caller and what of it hyper gets to see.

use std::sync::Arc;

use tokio::io::ReadBuf;

use super::backlog::Backlog;
use super::requests::Requests;
use crate::path::fault::Fault;
use crate::path::room::Room;

/// What hyper gets in place of a head that goes no further: a request that it answers, in its turn and with what the path
/// says of it, and the last one of the connection.
const IN_PLACE: &[u8] = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n";

/// Between a caller's socket and hyper.
#[derive(Debug)]
pub struct Inlet {
    requests: Requests,
    backlog: Backlog,
    refused: Option<Fault>,
    /// Requests that hyper has read.
    served: u64,
}

impl Inlet {
    /// Of a new connection. Limits in bytes: of header fields, and of a path with its query.
    pub fn new(max_fields: usize, max_target: usize) -> Self {
        let requests = Requests::new(max_fields, max_target);
        Self { requests, backlog: Backlog::default(), refused: None, served: 0 }
    }

    /// Whether there is nothing to be read from the caller now.
    pub fn is_closed(&self) -> bool {
        self.requests.is_closed(self.backlog.waiting())
    }

    /// Whether the caller's bytes end here for hyper, in the middle of a body. Nothing can stand in place of the rest: it
    /// would be taken for the rest.
    pub fn is_broken(&self) -> bool {
        self.requests.is_broken()
    }

    /// The number of the head of which the beginning waits for its rest.
    pub fn in_head(&self) -> Option<u64> {
        (self.backlog.waiting() > 0 && self.requests.in_head()).then(|| self.requests.passed())
    }

    /// Whether something waits that more bytes would not let go.
    pub fn withholds(&self) -> bool {
        self.backlog.waiting() > 0 && !self.requests.in_head()
    }

    /// Whether its caller has more to say of a request, or has said something that nobody has heard.
    pub fn is_unheard(&self) -> bool {
        self.requests.in_body() || self.withholds()
    }

    /// Hands over what is ready. Whether that was anything.
    pub fn hand_over(&mut self, to: &mut ReadBuf<'_>) -> bool {
        self.backlog.hand_over(to)
    }

    /// Bytes were read into `buf`, behind the first `before`. Leaves those in it that go on now.
    pub fn came(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let Self { requests, backlog, .. } = self;
        let mut refused = None;
        backlog.came(buf, before, |bytes| inspect(requests, bytes, &mut refused));
        self.end(refused);
    }

    /// Takes room for so many bytes more that are read before hyper asks for them. False if there is none, or there is to be
    /// nothing more.
    pub fn may_come_ahead(&mut self, room: &Arc<Room>, bytes: usize) -> bool {
        !self.is_closed() && !self.is_broken() && self.backlog.may_come_ahead(room, bytes)
    }

    /// These bytes came before hyper asked for them, and room was taken for `spare` more than them. It gets them when it does.
    pub fn came_ahead(&mut self, bytes: &[u8], spare: usize) {
        let Self { requests, backlog, .. } = self;
        let mut refused = None;
        backlog.came_ahead(bytes, spare, |bytes| inspect(requests, bytes, &mut refused));
        self.end(refused);
    }

    /// The request that hyper has read last, and that names another protocol, is answered.
    pub fn decided(&mut self, switched: bool) {
        let Self { requests, backlog, served, .. } = self;
        // Another one that asks to go over to one may have come behind it.
        if *served != requests.passed() {
            return;
        }
        let mut refused = None;
        requests.decided(switched);
        backlog.look_again(|bytes| inspect(requests, bytes, &mut refused));
        self.end(refused);
    }

    /// hyper has read a request. Gives why it is none, if it is the one in place of a refused one.
    pub fn served(&mut self) -> Option<Fault> {
        self.served += 1;
        if self.served > self.requests.passed() { self.refused.clone() } else { None }
    }

    fn end(&mut self, refused: Option<Fault>) {
        if refused.is_some() {
            self.backlog.replace(IN_PLACE);
            self.refused = refused;
        }
    }
}

fn inspect(requests: &mut Requests, bytes: &[u8], refused: &mut Option<Fault>) -> usize {
    let inspected = requests.inspect(bytes);
    *refused = inspected.refused;
    inspected.pass
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What hyper sees when these pieces come.
    fn seen(inlet: &mut Inlet, pieces: &[&[u8]]) -> Vec<u8> {
        let mut seen = Vec::new();
        let mut memory = [0; 256];
        let drain = |inlet: &mut Inlet, seen: &mut Vec<u8>| {
            let mut memory = [0; 7];
            loop {
                let mut buf = ReadBuf::new(&mut memory);
                if !inlet.hand_over(&mut buf) {
                    return;
                }
                seen.extend_from_slice(buf.filled());
            }
        };
        for piece in pieces {
            drain(inlet, &mut seen);
            let mut buf = ReadBuf::new(&mut memory);
            buf.put_slice(b"before");
            buf.put_slice(piece);
            inlet.came(&mut buf, 6);
            assert!(buf.filled().starts_with(b"before"));
            seen.extend_from_slice(&buf.filled()[6..]);
        }
        drain(inlet, &mut seen);
        seen
    }

    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    const CHUNKED: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\n";
    const BAD: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";

    #[test]
    fn what_is_right_goes_on_as_it_is() {
        let whole = [GET, POST, CHUNKED, GET].concat();
        for cut in 0..whole.len() {
            let mut inlet = Inlet::new(1000, 1000);
            let (first, second) = whole.split_at(cut);
            assert_eq!(seen(&mut inlet, &[first, second]), whole, "cut at {cut}");
            assert!(inlet.backlog.waiting() == 0 && inlet.refused.is_none());
            assert_eq!((0..4).filter_map(|_| inlet.served()).count(), 0);
        }
    }

    #[test]
    fn what_is_not_right_is_replaced_and_ends_it() {
        let bytes = [GET, POST, BAD, GET].concat();
        for cut in 0..bytes.len() {
            let mut inlet = Inlet::new(1000, 1000);
            let (first, second) = bytes.split_at(cut);
            // Nothing is read behind a request that was refused.
            let pieces: &[&[u8]] = if cut < GET.len() + POST.len() + BAD.len() { &[first, second] } else { &[first] };
            assert_eq!(seen(&mut inlet, pieces), [GET, POST, IN_PLACE].concat(), "cut at {cut}");
            assert!(inlet.is_closed());
            let served: Vec<_> = (0..3).map(|_| inlet.served()).collect();
            assert_eq!(served, [None, None, Some(Fault::Malformed("more than one Host"))]);
        }
    }

    #[test]
    fn nothing_stands_in_place_of_the_rest_of_a_body() {
        let head = CHUNKED.strip_suffix(b"1\r\n\n\r\n0\r\n\r\n").unwrap();
        for (first, second) in [
            (b"0;a".as_slice(), b"\0\r\n\r\n".as_slice()),
            (b"0\r\nA:", b"\0\r\n\r\n"),
            (b"0\r\nA: b", b"\n\r\n"),
            (b"5\r\nhe", b"llo!\r\n"),
        ] {
            let mut inlet = Inlet::new(1000, 1000);
            assert_eq!(seen(&mut inlet, &[head, first, second, GET]), [head, first].concat());
            assert!(inlet.is_broken());
            assert_eq!((0..3).filter_map(|_| inlet.served()).count(), 0);
        }
    }

    #[test]
    fn what_is_no_http_is_not_answered_in_it() {
        for foreign in ["INVALID CONNECTION PREFACE\r\n\r\n", "\r\nA B C\r\nD: e\r\n\r\n"] {
            let mut inlet = Inlet::new(1000, 1000);
            assert_eq!(seen(&mut inlet, &[foreign.as_bytes()]), b"");
            assert!(inlet.is_broken());
        }
        for answered in ["GET /\r\n\r\n", "GET / RTSP/1.0\r\n\r\n", "A B C D\r\n\r\n"] {
            let mut inlet = Inlet::new(1000, 1000);
            assert_eq!(seen(&mut inlet, &[answered.as_bytes()]), IN_PLACE, "{answered:?}");
        }
        // Behind a request it is a request that went wrong.
        let mut inlet = Inlet::new(1000, 1000);
        assert_eq!(seen(&mut inlet, &[GET, b"A B C\r\n\r\n"]), [GET, IN_PLACE].concat());
    }

    #[test]
    fn nothing_goes_on_before_a_change_of_protocol_is_decided() {
        let ask = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        for (switched, behind, then) in [
            (true, b"\x81\x05hello\n\n".as_slice(), b"\x81\x05hello\n\n".as_slice()),
            (false, GET, GET),
            (false, BAD, IN_PLACE),
        ] {
            let mut inlet = Inlet::new(1000, 1000);
            assert_eq!(seen(&mut inlet, &[ask, behind]), ask);
            inlet.served();
            inlet.decided(switched);
            assert_eq!(seen(&mut inlet, &[]), then);
        }
        let mut inlet = Inlet::new(1000, 1000);
        seen(&mut inlet, &[ask]);
        for _ in 0..1100 {
            assert!(!inlet.is_closed() || inlet.backlog.waiting() >= 64 << 10);
            seen(&mut inlet, &[&[0; 60]]);
        }
        assert!(inlet.is_closed(), "what a caller sends ahead has a bound");
    }

    #[test]
    fn only_the_request_that_asked_for_a_change_of_protocol_decides_on_it() {
        // It names a protocol, and does not ask for it.
        let names = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n".as_slice();
        let asks = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".as_slice();
        let mut inlet = Inlet::new(1000, 1000);
        assert_eq!(seen(&mut inlet, &[&[names, asks].concat()]), [names, asks].concat());
        inlet.served();
        inlet.decided(false);
        inlet.served();
        inlet.decided(true);
        assert_eq!(seen(&mut inlet, &[b"\x81\n\n"]), b"\x81\n\n");
    }

    #[test]
    fn heads_have_a_bound() {
        let cases: [(Vec<u8>, u16); 4] = [
            ([b"GET /".as_slice(), &[b'a'; 200]].concat(), 414),
            ([GET.strip_suffix(b"\r\n").unwrap(), b"A: ", &[b'b'; 240]].concat(), 431),
            ([b"GET / HTTP/1.1\r\nHost: a\r\n".as_slice(), &b"A: b\r\n".repeat(50), b"\r\n"].concat(), 431),
            ([b"GET / HTTP/1.1\r\nHost: a\r\n".as_slice(), &b"A:\r\n".repeat(100), b"\r\n"].concat(), 431),
        ];
        for (bytes, status) in cases {
            let most = if bytes.starts_with(b"GET / HTTP/1.1\r\nHost: a\r\nA:\r\n") { 1000 } else { 100 };
            let mut inlet = Inlet::new(most, 100);
            let pieces: Vec<&[u8]> = bytes.chunks(100).collect();
            assert_eq!(seen(&mut inlet, &pieces[..]), IN_PLACE, "{}", bytes.escape_ascii());
            assert_eq!(inlet.served().map(|fault| fault.status().as_u16()), Some(status), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn what_is_read_ahead_has_bounds_and_gives_its_room_back() {
        const MIB: usize = 1024 * 1024;
        let body = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n";
        let room = Room::new(MIB + 4096);
        let ahead = |inlet: &mut Inlet| {
            let mut pieces = 0;
            while inlet.may_come_ahead(&room, 8192) {
                inlet.came_ahead(&[7; 4096], 4096);
                pieces += 1;
            }
            pieces
        };
        let [mut first, mut second] = [(); 2].map(|()| Inlet::new(1000, 1000));
        seen(&mut first, &[body]);
        seen(&mut second, &[body]);
        assert_eq!(ahead(&mut first), 255, "one has as much as it may");
        assert_eq!((ahead(&mut second), room.used()), (1, MIB), "what is left is less than a piece");
        assert!(first.backlog.capacity() <= MIB + (64 << 10));
        assert_eq!(seen(&mut first, &[]), [7; 255 * 4096]);
        assert_eq!(room.used(), 4096);
        assert_eq!((ahead(&mut second), ahead(&mut first)), (254, 1));
        drop((first, second));
        assert_eq!(room.used(), 0);
    }

    #[test]
    fn nothing_is_read_ahead_behind_what_is_refused() {
        let room = Room::new(1 << 20);
        for bytes in [BAD, b"\0\r\n\r\n"] {
            let mut inlet = Inlet::new(1000, 1000);
            seen(&mut inlet, &[GET]);
            assert!(inlet.may_come_ahead(&room, 100));
            inlet.came_ahead(bytes, 0);
            assert!(!inlet.may_come_ahead(&room, 1));
            assert_eq!(seen(&mut inlet, &[]), IN_PLACE);
        }
    }

    proptest::proptest! {
        /// However the bytes are cut, and whether they come before hyper asks for them, it sees the same.
        #[test]
        fn cuts_make_no_difference(
            parts in proptest::collection::vec(0usize..4, 1..6),
            cuts in proptest::collection::vec((1usize..90, proptest::bool::ANY), 1..20),
        ) {
            let room = Room::new(1 << 20);
            let parts: Vec<&[u8]> = parts.into_iter().map(|at| [GET, POST, CHUNKED, BAD][at]).collect();
            let bytes = parts.concat();
            let mut expected = Vec::new();
            for part in parts {
                expected.extend_from_slice(if part == BAD { IN_PLACE } else { part });
                if part == BAD { break }
            }
            let (mut inlet, mut got, mut at) = (Inlet::new(1000, 1000), Vec::new(), 0);
            for (cut, ahead) in cuts.into_iter().cycle() {
                if at >= bytes.len() || inlet.is_closed() { break }
                let end = (at + cut).min(bytes.len());
                if ahead {
                    proptest::prop_assert!(inlet.may_come_ahead(&room, 100));
                    inlet.came_ahead(&bytes[at..end], 100 - (end - at));
                } else {
                    got.extend(seen(&mut inlet, &[&bytes[at..end]]));
                }
                at = end;
            }
            got.extend(seen(&mut inlet, &[]));
            drop(inlet);
            proptest::prop_assert_eq!(room.used(), 0);
            proptest::prop_assert_eq!(got, expected);
        }
    }
}
