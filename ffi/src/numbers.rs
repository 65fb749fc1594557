//! One number for each connection, whether it was handed over or accepted.
//!
//! ```text
//!  worker 8 | 0 | count 55                        handed over: the engine's tag
//!  worker 8 | 1 | slot 31 | generation 24         accepted by a listener: its session
//! ```

use penstock_core::control::{Record, SessionId, TunnelInfo, Which};
use penstock_core::intake::Tag;

use crate::tunnel::penstock_id;

const ACCEPTED: u64 = 1 << 55;
const GENERATION_BITS: u32 = 24;
const SLOT_MASK: u64 = (1 << 31) - 1;

/// The number of a session.
pub(crate) fn of_session(id: SessionId) -> penstock_id {
    let SessionId { worker, slot, generation } = id;
    let slot = u64::from(slot) & SLOT_MASK;
    u64::from(worker) << 56 | ACCEPTED | slot << GENERATION_BITS | u64::from(generation)
}

fn of(tag: Option<Tag>, id: SessionId) -> penstock_id {
    tag.map_or_else(|| of_session(id), Tag::number)
}

/// The number in a completion.
pub(crate) fn of_record(record: &Record) -> penstock_id {
    of(record.tag, record.id)
}

/// The number in a listing.
pub(crate) fn of_info(info: &TunnelInfo) -> penstock_id {
    of(info.tag, info.id)
}

/// What a number stands for.
pub(crate) fn which(number: penstock_id) -> Which {
    match session(number) {
        Some(id) => Which::Session(id),
        None => Which::HandedOver(Tag::of_number(number)),
    }
}

/// The session of a number; none: it was handed over.
pub(crate) fn session(number: penstock_id) -> Option<SessionId> {
    (number & ACCEPTED != 0).then_some(SessionId {
        worker: (number >> 56) as u8,
        slot: ((number >> GENERATION_BITS) & SLOT_MASK) as u32,
        generation: (number & ((1 << GENERATION_BITS) - 1)) as u32,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_leads_back_to_what_it_stands_for() {
        for (worker, slot, generation) in
            [(0, 0, 1), (255, (1 << 31) - 1, (1 << 24) - 1), (3, 7, 9)]
        {
            let id = SessionId { worker, slot, generation };
            assert_eq!(session(of_session(id)), Some(id));
            assert!(matches!(which(of_session(id)), Which::Session(same) if same == id));
        }
        let tag = Tag::of_number(2 << 56 | 77);
        assert!(matches!(which(tag.number()), Which::HandedOver(same) if same == tag));
        assert_eq!(which(tag.number()).worker(), 2);
    }
}
