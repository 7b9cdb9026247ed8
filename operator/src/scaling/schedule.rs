//! Windows of time with a minimum of their own: how many replicas they ask for, and when that may change next. Pure.

use std::time::Duration;

use crds::function::Schedule;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{Timestamp, tz::TimeZone};

/// Years in which a time is looked for. Without them, to find out that none ever comes takes a hundred times as long, of
/// the task that scales everything.
const YEARS: &str = "1970-2099";

/// Why a schedule cannot be followed; the text says what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The cron is not understood. Carries it, and what the parser says.
    #[error(
        "cron {0:?} is not understood ({1}): write minute, hour, day of the month, month and day of the week, such as \
         \"0 8 * * MON-FRI\""
    )]
    Cron(String, String),
    /// It is understood, and no calendar has such a time.
    #[error("cron {0:?} never comes: no month has such a day")]
    Never(String),
    /// There is no such time zone.
    #[error("timeZone {0:?} is not known: write an IANA name, such as Europe/Berlin, or leave it out for UTC")]
    TimeZone(String),
}

/// One schedule, read.
#[derive(Clone, Debug)]
struct Window {
    cron: Cron,
    zone: TimeZone,
    duration: Duration,
    min: i32,
}

/// What schedules ask for at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Replicas that are to run without any load.
    pub min: i32,
    /// Before then nothing changes; `None`: nothing ever does.
    pub until: Option<Timestamp>,
}

/// The schedules of one Function.
#[derive(Clone, Debug, Default)]
pub struct Windows(Vec<Window>);

impl Windows {
    /// Reads schedules; also why some of them, by their place in the list, cannot be followed. These are left out.
    pub fn read(schedules: &[Schedule]) -> (Self, Vec<(usize, Wrong)>) {
        let mut windows = Vec::new();
        let mut wrong = Vec::new();
        for (at, schedule) in schedules.iter().enumerate() {
            match Window::read(schedule) {
                Ok(window) => windows.push(window),
                Err(error) => wrong.push((at, error)),
            }
        }
        (Self(windows), wrong)
    }

    /// What they ask for at `now`: the largest minimum of those in force.
    pub fn asked(&self, now: Timestamp) -> Asked {
        let mut asked = Asked::default();
        for window in &self.0 {
            let Some((begins, ends)) = window.next(now) else { continue };
            let until = if begins <= now { ends } else { begins };
            if begins <= now {
                asked.min = asked.min.max(window.min);
            }
            asked.until = Some(asked.until.map_or(until, |other| other.min(until)));
        }
        asked
    }
}

impl Window {
    fn read(schedule: &Schedule) -> Result<Self, Wrong> {
        let cron = &schedule.cron;
        if cron.split_whitespace().count() != 5 {
            return Err(Wrong::Cron(cron.clone(), "it does not have five fields".to_owned()));
        }
        let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Required).build();
        let whole = format!("0 {cron} {YEARS}");
        let parsed = parser.parse(&whole).map_err(|error| Wrong::Cron(cron.clone(), error.to_string()))?;
        let zone = match schedule.time_zone.as_str() {
            "" => TimeZone::UTC,
            name => TimeZone::get(name).map_err(|_| Wrong::TimeZone(name.to_owned()))?,
        };
        let seconds = schedule.duration_seconds.clamp(60, 86400).unsigned_abs();
        let window =
            Self { cron: parsed, zone, duration: Duration::from_secs(seconds.into()), min: schedule.min_replicas };
        // Whether it ever comes does not depend on when one begins to look.
        window.next(Timestamp::UNIX_EPOCH).map(|_| window).ok_or_else(|| Wrong::Never(cron.clone()))
    }

    /// Beginning and end of the first window that is not over at `now`. Summer time is cron's affair: a time that a
    /// night skips comes right after the gap, one that it has twice comes once.
    fn next(&self, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let after = now.checked_sub(self.duration).ok()?.to_zoned(self.zone.clone());
        let begins = self.cron.find_next_occurrence(&after, false).ok()?.timestamp();
        Some((begins, begins.checked_add(self.duration).ok()?))
    }
}

#[cfg(test)]
mod tests;
