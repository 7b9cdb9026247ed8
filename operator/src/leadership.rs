//! Which of the operator's replicas leads, and until when it may be sure of it.
//!
//! `kube-lease-manager` does the election. It does not say how long its answer holds, and while the API server is away it
//! goes on saying yes. So every answer about the Lease is read on its way through the client (`observe`), and a term
//! ends by this process's own monotonic clock when the last renewal has run out, whatever the manager says.

mod lease;
mod observe;
mod owner;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crds::names;
use kube::Client;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use uuid::Uuid;

use observe::Seen;

/// Clocks of two nodes may differ by so much: a standby compares the renewal's time of day with its own.
const SKEW: Duration = Duration::from_secs(1);
/// Shortest lease: there must be time for a renewal, a failed one, and a write of five seconds.
pub const SHORTEST: Duration = Duration::from_secs(10);

/// What the election needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Rouse's own namespace, where the Lease is.
    pub namespace: String,
    /// Name of this pod, for people who look at the Lease.
    pub pod: String,
    /// How long a lease holds that is not renewed: the longest time without a leader after one dies. At least
    /// [`SHORTEST`].
    pub duration: Duration,
}

/// A time of leading without a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// Greater than that of every term before it, in whichever process: the Lease's resource version when it began
    /// (comparable numbers since KEP-5504, and in practice always). Deleting the Lease does not set it back.
    pub epoch: u64,
    /// Nobody else leads before then. Moves on with every renewal.
    pub valid_until: Instant,
}

/// The election, seen from this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Leadership {
    terms: watch::Receiver<Option<Term>>,
}

/// Takes part in the election until `stop`; then releases the Lease and the task ends.
pub fn start(client: Client, settings: Settings, stop: CancellationToken) -> (Leadership, JoinHandle<()>) {
    let settings = Settings { duration: settings.duration.max(SHORTEST), ..settings };
    // A restarted container is another candidate: what it knew is gone.
    let run = Uuid::new_v4().simple().to_string();
    let identity = format!("{}_{run}", settings.pod);
    let candidate = lease::Candidate { identity: identity.clone(), field_manager: format!("{}-{run}", names::LEASE) };
    let (observed, seen) = observe::client(client.clone(), &settings.namespace, &identity);
    let (says, holds) = watch::channel(false);
    let (publish, terms) = watch::channel(None);
    let duration = settings.duration;
    let task = tokio::spawn(async move {
        tokio::select! {
            () = lease::contend(observed, &settings, &candidate, &says, &stop) => {}
            () = owner::keep(client, &settings.namespace, holds.clone()) => {}
            () = follow(holds, seen, duration, &publish) => {}
        }
        publish.send_replace(None);
    });
    (Leadership { terms }, task)
}

impl Leadership {
    /// A leadership that is told from outside: for tests.
    pub fn fixed(terms: watch::Receiver<Option<Term>>) -> Self {
        Self { terms }
    }

    /// The current term, `None` while this process does not lead. A renewal is a change too: compare epochs.
    pub fn terms(&self) -> watch::Receiver<Option<Term>> {
        self.terms.clone()
    }

    /// The current term, if it has not run out.
    pub fn current(&self) -> Option<Term> {
        self.terms.borrow().filter(|term| Instant::now() < term.valid_until)
    }

    /// The current term, if it holds for `at_least` longer, clocks that differ included: asked before each write, with
    /// the longest time that the write may take.
    pub fn good_for(&self, at_least: Duration) -> Option<Term> {
        self.current().filter(|term| Instant::now() + at_least + SKEW <= term.valid_until)
    }

    /// Waits until this process leads. `None` when the election is over for this process.
    pub async fn won(&mut self) -> Option<Term> {
        self.terms.wait_for(Option::is_some).await.ok().and_then(|term| *term)
    }

    /// Waits until the term with this epoch is over.
    pub async fn lost(&mut self, epoch: u64) {
        // The error says that the election is over for this process, and with it the term.
        let _ = self.terms.wait_for(|term| term.is_none_or(|term| term.epoch != epoch)).await;
    }
}

/// Publishes terms: on each change of what the manager says or what is seen of the Lease, and when a term runs out.
async fn follow(
    mut holds: watch::Receiver<bool>,
    mut seen: watch::Receiver<Seen>,
    duration: Duration,
    publish: &watch::Sender<Option<Term>>,
) {
    let mut before = None;
    loop {
        let now = next(*holds.borrow_and_update(), &seen.borrow_and_update(), duration, before, Instant::now());
        let told = now.map(|(term, _)| term);
        match (before.map(|(term, _): (Term, _)| term.epoch), told.map(|term| term.epoch)) {
            (None, Some(epoch)) => debug!(epoch, "A term begins."),
            (Some(epoch), None) => debug!(epoch, "The term is over."),
            _ => {}
        }
        publish.send_if_modified(|term| std::mem::replace(term, told) != told);
        before = now;
        let runs_out = async {
            match told {
                Some(term) => sleep_until(term.valid_until).await,
                None => std::future::pending().await,
            }
        };
        let open = tokio::select! {
            changed = holds.changed() => changed.is_ok(),
            changed = seen.changed() => changed.is_ok(),
            () = runs_out => true,
        };
        if !open {
            return;
        }
    }
}

/// The term that holds now, with the acquisition of the Lease that it rests on. A term goes on only while that stays the
/// same; what comes after a break, or after somebody else's, is a new one.
fn next(
    holds: bool,
    seen: &Seen,
    duration: Duration,
    before: Option<(Term, u64)>,
    now: Instant,
) -> Option<(Term, u64)> {
    let (renewed, version) = (seen.renewed?, seen.version?);
    let valid_until = renewed + duration;
    if !holds || now >= valid_until {
        return None;
    }
    let epoch = match before {
        Some((term, acquisition)) if acquisition == seen.acquisitions => term.epoch,
        _ => version,
    };
    Some((Term { epoch, valid_until }, seen.acquisitions))
}
