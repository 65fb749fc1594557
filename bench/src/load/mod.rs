//! The load generator and the origin, both in one epoll loop on one thread.
//!
//! Enters: a pattern (how many clients of which task) and the route to a contestant. Leaves: what the contestant did in
//! the measured window and what CPU it used. Clients are closed loops: each waits for its answer before it goes on, so
//! latencies are not corrected for coordinated omission.
//!
//! No slot carries a generation: a batch of events names each descriptor at most once, and a socket is removed only
//! while its own event is handled.

mod client;
mod origin;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use slab::Slab;

use client::Client;
pub(crate) use client::Task;
pub(crate) use origin::Origin;

/// What the clients of one measurement do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pattern {
    /// Clients that discard what the origin floods.
    pub(crate) streams: usize,
    /// Clients that send a message and wait for its echo, again and again.
    pub(crate) pingpongs: usize,
    /// Clients that connect, do one round trip and close, again and again.
    pub(crate) setups: usize,
    /// Bytes of a ping-pong message, at most 64 KiB.
    pub(crate) message: usize,
    /// How long a ping-pong client rests between two round trips.
    pub(crate) pause: Duration,
}

/// How to reach the two origins through one contestant.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) echo: Via,
    pub(crate) flood: Via,
}

/// One address to dial and, for a CONNECT proxy, the request to send there.
#[derive(Clone, Debug)]
pub(crate) struct Via {
    pub(crate) dial: SocketAddr,
    pub(crate) request: Option<Vec<u8>>,
}

/// What happened in the measured window.
#[derive(Debug)]
pub(crate) struct Sample {
    /// The contestant's own CPU.
    pub(crate) cpu: Duration,
    /// Wall clock.
    pub(crate) elapsed: Duration,
    /// Bulk payload that reached the clients.
    pub(crate) bytes: u64,
    /// Round trips completed; for set-ups each is a whole connection.
    pub(crate) rounds: u64,
    /// Nanoseconds per round trip, or per connection.
    pub(crate) latency: Histogram<u64>,
}

/// Lengths of one measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
}

/// Opens the clients, warms up, and measures one window. `cpu` reads the contestant's CPU so far.
pub(crate) fn measure(
    pattern: Pattern,
    route: &Route,
    origin: &Origin,
    timing: Timing,
    cpu: impl Fn() -> Result<Duration>,
) -> Result<Sample> {
    let mut load = Load::new(pattern, route, origin)?;
    load.open_all()?;
    load.drive(Instant::now() + timing.warm_up)?;

    load.clear();
    let (cpu_before, began) = (cpu()?, Instant::now());
    load.drive(began + timing.window)?;
    let (cpu_after, elapsed) = (cpu()?, began.elapsed());

    ensure!(load.bytes + load.rounds > 0, "nothing came through in {elapsed:?}");
    ensure!(load.starved() == 0, "{} clients got nothing through", load.starved());
    let Load { bytes, rounds, latency, .. } = load;
    Ok(Sample { cpu: cpu_after.saturating_sub(cpu_before), elapsed, bytes, rounds, latency })
}

/// More would overflow the listen queue of some peer, and a dropped SYN costs a second.
const OPENING_MAX: usize = 64;
const OPEN_LIMIT: Duration = Duration::from_secs(10);
const SCRATCH: usize = 1 << 20;

struct Load<'a> {
    poll: Epoll,
    sockets: Slab<Socket>,
    route: &'a Route,
    origin: &'a Origin,
    pattern: Pattern,
    /// Clients dialed whose first payload has not come yet.
    opening: usize,
    /// Resting ping-pong clients in order of their next message.
    resting: VecDeque<(Instant, usize)>,
    scratch: Vec<u8>,
    bytes: u64,
    rounds: u64,
    latency: Histogram<u64>,
}

enum Socket {
    Client(Client),
    Echo(TcpStream),
    Flood(TcpStream),
}

/// What is left of a socket after its event.
enum Fate {
    Keep,
    Drop,
}

impl<'a> Load<'a> {
    fn new(pattern: Pattern, route: &'a Route, origin: &'a Origin) -> Result<Self> {
        let poll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        poll.add(&origin.echo, EpollEvent::new(EpollFlags::EPOLLIN, ECHO_LISTENER))?;
        poll.add(&origin.flood, EpollEvent::new(EpollFlags::EPOLLIN, FLOOD_LISTENER))?;
        Ok(Load {
            poll,
            sockets: Slab::new(),
            route,
            origin,
            pattern,
            opening: 0,
            resting: VecDeque::new(),
            scratch: vec![0; SCRATCH],
            bytes: 0,
            rounds: 0,
            latency: Histogram::new_with_bounds(1, 60_000_000_000, 3)?,
        })
    }

    fn open_all(&mut self) -> Result<()> {
        let deadline = Instant::now() + OPEN_LIMIT;
        let Pattern { streams, pingpongs, setups, .. } = self.pattern;
        let tasks = [(Task::Sink, streams), (Task::PingPong, pingpongs), (Task::SetUp, setups)];
        for (task, count) in tasks {
            for _ in 0..count {
                self.dial(task, false)?;
                while self.opening >= OPENING_MAX {
                    self.step(deadline)?;
                }
            }
        }
        while self.opening > 0 {
            ensure!(
                Instant::now() < deadline,
                "{} clients still wait for a first byte",
                self.opening
            );
            self.step(deadline)?;
        }
        Ok(())
    }

    fn drive(&mut self, deadline: Instant) -> Result<()> {
        while Instant::now() < deadline {
            self.step(deadline)?;
        }
        Ok(())
    }

    fn clear(&mut self) {
        (self.bytes, self.rounds) = (0, 0);
        self.latency.reset();
        for (_, socket) in &mut self.sockets {
            if let Socket::Client(client) = socket {
                client.progressed = false;
            }
        }
    }

    /// Clients of a lasting tunnel that saw no progress since `clear`.
    fn starved(&self) -> usize {
        let is_starved = |s: &Socket| matches!(s, Socket::Client(c) if c.lasts() && !c.progressed);
        self.sockets.iter().filter(|(_, socket)| is_starved(socket)).count()
    }

    /// Waits for events until `deadline` at the latest, and handles one batch.
    fn step(&mut self, deadline: Instant) -> Result<()> {
        let mut events = [EpollEvent::empty(); 512];
        let ready = match self.poll.wait(&mut events, self.timeout(deadline)) {
            Err(Errno::EINTR) => 0,
            other => other?,
        };
        if Instant::now() > deadline + OPEN_LIMIT {
            bail!("the load generator fell {OPEN_LIMIT:?} behind");
        }
        for event in &events[..ready] {
            match event.data() {
                ECHO_LISTENER => {
                    self.accept(&self.origin.echo, Socket::Echo, EpollFlags::EPOLLIN)?
                }
                FLOOD_LISTENER => {
                    self.accept(&self.origin.flood, Socket::Flood, EpollFlags::EPOLLOUT)?
                }
                key => self.handle(key as usize)?,
            }
        }
        self.wake_rested()
    }

    fn timeout(&self, deadline: Instant) -> EpollTimeout {
        let next = self.resting.front().map_or(deadline, |(due, _)| deadline.min(*due));
        let left = next.saturating_duration_since(Instant::now());
        // Rounded up: rounding down would spin through the last millisecond.
        EpollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(EpollTimeout::MAX)
    }

    fn handle(&mut self, key: usize) -> Result<()> {
        let fate = match &mut self.sockets[key] {
            Socket::Echo(stream) => origin::echo(stream, &mut self.scratch)?,
            Socket::Flood(stream) => origin::flood(stream, &self.scratch),
            Socket::Client(_) => return self.handle_client(key).context("client"),
        };
        match fate {
            Fate::Keep => Ok(()),
            Fate::Drop => self.close(key),
        }
    }

    fn close(&mut self, key: usize) -> Result<()> {
        let socket = self.sockets.remove(key);
        let (Socket::Echo(stream) | Socket::Flood(stream) | Socket::Client(Client { stream, .. })) =
            &socket;
        // Closing alone would not do while a forked child still has the descriptor open.
        Ok(self.poll.delete(stream)?)
    }

    fn accept(
        &mut self,
        listener: &TcpListener,
        wrap: fn(TcpStream) -> Socket,
        interest: EpollFlags,
    ) -> Result<()> {
        while let Some(stream) = origin::accept(listener)? {
            let slot = self.sockets.vacant_entry();
            self.poll.add(&stream, EpollEvent::new(interest, slot.key() as u64))?;
            slot.insert(wrap(stream));
        }
        Ok(())
    }
}

const ECHO_LISTENER: u64 = u64::MAX;
const FLOOD_LISTENER: u64 = u64::MAX - 1;
