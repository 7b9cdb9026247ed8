//! Why the stream of an activator is closed.

use super::limits;

/// A report that cannot be right. Its stream is closed; the activator attaches anew with a full account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The first report has no hello.
    #[error("the first report has no hello")]
    NoHello,
    /// A later one has.
    #[error("only the first report of a stream may have a hello")]
    SecondHello,
    /// A report is missing, doubled or late.
    #[error("report {got} came where {expected} was due")]
    Sequence {
        /// The number that was due.
        expected: u64,
        /// The number that came.
        got: u64,
    },
    /// The sender's monotonic clock went back.
    #[error("the sender's clock went back")]
    Clock,
    /// A total that only grows became smaller.
    #[error("a total of function {0} became smaller")]
    Regression(String),
    /// More than one activator can have.
    #[error("more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The most that is taken.
        limit: usize,
    },
    /// A name that is empty or too long.
    #[error("a name is empty or longer than {} bytes", limits::NAME_BYTES)]
    Name,
    /// Another stream of the same activator has taken over.
    #[error("a newer stream of this activator has taken over")]
    Replaced,
}
