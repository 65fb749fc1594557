//! Recordings of consoles: what passes through them, written to a file each by a thread of its own.
//!
//! ```text
//!  worker ── Piece ──▶ queue, bounded in bytes ──▶ thread ──▶ FILE.1, FILE.2, … (websockify's format, or asciicast)
//!         ── Ended ──▶
//! ```
//!
//! In: pieces of streams, each with its time. Out: files, readable by their owner alone: passwords that are typed are among what they hold. No
//! console ever waits: what finds the queue full, or can't be written, is missing in the recording, which says so, and is counted.

mod asciicast;
mod tape;
mod websockify;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use penstock_core::config::{Config, Recording};
use penstock_core::control::{Piece, SessionId};

use tape::Tape;

/// Entries that may wait for the thread.
const QUEUE: usize = 16_384;
/// Bytes that may.
const QUEUED: usize = 32 << 20;

/// What the thread is told.
enum Entry {
    Begun(SessionId, u16),
    Piece(Piece, Instant),
    Ended(SessionId, Instant),
    Finish(SyncSender<()>),
}

/// The end of the queue that pieces go into. Cheap to clone; no call waits.
#[derive(Clone)]
pub struct Sender {
    queue: SyncSender<Entry>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Which listeners are recorded, by index.
    recordings: Vec<Option<Recording>>,
    queued: AtomicUsize,
    /// Bytes that no recording has, for want of room in the queue.
    lost: AtomicU64,
    /// Recordings that could not be begun or went on no more.
    failed: AtomicU64,
    begun: AtomicU64,
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
    let (queue, entries) = sync_channel(QUEUE);
    let shared = Arc::new(Shared { recordings, ..Shared::default() });
    let of_thread = shared.clone();
    thread::Builder::new()
        .name("penstock-record".to_owned())
        .spawn(move || keep_writing(&entries, &of_thread))?;
    Ok(Some(Sender { queue, shared }))
}

impl Sender {
    /// Hands over a piece of a stream.
    pub(crate) fn record(&self, piece: Piece) {
        let length = piece.bytes.len();
        let before = self.shared.queued.fetch_add(length, Relaxed);
        let fits = before + length <= QUEUED;
        if !fits || self.queue.try_send(Entry::Piece(piece, Instant::now())).is_err() {
            self.shared.queued.fetch_sub(length, Relaxed);
            self.shared.lost.fetch_add(length as u64, Relaxed);
        }
    }

    /// Tells that what passes through a connection will come, and of which listener it is.
    pub(crate) fn begin(&self, id: SessionId, listener: u16) {
        // Of what is not begun, everything is lost, and counted then.
        let _ = self.queue.try_send(Entry::Begun(id, listener));
    }

    /// Tells of the end of a connection, if it was one of a listener that is recorded.
    pub(crate) fn end(&self, listener: u16, id: SessionId) {
        if self.shared.recordings.get(usize::from(listener)).is_some_and(Option::is_some) {
            // A tape whose end was lost is ended by the next one of the same slot, or with the daemon.
            let _ = self.queue.try_send(Entry::Ended(id, Instant::now()));
        }
    }

    /// Waits until everything handed over so far is written, but not longer than `limit`.
    pub fn flush(&self, limit: Duration) {
        let (done, written) = sync_channel(1);
        if self.queue.try_send(Entry::Finish(done)).is_ok() {
            let _ = written.recv_timeout(limit);
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

fn keep_writing(entries: &Receiver<Entry>, shared: &Shared) {
    let mut tapes = HashMap::new();
    while let Ok(first) = entries.recv() {
        let mut next = Some(first);
        let mut finished = Vec::new();
        while let Some(entry) = next {
            match entry {
                Entry::Begun(id, listener) => {
                    let recording = shared.recordings[usize::from(listener)].clone();
                    tapes.insert(id, recording.map_or(Reel::Failed, Reel::Empty));
                }
                Entry::Piece(piece, at) => take(&piece, at, &mut tapes, shared),
                Entry::Ended(id, at) => {
                    if let Some(Reel::Tape(tape)) = tapes.remove(&id) {
                        note(tape.end(at), shared);
                    }
                }
                Entry::Finish(done) => finished.push(done),
            }
            next = entries.try_recv().ok();
        }
        for reel in tapes.values_mut() {
            reel.attempt(shared, Tape::flush);
        }
        for done in finished {
            for (_, reel) in tapes.drain() {
                if let Reel::Tape(tape) = reel {
                    note(tape.end(Instant::now()), shared);
                }
            }
            let _ = done.try_send(());
        }
    }
}

/// The recording of one connection.
enum Reel {
    /// Nothing has passed yet.
    Empty(Recording),
    Tape(Box<Tape>),
    Failed,
}

impl Reel {
    /// Does something with the tape, if there is one; after an error there is none any more.
    fn attempt(&mut self, shared: &Shared, work: impl FnOnce(&mut Tape) -> io::Result<()>) {
        let Reel::Tape(tape) = self else { return };
        let done = work(tape);
        if done.is_err() {
            *self = Reel::Failed;
        }
        note(done, shared);
    }
}

/// Writes a piece to the tape of its connection, which its first one begins.
fn take(piece: &Piece, at: Instant, reels: &mut HashMap<SessionId, Reel>, shared: &Shared) {
    shared.queued.fetch_sub(piece.bytes.len(), Relaxed);
    let Some(reel) = reels.get_mut(&piece.id) else {
        shared.lost.fetch_add(piece.bytes.len() as u64, Relaxed);
        return;
    };
    let lost = shared.lost.load(Relaxed);
    if let Reel::Empty(recording) = reel {
        *reel = match Tape::begin(recording, at, lost) {
            Ok(tape) => {
                shared.begun.fetch_add(1, Relaxed);
                Reel::Tape(Box::new(tape))
            }
            Err(error) => {
                note(Err(error), shared);
                Reel::Failed
            }
        };
    }
    reel.attempt(shared, |tape| tape.write(piece, at, lost));
}

fn note(result: io::Result<()>, shared: &Shared) {
    if let Err(error) = result {
        shared.failed.fetch_add(1, Relaxed);
        tracing::error!(%error, "a recording can't be written; its console goes on without");
    }
}

#[cfg(test)]
mod tests;
