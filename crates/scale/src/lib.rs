//! How many replicas a function should have, from values alone: no clock is read and nothing is awaited here, `now` is
//! always an argument.
//!
//! A [`Scaler`] holds what is remembered of one function: the host [records](Scaler::record) what each activator's totals
//! grew by, and asks it to [decide](Scaler::decide) on every report and every second. The pieces, each its own file:
//! [`load`] (averages over two windows, from [`weighted`] or even sums), [`goal`] (what one replica is meant to have),
//! [`autoscaler`] (the Knative Pod Autoscaler's published algorithm) with [`mod@panic`], [`instant`] (raises that wait for no
//! window), [`delay`], and [`idle`] (the only way to zero), whose window may be learnt ([`adaptive`]).

pub mod adaptive;
pub mod autoscaler;
pub mod delay;
pub mod goal;
pub mod idle;
pub mod instant;
pub mod load;
pub mod panic;
pub mod scaler;
pub mod settings;
pub mod sizing;
pub mod weighted;
mod window;

pub use adaptive::Adaptive;
pub use goal::Goal;
pub use idle::{Idle, IdleClock, Seen};
pub use load::{Averages, Delta, Load, Said};
pub use scaler::{Observed, Scaler};
pub use settings::{Averaging, Metric, Settings, Windows};
pub use sizing::{Inputs, Rule, Sizing, Verdict};
pub use window::BUCKETS;
