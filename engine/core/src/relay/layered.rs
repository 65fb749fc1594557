//! The copying mover where a leg has layers: what they make of the bytes, what they say themselves, and how they end.
//!
//! A layer may answer on the leg that it stands on, and may say that its peer sends no more before the connection does. A
//! stream that ends without that word is passed on without it, so that who reads it can tell, too. libvirt's programs never say it: of
//! them, an end between two messages is told as one in order, but still passed on without the word, which nobody has vouched for.

use bytes::Bytes;
use penstock_ring::{Buffer, Kernel};
use penstock_tls::Error;

use super::copy::discard_chunk;
use super::{Failure, Relay, Way, source_side};
use crate::close::Cause;
use crate::layers::{Broken, Layers, Opened};
use crate::turn::{Step, Turn};

impl Relay {
    /// Whether both legs carry payload as it is.
    pub(super) fn is_plain(&self) -> bool {
        self.layers.iter().all(Layers::is_plain)
    }

    /// Takes what the source's layers make of a buffer.
    pub(super) fn convert<K: Kernel>(
        &mut self,
        way: Way,
        buffer: Buffer,
        turn: &mut Turn<K>,
    ) -> Step {
        let source = &mut self.layers[way as usize];
        let Opened { plain, reply, ended, broken, .. } =
            source.open(buffer, &mut turn.kernel, &turn.counters);
        if let Some(chunk) = plain {
            source.follow(&chunk, &turn.kernel);
            self.pass_on(way, chunk, turn)?;
        }
        if let Some(error) = broken {
            return self.source_garbled(way, Broken { error, reply }, turn);
        }
        if !reply.is_empty() {
            self.send_overhead(way.back(), reply, turn)?;
        }
        self.end_if(ended, way, turn)
    }

    /// The source sends what can't be understood: it is told, and that was all. What came before is delivered.
    pub(super) fn source_garbled<K: Kernel>(
        &mut self,
        way: Way,
        broken: Broken,
        turn: &mut Turn<K>,
    ) -> Step {
        let Broken { error, reply } = broken;
        if !reply.is_empty() && !self.ways[way.back()].done {
            self.send_overhead(way.back(), reply, turn)?;
        }
        self.failure.get_or_insert_with(|| Box::new(Failure::Tls(error)));
        self.stop_listening(way, turn);
        self.source_broken(way, Cause::TlsFailed, turn)
    }

    /// Nothing can be sealed for the sink any more: a fault of our own, or a key that is worn out.
    pub(super) fn sink_unsealed<K: Kernel>(
        &mut self,
        way: Way,
        error: Error,
        turn: &mut Turn<K>,
    ) -> Step {
        self.failure.get_or_insert_with(|| Box::new(Failure::Tls(error)));
        self.note_ending(source_side(way.back()), Cause::TlsFailed, turn);
        self.give_up(way, turn);
        self.verdict()
    }

    /// How the end of a source is told: one without its last word is not the same, nor is that of a program that reached nobody.
    pub(super) fn cause_of_end(&self, way: Way) -> Cause {
        if way == Way::ToClient && self.unproved_until.is_some() {
            return Cause::NotLetIn;
        }
        match self.layers[way as usize].is_cut() {
            true => Cause::Truncated,
            false => Cause::Finished,
        }
    }

    /// The last word for the sink, unless something may be missing.
    pub(super) fn farewell(&mut self, way: Way) -> Bytes {
        match self.ways[way].whole {
            true => self.layers[way.back() as usize].close(),
            false => Bytes::new(),
        }
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
        let source = &mut self.layers[way as usize];
        let Opened { plain, reply, ended, broken, .. } =
            source.open(buffer, &mut turn.kernel, &turn.counters);
        if let Some(chunk) = plain {
            self.ways[way].whole = false;
            discard_chunk(chunk, turn);
        }
        if let Some(error) = broken {
            return self.source_garbled(way, Broken { error, reply }, turn);
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
