//! What an engine counts, in numbers and as text.

use std::ffi::c_char;

use crate::engine::penstock_engine;
use crate::status::penstock_status;

/// What an engine has counted since it was started, over all workers. Each number is read by itself: they need not be of one moment.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct penstock_counts {
    /// sizeof(penstock_counts), as PENSTOCK_INIT() sets it.
    pub size: u32,
    /// PENSTOCK_DRIVER_URING or PENSTOCK_DRIVER_EPOLL: what carries the bytes.
    pub driver: u32,
    /// Workers.
    pub workers: u64,
    /// Tunnels that may live at a time.
    pub max_tunnels: u64,
    /// Connections alive, in whatever phase, those handed over among them.
    pub connections: u64,
    /// Of these, tunnels that carry bytes.
    pub tunnels: u64,
    /// Tunnels that ever stood.
    pub tunnels_total: u64,
    /// Connections that listeners accepted.
    pub accepted: u64,
    /// Tunnels that were handed over.
    pub handed_over: u64,
    /// Connections that ended.
    pub closed: u64,
    /// Payload to targets, and to clients, that was copied.
    pub bytes_copied: [u64; 2],
    /// The same that was spliced.
    pub bytes_spliced: [u64; 2],
    /// Times that a direction was to be spliced and there was no pipe for it.
    pub splice_refused: u64,
    /// Times that a direction stopped reading because its sink was slow.
    pub backpressure: u64,
    /// TLS handshakes with clients, and with targets, that went well.
    pub handshakes: [u64; 2],
    /// The same that failed.
    pub handshakes_failed: [u64; 2],
    /// Connections that became WebSocket.
    pub upgrades: u64,
    /// Requests to the host that found too many waiting before them, and were answered by 503.
    pub requests_refused: u64,
    /// Decisions and cancellations for connections that were gone.
    pub answers_stale: u64,
    /// Completions that wait for penstock_next_completion(), or for the callback.
    pub completions_waiting: u64,
}

/// Counts.
///
/// Ownership: `counts` is filled, and stays the host's. Threads: any; never waits. Errors: PENSTOCK_NOT_STARTED; PENSTOCK_INVALID: the size is not set.
///
/// # Safety
/// `counts` is NULL or points to a structure with its own size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penstock_metrics(
    engine: penstock_engine,
    counts: *mut penstock_counts,
) -> penstock_status {
    todo!()
}

/// Everything that the engine counts, in the text format of Prometheus: what the daemon shows at `/metrics`.
///
/// Ownership: `buffer` is filled with at most `length` bytes, the NUL among them, and stays the host's; it may be NULL if length is 0.
/// `*needed`, unless NULL, is how many bytes the whole text takes, its NUL among them. Threads: any; never waits. Errors:
/// PENSTOCK_NOT_STARTED; PENSTOCK_TRUNCATED: it did not fit.
///
/// # Safety
/// `buffer` is NULL or has room for `length` bytes; `needed` is NULL or points to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penstock_metrics_text(
    engine: penstock_engine,
    buffer: *mut c_char,
    length: usize,
    needed: *mut usize,
) -> penstock_status {
    todo!()
}
