//! Ctrl-C, SIGTERM and a lost terminal end a run in order: what was started is stopped, what was written is removed. The
//! second one ends it at once; the kernel then ends what was started.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Result, ensure};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::process;

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on signals are only noted.
pub(crate) fn watch() -> io::Result<()> {
    let noted = INTERRUPTED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag down.
        flag::register_conditional_default(signal, Arc::clone(noted))?;
        flag::register(signal, Arc::clone(noted))?;
    }
    // A lost terminal is told more than once, by the kernel and by the shell; under nohup(1) it is none of our business.
    if !process::ignores_hangups() {
        flag::register(SIGHUP, Arc::clone(noted))?;
    }
    Ok(())
}

pub(crate) fn is_noted() -> bool {
    INTERRUPTED.get().is_some_and(|noted| noted.load(Ordering::Relaxed))
}

/// An error once a signal was noted.
pub(crate) fn check() -> Result<()> {
    ensure!(!is_noted(), "interrupted");
    Ok(())
}
