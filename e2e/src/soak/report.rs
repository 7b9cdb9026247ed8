//! What a run has shown: checks that decide, figures, time series, and what was left out. Printed as a table, written as JSON.

use std::{collections::BTreeMap, fmt::Display};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::bench::stats::Spread;

/// The outcome of one scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Its name.
    pub scenario: String,
    /// What must be seen, in words.
    pub about: String,
    /// Fewer repetitions than the scenario asks for: to try it, not to show anything.
    pub rehearsal: bool,
    /// When it began.
    pub began: Timestamp,
    /// How long it took, in seconds.
    pub took_seconds: f64,
    /// What it ran on.
    pub environment: Environment,
    /// What had to be seen, and what was.
    pub checks: Vec<Check>,
    /// Figures, each with its raw numbers where there are several.
    pub figures: Vec<Figure>,
    /// What the figures leave out or do not prove.
    pub left_out: Vec<String>,
    /// Over time, in seconds since the run began: load, replicas, pods, activators.
    pub series: BTreeMap<String, Value>,
}

/// What a run was made on.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Environment {
    /// Of the API server.
    pub kubernetes: String,
    /// Logical processors of the machine.
    pub cores: usize,
    /// Pods of the operator.
    pub operators: usize,
    /// Pods of the activator.
    pub activators: usize,
    /// Seconds after which a leader that is not heard of is replaced.
    pub lease_seconds: Option<i32>,
    /// The controller manager's flags that limit its rate.
    pub controller_manager: Vec<String>,
    /// Commit of the source tree, with `-dirty` behind it where files differ.
    pub commit: String,
}

/// Something that had to be seen.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What.
    pub what: String,
    /// How it had to be.
    pub wanted: String,
    /// How it was.
    pub seen: String,
    /// Whether that will do.
    pub passed: bool,
}

/// One number, or many of a kind.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Of what.
    pub name: String,
    /// In what.
    pub unit: &'static str,
    /// The numbers themselves, in the order in which they were taken; none where they are too many to list.
    pub raw: Vec<f64>,
    /// How they are spread.
    pub spread: Option<Spread>,
}

impl Report {
    /// Something that had to be seen.
    pub fn check(&mut self, what: impl Display, wanted: impl Display, seen: impl Display, passed: bool) {
        let (what, wanted, seen) = (what.to_string(), wanted.to_string(), seen.to_string());
        self.checks.push(Check { what, wanted, seen, passed });
    }

    /// A number.
    pub fn figure(&mut self, name: impl Display, unit: &'static str, number: f64) {
        self.figures(name, unit, [number]);
    }

    /// Numbers of a kind.
    pub fn figures(&mut self, name: impl Display, unit: &'static str, numbers: impl IntoIterator<Item = f64>) {
        let raw: Vec<f64> = numbers.into_iter().map(|number| (number * 1e3).round() / 1e3).collect();
        let spread = Spread::of(raw.iter().copied());
        self.figures.push(Figure { name: name.to_string(), unit, raw, spread });
    }

    /// How numbers are spread that are too many to list.
    pub fn spread(&mut self, name: impl Display, unit: &'static str, numbers: impl IntoIterator<Item = f64>) {
        let spread = Spread::of(numbers);
        self.figures.push(Figure { name: name.to_string(), unit, raw: Vec::new(), spread });
    }

    /// Something over time, or in detail.
    pub fn series(&mut self, name: impl Into<String>, series: &impl Serialize) {
        let series = serde_json::to_value(series).unwrap_or_else(|error| Value::String(error.to_string()));
        self.series.insert(name.into(), series);
    }

    /// Something that the figures do not say.
    pub fn leave_out(&mut self, what: impl Into<String>) {
        self.left_out.push(what.into());
    }

    /// Whether all that had to be seen was. Nothing checked is nothing seen.
    pub fn passed(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.passed)
    }

    /// For people.
    pub fn print(&self) {
        println!("\n{}{}", self.scenario, if self.rehearsal { " (a rehearsal: proves nothing)" } else { "" });
        if !self.figures.is_empty() {
            println!("\n{:<52} {:>5} {:>10} {:>10} {:>10} {:>10}", "", "n", "min", "p50", "p95", "max");
        }
        for Figure { name, unit, raw, spread } in &self.figures {
            let label = format!("{name}, {unit}");
            match spread {
                Some(s) if raw.len() != 1 => {
                    println!("{label:<52} {:>5} {:>10} {:>10} {:>10} {:>10}", s.n, s.min, s.p50, s.p95, s.max)
                }
                _ => println!("{label:<52} {:>5} {:>10} {:>10}", "", "", raw.first().copied().unwrap_or(f64::NAN)),
            }
        }
        println!();
        for check in &self.checks {
            let mark = if check.passed { "✓" } else { "✗" };
            println!("  {mark} {}: {} (wanted: {})", check.what, check.seen, check.wanted);
        }
        for left_out in &self.left_out {
            println!("  · {left_out}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Report {
        Report {
            scenario: "x".to_owned(),
            about: String::new(),
            rehearsal: false,
            began: Timestamp::UNIX_EPOCH,
            took_seconds: 0.0,
            environment: Environment::default(),
            checks: Vec::new(),
            figures: Vec::new(),
            left_out: Vec::new(),
            series: BTreeMap::new(),
        }
    }

    #[test]
    fn only_what_was_checked_and_seen_passes() {
        let mut report = empty();
        assert!(!report.passed());
        report.check("failed", 0, 0, true);
        assert!(report.passed());
        report.check("late", "none", 1, false);
        assert!(!report.passed());
    }

    #[test]
    fn raw_numbers_stay_beside_their_spread() {
        let mut report = empty();
        report.figures("took", "ms", [3.0, 1.0004, 2.0]);
        assert_eq!(report.figures[0].raw, [3.0, 1.0, 2.0]);
        assert_eq!(report.figures[0].spread.as_ref().map(|s| (s.n, s.p50)), Some((3, 2.0)));
    }
}
