//! What an engine counts, in numbers and as text.

use std::ffi::c_char;
use std::mem::size_of;

use penstock_core::metrics::Counters;
use penstock_core::ring::{Count, Driver};

use crate::edge::{self, Structure, guard};
use crate::engine::{penstock_driver, penstock_engine};
use crate::registry::find;
use crate::running::Running;
use crate::status::penstock_status::{self, PENSTOCK_TRUNCATED};

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

// SAFETY: numbers and arrays of them, in C's layout, the size first.
unsafe impl Structure for penstock_counts {}

impl penstock_counts {
    fn of(running: &Running, completions_waiting: usize) -> penstock_counts {
        let all = |number: &dyn Fn(&Counters) -> u64| {
            running.counters.iter().map(|counters| number(counters)).sum::<u64>()
        };
        let bytes = |mover: usize| [0, 1].map(|way| all(&|one| one.bytes[way][mover].get()));
        penstock_counts {
            size: size_of::<penstock_counts>() as u32,
            driver: match running.driver {
                Driver::Uring => penstock_driver::Uring,
                Driver::Epoll => penstock_driver::Epoll,
            } as u32,
            workers: running.mailboxes.len() as u64,
            max_tunnels: running.max_tunnels as u64,
            connections: all(&|one| one.sessions.get()),
            tunnels: all(&|one| one.tunnels.get()),
            tunnels_total: all(&|one| one.tunnels_total.get()),
            accepted: all(&|one| one.accepted.get()),
            handed_over: all(&|one| one.handed_over.get()),
            closed: all(&|one| one.closed.iter().map(Count::get).sum()),
            bytes_copied: bytes(0),
            bytes_spliced: bytes(1),
            splice_refused: all(&|one| one.splice_refused.get()),
            backpressure: all(&|one| one.backpressure.get()),
            handshakes: [0, 1].map(|side| {
                all(&|one| one.handshakes[side][0].get() + one.handshakes[side][1].get())
            }),
            handshakes_failed: [0, 1].map(|side| all(&|one| one.handshakes[side][2].get())),
            upgrades: all(&|one| one.upgrades.iter().map(Count::get).sum()),
            requests_refused: all(&|one| one.questions_refused.get()),
            answers_stale: all(&|one| one.answers_stale.get()),
            completions_waiting: completions_waiting as u64,
        }
    }
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
    guard(|| {
        let engine = find(engine)?;
        let running = engine.known()?;
        let numbers = penstock_counts::of(&running, engine.courier.waiting());
        // SAFETY: what the caller promises of `counts`.
        unsafe { edge::write(counts, "counts", &numbers) }
    })
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
    guard(|| {
        let text = find(engine)?.known()?.handle.metrics();
        // SAFETY: what the caller promises of `buffer`.
        let whole = unsafe { edge::put_text(&text, buffer, length) }?;
        if !needed.is_null() {
            // SAFETY: what the caller promises of `needed`.
            unsafe { needed.write(whole) };
        }
        if whole > length { Err(PENSTOCK_TRUNCATED.into()) } else { Ok(()) }
    })
}
