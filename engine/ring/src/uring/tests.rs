//! What only this driver can get wrong: its queues, its masks, its cancellations, its end.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::sending::AT_ONCE_MAX;
use super::*;
use crate::buffers::PoolSizes;
use crate::op::Arrival;
use crate::options::{Mask, SpliceMode};
use crate::sockets::bind_listener;

/// A driver and what it has told so far.
struct Rig {
    uring: Uring,
    events: Vec<Event>,
}

impl Rig {
    fn new(options: &Options, sizes: Sizes) -> Rig {
        Rig { uring: Uring::with_sizes(options, sizes).expect("io_uring"), events: Vec::new() }
    }

    fn plain() -> Rig {
        Rig::new(&small_pool(), Sizes::default())
    }

    /// Waits until `pick` finds what it looks for among the outcomes, which are dropped from the list.
    fn until<T>(&mut self, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
        let end = self.uring.refresh() + Duration::from_secs(10);
        loop {
            for event in self.events.drain(..) {
                let found = pick(&event);
                if let Outcome::Received(buffer) = event.outcome {
                    self.uring.release(buffer);
                }
                if let Some(found) = found {
                    return found;
                }
            }
            assert!(self.uring.now() < end, "nothing came: {:?}", self.uring.stats);
            self.uring.wait(Some(end), &mut self.events);
        }
    }

    /// Turns until a condition of the driver holds; outcomes are dropped.
    fn settle(&mut self, holds: impl Fn(&Uring) -> bool) {
        let end = Instant::now() + Duration::from_secs(10);
        while !holds(&self.uring) {
            assert!(Instant::now() < end, "never settled: {:?}", self.uring.stats);
            let soon = self.uring.refresh() + Duration::from_millis(5);
            self.uring.wait(Some(soon), &mut self.events);
            for event in self.events.drain(..) {
                if let Outcome::Received(buffer) = event.outcome {
                    self.uring.release(buffer);
                }
            }
        }
    }

    fn assert_clean(&mut self) {
        self.settle(|uring| {
            let stats = &uring.stats;
            stats.legs.get() == 0 && stats.buffers_free.get() == stats.buffers_total.get()
        });
        let alarms = u64::from(self.uring.alarm.descriptor().is_some());
        assert_eq!(self.uring.stats.in_flight.get(), alarms);
        assert_eq!(self.uring.stats.stale.get(), 0);
    }

    fn adopt_pair(&mut self) -> (Leg, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("made");
        (self.uring.adopt(ours.into(), Owner(1)).expect("adopted"), theirs)
    }

    fn listen(&mut self) -> (Leg, SocketAddr) {
        let listener = bind_listener((Ipv4Addr::LOCALHOST, 0).into(), 1024).expect("bound");
        let leg = self.uring.listen(listener, Owner(9)).expect("listening");
        (leg, self.uring.local(leg).expect("TCP"))
    }
}

fn small_pool() -> Options {
    let buffers = PoolSizes { reserve: 8, small: 64, record: 16 };
    Options { buffers, ..Options::default() }
}

fn masked(text: &str) -> Options {
    Options { mask: Mask::parse(text).expect("features"), ..small_pool() }
}

const MASKS: [&str; 8] = [
    "",
    "coop-taskrun",
    "registered-ring",
    "multishot-receive",
    "multishot-accept",
    "multishot-poll",
    "ring-message",
    "coop-taskrun,registered-ring,multishot-receive,multishot-accept,multishot-poll,ring-message,splice",
];

/// Accept, connect, both directions, half-close; returns the driver for a look at its counters.
fn round_trip(options: &Options) -> Rig {
    let mut rig = Rig::new(options, Sizes::default());
    let (listener, address) = rig.listen();
    let client = rig.uring.connect(address, Owner(2)).expect("started");
    rig.uring.receive(client, Group::Small);
    let (mut accepted, mut connected) = (None, false);
    let server = rig.until(|event| {
        match &event.outcome {
            Outcome::Accepted(leg) => accepted = Some(*leg),
            Outcome::Connected(result) => connected = result.is_ok(),
            _ => {}
        }
        accepted.filter(|_| connected)
    });
    assert_eq!(rig.uring.peer(server), rig.uring.local(client));
    rig.uring.receive(server, Group::Record);
    for n in 0..20u8 {
        for (from, to) in [(client, server), (server, client)] {
            // Small and large turns in turn.
            rig.uring.received = u32::from(n % 2) * (AT_ONCE_MAX + 1);
            let expected = if n % 2 == 0 { Sent::Done } else { Sent::Queued };
            for len in [100, 50] {
                let sent = rig.uring.send(from, Chunk::Bytes(Bytes::from(vec![n; len])));
                assert_eq!(sent, expected);
            }
            let mut got = 0;
            rig.until(|event| {
                if let Outcome::Received(buffer) = &event.outcome {
                    assert_eq!(event.leg, to);
                    got += buffer.len();
                }
                (got == 150).then_some(())
            });
        }
    }
    rig.uring.shutdown(client);
    rig.until(|event| {
        (event.leg == server && matches!(event.outcome, Outcome::ReceiveEnded(Arrival::Ended)))
            .then_some(())
    });
    for leg in [client, server, listener] {
        rig.uring.close(leg, Close::Normal);
    }
    rig.assert_clean();
    rig
}

#[test]
fn every_mask_carries_bytes_and_leaves_nothing() {
    for mask in MASKS {
        let rig = round_trip(&masked(mask));
        assert_eq!(rig.uring.stats.submission_full.get(), 0, "{mask}");
    }
}

#[test]
fn wakes_come_from_other_threads_by_message_or_eventfd() {
    for (mask, by_message) in [("", true), ("ring-message", false)] {
        let mut rig = Rig::new(&masked(mask), Sizes::default());
        assert_eq!(rig.uring.stats.wakes.get(), 0);
        for n in 1..=3 {
            let waker = rig.uring.waker();
            let thread = thread::spawn(move || {
                thread::sleep(Duration::from_millis(20));
                waker.wake();
                waker.wake();
            });
            let end = rig.uring.refresh() + Duration::from_secs(10);
            while rig.uring.stats.wakes.get() < n {
                rig.uring.wait(Some(end), &mut rig.events);
                assert!(rig.uring.now() < end, "no wake-up, mask {mask:?}");
            }
            thread.join().expect("woke");
        }
        let stats = rig.uring.stats.clone();
        assert_eq!(stats.wakes_by_message.get() > 0, by_message);
        let waker = rig.uring.waker();
        drop(rig);
        waker.wake();
    }
}

#[test]
fn waits_end_in_time_and_not_before() {
    let mut rig = Rig::plain();
    let start = rig.uring.refresh();
    rig.uring.wait(Some(start + Duration::from_millis(30)), &mut rig.events);
    let slept = rig.uring.now().since(start);
    assert!(slept >= Duration::from_millis(30) && slept < Duration::from_secs(5), "{slept:?}");
    assert!(rig.events.is_empty());
}

#[test]
fn a_tiny_submission_queue_is_flushed_early_and_loses_nothing() {
    let mut rig = Rig::new(&small_pool(), Sizes { submission: 8, completion: 64 });
    let mut pairs: Vec<_> = (0..200).map(|_| rig.adopt_pair()).collect();
    rig.uring.received = AT_ONCE_MAX + 1;
    for (leg, _) in &pairs {
        rig.uring.receive(*leg, Group::Small);
        let sent = rig.uring.send(*leg, Chunk::Bytes(Bytes::from_static(b"hello")));
        assert_eq!(sent, Sent::Queued);
    }
    let mut sent = 0;
    rig.until(|event| {
        sent += usize::from(matches!(event.outcome, Outcome::Sent(5)));
        (sent == 200).then_some(())
    });
    for (_, theirs) in &mut pairs {
        let mut bytes = [0; 5];
        theirs.read_exact(&mut bytes).expect("sent");
        assert_eq!(&bytes, b"hello");
        theirs.write_all(b"reply").expect("written");
    }
    let mut heard = 0;
    rig.until(|event| {
        heard += usize::from(matches!(&event.outcome, Outcome::Received(_)));
        (heard == 200).then_some(())
    });
    assert!(rig.uring.stats.submission_full.get() > 0);
    for (leg, _) in &pairs {
        rig.uring.close(*leg, Close::Normal);
    }
    rig.assert_clean();
}

#[test]
fn a_tiny_completion_queue_overflows_and_loses_nothing() {
    let sizes = Sizes { submission: 16, completion: 16 };
    let mut rig = Rig::new(&small_pool(), sizes);
    let mut pairs: Vec<_> = (0..500).map(|_| rig.adopt_pair()).collect();
    for (leg, _) in &pairs {
        rig.uring.receive(*leg, Group::Small);
    }
    rig.uring.wait(Some(Time::default()), &mut rig.events);
    for round in 0..5u8 {
        for (_, theirs) in &mut pairs {
            theirs.write_all(&[round]).expect("written");
        }
        let mut heard = 0;
        rig.until(|event| {
            heard += usize::from(matches!(&event.outcome, Outcome::Received(_)));
            (heard == 500).then_some(())
        });
    }
    assert!(rig.uring.stats.overflow.get() > 0, "the queue was meant to overflow");
    for (leg, _) in &pairs {
        rig.uring.close(*leg, Close::Normal);
    }
    rig.assert_clean();
}

#[test]
fn stopping_delivers_what_came_before_and_says_so_once() {
    let mut rig = Rig::plain();
    let (leg, mut theirs) = rig.adopt_pair();
    for round in 0..200 {
        rig.uring.receive(leg, Group::Small);
        if round % 3 > 0 {
            rig.uring.wait(Some(Time::default()), &mut rig.events);
        }
        theirs.write_all(b"0123456789").expect("written");
        assert_eq!(rig.uring.receive_stop(leg), Stop::Later);
        let again = round % 2 == 0;
        if again {
            rig.uring.receive(leg, Group::Record);
        }
        let (mut got, mut stopped) = (0, 0);
        let mut take = |event: &Event| match &event.outcome {
            Outcome::Received(buffer) => got += buffer.len(),
            Outcome::ReceiveEnded(Arrival::Stopped) => stopped += 1,
            other => panic!("{other:?}"),
        };
        rig.until(|event| {
            take(event);
            matches!(event.outcome, Outcome::ReceiveEnded(_)).then_some(())
        });
        if again {
            assert_eq!(rig.uring.receive_stop(leg), Stop::Later);
            rig.until(|event| {
                take(event);
                matches!(event.outcome, Outcome::ReceiveEnded(_)).then_some(())
            });
        }
        rig.uring.wait(Some(Time::default()), &mut rig.events);
        assert_eq!(rig.uring.receive_stop(leg), Stop::Done);
        rig.uring.receive(leg, Group::Small);
        while got < 10 {
            rig.until(|event| {
                if let Outcome::Received(buffer) = &event.outcome {
                    got += buffer.len();
                }
                Some(())
            });
        }
        assert_eq!(got, 10);
        assert_eq!(rig.uring.receive_stop(leg), Stop::Later);
        rig.until(|event| matches!(event.outcome, Outcome::ReceiveEnded(_)).then_some(()));
    }
    rig.uring.close(leg, Close::Normal);
    rig.assert_clean();
}

#[test]
fn legs_closed_with_everything_in_flight_are_freed_after_the_last_completion() {
    for mask in MASKS {
        let mut rig = Rig::new(&masked(mask), Sizes::default());
        for round in 0..30 {
            let (leg, mut theirs) = rig.adopt_pair();
            rig.uring.receive(leg, Group::Small);
            for interest in [Interest::Readable, Interest::Writable, Interest::HangUp] {
                rig.uring.watch(leg, interest, true);
            }
            // More than the socket takes: the send stays in flight.
            rig.uring.send(leg, Chunk::Bytes(Bytes::from(vec![7; 4 << 20])));
            if round % 2 == 0 {
                theirs.write_all(&[1; 3000]).expect("written");
            }
            for _ in 0..round % 4 {
                rig.uring.wait(Some(Time::default()), &mut rig.events);
            }
            rig.uring.close(leg, if round % 3 == 0 { Close::Reset } else { Close::Normal });
            assert_eq!(rig.uring.queued(leg), Queued::default());
            assert_eq!(rig.uring.receive_stop(leg), Stop::Done);
            assert!(matches!(
                rig.uring.send(leg, Chunk::Bytes(Bytes::from_static(b"x"))),
                Sent::Failed(_)
            ));
            rig.settle(|uring| uring.stats.legs.get() == 0);
            // Nothing of ours is open any more, so the peer sees the end.
            let mut rest = Vec::new();
            theirs.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
            let _ = theirs.read_to_end(&mut rest).map_err(|error| {
                assert_ne!(error.kind(), ErrorKind::WouldBlock, "never closed");
            });
        }
        rig.assert_clean();
    }
}

#[test]
fn dropping_the_driver_with_everything_in_flight_ends_it_all() {
    for splice in [SpliceMode::Inline, SpliceMode::Ring] {
        let options = Options { splice, ..small_pool() };
        let mut theirs = Vec::new();
        let mut rig = Rig::new(&options, Sizes::default());
        let (_, address) = rig.listen();
        let mut client = TcpStream::connect(address).expect("connected");
        rig.uring.connect(address, Owner(0)).expect("started");
        for _ in 0..50 {
            let (leg, mut their) = rig.adopt_pair();
            rig.uring.receive(leg, Group::Small);
            rig.uring.watch(leg, Interest::Readable, true);
            rig.uring.send(leg, Chunk::Bytes(Bytes::from(vec![7; 4 << 20])));
            their.write_all(b"late").expect("written");
            rig.uring.pipe_open(leg).expect("a pipe");
            rig.uring.splice_in(leg, 100);
            theirs.push(their);
        }
        let stats = rig.uring.stats.clone();
        drop(rig);
        assert_eq!((stats.in_flight.get(), stats.legs.get()), (0, 0));
        // Whatever still held one of our descriptors would keep its peer waiting.
        for their in &mut theirs {
            their.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
            let end = their.read_to_end(&mut Vec::new()).map_err(|error| error.kind());
            assert_ne!(end, Err(ErrorKind::WouldBlock), "a descriptor was left open");
        }
        client.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
        let end = client.read(&mut [0]).map_err(|error| error.kind());
        assert_ne!(end, Err(ErrorKind::WouldBlock), "the accepted connection was left open");
    }
}

#[test]
fn plain_descriptors_speak_both_ways_and_end_by_hang_up() {
    for mask in ["", "multishot-poll"] {
        let mut rig = Rig::new(&masked(mask), Sizes::default());
        let pty = nix::pty::openpty(None, None).expect("a terminal");
        raw(&pty.slave);
        let leg = rig.uring.adopt(pty.master, Owner(3)).expect("adopted");
        let mut slave = std::fs::File::from(pty.slave);
        rig.uring.receive(leg, Group::Small);
        for _ in 0..10 {
            slave.write_all(b"from the guest").expect("written");
            let mut got = 0;
            rig.until(|event| {
                if let Outcome::Received(buffer) = &event.outcome {
                    got += buffer.len();
                }
                (got == 14).then_some(())
            });
        }
        // More than a terminal takes at once.
        let long = Bytes::from(vec![b'k'; 100_000]);
        assert_eq!(rig.uring.send(leg, Chunk::Bytes(long)), Sent::Queued);
        let reader = thread::spawn(move || {
            let mut bytes = vec![0; 100_000];
            slave.read_exact(&mut bytes).expect("read");
            assert!(bytes.iter().all(|byte| *byte == b'k'));
        });
        let mut sent = 0;
        rig.until(|event| {
            if let Outcome::Sent(n) = event.outcome {
                sent += n;
            }
            (sent == 100_000).then_some(())
        });
        reader.join().expect("all came, and the slave is closed");
        rig.until(|event| {
            matches!(event.outcome, Outcome::ReceiveEnded(Arrival::Ended)).then_some(())
        });
        rig.uring.close(leg, Close::Normal);
        rig.assert_clean();
    }
}

fn raw(terminal: &OwnedFd) {
    let mut settings = nix::sys::termios::tcgetattr(terminal).expect("a terminal");
    nix::sys::termios::cfmakeraw(&mut settings);
    nix::sys::termios::tcsetattr(terminal, nix::sys::termios::SetArg::TCSANOW, &settings)
        .expect("raw");
}

#[test]
fn memory_touched_follows_use_not_ownership() {
    let buffers = PoolSizes { reserve: 8, small: 4096, record: 8 };
    let mut rig = Rig::new(&Options { buffers, ..Options::default() }, Sizes::default());
    let (leg, mut theirs) = rig.adopt_pair();
    rig.uring.receive(leg, Group::Small);
    let mut indices = std::collections::HashSet::new();
    for _ in 0..3000 {
        theirs.write_all(&[5; 64]).expect("written");
        rig.until(|event| match &event.outcome {
            Outcome::Received(buffer) => {
                indices.insert(buffer.index());
                Some(())
            }
            _ => None,
        });
    }
    assert!(indices.len() <= 65, "{} buffers touched by one at a time", indices.len());
}

#[test]
fn what_waits_for_a_peer_costs_no_turns() {
    for mask in MASKS {
        let mut rig = Rig::new(&masked(mask), Sizes::default());
        let (_, address) = rig.listen();
        let (quiet, _their) = rig.adopt_pair();
        rig.uring.receive(quiet, Group::Small);
        rig.uring.watch(quiet, Interest::Readable, true);
        rig.uring.watch(quiet, Interest::HangUp, true);
        let (stuck, _their_too) = rig.adopt_pair();
        rig.uring.send(stuck, Chunk::Bytes(Bytes::from(vec![7; 4 << 20])));
        let terminal = nix::pty::openpty(None, None).expect("a terminal");
        let terminal_leg = rig.uring.adopt(terminal.master, Owner(3)).expect("adopted");
        rig.uring.receive(terminal_leg, Group::Small);
        let client = rig.uring.connect(address, Owner(2)).expect("started");
        rig.uring.receive(client, Group::Small);
        let soon = rig.uring.refresh() + Duration::from_millis(20);
        rig.settle(|uring| uring.now() > soon);
        let before = rig.uring.stats.turns.get();
        let end = rig.uring.refresh() + Duration::from_millis(50);
        while rig.uring.now() < end {
            rig.uring.wait(Some(end), &mut rig.events);
        }
        assert!(rig.events.is_empty(), "{mask}: {:?}", rig.events);
        let turns = rig.uring.stats.turns.get() - before;
        assert!(turns <= 3, "{turns} turns in 50 ms without anything to do, mask {mask:?}");
    }
}

#[test]
fn a_small_turn_sends_at_once_and_what_follows_keeps_its_order() {
    let mut rig = Rig::plain();
    let (leg, mut theirs) = rig.adopt_pair();
    let chunk = |byte: u8, len: usize| Chunk::Bytes(Bytes::from(vec![byte; len]));
    assert_eq!(rig.uring.send(leg, chunk(1, 10)), Sent::Done);
    assert_eq!(rig.uring.stats.in_flight.get(), 0);
    // More than the socket takes: a part is accepted at once, and told of in the next turn.
    assert_eq!(rig.uring.send(leg, chunk(2, 4 << 20)), Sent::Queued);
    assert_eq!(rig.uring.queued(leg).bytes, 4 << 20);
    assert_eq!(rig.uring.send(leg, chunk(3, 10)), Sent::Queued);
    let reader = thread::spawn(move || {
        let mut bytes = vec![0; (4 << 20) + 20];
        theirs.read_exact(&mut bytes).expect("sent");
        let mut runs = bytes.chunk_by(|a, b| a == b).map(|run| (run[0], run.len()));
        assert!(runs.by_ref().eq([(1, 10), (2, 4 << 20), (3, 10)]));
        theirs
    });
    let early = rig.uring.legs.get(leg).expect("open").early;
    let (mut first, mut told) = (None, 0);
    rig.until(|event| {
        if let Outcome::Sent(n) = event.outcome {
            first.get_or_insert(n);
            told += n;
        }
        (told == (4 << 20) + 10).then_some(())
    });
    assert!(early > 0 && first == Some(early), "{first:?}, {early} at once");
    drop(reader.join().expect("all came in order"));
    assert!(matches!(rig.uring.send(leg, chunk(4, 1)), Sent::Failed(Errno::EPIPE)));
    rig.uring.close(leg, Close::Normal);
    rig.assert_clean();
}
