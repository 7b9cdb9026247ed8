//! A watch: changes as they come, bookmarks, an end, and `410 Gone` for who comes back too late.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{Stream, stream};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::{
    sync::watch::Receiver,
    time::{Instant, sleep_until},
};

use super::{Server, State, request::Request, store::Change};

/// How long after a change a watch tells of it.
const LAG: Duration = Duration::from_millis(5);
/// A bookmark comes so often.
const BOOKMARK: Duration = Duration::from_secs(60);

struct Watching {
    server: Arc<Server>,
    request: Request,
    /// Changes up to this version are told.
    told: u64,
    /// The number of cuts of this kind when it began.
    cuts: u64,
    ends: Instant,
    bookmark: Instant,
    changed: Receiver<()>,
    lines: VecDeque<Value>,
    over: bool,
}

/// The lines of a watch.
pub(super) fn stream(
    server: &Arc<Server>,
    request: Request,
) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + use<> {
    let told = request.query("resourceVersion").parse().unwrap_or(0);
    let timeout = Duration::from_secs(request.query("timeoutSeconds").parse().unwrap_or(300));
    let changed = server.changed.subscribe();
    let cuts = server.state().cuts(request.kind.plural).number;
    let now = Instant::now();
    let watching = Watching {
        server: Arc::clone(server),
        request,
        told,
        cuts,
        ends: now + timeout,
        bookmark: now + BOOKMARK,
        changed,
        lines: VecDeque::new(),
        over: false,
    };
    stream::unfold(watching, |mut watching| async move {
        let line = watching.next().await?;
        let bytes = Bytes::from(format!("{line}\n"));
        Some((Ok(Frame::data(bytes)), watching))
    })
}

impl Watching {
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if self.over {
                return None;
            }
            let held = self.server.state().held_until();
            if let Some(held) = held.filter(|held| Instant::now() < *held) {
                tokio::select! {
                    () = sleep_until(held) => {}
                    () = sleep_until(self.ends) => return None,
                }
            }
            self.look();
            if !self.lines.is_empty() || self.over {
                continue;
            }
            tokio::select! {
                changed = self.changed.changed() => {
                    changed.ok()?;
                    tokio::time::sleep(LAG).await;
                }
                () = sleep_until(self.bookmark) => {
                    self.bookmark += BOOKMARK;
                    self.lines.push_back(self.bookmarked());
                }
                () = sleep_until(self.ends) => return None,
            }
        }
    }

    /// Takes over what is new.
    fn look(&mut self) {
        self.changed.mark_unchanged();
        let state = self.server.state();
        let cuts = state.cuts(self.request.kind.plural);
        if cuts.number != self.cuts {
            self.over = true;
            return;
        }
        if self.told < cuts.floor {
            let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "reason": "Expired", "code": 410, "message": format!("too old resource version: {}", self.told)});
            self.lines.push_back(json!({"type": "ERROR", "object": status}));
            self.over = true;
            return;
        }
        let log = &state.store.log;
        let from = log.partition_point(|change| change.version <= self.told);
        for change in &log[from..] {
            self.told = change.version;
            if change.key.plural == self.request.kind.plural {
                self.lines.extend(line(&self.request, change));
            }
        }
    }

    fn bookmarked(&self) -> Value {
        let kind = self.request.kind;
        json!({"type": "BOOKMARK", "object": {"apiVersion": kind.api_version, "kind": kind.kind,
            "metadata": {"resourceVersion": self.told.to_string()}}})
    }
}

/// What a change is to somebody who sees selected objects only.
fn line(request: &Request, change: &Change) -> Option<Value> {
    let selects = |object: &Value| request.selects(&change.key, object);
    let was = change.before.as_deref().is_some_and(selects);
    let is = !change.deleted && selects(&change.object);
    let kind = match (was, is) {
        (false, false) => return None,
        (false, true) => "ADDED",
        (true, true) => "MODIFIED",
        (true, false) => "DELETED",
    };
    Some(json!({"type": kind, "object": *change.object}))
}

/// How often the watches of a kind were cut, and from which version on they can be resumed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cuts {
    pub(super) number: u64,
    pub(super) floor: u64,
}

impl State {
    fn cuts(&self, plural: &str) -> Cuts {
        self.cuts.get(plural).copied().unwrap_or_default()
    }
}
