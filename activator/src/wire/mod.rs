//! What HTTP/1 looks like: a caller's before hyper reads it, and a pod's, which nobody else reads.
//!
//! hyper reads leniently and hides what it read over: of `Content-Length` beside `Transfer-Encoding` it keeps one, of two
//! equal lengths one, and a bare LF ends a line for it. Whatever else reads the same bytes, before us or behind us, may see
//! other messages in them. So every head is looked at as it comes, and one that two readers could take for two things goes
//! no further, in either direction.
//!
//! Of HTTP/2 only the frames are looked at, for what a caller does too much of; see [`Frames`].

mod backlog;
mod budget;
mod chunks;
mod content;
mod frames;
#[cfg(test)]
mod fuzz;
pub mod gather;
mod head;
mod inlet;
mod lines;
mod requests;
mod responses;

pub use content::Content;
pub use frames::{Flood, Frames};
pub use head::MAX_FIELDS;
pub use inlet::Inlet;
pub use responses::{Came, Head, Responses};
