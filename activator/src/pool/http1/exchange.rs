//! A request and the head of its response, on one connection, in one task.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use http::request::Parts;
use http::{Method, Request, StatusCode};

use super::line::{Line, poll_read};
use super::upload::Upload;
use super::{Body, Connections, HEAD, Switched};
use crate::path::body::RequestBody;
use crate::pool::{Broken, Connection, Exchange, PodBody, Refused, SendError};
use crate::wire::{Came, Head, Responses};

/// A request that goes out, and whose response has not begun.
pub(super) struct Sending {
    line: Line,
    parts: Parts,
    upload: Upload,
    /// The pod does not take the rest of the request. It may have answered.
    cut: Option<Broken>,
    responses: Responses,
    came: BytesMut,
    /// The request may be given up.
    again: bool,
}

/// How a response begins.
pub(super) enum Begun {
    /// Not: nobody waits for it any longer.
    GivenUp,
    Switch(Head),
    Final(Head),
}

impl Sending {
    pub(super) fn new(line: Line, request: Request<RequestBody>, again: bool) -> Self {
        if again {
            line.wait.begin();
        }
        let (upload, parts) = Upload::new(request);
        let responses = Responses::new(HEAD, parts.method == Method::HEAD);
        Self { line, parts, upload, cut: None, responses, came: BytesMut::new(), again }
    }

    /// What becomes of it, as [`Sending::poll`] came to an end.
    pub(super) fn end(
        self,
        begun: Result<Begun, Broken>,
        connections: &Arc<Connections>,
        on: Connection,
    ) -> Result<Exchange, SendError> {
        if self.again {
            self.line.wait.end();
        }
        match begun {
            Ok(Begun::Final(head)) => Ok(self.answered(connections, head)),
            Ok(Begun::Switch(head)) if self.upload.is_done() => {
                let Self { line, came, .. } = self;
                let switched = Switched { stream: line.stream, first: came };
                Ok(head.response.map(|()| PodBody::Switched(switched)))
            }
            Ok(Begun::Switch(_)) => {
                let error = Broken::NotHttp("it switches protocols in the middle of a request");
                Err(SendError::Broken { head: Box::new(self.parts), error, on })
            }
            Ok(Begun::GivenUp) => Err(SendError::GivenUp { head: Box::new(self.parts) }),
            Err(error) => match (error, self.upload.unbegun()) {
                (error @ (Broken::Io(_) | Broken::Ended), Some(body)) => {
                    let request = Box::new(Request::from_parts(self.parts, body));
                    let cause = match error {
                        Broken::Io(error) => error,
                        _ => io::ErrorKind::UnexpectedEof.into(),
                    };
                    Err(SendError::Unsent { request, cause: Refused::Io(cause) })
                }
                (error, _) => Err(SendError::Broken { head: Box::new(self.parts), error, on }),
            },
        }
    }

    /// Writes the request and reads up to the final head.
    ///
    /// # Errors
    /// Any of [`Broken`] but that of HTTP/2.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Begun, Broken>> {
        if self.again && self.line.wait.is_given_up(cx) {
            return Poll::Ready(Ok(Begun::GivenUp));
        }
        loop {
            if self.cut.is_none()
                && !self.upload.is_done()
                && let Poll::Ready(Err(error)) = self.upload.poll(&mut self.line.stream, cx)
            {
                if error.is_caller() {
                    return Poll::Ready(Err(error));
                }
                self.cut = Some(error);
            }
            match ready!(poll_read(&mut self.line.stream, cx, &mut self.came, 0)) {
                Ok(Some(_)) if self.upload.is_begun() => {}
                // What it says before it is asked is its farewell.
                Ok(Some(_)) => return Poll::Ready(Err(Broken::Ended)),
                Ok(None) => return Poll::Ready(Err(self.cut.take().unwrap_or(Broken::Ended))),
                Err(error) => return Poll::Ready(Err(self.cut.take().unwrap_or(Broken::Io(error)))),
            }
            while let Some(came) = self.responses.next(&mut self.came).map_err(Broken::NotHttp)? {
                match came {
                    Came::Informational(StatusCode::CONTINUE) => self.upload.go_on(),
                    Came::Informational(_) => {}
                    Came::Switch(head) => return Poll::Ready(Ok(Begun::Switch(head))),
                    Came::Final(head) => return Poll::Ready(Ok(Begun::Final(head))),
                }
            }
        }
    }

    fn answered(self, connections: &Arc<Connections>, Head { response, content, stays_open }: Head) -> Exchange {
        let Self { line, upload, cut, came, .. } = self;
        let done = upload.is_done();
        // A pod that answers before it has asked for the body does not want it.
        let rest = Some(upload).filter(|upload| cut.is_none() && !done && !upload.is_kept_back());
        let stays_open = stays_open && (done || rest.is_some());
        let body = Body::new(connections, line, rest, content, came, stays_open);
        response.map(|()| PodBody::Http1(body))
    }
}
