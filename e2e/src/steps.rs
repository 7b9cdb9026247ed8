//! What the user sees of long work: a spinner or bar for each step while it runs, and one line with
//! its duration when it ends. Plain lines when standard error is not a terminal.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Prints steps, one after another.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    terminal: bool,
}

impl Steps {
    /// Steps on standard error.
    pub fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal() }
    }

    /// Begins a step. It ends with [`Step::done`], or as failed when dropped.
    pub fn begin(&self, label: impl Into<String>) -> Step {
        let label = label.into();
        let bar = ProgressBar::no_length();
        if self.terminal {
            bar.set_style(style("  {spinner} {prefix} {wide_msg:.dim} {elapsed:.dim}"));
            bar.set_prefix(label.clone());
            bar.enable_steady_tick(Duration::from_millis(100));
        } else {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        Step { label, bar, terminal: self.terminal, began: Instant::now(), ended: false }
    }

    /// Runs `work` as one step.
    pub fn run<T>(&self, label: impl Into<String>, work: impl FnOnce(&Step) -> Result<T>) -> Result<T> {
        let step = self.begin(label);
        let result = work(&step)?;
        step.done("");
        Ok(result)
    }
}

impl Default for Steps {
    fn default() -> Self {
        Self::new()
    }
}

/// One step under way.
#[derive(Debug)]
pub struct Step {
    label: String,
    bar: ProgressBar,
    terminal: bool,
    began: Instant,
    ended: bool,
}

impl Step {
    /// Says what the step is at, beside its label. Nothing without a terminal.
    pub fn at(&self, what: impl Into<String>) {
        self.bar.set_message(what.into());
    }

    /// Says that the step is long: its label is printed at once where there is no spinner to show.
    pub fn long(&self, why: &str) {
        self.at(why);
        if !self.terminal {
            eprintln!("  … {} ({why})", self.label);
        }
    }

    /// Turns the spinner into a bar of `total` units.
    pub fn of(&self, total: u64) {
        self.bar.set_length(total);
        self.bar.set_style(style("  {spinner} {prefix} [{bar:30}] {pos}/{len} {wide_msg:.dim} {elapsed:.dim}"));
    }

    /// One unit further.
    pub fn advance(&self) {
        self.bar.inc(1);
    }

    /// Ends the step and prints its line; `note` says what is worth knowing about the result.
    pub fn done(mut self, note: &str) {
        self.end("✓", note);
    }

    fn end(&mut self, mark: &str, note: &str) {
        self.ended = true;
        self.bar.finish_and_clear();
        let gap = if note.is_empty() { "" } else { "  " };
        eprintln!("  {mark} {:<36} {:>8}{gap}{note}", self.label, seconds(self.began.elapsed()));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.ended {
            self.end("✗", "");
        }
    }
}

/// A duration as a person reads it: `3 ms`, `4.2 s`, `5 min 03 s`.
pub fn seconds(duration: Duration) -> String {
    let millis = duration.as_millis();
    match duration.as_secs() {
        0 => format!("{millis} ms"),
        1..60 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        all => format!("{} min {:02} s", all / 60, all % 60),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let read = |millis| seconds(Duration::from_millis(millis));
        assert_eq!(read(7), "7 ms");
        assert_eq!(read(4_250), "4.2 s");
        assert_eq!(read(303_000), "5 min 03 s");
    }
}
