use proptest::prelude::*;

use super::*;

/// Long enough before everything.
fn origin() -> Instant {
    Instant::now() + Duration::from_secs(100_000)
}

fn requests(requests: f64) -> Sum {
    Sum { request_seconds: 0.0, requests }
}

#[test]
fn an_edge_inside_a_bucket_takes_its_share() {
    let start = origin();
    let second = Duration::from_secs(1);
    let mut window = Window::new(start, 100 * second);
    // Two a second for ten seconds, in one go.
    window.add(start, start + 10 * second, requests(20.0));
    for (from, sum) in [(0, 20.0), (4_000, 12.0), (4_250, 11.5), (9_999, 0.002), (10_000, 0.0), (50_000, 0.0)] {
        let since = window.since(start + Duration::from_millis(from)).requests;
        assert!((since - sum).abs() < 1e-9, "{from}: {since}");
    }
    // All of it while the window reaches beyond.
    assert!((window.since(start - 50 * second).requests - 20.0).abs() < 1e-9);
}

#[test]
fn late_parts_count_and_parts_before_the_window_do_not() {
    let start = origin();
    let second = Duration::from_secs(1);
    let mut window = Window::new(start, 100 * second);
    window.add(start + 99 * second, start + 100 * second, requests(1.0));
    // Out of order, of no length, and half of it too old.
    window.add(start + 20 * second, start + 21 * second, requests(2.0));
    window.add(start + 30 * second, start + 30 * second, requests(4.0));
    window.add(start - 10 * second, start + 10 * second, requests(8.0));
    assert!((window.since(start).requests - 11.0).abs() < 1e-9);
    // From before the first bucket there is: only what reaches into it.
    window.add(start - 300 * second, start - 200 * second, requests(64.0));
    window.add(start - 200 * second, start - 200 * second, requests(64.0));
    window.add(start - 200 * second, start + 100 * second, requests(3.0));
    assert!((window.since(start).requests - 12.0).abs() < 1e-9);
    // Far ahead: everything is fresh.
    window.add(start + 9_999 * second, start + 9_999 * second, requests(16.0));
    assert!((window.since(start).requests - 16.0).abs() < 1e-9);
    // And far behind, where there is no bucket any more.
    window.add(start, start, requests(32.0));
    window.add(start, start + second, requests(32.0));
    assert!((window.since(start).requests - 16.0).abs() < 1e-9);
}

#[derive(Clone, Debug)]
struct Part {
    from_ms: u64,
    length_ms: u64,
    level: u32,
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    // Spread over three windows, told in any order.
    let part = (0_u64..180_000, 0_u64..3_000, 0_u32..500);
    prop::collection::vec(part.prop_map(|(from_ms, length_ms, level)| Part { from_ms, length_ms, level }), 1..120)
}

proptest! {
    /// The bounded sums equal the ones over the whole list of parts, up to what the bucket at the edge holds.
    #[test]
    fn as_the_whole_list(mut parts in parts(), late in 0_u64..30_000) {
        let start = origin();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let length = Duration::from_secs(60);
        // Each comes up to `late` after its time.
        parts.sort_by_key(|part| part.from_ms + u64::from(part.level) * late / 500);
        let mut window = Window::new(at(parts[0].from_ms), length);
        let mut newest = 0;
        for part in &parts {
            let end = part.from_ms + part.length_ms;
            #[allow(clippy::cast_precision_loss)]
            let sum = Sum {
                request_seconds: f64::from(part.level) * part.length_ms as f64 / 1000.0,
                requests: f64::from(part.level),
            };
            window.add(at(part.from_ms), at(end), sum);
            newest = newest.max(end);
        }
        let exact = |since: u64| parts.iter().fold(Sum::default(), |total, part| {
            let end = part.from_ms + part.length_ms;
            #[allow(clippy::cast_precision_loss)]
            let share = if part.length_ms == 0 {
                f64::from(u8::from(part.from_ms >= since))
            } else {
                end.saturating_sub(since.max(part.from_ms)) as f64 / part.length_ms as f64
            };
            #[allow(clippy::cast_precision_loss)]
            let request_seconds = f64::from(part.level) * part.length_ms as f64 / 1000.0 * share;
            total.plus(Sum { request_seconds, requests: f64::from(part.level) * share })
        });
        // A bucket is 600 ms: the truth lies between the sums from one bucket later and from one bucket earlier.
        for now in [newest, newest + 1, newest + 777, newest + 31_000, newest + 61_000] {
            let since = now.saturating_sub(60_000);
            if since < 600 {
                continue;
            }
            let (got, least, most) = (window.since(at(since)), exact(since + 600), exact(since - 600));
            prop_assert!(got.requests >= least.requests - 1e-6, "{got:?} {least:?}");
            prop_assert!(got.requests <= most.requests + 1e-6, "{got:?} {most:?}");
            prop_assert!(got.request_seconds >= least.request_seconds - 1e-6, "{got:?} {least:?}");
            prop_assert!(got.request_seconds <= most.request_seconds + 1e-6, "{got:?} {most:?}");
        }
    }
}
