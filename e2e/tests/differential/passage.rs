//! One case on its way through the activator.

use std::fmt;

use anyhow::Result;
use e2e::readers::Reading;

use super::activator::{Activator, Answers};
use super::generate::{Case, LAST};
use super::pod::Pod;

/// What came out on both sides.
#[derive(Clone, Debug)]
pub(crate) struct Passage {
    pub(crate) answers: Answers,
    /// All that reached the pod, connection after connection.
    pub(crate) forwarded: Vec<u8>,
    /// What the pod's server read in it.
    pub(crate) readings: Vec<Reading>,
    /// The last request that reached the pod did not come to its end.
    pub(crate) broken: bool,
    /// The pod's server refused something.
    pub(crate) pod_refused: bool,
}

/// Sends these bytes to an activator of their own.
pub(crate) async fn take(bytes: &[u8]) -> Result<Passage> {
    let mut pod = Pod::start().await?;
    let address = pod.address()?;
    let through = async {
        let activator = Activator::start(address).await?;
        let answers = activator.send(bytes).await;
        activator.end().await?;
        answers
    };
    let answers = tokio::select! {
        answers = through => answers?,
        never = pod.serve() => match never {},
    };
    let tapes = pod.tapes().await;
    Ok(Passage {
        answers,
        forwarded: tapes.iter().flat_map(|tape| tape.bytes.clone()).collect(),
        readings: tapes.iter().flat_map(|tape| tape.readings.clone()).collect(),
        broken: tapes.iter().any(|tape| tape.broken),
        pod_refused: tapes.iter().any(|tape| tape.refused),
    })
}

impl Passage {
    /// All of it was passed on and answered.
    pub(crate) fn whole(&self) -> bool {
        self.readings.last().is_some_and(|last| last.target == LAST)
            && self.answers.statuses.iter().all(|status| *status == 200)
    }

    /// Something was not.
    pub(crate) fn refused(&self) -> bool {
        self.broken || self.answers.waits || self.answers.statuses.iter().any(|status| *status >= 400)
    }
}

impl fmt::Display for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  forwarded {}", self.forwarded.escape_ascii())?;
        write!(f, "  answered  {:?}", self.answers)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {}", self.twists.join(", "))?;
        writeln!(f, "  sent      {}", self.bytes.escape_ascii())
    }
}
