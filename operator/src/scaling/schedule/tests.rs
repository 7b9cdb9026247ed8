use super::*;

fn schedule(cron: &str, zone: &str, seconds: i32, min: i32) -> Schedule {
    Schedule { cron: cron.to_owned(), time_zone: zone.to_owned(), duration_seconds: seconds, min_replicas: min }
}

fn windows(schedules: &[Schedule]) -> Windows {
    let (windows, wrong) = Windows::read(schedules);
    assert_eq!(wrong, []);
    windows
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn asked(min: i32, until: &str) -> Asked {
    Asked { min, until: Some(at(until)) }
}

#[test]
fn a_window_is_in_force_from_its_minute_for_its_duration() {
    let windows = windows(&[schedule("30 8 * * *", "", 90, 3)]);
    for (now, expected) in [
        ("2026-11-21T08:29:59.999Z", asked(0, "2026-11-21T08:30:00Z")),
        ("2026-11-21T08:30:00Z", asked(3, "2026-11-21T08:31:30Z")),
        ("2026-11-21T08:31:29.999Z", asked(3, "2026-11-21T08:31:30Z")),
        ("2026-11-21T08:31:30Z", asked(0, "2026-11-22T08:30:00Z")),
    ] {
        assert_eq!(windows.asked(at(now)), expected, "{now}");
    }
}

#[test]
fn the_largest_of_those_in_force_counts_and_the_next_change_is_the_first_of_all() {
    let windows = windows(&[schedule("0 8 * * *", "UTC", 7200, 2), schedule("0 9 * * *", "UTC", 1800, 5)]);
    assert_eq!(windows.asked(at("2026-11-21T08:10:00Z")), asked(2, "2026-11-21T09:00:00Z"));
    assert_eq!(windows.asked(at("2026-11-21T09:10:00Z")), asked(5, "2026-11-21T09:30:00Z"));
    assert_eq!(windows.asked(at("2026-11-21T09:30:00Z")), asked(2, "2026-11-21T10:00:00Z"));
    assert_eq!(Windows::default().asked(at("2026-11-21T09:30:00Z")), Asked::default());
}

/// A window that comes again before it is over never has a gap.
#[test]
fn windows_that_overlap_themselves_are_one() {
    let windows = windows(&[schedule("*/10 * * * *", "UTC", 900, 1)]);
    let mut now = at("2026-11-21T00:00:00Z");
    for _ in 0..288 {
        let asked = windows.asked(now);
        assert_eq!(asked.min, 1, "{now}");
        assert!(asked.until.unwrap() > now);
        now += Duration::from_secs(300);
    }
}

#[test]
fn a_time_zone_has_its_summer() {
    let windows = windows(&[schedule("0 8 * * MON-FRI", "Europe/Berlin", 3600, 1)]);
    // A Friday in winter, a Monday in summer.
    assert_eq!(windows.asked(at("2026-01-09T07:00:00Z")).min, 1);
    assert_eq!(windows.asked(at("2026-01-09T06:59:59Z")).min, 0);
    assert_eq!(windows.asked(at("2026-07-06T06:00:00Z")).min, 1);
    assert_eq!(windows.asked(at("2026-07-06T07:00:00Z")).min, 0);
    // A Saturday.
    assert_eq!(windows.asked(at("2026-01-10T07:30:00Z")), asked(0, "2026-01-12T07:00:00Z"));
}

/// 2026-03-29: 02:00 is 03:00 in Berlin. 2026-10-25: 03:00 is 02:00 once more.
#[test]
fn a_time_that_a_night_skips_or_has_twice_comes_once() {
    let windows = windows(&[schedule("30 2 * * *", "Europe/Berlin", 600, 1)]);
    let begins = |from: &str, to: &str| {
        let (mut now, to) = (at(from), at(to));
        let mut begins = Vec::new();
        while now < to {
            let before = windows.asked(now);
            now += Duration::from_secs(60);
            if before.min == 0 && windows.asked(now).min == 1 {
                begins.push(now.to_string());
            }
        }
        begins
    };
    assert_eq!(begins("2026-03-28T23:00:00Z", "2026-03-29T06:00:00Z"), ["2026-03-29T01:00:00Z"]);
    assert_eq!(begins("2026-10-24T22:00:00Z", "2026-10-25T06:00:00Z"), ["2026-10-25T00:30:00Z"]);
}

#[test]
fn what_cannot_be_followed_is_named_and_the_rest_is_followed() {
    let (windows, wrong) = Windows::read(&[
        schedule("0 8 * * NEVER", "UTC", 60, 9),
        schedule("0 8 * * *", "Europe/Brelin", 60, 9),
        schedule("0 8 * * *", "UTC", 60, 1),
        schedule("0 0 30 2 *", "UTC", 60, 9),
        schedule("0 25 * * *", "UTC", 60, 9),
        schedule("0 0 8 * * *", "UTC", 60, 9),
        schedule("@daily", "UTC", 60, 9),
    ]);
    assert_eq!(windows.asked(at("2026-11-21T08:00:10Z")).min, 1);
    let texts: Vec<String> = wrong.iter().map(|(at, wrong)| format!("{at}: {wrong}")).collect();
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn the_rarest_day_is_found() {
    let windows = windows(&[schedule("0 0 29 2 *", "UTC", 60, 1)]);
    assert_eq!(
        windows.asked(at("2096-03-01T00:00:00Z")),
        Asked::default(),
        "the year 2100 has none, and is past YEARS"
    );
    assert_eq!(windows.asked(at("2026-11-21T00:00:00Z")), asked(0, "2028-02-29T00:00:00Z"));
}
