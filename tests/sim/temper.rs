//! What sort of operating system this seed has: one that finishes at once (as over epoll), one that finishes later (as
//! over a ring), or anything between, and how much goes wrong.

use std::time::Duration;

use penstock_ring::{Group, PoolSizes};

use crate::sim::random::Random;

/// Chances are percentages.
#[derive(Clone, Debug)]
pub struct Temper {
    /// What could finish at once finishes later.
    pub later: u32,
    /// How much later at most.
    pub delay: Duration,
    /// Less is read or written than could be.
    pub short: u32,
    /// Buffers that one leg may get in one turn.
    pub batch: usize,
    /// A turn gives hints that mean nothing.
    pub spurious: u32,
    /// A hint is delayed.
    pub delayed_hint: u32,
    /// An outcome outlives the close of its leg.
    pub stale: u32,
    /// A splice is handed to the ring.
    pub splice_ring: u32,
    /// How long the worker's own work takes in a turn, at most.
    pub turn: Duration,
    /// The order of outcomes of different legs is shuffled.
    pub shuffled: bool,
    /// A connect finds no descriptor.
    pub connect_fails: u32,
    /// What was opened for us can't be driven.
    pub adopt_fails: u32,
    /// Buffers of the pool.
    pub buffers: PoolSizes,
    /// There is none for bulk at hand, although some are left.
    pub bulk_short: u32,
    /// Pipes of the pool.
    pub pipes: usize,
    /// Pages of one pipe.
    pub pipe_pages: usize,
    /// New pipes that come out too small.
    pub pipe_quota: u32,
    /// New pipes that can't be made.
    pub pipe_failing: u32,
    /// Legs that may be open at once.
    pub descriptors: usize,
}

impl Temper {
    /// Everything works at once, and there is enough of everything.
    pub fn calm() -> Temper {
        Temper {
            later: 0,
            delay: Duration::from_micros(50),
            short: 0,
            batch: 16,
            spurious: 0,
            delayed_hint: 0,
            stale: 0,
            splice_ring: 0,
            turn: Duration::from_micros(10),
            shuffled: false,
            connect_fails: 0,
            adopt_fails: 0,
            buffers: PoolSizes { reserve: 64, small: 256, record: 64, bulk: 16 },
            bulk_short: 0,
            pipes: 64,
            pipe_pages: 16,
            pipe_quota: 0,
            pipe_failing: 0,
            descriptors: usize::MAX,
        }
    }

    /// The seed's choice.
    pub fn of(random: &mut Random) -> Temper {
        let few = random.percent(25);
        let mut count = |most: usize| match few {
            true => random.between(4, 12) as u32,
            false => random.between(16, most) as u32,
        };
        let buffers = PoolSizes {
            reserve: count(64),
            small: count(512),
            record: count(128),
            bulk: count(48),
        };
        Temper {
            later: random.pick(&[0, 10, 50, 100, 100]),
            delay: Duration::from_micros(random.pick(&[1, 20, 300, 2_000])),
            short: random.pick(&[0, 5, 30]),
            batch: random.pick(&[1, 4, 16, 16, 16, 32]),
            spurious: random.pick(&[0, 0, 3, 20]),
            delayed_hint: random.pick(&[0, 0, 20, 80]),
            stale: random.pick(&[0, 50, 100]),
            splice_ring: random.pick(&[0, 50, 100]),
            turn: Duration::from_micros(random.pick(&[10, 100, 1_000, 1_000])),
            shuffled: random.percent(50),
            connect_fails: random.pick(&[0, 0, 0, 10]),
            adopt_fails: random.pick(&[0, 0, 0, 20]),
            buffers,
            bulk_short: random.pick(&[0, 0, 20]),
            pipes: random.pick(&[0, 1, 1, 2, 8, 64, 64, 64]),
            pipe_pages: random.pick(&[1, 2, 16, 16, 256]),
            pipe_quota: random.pick(&[0, 0, 50]),
            pipe_failing: random.pick(&[0, 60]),
            descriptors: random.pick(&[usize::MAX, usize::MAX, 60, 24]),
        }
    }

    /// Most memory that one leg may get in one turn, in bytes.
    pub fn batch_memory(&self) -> usize {
        self.batch * Group::Record.stride()
    }
}
