//! Whether requests that were held were served in the order in which they came.

use super::Sample;

/// How many of the held requests were overtaken: one that was sent at least `gap` seconds later arrived earlier at its pod.
/// Two sent closer together may change places on their way to the activator, which says nothing about its queue. Gives
/// (overtaken, held).
pub fn overtaken<'a>(samples: impl IntoIterator<Item = &'a Sample>, gap: f64) -> (usize, usize) {
    let held = samples.into_iter().filter(|sample| sample.held);
    let mut times: Vec<(f64, f64)> = held.filter_map(|sample| Some((sample.sent, sample.arrived?))).collect();
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    // The earliest arrival of this one and all sent after it.
    let mut earliest: Vec<f64> = times.iter().map(|(_, arrived)| *arrived).collect();
    for place in (1..earliest.len()).rev() {
        earliest[place - 1] = earliest[place - 1].min(earliest[place]);
    }
    let overtaken = times.iter().filter(|(sent, arrived)| {
        let later = times.partition_point(|(other, _)| *other < sent + gap);
        earliest.get(later).is_some_and(|other| other < arrived)
    });
    (overtaken.count(), times.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(sent: f64, arrived: f64) -> Sample {
        Sample { sent, arrived: Some(arrived), held: true, ..Sample::default() }
    }

    #[test]
    fn only_what_came_clearly_later_overtakes() {
        let samples = [held(0.0, 1.0), held(0.002, 0.9), held(0.1, 1.1), held(0.2, 1.05), held(0.3, 2.0)];
        assert_eq!(overtaken(&samples, 0.05), (1, 5));
        assert_eq!(overtaken(&samples, 0.001), (2, 5));
        assert_eq!(overtaken(&samples, 0.5), (0, 5));
    }

    #[test]
    fn what_was_not_held_does_not_count() {
        let passed = Sample { sent: 0.5, arrived: Some(0.5), ..Sample::default() };
        assert_eq!(overtaken(&[held(0.0, 1.0), passed], 0.05), (0, 1));
    }
}
