//! Messages for the operator, as the host's own log has them.

use std::ffi::{c_char, c_void};

use crate::status::penstock_status;

/// How important a message is.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum penstock_level {
    /// None at all.
    Off = 0,
    /// What keeps something from working.
    Error = 1,
    /// What will need attention.
    Warn = 2,
    /// Start, stop, limits, drivers.
    Info = 3,
    /// For finding faults.
    Debug = 4,
}

/// Takes a message: one of penstock_level, and a line without its end. `message` is gone when it returns.
pub type penstock_logged =
    Option<unsafe extern "C" fn(level: u32, message: *const c_char, context: *mut c_void)>;

/// Has messages of this level and more important ones told to the host, of all engines of the process. A second call replaces the first; NULL
/// ends it. Without any call there are none. They come one at a time on a thread that the first call starts and that lives as long as the
/// process; too many at once are counted and dropped.
///
/// Ownership: `context` stays the host's, and has to live until a call with NULL, or with another, has answered: by then no message is told to the former
/// any more. Threads: any but from within the callback. Errors: PENSTOCK_INVALID: no such level; PENSTOCK_IN_CALLBACK; PENSTOCK_SYSTEM: no thread can be started. In a
/// forked child no message comes, and the answer is PENSTOCK_FORKED if the parent has called it.
///
/// # Safety
/// `logged` and `context` stand until they are replaced.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penstock_on_log(
    level: u32,
    logged: penstock_logged,
    context: *mut c_void,
) -> penstock_status {
    todo!()
}
