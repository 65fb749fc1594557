//! The C door to the engine: `penstock.h` over core, config and control.
//!
//! In: calls of a C host, from any thread. Out: the same engine that the daemon runs, its ends told as the same close reasons. An engine is
//! named by a number that is looked up at each call, so that no call of a host can reach memory that is gone; no panic crosses.
//!
//! ```text
//!  call ─▶ edge (NULL, sizes, strings, panics) ─▶ registry (number ─▶ Engine, forked?) ─▶ engine, tunnel, policy ...
//!                                                                                             │
//!  host's callbacks ◀─ one thread of the engine ◀─ courier (completions, requests) ◀─ workers ◀┘
//! ```
#![allow(non_camel_case_types)]

pub mod completion;
mod courier;
mod descriptors;
mod edge;
pub mod engine;
mod life;
pub mod log;
pub mod metrics;
mod numbers;
pub mod policy;
mod process;
pub mod reason;
mod registry;
mod running;
mod signals;
mod start;
pub mod status;
pub mod tunnel;
pub mod version;
mod wanted;
