//! One connection: HTTP/1.1 or HTTP/2 by its first bytes, closed when idle for too long if so told.

use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::reply::Body;
use crate::routes;
use crate::spoilt::Spoilt;

/// Serves it to its end. An error is the caller's doing, and the caller sees it.
pub(crate) async fn serve(stream: TcpStream, idle_close: Option<Duration>, mut ending: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let stream = match Spoilt::now() {
        Some(spoilt) => match spoilt.serve(stream).await {
            Some(stream) => stream,
            None => return,
        },
        None => stream,
    };
    let activity = Activity::default();
    let service = service_fn(|request: Request<Incoming>| {
        let busy = activity.begin();
        async move {
            if Spoilt::now().is_some() && !request.uri().path().starts_with("/spoil") {
                Spoilt::counted();
                return Err(io::Error::other("breaking the exchange, as told"));
            }
            let answer = routes::answer(request).await;
            Ok(answer.map(|body| busy.until_end_of(body)))
        }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let mut told_to_end = false;
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = activity.idle_for(idle_close), if !told_to_end => {}
            _ = ending.wait_for(|ending| *ending), if !told_to_end => {}
        }
        told_to_end = true;
        connection.as_mut().graceful_shutdown();
    }
}

/// How many exchanges are under way, and since when there are none.
#[derive(Clone, Default)]
struct Activity {
    state: Arc<Mutex<State>>,
}

struct State {
    exchanges: u32,
    idle_since: Instant,
}

impl Default for State {
    fn default() -> Self {
        Self { exchanges: 0, idle_since: Instant::now() }
    }
}

impl Activity {
    fn begin(&self) -> Busy {
        self.change(|state| state.exchanges += 1);
        Busy { activity: self.clone() }
    }

    /// Ends once the connection was idle that long; never without a limit.
    async fn idle_for(&self, limit: Option<Duration>) {
        let Some(limit) = limit else { return pending().await };
        loop {
            let now = Instant::now();
            let due = self.change(|state| if state.exchanges > 0 { now + limit } else { state.idle_since + limit });
            if due <= now {
                return;
            }
            sleep_until(due).await;
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One exchange under way, until dropped.
struct Busy {
    activity: Activity,
}

impl Busy {
    fn until_end_of(self, body: Body) -> Body {
        body.map_frame(move |frame| {
            let _held = &self;
            frame
        })
        .boxed_unsync()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.activity.change(|state| {
            state.exchanges -= 1;
            state.idle_since = Instant::now();
        });
    }
}
