//! SPICE: what can be told of a connection by its first bytes.
//!
//! A viewer opens one for each channel: which ones belong together, and which one is for what, is said once, at the beginning.

mod link;

pub use link::{Channel, Follower, Link, Seen};
