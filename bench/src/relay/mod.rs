//! Relays that do nothing but relay: the limits against which engines are judged. TCP in, TCP out, one thread, no
//! protocol, no limits, no time-outs; they trust their clients and run only under the harness.
//!
//! `copy`, `splice` and `websocket` share the epoll loop here and differ in their [`Mover`]; `tls`, `tokio` and `tokio_uring` stand alone.

mod copy;
mod splice;
mod tls;
mod tokio;
mod tokio_uring;
mod websocket;

use std::io::{Error, ErrorKind, Result};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::str::FromStr;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use slab::Slab;
use socket2::{Domain, Socket, Type};

use crate::tls::{Client, KeyFiles, Keys, Server};

/// Which relay to run.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Kind {
    /// epoll, recv and send through 64 KiB.
    Copy,
    /// The same, never asleep.
    CopyBusy,
    /// epoll and splice(2) through pipes of 1 MiB.
    Splice,
    /// tokio, as a programmer would write it.
    Tokio,
    /// tokio-uring, as a programmer would write it.
    TokioUring,
    /// epoll, recv and send; TLS from the client.
    Tls,
    /// The same; TLS to the origin.
    ToTls,
    /// epoll, recv and send; WebSocket from the client.
    Ws,
    /// The same, and splice(2) behind a header to the client.
    WsSplice,
}

/// A port to listen on and where its connections go, written `LISTEN=TARGET`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forward {
    pub(crate) listen: SocketAddr,
    pub(crate) target: SocketAddr,
}

impl FromStr for Forward {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (listen, target) = text.split_once('=').ok_or("expected LISTEN=TARGET")?;
        let parse = |t: &str| t.parse().map_err(|_| format!("{t}: expected ADDRESS:PORT"));
        Ok(Forward { listen: parse(listen)?, target: parse(target)? })
    }
}

/// Relays until it is killed. `keys`: the folder they are in, for those that speak TLS.
pub(crate) fn run(kind: Kind, forwards: &[Forward], keys: &Path) -> Result<()> {
    let keys = || Keys::read(&KeyFiles::within(keys)).map_err(Error::other);
    match kind {
        Kind::Tls => {
            let terms = Server::new(&keys()?).map_err(Error::other)?;
            tls::run(tls::Side::FromClient(terms), forwards)
        }
        Kind::ToTls => {
            let terms = Client::new(&keys()?).map_err(Error::other)?;
            tls::run(tls::Side::ToOrigin(terms), forwards)
        }
        Kind::Copy => Relay::new(copy::Copy::new(), forwards)?.run(EpollTimeout::NONE),
        Kind::CopyBusy => Relay::new(copy::Copy::new(), forwards)?.run(EpollTimeout::ZERO),
        Kind::Splice => Relay::new(splice::Splice::default(), forwards)?.run(EpollTimeout::NONE),
        Kind::Ws => Relay::new(websocket::WebSocket::copying(), forwards)?.run(EpollTimeout::NONE),
        Kind::WsSplice => {
            Relay::new(websocket::WebSocket::splicing(), forwards)?.run(EpollTimeout::NONE)
        }
        Kind::Tokio => tokio::run(forwards),
        Kind::TokioUring => tokio_uring::run(forwards),
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

/// Moves the bytes of one direction.
trait Mover {
    /// What one direction holds between two events.
    type Lane;

    /// The direction reads the leg of this number.
    fn lane(&mut self, direction: usize) -> Result<Self::Lane>;

    /// Moves once from the source to the sink.
    fn pump(&mut self, lane: &mut Self::Lane, from: &TcpStream, to: &TcpStream) -> Result<Flow>;

    fn retire(&mut self, lane: Self::Lane);

    /// The client of this lane waits for an answer of the relay's own, before which nothing of the target's may come.
    fn awaits_answer(_lane: &Self::Lane) -> bool {
        false
    }
}

/// What a direction waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Source,
    Sink,
    Ended,
}

struct Relay<M: Mover> {
    poll: Epoll,
    listeners: Vec<(TcpListener, SocketAddr)>,
    tunnels: Slab<Tunnel<M::Lane>>,
    mover: M,
    /// Freed only after the batch of events, which may still name them.
    closing: Vec<usize>,
}

/// Leg 0 is the client's. Direction `i` reads leg `i` and writes leg `1 - i`.
struct Tunnel<L> {
    legs: [TcpStream; 2],
    lanes: [L; 2],
    flows: [Flow; 2],
    interests: [EpollFlags; 2],
    connected: bool,
}

impl<M: Mover> Relay<M> {
    fn new(mover: M, forwards: &[Forward]) -> Result<Self> {
        let poll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut listeners = Vec::new();
        for (index, forward) in forwards.iter().enumerate() {
            let listener = listen(forward.listen)?;
            poll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENERS + index as u64))?;
            listeners.push((listener, forward.target));
        }
        Ok(Relay { poll, listeners, tunnels: Slab::new(), mover, closing: Vec::new() })
    }

    fn run(&mut self, timeout: EpollTimeout) -> Result<()> {
        let mut events = [EpollEvent::empty(); 512];
        loop {
            let ready = match self.poll.wait(&mut events, timeout) {
                Err(Errno::EINTR) => continue,
                other => other?,
            };
            for event in &events[..ready] {
                match event.data().checked_sub(LISTENERS) {
                    Some(index) => self.accept(index as usize)?,
                    None => {
                        let (key, leg) =
                            ((event.data() >> 1) as usize, (event.data() & 1) as usize);
                        if self.serve(key, leg, event.events()).is_err() {
                            self.end(key);
                        }
                    }
                }
            }
            self.free_closed();
        }
    }

    fn accept(&mut self, index: usize) -> Result<()> {
        let (listener, target) = &self.listeners[index];
        let client = match listener.accept() {
            Ok((client, _)) => client,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionAborted) => {
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        client.set_nonblocking(true)?;
        client.set_nodelay(true)?;
        let upstream = dial(*target)?;
        let slot = self.tunnels.vacant_entry();
        let key = slot.key() as u64;
        let interests = [EpollFlags::empty(), EpollFlags::EPOLLOUT];
        self.poll.add(&client, EpollEvent::new(interests[0], key << 1))?;
        self.poll.add(&upstream, EpollEvent::new(interests[1], key << 1 | 1))?;
        let lanes = [self.mover.lane(0)?, self.mover.lane(1)?];
        let flows = [Flow::Source; 2];
        slot.insert(Tunnel { legs: [client, upstream], lanes, flows, interests, connected: false });
        Ok(())
    }

    fn serve(&mut self, key: usize, leg: usize, events: EpollFlags) -> Result<()> {
        // Epoll reports a closed descriptor as long as a fork of this process has not closed it too.
        let Some(tunnel) = self.tunnels.get_mut(key) else { return Ok(()) };
        if events.contains(EpollFlags::EPOLLERR) {
            return Err(ErrorKind::ConnectionReset.into());
        }
        if !tunnel.connected {
            tunnel.connected = leg == 1;
        } else {
            let other = 1 - leg;
            if events.contains(EpollFlags::EPOLLOUT) && tunnel.flows[other] == Flow::Sink {
                tunnel.pump(&mut self.mover, other)?;
            }
            if events.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP)
                && tunnel.flows[leg] == Flow::Source
            {
                tunnel.pump(&mut self.mover, leg)?;
            }
        }
        if tunnel.flows == [Flow::Ended; 2] {
            self.end(key);
            return Ok(());
        }
        let target_may_speak = !M::awaits_answer(&tunnel.lanes[0]);
        tunnel.rearm(&self.poll, key as u64, target_may_speak)
    }

    fn end(&mut self, key: usize) {
        if !self.closing.contains(&key) {
            self.closing.push(key);
        }
    }

    fn free_closed(&mut self) {
        for key in self.closing.drain(..) {
            let tunnel = self.tunnels.remove(key);
            for lane in tunnel.lanes {
                self.mover.retire(lane);
            }
        }
    }
}

impl<L> Tunnel<L> {
    fn pump<M: Mover<Lane = L>>(&mut self, mover: &mut M, direction: usize) -> Result<()> {
        let (from, to) = (&self.legs[direction], &self.legs[1 - direction]);
        self.flows[direction] = mover.pump(&mut self.lanes[direction], from, to)?;
        if self.flows[direction] == Flow::Ended {
            to.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }

    fn rearm(&mut self, poll: &Epoll, key: u64, target_may_speak: bool) -> Result<()> {
        for leg in 0..2 {
            let mut wanted = EpollFlags::empty();
            let may_speak = self.connected && (leg == 0 || target_may_speak);
            wanted.set(EpollFlags::EPOLLIN, may_speak && self.flows[leg] == Flow::Source);
            wanted.set(
                EpollFlags::EPOLLOUT,
                self.flows[1 - leg] == Flow::Sink || (leg == 1 && !self.connected),
            );
            if wanted != self.interests[leg] {
                self.interests[leg] = wanted;
                poll.modify(&self.legs[leg], &mut EpollEvent::new(wanted, key << 1 | leg as u64))?;
            }
        }
        Ok(())
    }
}

fn dial(target: SocketAddr) -> Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM.nonblocking(), None)?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&target.into()) {
        Err(e) if e.raw_os_error() != Some(Errno::EINPROGRESS as i32) => Err(e),
        _ => Ok(socket.into()),
    }
}

fn is_would_block(error: &Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
}

/// Above every tunnel's token.
const LISTENERS: u64 = 1 << 48;
