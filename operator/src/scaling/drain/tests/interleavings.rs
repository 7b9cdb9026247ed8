//! Long random lives, where the search in `model.rs` goes through every short one.

use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn over_any_long_life_only_what_everybody_let_go_is_lowered(
        replicas in 1_usize..5,
        choices in prop::collection::vec(any::<u16>(), 1..400),
    ) {
        let walked = model::walk(replicas, &choices);
        prop_assert!(walked.is_ok(), "{}", walked.unwrap_err());
    }
}
