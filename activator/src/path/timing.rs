//! The phases of a cold start, as `Server-Timing` and the log give them.
//!
//! The phases follow one another and add up to `total`: a boundary that lies before the one in front of it, or before the
//! arrival, makes its phase empty. So a request that comes while a pod starts already has no `patch`, and part of a `start`.

use std::fmt;
use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

use crate::pods::Seen;
use crate::wake::WakeTimes;

/// One phase of a cold start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// In the queue, for no reason that another phase names: before the wake, and after the pod was ready.
    Held,
    /// The patch of `/scale`, until it was answered.
    Patch,
    /// Until the pod had a node.
    Schedule,
    /// Until the pod had an IP.
    Start,
    /// Until the pod's readiness was proved.
    Probe,
    /// From leave to send it to the head of the response.
    FirstByte,
}

impl Step {
    /// Every phase, in order.
    pub const ALL: [Self; 6] = [Self::Held, Self::Patch, Self::Schedule, Self::Start, Self::Probe, Self::FirstByte];

    /// As it stands in `Server-Timing` and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Patch => "patch",
            Self::Schedule => "schedule",
            Self::Start => "start",
            Self::Probe => "probe",
            Self::FirstByte => "first-byte",
        }
    }
}

/// The phases of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// From the arrival to the head of the response: the sum of the phases.
    pub total: Duration,
    phases: [Duration; 6],
}

impl Timeline {
    /// From what was seen. `sent` is when the request got leave for the pod, `answered` when the head of its response came.
    pub fn new(arrived: Instant, wake: Option<WakeTimes>, pod: Seen, sent: Instant, answered: Instant) -> Self {
        let mut at = arrived;
        let mut until = |boundary: Option<Instant>| {
            let end = boundary.map_or(at, |boundary| boundary.clamp(at, sent.max(at)));
            let phase = end - at;
            at = end;
            phase
        };
        // A wake of an earlier start explains nothing.
        let wake = wake.filter(|wake| wake.answered.is_none_or(|answered| answered >= arrived));
        let before = until(wake.map(|wake| wake.sent));
        let patch = until(wake.and_then(|wake| wake.answered));
        let schedule = until(pod.scheduled);
        let start = until(pod.address);
        let probe = until(pod.ready);
        let after = until(Some(sent));
        let first_byte = answered.saturating_duration_since(at);
        let phases = [before + after, patch, schedule, start, probe, first_byte];
        Self { total: phases.iter().sum(), phases }
    }

    /// How long a phase took.
    pub fn phase(&self, step: Step) -> Duration {
        self.phases[step as usize]
    }

    /// The value of `Server-Timing` (W3C Server Timing), in milliseconds.
    pub fn header(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(self.to_string()).ok()
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "total;dur={}", millis(self.total))?;
        for step in Step::ALL {
            write!(f, ", {};dur={}", step.as_str(), millis(self.phase(step)))?;
        }
        Ok(())
    }
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_phases_add_up() {
        let t = Instant::now();
        let at = |ms| t + Duration::from_millis(ms);
        let seen = |a, b, c| Seen { scheduled: Some(at(a)), address: Some(at(b)), ready: Some(at(c)) };
        let wake = Some(WakeTimes { sent: at(101), answered: Some(at(105)) });
        let cold = Timeline::new(at(100), wake, seen(120, 300, 302), at(303), at(310));
        assert_eq!(
            cold.to_string(),
            "total;dur=210, held;dur=2, patch;dur=4, schedule;dur=15, start;dur=180, probe;dur=2, first-byte;dur=7"
        );
        // The watch was faster than the patch's answer; the sum holds.
        let odd = Timeline::new(at(100), wake, seen(103, 104, 302), at(303), at(310));
        assert_eq!(odd.total.as_millis(), 210);
        assert_eq!(odd.phase(Step::Schedule), Duration::ZERO);
        // In the middle of a start.
        let late = Timeline::new(at(200), wake, seen(120, 300, 302), at(303), at(310));
        assert_eq!(late.phase(Step::Patch), Duration::ZERO);
        assert_eq!(late.phase(Step::Start).as_millis(), 100);
        assert_eq!(late.total.as_millis(), 110);
        // Held by the pace alone, at a pod that has been ready for long.
        let paced = Timeline::new(at(900), wake, seen(120, 300, 302), at(950), at(960));
        assert_eq!(
            paced.to_string(),
            "total;dur=60, held;dur=50, patch;dur=0, schedule;dur=0, start;dur=0, probe;dur=0, first-byte;dur=10"
        );
        let nothing = Timeline::new(at(0), None, Seen::default(), at(5), at(6));
        assert_eq!(nothing.phase(Step::Held).as_millis(), 5);
    }

    proptest::proptest! {
        /// Whatever was seen, in whatever order, the phases make up the whole.
        #[test]
        fn the_phases_always_add_up(seen in proptest::collection::vec(proptest::option::of(0u64..1000), 5), sent in 0u64..1000, answer in 0u64..1000) {
            let t = Instant::now();
            let at = |ms: Option<u64>| ms.map(|ms| t + Duration::from_millis(ms));
            let wake = at(seen[0]).map(|sent| WakeTimes { sent, answered: at(seen[1]) });
            let pod = Seen { scheduled: at(seen[2]), address: at(seen[3]), ready: at(seen[4]) };
            let arrived = t + Duration::from_millis(300);
            let sent = arrived + Duration::from_millis(sent);
            let answered = sent + Duration::from_millis(answer);
            let timeline = Timeline::new(arrived, wake, pod, sent, answered);
            proptest::prop_assert_eq!(timeline.total, answered - arrived);
        }
    }
}
