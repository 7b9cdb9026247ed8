//! The other side: `testapp get URL`, a client inside the cluster, for `helm test` and for tests of
//! names that only pods can resolve.
//!
//! ```text
//! testapp get URL [--within-seconds=N] [--expect-header='NAME: VALUE']…
//! ```
//! Asks until the answer is a success, for 30 seconds unless told otherwise, and prints its body. Fails
//! if there was none in time, or if it lacks a header.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};

const PAUSE: Duration = Duration::from_millis(250);

/// What to fetch, and what must be true of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Get {
    url: Uri,
    within: Duration,
    headers: Vec<(String, String)>,
}

impl Get {
    /// Reads what follows `get` on the command line.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut get = Self { url: Uri::default(), within: Duration::from_secs(30), headers: Vec::new() };
        for argument in arguments {
            let wrong = || format!("{argument} is not understood");
            if let Some(seconds) = argument.strip_prefix("--within-seconds=") {
                get.within = Duration::from_secs(seconds.parse().map_err(|_| wrong())?);
            } else if let Some(field) = argument.strip_prefix("--expect-header=") {
                let (name, value) = field.split_once(':').ok_or_else(wrong)?;
                get.headers.push((name.trim().to_owned(), value.trim().to_owned()));
            } else {
                get.url = argument.parse().map_err(|_| wrong())?;
            }
        }
        if get.url.scheme_str() != Some("http") || get.url.host().is_none() {
            return Err(
                "usage: testapp get http://HOST[:PORT]/PATH [--within-seconds=N] [--expect-header=…]".to_owned()
            );
        }
        Ok(get)
    }

    /// Fetches, prints, and compares.
    pub(crate) async fn run(self) -> io::Result<()> {
        let deadline = Instant::now() + self.within;
        let mut last = io::Error::other("no answer");
        let answer = loop {
            match timeout_at(deadline, self.fetch()).await {
                Ok(Ok(answer)) if answer.status().is_success() => break answer,
                Ok(Ok(answer)) => last = describe(&answer),
                Ok(Err(error)) => last = error,
                Err(_) => return Err(last),
            }
            sleep(PAUSE).await;
        };
        print!("{}", String::from_utf8_lossy(answer.body()));
        self.compare(&answer)
    }

    async fn fetch(&self) -> io::Result<Response<Bytes>> {
        let authority = self.url.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        let target = (self.url.host().unwrap_or_default(), self.url.port_u16().unwrap_or(80));
        let stream = TcpStream::connect(target).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let connection = tokio::spawn(connection);
        let path = self.url.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::get(path).header(header::HOST, authority).body(Empty::<Bytes>::new());
        let answer = sender.send_request(request.map_err(io::Error::other)?).await.map_err(io::Error::other)?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        connection.abort();
        Ok(Response::from_parts(head, body))
    }

    fn compare(&self, answer: &Response<Bytes>) -> io::Result<()> {
        for (name, wanted) in &self.headers {
            let found = answer.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
            if found.as_deref() != Some(wanted) {
                return Err(io::Error::other(format!("{name} is {found:?}, not {wanted:?}")));
            }
        }
        Ok(())
    }
}

fn describe(answer: &Response<Bytes>) -> io::Error {
    io::Error::other(format!("{}: {}", answer.status(), String::from_utf8_lossy(answer.body()).trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Get, String> {
        Get::parse(arguments.iter().map(|argument| argument.to_string()))
    }

    #[test]
    fn arguments_in_any_order() {
        let get = parse(&["--expect-header=a: b", "http://h:81/p?q", "--within-seconds=5"]).unwrap();
        assert_eq!((get.url.host(), get.url.port_u16(), get.within.as_secs()), (Some("h"), Some(81), 5));
        assert_eq!(get.headers, [("a".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn nonsense_is_refused() {
        for wrong in
            [&["ftp://h/"][..], &[], &["http://h/", "--within-seconds=soon"], &["http://h/", "--expect-header=a"]]
        {
            parse(wrong).unwrap_err();
        }
    }

    #[tokio::test]
    async fn a_missing_header_fails() {
        let get = parse(&["http://h/", "--expect-header=a: b"]).unwrap();
        let answer = |value| Response::builder().header("a", value).body(Bytes::new()).unwrap();
        get.compare(&answer("b")).unwrap();
        assert_eq!(get.compare(&answer("c")).unwrap_err().to_string(), r#"a is Some("c"), not "b""#);
    }
}
