//! A ring of provided buffers: what one group offers to the kernel for bytes that may arrive on any leg.
//!
//! The kernel takes buffers in the order they were posted, so everything posted gets touched in turn. Only as many are
//! posted as were recently needed: the pool hands out the warmest first, and memory touched follows use.

use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering::Release};

use io_uring::types::BufRingEntry;
use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::buffers::{Group, Pool};

/// Bytes posted when nothing is known of the load, and the fewest that demand falls back to. A lone flood gets no more
/// per turn.
const POSTED_MIN: usize = 256 << 10;
/// The most bytes ever posted: a burst beyond them starts its receives again.
const POSTED_MAX: usize = 4 << 20;
/// Buffers posted at least, however large.
const COUNT_MIN: u32 = 1;
/// Turns after which demand that stayed low lowers what is posted.
const PATIENCE: u32 = 1024;

/// The ring of one group.
pub(super) struct Provided {
    base: NonNull<BufRingEntry>,
    group: Group,
    entries: u16,
    tail: u16,
    /// Posted, and not yet seen in a completion.
    posted: u32,
    /// How many may be posted now, and the bounds of that.
    demand: u32,
    demand_min: u32,
    demand_max: u32,
    /// Receives that found none since the last refill.
    unserved: u32,
    /// The most taken between two refills since `turns` was last zero.
    taken_max: u32,
    turns: u32,
}

impl Provided {
    /// # Errors
    /// Of mmap(2).
    pub(super) fn new(group: Group, total: u32) -> Result<Provided, Errno> {
        let within = |bytes: usize| total.min(COUNT_MIN.max((bytes / group.capacity()) as u32));
        let entries = within(POSTED_MAX).next_power_of_two();
        let bytes = mapping_bytes(entries as u16);
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh anonymous mapping, zeroed, owned until `Drop`.
        let base = unsafe { mmap_anonymous(None, bytes, access, MapFlags::MAP_PRIVATE)? };
        Ok(Provided {
            base: base.cast(),
            group,
            entries: entries as u16,
            tail: 0,
            posted: 0,
            demand: within(POSTED_MIN),
            demand_min: within(POSTED_MIN),
            demand_max: within(POSTED_MAX),
            unserved: 0,
            taken_max: 0,
            turns: 0,
        })
    }

    /// Its number of entries, a power of two.
    pub(super) fn entries(&self) -> u16 {
        self.entries
    }

    /// Where the kernel finds it.
    pub(super) fn address(&self) -> u64 {
        self.base.as_ptr() as u64
    }

    /// The number by which receives name it.
    pub(super) fn id(group: Group) -> u16 {
        group.index() as u16
    }

    /// Buffers that the kernel may take.
    pub(super) fn posted(&self) -> u32 {
        self.posted
    }

    /// Tells that a completion brought one of the posted buffers.
    pub(super) fn taken(&mut self) {
        debug_assert!(self.posted > 0, "a buffer that was never posted");
        self.posted -= 1;
    }

    /// Tells that the kernel found none for a receive.
    pub(super) fn missed(&mut self) {
        self.unserved += 1;
    }

    /// Posts what may be posted, once per turn.
    pub(super) fn refill(&mut self, pool: &mut Pool) {
        self.follow_demand();
        let before = self.tail;
        while self.posted < self.demand
            && let Some(index) = pool.take(self.group)
        {
            self.post(pool, index);
        }
        if self.tail != before {
            // SAFETY: the tail lies in the first entry; the mapping lives until `Drop`, and the kernel only reads it.
            let tail =
                unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.base.as_ptr()).cast_mut()) };
            tail.store(self.tail, Release);
        }
    }

    /// Many legs that went without raise the demand; a few don't, since a flood takes whatever is posted.
    fn follow_demand(&mut self) {
        self.taken_max = self.taken_max.max(self.demand.saturating_sub(self.posted));
        self.turns += 1;
        if std::mem::take(&mut self.unserved) > self.demand / 4 {
            self.demand = (self.demand * 2).min(self.demand_max);
            (self.turns, self.taken_max) = (0, 0);
        } else if self.turns == PATIENCE {
            if self.taken_max < self.demand / 4 {
                self.demand = (self.demand / 2).max(self.demand_min);
            }
            (self.turns, self.taken_max) = (0, 0);
        }
    }

    fn post(&mut self, pool: &Pool, index: u32) {
        let place = usize::from(self.tail & (self.entries - 1));
        // SAFETY: within the mapping by the mask. The kernel doesn't read this entry before the tail has passed it, and
        // fewer than `entries` are posted, so it isn't one that the kernel may still take.
        let entry = unsafe { self.base.add(place).as_mut() };
        entry.set_addr(pool.writable(self.group, index).as_ptr() as u64);
        entry.set_len(self.group.capacity() as u32);
        // Pools hold at most 2^15 buffers of a group.
        entry.set_bid(index as u16);
        self.tail = self.tail.wrapping_add(1);
        self.posted += 1;
    }
}

impl Drop for Provided {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length; the ring that reads it is dropped before (see `Uring`).
        let unmapped = unsafe { munmap(self.base.cast(), mapping_bytes(self.entries).get()) };
        debug_assert!(unmapped.is_ok());
    }
}

fn mapping_bytes(entries: u16) -> NonZeroUsize {
    NonZeroUsize::new(usize::from(entries) * size_of::<BufRingEntry>()).expect("at least one")
}
