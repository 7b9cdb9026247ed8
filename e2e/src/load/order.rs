//! Whether requests that were held were let go in the order in which they came.

use super::Sample;

/// How many of the held requests were overtaken: one that was sent at least `gap` seconds later came through more than `gap`
/// seconds earlier. Two closer together may change places on their way to the activator, or in its measuring, which says
/// nothing about its queue. `through` says when: [`Sample::released`] is the activator's own doing, [`Sample::arrived`] has
/// connects to the pods and their slowness in it too. One of which that is not known does not count. Gives (overtaken, held).
pub fn overtaken<'a>(
    samples: impl IntoIterator<Item = &'a Sample>,
    gap: f64,
    through: impl Fn(&Sample) -> Option<f64>,
) -> (usize, usize) {
    let held = samples.into_iter().filter(|sample| sample.held);
    inversions(held.filter_map(|sample| Some((sample.sent, through(sample)?))).collect(), gap, gap)
}

/// The same by the activator's own stamps ([`Sample::queued`]), which know nothing of how long a request took to it. Of
/// requests that waited for the start of one and the same pod. `came` and `went` are how well they are known.
pub fn overtaken_in_queue<'a>(samples: impl IntoIterator<Item = &'a Sample>, came: f64, went: f64) -> (usize, usize) {
    inversions(samples.into_iter().filter_map(|sample| sample.queued).collect(), came, went)
}

/// Of (in, out): how many came in at least `came` before one that went out more than `went` before them; and of how many.
fn inversions(mut times: Vec<(f64, f64)>, came: f64, went: f64) -> (usize, usize) {
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    // The earliest one through, of this one and all sent after it.
    let mut earliest: Vec<f64> = times.iter().map(|(_, through)| *through).collect();
    for place in (1..earliest.len()).rev() {
        earliest[place - 1] = earliest[place - 1].min(earliest[place]);
    }
    let overtaken = times.iter().filter(|(at, through)| {
        let later = times.partition_point(|(other, _)| *other < at + came);
        earliest.get(later).is_some_and(|other| *other < through - went)
    });
    (overtaken.count(), times.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(sent: f64, released: f64) -> Sample {
        Sample { sent, released: Some(released), held: true, ..Sample::default() }
    }

    fn of(samples: &[Sample], gap: f64) -> (usize, usize) {
        overtaken(samples, gap, |sample| sample.released)
    }

    #[test]
    fn only_what_came_clearly_later_and_went_clearly_earlier_overtakes() {
        let samples = [held(0.0, 1.0), held(0.25, 0.5), held(1.0, 3.0), held(2.0, 2.0), held(3.0, 4.0)];
        assert_eq!(of(&samples, 0.125), (2, 5));
        // The first pair was sent too close together, and the second one is left.
        assert_eq!(of(&samples, 0.375), (1, 5));
        assert_eq!(of(&samples, 1.0), (0, 5), "by just the gap is not by more");
    }

    #[test]
    fn a_gap_at_one_end_alone_is_no_overtaking() {
        assert_eq!(of(&[held(0.0, 1.0), held(0.5, 0.9375)], 0.125), (0, 2), "let go together");
        assert_eq!(of(&[held(0.0, 1.0), held(0.0625, 0.5)], 0.125), (0, 2), "sent together");
        assert_eq!(of(&[held(0.0, 1.0), held(0.125, 0.5)], 0.125), (1, 2));
    }

    #[test]
    fn one_behind_a_later_one_is_looked_for_among_all() {
        // The third is through before the first, and the second, which is not, lies between.
        assert_eq!(of(&[held(0.0, 2.0), held(0.5, 3.0), held(1.0, 1.0)], 0.125), (2, 3));
    }

    #[test]
    fn how_slow_its_pod_was_is_no_matter_of_the_queue() {
        let slow = Sample { arrived: Some(5.0), ..held(0.0, 1.0) };
        let fast = Sample { arrived: Some(1.25), ..held(0.5, 1.0) };
        assert_eq!(of(&[slow.clone(), fast.clone()], 0.125), (0, 2));
        assert_eq!(overtaken(&[slow, fast], 0.125, |sample| sample.arrived), (1, 2));
    }

    #[test]
    fn the_activators_own_stamps_count_where_the_callers_say_nothing() {
        let queued = |at, of| Sample { queued: Some((at, of)), ..held(0.0, 0.0) };
        let samples = [queued(-5.0, 0.5), queued(-4.0, 0.25), queued(-3.0, 0.75), held(0.0, 1.0)];
        assert_eq!(overtaken_in_queue(&samples, 0.5, 0.125), (1, 3));
        assert_eq!(overtaken_in_queue(&samples, 0.5, 0.25), (0, 3));
        assert_eq!(overtaken_in_queue(&samples, 1.5, 0.125), (0, 3));
    }

    #[test]
    fn what_was_not_held_or_whose_release_is_not_known_does_not_count() {
        let passed = Sample { sent: 0.5, released: Some(0.5), ..Sample::default() };
        let unknown = Sample { sent: 0.5, held: true, ..Sample::default() };
        assert_eq!(of(&[held(0.0, 1.0), passed, unknown], 0.125), (0, 1));
    }
}
