//! What the ring carries from a submission to its completions: operation, generation and slot in 64 bits.
//!
//! ```text
//! 63      62..56     55......32  31..0
//! cancel  operation  generation  slot
//! ```

use crate::op::Leg;
use crate::table::GENERATION_BITS;

const SLOT_BITS: u32 = 32;
const OPERATION_SHIFT: u32 = SLOT_BITS + GENERATION_BITS;
const CANCEL: u64 = 1 << 63;

const _: () = assert!(OPERATION_SHIFT == 56, "seven bits are left for the operation");

/// What was asked of the ring. A leg has at most one of each in flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Operation {
    Accept,
    Connect,
    Receive,
    /// A wait for bytes: of a plain descriptor in front of its `Receive`, of bulk before its turn.
    Arrival,
    /// On a plain descriptor: its wait until bytes are accepted again.
    Send,
    WatchReadable,
    WatchWritable,
    WatchHangUp,
    SpliceIn,
    SpliceOut,
    /// A message or an eventfd's hint from another thread; of no leg.
    Wake,
}

impl Operation {
    pub(super) const ALL: [Operation; 11] = [
        Operation::Accept,
        Operation::Connect,
        Operation::Receive,
        Operation::Arrival,
        Operation::Send,
        Operation::WatchReadable,
        Operation::WatchWritable,
        Operation::WatchHangUp,
        Operation::SpliceIn,
        Operation::SpliceOut,
        Operation::Wake,
    ];
}

/// An operation of a leg, or the cancellation of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tag {
    pub(super) operation: Operation,
    pub(super) cancel: bool,
    pub(super) leg: Leg,
}

impl Tag {
    pub(super) const WAKE: Tag =
        Tag { operation: Operation::Wake, cancel: false, leg: Leg { slot: 0, generation: 0 } };

    pub(super) const fn new(operation: Operation, leg: Leg) -> Tag {
        Tag { operation, cancel: false, leg }
    }

    pub(super) const fn cancelling(self) -> Tag {
        Tag { cancel: true, ..self }
    }

    pub(super) const fn encode(self) -> u64 {
        let cancel = if self.cancel { CANCEL } else { 0 };
        cancel
            | (self.operation as u64) << OPERATION_SHIFT
            | (self.leg.generation as u64) << SLOT_BITS
            | self.leg.slot as u64
    }

    /// None for what `encode` never made.
    pub(super) fn decode(bits: u64) -> Option<Tag> {
        let operation = (bits & !CANCEL) >> OPERATION_SHIFT;
        let generation = bits >> SLOT_BITS & ((1 << GENERATION_BITS) - 1);
        Some(Tag {
            operation: *Operation::ALL.get(operation as usize)?,
            cancel: bits & CANCEL != 0,
            leg: Leg { slot: bits as u32, generation: generation as u32 },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tag_comes_back_as_it_went() {
        for (index, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(index, operation as usize, "the list is in the order of the numbers");
            for slot in [0, 1, 0x8000_0001, u32::MAX] {
                for generation in [0, 1, (1 << GENERATION_BITS) - 1] {
                    let tag = Tag::new(operation, Leg { slot, generation });
                    assert_eq!(Tag::decode(tag.encode()), Some(tag));
                    let cancelling = tag.cancelling();
                    assert_eq!(Tag::decode(cancelling.encode()), Some(cancelling));
                    assert_ne!(tag.encode(), cancelling.encode());
                }
            }
        }
    }

    #[test]
    fn what_no_tag_encodes_to_is_refused() {
        assert_eq!(Tag::decode((Operation::ALL.len() as u64) << OPERATION_SHIFT), None);
        assert_eq!(Tag::decode(u64::MAX), None);
    }
}
