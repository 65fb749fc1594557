//! Recordings of consoles: what passes through them, written to a file each by a thread of its own.
//!
//! ```text
//!  worker: feed ── Piece ──▶ queue, bounded in bytes ──▶ thread: reels ──▶ FILE.1, FILE.2, … (websockify's format, or asciicast)
//!               ── Ended ──▶
//! ```
//!
//! In: pieces of streams, each with its time. Out: files, readable by their owner alone: passwords that are typed are among what they hold. No
//! console ever waits: what finds the queue full, or can't be written, is missing in the recording, which says so, and is counted.

mod asciicast;
mod feed;
mod reels;
mod shelf;
mod tape;
mod websockify;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{self, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use penstock_core::config::{Config, Recording};
use penstock_core::control::{Piece, SessionId};

pub(crate) use feed::Feed;
use reels::Reels;

/// Bytes that may wait for the thread.
const QUEUED: usize = 32 << 20;
/// What a piece counts for at least: many small ones cost more than their bytes.
const PIECE_MIN: usize = 2 << 10;

/// What the thread is told. Ends need no room: there are no more of them than recordings that were begun.
enum Entry {
    /// The first one of a connection says of which listener it is.
    Piece {
        piece: Piece,
        told: Told,
        first: Option<u16>,
    },
    Ended {
        id: SessionId,
        told: Told,
    },
    Finish(SyncSender<()>),
}

/// When something happened, and whether bytes are missing before it.
struct Told {
    at: Instant,
    gap: bool,
}

/// The end of the queue that pieces go into. Cheap to clone.
#[derive(Clone)]
pub struct Sender {
    queue: mpsc::Sender<Entry>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Which listeners are recorded, by index.
    recordings: Vec<Option<Recording>>,
    queued: AtomicUsize,
    /// Bytes that no recording has.
    lost: AtomicU64,
    /// Recordings that could not be begun or went on no more.
    failed: AtomicU64,
    begun: AtomicU64,
    /// Nothing is to be recorded behind the next [`Entry::Finish`].
    ends: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Starts the thread, if any listener is recorded.
///
/// # Errors
/// When no thread can be started.
pub fn start(config: &Config) -> io::Result<Option<Sender>> {
    let recordings: Vec<_> = config.listeners.iter().map(|one| one.record.clone()).collect();
    if recordings.iter().all(Option::is_none) {
        return Ok(None);
    }
    let (queue, entries) = channel();
    let shared = Arc::new(Shared { recordings, ..Shared::default() });
    let mut reels = Reels::new(shared.clone());
    let ends = shared.clone();
    let body = move || {
        for entry in entries {
            let is_last = matches!(entry, Entry::Finish(_)) && ends.ends.load(Relaxed);
            reels.hear(entry);
            if is_last {
                return;
            }
        }
    };
    let thread = thread::Builder::new().name("penstock-record".to_owned()).spawn(body)?;
    *shared.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    Ok(Some(Sender { queue, shared }))
}

impl Sender {
    /// For a worker.
    pub(crate) fn feed(&self) -> Feed {
        Feed::new(self.clone())
    }

    /// Hands over a piece, unless there is no room for it. False: it is lost.
    fn piece(&self, piece: Piece, told: Told, first: Option<u16>) -> bool {
        let (length, weight) = (piece.bytes.len(), weight(&piece));
        let fits = self.shared.queued.fetch_add(weight, Relaxed) + weight <= QUEUED;
        if !fits || self.queue.send(Entry::Piece { piece, told, first }).is_err() {
            self.shared.queued.fetch_sub(weight, Relaxed);
            self.shared.lost.fetch_add(length as u64, Relaxed);
            return false;
        }
        true
    }

    fn ended(&self, id: SessionId, told: Told) {
        // Without the thread, there is nothing to end.
        let _ = self.queue.send(Entry::Ended { id, told });
    }

    /// Waits until everything handed over so far is written, and all recordings are ended, but not longer than `limit`.
    /// Whether it came to that.
    pub fn flush(&self, limit: Duration) -> bool {
        let (done, written) = sync_channel(1);
        self.queue.send(Entry::Finish(done)).is_ok() && written.recv_timeout(limit).is_ok()
    }

    /// The same, and then the thread is gone; what is handed over from now on is lost. A file that can't be written to in that time
    /// keeps it.
    pub fn end(&self, limit: Duration) {
        self.shared.ends.store(true, Relaxed);
        let is_complete = self.flush(limit);
        let thread = &mut *self.shared.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take_if(|_| is_complete) {
            let _ = thread.join();
        }
    }

    /// Recordings begun and failed, and bytes lost.
    pub(crate) fn counts(&self) -> [u64; 3] {
        let Shared { begun, failed, lost, .. } = &*self.shared;
        [begun, failed, lost].map(|count| count.load(Relaxed))
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sender({:?} of recordings)", self.counts())
    }
}

fn weight(piece: &Piece) -> usize {
    piece.bytes.len().max(PIECE_MIN)
}

#[cfg(test)]
mod tests;
