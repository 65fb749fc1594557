//! Sizes and purposes of buffers, the room around their bytes, and how many of each a worker's memory makes.

/// Free bytes in front of what was received: room for the headers of a WebSocket frame and of a TLS record.
const HEADROOM: usize = 32;
/// Free bytes behind what was received: room for header and tag of a second TLS record, which a full large buffer needs.
const TAILROOM: usize = 48;
/// The same in front of much: room for the beginning of a TLS record that came before (RFC 5246 §6.2.3 allows 18,437 bytes).
const BULK_HEADROOM: usize = 18_496;
/// The same behind much: room for headers and tags of seventeen full TLS records, or of seventy that carry
/// 4 KiB.
const BULK_TAILROOM: usize = 2048;

/// Fewer buffers for bulk would serve nobody: most of them have to be left to those who have them in hand.
const BULK_MIN: usize = 32;

/// Buffers of a group below which no leg gets more than one at a time.
pub const SMALL_POOL: usize = 1024;

/// A size and purpose of buffers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Group {
    /// 4 KiB, for preludes only, so that new connections are heard when relays have taken all the rest.
    Reserve,
    /// 4 KiB, for relays.
    Small,
    /// 18 KiB, for streams that fill small buffers.
    Record,
    /// 256 KiB, for streams through TLS that fill small buffers: several records at once.
    Bulk,
}

impl Group {
    /// All groups, in index order.
    pub const ALL: [Group; Group::COUNT] =
        [Group::Reserve, Group::Small, Group::Record, Group::Bulk];
    /// Their number.
    pub const COUNT: usize = 4;

    /// Bytes that one buffer can receive.
    pub const fn capacity(self) -> usize {
        match self {
            Group::Reserve | Group::Small => 4096,
            Group::Record => 18 * 1024,
            Group::Bulk => 256 * 1024,
        }
    }

    /// Whether a leg gets one buffer per request: it is asked for when the last one was taken care of.
    pub const fn is_single(self) -> bool {
        matches!(self, Group::Reserve | Group::Bulk)
    }

    /// Free bytes in front of what was received.
    pub const fn headroom(self) -> usize {
        match self {
            Group::Reserve | Group::Small | Group::Record => HEADROOM,
            Group::Bulk => BULK_HEADROOM,
        }
    }

    /// Free bytes behind it.
    pub const fn tailroom(self) -> usize {
        match self {
            Group::Reserve | Group::Small | Group::Record => TAILROOM,
            Group::Bulk => BULK_TAILROOM,
        }
    }

    /// Bytes of the mapping that one buffer takes.
    pub const fn stride(self) -> usize {
        self.headroom() + self.capacity() + self.tailroom()
    }

    /// Place in [`Group::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// How many buffers each group has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolSizes {
    /// Buffers for preludes.
    pub reserve: u32,
    /// Small buffers for relays.
    pub small: u32,
    /// Record buffers.
    pub record: u32,
    /// Bulk buffers.
    pub bulk: u32,
}

impl PoolSizes {
    /// Splits a worker's memory: a 32nd for preludes, a quarter for bulk if that makes [`BULK_MIN`] buffers, half of the rest for
    /// each other group. At least 4 of each, but for bulk.
    pub const fn of_memory(bytes: usize) -> PoolSizes {
        let reserve = bytes / 32;
        let bulk = match bytes / 4 / Group::Bulk.stride() < BULK_MIN {
            true => 0,
            false => bytes / 4,
        };
        let half = (bytes - reserve - bulk) / 2;
        PoolSizes {
            reserve: at_least_4(reserve / Group::Reserve.stride()),
            small: at_least_4(half / Group::Small.stride()),
            record: at_least_4(half / Group::Record.stride()),
            bulk: at_most_all(bulk / Group::Bulk.stride()),
        }
    }

    /// Number of buffers of a group.
    pub const fn count(&self, group: Group) -> u32 {
        match group {
            Group::Reserve => self.reserve,
            Group::Small => self.small,
            Group::Record => self.record,
            Group::Bulk => self.bulk,
        }
    }
}

/// Buffers of a group, at most: a ring of provided buffers has so many entries, numbered in 16 bits.
pub(crate) const GROUP_MAX: u32 = 32_768;

const fn at_least_4(n: usize) -> u32 {
    if n < 4 { 4 } else { at_most_all(n) }
}

const fn at_most_all(n: usize) -> u32 {
    if n > GROUP_MAX as usize { GROUP_MAX } else { n as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_memory_is_not_kept_for_bulk() {
        let [little, enough] = [16, 64].map(|mib| PoolSizes::of_memory(mib << 20));
        assert_eq!((little.bulk, enough.bulk), (0, 59));
        assert!(little.small as usize * Group::Small.stride() > (7 << 20), "{little:?}");
        assert!(PoolSizes::of_memory(35 << 20).bulk as usize >= BULK_MIN);
        assert_eq!(
            PoolSizes::of_memory(1024),
            PoolSizes { reserve: 4, small: 4, record: 4, bulk: 0 }
        );
    }
}
