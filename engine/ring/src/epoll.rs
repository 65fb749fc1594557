//! The readiness driver: epoll(7), everywhere.
//!
//! Each leg is registered edge-triggered, remembers what the kernel said about it, and has Linux look again only where no
//! edge would tell. What can finish at once does; the rest waits for an edge. A leg that has something to do stands in the list of ready legs, and a `wait`
//! with a list that isn't empty doesn't sleep. A message forwarded costs one receive, one send, one epoll_wait(2).

mod held;
mod sleeping;
mod splicing;
mod transfer;
mod turn;
mod wake;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nix::errno::Errno;
use nix::sys::epoll::{EpollCreateFlags, EpollEvent, EpollFlags};

use self::held::{Bits, Held};
use self::wake::Bell;
use crate::buffers::{Buffer, Group, Pool, SMALL_POOL};
use crate::op::{
    Chunk, Close, Event, Intake, Interest, Kernel, Leg, NoPipe, Owner, Queued, Sent, Splice, Stop,
    Time, Waker,
};
use crate::options::{Options, SocketOptions};
use crate::pipes::Pipes;
use crate::room;
use crate::sockets::{self, Kind};
use crate::stats::Stats;
use crate::table::Table;
use crate::waiting::Waiting;

/// Events taken from the kernel at once: what they bring waits in so many buffers, and more of these are no longer warm when they leave.
const BATCH: usize = 64;
/// What the bell's events carry; no leg has this slot.
const BELL: u64 = u64::MAX;

/// One worker's driver.
#[derive(Debug)]
pub struct Epoll {
    epoll: nix::sys::epoll::Epoll,
    edges: Vec<EpollEvent>,
    legs: Table<Held>,
    /// Legs that have something to do in the next turn, each at most once.
    ready: Vec<Leg>,
    waiting: Waiting,
    pool: Pool,
    pipes: Pipes,
    bell: Arc<Bell>,
    socket: SocketOptions,
    busy_poll: Duration,
    start: Instant,
    now: Time,
    /// Number of the present turn, to know which outcomes the caller may not have seen yet.
    turn: u32,
    /// The turn in which a leg last got a buffer for bulk.
    bulk_turn: u32,
    stats: Arc<Stats>,
}

impl Epoll {
    /// A driver without legs.
    ///
    /// # Errors
    /// The errno of epoll_create1(2), eventfd(2) or mmap(2).
    pub fn new(options: &Options) -> Result<Epoll, Errno> {
        let stats = Arc::clone(&options.stats);
        let epoll = nix::sys::epoll::Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let bell = Arc::new(Bell::new()?);
        epoll.add(&*bell, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, BELL))?;
        let pool = Pool::new(options.buffers)?;
        let total: u32 = Group::ALL.into_iter().map(|group| pool.total(group)).sum();
        stats.buffers_total.set(u64::from(total));
        let mut driver = Epoll {
            epoll,
            edges: vec![EpollEvent::empty(); BATCH],
            legs: Table::new(),
            ready: Vec::new(),
            waiting: Waiting::new(stats.clone()),
            pool,
            pipes: Pipes::new(options, stats.clone()),
            bell,
            socket: options.socket,
            busy_poll: options.busy_poll,
            start: options.epoch,
            now: Time::default(),
            turn: 1,
            bulk_turn: 0,
            stats,
        };
        driver.gauge_buffers();
        Ok(driver)
    }

    /// Takes a leg into the table and registers it.
    fn register(&mut self, held: Held) -> Result<Leg, (Errno, OwnedFd)> {
        let interest = held.interest();
        let leg = self.legs.insert(held);
        let held = self.legs.get(leg).expect("just inserted");
        if let Err(errno) = self.epoll.add(&held.descriptor, EpollEvent::new(interest, tag(leg))) {
            let held = self.legs.remove(leg).expect("just inserted");
            return Err((errno, held.descriptor));
        }
        self.stats.legs.add(1);
        Ok(leg)
    }

    /// Puts a leg in the list of those that have something to do.
    fn list(&mut self, leg: Leg) {
        let Some(held) = self.legs.get_mut(leg) else { return };
        if !held.listed {
            held.listed = true;
            self.ready.push(leg);
        }
    }

    /// Makes sure that an edge tells when the leg accepts bytes again. Legs that never block are spared these edges.
    fn expect_writable(&mut self, leg: Leg) {
        if let Some(held) = self.legs.get_mut(leg)
            && !std::mem::replace(&mut held.writable_edges, true)
        {
            self.ask_again(leg);
        }
    }

    /// Makes sure that an edge tells when there is something to read, unless it is known that there is.
    fn expect_readable(&mut self, leg: Leg) {
        let Some(held) = self.legs.get_mut(leg) else { return };
        if held.bits.contains(Bits::READABLE) {
            return self.list(leg);
        }
        if !held.readable_edges || held.bits.contains(Bits::DOUBTFUL) {
            held.readable_edges = true;
            self.ask_again(leg);
        }
    }

    /// Has Linux look at the leg again: it tells only of edges, and of writability only to who was refused.
    fn ask_again(&mut self, leg: Leg) {
        let Some(held) = self.legs.get_mut(leg) else { return };
        held.bits &= !Bits::DOUBTFUL;
        let mut event = EpollEvent::new(held.interest(), tag(leg));
        let changed = self.epoll.modify(&held.descriptor, &mut event);
        // It is registered, and a change needs no memory.
        debug_assert_eq!(changed, Ok(()));
    }

    /// Notes what one edge says.
    fn note(&mut self, event: EpollEvent) {
        if event.data() == BELL {
            self.bell.answer();
            return self.stats.wakes.add(1);
        }
        let leg = leg_of(event.data());
        let Some(held) = self.legs.get_mut(leg) else { return self.stats.stale.add(1) };
        held.edge(event.events());
        self.list(leg);
    }

    /// Whether a leg gets one buffer per turn: where the pool is small or half used, legs that get stuck together would
    /// otherwise empty it beyond what each of them is allowed.
    fn receives_once(&self, group: Group) -> bool {
        let (free, total) = (self.pool.free(group), self.pool.total(group) as usize);
        total < SMALL_POOL || free < total / 2
    }

    fn gauge_buffers(&mut self) {
        let free: usize = Group::ALL.into_iter().map(|group| self.pool.free(group)).sum();
        self.stats.buffers_free.set(free as u64);
    }
}

impl Kernel for Epoll {
    fn now(&self) -> Time {
        self.now
    }

    fn refresh(&mut self) -> Time {
        self.now = Time::default() + self.start.elapsed();
        self.now
    }

    fn listen(&mut self, descriptor: OwnedFd, owner: Owner) -> Result<Leg, (Errno, OwnedFd)> {
        let tuned = match sockets::take_over(descriptor.as_fd()) {
            Ok(Kind::Plain) => Err(Errno::ENOTSOCK),
            Ok(Kind::Tcp) => sockets::tune(descriptor.as_fd(), &self.socket).map(|()| Kind::Tcp),
            other => other,
        };
        match tuned {
            Ok(kind) => self.register(Held::listener(descriptor, kind, owner)),
            Err(errno) => Err((errno, descriptor)),
        }
    }

    fn accept(&mut self, listener: Leg, on: bool) {
        let Some(held) = self.legs.get_mut(listener) else { return };
        held.accepting = on;
        if on && held.bits.contains(Bits::READABLE) {
            self.list(listener);
        }
    }

    fn adopt(&mut self, descriptor: OwnedFd, owner: Owner) -> Result<Leg, (Errno, OwnedFd)> {
        let kind = match sockets::take_over(descriptor.as_fd()) {
            Ok(kind) => kind,
            Err(errno) => return Err((errno, descriptor)),
        };
        let peer = (kind == Kind::Tcp).then(|| sockets::peer(descriptor.as_fd())).flatten();
        let mut held = Held::stream(descriptor, kind, peer, owner);
        held.adopted = true;
        self.register(held)
    }

    fn connect(&mut self, address: SocketAddr, owner: Owner) -> Result<Leg, Errno> {
        let descriptor = sockets::stream_for(address, &self.socket)?;
        let connected = sockets::connect(descriptor.as_fd(), address)?;
        let held = Held::connecting(descriptor, address, owner);
        let leg = self.register(held).map_err(|(errno, _)| errno)?;
        if connected && let Some(held) = self.legs.get_mut(leg) {
            held.bits |= Bits::WRITABLE;
            self.list(leg);
        }
        Ok(leg)
    }

    fn set_owner(&mut self, leg: Leg, owner: Owner) {
        if let Some(held) = self.legs.get_mut(leg) {
            held.owner = owner;
        }
    }

    fn peer(&self, leg: Leg) -> Option<SocketAddr> {
        self.legs.get(leg)?.peer
    }

    fn local(&self, leg: Leg) -> Option<SocketAddr> {
        let held = self.legs.get(leg).filter(|held| held.kind == Kind::Tcp)?;
        sockets::local(held.descriptor.as_fd())
    }

    fn receive(&mut self, leg: Leg, group: Group) {
        let Some(held) = self.legs.get_mut(leg).filter(|held| held.receiving.is_none()) else {
            return;
        };
        held.receiving = Some(group);
        // The edge may have come before anybody wanted it.
        self.expect_readable(leg);
    }

    fn receive_stop(&mut self, leg: Leg) -> Stop {
        let Some(held) = self.legs.get_mut(leg) else { return Stop::Done };
        let group = held.receiving.take();
        if std::mem::take(&mut held.waiting)
            && let Some(group) = group
        {
            self.waiting.leave(leg, group);
        }
        // Outcomes of this turn may lie unread in the caller's hands.
        if held.told == self.turn || held.stopping {
            held.stopping = true;
            self.list(leg);
            return Stop::Later;
        }
        Stop::Done
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
        self.send_now(leg, chunk, false)
    }

    fn send_ahead(&mut self, leg: Leg, bytes: Bytes) -> Sent {
        self.send_now(leg, Chunk::Bytes(bytes), true)
    }

    fn queued(&self, leg: Leg) -> Queued {
        self.legs.get(leg).map_or_else(Queued::default, |held| {
            let Queued { bytes, memory } = held.queue.queued();
            Queued { bytes: bytes + held.untold, memory }
        })
    }

    fn watch(&mut self, leg: Leg, interest: Interest, on: bool) {
        let Some(held) = self.legs.get_mut(leg) else { return };
        let bit = Bits::from(interest);
        if !on {
            held.watched &= !bit;
            held.hints &= !bit;
            return;
        }
        held.watched |= bit;
        held.hints |= held.bits & bit;
        match interest {
            _ if held.bits.contains(bit) => self.list(leg),
            Interest::Readable => self.expect_readable(leg),
            Interest::Writable => {
                held.writable_edges = true;
                self.ask_again(leg);
            }
            Interest::HangUp => {}
        }
    }

    fn room(&mut self, leg: Leg) -> Option<NonZeroUsize> {
        self.room_of(leg)
    }

    fn intake(&self, leg: Leg) -> Intake {
        let held = self.legs.get(leg).filter(|held| held.kind == Kind::Tcp);
        held.map_or(Intake::default(), |held| room::intake(held.descriptor.as_fd()))
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
        self.level_of_pipe(source)
    }

    fn pipe_close(&mut self, source: Leg) {
        self.close_pipe(source);
    }

    fn shutdown(&mut self, leg: Leg) {
        if let Some(held) = self.legs.get(leg).filter(|held| held.kind != Kind::Plain) {
            sockets::shutdown(held.descriptor.as_fd());
        }
    }

    fn close(&mut self, leg: Leg, how: Close) {
        let Some(mut held) = self.legs.remove(leg) else { return };
        self.stats.legs.sub(1);
        held.queue.clear(&mut self.pool);
        if let Some(pipe) = held.pipe.take() {
            self.pipes.close(pipe);
        }
        if let (true, Some(group)) = (held.waiting, held.receiving) {
            self.waiting.leave(leg, group);
        }
        if how == Close::Reset {
            sockets::reset_on_close(held.descriptor.as_fd());
        }
        if held.adopted {
            // A duplicate elsewhere would keep the registration, and its edges, alive.
            let _ = self.epoll.delete(&held.descriptor);
            // And would keep the peer from hearing of an end in order.
            if how == Close::Normal && held.kind != Kind::Plain {
                sockets::hang_up(held.descriptor.as_fd());
            }
        }
    }

    fn wait(&mut self, until: Option<Time>, events: &mut Vec<Event>) {
        self.stats.turns.add(1);
        self.turn = self.turn.wrapping_add(1);
        let before = events.len();
        self.serve_waiting(events);
        let busy = !self.ready.is_empty() || events.len() > before;
        let until = self.pool.trim(self.now, false).into_iter().chain(until).min();
        self.sleep(until, busy);
        // Legs that are put back while they are served have their next turn after everybody else's.
        let mut ready = std::mem::take(&mut self.ready);
        for leg in ready.drain(..) {
            self.serve(leg, events);
        }
        if self.ready.is_empty() {
            self.ready = ready;
        }
        self.gauge_buffers();
    }

    fn waker(&self) -> Waker {
        self.bell.clone()
    }

    fn spare(&self, group: Group) -> usize {
        self.pool.less_apart(self.pool.free(group), group)
    }

    fn starved_since(&self) -> Option<Time> {
        self.waiting.longest().map(|(since, _)| since)
    }

    fn starved_group(&self) -> Option<Group> {
        self.waiting.longest().map(|(_, group)| group)
    }

    fn pinned(&self, leg: Leg, group: Group) -> usize {
        self.legs.get(leg).map_or(0, |held| held.queue.pinned(group))
    }

    fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        let legs: Vec<Leg> = self.legs.legs().collect();
        for leg in legs {
            self.close(leg, Close::Normal);
        }
        self.gauge_buffers();
    }
}

/// What the events of a leg carry.
fn tag(leg: Leg) -> u64 {
    u64::from(leg.generation) << 32 | u64::from(leg.slot)
}

fn leg_of(tag: u64) -> Leg {
    Leg { slot: tag as u32, generation: (tag >> 32) as u32 }
}
