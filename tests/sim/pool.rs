//! The simulated buffer pool, which remembers who has each buffer: none may be lost, none given back twice.

use std::collections::VecDeque;

use penstock_ring::{Buffer, Group, Leg, PoolSizes, Stats, Time};

use crate::sim::random::Random;

/// Bytes of a buffer that are overwritten at most; more would take more time than it shows.
const SCRIBBLED: usize = 24 << 10;

/// Where a buffer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Free,
    /// Filled, and on its way to the caller.
    Filed,
    Caller,
    Queued,
}

/// Buffers of all groups, and the legs that wait for one.
#[derive(Debug)]
pub struct Pool {
    groups: [Buffers; Group::COUNT],
    /// Legs that wait for a buffer, in order, since when.
    pub lines: [VecDeque<(Leg, Time)>; Group::COUNT],
}

#[derive(Debug)]
struct Buffers {
    memory: Vec<u8>,
    places: Vec<Place>,
    free: Vec<u32>,
}

impl Pool {
    /// A pool of these sizes.
    pub fn new(sizes: PoolSizes) -> Pool {
        let groups = Group::ALL.map(|group| {
            let count = sizes.count(group);
            Buffers {
                memory: vec![0; count as usize * group.stride()],
                places: vec![Place::Free; count as usize],
                free: (0..count).rev().collect(),
            }
        });
        Pool { groups, lines: Default::default() }
    }

    /// Puts received bytes into a free buffer; false if there is none.
    pub fn fill(&mut self, group: Group, bytes: &[u8]) -> Option<Buffer> {
        let buffers = &mut self.groups[group.index()];
        let index = buffers.free.pop()?;
        buffers.places[index as usize] = Place::Filed;
        let start = index as usize * group.stride() + group.headroom();
        buffers.memory[start..start + bytes.len()].copy_from_slice(bytes);
        Some(Buffer::filled(group, index, bytes.len()))
    }

    /// A filled buffer reaches the caller.
    pub fn hand_over(&mut self, buffer: &Buffer) {
        self.step(buffer, Place::Filed, Place::Caller);
    }

    /// The caller gives a buffer to be sent.
    pub fn queue(&mut self, buffer: &Buffer) {
        self.step(buffer, Place::Caller, Place::Queued);
    }

    /// The caller gives a buffer back.
    pub fn release(&mut self, buffer: Buffer) {
        self.step(&buffer, Place::Caller, Place::Free);
        self.put(buffer);
    }

    /// A buffer was sent, or its queue was dropped.
    pub fn sent(&mut self, buffer: Buffer) {
        self.step(&buffer, Place::Queued, Place::Free);
        self.put(buffer);
    }

    /// A filled buffer never reached the caller.
    pub fn withdraw(&mut self, buffer: Buffer) {
        self.step(&buffer, Place::Filed, Place::Free);
        self.put(buffer);
    }

    /// The bytes of a buffer.
    pub fn bytes<'p>(&'p self, buffer: &'p Buffer) -> &'p [u8] {
        let start = buffer.index() as usize * buffer.group().stride() + buffer.start();
        &self.groups[buffer.group().index()].memory[start..start + buffer.len()]
    }

    /// The whole place of a buffer.
    pub fn memory<'p>(&'p mut self, buffer: &'p Buffer) -> &'p mut [u8] {
        let start = buffer.index() as usize * buffer.group().stride();
        &mut self.groups[buffer.group().index()].memory[start..start + buffer.group().stride()]
    }

    /// Buffers of the group that nobody has.
    pub fn free(&self, group: Group) -> usize {
        self.groups[group.index()].free.len()
    }

    /// Buffers of the group.
    pub fn total(&self, group: Group) -> usize {
        self.groups[group.index()].places.len()
    }

    /// Buffers that the caller holds and has neither sent nor given back.
    pub fn with_caller(&self) -> usize {
        let held = |group: &Buffers| group.places.iter().filter(|p| **p == Place::Caller).count();
        self.groups.iter().map(held).sum()
    }

    /// Since when somebody waits.
    pub fn waiting_since(&self) -> Option<Time> {
        self.longest().map(|(since, _)| since)
    }

    /// And for what.
    pub fn waiting_group(&self) -> Option<Group> {
        self.longest().map(|(_, group)| group)
    }

    fn longest(&self) -> Option<(Time, Group)> {
        let first = |group: Group| Some((self.lines[group.index()].front()?.1, group));
        Group::ALL.into_iter().filter_map(first).min_by_key(|(since, _)| *since)
    }

    /// A leg doesn't wait any more.
    pub fn leave_line(&mut self, leg: Leg) {
        self.lines.iter_mut().for_each(|line| line.retain(|(waiting, _)| *waiting != leg));
    }

    /// Tells the pool's numbers.
    pub fn count(&self, stats: &Stats) {
        let all = |number: fn(&Pool, Group) -> usize| -> usize {
            Group::ALL.iter().map(|group| number(self, *group)).sum()
        };
        stats.buffers_total.set(all(Pool::total) as u64);
        stats.buffers_free.set(all(Pool::free) as u64);
        stats.receivers_waiting.set(self.lines.iter().map(VecDeque::len).sum::<usize>() as u64);
    }

    /// Overwrites what a free buffer holds, so that a reader of a buffer given back reads noise.
    pub fn scribble(&mut self, random: &mut Random) {
        let group = random.pick(&Group::ALL);
        let buffers = &mut self.groups[group.index()];
        if let Some(index) = buffers.free.last() {
            let start = *index as usize * group.stride();
            let length = group.stride().min(SCRIBBLED);
            buffers.memory[start..start + length].fill(random.bits() as u8);
        }
    }

    fn step(&mut self, buffer: &Buffer, from: Place, to: Place) {
        let place = &mut self.groups[buffer.group().index()].places[buffer.index() as usize];
        assert_eq!(*place, from, "a buffer can't become {to:?}");
        *place = to;
    }

    fn put(&mut self, buffer: Buffer) {
        self.groups[buffer.group().index()].free.push(buffer.index());
    }
}
