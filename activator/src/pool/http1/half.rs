//! A connection whose response has begun before the request was out, as of a stream both ways.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use futures::FutureExt as _;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::line::{Line, poll_read};
use super::upload::Upload;
use super::wait::Wait;
use crate::net::TcpStream;
use crate::pool::Broken;
use crate::pool::census::Alive;

/// How long the rest of a request may still go out after the whole response has come.
const AFTERMATH: Duration = Duration::from_secs(30);

type Out = Result<WriteHalf<TcpStream>, Broken>;

/// The side that is read. The request goes on in a task of its own, as who reads the response may pause.
#[derive(Debug)]
pub(super) struct Half {
    read: ReadHalf<TcpStream>,
    wait: Arc<Wait>,
    alive: Alive,
    upload: Task,
}

#[derive(Debug)]
enum Task {
    Runs(Aborted),
    Out(WriteHalf<TcpStream>),
    /// The pod takes no more of it. It may answer all the same.
    Cut,
}

/// Ends with who asked for it.
#[derive(Debug)]
struct Aborted(JoinHandle<Out>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Half {
    pub(super) fn new(line: Line, mut upload: Upload) -> Self {
        let Line { stream, wait, alive } = line;
        let (read, mut write) = tokio::io::split(stream);
        let task = tokio::spawn(async move {
            std::future::poll_fn(|cx| upload.poll(&mut write, cx)).await?;
            Ok(write)
        });
        Self { read, wait, alive, upload: Task::Runs(Aborted(task)) }
    }

    /// See [`super::line::poll_read`].
    ///
    /// # Errors
    /// Those of the connection, and [`Broken::Upload`].
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        came: &mut BytesMut,
        most: usize,
    ) -> Poll<Result<Option<bool>, Broken>> {
        self.look(cx)?;
        poll_read(&mut self.read, cx, came, most).map_err(Broken::Io)
    }

    fn look(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        let Task::Runs(task) = &mut self.upload else { return Ok(()) };
        let Poll::Ready(done) = task.0.poll_unpin(cx) else { return Ok(()) };
        self.upload = match done {
            Ok(Ok(write)) => Task::Out(write),
            Ok(Err(error)) if error.is_caller() => {
                // It may be looked at once more, at the end of the response.
                self.upload = Task::Cut;
                return Err(error);
            }
            Ok(Err(_)) | Err(_) => Task::Cut,
        };
        Ok(())
    }

    /// The whole response has come. The connection, if the request is out too; if not, that has some time left.
    pub(super) fn finish(mut self) -> Option<Line> {
        // An error is of no consequence now.
        let _ = self.look(&mut Context::from_waker(Waker::noop()));
        match self.upload {
            Task::Out(write) => Some(Line { stream: self.read.unsplit(write), wait: self.wait, alive: self.alive }),
            Task::Runs(mut task) => {
                let alive = self.alive;
                tokio::spawn(async move {
                    let _alive = alive;
                    timeout(AFTERMATH, &mut task.0).await
                });
                None
            }
            Task::Cut => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::path::body::RequestBody;
    use crate::pool::census::Served;

    /// A connection on which a request with so long a head does not come to its end, and the pod's end of it.
    async fn half(length: usize) -> (Half, tokio::net::TcpStream) {
        let mut body = RequestBody::empty();
        body.after(std::future::pending());
        let request = Request::post("/").header(TRANSFER_ENCODING, "chunked").header("a", vec![b'x'; length]);
        half_of(request.body(body)).await
    }

    async fn half_of(request: http::Result<Request<RequestBody>>) -> (Half, tokio::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (stream, pod) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let line = Line::new(stream.unwrap(), Served::default().enter());
        (Half::new(line, Upload::new(request.unwrap()).0), pod.unwrap().0)
    }

    #[tokio::test]
    async fn a_request_ends_with_its_response() {
        let (half, mut pod) = half(1).await;
        pod.read_exact(&mut [0; 5]).await.unwrap();
        drop(half);
        let ended = timeout(AFTERMATH / 2, pod.read_to_end(&mut Vec::new())).await;
        ended.expect("it goes on").unwrap();
    }

    #[tokio::test]
    async fn what_was_said_before_the_request_was_cut_off_is_read() {
        let (mut half, mut pod) = half(32 << 20).await;
        pod.read_exact(&mut [0; 5]).await.unwrap();
        pod.write_all(b"ok").await.unwrap();
        // A reset: of what it was sent most is unread.
        drop(pod);
        while !matches!(half.upload, Task::Cut) {
            tokio::task::yield_now().await;
            half.look(&mut Context::from_waker(Waker::noop())).unwrap();
        }
        let mut came = BytesMut::new();
        let read = std::future::poll_fn(|cx| half.poll_read(cx, &mut came, 0)).await;
        assert_eq!((read.unwrap(), &came[..]), (Some(false), &b"ok"[..]));
    }

    #[tokio::test]
    async fn a_request_that_its_caller_broke_is_not_asked_for_again() {
        let (mut half, _pod) = half_of(Request::post("/").header(CONTENT_LENGTH, "5").body(RequestBody::empty())).await;
        let mut look = || half.look(&mut Context::from_waker(Waker::noop()));
        let broken = loop {
            match look() {
                Ok(()) => tokio::task::yield_now().await,
                Err(broken) => break broken,
            }
        };
        assert!(broken.is_caller(), "{broken}");
        // As at the end of a response all of which had come by then.
        look().unwrap();
        assert!(half.finish().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn behind_a_whole_response_it_has_some_time() {
        let (half, mut pod) = half(1).await;
        let began = tokio::time::Instant::now();
        assert!(half.finish().is_none());
        pod.read_to_end(&mut Vec::new()).await.unwrap();
        assert_eq!(began.elapsed().as_secs(), AFTERMATH.as_secs());
    }
}
