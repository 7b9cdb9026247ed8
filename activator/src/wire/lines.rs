//! Where a head ends, found as its bytes come. Pure.

/// How a head's lines are broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// A line ends with LF alone. RFC 9112, section 2.2, lets a recipient take that for an end; not all do.
    BareLf,
    /// There are empty lines before the first one, more than one of them. RFC 9112, section 2.2, allows for one.
    EmptyLines,
}

/// Looks for the end of one head. What it has looked at is not looked at again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lines {
    /// Where the line begins that has no end yet.
    line: usize,
    seen: usize,
    begun: bool,
    empty: bool,
}

impl Lines {
    /// Looks at `bytes`, which begin where the head begins, and of which the earlier calls saw the first part. Gives the
    /// head's length once it is complete, its last empty line included.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Broken> {
        let fresh = bytes.get(self.seen..).unwrap_or_default();
        for at in memchr::memchr_iter(b'\n', fresh).map(|at| self.seen + at) {
            if at == 0 || bytes[at - 1] != b'\r' {
                return Err(Broken::BareLf);
            }
            let empty = at - self.line == 1;
            self.line = at + 1;
            match (empty, self.begun) {
                (true, true) => return Ok(Some(at + 1)),
                (true, false) if self.empty => return Err(Broken::EmptyLines),
                (true, false) => self.empty = true,
                (false, _) => self.begun = true,
            }
        }
        self.seen = bytes.len();
        Ok(None)
    }

    /// Whether the first line has not ended yet.
    pub(super) fn in_first(&self) -> bool {
        !self.begun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case = (&'static [u8], Result<Option<usize>, Broken>);

    #[test]
    fn ends() {
        let cases: [Case; 9] = [
            (b"", Ok(None)),
            (b"GET / HTTP/1.1\r\n", Ok(None)),
            (b"GET / HTTP/1.1\r\n\r\n", Ok(Some(18))),
            (b"GET / HTTP/1.1\r\nA: b\r\n\r\nrest\n", Ok(Some(24))),
            (b"\r\nGET / HTTP/1.1\r\n\r\n", Ok(Some(20))),
            (b"\r\n\r\nGET / HTTP/1.1\r\n\r\n", Err(Broken::EmptyLines)),
            (b"GET / HTTP/1.1\n\r\n", Err(Broken::BareLf)),
            (b"GET / HTTP/1.1\r\nA: b\n\r\n", Err(Broken::BareLf)),
            (b"\n", Err(Broken::BareLf)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Lines::default().end(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn in_pieces_as_in_one() {
        let head = b"\r\nPOST /a HTTP/1.1\r\nHost: b\r\n\r\n";
        let mut lines = Lines::default();
        for so_far in 0..head.len() {
            assert_eq!(lines.end(&head[..so_far]), Ok(None), "{so_far}");
        }
        assert_eq!(lines.end(head), Ok(Some(head.len())));
    }
}
