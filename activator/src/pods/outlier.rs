//! When a pod that is ready is better left alone for a while, though it can be reached. Decided from what became of its
//! requests.
//!
//! Two signs: requests fail at it one after the other, or it has gone silent, which is what a frozen process looks like: it
//! takes requests and gives no response's head, while the function's other pods do. A pod that has gone quiet, which may only
//! be slow with what it has, is asked for a sign of life first.

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row.
pub const FAILURES: u32 = 5;
/// Silence for so long.
const SILENT: Duration = Duration::from_secs(3);
/// Responses that the other pods begin meanwhile: a function that is slow as a whole has no outlier.
const OTHERS: u64 = 20;
/// The first time out.
const BASE: Duration = Duration::from_secs(5);
/// The longest time out.
const LONGEST: Duration = Duration::from_secs(60);
/// A pod that has been back for so long begins at [`BASE`] again.
const FORGOTTEN: Duration = Duration::from_secs(120);

/// Whether one more may be left alone: at most half of the pods that could take requests are, and never the last one.
pub const fn may_eject(ready: usize, ejected: usize) -> bool {
    ready > 1 && (ejected + 1) * 2 <= ready + ejected
}

/// How often and until when a pod was left alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    times: u32,
    until: Option<Instant>,
}

impl Record {
    /// The same with one time more, from `now` on.
    pub fn again(self, now: Instant) -> Self {
        let forgotten = self.until.is_none_or(|until| now.saturating_duration_since(until) > FORGOTTEN);
        let times = if forgotten { 0 } else { self.times };
        let term = BASE.saturating_mul(1 << times.min(8)).min(LONGEST);
        Self { times: times + 1, until: Some(now + term) }
    }

    /// When the last time ends or ended.
    pub const fn until(&self) -> Option<Instant> {
        self.until
    }
}

/// What is remembered of a pod from one look to the next.
#[derive(Debug, Default)]
pub struct Watch {
    heads: u64,
    /// The fewest requests in flight since its last response began.
    fewest: u64,
    /// Since when it owes an answer, and how many the others had given then.
    since: Option<(Instant, u64)>,
    quiet: Quiet,
}

/// A pod that owes answers, whenever they were asked for.
#[derive(Debug, Default)]
struct Quiet {
    heads: u64,
    /// Since when, or since it was asked last; and how many the others had given then.
    since: Option<(Instant, u64)>,
    asked: u32,
}

impl Watch {
    /// Whether the pod has gone silent. `heads` are the responses that it has begun, `others` those of the function's other
    /// pods. A request counts from the look that finds it: one that was there when the pod last answered may be a stream.
    pub fn look(&mut self, heads: u64, in_flight: u64, others: u64, now: Instant) -> bool {
        if heads != self.heads {
            (self.heads, self.fewest, self.since) = (heads, in_flight, None);
            return false;
        }
        self.fewest = self.fewest.min(in_flight);
        if in_flight > self.fewest {
            self.since.get_or_insert((now, others));
        }
        let Some((since, before)) = self.since.filter(|_| in_flight > 0) else { return false };
        let silent = now.saturating_duration_since(since) >= SILENT && others.saturating_sub(before) >= OTHERS;
        if silent {
            // Whatever it owes now says nothing new when it comes back.
            (self.fewest, self.since) = (in_flight, None);
        }
        silent
    }

    /// Whether the pod is to be asked for a sign of life: `awaited` requests wait for a response's head there, and it has begun
    /// none for as long as the one that counts as silent. It is asked again at longer and longer intervals.
    pub fn is_quiet(&mut self, heads: u64, awaited: u64, others: u64, now: Instant) -> bool {
        let quiet = &mut self.quiet;
        if heads != quiet.heads || awaited == 0 {
            *quiet = Quiet { heads, ..Quiet::default() };
        }
        if awaited == 0 {
            return false;
        }
        let (since, before) = *quiet.since.get_or_insert((now, others));
        let term = SILENT.saturating_mul(1 << quiet.asked.min(4));
        let due = now.saturating_duration_since(since) >= term && others.saturating_sub(before) >= OTHERS;
        if due {
            (quiet.asked, quiet.since) = (quiet.asked + 1, Some((now, others)));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn at_most_half_and_never_the_last() {
        let table = [
            ((0, 0), false),
            ((1, 0), false),
            ((2, 0), true),
            ((1, 1), false),
            ((3, 0), true),
            ((2, 1), false),
            ((4, 0), true),
            ((3, 1), true),
            ((2, 2), false),
            ((1, 5), false),
            ((60, 39), true),
            ((51, 49), true),
            ((50, 50), false),
        ];
        for ((ready, ejected), may) in table {
            assert_eq!(may_eject(ready, ejected), may, "{ready} ready, {ejected} left alone");
        }
    }

    proptest! {
        /// However pods come, go, fall out of doubt and come back: what an ejection leaves is at least half, and somebody.
        #[test]
        fn no_ejection_goes_beyond_the_share(steps in proptest::collection::vec(0u8..5, 1..200)) {
            let (mut ready, mut ejected) = (0usize, 0usize);
            for step in steps {
                match step {
                    0 => ready += 1,
                    1 => ready = ready.saturating_sub(1),
                    2 if ejected > 0 => (ready, ejected) = (ready + 1, ejected - 1),
                    _ if may_eject(ready, ejected) => {
                        (ready, ejected) = (ready - 1, ejected + 1);
                        prop_assert!(ready >= 1 && ready >= ejected);
                    }
                    _ => {}
                }
            }
        }
    }

    #[tokio::test]
    async fn each_time_is_longer_until_it_is_forgotten() {
        let mut now = Instant::now();
        let mut record = Record::default();
        for seconds in [5, 10, 20, 40, 60, 60] {
            record = record.again(now);
            assert_eq!(record.until(), Some(now + Duration::from_secs(seconds)));
            now = record.until().unwrap() + FORGOTTEN;
        }
        now += Duration::from_millis(1);
        assert_eq!(record.again(now).until(), Some(now + BASE));
    }

    /// Looks a second apart at (heads, in flight, the others' heads), and which of them find silence.
    fn looks(script: &[(u64, u64, u64)]) -> Vec<usize> {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let mut silent = Vec::new();
        for (second, (heads, in_flight, others)) in script.iter().enumerate() {
            if watch.look(*heads, *in_flight, *others, start + Duration::from_secs(second as u64)) {
                silent.push(second);
            }
        }
        silent
    }

    #[tokio::test]
    async fn silence_is_owing_an_answer_while_others_give_theirs() {
        // Frozen after nine answers.
        assert_eq!(looks(&[(9, 0, 90), (9, 2, 100), (9, 3, 110), (9, 3, 115), (9, 4, 120), (9, 4, 130)]), [4]);
        // It has never answered.
        assert_eq!(looks(&[(0, 0, 0), (0, 1, 10), (0, 1, 20), (0, 1, 30), (0, 1, 40)]), [4]);
        // The others say little, too.
        assert!(looks(&[(9, 0, 90), (9, 2, 90), (9, 3, 95), (9, 3, 99), (9, 4, 109), (9, 4, 109)]).is_empty());
        // One answer is enough.
        assert!(looks(&[(9, 0, 90), (9, 2, 190), (9, 3, 290), (10, 3, 390), (10, 4, 490), (10, 4, 590)]).is_empty());
        // Nothing is asked of it, but of streams that go on.
        assert!(looks(&[(9, 3, 90), (9, 3, 190), (9, 3, 290), (9, 3, 390), (9, 3, 490)]).is_empty());
        assert!(looks(&[(9, 0, 90), (9, 0, 190), (9, 0, 290), (9, 0, 390), (9, 0, 490)]).is_empty());
        // Streams end, and what comes then is a new request.
        assert_eq!(looks(&[(9, 3, 0), (9, 1, 50), (9, 2, 100), (9, 2, 150), (9, 2, 200), (9, 2, 250)]), [5]);
        // Its callers have left; nothing is owed any more.
        assert!(looks(&[(9, 0, 90), (9, 2, 190), (9, 0, 290), (9, 0, 390), (9, 0, 490), (9, 0, 590)]).is_empty());
        // Once found, it takes another request to be found again.
        assert_eq!(
            looks(&[
                (9, 0, 0),
                (9, 1, 50),
                (9, 1, 100),
                (9, 1, 150),
                (9, 1, 200),
                (9, 1, 250),
                (9, 1, 300),
                (9, 1, 350)
            ]),
            [4]
        );
    }

    #[tokio::test]
    async fn a_pod_that_owes_answers_is_asked_more_and_more_seldom() {
        // Seconds at which it is asked: (heads, awaited, the others' heads) once a second.
        let asked = |script: &dyn Fn(u64) -> (u64, u64, u64)| -> Vec<u64> {
            let (mut watch, start) = (Watch::default(), Instant::now());
            let quiet = |second: &u64| {
                let (heads, awaited, others) = script(*second);
                watch.is_quiet(heads, awaited, others, start + Duration::from_secs(*second))
            };
            (0..50).filter(quiet).collect()
        };
        assert_eq!(asked(&|second| (9, 1, second * 10)), [3, 9, 21, 45]);
        assert_eq!(asked(&|second| (second.min(5), 2, second * 10)), [8, 14, 26], "from its last answer on");
        assert!(asked(&|second| (second, 2, second * 10)).is_empty(), "it answers");
        assert!(asked(&|second| (9, second % 2, second * 10)).is_empty(), "nothing is owed for long");
        assert_eq!(asked(&|second| (9, 1, second)), [20, 40], "the others say little, too");
    }
}
