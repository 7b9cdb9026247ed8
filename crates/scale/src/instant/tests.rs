use proptest::prelude::*;

use super::*;

const GOAL: Goal = Goal { total: 100.0, goal: 70.0 };

#[test]
fn table() {
    let table = [
        // in flight, held, ready → need.
        (0, 0, 0, None),
        // One held is one replica.
        (0, 1, 0, Some(1)),
        (0, 71, 0, Some(2)),
        // Held and in flight count together, once each.
        (100, 40, 1, Some(2)),
        (100, 41, 1, Some(3)),
        // Above the goal and within the total: the averages will see to it.
        (100, 0, 1, None),
        (101, 0, 1, Some(2)),
        (300, 0, 3, None),
        (301, 0, 3, Some(5)),
        // In flight where nobody is ready, and a count that cannot be.
        (1, 0, 0, Some(1)),
        (1, 0, -3, Some(1)),
        (u64::MAX, u64::MAX, 1, Some(i32::MAX)),
    ];
    for (in_flight, held, ready, expected) in table {
        assert_eq!(need(in_flight, held, ready, &GOAL), expected, "{in_flight} {held} {ready}");
    }
    for (in_flight, expected) in [(0, 0), (1, 1), (100, 1), (101, 2), (1000, 10)] {
        assert_eq!(floor(in_flight, &GOAL), expected);
    }
}

proptest! {
    /// A number at the floor calls for no more of itself, and one less would.
    #[test]
    fn the_floor_is_where_the_rule_is_silent(in_flight in 1_u64..100_000, total in 1_u32..500) {
        let goal = Goal { total: f64::from(total), goal: f64::from(total) * 0.7 };
        let floor = floor(in_flight, &goal);
        prop_assert_eq!(need(in_flight, 0, floor, &goal), None);
        prop_assert!(need(in_flight, 0, floor - 1, &goal).is_some_and(|need| need >= floor));
    }
}
