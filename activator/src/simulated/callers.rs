//! Callers on a host of their own, who ask when they are told to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio::time::Instant;
use turmoil::Sim;
use turmoil::net::TcpStream;

use super::activator::PORT;

/// One answer. No status = none came.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) asked: &'static str,
    pub(super) status: Option<u16>,
    pub(super) body: String,
    pub(super) after: Duration,
}

type Question = (&'static str, &'static str, &'static str);

/// The callers, as the test has them in its hands.
pub(super) struct Callers {
    questions: mpsc::UnboundedSender<Question>,
    replies: Arc<Mutex<Vec<Reply>>>,
}

impl Callers {
    pub(super) fn host(sim: &mut Sim<'static>, name: &'static str, activator: &'static str) -> Self {
        let (questions, asked) = mpsc::unbounded_channel();
        let replies = Arc::<Mutex<Vec<Reply>>>::default();
        let (asked, log) = (Arc::new(tokio::sync::Mutex::new(asked)), Arc::clone(&replies));
        sim.host(name, move || run(activator, Arc::clone(&asked), Arc::clone(&log)));
        Self { questions, replies }
    }

    /// Has somebody ask a function for a path, on a connection of its own.
    pub(super) fn ask(&self, method: &'static str, function: &'static str, path: &'static str) {
        self.questions.send((method, function, path)).unwrap();
    }

    /// The answers so far from this function.
    pub(super) fn replies(&self, function: &str) -> Vec<Reply> {
        self.replies.lock().unwrap().iter().filter(|reply| reply.asked == function).cloned().collect()
    }

    /// Their statuses.
    pub(super) fn statuses(&self, function: &str) -> Vec<Option<u16>> {
        self.replies(function).iter().map(|reply| reply.status).collect()
    }

    pub(super) fn forget(&self) {
        self.replies.lock().unwrap().clear();
    }
}

async fn run(
    activator: &'static str,
    asked: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Question>>>,
    log: Arc<Mutex<Vec<Reply>>>,
) -> turmoil::Result {
    while let Some((method, function, path)) = asked.lock().await.recv().await {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let began = Instant::now();
            let answer = send(activator, method, function, path).await.ok();
            let (status, body) = answer.map_or((None, String::new()), |(status, body)| (Some(status), body));
            log.lock().unwrap().push(Reply { asked: function, status, body, after: began.elapsed() });
        });
    }
    Ok(())
}

async fn send(
    activator: &str,
    method: &str,
    function: &str,
    path: &str,
) -> Result<(u16, String), Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect((activator, PORT)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let body = if method == "POST" { Bytes::from_static(b"body") } else { Bytes::new() };
    let request = Request::builder().method(method).uri(path).header("host", format!("{function}.shop"));
    let response = sender.send_request(request.body(Full::new(body))?).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
