//! A caller's side of an HTTP/1 connection: heads are looked at, bodies are passed over to find the next head. Pure.

use super::chunks::Chunks;
use super::head::{self, Framing};
use super::lines::{Broken, Lines};
use crate::path::fault::Fault;

/// Bytes that a caller may send ahead of the answer to its request to go over to another protocol.
const AHEAD: usize = 64 * 1024;

/// What comes next on the connection.
#[derive(Clone, Copy, Debug)]
enum State {
    Head(Lines),
    Length(u64),
    Chunked(Chunks),
    /// Behind a head that asked to go over to another protocol, until it is known what became of that.
    Undecided,
    /// Another protocol: nobody's business here.
    Tunnel,
    /// Behind a head that goes no further.
    Refused,
    /// Within a body that does not go on as it should, or at the beginning of what is no HTTP.
    Broken,
}

/// What becomes of bytes that were read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Inspected {
    /// So many of them go on.
    pub(super) pass: usize,
    /// The head behind them goes no further, for this reason. Without one the rest is the beginning of something, and waits,
    /// or the end: see [`Requests::is_broken`].
    pub(super) refused: Option<Fault>,
}

/// The requests of one connection.
#[derive(Debug)]
pub(super) struct Requests {
    state: State,
    /// In bytes.
    max_fields: usize,
    max_target: usize,
    /// Heads that were passed.
    passed: u64,
}

impl Requests {
    /// Of a new connection. Limits in bytes: of header fields, and of a path with its query.
    pub(super) fn new(max_fields: usize, max_target: usize) -> Self {
        Self { state: State::Head(Lines::default()), max_fields, max_target, passed: 0 }
    }

    /// Of a first line: beside the target the longest method that anybody uses, the version, and what is between.
    fn max_line(&self) -> usize {
        self.max_target.saturating_add(64)
    }

    fn max_head(&self) -> usize {
        self.max_line().saturating_add(self.max_fields)
    }

    /// How many heads were passed so far.
    pub(super) fn passed(&self) -> u64 {
        self.passed
    }

    /// The request that was passed last, which asked to go over to another protocol, is answered.
    pub(super) fn decided(&mut self, switched: bool) {
        if matches!(self.state, State::Undecided) {
            self.state = if switched { State::Tunnel } else { State::Head(Lines::default()) };
        }
    }

    /// Whether a head comes next, or the rest of one.
    pub(super) fn in_head(&self) -> bool {
        matches!(self.state, State::Head(_))
    }

    /// Whether the rest of a body comes next.
    pub(super) fn in_body(&self) -> bool {
        matches!(self.state, State::Length(_) | State::Chunked(_))
    }

    /// Whether a body has broken off, or there was never any HTTP: nothing comes behind what was passed.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self.state, State::Broken)
    }

    /// Whether nothing more is to be read, with so many bytes waiting: ever, or until the present request is answered.
    pub(super) fn is_closed(&self, waiting: usize) -> bool {
        match self.state {
            State::Undecided => waiting >= AHEAD,
            State::Refused => true,
            _ => false,
        }
    }

    /// Looks at the bytes that come next. What does not go on is to be given again, with more behind it.
    pub(super) fn inspect(&mut self, bytes: &[u8]) -> Inspected {
        let mut pass = 0;
        while pass < bytes.len() {
            match self.step(&bytes[pass..]) {
                Ok(0) => break,
                Ok(more) => pass += more,
                Err(_)
                    if matches!(self.state, State::Chunked(_)) || (self.passed == 0 && is_foreign(&bytes[pass..])) =>
                {
                    self.state = State::Broken;
                    return Inspected { pass, refused: None };
                }
                Err(fault) => {
                    self.state = State::Refused;
                    return Inspected { pass, refused: Some(fault) };
                }
            }
        }
        Inspected { pass, refused: None }
    }

    /// How many of the bytes go on now; none, if that depends on more.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let (max_head, max_line) = (self.max_head(), self.max_line());
        match &mut self.state {
            State::Head(lines) => match lines.end(bytes) {
                Ok(Some(end)) if end > max_head => Err(self.too_long(bytes)),
                Ok(Some(end)) => {
                    let head = head::request(&bytes[..end]).map_err(fault)?;
                    self.passed += 1;
                    self.state = match head.framing {
                        Framing::Length(0) if head.upgrade => State::Undecided,
                        Framing::Length(length @ 1..) => State::Length(length),
                        Framing::Chunked => State::Chunked(Chunks::default()),
                        Framing::Length(0) => State::Head(Lines::default()),
                    };
                    Ok(end)
                }
                Ok(None) if bytes.len() > max_head || (lines.in_first() && bytes.len() > max_line) => {
                    Err(self.too_long(bytes))
                }
                Ok(None) => Ok(0),
                Err(Broken::BareLf) => Err(Fault::Malformed("a line ends with LF alone")),
                Err(Broken::EmptyLines) => Err(Fault::Malformed("empty lines before the request")),
            },
            State::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= here as u64;
                if *left == 0 {
                    self.state = State::Head(Lines::default());
                }
                Ok(here)
            }
            State::Chunked(chunks) => match chunks.end(bytes) {
                Ok(Some(end)) => {
                    self.state = State::Head(Lines::default());
                    Ok(end)
                }
                Ok(None) => Ok(bytes.len()),
                Err(broken) => Err(Fault::Malformed(broken.0)),
            },
            State::Undecided | State::Refused | State::Broken => Ok(0),
            State::Tunnel => Ok(bytes.len()),
        }
    }

    /// Whether it is the first line or the fields of which there is too much.
    fn too_long(&self, head: &[u8]) -> Fault {
        let line = memchr::memchr(b'\n', head).unwrap_or(head.len());
        if line > self.max_line() {
            Fault::UriTooLong(self.max_target)
        } else {
            Fault::HeadTooLong(u32::try_from(self.max_fields).unwrap_or(u32::MAX))
        }
    }
}

/// Whether these first bytes of a connection are no HTTP of any version: a line of three words, none of which can be a target or
/// a version. Whoever says that would not understand an answer (RFC 9113, section 3.4, has the connection closed).
fn is_foreign(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let Some(end) = memchr::memchr(b'\n', bytes) else { return false };
    let line = bytes[..end].trim_ascii_end();
    !line.contains(&b'/') && line.split(|byte| *byte == b' ').count() == 3
}

fn fault(refused: head::Refused) -> Fault {
    match refused {
        head::Refused::Malformed(why) => Fault::Malformed(why),
        head::Refused::TooManyFields => Fault::TooManyFields(head::MAX_FIELDS),
    }
}
