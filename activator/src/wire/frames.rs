//! A caller's side of an HTTP/2 connection, by its frame headers alone: what of it is use and what is noise. Pure.
//!
//! The HTTP/2 library bounds what a connection may keep: streams, header lists, CONTINUATION frames, empty DATA frames,
//! streams that are reset before they were seen. It does not bound how often it may be made to do something for nothing.
//! Each of these frames is allowed and cheap to send: PING and SETTINGS want an answer, WINDOW_UPDATE may free a byte,
//! PRIORITY means nothing any more, and a request that is reset at once is work that nobody reads (CVE-2023-44487). So
//! they are paid for out of a budget that time and what the connection is there for fill up again.

use tokio::time::Instant;

use super::budget::{Budget, Spent};

/// Of the client's preface (RFC 9113, section 3.4), in bytes.
const PREFACE: u32 = 24;
/// Of a frame's header (RFC 9113, section 4.1), in bytes.
const HEADER: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A frame of control costs what this many bytes of bodies earn. An answer to PING (17 bytes) earns a fourth of the next.
const FRAME: u64 = 64;
/// A new stream earns so many frames: clients open its window, close it again, and weigh it against others.
const STREAM: u64 = 8 * FRAME;
/// Seconds' worth that may come at once.
const BURST: u64 = 2;

/// What a connection does too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flood {
    /// Frames that carry nothing.
    Control,
    /// Streams that are reset.
    Resets,
}

impl Flood {
    /// As it stands in the metrics and the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control-frames",
            Self::Resets => "resets",
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum At {
    /// Within the preface or a payload, so many bytes before its end.
    Skip(u32),
    /// So many bytes of a frame's header are here.
    Header([u8; HEADER], usize),
}

/// The frames of one connection.
#[derive(Debug)]
pub struct Frames {
    at: At,
    /// The preface or a block of header fields has begun and not ended.
    in_head: bool,
    /// How many blocks have begun.
    heads: u64,
    /// It ends with the present payload.
    head_ends: bool,
    last_stream: u32,
    control: Option<Budget>,
    resets: Option<Budget>,
}

impl Frames {
    /// Of a new connection. Limits in frames and in streams a second; 0 = no limit.
    pub fn new(max_control: u32, max_resets: u32, now: Instant) -> Self {
        let budget = |per_second: u64| (per_second > 0).then(|| Budget::new(per_second, BURST, now));
        Self {
            at: At::Skip(PREFACE),
            in_head: true,
            heads: 0,
            head_ends: true,
            last_stream: 0,
            control: budget(u64::from(max_control) * FRAME),
            resets: budget(max_resets.into()),
        }
    }

    /// The number of the head of which the beginning has come and the rest has not.
    pub fn in_head(&self) -> Option<u64> {
        self.in_head.then_some(self.heads)
    }

    /// The last stream that the caller has opened.
    pub fn last_stream(&self) -> u32 {
        self.last_stream
    }

    /// So many bytes went to the caller.
    pub fn sent(&mut self, bytes: usize) {
        if let Some(control) = &mut self.control {
            control.earn(bytes as u64);
        }
    }

    /// These bytes came.
    ///
    /// # Errors
    /// When the connection's budget is spent. Nothing of it is to be read any more.
    pub fn came(&mut self, mut bytes: &[u8], now: impl Fn() -> Instant) -> Result<(), Flood> {
        while !bytes.is_empty() {
            let used = match &mut self.at {
                At::Skip(left) => {
                    let here = u32::try_from(bytes.len()).unwrap_or(u32::MAX).min(*left);
                    *left -= here;
                    if *left == 0 {
                        self.skipped();
                    }
                    here as usize
                }
                At::Header(header, have) => {
                    let here = bytes.len().min(HEADER - *have);
                    header[*have..*have + here].copy_from_slice(&bytes[..here]);
                    *have += here;
                    if *have == HEADER {
                        let header = *header;
                        self.frame(header, &now)?;
                    }
                    here
                }
            };
            bytes = &bytes[used..];
        }
        Ok(())
    }

    fn skipped(&mut self) {
        self.at = At::Header([0; HEADER], 0);
        self.in_head &= !self.head_ends;
    }

    fn frame(&mut self, header: [u8; HEADER], now: &impl Fn() -> Instant) -> Result<(), Flood> {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = header;
        let length = u32::from_be_bytes([0, l0, l1, l2]);
        match kind {
            DATA if length > 0 => self.earn(length.into()),
            DATA if flags & END_STREAM != 0 => {}
            HEADERS => {
                (self.in_head, self.heads) = (true, self.heads + 1);
                self.head_ends = flags & END_HEADERS != 0;
                let stream = u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]);
                if stream > self.last_stream {
                    self.last_stream = stream;
                    self.earn(STREAM);
                }
            }
            RST_STREAM => spend(&mut self.resets, 1, now).map_err(|Spent| Flood::Resets)?,
            _ => {
                if kind == CONTINUATION {
                    self.head_ends = flags & END_HEADERS != 0;
                }
                spend(&mut self.control, FRAME, now).map_err(|Spent| Flood::Control)?;
            }
        }
        self.at = At::Skip(length);
        if length == 0 {
            self.skipped();
        }
        Ok(())
    }

    fn earn(&mut self, more: u64) {
        if let Some(control) = &mut self.control {
            control.earn(more);
        }
    }
}

fn spend(budget: &mut Option<Budget>, cost: u64, now: impl FnOnce() -> Instant) -> Result<(), Spent> {
    budget.as_mut().map_or(Ok(()), |budget| budget.spend(cost, now))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BEGIN: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn frame(kind: u8, flags: u8, stream: u32, payload: usize) -> Vec<u8> {
        let mut bytes = u32::try_from(payload).unwrap().to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.resize(bytes.len() + payload, b'x');
        bytes
    }

    fn ping() -> Vec<u8> {
        frame(6, 0, 0, 8)
    }

    /// How many of these frames are let through at one moment, of a million.
    fn passed(frames: &mut Frames, frame: &[u8], at: Instant) -> usize {
        (0..1_000_000).take_while(|_| frames.came(frame, || at).is_ok()).count()
    }

    fn begun(now: Instant) -> Frames {
        let mut frames = Frames::new(1000, 100, now);
        frames.came(BEGIN, || now).unwrap();
        frames
    }

    #[test]
    fn noise_has_a_bound_and_a_rate() {
        let now = Instant::now();
        for (name, kind, flags, payload) in [
            ("an empty DATA", 0, 0, 0),
            ("PRIORITY", 2, 0, 5),
            ("SETTINGS", 4, 0, 0),
            ("an answer to SETTINGS", 4, 1, 0),
            ("PING", 6, 0, 8),
            ("GOAWAY", 7, 0, 8),
            ("WINDOW_UPDATE", 8, 0, 4),
            ("CONTINUATION", 9, 0, 100),
            ("one that nobody knows", 200, 0, 100),
        ] {
            let mut frames = begun(now);
            let bytes = frame(kind, flags, 1, payload);
            assert_eq!(passed(&mut frames, &bytes, now), 2000, "{name}");
            assert_eq!(frames.came(&bytes, || now), Err(Flood::Control));
            // A frame that was not let through is no longer one to go on from.
            let mut frames = begun(now);
            assert!((0..2000).all(|_| frames.came(&bytes, || now).is_ok()));
            assert_eq!(passed(&mut frames, &bytes, now + Duration::from_millis(500)), 500, "{name}");
        }
        let mut frames = begun(now);
        assert_eq!(passed(&mut frames, &frame(3, 0, 1, 4), now), 200);
        assert_eq!(frames.came(&frame(3, 0, 1, 4), || now), Err(Flood::Resets));
    }

    #[test]
    fn use_pays_for_what_belongs_to_it() {
        let now = Instant::now();
        let mut frames = begun(now);
        // Bodies and their ends, at one and the same moment.
        for bytes in [frame(0, 0, 1, 1), frame(0, 0, 1, 16_384), frame(0, 1, 1, 0)] {
            assert_eq!(passed(&mut frames, &bytes, now), 1_000_000);
        }
        // A download whose windows are opened a frame of 128 bytes at a time, both the stream's and the connection's.
        for _ in 0..100_000 {
            frames.sent(128);
            frames.came(&[frame(8, 0, 1, 4), frame(8, 0, 0, 4)].concat(), || now).unwrap();
        }
        // Requests, each with what comes along with one.
        for stream in (3..200_000).step_by(2) {
            frames.came(&frame(1, 5, stream, 30), || now).unwrap();
            frames.came(&[frame(2, 0, stream, 5), frame(8, 0, stream, 4)].concat().repeat(4), || now).unwrap();
        }
        assert_eq!(frames.last_stream(), 199_999);
        // The same stream again opens none.
        let noise = [frame(1, 5, 1, 0), ping()].concat();
        assert!(passed(&mut frames, &noise, now) <= 2000);
    }

    #[test]
    fn an_answer_does_not_pay_for_the_next_question() {
        let now = Instant::now();
        let mut frames = begun(now);
        let passed = (0..1_000_000).take_while(|_| {
            frames.sent(17);
            frames.came(&ping(), || now).is_ok()
        });
        assert!(passed.count() < 3000);
    }

    #[test]
    fn nought_is_no_limit() {
        let now = Instant::now();
        let mut frames = Frames::new(0, 0, now);
        frames.came(BEGIN, || now).unwrap();
        assert_eq!(passed(&mut frames, &ping(), now), 1_000_000);
        assert_eq!(passed(&mut frames, &frame(3, 0, 1, 4), now), 1_000_000);
    }

    #[test]
    fn a_head_ends_with_its_last_byte() {
        let now = Instant::now();
        let head = [frame(1, 0, 1, 20), frame(9, 0, 1, 0), frame(9, 4, 1, 3)].concat();
        let bytes = [BEGIN, &frame(4, 0, 0, 6), &head, &frame(0, 0, 1, 50), &frame(1, 5, 3, 9), &ping()].concat();
        let begins = BEGIN.len() + 15;
        let next = begins + head.len() + 59;
        for cut in 0..=bytes.len() {
            let mut frames = Frames::new(1000, 100, now);
            frames.came(&bytes[..cut], || now).unwrap();
            // Up to the frame's header it may as well be another one.
            let expected = cut < BEGIN.len()
                || (begins + HEADER..begins + head.len()).contains(&cut)
                || (next + HEADER..next + 18).contains(&cut);
            assert_eq!(frames.in_head().is_some(), expected, "after {cut} bytes");
            // And it makes no difference how they come.
            let mut single = Frames::new(1000, 100, now);
            for byte in &bytes[..cut] {
                single.came(&[*byte], || now).unwrap();
            }
            assert_eq!(
                (single.in_head(), single.last_stream),
                (frames.in_head(), frames.last_stream),
                "after {cut} bytes"
            );
        }
    }
}
