//! Black-box tests of Rouse on the real node: each in a namespace of its own, all at once.

mod admission;
mod api;
mod boost;
mod chart;
mod cold;
mod environment;
mod examples;
mod failures;
mod gaps;
mod grpc;
mod hold;
mod identity;
mod idle;
mod modes;
mod names;
mod rights;
mod rollout;
mod source;
mod streams;
mod trigger;
mod websocket;
mod wrong;
mod zero;
