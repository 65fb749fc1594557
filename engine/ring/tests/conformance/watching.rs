//! Hints: one for each time that somebody asks, and never withheld, even when the edge came before.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use penstock_ring::{Chunk, Event, Group, Interest, Leg, Outcome, Readiness};

use crate::Driver;
use crate::rig::{Rig, reset};

#[track_caller]
fn hint(rig: &mut Rig, leg: Leg) -> Readiness {
    match rig.next(leg) {
        Outcome::Ready(readiness) => readiness,
        outcome => panic!("{leg:?} is to be ready, not {outcome:?}"),
    }
}

pub fn what_is_ready_already_is_told_at_once(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let (leg, mut peer) = rig.tcp();
    rig.kernel.watch(leg, Interest::Writable, true);
    assert!(hint(&mut rig, leg).writable);
    peer.write_all(b"early").expect("written");
    rig.turn(Duration::from_millis(10));
    rig.backlog.clear();
    rig.kernel.watch(leg, Interest::Readable, true);
    assert!(hint(&mut rig, leg).readable);
    rig.finish();
}

pub fn each_hint_is_asked_for(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let (leg, mut peer) = rig.tcp();
    rig.kernel.watch(leg, Interest::Readable, true);
    rig.silent(leg);
    for _ in 0..10 {
        peer.write_all(b"more").expect("written");
        assert!(hint(&mut rig, leg).readable);
        // It is told once; what lies unread is told again to who asks again.
        peer.write_all(b"more").expect("written");
        rig.silent(leg);
        rig.kernel.watch(leg, Interest::Readable, true);
        assert!(hint(&mut rig, leg).readable);
        rig.kernel.watch(leg, Interest::Readable, true);
    }
    peer.shutdown(Shutdown::Write).expect("ended");
    while rig.next_within(leg, Duration::from_millis(5)).is_some() {}
    rig.kernel.watch(leg, Interest::Readable, true);
    assert!(hint(&mut rig, leg).readable, "an end is worth a read");
    rig.kernel.receive(leg, Group::Small);
    assert_eq!(rig.read_to_end(leg).0.len(), 80);
    rig.finish();
}

pub fn a_full_socket_tells_when_it_accepts_again(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let (leg, mut peer) = rig.tcp();
    let full = Bytes::from(vec![1; 32 << 20]);
    rig.kernel.send(leg, Chunk::Bytes(full.clone()));
    rig.turn(Duration::from_millis(20));
    rig.kernel.watch(leg, Interest::Writable, true);
    while rig.next_within(leg, Duration::from_millis(50)).is_some() {}
    assert!(rig.kernel.queued(leg).bytes > 0, "it is full");
    let reader = thread::spawn(move || {
        let mut bytes = vec![0; 32 << 20];
        peer.read_exact(&mut bytes).expect("read");
    });
    let mut told = false;
    rig.until("a hint", |rig| {
        for event in rig.backlog.drain(..) {
            told |= matches!(event.outcome, Outcome::Ready(Readiness { writable: true, .. }));
        }
        told && rig.kernel.queued(leg).bytes == 0
    });
    reader.join().expect("no panic");
    rig.finish();
}

pub fn a_half_close_is_neither_room_nor_a_hang_up(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let (leg, mut peer) = rig.tcp();
    rig.kernel.send(leg, Chunk::Bytes(vec![1; 32 << 20].into()));
    peer.shutdown(Shutdown::Write).expect("ended");
    while rig.next_within(leg, Duration::from_millis(50)).is_some() {}
    assert!(rig.kernel.queued(leg).bytes > 0, "it is full");
    rig.kernel.watch(leg, Interest::Writable, true);
    rig.kernel.watch(leg, Interest::HangUp, true);
    let turns = rig.count("turns");
    rig.silent(leg);
    rig.silent(leg);
    assert!(rig.count("turns") - turns < 20, "it is told of the half-close again and again");
    let reader = thread::spawn(move || {
        peer.read_exact(&mut vec![0; 32 << 20]).expect("read");
        peer
    });
    let is_writable = |event: &Event| {
        matches!(event.outcome, Outcome::Ready(Readiness { writable: true, hang_up: false, .. }))
    };
    rig.until("a hint", |rig| rig.backlog.iter().any(is_writable));
    rig.until("all to be sent", |rig| rig.kernel.queued(leg).bytes == 0);
    drop(reader.join().expect("no panic"));
    rig.finish();
}

pub fn a_hang_up_is_heard_while_nothing_is_read(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let (leg, mut peer) = rig.tcp();
    rig.kernel.watch(leg, Interest::HangUp, true);
    peer.write_all(b"early bytes").expect("written");
    rig.silent(leg);
    reset(peer);
    assert!(hint(&mut rig, leg).hang_up);

    let (leg, peer) = rig.tcp();
    rig.kernel.watch(leg, Interest::HangUp, true);
    peer.shutdown(Shutdown::Write).expect("ended");
    while let Some(outcome) = rig.next_within(leg, Duration::from_millis(50)) {
        let Outcome::Ready(readiness) = outcome else { panic!("{outcome:?}") };
        assert!(!readiness.hang_up, "a FIN alone is no hang-up");
    }
    rig.finish();
}

pub fn what_is_no_longer_watched_is_silent(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let (leg, mut peer) = rig.tcp();
    rig.kernel.watch(leg, Interest::Readable, true);
    peer.write_all(b"bytes").expect("written");
    assert!(hint(&mut rig, leg).readable);
    rig.kernel.watch(leg, Interest::Readable, false);
    while rig.next_within(leg, Duration::from_millis(20)).is_some() {}
    peer.write_all(b"bytes").expect("written");
    rig.silent(leg);
    rig.kernel.watch(leg, Interest::Readable, true);
    assert!(hint(&mut rig, leg).readable);
    rig.finish();
}
