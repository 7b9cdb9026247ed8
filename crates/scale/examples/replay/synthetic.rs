//! A made-up load. It is no trace of anything: it has the four habits that the published traces show, in a stated mix.

use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    durations::Durations,
    function::{Calls, Function},
};

/// Eight hours.
pub(crate) const MINUTES: usize = 480;
/// Of each habit.
pub(crate) const PERIODIC: usize = 16;
pub(crate) const RARE: usize = 12;
pub(crate) const BURSTY: usize = 8;
pub(crate) const STEADY: usize = 4;

/// The same functions for the same seed.
pub(crate) fn functions(seed: u64) -> Vec<Function> {
    type Habit = fn(&mut StdRng) -> Vec<u32>;
    let mut random = StdRng::seed_from_u64(seed);
    let habits: [(&str, usize, Habit); 4] = [
        ("periodic", PERIODIC, periodic),
        ("rare", RARE, rare),
        ("bursty", BURSTY, bursty),
        ("steady", STEADY, steady),
    ];
    let mut functions = Vec::new();
    for (habit, count, counts) in habits {
        for number in 1..=count {
            let name = ["synthetic".to_owned(), habit.to_owned(), number.to_string()];
            let calls = Calls::PerMinute(counts(&mut random));
            // Medians from 10 ms to 1 s, evenly in their logarithm; the slowest takes ten times as long.
            let median = 10_f64.powf(random.random_range(1.0..3.0));
            let points = vec![(0.0, median / 4.0), (50.0, median), (99.0, median * 4.0), (100.0, median * 10.0)];
            functions.push(Function { name, calls, durations: Some(Durations::new(points)) });
        }
    }
    functions
}

/// One request every 2 to 90 minutes, now and then a minute late.
fn periodic(random: &mut StdRng) -> Vec<u32> {
    let period = random.random_range(2..=90);
    let mut counts = vec![0; MINUTES];
    for due in (random.random_range(0..period)..MINUTES).step_by(period) {
        let late = usize::from(random.random_bool(0.1));
        counts[(due + late).min(MINUTES - 1)] += 1;
    }
    counts
}

/// Single requests without any order, one in 20 to 240 minutes on average.
fn rare(random: &mut StdRng) -> Vec<u32> {
    let gap: f64 = random.random_range(20.0..240.0);
    (0..MINUTES).map(|_| u32::from(random.random_bool(1.0 / gap))).collect()
}

/// Every 10 to 60 minutes one to three minutes of 100 to 5,000 requests each.
fn bursty(random: &mut StdRng) -> Vec<u32> {
    let mut counts = vec![0; MINUTES];
    let mut minute = random.random_range(0..60);
    while minute < MINUTES {
        let length = random.random_range(1..=3);
        let size = random.random_range(100..=5_000);
        counts.iter_mut().skip(minute).take(length).for_each(|count| *count = size);
        minute += length + random.random_range(10..=60);
    }
    counts
}

/// 1 to 30 requests a second, a third more and less over the time.
fn steady(random: &mut StdRng) -> Vec<u32> {
    let mean: f64 = 60.0 * random.random_range(1.0..30.0);
    let phase: f64 = random.random_range(0.0..std::f64::consts::TAU);
    let wave = |minute: u32| (phase + f64::from(minute) / 240.0 * std::f64::consts::TAU).sin() / 3.0;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let count = |minute| (mean * (1.0 + wave(minute))).round() as u32;
    (0..).take(MINUTES).map(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_load_and_the_stated_mix() {
        let made = functions(7);
        assert_eq!(made, functions(7));
        assert_ne!(made, functions(8));
        let of = |habit: &str| made.iter().filter(|function| function.name[1] == habit).count();
        assert_eq!([of("periodic"), of("rare"), of("bursty"), of("steady")], [PERIODIC, RARE, BURSTY, STEADY]);
        assert!(made.iter().all(|function| function.minutes() == MINUTES));
        for function in &made {
            let Calls::PerMinute(counts) = &function.calls else { panic!("exact") };
            let most = counts.iter().copied().max().unwrap();
            match function.name[1].as_str() {
                "periodic" => assert!(counts.iter().sum::<u32>() >= 5 && most <= 2),
                "rare" => assert!(most <= 1),
                "bursty" => assert!((100..=5_000).contains(&most)),
                _ => assert!(counts.iter().all(|count| (40..=2_400).contains(count))),
            }
        }
    }
}
