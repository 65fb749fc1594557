//! A leg of the simulated kernel: what it was asked for, and what is under way.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use bytes::Buf;
use penstock_ring::{Chunk, Errno, Group, Interest, Leg, Owner, Queued, Time};

use crate::sim::pipes::Pipe;
use crate::sim::pool::Pool;
use crate::sim::world::End;

/// What a leg is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It accepts connections; index of the listener.
    Listener(usize),
    /// It carries bytes.
    Stream,
}

/// Whether bytes are received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Receive {
    Off,
    On(Group),
    /// A stop is under way; `again` if receiving was asked for since. So many buffers may still arrive.
    Stopping {
        group: Group,
        again: Option<Group>,
        left: usize,
    },
}

/// The tenant of a slot.
#[derive(Debug)]
pub struct Tenant {
    pub owner: Owner,
    pub kind: Kind,
    /// The socket, once it is connected.
    pub end: Option<End>,
    pub peer: Option<SocketAddr>,
    pub local: Option<SocketAddr>,
    /// The caller's descriptor, if the leg was made from one.
    pub descriptor: Option<OwnedFd>,
    pub accepting: bool,
    pub connecting: bool,
    pub receive: Receive,
    /// Buffers filed and not delivered yet.
    pub arriving: usize,
    /// An end of receiving is filed and not delivered yet.
    pub ending: bool,
    /// The last turn that brought bytes or an end: the caller may not have seen them yet.
    pub told: u64,
    /// Tells receive stops apart.
    pub stops: u64,
    /// It stands in the line for a buffer.
    pub waiting: bool,
    pub out: Out,
    pub watched: [bool; 3],
    pub pipe: Option<Pipe>,
    pub shut: bool,
    pub closed: bool,
    /// Outcomes filed, and operations under way.
    pub in_flight: usize,
    /// Outcomes that keep their order: receiving and everything else.
    pub clocks: [Time; 2],
    /// It is in the list of legs to look at.
    pub touched: bool,
}

impl Tenant {
    /// A leg that does nothing yet.
    pub fn new(owner: Owner, kind: Kind) -> Tenant {
        Tenant {
            owner,
            kind,
            end: None,
            peer: None,
            local: None,
            descriptor: None,
            accepting: false,
            connecting: false,
            receive: Receive::Off,
            arriving: 0,
            ending: false,
            told: 0,
            stops: 0,
            waiting: false,
            out: Out::default(),
            watched: [false; 3],
            pipe: None,
            shut: false,
            closed: false,
            in_flight: 0,
            clocks: [Time(0); 2],
            touched: false,
        }
    }

    /// Whether a kind of hint was asked for.
    pub fn watches(&self, interest: Interest) -> bool {
        self.watched[interest as usize]
    }
}

/// What waits to be sent.
#[derive(Debug, Default)]
pub struct Out {
    chunks: VecDeque<Chunk>,
    queued: Queued,
    /// A send is under way.
    pub sending: bool,
    /// Bytes accepted while their chunk was handed over, which still have to be told of.
    pub early: usize,
    /// Nothing can be sent any more.
    pub failed: Option<Errno>,
}

impl Out {
    /// Adds a chunk.
    pub fn push(&mut self, chunk: Chunk) {
        self.queued.bytes += length(&chunk);
        self.queued.memory += memory(&chunk);
        self.chunks.push_back(chunk);
    }

    /// The first `most` bytes that wait.
    pub fn front(&self, most: usize, pool: &Pool) -> Vec<u8> {
        let mut bytes = Vec::new();
        for chunk in &self.chunks {
            let part = chunk_bytes(chunk, pool);
            bytes.extend_from_slice(&part[..part.len().min(most - bytes.len())]);
            if bytes.len() == most {
                break;
            }
        }
        bytes
    }

    /// Forgets `n` bytes that were accepted.
    pub fn advance(&mut self, n: usize, pool: &mut Pool) {
        self.queued.bytes -= n;
        let mut left = n;
        while left > 0 {
            let chunk = self.chunks.front_mut().expect("as many bytes were queued");
            let part = length(chunk);
            if left < part {
                self.queued.memory -= cut(chunk, left);
                return;
            }
            left -= part;
            self.queued.memory -= memory(chunk);
            give_back(self.chunks.pop_front().expect("it was in front"), pool);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self, pool: &mut Pool) {
        self.queued = Queued::default();
        self.chunks.drain(..).for_each(|chunk| give_back(chunk, pool));
    }

    /// Buffers of a group among what waits.
    pub fn pinned(&self, group: Group) -> usize {
        let is_one =
            |chunk: &&Chunk| matches!(chunk, Chunk::Pool(buffer) if buffer.group() == group);
        self.chunks.iter().filter(is_one).count()
    }

    /// Bytes among what waits that are in no buffer.
    pub fn apart(&self) -> usize {
        let apart = |chunk: &Chunk| matches!(chunk, Chunk::Bytes(_)).then(|| length(chunk));
        self.chunks.iter().filter_map(apart).sum()
    }

    /// What waits.
    pub fn queued(&self) -> Queued {
        self.queued
    }
}

/// Bytes of a chunk.
pub fn length(chunk: &Chunk) -> usize {
    match chunk {
        Chunk::Pool(buffer) => buffer.len(),
        Chunk::Bytes(bytes) => bytes.len(),
    }
}

/// The bytes themselves.
pub fn chunk_bytes<'c>(chunk: &'c Chunk, pool: &'c Pool) -> &'c [u8] {
    match chunk {
        Chunk::Pool(buffer) => pool.bytes(buffer),
        Chunk::Bytes(bytes) => bytes,
    }
}

/// A chunk was sent or dropped.
pub fn give_back(chunk: Chunk, pool: &mut Pool) {
    if let Chunk::Pool(buffer) = chunk {
        pool.sent(buffer);
    }
}

/// Drops the first `n` bytes of a chunk; the memory that became free by that.
pub fn cut(chunk: &mut Chunk, n: usize) -> usize {
    match chunk {
        Chunk::Pool(buffer) => {
            buffer.advance(n);
            0
        }
        Chunk::Bytes(bytes) => {
            bytes.advance(n);
            n
        }
    }
}

fn memory(chunk: &Chunk) -> usize {
    match chunk {
        Chunk::Pool(buffer) => buffer.group().stride(),
        Chunk::Bytes(bytes) => bytes.len(),
    }
}

/// Slots and their tenants. A slot is let again as soon as it can be, so that old handles meet new tenants.
#[derive(Debug, Default)]
pub struct Legs {
    slots: Vec<(u32, Option<Tenant>)>,
    vacant: Vec<u32>,
    len: usize,
}

impl Legs {
    /// Takes a tenant in.
    pub fn insert(&mut self, tenant: Tenant) -> Leg {
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            self.slots.len() as u32 - 1
        });
        self.len += 1;
        let (generation, place) = &mut self.slots[slot as usize];
        *place = Some(tenant);
        Leg { slot, generation: *generation }
    }

    /// The tenant that a handle names, closed or not.
    pub fn get(&self, leg: Leg) -> Option<&Tenant> {
        let (generation, tenant) = self.slots.get(leg.slot as usize)?;
        tenant.as_ref().filter(|_| *generation == leg.generation)
    }

    /// The tenant that a handle names, closed or not.
    pub fn get_mut(&mut self, leg: Leg) -> Option<&mut Tenant> {
        let (generation, tenant) = self.slots.get_mut(leg.slot as usize)?;
        tenant.as_mut().filter(|_| *generation == leg.generation)
    }

    /// The tenant of a slot now, and its handle.
    pub fn at(&self, slot: u32) -> Option<Leg> {
        let (generation, tenant) = self.slots.get(slot as usize)?;
        tenant.as_ref().map(|_| Leg { slot, generation: *generation })
    }

    /// The tenant leaves.
    pub fn remove(&mut self, leg: Leg) -> Option<Tenant> {
        self.get(leg)?;
        let (generation, tenant) = &mut self.slots[leg.slot as usize];
        *generation = (*generation + 1) & 0xff_ffff;
        self.vacant.push(leg.slot);
        self.len -= 1;
        tenant.take()
    }

    /// Handles of all tenants.
    pub fn all(&self) -> impl Iterator<Item = Leg> {
        (0..self.slots.len() as u32).filter_map(|slot| self.at(slot))
    }

    /// Number of slots, let or not.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Number of tenants.
    pub fn len(&self) -> usize {
        self.len
    }
}
