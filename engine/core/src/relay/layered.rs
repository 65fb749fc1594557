//! The copying mover where a leg has layers: what they make of the bytes, what they say themselves, and how they end.
//!
//! A layer may answer on the leg that it stands on, and may say that its peer sends no more before the connection does. A
//! stream that ends without that word is passed on without it, so that who reads it can tell, too. libvirt's programs never say it: of
//! them, an end between two messages is told as one in order, but still passed on without the word, which nobody has vouched for.

use bytes::Bytes;
use penstock_ring::{Buffer, Chunk, Kernel};
use penstock_tls::Error;

use super::copy::discard_chunk;
use super::direction::NEVER;
use super::{Failure, Mover, Relay, Way, source_side};
use crate::close::Cause;
use crate::control::Piece;
use crate::layers::{Broken, Fault, Opened, Parting, WebSocket};
use crate::turn::{Step, Turn};

/// A leg that has not taken so many bytes yet is asked nothing, and its pings are not answered.
pub(crate) const CONGESTED: u32 = 64 << 10;

impl Relay {
    /// Whether payload may pass unseen, behind a header perhaps.
    pub(super) fn can_splice(&self, way: Way) -> bool {
        let can = !self.recorded && self.ways[way].splice_after != NEVER;
        let [source, sink] = [way, way.back()].map(|side| &self.layers[side as usize]);
        can && source.is_plain() && sink.takes_bytes()
    }

    /// Writes down what passes, if it is recorded.
    pub(super) fn record<K: Kernel>(&self, way: Way, chunk: &Chunk, turn: &mut Turn<K>) {
        if !self.recorded {
            return;
        }
        let bytes = match chunk {
            Chunk::Pool(buffer) => Bytes::copy_from_slice(turn.kernel.bytes(buffer)),
            Chunk::Bytes(bytes) => bytes.clone(),
        };
        let (id, from_client) = (self.handle.id(turn.worker), way == Way::ToTarget);
        turn.outside.recorded(Piece { id, from_client, bytes });
    }

    /// Takes what the source's layers make of a buffer.
    pub(super) fn convert<K: Kernel>(
        &mut self,
        way: Way,
        buffer: Buffer,
        turn: &mut Turn<K>,
    ) -> Step {
        let Opened { plain, reply, ended, broken, .. } = self.open(way, buffer, turn);
        if let Some(chunk) = plain {
            self.layers[way as usize].follow(&chunk, &turn.kernel, turn.now);
            self.ways[way].moved_at = turn.now;
            self.pass_on(way, chunk, turn)?;
        }
        if let Some(fault) = broken {
            return self.source_garbled(way, Broken { fault, reply }, turn);
        }
        if !reply.is_empty() {
            self.send_between(way.back(), reply, turn)?;
        }
        self.end_if(ended, way, turn)
    }

    /// What the source's layers make of a buffer. Who has not read for long gets no pongs.
    fn open<K: Kernel>(
        &mut self,
        way: Way,
        buffer: Buffer,
        turn: &mut Turn<K>,
    ) -> Opened<Option<Chunk>> {
        let source = &mut self.layers[way as usize];
        if let Some(browser) = source.web_socket_mut() {
            browser.answer_pings(self.ways[way.back()].owed < CONGESTED);
        }
        source.open(buffer, &mut turn.kernel, &turn.counters, turn.now)
    }

    /// The source sends what can't be understood: it is told, and that was all. What came before is delivered.
    pub(super) fn source_garbled<K: Kernel>(
        &mut self,
        way: Way,
        broken: Broken,
        turn: &mut Turn<K>,
    ) -> Step {
        let Broken { fault, reply } = broken;
        if !reply.is_empty() && !self.ways[way.back()].done {
            self.send_between(way.back(), reply, turn)?;
        }
        let cause = fault.cause();
        self.failure.get_or_insert_with(|| Box::new(Failure::Layer(fault)));
        self.stop_listening(way, turn);
        self.source_broken(way, cause, turn)
    }

    /// Nothing can be sealed for the sink any more: a fault of our own, or a key that is worn out.
    pub(super) fn sink_unsealed<K: Kernel>(
        &mut self,
        way: Way,
        error: Error,
        turn: &mut Turn<K>,
    ) -> Step {
        self.failure.get_or_insert_with(|| Box::new(Failure::Layer(Fault::Tls(error))));
        self.note_ending(source_side(way.back()), Cause::TlsFailed, turn);
        self.give_up(way, turn);
        self.verdict()
    }

    /// How the end of a source is told: one without its last word is not the same, nor is that of a program that reached nobody.
    pub(super) fn cause_of_end(&self, way: Way) -> Cause {
        if way == Way::ToClient && self.unproved_until.get().is_some() {
            return Cause::NotLetIn;
        }
        match self.layers[way as usize].is_cut() {
            true => Cause::Truncated,
            false => Cause::Finished,
        }
    }

    /// Sends what is no payload, as it is, between two frames. Within one that is being spliced it has to wait.
    pub(super) fn send_between<K: Kernel>(
        &mut self,
        way: Way,
        bytes: Bytes,
        turn: &mut Turn<K>,
    ) -> Step {
        if self.ways[way].announced {
            if let Some(browser) = self.layers[way.back() as usize].web_socket_mut() {
                browser.hold(&bytes);
            }
            return Step::Continue(());
        }
        self.send_overhead(way, bytes, turn)
    }

    /// Who speaks WebSocket and has said its last word waits for ours alone, and for no bytes of the other side.
    pub(super) fn answer_parting<K: Kernel>(&mut self, way: Way, turn: &mut Turn<K>) -> Step {
        let direction = &self.ways[way];
        let silent = direction.silenced && !direction.done && direction.mover == Mover::Copy;
        let sink = self.layers[way.back() as usize].web_socket();
        if !silent || !sink.is_some_and(WebSocket::has_left) {
            return Step::Continue(());
        }
        let word = self.farewell(way);
        self.send_overhead(way, word, turn)?;
        if self.is_empty(way, turn) && !std::mem::replace(&mut self.parted, true) {
            // However long the other side takes: browsers wait for the end of the connection.
            turn.kernel.shutdown(self.sink(way));
        }
        Step::Continue(())
    }

    /// The last word for the sink, unless something may be missing.
    pub(super) fn farewell(&mut self, way: Way) -> Bytes {
        let parting = if self.ways[way].whole { Parting::Done } else { Parting::Lost };
        self.layers[way.back() as usize].close(parting)
    }

    /// Of what nobody wants any more, the last word alone counts.
    pub(super) fn drop_received<K: Kernel>(
        &mut self,
        way: Way,
        buffer: Buffer,
        turn: &mut Turn<K>,
    ) -> Step {
        if self.ways[way].done {
            turn.kernel.release(buffer);
            return Step::Continue(());
        }
        let Opened { plain, reply, ended, broken, .. } = self.open(way, buffer, turn);
        if let Some(chunk) = plain {
            self.ways[way].whole = false;
            discard_chunk(chunk, turn);
        }
        if let Some(fault) = broken {
            return self.source_garbled(way, Broken { fault, reply }, turn);
        }
        // Of records, none may be left out: those behind it would not be understood.
        if !reply.is_empty() && !self.ways[way.back()].done {
            self.send_between(way.back(), reply, turn)?;
        }
        self.end_if(ended, way, turn)
    }

    /// The source has said its last word, before its connection has ended.
    fn end_if<K: Kernel>(&mut self, ended: bool, way: Way, turn: &mut Turn<K>) -> Step {
        if !ended || self.ways[way].ended {
            return Step::Continue(());
        }
        self.stop_listening(way, turn);
        self.source_ended(way, turn)
    }
}
