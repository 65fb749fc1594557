//! What is measured in isolation: by time in `micro`, by instructions in `instructions`.
//!
//! A subject prepares its input once; each call then does the same work again and panics if the result is not the one that
//! the subject is about. What is private to the engine is compiled in from its own file: nothing becomes public for this.

mod access;
mod http;
mod proxy_protocol;
#[path = "../../../engine/ring/src/uring/tag.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "it is written for its own crate, and its tests run there"
)]
mod tag;
mod tags;
#[path = "../../../engine/core/src/timers.rs"]
#[allow(dead_code, reason = "it is written for its own crate, and its tests run there")]
mod timers;
mod websocket;
mod wheel;

/// The work of one call.
pub(crate) type Work = Box<dyn FnMut()>;

/// One thing to measure.
pub(crate) struct Subject {
    /// `area/what`.
    pub(crate) name: &'static str,
    /// How many heads, requests, bytes, frames, tags or timers a call works on.
    pub(crate) elements: u64,
    /// Makes the input.
    pub(crate) prepare: fn() -> Work,
}

/// All of them, in the order of reports.
pub(crate) fn all() -> impl Iterator<Item = &'static Subject> {
    let areas = [
        http::SUBJECTS,
        proxy_protocol::SUBJECTS,
        access::SUBJECTS,
        websocket::SUBJECTS,
        tags::SUBJECTS,
        wheel::SUBJECTS,
    ];
    areas.into_iter().flatten()
}
