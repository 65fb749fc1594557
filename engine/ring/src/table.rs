//! The table of legs: slots that are reused, and generations that tell a slot's tenants apart.
//!
//! Storage grows by chunks that never move, so a large table costs no reallocation of live legs.

use crate::op::Leg;

/// Bits of a generation: it shares a 64-bit tag with a slot (32) and a kind (8).
pub const GENERATION_BITS: u32 = 24;

const GENERATION_MASK: u32 = (1 << GENERATION_BITS) - 1;
const CHUNK: usize = 256;

/// Slots of `T`, found by [`Leg`].
#[derive(Debug)]
pub struct Table<T> {
    chunks: Vec<Box<[Slot<T>]>>,
    /// Empty slots; the last one emptied is filled first, so that memory touched is memory in use.
    vacant: Vec<u32>,
    len: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    tenant: Option<T>,
}

impl<T> Table<T> {
    /// An empty table; it allocates nothing.
    pub const fn new() -> Table<T> {
        Table { chunks: Vec::new(), vacant: Vec::new(), len: 0 }
    }

    /// Takes a tenant in.
    pub fn insert(&mut self, tenant: T) -> Leg {
        let slot = match self.vacant.pop() {
            Some(slot) => slot,
            None => self.grow(),
        };
        let place = &mut self.chunks[slot as usize / CHUNK][slot as usize % CHUNK];
        place.tenant = Some(tenant);
        self.len += 1;
        Leg { slot, generation: place.generation }
    }

    /// Lets a tenant go; its handle, and every copy of it, is stale from now on.
    pub fn remove(&mut self, leg: Leg) -> Option<T> {
        let place = self.place_mut(leg)?;
        let tenant = place.tenant.take()?;
        place.generation = (place.generation + 1) & GENERATION_MASK;
        self.vacant.push(leg.slot);
        self.len -= 1;
        Some(tenant)
    }

    /// The tenant, unless the handle is stale.
    pub fn get_mut(&mut self, leg: Leg) -> Option<&mut T> {
        self.place_mut(leg)?.tenant.as_mut()
    }

    /// The tenant, unless the handle is stale.
    pub fn get(&self, leg: Leg) -> Option<&T> {
        let slot = leg.slot as usize;
        let place = self.chunks.get(slot / CHUNK)?.get(slot % CHUNK)?;
        place.tenant.as_ref().filter(|_| place.generation == leg.generation)
    }

    /// Handles of all tenants, in slot order.
    pub fn legs(&self) -> impl Iterator<Item = Leg> {
        self.chunks.iter().flatten().zip(0..).filter_map(|(place, slot)| {
            place.tenant.is_some().then_some(Leg { slot, generation: place.generation })
        })
    }

    /// The tenants of at most `count` slots from `from` on, and the slot to go on with; none: that was all.
    pub fn slice(&self, from: u32, count: u32) -> (impl Iterator<Item = (Leg, &T)>, Option<u32>) {
        let slots = (self.chunks.len() * CHUNK) as u32;
        let end = from.saturating_add(count).min(slots);
        let tenants = (from..end).filter_map(|slot| {
            let leg = self.tenant(slot)?;
            Some((leg, self.get(leg)?))
        });
        (tenants, (end < slots).then_some(end))
    }

    /// The handle of a slot's present tenant.
    pub fn tenant(&self, slot: u32) -> Option<Leg> {
        let place = self.chunks.get(slot as usize / CHUNK)?.get(slot as usize % CHUNK)?;
        place.tenant.is_some().then_some(Leg { slot, generation: place.generation })
    }

    /// Number of tenants.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no tenant.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn place_mut(&mut self, leg: Leg) -> Option<&mut Slot<T>> {
        let slot = leg.slot as usize;
        let place = self.chunks.get_mut(slot / CHUNK)?.get_mut(slot % CHUNK)?;
        (place.generation == leg.generation).then_some(place)
    }

    /// Adds a chunk of empty slots and gives the first of them. Slots are bounded by descriptors, far below 2^32.
    fn grow(&mut self) -> u32 {
        let first = (self.chunks.len() * CHUNK) as u32;
        self.chunks.push((0..CHUNK).map(|_| Slot { generation: 0, tenant: None }).collect());
        self.vacant.extend((first + 1..first + CHUNK as u32).rev());
        first
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_handle_never_reaches_the_next_tenant() {
        let mut table = Table::new();
        let first = table.insert('a');
        assert_eq!(table.remove(first), Some('a'));
        let second = table.insert('b');
        assert_eq!(first.slot, second.slot);
        assert_eq!(table.get(first), None);
        assert_eq!(table.get_mut(first), None);
        assert_eq!(table.remove(first), None);
        assert_eq!(table.get(second), Some(&'b'));
    }

    #[test]
    fn generations_wrap_within_their_bits() {
        let mut table = Table::new();
        let mut leg = table.insert(());
        for _ in 0..=GENERATION_MASK {
            assert!(leg.generation <= GENERATION_MASK);
            table.remove(leg).expect("present");
            leg = table.insert(());
        }
        assert_eq!(leg, Leg { slot: 0, generation: 0 });
    }

    #[test]
    fn slots_are_reused_before_the_table_grows() {
        let mut table = Table::new();
        let legs: Vec<Leg> = (0..1000).map(|n| table.insert(n)).collect();
        assert_eq!(table.legs().collect::<Vec<_>>(), legs);
        for leg in &legs[300..] {
            table.remove(*leg).expect("present");
        }
        assert_eq!(table.len(), 300);
        assert!((0..700).all(|n| table.insert(n).slot < 1000));
        assert_eq!(table.legs().count(), 1000);
    }
}
