//! All recordings that are open, by connection.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use penstock_core::control::{Piece, SessionId};

use super::shelf::Shelf;
use super::tape::Tape;
use super::{Entry, Shared, Told, weight};

pub(super) struct Reels {
    /// Of those listeners that are recorded, by index.
    shelves: Vec<Option<Shelf>>,
    /// None: it could not be written, which was told, and is not tried again.
    open: HashMap<SessionId, Option<Tape>>,
    shared: Arc<Shared>,
}

impl Reels {
    pub(super) fn new(shared: Arc<Shared>) -> Reels {
        let shelves = shared.recordings.iter().cloned().map(|one| one.map(Shelf::new)).collect();
        Reels { shelves, open: HashMap::new(), shared }
    }

    pub(super) fn hear(&mut self, entry: Entry) {
        match entry {
            Entry::Piece { piece, told, first } => self.take(&piece, &told, first),
            Entry::Ended { id, told } => self.end(id, &told),
            Entry::Finish(done) => {
                self.end_all();
                let _ = done.try_send(());
            }
        }
    }

    /// Writes a piece to the tape of its connection, which its first one begins.
    fn take(&mut self, piece: &Piece, told: &Told, first: Option<u16>) {
        if let Some(listener) = first {
            let tape = self.begin(listener, told.at);
            self.open.insert(piece.id, tape);
        }
        let written = self.attempt(piece.id, |tape| {
            write_gap(tape, told)?;
            tape.write(piece.from_client, told.at, &piece.bytes)
        });
        if !written {
            self.shared.lost.fetch_add(piece.bytes.len() as u64, Relaxed);
        }
        self.shared.queued.fetch_sub(weight(piece), Relaxed);
    }

    fn end(&mut self, id: SessionId, told: &Told) {
        self.attempt(id, |tape| write_gap(tape, told));
        if let Some(Some(tape)) = self.open.remove(&id) {
            self.note(tape.end(told.at));
        }
    }

    fn end_all(&mut self) {
        let at = Instant::now();
        for (_, tape) in std::mem::take(&mut self.open) {
            self.note(tape.map_or(Ok(()), |tape| tape.end(at)));
        }
    }

    fn begin(&mut self, listener: u16, at: Instant) -> Option<Tape> {
        let shelf = self.shelves.get_mut(usize::from(listener))?.as_mut()?;
        let begun = shelf.create().and_then(|file| Tape::begin(file, shelf.format(), at));
        let tape = self.note(begun)?;
        self.shared.begun.fetch_add(1, Relaxed);
        Some(tape)
    }

    /// Does something with a tape; after an error it is none any more. False: it was not done.
    fn attempt(&mut self, id: SessionId, work: impl FnOnce(&mut Tape) -> io::Result<()>) -> bool {
        let Some(reel) = self.open.get_mut(&id) else { return false };
        let Some(done) = reel.as_mut().map(work) else { return false };
        if done.is_err() {
            *reel = None;
        }
        self.note(done).is_some()
    }

    fn note<T>(&self, result: io::Result<T>) -> Option<T> {
        let told = |error: &io::Error| {
            self.shared.failed.fetch_add(1, Relaxed);
            tracing::error!(%error, "a recording can't be written; its console goes on without");
        };
        result.inspect_err(told).ok()
    }
}

fn write_gap(tape: &mut Tape, told: &Told) -> io::Result<()> {
    if told.gap { tape.gap(told.at) } else { Ok(()) }
}

#[cfg(test)]
impl Reels {
    /// Of those that are open.
    pub(super) fn count(&self) -> usize {
        self.open.len()
    }
}
