//! One client of the load: dials the contestant, asks for the tunnel if that takes asking, then does its task.
//!
//! ```text
//! Connecting ─▶ [Shaking ──session──▶] [Reply ──200, 101──▶] [Login ──▶] ┬─▶ Flood ──full──▶ Rest   (Sink, Stall)
//!                                                                        ├─▶ Asked ──echo──▶ Push   (Push)
//!                                                                        └─▶ Echo ⇄ Rest ⇄ Flood    (PingPong, and its bursts)
//!                                                                            └─▶ closed, dialed anew (SetUp)
//! ```
//!
//! Every echo is compared with what was sent; a client whose tunnel ends or lies fails the measurement.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::sys::epoll::{EpollEvent, EpollFlags};
use socket2::{Domain, Type};

use super::origin::{self, DRAIN_REQUEST, FLOOD_CHUNK};
use super::{Burst, Load, Pace, Pattern, Request, Route, Socket, Via};
use crate::tls;
use crate::vnc::{Step, Viewer};
use crate::websocket::Stream;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Discards the flood.
    Sink,
    /// Reads the beginning of the flood, and then nothing more.
    Stall,
    /// Floods the origin.
    Push,
    /// Round trips on one tunnel.
    PingPong,
    /// Connect, one round trip, close.
    SetUp,
}

pub(super) struct Client {
    pub(super) stream: Stream,
    task: Task,
    pub(super) state: State,
    /// When the round trip (or, for a set-up, the connection) began, or should have begun.
    pub(super) began: Instant,
    /// When the messages that wait for the one under way should have begun.
    pub(super) waiting: VecDeque<Instant>,
    /// The message under way; its first bytes number the round.
    message: Vec<u8>,
    round: u64,
    /// The first payload came.
    opened: bool,
    pub(super) progressed: bool,
}

pub(super) enum State {
    Connecting,
    Shaking,
    Reply { head: Vec<u8> },
    Login(Viewer),
    Flood { received: u64 },
    Asked { echoed: usize },
    Push,
    Echo { received: usize },
    Rest,
}

/// What one event brought.
enum Outcome {
    Nothing,
    /// The socket is connected: from now on it is read.
    Connected,
    /// From now on it is written to.
    Pushing,
    Payload(usize),
    /// The echo is complete.
    Round,
}

impl Client {
    /// Its tunnel should carry something all the time.
    pub(super) fn lasts(&self) -> bool {
        matches!(self.task, Task::Sink | Task::PingPong)
    }

    /// It sends messages and waits for their echo.
    pub(super) fn converses(&self) -> bool {
        self.task == Task::PingPong
    }

    fn step(&mut self, via: &Via, pattern: &Pattern, scratch: &mut [u8]) -> Result<Outcome> {
        match &mut self.state {
            State::Connecting => self.connected(via, pattern),
            State::Shaking => {
                let brought = some(self.stream.receive(scratch))?;
                ensure!(brought.is_none(), "the tunnel spoke before the client");
                if self.stream.is_open() {
                    self.speak(via, pattern)?;
                }
                Ok(Outcome::Nothing)
            }
            State::Reply { .. } => self.receive_reply(via, pattern, scratch),
            State::Login(_) => {
                let Some(len) = some(self.stream.receive(scratch))? else {
                    return Ok(Outcome::Nothing);
                };
                self.log_in(via, pattern, &scratch[..len])
            }
            State::Flood { received } => {
                let Some(len) = some(self.stream.discard(scratch))? else {
                    return Ok(Outcome::Nothing);
                };
                *received += len as u64;
                Ok(Outcome::Payload(len))
            }
            State::Asked { .. } => self.receive_consent(scratch),
            State::Push => match self.stream.send_anything(FLOOD_CHUNK, scratch) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(Outcome::Nothing),
                other => other.map(|_| Outcome::Nothing).context("send"),
            },
            State::Echo { .. } => self.receive_echo(scratch),
            State::Rest => {
                let brought = some(self.stream.receive(scratch))?;
                ensure!(brought.is_none(), "the tunnel spoke while the client rested");
                Ok(Outcome::Nothing)
            }
        }
    }

    fn connected(&mut self, via: &Via, pattern: &Pattern) -> Result<Outcome> {
        if let Some(error) = self.stream.socket().take_error()? {
            return Err(error).context("connect");
        }
        if via.tls.is_some() {
            self.state = State::Shaking;
            self.stream.start().context("send")?;
        } else {
            self.speak(via, pattern)?;
        }
        Ok(Outcome::Connected)
    }

    /// The first words that are not of TLS.
    fn speak(&mut self, via: &Via, pattern: &Pattern) -> Result<()> {
        let Some(request) = &via.request else { return self.begin(via, pattern) };
        self.state = State::Reply { head: Vec::new() };
        self.send(request.bytes())
    }

    fn receive_reply(
        &mut self,
        via: &Via,
        pattern: &Pattern,
        scratch: &mut [u8],
    ) -> Result<Outcome> {
        let State::Reply { head } = &mut self.state else { return Ok(Outcome::Nothing) };
        let Some(len) = some(self.stream.receive(scratch))? else {
            return Ok(Outcome::Nothing);
        };
        head.extend(&scratch[..len]);
        let Some(end) = head.windows(4).position(|w| w == b"\r\n\r\n") else {
            return Ok(Outcome::Nothing);
        };
        let request = via.request.as_ref().context("an answer to no request")?;
        request.check_reply(&head[..end])?;
        let mut early = head.split_off(end + 4);
        if let Request::Upgrade(_) = request {
            self.stream.upgrade(&mut early).context("behind the answer")?;
        }
        self.begin(via, pattern)?;
        match &mut self.state {
            _ if early.is_empty() => Ok(Outcome::Nothing),
            State::Login(_) => self.log_in(via, pattern, &early),
            State::Flood { received } => {
                *received = early.len() as u64;
                Ok(Outcome::Payload(early.len()))
            }
            _ => bail!("the tunnel spoke before the client"),
        }
    }

    /// The way to the origin is open.
    fn begin(&mut self, via: &Via, pattern: &Pattern) -> Result<()> {
        if !via.vnc {
            return self.start_task(via, pattern);
        }
        self.state = State::Login(Viewer::default());
        Ok(())
    }

    fn log_in(&mut self, via: &Via, pattern: &Pattern, came: &[u8]) -> Result<Outcome> {
        let State::Login(viewer) = &mut self.state else { return Ok(Outcome::Nothing) };
        let mut reply = Vec::new();
        let step = viewer.take(came, &mut reply).context("login")?;
        if !reply.is_empty() {
            self.send(&reply)?;
        }
        if step == Step::Done {
            self.start_task(via, pattern)?;
        }
        Ok(Outcome::Nothing)
    }

    fn receive_echo(&mut self, scratch: &mut [u8]) -> Result<Outcome> {
        let State::Echo { received } = &mut self.state else { return Ok(Outcome::Nothing) };
        let Some(len) = some(self.stream.receive(scratch))? else { return Ok(Outcome::Nothing) };
        let expected = self.message.get(*received..*received + len);
        ensure!(expected == Some(&scratch[..len]), "the echo differs from what was sent");
        *received += len;
        if *received < self.message.len() {
            return Ok(Outcome::Nothing);
        }
        self.state = State::Rest;
        Ok(Outcome::Round)
    }

    /// The origin has agreed to be flooded.
    fn receive_consent(&mut self, scratch: &mut [u8]) -> Result<Outcome> {
        let State::Asked { echoed } = &mut self.state else { return Ok(Outcome::Nothing) };
        let Some(len) = some(self.stream.receive(scratch))? else { return Ok(Outcome::Nothing) };
        let expected = DRAIN_REQUEST.get(*echoed..*echoed + len);
        ensure!(expected == Some(&scratch[..len]), "the echo differs from what was sent");
        *echoed += len;
        if *echoed < DRAIN_REQUEST.len() {
            return Ok(Outcome::Nothing);
        }
        self.state = State::Push;
        Ok(Outcome::Pushing)
    }

    fn start_task(&mut self, via: &Via, pattern: &Pattern) -> Result<()> {
        match self.task {
            Task::Sink | Task::Stall => {
                self.state = State::Flood { received: 0 };
                if via.asks {
                    self.send(&origin::burst_request(pattern.flood_at_once()))?;
                }
            }
            Task::Push => {
                self.state = State::Asked { echoed: 0 };
                self.send(&DRAIN_REQUEST)?;
            }
            Task::PingPong => {
                self.began = Instant::now();
                self.send_message()?;
            }
            // The clock of a set-up has run since the dial.
            Task::SetUp => self.send_message()?,
        }
        Ok(())
    }

    /// Has had all that it wants to read.
    fn is_full(&self, pattern: &Pattern) -> bool {
        let State::Flood { received } = &self.state else { return false };
        match self.task {
            Task::Stall => *received > 0,
            Task::PingPong => pattern.burst.is_some_and(|burst| *received >= burst.bytes),
            _ => pattern.fill.is_some_and(|fill| *received >= fill),
        }
    }

    pub(super) fn send_message(&mut self) -> Result<()> {
        self.round += 1;
        for (byte, digit) in self.message.iter_mut().zip(self.round.to_ne_bytes()) {
            *byte = digit;
        }
        self.state = State::Echo { received: 0 };
        self.stream.send(&self.message).context("send")?;
        ensure!(!self.stream.has_queued(), "a message did not fit the socket buffer");
        Ok(())
    }

    fn ask_for_burst(&mut self, bytes: u64) -> Result<()> {
        self.round += 1;
        self.state = State::Flood { received: 0 };
        self.send(&origin::burst_request(bytes))
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.send(bytes).context("send")?;
        ensure!(!self.stream.has_queued(), "a request did not fit the socket buffer");
        Ok(())
    }
}

impl Load<'_> {
    /// Dials the contestant for one client. `counted`: this client's first payload is no longer waited for.
    pub(super) fn dial(&mut self, task: Task, began: Instant, counted: bool) -> Result<()> {
        let via = via(self.route, task);
        let socket =
            socket2::Socket::new(Domain::for_address(via.dial), Type::STREAM.nonblocking(), None)?;
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&via.dial.into()) {
            Err(e) if e.raw_os_error() != Some(Errno::EINPROGRESS as i32) => {
                return Err(e).with_context(|| format!("connect to {}", via.dial));
            }
            _ => {}
        }
        let slot = self.sockets.vacant_entry();
        self.poll.add(&socket, EpollEvent::new(EpollFlags::EPOLLOUT, slot.key() as u64))?;
        let below = match &via.tls {
            None => tls::Stream::plain(socket.into()),
            Some(terms) => tls::Stream::client(socket.into(), terms, self.pattern.resumes)?,
        };
        let stream = Stream::over(below);
        slot.insert(Socket::Client(Client {
            stream,
            task,
            state: State::Connecting,
            began,
            waiting: VecDeque::new(),
            message: vec![b'.'; self.pattern.message],
            round: 0,
            opened: counted,
            progressed: false,
        }));
        self.opening += usize::from(!counted);
        Ok(())
    }

    pub(super) fn handle_client(&mut self, key: usize) -> Result<()> {
        let Socket::Client(client) = &mut self.sockets[key] else { return Ok(()) };
        let via = via(self.route, client.task);
        let before = client.stream.resumed();
        let outcome = client.step(via, &self.pattern, &mut self.scratch)?;
        self.handshakes.count(before, client.stream.resumed());
        match outcome {
            Outcome::Nothing => Ok(()),
            Outcome::Connected => self.interest(key, EpollFlags::EPOLLIN),
            Outcome::Pushing => {
                client.opened = true;
                self.opening -= 1;
                self.interest(key, EpollFlags::EPOLLOUT)
            }
            Outcome::Payload(len) => self.count_payload(key, len),
            Outcome::Round => self.count_round(key),
        }
    }

    fn count_payload(&mut self, key: usize, len: usize) -> Result<()> {
        self.bytes += len as u64;
        let Socket::Client(client) = &mut self.sockets[key] else { return Ok(()) };
        client.progressed = true;
        let full = client.is_full(&self.pattern);
        if !client.opened && (full || self.pattern.fill.is_none()) {
            client.opened = true;
            self.opening -= 1;
        }
        if full {
            client.state = State::Rest;
            match client.task {
                Task::Stall => return self.interest(key, EpollFlags::empty()),
                Task::PingPong => return self.next_round(key, Instant::now()),
                Task::Sink | Task::Push | Task::SetUp => {}
            }
        }
        Ok(())
    }

    fn count_round(&mut self, key: usize) -> Result<()> {
        let Socket::Client(client) = &mut self.sockets[key] else { return Ok(()) };
        if self.open_loop.as_ref().is_none_or(|open_loop| open_loop.counts(client.began)) {
            self.operations += 1;
            self.latency.saturating_record(client.began.elapsed().as_nanos() as u64);
        }
        client.progressed = true;
        if !client.opened {
            client.opened = true;
            self.opening -= 1;
        }
        if client.task == Task::PingPong
            && let Some(opened) = &mut self.opened
        {
            opened.push(key);
            return Ok(());
        }
        match (client.task, self.pattern.pace) {
            (Task::PingPong, Pace::Closed) => self.next_round(key, Instant::now()),
            (Task::PingPong, Pace::Rate(_)) => self.next_waiting(key),
            (Task::SetUp, Pace::Rate(_)) => {
                self.close(key)?;
                self.set_up_ended()
            }
            (Task::SetUp, _) => {
                self.close(key)?;
                self.dial(Task::SetUp, Instant::now(), true)
            }
            (Task::Sink | Task::Push | Task::Stall, _) => Ok(()),
        }
    }

    pub(super) fn next_round(&mut self, key: usize, began: Instant) -> Result<()> {
        let Socket::Client(client) = &mut self.sockets[key] else { return Ok(()) };
        client.began = began;
        match self.pattern.burst {
            Some(Burst { after, bytes }) if client.round % (after + 1) == after => {
                client.ask_for_burst(bytes)
            }
            _ => client.send_message(),
        }
    }
}

fn via(route: &Route, task: Task) -> &Via {
    match task {
        Task::Sink | Task::Stall => &route.flood,
        Task::Push | Task::PingPong | Task::SetUp => &route.echo,
    }
}

/// None: nothing there yet. The end of the stream is an error, since only clients end tunnels here.
fn some(received: io::Result<usize>) -> Result<Option<usize>> {
    match received {
        Ok(0) => bail!("the tunnel ended"),
        Ok(len) => Ok(Some(len)),
        Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(e) => Err(e).context("receive"),
    }
}
