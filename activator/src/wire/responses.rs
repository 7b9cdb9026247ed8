//! A pod's side of an HTTP/1 connection: the heads of its responses are looked at. Pure.

use super::head;
use super::lines::{Broken, Lines};

/// Responses of the 1xx kind before the final one. A pod that sends more is not in order.
const MAX_INFORMATIONAL: u32 = 16;

/// What comes next from the pod.
#[derive(Clone, Copy, Debug)]
enum State {
    Head(Lines),
    /// The body, which hyper alone measures: nothing comes behind it before the next request.
    Body,
}

/// The responses on one connection, one for each request.
#[derive(Debug)]
pub(super) struct Responses {
    state: State,
    max_head: usize,
    informational: u32,
}

impl Responses {
    /// Of a new connection. The limit is that of a head, in bytes.
    pub(super) fn new(max_head: usize) -> Self {
        Self { state: State::Head(Lines::default()), max_head, informational: 0 }
    }

    /// A request goes out: a head comes next.
    pub(super) fn expect(&mut self) {
        (self.state, self.informational) = (State::Head(Lines::default()), 0);
    }

    /// Whether a head is looked for.
    pub(super) fn in_head(&self) -> bool {
        matches!(self.state, State::Head(_))
    }

    /// How many of these bytes go on. What does not is to be given again, with more behind it.
    ///
    /// # Errors
    /// Why the response is of no use to anybody.
    pub(super) fn inspect(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        let mut pass = 0;
        while let State::Head(lines) = &mut self.state {
            let rest = &bytes[pass..];
            match lines.end(rest) {
                Ok(Some(end)) if end <= self.max_head => {
                    let head = head::response(&rest[..end]).map_err(|refused| match refused {
                        head::Refused::Malformed(why) => why,
                        head::Refused::TooManyFields => "its response has too many header fields",
                    })?;
                    pass += end;
                    self.state = match head.status {
                        // Another protocol, from here on.
                        101 | 200.. => State::Body,
                        _ if self.informational < MAX_INFORMATIONAL => {
                            self.informational += 1;
                            State::Head(Lines::default())
                        }
                        _ => return Err("it sends one preliminary response after the other"),
                    };
                }
                Ok(None) if rest.len() <= self.max_head => return Ok(pass),
                Ok(_) => return Err("its response's head is too long"),
                Err(Broken::BareLf) => return Err("a line of its response ends with LF alone"),
                Err(Broken::EmptyLines) => return Err("there are empty lines before its response"),
            }
        }
        Ok(bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_wait_until_they_are_whole() {
        let mut responses = Responses::new(1000);
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nHi";
        assert_eq!(responses.inspect(&bytes[..10]), Ok(0));
        assert_eq!(responses.inspect(&bytes[..40]), Ok(25));
        assert_eq!(responses.inspect(&bytes[25..bytes.len() - 1]), Ok(bytes.len() - 26));
        assert!(!responses.in_head());
        assert_eq!(responses.inspect(b"anything\n\n"), Ok(10));
        responses.expect();
        assert_eq!(responses.inspect(b"anything\n\n"), Err("a line of its response ends with LF alone"));
    }

    #[test]
    fn floods_end() {
        let mut responses = Responses::new(1000);
        let flood = b"HTTP/1.1 102 Processing\r\n\r\n".repeat(17);
        assert!(responses.inspect(&flood).is_err());
        assert!(Responses::new(10).inspect(b"HTTP/1.1 200 OK").is_err());
    }
}
