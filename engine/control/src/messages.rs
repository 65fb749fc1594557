//! The main log: messages through `tracing`, written by a thread of their own.
//!
//! Bounded and lossy: who logs never waits, what does not fit is counted.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use tracing::Level;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::Layer;
pub use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::SubscriberExt;

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

/// The same for a program around the engine, which has a log of its own: `to` is handed a message at a time, as its level, a blank and its text,
/// and `level` says at any time how important it must be (1 error … 4 debug; 0: none). What a second call brings is dropped; the thread of the
/// first lives as long as the process.
pub fn start_for_host(
    to: impl Write + Send + 'static,
    level: impl Fn() -> u32 + Send + Sync + 'static,
) {
    static STARTED: Mutex<bool> = Mutex::new(false);
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if std::mem::replace(&mut *started, true) {
        return;
    }
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(QUEUE)
        .thread_name("penstock-log")
        .finish(to);
    // It would end the thread.
    std::mem::forget(guard);
    let lines = tracing_subscriber::fmt::layer()
        .without_time()
        .with_target(false)
        .with_ansi(false)
        .with_writer(writer);
    let is_wanted = dynamic_filter_fn(move |about, _| {
        let rank = match *about.level() {
            Level::ERROR => 1,
            Level::WARN => 2,
            Level::INFO => 3,
            Level::DEBUG | Level::TRACE => 4,
        };
        rank <= level()
    });
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(is_wanted));
    // A host that has set its own subscriber keeps it.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
