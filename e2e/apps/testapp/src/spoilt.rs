//! An application that has gone bad, as told by `/spoil`: for some time it breaks every exchange, or answers with what is not
//! HTTP. `/spoilt` says how many exchanges it has spoilt so far; both are to be asked of the pod itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// How it is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoilt {
    /// The connection breaks when the request has come.
    Reset,
    /// The answer is no HTTP.
    Garbage,
}

static NOW: Mutex<Option<(Spoilt, Instant)>> = Mutex::new(None);
static COUNT: AtomicU64 = AtomicU64::new(0);

impl Spoilt {
    /// From its name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "reset" => Some(Self::Reset),
            "garbage" => Some(Self::Garbage),
            _ => None,
        }
    }

    /// From now on, for so long.
    pub(crate) fn begin(self, duration: Duration) {
        *NOW.lock().unwrap_or_else(PoisonError::into_inner) = Some((self, Instant::now() + duration));
    }

    /// How it is bad at this moment, if it is.
    pub(crate) fn now() -> Option<Self> {
        let now = *NOW.lock().unwrap_or_else(PoisonError::into_inner);
        now.filter(|(_, until)| Instant::now() < *until).map(|(how, _)| how)
    }

    /// How many exchanges it has spoilt.
    pub(crate) fn count() -> u64 {
        COUNT.load(Ordering::Relaxed)
    }

    /// One more.
    pub(crate) fn counted() {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }

    /// Spoils the first exchange of a connection. Gives the connection back if that is one with this application's own
    /// paths, which always work.
    pub(crate) async fn serve(self, mut stream: TcpStream) -> Option<TcpStream> {
        let mut seen = [0; 16];
        if stream.peek(&mut seen).await.is_ok_and(|length| seen[..length].starts_with(b"GET /spoil")) {
            return Some(stream);
        }
        let mut request = [0; 4096];
        if stream.read(&mut request).await.unwrap_or(0) == 0 {
            return None;
        }
        Self::counted();
        match self {
            Self::Reset => drop(stream.set_zero_linger()),
            Self::Garbage => drop(stream.write_all(b"\x16\x03\x01 this is no HTTP\r\n\r\n").await),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bad_for_a_while() {
        assert_eq!(Spoilt::now(), None);
        Spoilt::named("garbage").unwrap().begin(Duration::from_secs(600));
        assert_eq!(Spoilt::now(), Some(Spoilt::Garbage));
        Spoilt::named("reset").unwrap().begin(Duration::ZERO);
        assert_eq!(Spoilt::now(), None);
        assert_eq!(Spoilt::named("fresh"), None);
    }
}
