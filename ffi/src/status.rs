//! What every call answers, and the words behind the last answer that was not `PENSTOCK_OK`.

use std::ffi::c_char;

use crate::edge::{self, UNKNOWN, contain, lasting};

/// cbindgen:rename-all=None
///
/// What a call answers. Numbers are never used for anything else in later versions.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(non_camel_case_types)]
pub enum penstock_status {
    /// It was done.
    PENSTOCK_OK = 0,
    /// A pointer that must not be NULL is NULL.
    PENSTOCK_NULL = 1,
    /// The number names no engine: it was freed, or there never was one.
    PENSTOCK_NO_ENGINE = 2,
    /// This process was forked from the one that created the engine. Create one of its own here.
    PENSTOCK_FORKED = 3,
    /// A value is none of those that the description of its field allows; penstock_last_error() names the field.
    PENSTOCK_INVALID = 4,
    /// The configuration is wrong; penstock_last_error() has line, column and remedy.
    PENSTOCK_CONFIG = 5,
    /// An address can't be listened on, a file can't be read, or the kernel refuses what the engine needs.
    PENSTOCK_SYSTEM = 6,
    /// It can't be done before penstock_start().
    PENSTOCK_NOT_STARTED = 7,
    /// It can't be done after penstock_start().
    PENSTOCK_STARTED = 8,
    /// The engine has been stopped, or is just being stopped.
    PENSTOCK_STOPPED = 9,
    /// A descriptor is neither a connected stream socket nor a terminal, or, where one is expected, no listening socket.
    PENSTOCK_NO_STREAM = 10,
    /// There are as many tunnels as may be: end some, or raise the limits.
    PENSTOCK_FULL = 11,
    /// Too much is waiting already: try again in a moment.
    PENSTOCK_BUSY = 12,
    /// No such tunnel or connection: it has ended, or there never was one.
    PENSTOCK_NO_TUNNEL = 13,
    /// Nothing is waiting.
    PENSTOCK_EMPTY = 14,
    /// There is no listener of that name, or none that does what is asked of it.
    PENSTOCK_NO_LISTENER = 15,
    /// What was handed over can't be joined on these terms; penstock_last_error() says why.
    PENSTOCK_TERMS = 16,
    /// This can't be called from a callback, since it would wait for the callback's own end.
    PENSTOCK_IN_CALLBACK = 17,
    /// A worker did not answer in time.
    PENSTOCK_TIMED_OUT = 18,
    /// All workers that were left to penstock_run() have their threads.
    PENSTOCK_NO_SEAT = 19,
    /// The buffer is too small; what would fit is in it, and the size that is needed where the call says.
    PENSTOCK_TRUNCATED = 20,
    /// A bug in the engine: a call came to a halt inside. What it was about is undefined; stop the engine and report this.
    PENSTOCK_PANIC = 21,
}

use penstock_status::*;

impl penstock_status {
    /// What it means, for a person.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            PENSTOCK_OK => "done",
            PENSTOCK_NULL => "a pointer is NULL that must not be",
            PENSTOCK_NO_ENGINE => "no engine has this number: it was freed, or there never was one",
            PENSTOCK_FORKED => {
                "the engine is in the process that this one was forked from: create one here"
            }
            PENSTOCK_INVALID => "a value is none of those that are allowed",
            PENSTOCK_CONFIG => "the configuration is wrong",
            PENSTOCK_SYSTEM => "the system refuses something that the engine needs",
            PENSTOCK_NOT_STARTED => "the engine was not started: call penstock_start() first",
            PENSTOCK_STARTED => "the engine was started already: this is possible only before",
            PENSTOCK_STOPPED => "the engine was stopped",
            PENSTOCK_NO_STREAM => {
                "a descriptor is no connected stream, or no listening socket where one is expected"
            }
            PENSTOCK_FULL => "there are as many tunnels as may be: end some, or raise the limits",
            PENSTOCK_BUSY => "too much is waiting already: try again in a moment",
            PENSTOCK_NO_TUNNEL => "there is no such tunnel, or it has ended",
            PENSTOCK_EMPTY => "nothing is waiting",
            PENSTOCK_NO_LISTENER => {
                "no listener of the configuration has this name, or none that does what is asked of it"
            }
            PENSTOCK_TERMS => "the two can't be joined on these terms",
            PENSTOCK_IN_CALLBACK => {
                "a callback can't wait for its own end: call this from another thread"
            }
            PENSTOCK_TIMED_OUT => "a worker did not answer in time",
            PENSTOCK_NO_SEAT => "no worker is left to penstock_run()",
            PENSTOCK_TRUNCATED => "the buffer is too small",
            PENSTOCK_PANIC => "a bug in penstock: please report it",
        }
    }

    pub(crate) const ALL: [penstock_status; 22] = [
        PENSTOCK_OK,
        PENSTOCK_NULL,
        PENSTOCK_NO_ENGINE,
        PENSTOCK_FORKED,
        PENSTOCK_INVALID,
        PENSTOCK_CONFIG,
        PENSTOCK_SYSTEM,
        PENSTOCK_NOT_STARTED,
        PENSTOCK_STARTED,
        PENSTOCK_STOPPED,
        PENSTOCK_NO_STREAM,
        PENSTOCK_FULL,
        PENSTOCK_BUSY,
        PENSTOCK_NO_TUNNEL,
        PENSTOCK_EMPTY,
        PENSTOCK_NO_LISTENER,
        PENSTOCK_TERMS,
        PENSTOCK_IN_CALLBACK,
        PENSTOCK_TIMED_OUT,
        PENSTOCK_NO_SEAT,
        PENSTOCK_TRUNCATED,
        PENSTOCK_PANIC,
    ];
}

/// A sentence for a penstock_status; one that says so for a number that is none.
///
/// The text lives for ever. Threads: any. Never fails.
#[unsafe(no_mangle)]
pub extern "C" fn penstock_status_text(status: u32) -> *const c_char {
    let status = penstock_status::ALL.into_iter().find(|one| *one as u32 == status);
    lasting(status.map_or(UNKNOWN, penstock_status::sentence))
}

/// The particulars of the last call of this thread that did not answer PENSTOCK_OK: what was expected, what came, what to do. Empty: there was none.
///
/// Ownership: `buffer` is filled with at most `length` bytes, the NUL among them, and stays the host's. Threads: any; each has its own.
/// Errors: PENSTOCK_TRUNCATED: it did not fit.
///
/// # Safety
/// `buffer` is NULL or has room for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penstock_last_error(
    buffer: *mut c_char,
    length: usize,
) -> penstock_status {
    // Without the guard: what is asked about must not be lost by asking.
    contain(|| {
        // SAFETY: what the caller promises of `buffer`.
        Some(match unsafe { edge::put_text(&edge::last_error(), buffer, length) } {
            Ok(needed) if needed > length => PENSTOCK_TRUNCATED,
            Ok(_) => PENSTOCK_OK,
            Err(refusal) => refusal.status,
        })
    })
    .unwrap_or(PENSTOCK_PANIC)
}
