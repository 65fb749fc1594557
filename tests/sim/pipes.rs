//! The simulated pipe pool. As in Linux, a pipe has slots, and a slot holds as few or as many bytes as one move put
//! there: a pipe may be full with ten bytes in it, and may hold more than its nominal size.

use std::collections::VecDeque;

use penstock_ring::{Errno, NoPipe, Stats};

use crate::sim::random::Random;
use crate::sim::tally::{Fault, count};

const PAGE: usize = 4096;

/// A pipe.
#[derive(Debug)]
pub struct Pipe {
    slots: VecDeque<usize>,
    slots_max: usize,
    bytes: VecDeque<u8>,
    /// A move into it is under way.
    pub filling: bool,
    /// A move out of it is under way.
    pub draining: bool,
}

impl Pipe {
    /// Bytes in it.
    pub fn level(&self) -> usize {
        self.bytes.len()
    }

    /// Whether no slot is free.
    pub fn is_full(&self) -> bool {
        self.slots.len() == self.slots_max
    }

    /// Puts bytes into as many slots as are free, from the front; how many bytes that were.
    pub fn fill(&mut self, bytes: &[u8], random: &mut Random) -> usize {
        let mut taken = 0;
        while !self.is_full() && taken < bytes.len() {
            // Up to 32 KiB: a page fragment of a socket buffer is larger than the page that a slot stands for.
            let most = random.pick(&[1, 100, PAGE, PAGE, 32 << 10]);
            let n = random.part(most).min(bytes.len() - taken);
            self.slots.push_back(n);
            taken += n;
        }
        self.bytes.extend(&bytes[..taken]);
        if self.level() > self.slots_max * PAGE {
            count(Fault::PipeOverfull);
        }
        taken
    }

    /// What is in it, made contiguous.
    pub fn contents(&mut self) -> &[u8] {
        self.bytes.make_contiguous()
    }

    /// Drops `n` bytes from the front.
    pub fn drain(&mut self, n: usize) {
        self.bytes.drain(..n);
        let mut left = n;
        while let Some(slot) = self.slots.front_mut() {
            if left < *slot {
                *slot -= left;
                return;
            }
            left -= *slot;
            self.slots.pop_front();
        }
    }
}

/// The pool, and how it refuses.
#[derive(Debug)]
pub struct Pipes {
    /// Pipes alive at once.
    pub limit: usize,
    /// Pages of a new pipe.
    pub pages: usize,
    /// How many of 100 new pipes come out too small.
    pub quota: u32,
    /// How many of 100 new pipes can't be made.
    pub failing: u32,
    idle: Vec<Pipe>,
    alive: usize,
    in_use: usize,
}

impl Pipes {
    /// A pool of at most `limit` pipes.
    pub fn new(limit: usize, pages: usize) -> Pipes {
        Pipes { limit, pages, quota: 0, failing: 0, idle: Vec::new(), alive: 0, in_use: 0 }
    }

    /// An empty pipe.
    pub fn open(&mut self, random: &mut Random, stats: &Stats) -> Result<Pipe, NoPipe> {
        let pipe = match self.idle.pop() {
            Some(pipe) => pipe,
            None => self.make(random, stats)?,
        };
        self.in_use += 1;
        self.count(stats);
        Ok(pipe)
    }

    /// Takes a pipe back; destroys it if anything is in it or under way.
    pub fn close(&mut self, pipe: Pipe, stats: &Stats) {
        self.in_use -= 1;
        if pipe.level() > 0 || pipe.filling || pipe.draining {
            count(Fault::PipeDestroyed);
            stats.pipe_destroyed.add(1);
            self.alive -= 1;
        } else {
            self.idle.push(pipe);
        }
        self.count(stats);
    }

    /// Pipes that directions hold.
    pub fn in_use(&self) -> usize {
        self.in_use
    }

    fn make(&mut self, random: &mut Random, stats: &Stats) -> Result<Pipe, NoPipe> {
        if self.alive >= self.limit {
            count(Fault::PipePoolEmpty);
            stats.pipe_pool_empty.add(1);
            return Err(NoPipe::PoolEmpty);
        }
        if random.percent(self.quota) {
            count(Fault::PipeQuota);
            stats.pipe_quota.add(1);
            return Err(NoPipe::Quota);
        }
        if random.percent(self.failing) {
            count(Fault::PipeFailed);
            stats.pipe_failed.add(1);
            return Err(NoPipe::Failed(Errno::EMFILE));
        }
        self.alive += 1;
        Ok(Pipe {
            slots: VecDeque::new(),
            slots_max: self.pages,
            bytes: VecDeque::new(),
            filling: false,
            draining: false,
        })
    }

    fn count(&self, stats: &Stats) {
        stats.pipes.set(self.alive as u64);
        stats.pipes_in_use.set(self.in_use as u64);
    }
}
