//! The simulated operating system: [`Kernel`](penstock_ring::Kernel) over virtual TCP, virtual time and the choices of a seed.
//!
//! In: the worker's verbs, and hosts who act on their own. Out: outcomes, at once or later, late, stale, in any order
//! that the contract allows. It also watches its caller, and panics when a rule of the contract is broken. It reads no
//! clock and opens no descriptor.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use penstock_ring::{Group, Leg, Outcome, Queued, Stats, Time, Wake};

use crate::sim::leg::{Legs, Tenant};
use crate::sim::pipes::Pipes;
use crate::sim::pool::Pool;
use crate::sim::temper::Temper;
use crate::sim::trace::note;
use crate::sim::world::{End, World};

/// Those who live in the world beside the worker.
pub trait Hosts {
    /// A host's time has come, or one of its sockets has changed.
    fn step(&mut self, host: usize, world: &mut World);

    /// The worker has begun a turn.
    fn turn(&mut self, _world: &mut World) {}
}

impl Hosts for () {
    fn step(&mut self, _host: usize, _world: &mut World) {}
}

/// See the module.
#[derive(Debug)]
pub struct SimKernel<H> {
    /// All there is outside.
    pub world: World,
    /// Who is there.
    pub hosts: H,
    /// How this operating system behaves.
    pub temper: Temper,
    pub(super) legs: Legs,
    pub(super) pool: Pool,
    pub(super) pipes: Pipes,
    /// Outcomes that will be told, by time and order of filing.
    pub(super) outbox: BTreeMap<(Time, u64), (Leg, Outcome)>,
    pub(super) filed: u64,
    /// Number of the present turn.
    pub(super) turn: u64,
    /// Slots to look at.
    pub(super) touched: Vec<u32>,
    /// The limit of descriptors is reached, whatever the number of legs.
    pub(super) descriptors_out: bool,
    /// A leg began to wait for a buffer in this turn: it ends, since the caller has to see to it in time.
    pub(super) starving: bool,
    /// Turns in a row that told nothing, and that the worker did not want to sleep in.
    pub(super) restless: usize,
    /// Nothing will ever happen again by itself, and the worker sleeps without limit.
    pub(super) asleep: bool,
    pub(super) stats: Arc<Stats>,
    pub(super) bell: Arc<Bell>,
}

/// Two lanes in which a leg's outcomes keep their order.
pub(super) enum Lane {
    Arrival,
    Other,
}

/// What wakes the worker.
#[derive(Debug, Default)]
pub struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Bell {
    pub(super) fn rung(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl<H: Hosts> SimKernel<H> {
    /// An operating system with nothing open.
    pub fn new(seed: u64, temper: Temper, hosts: H) -> SimKernel<H> {
        let mut pipes = Pipes::new(temper.pipes, temper.pipe_pages);
        (pipes.quota, pipes.failing) = (temper.pipe_quota, temper.pipe_failing);
        let kernel = SimKernel {
            world: World::new(seed),
            hosts,
            legs: Legs::default(),
            pool: Pool::new(temper.buffers),
            pipes,
            temper,
            outbox: BTreeMap::new(),
            filed: 0,
            turn: 1,
            touched: Vec::new(),
            descriptors_out: false,
            starving: false,
            restless: 0,
            asleep: false,
            stats: Arc::default(),
            bell: Arc::default(),
        };
        kernel.count();
        kernel
    }

    /// Whether the last wait would have lasted for ever.
    pub fn is_asleep(&self) -> bool {
        self.asleep
    }

    /// Legs open, and those that wait for their last outcome.
    pub fn open_legs(&self) -> usize {
        self.legs.len()
    }

    /// Buffers that are not in the pool.
    pub fn buffers_away(&self) -> usize {
        Group::ALL.iter().map(|group| self.pool.total(*group) - self.pool.free(*group)).sum()
    }

    /// Buffers that the caller holds; between two turns there should be none.
    pub fn buffers_with_caller(&self) -> usize {
        self.pool.with_caller()
    }

    /// Pipes that are not in the pool.
    pub fn pipes_away(&self) -> usize {
        self.pipes.in_use()
    }

    /// What waits to be sent, by leg that isn't closed.
    pub fn queues(&self) -> impl Iterator<Item = (End, Queued)> {
        self.legs.all().filter_map(|leg| {
            let tenant = self.live(leg)?;
            Some((tenant.end?, tenant.out.queued()))
        })
    }

    /// Whether bytes ever had to wait for a buffer.
    pub fn was_exhausted(&self) -> bool {
        self.stats.buffers_exhausted.get() > 0
    }

    /// Outcomes that will be told to legs already closed.
    pub fn outcomes_pending(&self) -> usize {
        self.outbox.len()
    }

    pub(super) fn count(&self) {
        self.stats.legs.set(self.legs.len() as u64);
        self.stats.in_flight.set(self.outbox.len() as u64);
        self.pool.count(&self.stats);
    }

    pub(super) fn live(&self, leg: Leg) -> Option<&Tenant> {
        self.legs.get(leg).filter(|tenant| !tenant.closed)
    }

    pub(super) fn live_mut(&mut self, leg: Leg) -> Option<&mut Tenant> {
        self.legs.get_mut(leg).filter(|tenant| !tenant.closed)
    }

    pub(super) fn later(&mut self) -> bool {
        self.world.random.percent(self.temper.later)
    }

    /// A span after which something that is not done at once is told: none at all if `later` never happens.
    pub(super) fn delay(&mut self) -> Duration {
        if self.later() { self.world.random.span(self.temper.delay) } else { Duration::ZERO }
    }

    pub(super) fn short(&mut self, most: usize) -> usize {
        let short = most > 0 && self.world.random.percent(self.temper.short);
        if short { self.world.random.part(most) } else { most }
    }

    /// Lets an outcome be told after a while, behind all others of its lane.
    pub(super) fn file(&mut self, leg: Leg, lane: Lane, span: Duration, outcome: Outcome) {
        let time = self.world.now + span;
        let Some(tenant) = self.legs.get_mut(leg) else { return };
        let clock = &mut tenant.clocks[lane as usize];
        *clock = (*clock).max(time);
        let time = *clock;
        tenant.in_flight += 1;
        self.filed += 1;
        self.outbox.insert((time, self.filed), (leg, outcome));
    }

    pub(super) fn touch(&mut self, leg: Leg) {
        if let Some(tenant) = self.legs.get_mut(leg)
            && !tenant.touched
        {
            tenant.touched = true;
            self.touched.push(leg.slot);
        }
    }

    pub(super) fn say(&self, leg: Leg, what: &'static str, number: usize) {
        note(self.world.now, u64::from(leg.slot), what, number as i64);
    }
}
