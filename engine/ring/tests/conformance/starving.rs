//! Few buffers for many legs: everybody is served, in order, and nothing is lost.

use std::collections::HashMap;
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use penstock_ring::{
    Arrival, Buffer, Chunk, Close, Errno, Group, Leg, Options, Outcome, PoolSizes, Sent, Stop,
};

use crate::Driver;
use crate::pattern::Pattern;
use crate::rig::Rig;

fn small_pool(driver: &Driver, small: u32) -> Rig {
    let buffers = PoolSizes { reserve: 4, small, record: 4, bulk: 4 };
    Rig::with(driver, Options { buffers, ..Options::default() })
}

pub fn eight_buffers_serve_sixty_four_senders(driver: &Driver) {
    const SENDERS: usize = 64;
    const BYTES: usize = 1 << 20;
    let mut rig = small_pool(driver, 8);
    let (legs, peers): (Vec<Leg>, Vec<_>) = (0..SENDERS).map(|_| rig.tcp()).unzip();
    let mut streams: HashMap<Leg, (Pattern, bool)> = HashMap::new();
    for leg in &legs {
        streams.insert(*leg, (Pattern::default(), false));
        rig.kernel.receive(*leg, Group::Small);
    }
    let writers: Vec<_> = peers
        .into_iter()
        .map(|peer| thread::spawn(move || Pattern::default().write(peer, BYTES)))
        .collect();
    let mut held: Vec<(Leg, Buffer)> = Vec::new();
    let mut was_waiting = false;
    while !held.is_empty() || streams.values().any(|(_, ended)| !ended) {
        // Buffers are kept for a turn, as a slow sink keeps them.
        rig.turn(if held.is_empty() { Duration::from_secs(1) } else { Duration::ZERO });
        assert!(!rig.backlog.is_empty() || !held.is_empty(), "a stall");
        was_waiting |= rig.kernel.starved_since().is_some();
        for (leg, buffer) in held.drain(..) {
            let (pattern, _) = streams.get_mut(&leg).expect("ours");
            pattern.check(rig.kernel.bytes(&buffer));
            rig.kernel.release(buffer);
        }
        for event in rig.backlog.drain(..) {
            match event.outcome {
                Outcome::Received(buffer) => held.push((event.leg, buffer)),
                Outcome::ReceiveEnded(Arrival::Ended) => {
                    streams.get_mut(&event.leg).expect("ours").1 = true;
                }
                outcome => panic!("{outcome:?}"),
            }
        }
    }
    assert!(streams.values().all(|(pattern, _)| pattern.at == BYTES), "{streams:?}");
    assert!(was_waiting && rig.count("buffers_exhausted") > 0, "the pool was never empty");
    for writer in writers {
        writer.join().expect("no panic").expect("all written");
    }
    rig.finish();
}

pub fn endless_floods_have_equal_shares(driver: &Driver) {
    const FLOODS: usize = 64;
    const BUFFERS: usize = 8;
    const TURNS: usize = 400;
    /// Turns until everybody stands in line, and what one of them may come late.
    const SLACK: usize = 4;
    let mut rig = small_pool(driver, BUFFERS as u32);
    let mut floods: HashMap<Leg, (TcpStream, usize)> = HashMap::new();
    for _ in 0..FLOODS {
        let (leg, peer) = rig.tcp();
        peer.set_nonblocking(true).expect("set");
        floods.insert(leg, (peer, 0));
        rig.kernel.receive(leg, Group::Small);
    }
    let (mut gap_max, mut was_waiting) = (0, false);
    for turn in 1..=TURNS {
        for (peer, _) in floods.values_mut() {
            while peer.write(&[7; 65_536]).is_ok() {}
        }
        rig.turn(Duration::ZERO);
        was_waiting |= rig.kernel.starved_since().is_some();
        for event in rig.backlog.drain(..) {
            let Outcome::Received(buffer) = event.outcome else { panic!("{:?}", event.outcome) };
            let (_, last) = floods.get_mut(&event.leg).expect("ours");
            gap_max = gap_max.max(turn - std::mem::replace(last, turn));
            rig.kernel.release(buffer);
        }
    }
    let stale = floods.values().map(|(_, last)| TURNS - last).max().expect("there are some");
    let gap_max = gap_max.max(stale);
    assert!(gap_max <= FLOODS / BUFFERS + SLACK, "{gap_max} turns without a byte");
    assert!(was_waiting, "nobody ever waited");
    rig.finish();
}

/// Takes all small buffers away, by a leg that receives and nobody who releases.
fn pin_all(rig: &mut Rig, count: usize) -> Vec<Buffer> {
    pin_all_of(rig, Group::Small, count)
}

fn pin_all_of(rig: &mut Rig, group: Group, count: usize) -> Vec<Buffer> {
    let (leg, mut peer) = rig.tcp();
    rig.kernel.receive(leg, group);
    let bytes = vec![7; count * group.capacity()];
    let writer = thread::spawn(move || {
        // A leg that has all that it wants is closed, whatever else was said to it.
        let _ = peer.write_all(&bytes);
    });
    let mut pinned = Vec::new();
    while pinned.len() < count {
        match rig.next(leg) {
            Outcome::Received(buffer) => {
                pinned.push(buffer);
                rig.kernel.receive(leg, group);
            }
            outcome => panic!("it is to receive, not {outcome:?}"),
        }
    }
    rig.kernel.close(leg, Close::Reset);
    writer.join().expect("no panic");
    pinned
}

pub fn who_waits_is_served_in_order_when_buffers_come_back(driver: &Driver) {
    let mut rig = small_pool(driver, 4);
    let mut pinned = pin_all(&mut rig, 4);
    assert_eq!((rig.kernel.spare(Group::Small), rig.kernel.starved_since()), (0, None));
    let mut waiting = Vec::new();
    for n in 0..5u8 {
        let (leg, mut peer) = rig.tcp();
        rig.kernel.receive(leg, Group::Small);
        peer.write_all(&[n; 10]).expect("written");
        rig.silent(leg);
        waiting.push((leg, peer));
        assert_eq!(rig.count("receivers_waiting"), u64::from(n) + 1);
    }
    assert!(rig.kernel.starved_since().is_some());
    let mut heard = Vec::new();
    rig.kernel.release(pinned.pop().expect("four"));
    while heard.len() < 5 {
        rig.turn(Duration::from_secs(5));
        assert!(!rig.backlog.is_empty(), "a buffer came back and nobody was served");
        for event in std::mem::take(&mut rig.backlog) {
            if let Outcome::Received(buffer) = event.outcome {
                heard.push(event.leg);
                rig.kernel.release(buffer);
            }
        }
    }
    assert_eq!(heard, waiting.iter().map(|(leg, _)| *leg).collect::<Vec<_>>());
    for buffer in pinned {
        rig.kernel.release(buffer);
    }
    rig.until("nobody waits", |rig| {
        rig.count("receivers_waiting") == 0 && rig.kernel.starved_since().is_none()
    });
    rig.finish();
}

pub fn who_has_nothing_to_receive_does_not_hold_up_the_line(driver: &Driver) {
    let mut rig = small_pool(driver, 4);
    let mut pinned = pin_all(&mut rig, 4);
    // Who comes to a line joins it, whether there is something to receive or not.
    let (first, mut peer) = rig.tcp();
    rig.kernel.receive(first, Group::Small);
    peer.write_all(b"first").expect("written");
    rig.silent(first);
    let quiet: Vec<_> = (0..3).map(|_| rig.tcp()).collect();
    quiet.iter().for_each(|(leg, _)| rig.kernel.receive(*leg, Group::Small));
    let (last, mut peer) = rig.tcp();
    rig.kernel.receive(last, Group::Small);
    peer.write_all(b"last").expect("written");
    rig.kernel.close(first, Close::Normal);
    rig.silent(last);
    rig.kernel.release(pinned.pop().expect("four"));
    // Nothing else happens, so that one turn has to do.
    rig.turn(Duration::from_secs(2));
    assert!(!rig.backlog.is_empty(), "a buffer is free, and somebody has something to receive");
    assert_eq!(rig.read(last, 4), b"last");
    for buffer in pinned {
        rig.kernel.release(buffer);
    }
    rig.finish();
}

pub fn closing_and_stopping_leave_the_line(driver: &Driver) {
    let mut rig = small_pool(driver, 4);
    let pinned = pin_all(&mut rig, 4);
    let legs: Vec<_> = (0..3u8)
        .map(|n| {
            let (leg, mut peer) = rig.tcp();
            rig.kernel.receive(leg, Group::Small);
            peer.write_all(&[n; 10]).expect("written");
            rig.silent(leg);
            (leg, peer)
        })
        .collect();
    rig.kernel.close(legs[0].0, Close::Normal);
    if rig.kernel.receive_stop(legs[1].0) == Stop::Later {
        assert_eq!(rig.received(legs[1].0), Err(Arrival::Stopped));
    }
    assert_eq!(rig.count("receivers_waiting"), 1);
    for buffer in pinned {
        rig.kernel.release(buffer);
    }
    assert_eq!(rig.read(legs[2].0, 10), [2; 10]);
    rig.silent(legs[1].0);
    rig.kernel.receive(legs[1].0, Group::Small);
    assert_eq!(rig.read(legs[1].0, 10), [1; 10]);
    rig.finish();
}

pub fn of_bulk_nobody_waits(driver: &Driver) {
    let mut rig = small_pool(driver, 4);
    let mut pinned = pin_all_of(&mut rig, Group::Bulk, 4);
    let legs: Vec<_> = (0..8u8)
        .map(|n| {
            let (leg, mut peer) = rig.tcp();
            rig.kernel.receive(leg, Group::Bulk);
            peer.write_all(&[n; 10]).expect("written");
            (leg, peer)
        })
        .collect();
    for (n, (leg, _)) in legs.iter().enumerate() {
        assert_eq!(rig.received(*leg), Err(Arrival::Short));
        let group = if n % 2 == 0 { Group::Small } else { Group::Record };
        rig.kernel.receive(*leg, group);
        assert_eq!(rig.read(*leg, 10), [n as u8; 10]);
    }
    assert_eq!(rig.kernel.starved_since(), None, "nobody stands in line");
    // One that has come back is for whoever asks next.
    rig.kernel.release(pinned.pop().expect("four"));
    let (leg, mut peer) = rig.tcp();
    rig.kernel.receive(leg, Group::Bulk);
    peer.write_all(&[9; 10]).expect("written");
    assert_eq!(rig.read(leg, 10), [9; 10]);
    for buffer in pinned {
        rig.kernel.release(buffer);
    }
    rig.finish();
}

pub fn what_is_queued_apart_counts_as_if_it_were_held(driver: &Driver) {
    let mut rig = small_pool(driver, 8);
    let (leg, peer) = rig.tcp();
    let mut apart = 0;
    while rig.kernel.queued(leg).bytes < 64 << 10 {
        let sent = rig.kernel.send(leg, Chunk::Bytes(vec![7; 16 << 10].into()));
        assert_ne!(sent, Sent::Failed(Errno::EPIPE));
        rig.turn(Duration::from_millis(20));
        apart += 1;
    }
    assert_eq!(rig.kernel.spare(Group::Small), 0, "16 of them, of which there are 8");
    assert_eq!(rig.kernel.pinned(leg, Group::Small), 0, "but it has none");
    let reader = thread::spawn(move || std::io::copy(&mut &peer, &mut std::io::sink()));
    rig.until("all is sent", |rig| rig.kernel.queued(leg).bytes == 0);
    assert_eq!(rig.kernel.spare(Group::Small), 8, "after {apart} chunks");
    rig.kernel.close(leg, Close::Normal);
    reader.join().expect("no panic").expect("all read");
    rig.finish();
}

pub fn the_reserve_hears_new_connections_while_relays_starve(driver: &Driver) {
    let mut rig = small_pool(driver, 4);
    let pinned = pin_all(&mut rig, 4);
    let (leg, mut peer) = rig.tcp();
    rig.kernel.receive(leg, Group::Reserve);
    peer.write_all(b"CONNECT").expect("written");
    assert_eq!(rig.read(leg, 7), b"CONNECT");
    for buffer in pinned {
        rig.kernel.release(buffer);
    }
    rig.finish();
}
