//! Messages for the operator, as the host's own log has them.
//!
//! In: what the engines of this process say through `tracing`. Out: calls of the host's function, on a thread that has nothing else to do.

use std::ffi::{CString, c_char, c_void};
use std::io::{self, Write};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, ThreadId};

use penstock_control::messages;

use crate::courier::{Callback, Context};
use crate::edge::{Answer, Refusal, guard};
use crate::process;
use crate::signals::HeldBack;
use crate::status::penstock_status::{self, *};

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

type Logged = <penstock_logged as IntoIterator>::Item;

/// Where messages go now.
struct Log {
    process: u32,
    to: Mutex<Option<Callback<Logged>>>,
    /// The thread that calls.
    thread: OnceLock<ThreadId>,
}

/// Made by the first call of a process; what a child of it finds there is its parent's.
static LOG: OnceLock<Log> = OnceLock::new();
/// One of penstock_level.
static LEVEL: AtomicU32 = AtomicU32::new(0);

impl Log {
    fn to(&self) -> MutexGuard<'_, Option<Callback<Logged>>> {
        self.to.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one of this process.
    fn here() -> Answer<&'static Log> {
        let log = LOG.get_or_init(|| Log {
            process: process::current(),
            to: Mutex::default(),
            thread: OnceLock::new(),
        });
        match log.process == process::current() {
            true => Ok(log),
            false => Err(PENSTOCK_FORKED.into()),
        }
    }
}

/// What is wanted now; in a forked child nothing, where nobody would take it.
fn level_here() -> u32 {
    let level = LEVEL.load(Relaxed);
    if level > 0 && Log::here().is_ok() { level } else { 0 }
}

/// Hands each line to the host.
struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Some(log) = LOG.get() else { return Ok(line.len()) };
        log.thread.get_or_init(|| thread::current().id());
        let (level, message) = parted(&String::from_utf8_lossy(line));
        // Held while the host is told, so that whoever takes the callback back knows that it is not under way.
        if let Some(Callback { function, context }) = &*log.to() {
            // SAFETY: the host has promised a function that can be called with this context until it is replaced, which waits for this lock.
            unsafe { function(level as u32, message.as_ptr(), context.0) };
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A line's level, and the rest of it.
fn parted(line: &str) -> (penstock_level, CString) {
    let line = line.trim();
    let (word, rest) = line.split_once(' ').unwrap_or(("", line));
    let (level, message) = match word {
        "ERROR" => (penstock_level::Error, rest),
        "WARN" => (penstock_level::Warn, rest),
        "INFO" => (penstock_level::Info, rest),
        "DEBUG" => (penstock_level::Debug, rest),
        _ => (penstock_level::Info, line),
    };
    (level, CString::new(message.trim_start().replace('\0', "?")).unwrap_or_default())
}

/// Has messages of this level and more important ones told to the host, of all engines of the process. A second call replaces the first; NULL
/// ends it. Without any call there are none. They come one at a time on a thread that the first call starts and that lives as long as the
/// process; too many at once are counted and dropped.
///
/// Ownership: `context` stays the host's, and has to live until a call with NULL, or with another, has answered: by then no message is told to the former
/// any more. Threads: any but from within the callback. Errors: PENSTOCK_INVALID: no such level; PENSTOCK_IN_CALLBACK. In a
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
    guard(|| {
        if level > penstock_level::Debug as u32 {
            let words = format!("`level` is {level}: expected one of penstock_level");
            return Err(Refusal::new(PENSTOCK_INVALID, words));
        }
        let log = Log::here()?;
        if log.thread.get() == Some(&thread::current().id()) {
            return Err(PENSTOCK_IN_CALLBACK.into());
        }
        if logged.is_some() {
            // Its thread has the signals of whoever starts it.
            let _held_back = HeldBack::all();
            messages::start_for_host(Lines, level_here);
        }
        *log.to() = logged.map(|function| Callback { function, context: Context(context) });
        LEVEL.store(if logged.is_some() { level } else { 0 }, Relaxed);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_level_and_a_message() {
        let (level, message) = parted("  WARN a certificate is old file=x\n");
        assert_eq!(
            (level, message.to_str()),
            (penstock_level::Warn, Ok("a certificate is old file=x"))
        );
        let (level, message) = parted("no level\0here");
        assert_eq!((level, message.to_str()), (penstock_level::Info, Ok("no level?here")));
    }
}
