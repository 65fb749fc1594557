//! The driver on io_uring: one submission and one reaping per turn, multishot receives into provided buffers.
//!
//! In: verbs, which mostly note what to ask. Out: completions, filed as outcomes in the order in which the kernel posted
//! them; nothing else happens while they are filed. Bulk alone is received on the worker, before that. A leg, its descriptor, its queue and its pipe are kept until the
//! final completion of every operation that could touch them; a cancellation is a request, never a release.
//!
//! ```text
//! verbs ─▶ legs, queues ─▶ wait: [sends, buffers, receives, bulk] ─▶ enter ─▶ reap ─▶ file ─▶ events
//! ```

mod bulk;
mod closing;
mod filing;
mod opening;
mod provided;
mod receiving;
mod ring;
mod scratch;
mod sending;
mod splicing;
mod system;
mod tag;
mod tenant;
#[cfg(test)]
mod tests;
mod wake;
mod watching;

use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use io_uring::{cqueue, opcode, squeue};
use nix::errno::Errno;

use self::provided::Provided;
use self::ring::{Ring, Sizes};
use self::system::Want;
use self::tag::{Operation, Tag};
use self::tenant::Tenant;
use self::wake::Alarm;
use crate::buffers::{Buffer, Group, Pool, SMALL_POOL};
use crate::op::{
    Chunk, Close, Event, Intake, Interest, Kernel, Leg, NoPipe, Outcome, Owner, Queued, Sent,
    Splice, Stop, Time, Waker,
};
use crate::options::{Feature, Options};
use crate::pipes::Pipes;
use crate::room;
use crate::sockets::{self, Kind};
use crate::stats::Stats;
use crate::table::Table;
use crate::waiting::Waiting;

/// Groups whose buffers the kernel takes by itself, in index order.
const PROVIDED: [Group; Group::COUNT - 1] = [Group::Reserve, Group::Small, Group::Record];

/// [`Kernel`] on io_uring. It belongs to the thread that made it, and can't leave it.
pub struct Uring {
    ring: ManuallyDrop<Ring>,
    /// Of all groups but the last, bulk.
    provided: [ManuallyDrop<Provided>; Group::COUNT - 1],
    legs: Table<Tenant>,
    pool: ManuallyDrop<Pool>,
    pipes: Pipes,
    waiting: Waiting,
    /// Legs that receive bulk, and may have something to receive.
    bulk: VecDeque<Leg>,
    /// Legs whose queue is to be handed over in this turn, in the order in which they got something.
    turns: Vec<Leg>,
    /// Legs to which `Stopped` is to be told in the next turn.
    stopped: Vec<Leg>,
    /// Operations whose final completion has not been seen; memory is freed by this, so nobody else can write it.
    in_flight: u64,
    /// Number of the present turn.
    turn: u32,
    /// Legs that are no sockets: a kernel thread may read from them.
    plain_legs: u32,
    /// Receives of the ring that completed in the last turn.
    received: u32,
    /// Buffers of a group below which no multishot is started; the tests of multishots lower it.
    small_pool: usize,
    batch: Vec<cqueue::Entry>,
    alarm: Arc<Alarm>,
    /// The alarm's poll is in flight.
    alarm_polled: bool,
    /// The driver is being dropped: nothing is started any more.
    closing: bool,
    options: Options,
    now: Time,
    stats: Arc<Stats>,
}

impl Uring {
    /// A driver for the calling thread.
    ///
    /// # Errors
    /// EPERM: forbidden by seccomp or kernel.io_uring_disabled. ENOSYS, EINVAL: the kernel is older than 6.1.
    /// Others: no memory, or no descriptors.
    pub fn new(options: &Options) -> Result<Uring, Errno> {
        Uring::with_sizes(options, Sizes::default())
    }

    fn with_sizes(options: &Options, sizes: Sizes) -> Result<Uring, Errno> {
        let stats = Arc::clone(&options.stats);
        // In this order, so that the ring is the first to go if something fails.
        let pool = Pool::new(options.buffers)?;
        let provide = |group| Provided::new(group, pool.total(group));
        let [reserve, small, record] = PROVIDED.map(provide);
        let provided = [reserve?, small?, record?];
        let ring = Ring::new(sizes, options.mask, stats.clone())?;
        for (group, provided) in PROVIDED.into_iter().zip(&provided) {
            // SAFETY: the mapping belongs to `provided`, which is dropped after the ring: here by the order of the
            // variables, later by `Drop`.
            unsafe {
                ring.register_buffers(provided.address(), provided.entries(), Provided::id(group))?;
            }
        }
        let by_message = !options.mask.hides(Feature::RingMessage);
        let mut uring = Uring {
            alarm: Alarm::new(ring.descriptor(), by_message)?,
            provided: provided.map(ManuallyDrop::new),
            legs: Table::new(),
            pipes: Pipes::new(options, stats.clone()),
            waiting: Waiting::new(stats.clone()),
            bulk: VecDeque::new(),
            turns: Vec::new(),
            stopped: Vec::new(),
            alarm_polled: false,
            closing: false,
            in_flight: 0,
            turn: 1,
            plain_legs: 0,
            received: 0,
            small_pool: SMALL_POOL,
            batch: Vec::new(),
            options: options.clone(),
            now: Time::default(),
            pool: ManuallyDrop::new(pool),
            ring: ManuallyDrop::new(ring),
            stats,
        };
        // The trial message of the alarm.
        uring.ring.enter(Want::default());
        uring.ring.reap(&mut uring.batch);
        uring.batch.clear();
        uring.refresh_clock();
        uring.stats.buffers_total.set(uring.pool_total());
        uring.count_buffers();
        uring.listen_for_alarm();
        Ok(uring)
    }

    fn refresh_clock(&mut self) -> Time {
        self.now = Time::default() + self.options.epoch.elapsed();
        self.now
    }

    /// Hands an operation of a leg to the ring. Every one of them ends in a completion without `MORE`.
    fn start(&mut self, leg: Leg, operation: Operation, entry: squeue::Entry) {
        let tenant =
            self.legs.get_mut(leg).expect("operations are started for legs that are there");
        tenant.in_flight += 1;
        self.count_started();
        self.ring.push(entry, Tag::new(operation, leg));
    }

    /// Gives cold memory back; when to look again. Of the buffers that are posted, too, if no completion can be under way:
    /// the kernel writes to them within `enter` alone, and all that it said there was filed.
    fn trim(&mut self) -> Option<Time> {
        let deferred = !self.options.mask.hides(Feature::DeferTaskrun);
        let untouched = deferred && self.plain_legs == 0 && !self.ring.has_news();
        self.pool.trim(self.now, untouched)
    }

    /// What a sleep waits for.
    fn want(&mut self, until: Option<Time>) -> Want {
        if !self.options.busy_poll.is_zero() && self.look_for_news(until) {
            self.stats.busy_polled.add(1);
            return Want::default();
        }
        let at_most = until.map(|until| until.since(self.now));
        match at_most {
            Some(Duration::ZERO) => Want::default(),
            _ => Want { completions: 1, at_most },
        }
    }

    /// Hands over what was asked, and looks for completions as long as the options say; whether there are some.
    fn look_for_news(&mut self, until: Option<Time>) -> bool {
        self.ring.enter(Want::default());
        let end = self.refresh_clock() + self.options.busy_poll;
        let end = until.map_or(end, |until| until.min(end));
        loop {
            if self.ring.has_news() {
                return true;
            }
            if self.refresh_clock() >= end {
                return false;
            }
            std::hint::spin_loop();
        }
    }

    fn count_started(&mut self) {
        self.in_flight += 1;
        self.stats.in_flight.set(self.in_flight);
    }

    fn count_ended(&mut self) {
        self.in_flight -= 1;
        self.stats.in_flight.set(self.in_flight);
    }

    /// Asks the kernel to end an operation early. Its completion comes in any case, and has the last word.
    fn cancel(&mut self, leg: Leg, operation: Operation) {
        let tag = Tag::new(operation, leg);
        let entry = opcode::AsyncCancel::new(tag.encode()).build();
        self.ring.push(entry.flags(squeue::Flags::SKIP_SUCCESS), tag.cancelling());
    }

    /// A leg that the caller may still speak of.
    fn open(&self, leg: Leg) -> Option<&Tenant> {
        self.legs.get(leg).filter(|tenant| !tenant.closing)
    }

    /// As [`open`](Self::open).
    fn open_mut(&mut self, leg: Leg) -> Option<&mut Tenant> {
        self.legs.get_mut(leg).filter(|tenant| !tenant.closing)
    }

    /// Tells the caller, unless the leg is closed.
    fn tell(&self, leg: Leg, outcome: Outcome, events: &mut Vec<Event>) {
        if let Some(tenant) = self.open(leg) {
            events.push(Event { owner: tenant.owner, leg, outcome });
        }
    }

    fn pool_total(&self) -> u64 {
        Group::ALL.iter().map(|group| u64::from(self.pool.total(*group))).sum()
    }

    /// Buffers of a group that nobody holds.
    fn free_buffers(&self, group: Group) -> usize {
        let posted = self.provided.get(group.index()).map_or(0, |provided| provided.posted());
        self.pool.free(group) + posted as usize
    }

    fn count_buffers(&self) {
        let free: usize = Group::ALL.iter().map(|group| self.free_buffers(*group)).sum();
        self.stats.buffers_free.set(free as u64);
    }
}

impl Kernel for Uring {
    fn now(&self) -> Time {
        self.now
    }

    fn refresh(&mut self) -> Time {
        self.refresh_clock()
    }

    fn listen(&mut self, descriptor: OwnedFd, owner: Owner) -> Result<Leg, (Errno, OwnedFd)> {
        self.start_listening(descriptor, owner)
    }

    fn accept(&mut self, listener: Leg, on: bool) {
        self.turn_accept(listener, on);
    }

    fn adopt(&mut self, descriptor: OwnedFd, owner: Owner) -> Result<Leg, (Errno, OwnedFd)> {
        self.take_over(descriptor, owner)
    }

    fn connect(&mut self, address: SocketAddr, owner: Owner) -> Result<Leg, Errno> {
        self.start_connecting(address, owner)
    }

    fn set_owner(&mut self, leg: Leg, owner: Owner) {
        if let Some(tenant) = self.open_mut(leg) {
            tenant.owner = owner;
        }
    }

    fn peer(&self, leg: Leg) -> Option<SocketAddr> {
        sockets::peer(self.open(leg)?.borrowed())
    }

    fn local(&self, leg: Leg) -> Option<SocketAddr> {
        sockets::local(self.open(leg)?.borrowed())
    }

    fn receive(&mut self, leg: Leg, group: Group) {
        self.start_receiving(leg, group);
    }

    fn receive_stop(&mut self, leg: Leg) -> Stop {
        self.stop_receiving(leg)
    }

    fn bytes<'k>(&'k self, buffer: &'k Buffer) -> &'k [u8] {
        self.pool.bytes(buffer)
    }

    fn memory<'k>(&'k mut self, buffer: &'k Buffer) -> &'k mut [u8] {
        self.pool.memory(buffer)
    }

    fn release(&mut self, buffer: Buffer) {
        self.pool.release(buffer);
    }

    fn send(&mut self, leg: Leg, chunk: Chunk) -> Sent {
        self.enqueue(leg, chunk, false)
    }

    fn send_ahead(&mut self, leg: Leg, bytes: Bytes) -> Sent {
        self.enqueue(leg, Chunk::Bytes(bytes), true)
    }

    fn queued(&self, leg: Leg) -> Queued {
        self.open(leg).map_or(Queued::default(), |tenant| tenant.queue.queued())
    }

    fn watch(&mut self, leg: Leg, interest: Interest, on: bool) {
        self.turn_watch(leg, interest, on);
    }

    fn room(&mut self, leg: Leg) -> Option<NonZeroUsize> {
        self.room_of(leg)
    }

    fn intake(&self, leg: Leg) -> Intake {
        let tenant = self.open(leg).filter(|tenant| tenant.kind == Kind::Tcp);
        tenant.map_or(Intake::default(), |tenant| room::intake(tenant.borrowed()))
    }

    fn pipe_open(&mut self, source: Leg) -> Result<(), NoPipe> {
        self.open_pipe(source)
    }

    fn splice_in(&mut self, source: Leg, limit: usize) -> Splice {
        self.fill_pipe(source, limit)
    }

    fn splice_out(&mut self, source: Leg, sink: Leg) -> Splice {
        self.drain_pipe(source, sink)
    }

    fn pipe_take(&mut self, source: Leg) -> Option<Vec<Buffer>> {
        self.take_from_pipe(source)
    }

    fn pipes_scarce(&self) -> bool {
        self.pipes.scarce()
    }

    fn pipe_level(&self, source: Leg) -> usize {
        let conduit = self.open(source).and_then(|tenant| tenant.conduit.as_ref());
        conduit.filter(|conduit| !conduit.abandoned).map_or(0, |conduit| conduit.pipe.level())
    }

    fn pipe_close(&mut self, source: Leg) {
        self.close_pipe(source);
    }

    fn shutdown(&mut self, leg: Leg) {
        if let Some(tenant) = self.open(leg).filter(|tenant| tenant.is_socket()) {
            sockets::shutdown(tenant.borrowed());
        }
    }

    fn close(&mut self, leg: Leg, how: Close) {
        self.start_closing(leg, how);
    }

    fn wait(&mut self, until: Option<Time>, events: &mut Vec<Event>) {
        self.stats.turns.add(1);
        let before = events.len();
        self.turn = self.turn.wrapping_add(1);
        self.tell_stopped(events);
        self.hand_over_sends(events);
        self.serve_receivers();
        while events.len() == before && self.may_serve_more() {
            self.call(Want::default(), events);
            self.serve_receivers();
        }
        self.serve_bulk(events);
        self.count_buffers();
        let until = self.trim().into_iter().chain(until).min();
        let limit = until.map(|until| until.since(self.refresh_clock()));
        let sleeps = events.len() == before && limit.is_none_or(|limit| !limit.is_zero());
        let want = if sleeps { self.want(until) } else { Want::default() };
        self.call(want, events);
        self.count_buffers();
    }

    fn waker(&self) -> Waker {
        self.alarm.clone()
    }

    fn spare(&self, group: Group) -> usize {
        self.pool.less_apart(self.free_buffers(group), group)
    }

    fn starved_since(&self) -> Option<Time> {
        self.waiting.longest().map(|(since, _)| since)
    }

    fn starved_group(&self) -> Option<Group> {
        self.waiting.longest().map(|(_, group)| group)
    }

    fn pinned(&self, leg: Leg, group: Group) -> usize {
        self.open(leg).map_or(0, |tenant| tenant.queue.pinned(group))
    }

    fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        self.alarm.silence();
        let settled = self.drain();
        // SAFETY: here only, and not used after. The ring goes first: as long as it is open, the kernel may write to the
        // pool and read the rings of provided buffers and the queues of legs.
        unsafe { ManuallyDrop::drop(&mut self.ring) };
        if !settled {
            // A closed ring ends its operations at leisure. Freed, their memory would be somebody else's by then, and a
            // late receive would corrupt it; so it stays allocated.
            return std::mem::forget(std::mem::take(&mut self.legs));
        }
        for provided in &mut self.provided {
            // SAFETY: here only, and not used after; nothing is in flight and the ring is closed.
            unsafe { ManuallyDrop::drop(provided) };
        }
        // SAFETY: as above.
        unsafe { ManuallyDrop::drop(&mut self.pool) };
    }
}
