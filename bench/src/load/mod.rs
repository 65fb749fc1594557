//! The load generator and the origin, both in one epoll loop on one thread.
//!
//! Enters: a pattern (how many clients of which task) and the route to a contestant. Leaves: what the contestant did in
//! the measured window and what CPU it used. Clients without a rate are closed loops: each waits for its answer before it
//! goes on, so their latencies are not corrected for coordinated omission; those with a rate follow a schedule and are.
//!
//! No slot carries a generation: a batch of events names each descriptor at most once, and a socket is removed only
//! while its own event is handled.

mod client;
mod handshakes;
mod open_loop;
mod origin;
mod pacer;
mod pattern;
mod schedule;
#[cfg(test)]
mod tests;
mod usage;

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use slab::Slab;

use crate::interrupt;

use client::{Client, Task};
use open_loop::OpenLoop;
pub(crate) use origin::{Origin, Speech};
use pacer::Pacer;
pub(crate) use pattern::{
    Burst, Memory, Meter, Pace, Pattern, Request, Route, Sample, Timing, Via,
};
use usage::Usage;
pub(crate) use usage::Used;

use handshakes::Handshakes;
use origin::Echo;

/// Opens the clients, warms up, and measures one window. `meter` reads what the contestant has used.
pub(crate) fn measure(
    pattern: Pattern,
    route: &Route,
    origin: &Origin,
    timing: Timing,
    meter: &impl Meter,
) -> Result<Sample> {
    if pattern.prelude {
        let one = Pattern { streams: 1, ..Pattern::NONE };
        let mut load = Load::new(one, route, origin)?;
        load.open_all()?;
        load.drive(Instant::now() + PRELUDE)?;
    }
    let is_herd = pattern.fill.is_some();
    let empty = if is_herd { meter.memory()? } else { Memory::default() };
    let mut load = Load::new(pattern, route, origin)?;
    load.open_all()?;
    load.start_schedule();
    load.start_pacer();
    load.drive(Instant::now() + timing.warm_up)?;

    let usage = Usage::begin(meter)?;
    let end = usage.began() + timing.window;
    load.start_counting(usage.began(), end);
    load.drive(end)?;
    load.finish_schedule()?;
    let used = usage.end(meter)?;
    let memory = meter.memory()?;

    if is_herd {
        load.operations = pattern.tunnels() as u64;
    } else {
        ensure!(load.bytes + load.operations > 0, "nothing came through in {:?}", used.elapsed);
        ensure!(load.starved() == 0, "{} clients got nothing through", load.starved());
    }
    load.handshakes.check(&pattern)?;
    let grown = memory.private_dirty.saturating_sub(empty.private_dirty);
    let Load { bytes, operations, latency, .. } = load;
    Ok(Sample { used, bytes, operations, latency, memory, grown })
}

/// Time for a stream to become bulk.
const PRELUDE: Duration = Duration::from_millis(50);
/// More would overflow the listen queue of some peer, and a dropped SYN costs a second.
const OPENING_MAX: usize = 64;
const OPEN_LIMIT: Duration = Duration::from_secs(10);
/// More time to open, for each tunnel.
const OPEN_LIMIT_EACH: Duration = Duration::from_millis(10);
/// A flood that has not moved for so long is stuck.
const QUIET: Duration = Duration::from_millis(100);
const SCRATCH: usize = 1 << 20;

struct Load<'a> {
    poll: Epoll,
    /// Rings when the next thing is due; epoll's own time-out knows milliseconds only.
    alarm: TimerFd,
    alarm_at: Option<Instant>,
    sockets: Slab<Socket>,
    route: &'a Route,
    origin: &'a Origin,
    pattern: Pattern,
    /// Clients dialed whose first payload (or fill) has not come yet.
    opening: usize,
    /// Ping-pong clients that wait until everybody's tunnel is open; none: all are.
    opened: Option<Vec<usize>>,
    /// Of a load at a fixed rate, from the warm-up on.
    open_loop: Option<OpenLoop>,
    /// Of streams at a fixed rate.
    pacer: Option<Pacer>,
    scratch: Vec<u8>,
    /// What the origin has flooded.
    flooded: u64,
    bytes: u64,
    operations: u64,
    handshakes: Handshakes,
    latency: Histogram<u64>,
}

enum Socket {
    Client(Client),
    Echo(Echo),
    /// And how many bytes it still has to send.
    Flood(TcpStream, u64),
}

/// What is left of a socket after its event.
enum Fate {
    Keep,
    /// It has nothing more to send.
    Silent,
    /// It has something to send.
    Loud,
    Drop,
}

impl<'a> Load<'a> {
    fn new(pattern: Pattern, route: &'a Route, origin: &'a Origin) -> Result<Self> {
        let poll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        poll.add(&origin.echo, EpollEvent::new(EpollFlags::EPOLLIN, ECHO_LISTENER))?;
        poll.add(&origin.flood, EpollEvent::new(EpollFlags::EPOLLIN, FLOOD_LISTENER))?;
        let alarm = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )?;
        poll.add(&alarm, EpollEvent::new(EpollFlags::EPOLLIN, ALARM))?;
        Ok(Load {
            poll,
            alarm,
            alarm_at: None,
            sockets: Slab::new(),
            route,
            origin,
            pattern,
            opening: 0,
            opened: Some(Vec::new()),
            open_loop: None,
            pacer: None,
            scratch: vec![0; SCRATCH],
            flooded: 0,
            bytes: 0,
            operations: 0,
            handshakes: Handshakes::default(),
            latency: Histogram::new_with_bounds(1, 60_000_000_000, 3)?,
        })
    }

    fn open_all(&mut self) -> Result<()> {
        let each = OPEN_LIMIT_EACH * self.pattern.tunnels() as u32;
        let deadline = Instant::now() + OPEN_LIMIT + each;
        let Pattern { streams, pushers, pingpongs, stalled, .. } = self.pattern;
        let setups = match self.pattern.pace {
            Pace::Rate(_) => 0,
            _ => self.pattern.setups,
        };
        let tasks = [
            (Task::Stall, stalled),
            (Task::Sink, streams),
            (Task::Push, pushers),
            (Task::PingPong, pingpongs),
            (Task::SetUp, setups),
        ];
        for (task, count) in tasks {
            for _ in 0..count {
                self.dial(task, Instant::now(), false)?;
                while self.opening >= OPENING_MAX {
                    self.wait_for_opening(deadline)?;
                }
            }
            if task == Task::Stall && count > 0 {
                self.wait_for_full_buffers(deadline)?;
            }
        }
        while self.opening > 0 {
            self.wait_for_opening(deadline)?;
        }
        self.start_opened()
    }

    /// Those without a schedule begin at once.
    fn start_opened(&mut self) -> Result<()> {
        let now = Instant::now();
        let opened = self.opened.take().unwrap_or_default();
        if self.pattern.pace == Pace::Closed {
            opened.into_iter().try_for_each(|key| self.next_round(key, now))?;
        }
        Ok(())
    }

    /// Until nothing more goes into the tunnels whose clients do not read.
    fn wait_for_full_buffers(&mut self, deadline: Instant) -> Result<()> {
        let mut before = None;
        while before != Some(self.flooded) {
            before = Some(self.flooded);
            self.drive(Instant::now() + QUIET)?;
            ensure!(Instant::now() < deadline, "clients that do not read are sent more and more");
        }
        Ok(())
    }

    fn wait_for_opening(&mut self, deadline: Instant) -> Result<()> {
        let opening = self.opening;
        ensure!(Instant::now() < deadline, "{opening} clients still wait for their first bytes");
        self.step(deadline)
    }

    fn drive(&mut self, deadline: Instant) -> Result<()> {
        while Instant::now() < deadline {
            self.step(deadline)?;
        }
        Ok(())
    }

    /// From `now` on everything counts; of a schedule, what is due before `end`.
    fn start_counting(&mut self, now: Instant, end: Instant) {
        (self.bytes, self.operations) = (0, 0);
        self.handshakes = Handshakes::default();
        self.latency.reset();
        if let Some(open_loop) = &mut self.open_loop {
            open_loop.start_counting(now, end);
        }
        for (_, socket) in &mut self.sockets {
            match socket {
                Socket::Client(client) => client.progressed = false,
                Socket::Echo(echo) => echo.drained = 0,
                Socket::Flood(..) => {}
            }
        }
    }

    /// Clients of a lasting tunnel that saw no progress in the window, or whose flood nobody saw at the other end.
    fn starved(&self) -> usize {
        let is_starved = |socket: &Socket| match socket {
            Socket::Client(client) => client.lasts() && !client.progressed,
            Socket::Echo(echo) => echo.drains() && echo.drained == 0,
            Socket::Flood(..) => false,
        };
        self.sockets.iter().filter(|(_, socket)| is_starved(socket)).count()
    }

    /// Waits for events until `deadline` at the latest, and handles one batch.
    fn step(&mut self, deadline: Instant) -> Result<()> {
        let mut events = [EpollEvent::empty(); 512];
        let timeout = self.timeout(deadline)?;
        let ready = match self.poll.wait(&mut events, timeout) {
            Err(Errno::EINTR) => 0,
            other => other?,
        };
        interrupt::check()?;
        if Instant::now() > deadline + OPEN_LIMIT {
            bail!("the load generator fell {OPEN_LIMIT:?} behind");
        }
        for event in &events[..ready] {
            match event.data() {
                ECHO_LISTENER => {
                    let resumes = self.pattern.resumes;
                    let wrap = |socket| Ok(Socket::Echo(self.origin.greet(socket, resumes)?));
                    self.accept(&self.origin.echo, wrap, EpollFlags::EPOLLIN)?
                }
                FLOOD_LISTENER => {
                    let bytes = self.pattern.flood_at_once();
                    let wrap = |stream| Ok(Socket::Flood(stream, bytes));
                    self.accept(&self.origin.flood, wrap, EpollFlags::EPOLLOUT)?
                }
                ALARM => self.silence_alarm()?,
                key => self.handle(key as usize)?,
            }
        }
        self.flood_due()?;
        self.start_due()
    }

    fn timeout(&mut self, deadline: Instant) -> Result<EpollTimeout> {
        let scheduled = self.open_loop.as_ref().and_then(OpenLoop::next);
        let paced = self.pacer.as_ref().and_then(Pacer::next);
        let next = [scheduled, paced].into_iter().flatten().fold(deadline, Instant::min);
        let left = next.saturating_duration_since(Instant::now());
        if self.pattern.spin || left.is_zero() {
            return Ok(EpollTimeout::ZERO);
        }
        if self.alarm_at != Some(next) {
            let when = Expiration::OneShot(TimeSpec::from_duration(left));
            self.alarm.set(when, TimerSetTimeFlags::empty())?;
            self.alarm_at = Some(next);
        }
        Ok(EpollTimeout::NONE)
    }

    fn silence_alarm(&mut self) -> Result<()> {
        self.alarm_at = None;
        match self.alarm.wait() {
            // Set anew since it rang.
            Err(Errno::EAGAIN) => Ok(()),
            other => Ok(other?),
        }
    }

    fn handle(&mut self, key: usize) -> Result<()> {
        let fate = match &mut self.sockets[key] {
            Socket::Echo(echo) => {
                let (resumed, drained) = (echo.stream.resumed(), echo.drained);
                let fate = echo.step(&mut self.scratch)?;
                self.handshakes.count_at_origin(resumed, echo.stream.resumed());
                self.bytes += echo.drained - drained;
                fate
            }
            Socket::Flood(stream, left) => {
                let before = *left;
                let fate = origin::flood(stream, left, &mut self.scratch);
                self.flooded += before - *left;
                fate
            }
            Socket::Client(_) => return self.handle_client(key).context("client"),
        };
        match fate {
            Fate::Keep => Ok(()),
            Fate::Silent => self.interest(key, EpollFlags::EPOLLIN),
            Fate::Loud => self.interest(key, EpollFlags::EPOLLOUT),
            Fate::Drop => self.close(key),
        }
    }

    fn interest(&self, key: usize, interest: EpollFlags) -> Result<()> {
        let mut event = EpollEvent::new(interest, key as u64);
        Ok(self.poll.modify(self.sockets[key].stream(), &mut event)?)
    }

    fn close(&mut self, key: usize) -> Result<()> {
        let mut socket = self.sockets.remove(key);
        if let Socket::Client(client) = &mut socket {
            client.stream.finish();
        }
        // Closing alone would not do while a forked child still has the descriptor open.
        Ok(self.poll.delete(socket.stream())?)
    }

    fn accept(
        &mut self,
        listener: &TcpListener,
        wrap: impl Fn(TcpStream) -> Result<Socket>,
        interest: EpollFlags,
    ) -> Result<()> {
        while let Some(stream) = origin::accept(listener)? {
            let slot = self.sockets.vacant_entry();
            self.poll.add(&stream, EpollEvent::new(interest, slot.key() as u64))?;
            slot.insert(wrap(stream)?);
        }
        Ok(())
    }
}

impl Socket {
    fn stream(&self) -> &TcpStream {
        match self {
            Socket::Flood(stream, _) => stream,
            Socket::Echo(echo) => echo.stream.socket(),
            Socket::Client(client) => client.stream.socket(),
        }
    }
}

const ECHO_LISTENER: u64 = u64::MAX;
const FLOOD_LISTENER: u64 = u64::MAX - 1;
const ALARM: u64 = u64::MAX - 2;
