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

mod completion;
mod courier;
mod descriptors;
mod edge;
mod engine;
mod life;
mod log;
mod metrics;
mod numbers;
mod policy;
mod reason;
mod registry;
mod running;
mod signals;
mod start;
mod status;
mod tunnel;
mod version;
