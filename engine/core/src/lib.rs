//! What a connection means: workers, sessions, the relay and its movers, policy, close reasons, counters.
//!
//! In: validated [`config`] values and a [`Kernel`](penstock_ring::Kernel). Out: relayed bytes, and one
//! [`Record`](control::Record) per connection. No unsafe, no text formats, nothing that may wait: what waits is asked
//! of the [`Outside`](control::Outside).
#![forbid(unsafe_code)]

pub mod close;
pub mod config;
pub mod control;
pub mod engine;
mod gathering;
pub mod intake;
mod layers;
mod mailbox;
pub mod metrics;
mod opaque;
pub mod policy;
mod relay;
mod seat;
mod session;
mod sessions;
pub mod shared;
mod siblings;
mod timers;
mod turn;
pub mod worker;

/// What values of this crate are made of, for crates that stand on it.
pub use penstock_proto::{Secret, console, http, libvirt, percent, target, websocket};
pub use penstock_ring as ring;
pub use penstock_tls as tls;
