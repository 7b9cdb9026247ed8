//! The body of a response, read as it is asked for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};

use super::Connections;
use super::half::Half;
use super::line::{Line, poll_read};
use super::upload::Upload;
use crate::pool::Broken;
use crate::wire::Content;

/// A response's body on its connection. Read to the end, it gives the connection back; dropped before, it closes it.
#[derive(Debug)]
pub struct Body {
    connections: Arc<Connections>,
    /// Until all that belongs to the body has come.
    source: Option<Source>,
    content: Content,
    came: BytesMut,
    stays_open: bool,
    /// As much came at once as could be read.
    quick: bool,
    /// Whoever reads it does not.
    slow: bool,
    broken: Option<Broken>,
}

#[derive(Debug)]
enum Source {
    Whole(Line),
    Half(Half),
}

impl Body {
    /// What has come of it, and what of the request has not gone out.
    pub(super) fn new(
        connections: &Arc<Connections>,
        line: Line,
        upload: Option<Upload>,
        content: Content,
        came: BytesMut,
        stays_open: bool,
    ) -> Self {
        let source = match upload {
            None => Source::Whole(line),
            Some(upload) => Source::Half(Half::new(line, upload)),
        };
        let connections = Arc::clone(connections);
        let source = Some(source);
        let mut body = Self { connections, source, content, came, stays_open, quick: false, slow: false, broken: None };
        body.settle();
        body
    }

    /// From here on little is read at a time, so that little waits here for who does not take it.
    pub fn slow_down(&mut self) {
        self.slow = true;
    }

    /// Gives the connection back when all has come: what is still to be taken is here.
    fn settle(&mut self) {
        let here = self.came.len() as u64;
        let Some(left) = self.content.left().filter(|left| *left <= here) else { return };
        let Some(source) = self.source.take() else { return };
        // What is behind a response belongs to nothing.
        let stays_open = self.stays_open && left == here;
        let line = match source {
            Source::Whole(line) => Some(line),
            Source::Half(half) => half.finish(),
        };
        if let Some(line) = line.filter(|_| stays_open) {
            self.connections.put(line);
        }
    }

    /// Reads more; false at the end.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Broken>> {
        let left = || self.content.left().map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let most = if self.quick && !self.slow { left() } else { 0 };
        let read = match &mut self.source {
            None => return Poll::Ready(Ok(false)),
            Some(Source::Whole(line)) => ready!(poll_read(&mut line.stream, cx, &mut self.came, most))?,
            Some(Source::Half(half)) => ready!(half.poll_read(cx, &mut self.came, most))?,
        };
        self.quick = read == Some(true);
        Poll::Ready(Ok(read.is_some()))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Broken>> {
        loop {
            let frame = self.content.next(&mut self.came).map_err(Broken::NotHttp)?;
            if frame.is_some() || self.content.is_over() {
                self.settle();
                return Poll::Ready(Ok(frame));
            }
            if !ready!(self.poll_more(cx))? {
                if self.content != Content::ToTheEnd {
                    return Poll::Ready(Err(Broken::Ended));
                }
                // That was it.
                self.content = Content::Length(0);
            }
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        if let Some(broken) = this.broken.take() {
            return Poll::Ready(Some(Err(broken)));
        }
        match ready!(this.poll(cx)) {
            Ok(frame) => Poll::Ready(frame.map(Ok)),
            Err(broken) => {
                this.source = None;
                // However often it is asked from here on, it is never whole.
                this.content = Content::Length(1);
                // Said at once, hyper would drop with the body the head and what came before, and the caller would see nothing.
                this.broken = Some(broken);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
