//! Start-up boost: a function with a CPU limit starts with a higher one, because a small limit throttles the start more
//! than anything that follows it, and is resized in place to its own limit once an activator has proved it ready.
//!
//! The pod template carries the higher limit ([`Boost`]), and an annotation of the pod its own; so a pod says by itself
//! what is to be done about it, whatever has become of its Function since. The leader's scaler resizes. Where that cannot
//! be done, because the API server does not offer it ([`offered`]) or refuses it, or the node does ([`Refusals`]),
//! functions start with their own limit.

mod offered;
mod refusals;

pub use offered::offered;
pub use refusals::Refusals;

/// How much higher the CPU limit of a start is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boost {
    /// Times the function's own limit.
    pub factor: u32,
    /// At least so much, in thousandths of a core.
    pub least_milli: u32,
}

impl Boost {
    /// The CPU limit with which a function starts whose own limit is this, both in thousandths of a core; `None`: with its
    /// own.
    pub fn limit(self, own: i128) -> Option<i128> {
        let boosted = own.saturating_mul(self.factor.into()).max(self.least_milli.into());
        Some(boosted).filter(|boosted| *boosted > own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_has_a_multiple_of_the_limit_and_at_least_so_much() {
        let boost = Boost { factor: 4, least_milli: 1000 };
        for (own, limit) in [(100, 1000), (250, 1000), (251, 1004), (2000, 8000)] {
            assert_eq!(boost.limit(own), Some(limit), "{own}");
        }
        let least_only = Boost { factor: 1, least_milli: 1000 };
        assert_eq!([999, 1000, 2000].map(|own| least_only.limit(own)), [Some(1000), None, None]);
        assert_eq!(Boost { factor: 2, least_milli: 0 }.limit(50), Some(100));
    }
}
