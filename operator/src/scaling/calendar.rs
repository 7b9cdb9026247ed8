//! The schedules of all Functions that have any, and when to look at which of them again. Pure: wall clock time is given.

use std::collections::{BTreeMap, HashMap, HashSet};

use crds::function::Schedule;
use jiff::Timestamp;

use super::schedule::{Asked, Windows};
use crate::stores::Key;

/// What is known of the schedules of one Function.
#[derive(Debug)]
struct Planned {
    schedules: Vec<Schedule>,
    windows: Windows,
    /// What they ask for, from this moment on.
    asked: Asked,
    since: Timestamp,
}

/// Remembers of each Function with schedules what they ask for, and until when: most of the time a look costs a
/// comparison, and a Function between two changes costs nothing.
#[derive(Debug, Default)]
pub struct Calendar {
    functions: HashMap<Key, Planned>,
    due: BTreeMap<Timestamp, HashSet<Key>>,
    last: Option<Timestamp>,
}

impl Calendar {
    /// Replicas that the schedules of a Function ask for at `now`.
    pub fn min(&mut self, key: &Key, schedules: &[Schedule], now: Timestamp) -> i32 {
        if schedules.is_empty() {
            self.functions.remove(key);
            return 0;
        }
        let known = self.functions.get(key).filter(|planned| planned.schedules == schedules);
        if let Some(planned) = known
            && planned.since <= now
            && planned.asked.until.is_none_or(|until| now < until)
        {
            return planned.asked.min;
        }
        let windows = known.map_or_else(|| Windows::read(schedules).0, |planned| planned.windows.clone());
        let asked = windows.asked(now);
        if let Some(until) = asked.until {
            self.due.entry(until).or_default().insert(key.clone());
        }
        let planned = Planned { schedules: schedules.to_vec(), windows, asked, since: now };
        self.functions.insert(key.clone(), planned);
        asked.min
    }

    /// Functions whose schedules may ask for another number since the last call: all of them if the clock went back.
    pub fn due(&mut self, now: Timestamp) -> HashSet<Key> {
        let back = self.last.replace(now).is_some_and(|last| now < last);
        if back {
            return self.functions.keys().cloned().collect();
        }
        let mut due = HashSet::new();
        while let Some(first) = self.due.first_entry().filter(|first| *first.key() <= now) {
            due.extend(first.remove());
        }
        due
    }

    /// It is gone.
    pub fn forget(&mut self, key: &Key) {
        self.functions.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector::ObjectRef;

    use super::*;

    fn key(name: &str) -> Key {
        ObjectRef::new(name).within("shop")
    }

    fn daily(hour: u8, min: i32) -> Schedule {
        Schedule {
            cron: format!("0 {hour} * * *"),
            time_zone: "UTC".to_owned(),
            duration_seconds: 3600,
            min_replicas: min,
        }
    }

    fn at(time: &str) -> Timestamp {
        format!("2026-11-21T{time}Z").parse().unwrap()
    }

    #[test]
    fn a_function_is_due_when_a_window_begins_and_when_it_ends() {
        let mut calendar = Calendar::default();
        let (f, schedules) = (key("f"), [daily(8, 3)]);
        assert_eq!(calendar.min(&f, &schedules, at("07:00:00")), 0);
        assert_eq!(calendar.min(&key("none"), &[], at("07:00:00")), 0);
        assert!(calendar.due(at("07:59:59")).is_empty());
        assert_eq!(calendar.due(at("08:00:01")), HashSet::from([f.clone()]));
        assert_eq!(calendar.min(&f, &schedules, at("08:00:01")), 3);
        assert!(calendar.due(at("08:30:00")).is_empty());
        assert_eq!(calendar.min(&f, &schedules, at("08:30:00")), 3, "looked at for another reason");
        assert_eq!(calendar.due(at("09:00:00")), HashSet::from([f.clone()]));
        assert_eq!(calendar.min(&f, &schedules, at("09:00:00")), 0);
    }

    #[test]
    fn other_schedules_count_at_once_and_none_are_forgotten() {
        let mut calendar = Calendar::default();
        let f = key("f");
        assert_eq!(calendar.min(&f, &[daily(8, 3)], at("08:10:00")), 3);
        assert_eq!(calendar.min(&f, &[daily(8, 5)], at("08:10:00")), 5);
        assert_eq!(calendar.min(&f, &[], at("08:10:00")), 0);
        calendar.min(&f, &[daily(8, 5)], at("08:10:00"));
        calendar.forget(&f);
        assert!(calendar.functions.is_empty());
    }

    #[test]
    fn a_clock_that_goes_back_makes_all_due() {
        let mut calendar = Calendar::default();
        let (f, schedules) = (key("f"), [daily(8, 3)]);
        assert_eq!(calendar.min(&f, &schedules, at("10:00:00")), 0);
        calendar.due(at("10:00:00"));
        assert_eq!(calendar.due(at("07:00:00")), HashSet::from([f.clone()]));
        assert_eq!(calendar.min(&f, &schedules, at("07:00:00")), 0);
        assert_eq!(calendar.due(at("08:00:00")), HashSet::from([f.clone()]), "not only tomorrow");
        assert_eq!(calendar.min(&f, &schedules, at("08:00:00")), 3);
    }
}
