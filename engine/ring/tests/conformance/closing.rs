//! Closing: everything comes back, and an old handle reaches nobody.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use penstock_ring::{
    Chunk, Close, Feature, Group, Interest, Leg, Outcome, Queued, Sent, Splice, SpliceMode, Stop,
};

use crate::Driver;
use crate::alone::{alone, descriptors};
use crate::rig::{PATIENCE, Rig};

/// Every kind of thing that can be under way, on `count` legs each. The peers are returned to be kept.
fn busy(driver: &Driver, rig: &mut Rig, count: usize) -> Vec<TcpStream> {
    let mut peers = Vec::new();
    for _ in 0..count {
        // A receive that waits, and one with bytes under way.
        let (leg, peer) = rig.tcp();
        rig.kernel.receive(leg, Group::Small);
        peers.push(peer);
        let (leg, mut peer) = rig.tcp();
        rig.kernel.receive(leg, Group::Record);
        peer.write_all(&[3; 30_000]).expect("written");
        peers.push(peer);
        // A queue that nobody drains.
        let (leg, peer) = rig.tcp();
        for _ in 0..40 {
            rig.kernel.send(leg, Chunk::Bytes(Bytes::from(vec![4; 256 << 10])));
        }
        assert!(rig.kernel.queued(leg).bytes > 0);
        peers.push(peer);
        // A hint that is awaited, and a receive that is being stopped.
        let (leg, peer) = rig.tcp();
        rig.kernel.watch(leg, Interest::Readable, true);
        rig.kernel.watch(leg, Interest::HangUp, true);
        rig.kernel.receive(leg, Group::Small);
        rig.kernel.receive_stop(leg);
        peers.push(peer);
        // A pipe with bytes in it.
        let (leg, mut peer) = rig.tcp();
        if rig.kernel.pipe_open(leg).is_ok() {
            peer.write_all(b"bytes").expect("written");
            rig.kernel.splice_in(leg, 5);
        }
        peers.push(peer);
    }
    let splices = driver.splice != SpliceMode::Off && !driver.hidden.contains(&Feature::Splice);
    assert_eq!(rig.count("pipes_in_use"), if splices { count as u64 } else { 0 });
    peers
}

/// A listener with connections that nobody has accepted yet, and a connect that nobody answers.
fn opening(rig: &mut Rig) -> (TcpListener, Vec<TcpStream>) {
    let (_, address) = rig.listen(64);
    let mut clients: Vec<TcpStream> =
        (0..8).map(|_| TcpStream::connect(address).expect("queued")).collect();
    let full =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("made");
    full.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("bound");
    full.listen(0).expect("listening");
    let full = TcpListener::from(full);
    let address = full.local_addr().expect("bound");
    clients.push(TcpStream::connect(address).expect("the only place of the queue"));
    let unanswered = rig.connect(address);
    assert!(rig.next_within(unanswered, Duration::from_millis(20)).is_none(), "still connecting");
    (full, clients)
}

pub fn everything_in_flight_comes_back(driver: &Driver) {
    alone(driver, "everything_in_flight_comes_back", || {
        // What the process opens once and keeps is opened before the count.
        Rig::new(driver).finish();
        let before = descriptors();
        for turns in 0..4 {
            let mut rig = Rig::new(driver);
            let peers = busy(driver, &mut rig, 10);
            let opened = opening(&mut rig);
            for _ in 0..turns {
                rig.turn(Duration::from_millis(1));
            }
            rig.finish();
            drop((peers, opened));
            assert_eq!(descriptors(), before, "after {turns} turns");
        }
    });
}

pub fn a_driver_dropped_in_flight_gives_everything_back(driver: &Driver) {
    alone(driver, "a_driver_dropped_in_flight_gives_everything_back", || {
        Rig::new(driver).finish();
        let before = descriptors();
        for turns in 0..4 {
            let mut rig = Rig::new(driver);
            let peers = busy(driver, &mut rig, 10);
            let opened = opening(&mut rig);
            for _ in 0..turns {
                rig.turn(Duration::from_millis(1));
            }
            drop(rig);
            for mut peer in peers {
                peer.set_read_timeout(Some(PATIENCE)).expect("set");
                let end = peer.read_to_end(&mut Vec::new());
                let in_time = end.err().is_none_or(|error| error.kind() != ErrorKind::WouldBlock);
                assert!(in_time, "a connection outlives its driver");
            }
            drop(opened);
            assert_eq!(descriptors(), before, "after {turns} turns");
        }
    });
}

pub fn a_stale_handle_does_nothing(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let (stale, old_peer) = rig.tcp();
    rig.kernel.close(stale, Close::Normal);
    rig.until("a free slot", |rig| rig.count("legs") == 0);
    let (leg, peer) = rig.tcp();
    assert_eq!(stale.slot, leg.slot, "the slot has a new tenant");

    let hello = || Chunk::Bytes(Bytes::from_static(b"hello"));
    assert!(matches!(rig.kernel.send(stale, hello()), Sent::Failed(_)));
    rig.kernel.receive(stale, Group::Small);
    assert_eq!(rig.kernel.receive_stop(stale), Stop::Done);
    rig.kernel.watch(stale, Interest::Readable, true);
    rig.kernel.watch(stale, Interest::Writable, true);
    rig.kernel.accept(stale, true);
    rig.kernel.set_owner(stale, penstock_ring::Owner(99));
    assert!(rig.kernel.pipe_open(stale).is_err());
    assert!(matches!(rig.kernel.splice_in(stale, 1), Splice::Failed(_)));
    assert!(matches!(rig.kernel.splice_out(stale, leg), Splice::Failed(_)));
    rig.kernel.pipe_close(stale);
    rig.kernel.shutdown(stale);
    rig.kernel.close(stale, Close::Reset);
    assert_eq!((rig.kernel.peer(stale), rig.kernel.local(stale)), (None, None));
    assert_eq!((rig.kernel.queued(stale), rig.kernel.pipe_level(stale)), (Queued::default(), 0));
    assert_eq!(rig.count("legs"), 1);

    rig.silent(leg);
    rig.silent(stale);
    rig.echo(leg, &peer);
    drop(old_peer);
    rig.finish();
}

pub fn a_reset_reaches_the_peer(driver: &Driver) {
    let mut rig = Rig::new(driver);
    for (how, kind) in [(Close::Reset, Some(ErrorKind::ConnectionReset)), (Close::Normal, None)] {
        let (leg, mut peer) = rig.tcp();
        rig.kernel.receive(leg, Group::Small);
        rig.turn(Duration::ZERO);
        rig.kernel.close(leg, how);
        rig.until("no legs", |rig| rig.count("legs") == 0);
        peer.set_read_timeout(Some(PATIENCE)).expect("set");
        assert_eq!(peer.read(&mut [0; 8]).map_err(|error| error.kind()).err(), kind);
    }
    rig.finish();
}

pub fn slots_change_tenants_under_late_outcomes(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let mut open: Vec<(Leg, std::os::unix::net::UnixStream)> = Vec::new();
    let (mut expected, mut heard) = (HashMap::new(), 0);
    for round in 0..5000_u32 {
        let (leg, mut peer) = rig.unix();
        rig.kernel.receive(leg, Group::Small);
        peer.write_all(&round.to_be_bytes()).expect("written");
        assert_eq!(expected.insert(leg, round.to_be_bytes()), None, "a handle is used twice");
        open.push((leg, peer));
        if open.len() > 5 {
            let (leg, _peer) = open.remove(round as usize % 5);
            rig.kernel.close(leg, Close::Normal);
        }
        if round % 3 == 0 {
            rig.turn(Duration::ZERO);
        }
        heard += hear(&mut rig, &mut expected);
    }
    assert!(
        heard > 1000 && heard < 5000,
        "{heard} were heard: there is nothing late, or nothing else"
    );
    for (leg, _) in open {
        rig.until("its bytes", |rig| {
            hear(rig, &mut expected);
            !expected.contains_key(&leg)
        });
    }
    rig.finish();
}

/// Checks that each leg is told of its own bytes, once; how many were.
fn hear(rig: &mut Rig, expected: &mut HashMap<Leg, [u8; 4]>) -> usize {
    let mut heard = 0;
    for event in std::mem::take(&mut rig.backlog) {
        if let Outcome::Received(buffer) = event.outcome {
            let bytes = rig.kernel.bytes(&buffer).to_vec();
            assert_eq!(expected.remove(&event.leg).map(Vec::from), Some(bytes), "{:?}", event.leg);
            rig.kernel.release(buffer);
            heard += 1;
        }
    }
    heard
}

/// Somebody may have duplicated a descriptor before it was adopted, or forked with it.
pub fn a_duplicate_does_not_keep_the_peer_from_hearing_of_the_end(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let mut peer = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    peer.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let ours = listener.accept().expect("it connects").0;
    let _duplicate = ours.try_clone().expect("a descriptor");
    let leg = rig.adopt(ours);
    rig.kernel.receive(leg, Group::Small);
    rig.turn(Duration::ZERO);
    rig.kernel.close(leg, Close::Normal);
    rig.turn(Duration::from_millis(10));
    assert_eq!(peer.read(&mut [0; 1]).expect("an end in order"), 0);
    rig.finish();
}
