//! A request on its way out: the head and the body behind it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::header::{CONTENT_LENGTH, TRAILER, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request};
use http_body::{Body as _, Frame};
use tokio::io::AsyncWrite;

use crate::path::body::{BodyError, RequestBody};
use crate::pool::Broken;
use crate::wire::gather;

/// Room for most heads, in bytes.
const HEAD: usize = 1024;

/// How the pod is told where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// So many bytes are to come.
    Length(u64),
    Chunked,
}

/// What of a request has not gone out yet.
#[derive(Debug)]
pub(super) struct Upload {
    body: RequestBody,
    framing: Framing,
    /// Names of the fields that may follow it.
    trailers: Vec<HeaderValue>,
    /// Written first, then `data`, then `after`.
    before: Vec<u8>,
    gone: usize,
    data: Bytes,
    after: Bytes,
    /// The last of as many bytes as were to come, until it is known that no more do.
    last: Bytes,
    /// Something of it has gone out, or has been taken from the body.
    begun: bool,
    /// The body has been taken to its end.
    ended: bool,
}

impl Upload {
    /// A request whose head says how its body ends. What is left of it is the head.
    pub(super) fn new(request: Request<RequestBody>) -> (Self, Parts) {
        let (parts, body) = request.into_parts();
        let framing = if parts.headers.contains_key(TRANSFER_ENCODING) {
            Framing::Chunked
        } else {
            let length = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
            Framing::Length(length.unwrap_or(0))
        };
        let ended = framing == Framing::Length(0) && body.is_end_stream();
        let trailers = parts.headers.get_all(TRAILER).iter().cloned().collect();
        let before = head(&parts);
        let [data, after, last] = [const { Bytes::new() }; 3];
        (Self { body, framing, trailers, before, gone: 0, data, after, last, begun: false, ended }, parts)
    }

    /// Whether something has gone out, or was taken from the body.
    pub(super) fn is_begun(&self) -> bool {
        self.begun
    }

    /// The body, if nothing has gone out and nothing was taken from it.
    pub(super) fn unbegun(self) -> Option<RequestBody> {
        (!self.begun).then_some(self.body)
    }

    /// The pod asks for the body: it is not kept back any longer.
    pub(super) fn go_on(&mut self) {
        self.body.go_on();
    }

    /// Whether all of it has gone out.
    pub(super) fn is_done(&self) -> bool {
        self.ended && !self.has_more()
    }

    /// Whether the pod has not asked for the body yet.
    pub(super) fn is_kept_back(&self) -> bool {
        self.body.is_kept_back()
    }

    fn has_more(&self) -> bool {
        self.gone < self.before.len() || !self.data.is_empty() || !self.after.is_empty()
    }

    /// Writes as much as goes. Ready when all has gone out.
    ///
    /// # Errors
    /// [`Broken::Io`] and [`Broken::Upload`].
    pub(super) fn poll<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            // The first piece goes out with the head. One that is to have no more of a body waits until there is no more.
            let takes = !self.ended && self.data.is_empty() && self.after.is_empty();
            if takes && !self.poll_piece(cx)? && (self.framing == Framing::Length(0) || !self.has_more()) {
                return Poll::Pending;
            }
            while self.has_more() {
                let pieces = [&self.before[self.gone..], &self.data, &self.after].map(IoSlice::new);
                let written = ready!(gather::write(Pin::new(&mut *stream), cx, &pieces))?;
                if written == 0 {
                    return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into()));
                }
                self.begun = true;
                self.wrote(written);
            }
            if self.ended {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn wrote(&mut self, written: usize) {
        let here = written.min(self.before.len() - self.gone);
        self.gone += here;
        if self.gone == self.before.len() {
            (self.before, self.gone) = (Vec::new(), 0);
        }
        let data = (written - here).min(self.data.len());
        self.data.advance(data);
        self.after.advance(written - here - data);
    }

    /// Takes the next piece from the body; false if there is none yet.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Result<bool, Broken> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else { return Ok(false) };
            self.begun = true;
            match (frame.transpose().map_err(|error| Broken::Upload(Box::new(error)))?, &mut self.framing) {
                (None, Framing::Length(0)) => self.end(),
                (None, Framing::Length(_)) => return Err(Broken::Upload(Box::new(BodyError::BrokenOff))),
                (None, Framing::Chunked) => self.last_chunk(&HeaderMap::new()),
                (Some(frame), Framing::Length(left)) => {
                    let data = frame.into_data().unwrap_or_default();
                    *left = left
                        .checked_sub(data.len() as u64)
                        .ok_or_else(|| Broken::Upload(Box::new(BodyError::BrokenOff)))?;
                    if *left > 0 {
                        self.data = data;
                        return Ok(true);
                    }
                    if !data.is_empty() {
                        self.last = data;
                    }
                    if self.body.goes_on() {
                        continue;
                    }
                    self.end();
                }
                (Some(frame), Framing::Chunked) => self.chunk(frame),
            }
            return Ok(true);
        }
    }

    /// As many bytes have come as were to, and no more do.
    fn end(&mut self) {
        self.ended = true;
        self.data = std::mem::take(&mut self.last);
    }

    fn chunk(&mut self, frame: Frame<Bytes>) {
        match frame.into_data() {
            // It would be the last chunk.
            Ok(data) if data.is_empty() => {}
            Ok(data) => {
                self.before.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
                self.data = data;
                self.ended = self.body.is_end_stream();
                self.after = Bytes::from_static(if self.ended { b"\r\n0\r\n\r\n" } else { b"\r\n" });
            }
            Err(frame) => {
                let mut trailers = frame.into_trailers().unwrap_or_default();
                self.keep_announced(&mut trailers);
                self.last_chunk(&trailers);
            }
        }
    }

    /// A pod that was not told of a field might take it for one of the head.
    fn keep_announced(&self, trailers: &mut HeaderMap) {
        let announced = self.trailers.iter().filter_map(|names| names.to_str().ok()).flat_map(|names| names.split(','));
        let announced: Vec<&str> = announced.map(str::trim).collect();
        let others: Vec<_> = trailers
            .keys()
            .filter(|name| !announced.iter().any(|known| known.eq_ignore_ascii_case(name.as_str())))
            .cloned()
            .collect();
        for name in others {
            trailers.remove(name);
        }
    }

    fn last_chunk(&mut self, trailers: &HeaderMap) {
        self.ended = true;
        self.before.extend_from_slice(b"0\r\n");
        fields(&mut self.before, trailers);
        self.before.extend_from_slice(b"\r\n");
    }
}

fn head(parts: &Parts) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD);
    head.extend_from_slice(parts.method.as_str().as_bytes());
    head.push(b' ');
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    // A URL may have a query and no path.
    if target.starts_with('?') {
        head.push(b'/');
    }
    head.extend_from_slice(target.as_bytes());
    head.extend_from_slice(b" HTTP/1.1\r\n");
    fields(&mut head, &parts.headers);
    head.extend_from_slice(b"\r\n");
    head
}

fn fields(lines: &mut Vec<u8>, fields: &HeaderMap) {
    for (name, value) in fields {
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value.as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
}
