//! A driver under test, its outcomes sorted by leg, and the peers of its legs.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use penstock_ring::{
    Arrival, Chunk, Close, Event, Group, Kernel, Leg, Options, Outcome, Owner, PoolSizes, Sent,
    sockets,
};

use crate::Driver;

/// How long anything may take before a test gives up; far above what it should take.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const OWNER: Owner = Owner(7);

pub struct Rig {
    pub kernel: Box<dyn Kernel>,
    pub backlog: VecDeque<Event>,
    legs: Vec<Leg>,
}

impl Rig {
    pub fn new(driver: &Driver) -> Rig {
        let buffers = PoolSizes { reserve: 8, small: 256, record: 64, bulk: 16 };
        Rig::with(driver, Options { buffers, ..Options::default() })
    }

    pub fn with(driver: &Driver, options: Options) -> Rig {
        let kernel = (driver.make)(&driver.options(options)).expect("the driver starts");
        Rig { kernel, backlog: VecDeque::new(), legs: Vec::new() }
    }

    /// One wait of at most `span`.
    pub fn turn(&mut self, span: Duration) {
        let mut events = Vec::new();
        let until = self.kernel.refresh() + span;
        self.kernel.wait(Some(until), &mut events);
        for event in &events {
            if let Outcome::Accepted(leg) = event.outcome {
                self.legs.push(leg);
            }
        }
        self.backlog.extend(events);
    }

    /// The next outcome of a leg.
    #[track_caller]
    pub fn next(&mut self, leg: Leg) -> Outcome {
        let outcome = self.next_within(leg, PATIENCE);
        outcome.unwrap_or_else(|| panic!("{leg:?} has no outcome; waiting: {:?}", self.backlog))
    }

    /// The next outcome of a leg, if it comes within `span`.
    pub fn next_within(&mut self, leg: Leg, span: Duration) -> Option<Outcome> {
        let end = Instant::now() + span;
        loop {
            if let Some(at) = self.backlog.iter().position(|event| event.leg == leg) {
                return self.backlog.remove(at).map(|event| event.outcome);
            }
            let left = end.checked_duration_since(Instant::now())?;
            self.turn(left);
        }
    }

    /// Turns until `done` says so.
    #[track_caller]
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&mut Rig) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < end, "waited in vain for {what}");
            self.turn(Duration::from_millis(10));
        }
    }

    pub fn adopt(&mut self, descriptor: impl Into<OwnedFd>) -> Leg {
        let leg = self.kernel.adopt(descriptor.into(), OWNER).expect("adopted");
        self.legs.push(leg);
        leg
    }

    pub fn connect(&mut self, address: SocketAddr) -> Leg {
        let leg = self.kernel.connect(address, OWNER).expect("a socket");
        self.legs.push(leg);
        leg
    }

    pub fn listen(&mut self, backlog: u32) -> (Leg, SocketAddr) {
        let descriptor =
            sockets::bind_listener((Ipv4Addr::LOCALHOST, 0).into(), backlog).expect("bound");
        let leg = self.kernel.listen(descriptor, OWNER).expect("driven");
        self.legs.push(leg);
        (leg, self.kernel.local(leg).expect("a TCP socket"))
    }

    /// A TCP leg and its peer.
    pub fn tcp(&mut self) -> (Leg, TcpStream) {
        let (ours, theirs) = tcp_pair();
        (self.adopt(ours), theirs)
    }

    /// A leg over a socketpair and its peer.
    pub fn unix(&mut self) -> (Leg, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("made");
        (self.adopt(ours), theirs)
    }

    /// Sends bytes that aren't pooled, and waits until they are accepted.
    #[track_caller]
    pub fn send(&mut self, leg: Leg, bytes: &'static [u8]) {
        match self.kernel.send(leg, Chunk::Bytes(Bytes::from_static(bytes))) {
            Sent::Done => {}
            Sent::Queued => self.accepted(leg, bytes.len()),
            Sent::Failed(errno) => panic!("{leg:?} can't send: {errno}"),
        }
    }

    /// Waits until so many queued bytes are accepted.
    #[track_caller]
    pub fn accepted(&mut self, leg: Leg, count: usize) {
        let mut left = count;
        while left > 0 {
            match self.next(leg) {
                Outcome::Sent(n) => left -= n,
                outcome => panic!("{leg:?} is to send, not {outcome:?}"),
            }
        }
    }

    /// Takes the next bytes that a leg received, and gives their buffer back.
    #[track_caller]
    pub fn received(&mut self, leg: Leg) -> Result<Vec<u8>, Arrival> {
        match self.next(leg) {
            Outcome::Received(buffer) => {
                assert!(!buffer.is_empty(), "buffers are never empty");
                let bytes = self.kernel.bytes(&buffer).to_vec();
                self.kernel.release(buffer);
                Ok(bytes)
            }
            Outcome::ReceiveEnded(arrival) => Err(arrival),
            outcome => panic!("{leg:?} is to receive, not {outcome:?}"),
        }
    }

    /// All that a leg receives until it has `count` bytes.
    #[track_caller]
    pub fn read(&mut self, leg: Leg, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < count {
            bytes.extend(self.received(leg).expect("bytes before the end"));
        }
        bytes
    }

    /// All that a leg receives until the end.
    #[track_caller]
    pub fn read_to_end(&mut self, leg: Leg) -> (Vec<u8>, Arrival) {
        let mut bytes = Vec::new();
        loop {
            match self.received(leg) {
                Ok(more) => bytes.extend(more),
                Err(arrival) => return (bytes, arrival),
            }
        }
    }

    /// Asserts that a leg has no outcome for a while.
    #[track_caller]
    pub fn silent(&mut self, leg: Leg) {
        let outcome = self.next_within(leg, Duration::from_millis(50));
        assert!(outcome.is_none(), "{leg:?} was to be silent, not {outcome:?}");
    }

    pub fn count(&self, name: &str) -> u64 {
        let mut value = None;
        self.kernel.stats().each(|each, _, count| {
            if each == name {
                value = Some(count);
            }
        });
        value.unwrap_or_else(|| panic!("no number is called {name}"))
    }

    /// Shows that a leg carries bytes both ways.
    #[track_caller]
    pub fn echo(&mut self, leg: Leg, mut peer: impl std::io::Read + std::io::Write) {
        self.kernel.receive(leg, Group::Small);
        peer.write_all(b"ping").expect("the leg is there");
        assert_eq!(self.read(leg, 4), b"ping");
        self.send(leg, b"pong");
        let mut answer = [0; 4];
        peer.read_exact(&mut answer).expect("the leg is there");
        assert_eq!(&answer, b"pong");
    }

    /// Closes all that is open, and asserts that nothing is left anywhere.
    #[track_caller]
    pub fn finish(mut self) {
        self.close_all();
        for name in ["legs", "pipes_in_use", "receivers_waiting"] {
            self.until(name, |rig| {
                rig.give_back();
                // Legs that were accepted meanwhile, and that nobody wanted.
                rig.close_all();
                rig.count(name) == 0
            });
        }
        self.until("all buffers", |rig| {
            rig.give_back();
            rig.count("buffers_free") == rig.count("buffers_total")
        });
    }

    /// Closes every leg that there ever was.
    pub fn close_all(&mut self) {
        for leg in std::mem::take(&mut self.legs) {
            self.kernel.close(leg, Close::Reset);
        }
    }

    /// Gives back the buffers of outcomes that nobody took.
    pub fn give_back(&mut self) {
        for event in std::mem::take(&mut self.backlog) {
            if let Outcome::Received(buffer) = event.outcome {
                self.kernel.release(buffer);
            }
        }
    }
}

/// Two ends of a TCP connection over loopback.
pub fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
    let address = listener.local_addr().expect("bound");
    let theirs = TcpStream::connect(address).expect("connected");
    let (ours, _) = listener.accept().expect("accepted");
    (ours, theirs)
}

/// Makes the drop of a peer send RST.
pub fn reset(peer: TcpStream) {
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).expect("set");
}
