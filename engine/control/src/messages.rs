//! The main log: messages through `tracing`, written by a thread of their own.
//!
//! Bounded and lossy: who logs never waits, what does not fit is counted.

use std::io::Write;

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
pub use tracing_subscriber::filter::LevelFilter;

/// Messages that may wait to be written.
const QUEUE: usize = 8192;

/// Writes out what waits, for at most a second, when dropped.
#[derive(Debug)]
#[must_use = "dropping it ends the log"]
pub struct Guard {
    _guard: WorkerGuard,
}

/// How many messages were lost, as a number to look at from anywhere.
#[derive(Clone, Debug)]
pub struct Dropped(Option<ErrorCounter>);

impl Dropped {
    /// Of a log that never loses any.
    pub fn none() -> Dropped {
        Dropped(None)
    }

    /// So many.
    pub fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, |counter| counter.dropped_lines() as u64)
    }
}

/// Starts the log of this process, with colours if somebody looks at it. `to` is handed a message at a time. Only the first call of a process
/// takes effect.
pub fn start(
    level: LevelFilter,
    to: impl Write + Send + 'static,
    coloured: bool,
) -> (Guard, Dropped) {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(QUEUE)
        .thread_name("penstock-log")
        .finish(to);
    let dropped = Dropped(Some(writer.error_counter()));
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(coloured)
        .with_target(false)
        .with_writer(writer)
        .finish();
    // A host that has set its own subscriber keeps it.
    let _ = tracing::subscriber::set_global_default(subscriber);
    (Guard { _guard: guard }, dropped)
}
