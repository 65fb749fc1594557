//! One line for each connection that ended, written by a thread that may wait.
//!
//! In: records from workers, through a bounded queue; what does not fit is counted and gone. Out: whole lines in a file
//! or on standard output. A disk that is full or a reader that is stuck holds up this thread and nothing else; how many
//! lines were lost is said when writing works again.

mod json;
mod squid;
mod writer;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use penstock_core::control::Record;

use writer::Writer;

/// Records that may wait to be written.
const QUEUE: usize = 8192;
/// How long further records are waited for once there is one. While it waits, handing over a record wakes nobody, which
/// would cost a short connection more than its line. Not done while a full batch may have left some in the queue.
const GATHER: Duration = Duration::from_millis(10);
/// Bytes gathered before they are written, if more records wait.
const BATCH: usize = 64 << 10;

/// How a line looks. The text is that of one record and the time of its end, line feed included.
#[derive(Clone)]
pub enum Format {
    /// Squid's native format.
    Squid,
    /// JSON, with the listeners' names by index.
    Json(Arc<[Box<str>]>),
}

impl Format {
    fn write(&self, record: &Record, at: SystemTime, to: &mut Vec<u8>) {
        match self {
            Format::Squid => squid::write(record, at, to),
            Format::Json(listeners) => json::write(record, at, listeners, to),
        }
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Squid => "squid",
            Format::Json(_) => "json",
        })
    }
}

#[expect(clippy::large_enum_variant, reason = "nearly all of them are records")]
enum Message {
    Record(Record, SystemTime),
    /// Only to wake the thread: something else has changed.
    Look,
    Finish(SyncSender<()>),
}

/// The end of the queue that records go into. Cheap to clone; no call waits.
#[derive(Clone)]
pub struct Sender {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    dropped: AtomicU64,
    reopen: AtomicBool,
    /// Nothing is to be written behind the next [`Message::Finish`].
    ends: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Opens the log and starts its thread. No destination: records are only described to the main log, at level debug.
///
/// # Errors
/// When the file can't be opened for appending, when it is a pipe that nobody reads (ENXIO), or when no thread can be
/// started.
pub fn start(destination: Option<&Path>, format: Format) -> io::Result<Sender> {
    let (sender, records) = Sender::new();
    let writer = destination.map(|path| Writer::open(path, sender.shared.clone())).transpose()?;
    let shared = sender.shared.clone();
    let thread = thread::Builder::new()
        .name("penstock-access".to_owned())
        .spawn(move || keep_writing(&records, writer, &format, &shared.ends))?;
    *sender.shared.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    Ok(sender)
}

impl Sender {
    fn new() -> (Sender, Receiver<Message>) {
        let (queue, records) = sync_channel(QUEUE);
        (Sender { queue, shared: Arc::default() }, records)
    }

    /// Hands over one record and the time at which its connection ended.
    pub fn record(&self, record: Record, at: SystemTime) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Message::Record(record, at)) {
            self.shared.dropped.fetch_add(1, Relaxed);
        }
    }

    /// One whose records nobody reads: no line is written, and no thread started.
    pub fn to_nobody() -> Sender {
        Sender::new().0
    }

    /// Has the file opened anew before the next line.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Relaxed);
        // A full queue will be looked at anyway.
        let _ = self.queue.try_send(Message::Look);
    }

    /// Lines lost so far.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Relaxed)
    }

    /// Waits until everything handed over so far is written or lost, but not longer than `limit`; whether it came to that.
    pub fn flush(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let (done, written) = sync_channel(1);
        let mut message = Message::Finish(done);
        loop {
            match self.queue.try_send(message) {
                Ok(()) => {
                    let left = end.saturating_duration_since(Instant::now());
                    return written.recv_timeout(left).is_ok();
                }
                Err(TrySendError::Full(back)) if Instant::now() < end => message = back,
                Err(_) => return false,
            }
            thread::sleep(GATHER);
        }
    }

    /// The same, and then the thread is gone; what is handed over from now on is lost. A file that can't be written to in that time
    /// keeps it.
    pub fn end(&self, limit: Duration) -> bool {
        self.shared.ends.store(true, Relaxed);
        let is_complete = self.flush(limit);
        let thread = &mut *self.shared.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take_if(|_| is_complete) {
            let _ = thread.join();
        }
        is_complete
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sender({:?})", self.shared)
    }
}

fn keep_writing(
    records: &Receiver<Message>,
    mut writer: Option<Writer>,
    format: &Format,
    ends: &AtomicBool,
) {
    let mut lines = Vec::new();
    let mut is_behind = false;
    while let Ok(first) = records.recv() {
        if !is_behind && matches!(first, Message::Record(..)) {
            thread::sleep(GATHER);
        }
        let mut finished = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Record(record, at) => {
                    tracing::debug!(?record, "connection ended");
                    format.write(&record, at, &mut lines);
                }
                Message::Look => {}
                Message::Finish(done) => finished.push(done),
            }
            is_behind = lines.len() >= BATCH;
            next = if is_behind { None } else { records.try_recv().ok() };
        }
        if let Some(writer) = &mut writer {
            writer.write(&lines);
        }
        lines.clear();
        let is_last = !finished.is_empty() && ends.load(Relaxed);
        for done in finished {
            let _ = done.try_send(());
        }
        if is_last {
            return;
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// What a log is told, for a test to read.
    pub(crate) struct Records(Receiver<Message>);

    impl Records {
        /// The next record, if there is one.
        pub(crate) fn next(&self) -> Option<Record> {
            match self.0.try_recv() {
                Ok(Message::Record(record, _)) => Some(record),
                _ => None,
            }
        }
    }

    /// A log that only the test reads.
    pub(crate) fn sender() -> (Sender, Records) {
        let (sender, records) = Sender::new();
        (sender, Records(records))
    }
}

#[cfg(test)]
mod tests;
