//! Who has read what, and whether that is the same.

use std::time::Duration;

use anyhow::Result;
use e2e::readers::{Reader, Readers, Reading};

use super::generate::{Case, LAST, last};
use super::passage::Passage;
use super::twists::PROTOCOL;

/// A server that has all it needs answers within this.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a reader makes of what was forwarded.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) faults: Vec<String>,
    /// It refused one of the requests as such.
    pub(crate) refused: Option<u16>,
}

/// What the caller was told fits what reached the pod.
pub(crate) fn of_the_pod(passage: &Passage) -> Vec<String> {
    let mut faults = Vec::new();
    let answered = passage.answers.statuses.iter().filter(|status| **status == 200).count();
    if passage.pod_refused {
        faults.push("the pod refuses what was forwarded".to_owned());
    }
    if answered != passage.readings.len() {
        faults.push(format!("the pod answered {}, the caller heard {answered}", passage.readings.len()));
    }
    faults
}

/// The same bytes, and the last request behind them, read by another server.
pub(crate) async fn of_what_was_forwarded(passage: &Passage, reader: Reader, readers: &Readers) -> Result<Seen> {
    if passage.forwarded.is_empty() {
        return Ok(Seen::default());
    }
    let mut bytes = passage.forwarded.clone();
    let mut expected = passage.readings.clone();
    if !passage.broken {
        bytes.extend(last());
        expected.push(Reading {
            method: "GET".into(),
            target: LAST.into(),
            host: "hello.shop".into(),
            ..Reading::default()
        });
    }
    let answers = readers.read(reader, &bytes, expected.len(), PATIENCE).await?;
    let seen = |reading: &Reading| {
        let reading = reading.clone().comparable();
        if reader.is_proxy() { reading.behind_a_proxy() } else { reading }
    };
    let (own, others): (Vec<Reading>, Vec<Reading>) =
        (answers.readings.iter().map(seen).collect(), expected.iter().map(seen).collect());
    let mut faults: Vec<String> = own
        .iter()
        .zip(&others)
        .filter(|(own, _)| own.target != LAST)
        .filter_map(|(own, others)| own.differs_from(others))
        .map(|difference| format!("{reader} reads {difference}"))
        .collect();
    let rest = others.get(own.len()..).unwrap_or_default();
    let mut refused = None;
    if own.len() > others.len() {
        faults.push(format!("{reader} reads {} requests, not {}", own.len(), others.len()));
    } else if let Some(next) = rest.first() {
        if rest.iter().any(|request| may_refuse(reader, request)) && answers.refused.is_some() {
            refused = answers.refused;
        } else if answers.waits || !may_end_behind(reader, &expected[..own.len()]) {
            faults.push(format!("{reader} does not read {} {}: {answers:?}", next.method, next.target));
        }
    }
    Ok(Seen { faults, refused })
}

/// What a server does not serve at all, however it ends. It may say so before it has answered what came before.
fn may_refuse(reader: Reader, request: &Reading) -> bool {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].contains(&request.method.as_str());
    match reader {
        Reader::Node => !known,
        Reader::Nginx => request.target == "*" || leads_out(&request.target),
        Reader::Haproxy | Reader::Gunicorn | Reader::Go => false,
    }
}

/// Whether a path has more steps up than down.
fn leads_out(target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default().replace("%2e", ".");
    let mut depth = 0;
    path.split('/').skip(1).any(|segment| {
        depth += match segment {
            ".." => -1,
            "" | "." => 0,
            _ => 1,
        };
        depth < 0
    })
}

/// Node reads nothing behind a request to change the protocol, which it answers.
fn may_end_behind(reader: Reader, read: &[Reading]) -> bool {
    let asks = |request: &Reading| request.fields.iter().any(|(name, _)| name == "upgrade");
    reader == Reader::Node && read.last().is_some_and(asks)
}

/// The caller's own bytes, where all of them were passed on: nobody who reads them may see other requests in them.
pub(crate) async fn of_what_was_sent(
    case: &Case,
    passage: &Passage,
    reader: Reader,
    readers: &Readers,
) -> Result<Vec<String>> {
    // Node does not go on behind a request to change the protocol, whatever it makes of it.
    let asks = reader == Reader::Node && case.twists.contains(&PROTOCOL);
    if !passage.whole() || asks {
        return Ok(Vec::new());
    }
    let answers = readers.read(reader, &case.bytes, passage.readings.len(), PATIENCE).await?;
    let (own, others): (Vec<Reading>, Vec<Reading>) = (
        answers.readings.into_iter().map(Reading::gist).collect(),
        passage.readings.iter().cloned().map(Reading::gist).collect(),
    );
    let mut faults: Vec<String> = own
        .iter()
        .zip(&others)
        .filter_map(|(own, others)| own.differs_from(others))
        .map(|difference| format!("{reader} reads the caller's {difference}"))
        .collect();
    // To read no further is no harm: whether a connection is kept is everybody's own choice.
    if own.len() > others.len() || answers.waits {
        let waits = if answers.waits { ", and waits for more" } else { "" };
        faults.push(format!("{reader} reads {} of the caller's requests, not {}{waits}", own.len(), others.len()));
    }
    Ok(faults)
}
