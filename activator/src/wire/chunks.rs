//! A body in chunks (RFC 9112, section 7.1), gone through without a copy to find what is in it and where it ends. Pure.
//!
//! Of a request, hyper reads it again to take it apart. The two must agree on the end, so what is allowed here is less than
//! what hyper allows: no whitespace about a size, no bare LF, nothing in an extension that could be taken for an end of line.

/// Bytes of the extensions of all chunks together, in a request. hyper breaks a body off that has one more.
const EXTENSIONS: usize = 16 * 1024 - 1;
/// Bytes of all trailer fields together, in a request.
const TRAILERS: usize = 4096;
/// Bytes of one chunk's extensions, and of all trailer fields together, in a response.
const EXTRA_PADDED: usize = 16 * 1024;
/// Hexadecimal digits of a size.
const DIGITS: u8 = 15;

/// How the chunks are broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken(pub(super) &'static str);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size {
        digits: u8,
    },
    /// Behind a size that is padded to a fixed width.
    Padding,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// In a trailer section; at the beginning of a line, or within one that has a name, or a value.
    Line,
    Name,
    Value,
    LineLf,
    LastLf,
}

/// The way through one body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunks {
    at: At,
    /// Whitespace may be behind a size.
    padded: bool,
    /// Of the present chunk; while its size is read, what of that has been read.
    left: u64,
    /// Bytes of extensions, or of trailer fields.
    extra: usize,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { at: At::Size { digits: 0 }, padded: false, left: 0, extra: 0 }
    }
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Content: so many bytes behind so many others.
    Content { skip: usize, length: usize },
    /// The last chunk ends behind so many bytes; trailers may follow.
    Last(usize),
    /// The body ends behind so many bytes.
    End(usize),
    /// None of it.
    More,
}

impl Chunks {
    /// Of a response, which goes no further in chunks of this make: some servers pad their sizes.
    pub(super) fn padded() -> Self {
        Self { padded: true, ..Self::default() }
    }

    /// Goes on through `bytes`. `Some(n)`: the body ends after the first `n` of them.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Broken> {
        let mut seen = 0;
        loop {
            seen += match self.next(&bytes[seen..])? {
                Next::Content { skip, length } => skip + length,
                Next::Last(end) => end,
                Next::End(end) => return Ok(Some(seen + end)),
                Next::More => return Ok(None),
            };
        }
    }

    /// Goes on through `bytes` up to the next thing in them. What is behind that is to be given again.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Result<Next, Broken> {
        let mut seen = 0;
        while let Some(&byte) = bytes.get(seen) {
            if self.at == At::Data {
                let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len() - seen);
                self.left -= length as u64;
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                return Ok(Next::Content { skip: seen, length });
            }
            seen += 1;
            let size = self.at == At::SizeLf;
            if self.step(byte)? {
                return Ok(Next::End(seen));
            }
            if size && self.at == At::Line {
                return Ok(Next::Last(seen));
            }
        }
        Ok(Next::More)
    }

    /// Whether that was the last byte.
    fn step(&mut self, byte: u8) -> Result<bool, Broken> {
        self.at = match (self.at, byte) {
            (At::Size { digits }, byte) if byte.is_ascii_hexdigit() && digits < DIGITS => {
                self.left = self.left << 4 | u64::from(hex(byte));
                At::Size { digits: digits + 1 }
            }
            (At::Size { digits: 1.. }, b'\r') => At::SizeLf,
            (At::Size { digits: 1.. }, b';') => At::Extension,
            (At::Size { digits: 1.. } | At::Padding, b' ' | b'\t') if self.padded => At::Padding,
            (At::Padding, b'\r') => At::SizeLf,
            (At::Padding, b';') => At::Extension,
            (At::Size { .. } | At::Padding, _) => return Err(Broken("a chunk's size is not valid")),
            (At::Extension, b'\r') => At::SizeLf,
            (At::Extension, byte) if is_text(byte) => self.more(At::Extension)?,
            (At::Extension, _) => return Err(Broken("a chunk's extension is not valid")),
            (At::SizeLf, b'\n') if self.left > 0 => At::Data,
            (At::SizeLf, b'\n') => {
                self.extra = 0;
                At::Line
            }
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => Self::default().at,
            (At::DataCr | At::DataLf, _) => return Err(Broken("a chunk is longer than its size")),
            (At::Line, b'\r') => At::LastLf,
            (At::Line | At::Name, byte) if is_token(byte) => self.more(At::Name)?,
            (At::Name, b':') => At::Value,
            (At::Value, b'\r') => At::LineLf,
            (At::Value, byte) if is_text(byte) => self.more(At::Value)?,
            (At::LineLf, b'\n') => At::Line,
            (At::LastLf, b'\n') => return Ok(true),
            (At::SizeLf, _) => return Err(Broken("a chunk's size ends with CR alone")),
            (At::Data | At::Line | At::Name | At::Value | At::LineLf | At::LastLf, _) => {
                return Err(Broken("a trailer field is not valid"));
            }
        };
        if self.at == (At::Size { digits: 0 }) {
            self.left = 0;
            if self.padded {
                self.extra = 0;
            }
        }
        Ok(false)
    }

    fn more(&mut self, at: At) -> Result<At, Broken> {
        self.extra += 1;
        let most = match at {
            _ if self.padded => EXTRA_PADDED,
            At::Extension => EXTENSIONS,
            _ => TRAILERS,
        };
        if self.extra > most { Err(Broken("chunk extensions or trailer fields are too long")) } else { Ok(at) }
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        digit => (digit | 0x20) - b'a' + 10,
    }
}

/// RFC 9110, section 5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// RFC 9110, section 5.5: visible, space, tab, or no ASCII.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_bodies() {
        let cases: [&[u8]; 8] = [
            b"0\r\n\r\n",
            b"5\r\nhello\r\n0\r\n\r\n",
            b"00000A\r\n0123456789\r\n000\r\n\r\n",
            b"1;a=b\r\nx\r\n0;last\r\n\r\n",
            b"1;\"quoted \\\" \xff\"\r\nx\r\n0\r\n\r\n",
            b"2\r\n\r\n\r\n0\r\n\r\n",
            b"0\r\nA: b\r\nC:\r\n\r\n",
            b"1\r\nx\r\n1\r\ny\r\n0\r\nx-sum: 1\r\n\r\n",
        ];
        for body in cases {
            let behind = [body, b"GET / HTTP/1.1\r\n\r\n"].concat();
            assert_eq!(Chunks::default().end(&behind), Ok(Some(body.len())), "{}", body.escape_ascii());
            let mut slowly = Chunks::default();
            for at in 0..body.len() {
                let end = slowly.end(&body[at..=at]).unwrap();
                assert_eq!(end, (at == body.len() - 1).then_some(1), "{} at {at}", body.escape_ascii());
            }
        }
    }

    #[test]
    fn broken_bodies() {
        let long = [b"1;".as_slice(), &[b'x'; 16 * 1024], b"\r\n"].concat();
        let cases: [&[u8]; 19] = [
            b"\r\n",
            b"g\r\n",
            b" 5\r\nhello",
            b"5 \r\nhello",
            b"5\nhello",
            b"5\rhello",
            b"+5\r\nhello",
            b"-1\r\n",
            b"0x5\r\nhello",
            b"5\r\nhellooo",
            b"5\r\nhello0\r\n",
            b"5\r\nhello\n0\r\n",
            b"ffffffffffffffff\r\n",
            b"5;a\nb\r\nhello",
            b"5;\0\r\nhello",
            b"0\r\nA : b\r\n\r\n",
            b"0\r\n folded\r\n\r\n",
            b"0\r\nA: b\n\r\n",
            &long,
        ];
        for body in cases {
            assert!(Chunks::default().end(body).is_err(), "{}", body.escape_ascii());
        }
    }

    proptest::proptest! {
        /// A body of any chunks, cut anywhere, ends where it ends.
        #[test]
        fn the_end_is_found(sizes in proptest::collection::vec(1usize..40, 0..6), cut in 0usize..200) {
            let mut body = Vec::new();
            for size in sizes {
                body.extend(format!("{size:x}\r\n").into_bytes());
                body.extend(std::iter::repeat_n(b'\n', size));
                body.extend(b"\r\n");
            }
            body.extend(b"0\r\n\r\n");
            let cut = cut.min(body.len() - 1);
            let mut chunks = Chunks::default();
            proptest::prop_assert_eq!(chunks.end(&body[..cut]), Ok(None));
            proptest::prop_assert_eq!(chunks.end(&body[cut..]), Ok(Some(body.len() - cut)));
        }
    }
}
