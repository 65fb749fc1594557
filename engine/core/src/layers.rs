//! What stands between a leg's descriptor and the plain bytes of its stream.
//!
//! A direction decodes at its source and encodes at its sink. Both work in place, in pool buffers that keep headroom and
//! tailroom free for it. Splicing is possible only where nothing needs to be done.

use penstock_ring::{Buffer, Chunk};

/// The layers of one leg, from the descriptor outwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Layers {
    /// None: the descriptor carries the bytes as they are.
    #[default]
    Plain,
}

impl Layers {
    /// Whether bytes may pass without being looked at.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Layers::Plain)
    }

    /// Turns what was received into plain bytes.
    pub(crate) fn decode(&mut self, buffer: Buffer) -> Buffer {
        match self {
            Layers::Plain => buffer,
        }
    }

    /// Turns plain bytes into what is sent.
    pub(crate) fn encode(&mut self, buffer: Buffer) -> Chunk {
        match self {
            Layers::Plain => Chunk::Pool(buffer),
        }
    }
}
