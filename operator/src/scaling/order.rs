//! What activators are ordered, and what they acknowledge. Pure.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use link::ORDER_VALID;

use super::write::WRITE;
use crate::link::activator::Ack;

/// An acknowledgement that is older does not count for a write. It is as old as the order that it answers to, so a write
/// that rests on it has ended before the order lapses anywhere.
pub const FRESH: Duration = Duration::from_secs(1);

const _: () = assert!(FRESH.as_millis() + WRITE.as_millis() < ORDER_VALID.as_millis());

/// What every activator that counts has acknowledged.
#[derive(Clone, Debug)]
pub struct Acks {
    /// The leader's epoch: acknowledgements of other epochs are worth nothing.
    pub epoch: u64,
    /// One for each activator that counts; `None` from who has given none, or is not heard.
    pub given: Vec<Option<Ack>>,
    /// For each of these, UIDs of the pods to which it sends nothing and where nothing of it is in flight. Told together
    /// with its acknowledgement, and counted after it.
    pub empty: Vec<BTreeSet<String>>,
}

impl Acks {
    /// Whether an acknowledgement is of this order, and fresh.
    pub fn in_force(&self, ack: &Ack, order: &Order, now: Instant) -> bool {
        ack.epoch == self.epoch && ack.order == order.id && now.saturating_duration_since(ack.at) <= FRESH
    }

    /// Whether every activator says, in force of this order, what `says` asks for, from its acknowledgement and its empty
    /// pods. Nobody is not everybody.
    pub fn all(&self, order: &Order, now: Instant, says: impl Fn(&Ack, &BTreeSet<String>) -> bool) -> bool {
        let none = BTreeSet::new();
        let empty = self.empty.iter().chain(std::iter::repeat(&none));
        let agrees = |(ack, empty): (&Option<Ack>, &BTreeSet<String>)| {
            ack.is_some_and(|ack| self.in_force(&ack, order, now) && says(&ack, empty))
        };
        !self.given.is_empty() && self.given.iter().zip(empty).all(agrees)
    }

    /// Requests of the function that all activators have ever counted: the same twice means that none came between.
    pub fn requests(&self) -> u64 {
        self.given.iter().flatten().fold(0, |sum, ack| sum.wrapping_add(ack.requests))
    }
}

/// The pods to which nothing new is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Tells it from every other order of this term.
    pub id: u64,
    /// UIDs.
    pub pods: BTreeSet<String>,
}

/// Numbers for orders: each is used once in a term.
#[derive(Debug, Default)]
pub struct OrderIds(u64);

impl OrderIds {
    pub(super) fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}
