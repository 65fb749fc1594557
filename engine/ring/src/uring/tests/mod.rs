//! What only this driver can get wrong: its queues, its masks, its cancellations, its end.

mod endings;
mod legs;
mod queues;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
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
        let end = self.uring.refresh() + Duration::from_secs(60);
        loop {
            while !self.events.is_empty() {
                let event = self.events.remove(0);
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
        let end = Instant::now() + Duration::from_secs(60);
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

    /// Over TCP: on UNIX sockets there is no multishot.
    fn adopt_pair(&mut self) -> (Leg, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
        let theirs = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let (ours, _) = listener.accept().expect("accepted");
        (self.uring.adopt(ours.into(), Owner(1)).expect("adopted"), theirs)
    }

    fn adopt_unix_pair(&mut self) -> (Leg, UnixStream) {
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
    let buffers = PoolSizes { reserve: 8, small: 64, record: 16, bulk: 4 };
    Options { buffers, ..Options::default() }
}

fn masked(text: &str) -> Options {
    Options { mask: Mask::parse(text).expect("features"), ..small_pool() }
}

const MASKS: [&str; 7] = [
    "",
    "defer-taskrun",
    "registered-ring",
    "multishot-receive",
    "multishot-accept",
    "ring-message",
    "defer-taskrun,registered-ring,multishot-receive,multishot-accept,ring-message,splice",
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
