//! What the turns come to: medians, how far they lay apart, and CPU time as a multiple of ours.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde::Serialize;

use super::{Turn, checked::REQUESTS, contestant::Contestant};
use crate::bench::stats::{Spread, millis};

/// One contestant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Requests of which every answer was checked, half of them through the activator.
    pub checked: usize,
    /// How many of those failed.
    pub failed: usize,
    /// Why the first of those did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_failure: Option<String>,
    /// A start from zero, through the activator.
    pub from_zero_ms: Spread,
    /// Requests answered a second under the load.
    pub rps: Spread,
    /// Median latency under the load.
    pub p50_us: Spread,
    /// 99th percentile of it.
    pub p99_us: Spread,
    /// User and system time of the pod's processes for each request.
    pub cpu_us: Spread,
    /// The same as a multiple of that of `beside` in the same round.
    pub cpu_to_ours: Spread,
    /// Our contestant with the same interpreter.
    pub beside: &'static str,
    /// Resident memory of the pod's processes under the load.
    pub memory_mib: Spread,
}

/// The rows, in the order of the contestants; `rounds` have a turn of each.
pub(super) fn rows(contestants: &[Contestant], rounds: &[Vec<Turn>]) -> Result<Vec<Row>> {
    let row = |(place, contestant): (usize, &Contestant)| {
        let Contestant { name, beside, .. } = *contestant;
        let ours = contestants.iter().position(|other| other.name == beside).context("nobody has that name")?;
        let each = |number: fn(&Turn) -> Option<f64>| -> Result<Spread> {
            let numbers: Option<Vec<f64>> = rounds.iter().map(|turns| number(turns.get(place)?)).collect();
            Spread::of(numbers.context("a turn is missing")?).context("no round")
        };
        let ratios: Option<Vec<f64>> = rounds
            .iter()
            .map(|turns| Some(turns.get(place)?.figures.cpu_us? / turns.get(ours)?.figures.cpu_us?))
            .collect();
        let halves =
            || rounds.iter().filter_map(|turns| turns.get(place)).flat_map(|turn| [&turn.direct, &turn.through]);
        Ok(Row {
            name,
            checked: halves().map(|half| half.answered + half.failed.len()).sum(),
            failed: halves().map(|half| half.failed.len()).sum(),
            first_failure: halves().flat_map(|half| &half.failed).next().cloned(),
            from_zero_ms: each(|turn| Some(millis(turn.from_zero)))?,
            rps: each(|turn| Some(turn.figures.rps))?,
            p50_us: each(|turn| Some(turn.figures.p50_us))?,
            p99_us: each(|turn| Some(turn.figures.p99_us))?,
            cpu_us: each(|turn| turn.figures.cpu_us)?,
            cpu_to_ours: Spread::of(ratios.context("a turn is missing")?).context("no round")?,
            beside,
            memory_mib: each(|turn| turn.figures.rss_kib.map(|kib| kib / 1024.0))?,
        })
    };
    contestants.iter().enumerate().map(row).collect()
}

/// A turn, for whoever looks on.
pub(super) fn line(round: usize, name: &str, turn: &Turn) -> String {
    let failed = turn.direct.failed.len() + turn.through.failed.len();
    let cpu = turn.figures.cpu_us.unwrap_or(f64::NAN);
    format!(
        "{:>3}  {name:<18} {failed} of {} failed  {:>7.0}/s  {cpu:>6.1} µs",
        round + 1,
        2 * REQUESTS,
        turn.figures.rps
    )
}

/// The rows for people.
pub fn table(rows: &[Row]) -> String {
    let mut text = format!("{:<18}", "");
    for (head, width) in COLUMNS {
        let _ = write!(text, " {head:>width$}");
    }
    text.push('\n');
    for row in rows {
        let apart = |spread: &Spread, digits: usize| format!("{:.digits$} to {:.digits$}", spread.min, spread.max);
        let fields = [
            format!("{} of {}", row.failed, row.checked),
            format!("{:.0}", row.rps.p50),
            apart(&row.rps, 0),
            format!("{:.1}", row.cpu_us.p50),
            apart(&row.cpu_us, 1),
            format!("{:.2}", row.cpu_to_ours.p50),
            format!("{:.1}", row.p50_us.p50 / 1e3),
            format!("{:.1}", row.p99_us.p50 / 1e3),
            format!("{:.0}", row.memory_mib.p50),
            format!("{:.0}", row.from_zero_ms.p50),
            apart(&row.from_zero_ms, 0),
        ];
        let _ = write!(text, "{:<18}", row.name);
        for (field, (_, width)) in fields.into_iter().zip(COLUMNS) {
            let _ = write!(text, " {field:>width$}");
        }
        text.push('\n');
    }
    text
}

/// Head and width of each.
const COLUMNS: [(&str, usize); 11] = [
    ("failed", 11),
    ("requests/s", 10),
    ("min to max", 15),
    ("CPU µs", 7),
    ("min to max", 15),
    ("to ours", 7),
    ("p50 ms", 7),
    ("p99 ms", 7),
    ("MiB", 5),
    ("from 0 ms", 9),
    ("min to max", 12),
];

/// Fails when a request did.
///
/// # Errors
/// Says whose, and why the first.
pub fn failures(rows: &[Row]) -> Result<()> {
    let Some(Row { name, failed, first_failure, .. }) = rows.iter().find(|row| row.failed > 0) else { return Ok(()) };
    anyhow::bail!("{failed} requests to {name} failed, the first because {}", first_failure.as_deref().unwrap_or("-"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Figures, checked::Checked};
    use super::*;

    fn turn(cpu_us: f64, failed: &[&str]) -> Turn {
        let figures = Figures {
            rps: 1e5 / cpu_us,
            p50_us: 40.0 * cpu_us,
            p99_us: 90.0 * cpu_us,
            mean_us: 50.0 * cpu_us,
            cpu_us: Some(cpu_us),
            rss_kib: Some(2_048.0),
        };
        let failed: Vec<String> = failed.iter().map(|why| (*why).to_owned()).collect();
        let direct = Checked { answered: REQUESTS, failed: Vec::new() };
        let through = Checked { answered: REQUESTS - failed.len(), failed };
        Turn { from_zero: Duration::from_millis(300), direct, through, figures }
    }

    fn contestants() -> [Contestant; 2] {
        ["ours", "other"].map(|name| Contestant { name, beside: "ours", spec: serde_json::Value::Null })
    }

    /// On a machine that is twice as slow in the second round and four times in the third, the other costs 4, 12 and 5 times
    /// what ours does.
    fn rounds() -> Vec<Vec<Turn>> {
        let round = |machine: f64, itself: f64| vec![turn(10.0 * machine, &[]), turn(10.0 * machine * itself, &[])];
        vec![round(1.0, 4.0), round(2.0, 12.0), round(4.0, 5.0)]
    }

    #[test]
    fn ratios_are_of_pairs() {
        let rows = rows(&contestants(), &rounds()).unwrap();
        // Of the medians it would be 10.
        assert_eq!((rows[0].cpu_to_ours.p50, rows[1].cpu_to_ours.p50, rows[1].cpu_to_ours.max), (1.0, 5.0, 12.0));
        assert_eq!((rows[1].cpu_us.min, rows[1].cpu_us.p50, rows[1].cpu_us.max), (40.0, 200.0, 240.0));
        assert_eq!((rows[1].checked, rows[1].failed, rows[1].cpu_us.n), (6 * REQUESTS, 0, 3));
        failures(&rows).unwrap();
    }

    #[test]
    fn a_failure_is_counted_and_told() {
        let mut rounds = rounds();
        rounds[1][1] = turn(240.0, &["the status was 503", "10s passed"]);
        let rows = rows(&contestants(), &rounds).unwrap();
        assert_eq!((rows[1].checked, rows[1].failed), (6 * REQUESTS, 2));
        let told = failures(&rows).unwrap_err().to_string();
        assert!(told.contains("2 requests to other") && told.contains("503"), "{told}");
        assert!(table(&rows).contains("2 of 6000"));
    }

    #[test]
    fn a_turn_that_is_missing_is_an_error() {
        let mut rounds = rounds();
        rounds[1].pop();
        assert!(rows(&contestants(), &rounds).is_err());
    }

    #[test]
    fn all_lines_are_of_one_width() {
        let text = table(&rows(&contestants(), &rounds()).unwrap());
        let widths: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
        assert!(widths.len() == 3 && widths.iter().all(|width| *width == widths[0]), "{text}");
        let words: Vec<&str> = text.lines().last().unwrap().split_whitespace().collect();
        let wanted = "other 0 of 6000 500 417 to 2500 200.0 40.0 to 240.0 5.00 8.0 18.0 2 300 300 to 300";
        assert_eq!(words.join(" "), wanted);
    }
}
