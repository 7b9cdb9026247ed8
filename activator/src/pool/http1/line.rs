//! One connection to a pod.

use std::future::{Future as _, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::coop::unconstrained;
use tokio_util::io::poll_read_buf;

use super::wait::Wait;
use crate::net::TcpStream;
use crate::pool::census::Alive;

/// Read at once as long as it is not known how quickly a response comes, in bytes: most are shorter than this. It is read into
/// the stack, so that one that is waited for takes no memory.
const SIP: usize = 8 * 1024;
/// Read at once of a response that comes quickly, in bytes.
const GULP: usize = 64 * 1024;

/// One connection. It carries one request at a time, in the task of that request; between two nobody looks at it.
#[derive(Debug)]
pub(in crate::pool) struct Line {
    pub(super) stream: TcpStream,
    pub(super) wait: Arc<Wait>,
    pub(super) alive: Alive,
}

impl Line {
    pub(super) fn new(stream: TcpStream, alive: Alive) -> Self {
        Self { stream, wait: Arc::default(), alive }
    }

    /// Whether it can carry no request: the pod has closed it, or has said something unasked.
    pub(super) fn is_closed(&mut self) -> bool {
        let (mut byte, mut cx) = ([0], Context::from_waker(Waker::noop()));
        let read = poll_fn(|cx| Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut byte)));
        // Whatever the task has used up of its budget: every one that is closed takes of it, and the next would look open.
        pin!(unconstrained(read)).poll(&mut cx).is_ready()
    }
}

/// Reads behind what has come: a sip, or as much as a gulp if that much may come and nothing waits. Whether as much came as
/// could be read; `None` at the end.
///
/// # Errors
/// The socket's.
pub(super) fn poll_read<S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    came: &mut BytesMut,
    most: usize,
) -> Poll<io::Result<Option<bool>>> {
    if most > SIP && came.is_empty() {
        let mut gulp = BytesMut::with_capacity(most.min(GULP));
        let read = ready!(poll_read_buf(Pin::new(stream), cx, &mut gulp))?;
        *came = gulp;
        return Poll::Ready(Ok((read > 0).then_some(read >= SIP)));
    }
    let mut sip = [MaybeUninit::uninit(); SIP];
    let mut sip = ReadBuf::uninit(&mut sip);
    ready!(Pin::new(stream).poll_read(cx, &mut sip))?;
    let read = sip.filled();
    came.extend_from_slice(read);
    Poll::Ready(Ok((!read.is_empty()).then_some(read.len() == SIP)))
}
