//! One stream: reports in, orders out.

use std::{fmt, sync::Arc, time::Duration};

use link::v1::{Orders, Report};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};
use tonic::{Status, Streaming};
use tracing::info;

use super::{
    Board, Metrics,
    limits::{self, Pace},
    token::Bearer,
    violation::Violation,
};

/// Both directions of a stream.
pub struct Exchange {
    /// From the activator.
    pub reports: Streaming<Report>,
    /// What holds now.
    pub orders: watch::Receiver<Arc<Orders>>,
    /// To the activator.
    pub sender: mpsc::Sender<Result<Orders, Status>>,
    /// Where to count.
    pub metrics: Metrics,
}

/// Why a stream ended.
#[derive(Debug)]
pub enum End {
    /// The activator closed it.
    Closed,
    /// The connection broke, or a message did not parse.
    Broken(Status),
    /// Its hello is not that of its token.
    OtherPod,
    /// It said something that cannot be right.
    Violation(Violation),
    /// It said nothing for so long.
    Silent(Duration),
    /// This process leads no longer.
    TermOver,
}

impl End {
    /// What the activator is told, if it is still there.
    pub fn status(&self) -> Option<Status> {
        match self {
            Self::Closed | Self::Broken(_) => None,
            Self::OtherPod => Some(Status::permission_denied(self.to_string())),
            Self::Violation(violation) => Some(Status::failed_precondition(violation.to_string())),
            Self::Silent(_) => Some(Status::deadline_exceeded(self.to_string())),
            Self::TermOver => Some(Status::unavailable(self.to_string())),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed by the activator"),
            Self::Broken(status) => write!(f, "broken: {status}"),
            Self::OtherPod => f.write_str("the hello names another pod than the token"),
            Self::Violation(violation) => violation.fmt(f),
            Self::Silent(long) => write!(f, "no report for {} s", long.as_secs()),
            Self::TermOver => f.write_str("this replica leads no longer"),
        }
    }
}

impl Exchange {
    /// Runs until the stream ends. The activator is attached from its first report until then.
    pub async fn run(self, bearer: &Bearer, board: &Arc<Board>) -> End {
        let Self { mut reports, mut orders, sender, metrics } = self;
        let first = match timeout(limits::HELLO, reports.message()).await {
            Ok(Ok(Some(report))) => report,
            Ok(Ok(None)) => return End::Closed,
            Ok(Err(status)) => return End::Broken(status),
            Err(_) => return End::Silent(limits::HELLO),
        };
        if let Some(hello) = &first.hello {
            if hello.pod_name != bearer.pod_name || hello.pod_uid != bearer.pod_uid {
                return End::OtherPod;
            }
            info!(pod = bearer.pod_name, version = hello.version, boot = hello.boot_id, "An activator attached.");
        }
        let attachment = match board.attach(&bearer.pod_uid, first) {
            Ok(attachment) => attachment,
            Err(violation) => return End::Violation(violation),
        };
        let mut pace = Pace::new(Instant::now().into_std());
        let mut silent_at = Instant::now() + limits::SILENCE;
        let mut read_at = Instant::now();
        let mut due = true;
        loop {
            let next = async {
                sleep_until(read_at).await;
                reports.message().await
            };
            tokio::select! {
                biased;
                place = sender.reserve(), if due => {
                    let Ok(place) = place else { return End::Closed };
                    due = false;
                    let orders = Orders::clone(&orders.borrow_and_update());
                    metrics.orders.inc();
                    place.send(Ok(orders));
                }
                changed = orders.changed() => {
                    if changed.is_err() {
                        return End::TermOver;
                    }
                    due = true;
                }
                report = next => {
                    let now = Instant::now();
                    silent_at = now + limits::SILENCE;
                    read_at = now + pace.next(now.into_std());
                    let violation = match report {
                        Ok(Some(report)) => attachment.report(report).err(),
                        Ok(None) => return End::Closed,
                        Err(status) => return End::Broken(status),
                    };
                    if let Some(violation) = violation {
                        return End::Violation(violation);
                    }
                }
                () = sleep_until(silent_at) => return End::Silent(limits::SILENCE),
            }
        }
    }
}
