use proptest::prelude::*;

use super::*;

const S: Duration = Duration::from_secs(1);

fn level(level: f64, seconds: f64) -> Sum {
    Sum { request_seconds: level * seconds, requests: level * seconds }
}

#[test]
fn coefficients() {
    // 1 − 0.0001^(1/6) = 1 − 10^(−2/3); from 42 s on it is the least.
    for (seconds, expected) in [(1, 0.9999), (6, 1.0 - 10_f64.powf(-2.0 / 3.0)), (41, 0.201_2), (42, 0.2), (3600, 0.2)]
    {
        let got = coefficient(seconds * S);
        assert!((got - expected).abs() < 1e-4, "{seconds}: {got}");
    }
    // 7.5 s are eight of Knative's buckets.
    assert_eq!(coefficient(Duration::from_millis(7_500)), coefficient(8 * S));
}

#[test]
fn seconds_weigh_as_knative_says() {
    // Oldest to newest 10, 10, 5, 5 with c = 0.2: 5 × 0.2 + 5 × 0.16 + 10 × 0.128 + 10 × 0.1024 = 4.104.
    let start = Instant::now();
    let mut decay = Decay::new(start, 60 * S);
    for (second, load) in [10.0, 10.0, 5.0, 5.0].into_iter().enumerate() {
        let from = start + S * u32::try_from(second).unwrap();
        decay.add(from, from + S, level(load, 1.0));
    }
    let now = start + 4 * S;
    assert!((decay.at(now).requests - 4.104).abs() < 1e-9);
    // A silent second: everything by 0.8.
    assert!((decay.at(now + S).requests - 4.104 * 0.8).abs() < 1e-9);
    // A long steady load is itself.
    for second in 4..200 {
        decay.add(start + S * second, start + S * (second + 1), level(7.0, 1.0));
    }
    assert!((decay.at(start + 200 * S).requests - 7.0).abs() < 1e-9);
}

proptest! {
    /// Any cut of whole seconds into reports, told in any order, weighs as the seconds themselves do.
    #[test]
    fn as_the_sum_over_seconds(
        loads in prop::collection::vec((0_u32..1000, 1_u32..9), 1..90),
        shift in 0_usize..90,
        window in 1_u32..120,
    ) {
        let start = Instant::now();
        let now = start + S * u32::try_from(loads.len()).unwrap();
        let c = coefficient(S * window);
        let mut expected = 0.0;
        let mut reports = Vec::new();
        for (age, (load, cuts)) in loads.iter().enumerate() {
            expected += f64::from(*load) * c * (1.0 - c).powi(i32::try_from(age).unwrap());
            let from = now - S * u32::try_from(age + 1).unwrap();
            for cut in 0..*cuts {
                let piece = |cut: u32| from + S * cut / *cuts;
                reports.push((piece(cut), piece(cut + 1), f64::from(*load) / f64::from(*cuts)));
            }
        }
        let mut decay = Decay::new(start, S * window);
        let shift = shift % reports.len();
        reports.rotate_left(shift);
        for (from, to, sum) in reports {
            decay.add(from, to, level(sum, 1.0));
        }
        let got = decay.at(now).requests;
        prop_assert!((got - expected).abs() < 1e-4 * (1.0 + expected), "{got} {expected}");
    }
}
