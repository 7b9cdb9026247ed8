//! What the activators said in this term, shared between their streams, the scaler and the reconciler.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use link::v1::Report;
use tokio::time::Instant;

use super::{
    Metrics,
    activator::Changes,
    news::News,
    roster::{Roster, StreamId},
    violation::Violation,
};
use crate::stores::Queue;

/// The [`Roster`] of one term, and whom to tell of news. Locked for moments only, never across an await.
#[derive(Debug)]
pub struct Board {
    roster: Mutex<Roster>,
    news: News,
    readiness: Queue<String>,
    metrics: Metrics,
}

impl Board {
    /// Empty: nobody has said anything yet.
    pub fn new(metrics: Metrics) -> Self {
        Self { roster: Mutex::default(), news: News::default(), readiness: Queue::default(), metrics }
    }

    /// The first report of a stream. The activator stays attached for as long as the [`Attachment`] is kept.
    ///
    /// # Errors
    /// See [`Roster::attach`].
    pub fn attach(self: &Arc<Self>, pod: &str, report: Report) -> Result<Attachment, Violation> {
        let outcome = self.roster().attach(pod, report, now());
        let (stream, changes) = self.counted(outcome)?;
        self.tell(changes);
        self.metrics.streams.inc();
        Ok(Attachment { board: Arc::clone(self), pod: pod.to_owned(), stream })
    }

    /// What everybody said. Do not keep it across an await.
    pub fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says which activators count.
    pub fn set_counting(&self, counting: BTreeSet<String>) {
        self.roster().set_counting(counting, now());
    }

    /// Functions with news. For one reader.
    pub fn news(&self) -> &News {
        &self.news
    }

    /// UIDs of Functions of which a pod became ready at an activator, or is so no longer. For one reader.
    pub async fn readiness(&self) -> HashSet<String> {
        self.readiness.take().await
    }

    fn counted<T>(&self, outcome: Result<T, Violation>) -> Result<T, Violation> {
        match &outcome {
            Ok(_) => self.metrics.reports.inc(),
            Err(_) => self.metrics.violations.inc(),
        };
        outcome
    }

    fn tell(&self, changes: Changes) {
        changes.added.values().for_each(|added| self.metrics.add(added));
        self.news.add(&changes);
        for function in changes.readiness {
            self.readiness.add(function);
        }
    }
}

/// One stream on the board. Dropping it detaches the activator, which is unknown from then on.
#[derive(Debug)]
pub struct Attachment {
    board: Arc<Board>,
    pod: String,
    stream: StreamId,
}

impl Attachment {
    /// A later report of this stream.
    ///
    /// # Errors
    /// See [`Roster::report`].
    pub fn report(&self, report: Report) -> Result<(), Violation> {
        let outcome = self.board.roster().report(&self.pod, self.stream, report, now());
        let changes = self.board.counted(outcome)?;
        self.board.tell(changes);
        Ok(())
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.board.roster().detach(&self.pod, self.stream);
        self.board.metrics.streams.dec();
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
