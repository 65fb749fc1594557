//! Receiving: exactness, stops, ends.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::socket::{MsgFlags, send};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use penstock_ring::{Arrival, Close, Errno, Group, Leg, Outcome, Stop};

use crate::Driver;
use crate::pattern::Pattern;
use crate::rig::{PATIENCE, Rig, reset, tcp_pair};

pub fn a_stream_arrives_exactly_in_each_group(driver: &Driver) {
    const BYTES: usize = 16 << 20;
    for group in Group::ALL {
        let mut rig = Rig::new(driver);
        let (leg, peer) = rig.tcp();
        let writer = thread::spawn(move || Pattern::default().write(peer, BYTES));
        rig.kernel.receive(leg, group);
        let mut pattern = Pattern::default();
        while let Ok(bytes) = rig.received(leg) {
            pattern.check(&bytes);
            // Of the reserve there is one buffer at a time; in the others this changes nothing.
            rig.kernel.receive(leg, group);
        }
        assert_eq!((pattern.at, rig.count("received_bytes")), (BYTES, BYTES as u64));
        writer.join().expect("no panic").expect("all written");
        rig.finish();
    }
}

pub fn bytes_that_came_before_receive_are_not_forgotten(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let (leg, mut peer) = rig.tcp();
    peer.write_all(b"early").expect("written");
    rig.silent(leg);
    rig.kernel.receive(leg, Group::Small);
    assert_eq!(rig.read(leg, 5), b"early");
    drop(peer);
    assert_eq!(rig.received(leg), Err(Arrival::Ended));
    rig.finish();
}

pub fn a_stop_of_one_buffer_has_a_last_word(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let (leg, mut peer) = rig.tcp();
    let (mut heard, mut at_once, mut later) = (0, 0, 0);
    for round in 0..200 {
        rig.kernel.receive(leg, Group::Bulk);
        if round % 2 == 0 {
            rig.turn(Duration::ZERO);
        }
        peer.write_all(&[7; 100]).expect("written");
        if round % 3 == 0 {
            // What comes in this turn is unread when the stop is asked for.
            rig.turn(Duration::from_millis(5));
        }
        if rig.kernel.receive_stop(leg) == Stop::Done {
            at_once += 1;
            continue;
        }
        later += 1;
        while let Ok(bytes) = rig.received(leg) {
            heard += bytes.len();
        }
    }
    while heard < 200 * 100 {
        rig.kernel.receive(leg, Group::Bulk);
        heard += rig.received(leg).expect("what is left").len();
    }
    assert_eq!(heard, 200 * 100);
    assert!(later > 0, "{at_once} stops at once, {later} later");
    rig.finish();
}

pub fn bulk_comes_from_one_leg_in_a_turn(driver: &Driver) {
    const ROUNDS: usize = 4;
    let mut rig = Rig::new(driver);
    let legs: [_; 3] = std::array::from_fn(|_| {
        let (leg, mut peer) = rig.tcp();
        peer.write_all(&[7; 1000]).expect("written");
        rig.kernel.receive(leg, Group::Bulk);
        (leg, peer)
    });
    let (mut heard, mut events) = (Vec::new(), Vec::new());
    while heard.len() < ROUNDS * legs.len() {
        let until = rig.kernel.refresh() + PATIENCE;
        rig.kernel.wait(Some(until), &mut events);
        assert!(rig.kernel.now() < until, "only {} were served", heard.len());
        assert!(events.len() < 2, "{events:?}");
        for event in events.drain(..) {
            let Outcome::Received(buffer) = event.outcome else { panic!("{event:?}") };
            rig.kernel.release(buffer);
            let (_, peer) = legs.iter().find(|(leg, _)| *leg == event.leg).expect("one of them");
            (&*peer).write_all(&[7; 1000]).expect("written");
            rig.kernel.receive(event.leg, Group::Bulk);
            heard.push(event.leg);
        }
    }
    for (leg, _) in &legs {
        let times = heard.iter().filter(|heard| *heard == leg).count();
        assert!(times.abs_diff(ROUNDS) <= 1, "{times} of {}: {heard:?}", heard.len());
        rig.kernel.close(*leg, Close::Normal);
    }
    rig.finish();
}

pub fn receiving_stops_once_and_starts_again(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let (leg, mut peer) = rig.tcp();
    for _ in 0..100 {
        rig.kernel.receive(leg, Group::Small);
        peer.write_all(b"one").expect("written");
        assert_eq!(rig.read(leg, 3), b"one");
        stop(&mut rig, leg);
        peer.write_all(b"two").expect("written");
        assert!(rig.next_within(leg, Duration::from_millis(2)).is_none(), "it has stopped");
        assert_eq!(rig.kernel.receive_stop(leg), Stop::Done, "it has stopped already");
        rig.kernel.receive(leg, Group::Record);
        assert_eq!(rig.read(leg, 3), b"two");
        stop(&mut rig, leg);
    }
    rig.silent(leg);
    rig.finish();
}

/// Stops a leg to which nothing is on its way.
#[track_caller]
fn stop(rig: &mut Rig, leg: Leg) {
    if rig.kernel.receive_stop(leg) == Stop::Later {
        assert_eq!(rig.received(leg), Err(Arrival::Stopped));
    }
}

pub fn a_stop_that_is_taken_back_loses_nothing(driver: &Driver) {
    const BYTES: usize = 8 << 20;
    let mut rig = Rig::new(driver);
    let (leg, peer) = rig.tcp();
    let writer = thread::spawn(move || Pattern::default().write(peer, BYTES));
    let mut pattern = Pattern::default();
    let (mut owed, mut stops, mut turn) = (0, 0, 0);
    rig.kernel.receive(leg, Group::Small);
    loop {
        match rig.received(leg) {
            Ok(bytes) => pattern.check(&bytes),
            Err(Arrival::Stopped) => {
                owed -= 1;
                stops += 1;
            }
            Err(arrival) => {
                // Another end may be the last word after a stop.
                assert_eq!(arrival, Arrival::Ended);
                break;
            }
        }
        turn += 1;
        if turn % 7 == 0 && owed == 0 && rig.kernel.receive_stop(leg) == Stop::Later {
            owed = 1;
        }
        rig.kernel.receive(leg, Group::Small);
    }
    assert_eq!(pattern.at, BYTES);
    assert!(stops > 0, "no stop was ever told");
    writer.join().expect("no panic").expect("all written");
    rig.finish();
}

pub fn a_fin_comes_after_the_bytes(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let (leg, mut peer) = rig.tcp();
    peer.write_all(&[9; 10_000]).expect("written");
    peer.shutdown(Shutdown::Write).expect("ended");
    rig.kernel.receive(leg, Group::Small);
    assert_eq!(rig.read_to_end(leg), (vec![9; 10_000], Arrival::Ended));
    rig.silent(leg);
    rig.finish();
}

pub fn a_reset_is_no_clean_end(driver: &Driver) {
    let mut rig = Rig::new(driver);
    for bytes_first in [false, true] {
        let (leg, mut peer) = rig.tcp();
        rig.kernel.receive(leg, Group::Small);
        if bytes_first {
            peer.write_all(b"last words").expect("written");
            assert_eq!(rig.read(leg, 10), b"last words");
        }
        rig.turn(Duration::from_millis(1));
        reset(peer);
        assert_eq!(rig.received(leg), Err(Arrival::Failed(Errno::ECONNRESET)));
    }
    rig.finish();
}

const RACES: usize = 24_000;
const TOGETHER: usize = 32;

pub fn five_bytes_and_a_fin_at_once_over_tcp(driver: &Driver) {
    race(driver, || {
        let (ours, theirs) = tcp_pair();
        (ours.into(), theirs.into())
    });
}

pub fn five_bytes_and_a_fin_at_once_over_unix(driver: &Driver) {
    race(driver, || {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("made");
        (ours.into(), theirs.into())
    });
}

/// Five bytes and a FIN, sent by another thread while the receive is being started. No end may get lost.
fn race(driver: &Driver, pair: impl Fn() -> (OwnedFd, OwnedFd)) {
    let mut rig = Rig::new(driver);
    let (peers, orders) = mpsc::channel::<Vec<OwnedFd>>();
    let (used, returns) = mpsc::channel();
    let peer = thread::spawn(move || {
        for batch in orders {
            for socket in &batch {
                nix::unistd::write(socket, b"12345").expect("written");
                socket2::SockRef::from(socket).shutdown(Shutdown::Write).expect("ended");
            }
            used.send(batch).expect("awaited");
        }
    });
    for _ in 0..RACES / TOGETHER {
        let (ours, theirs): (Vec<_>, Vec<_>) = (0..TOGETHER).map(|_| pair()).unzip();
        let legs: Vec<Leg> = ours.into_iter().map(|socket| rig.adopt(socket)).collect();
        peers.send(theirs).expect("it listens");
        for leg in &legs {
            rig.kernel.receive(*leg, Group::Small);
        }
        for leg in &legs {
            assert_eq!(rig.read_to_end(*leg), (b"12345".to_vec(), Arrival::Ended));
            // By a reset, which leaves no connection behind to wait for its time.
            rig.kernel.close(*leg, Close::Reset);
        }
        drop(returns.recv());
    }
    drop(peers);
    peer.join().expect("no panic");
    rig.finish();
}

pub fn an_urgent_byte_stalls_nothing(driver: &Driver) {
    let mut rig = Rig::new(driver);
    for _ in 0..50 {
        let (leg, mut peer) = rig.tcp();
        peer.write_all(b"before").expect("written");
        let raw = std::os::fd::AsRawFd::as_raw_fd(&peer);
        assert_eq!(send(raw, b"!", MsgFlags::MSG_OOB), Ok(1));
        peer.write_all(b"behind").expect("written");
        rig.turn(Duration::from_millis(1));
        rig.kernel.receive(leg, Group::Small);
        // The urgent byte itself is not part of the stream.
        assert_eq!(rig.read(leg, 12), b"beforebehind");
    }
    rig.finish();
}

pub fn a_terminal_talks_and_hangs_up(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let pty = nix::pty::openpty(None, None).expect("made");
    let mut raw = tcgetattr(&pty.slave).expect("asked");
    cfmakeraw(&mut raw);
    tcsetattr(&pty.slave, SetArg::TCSANOW, &raw).expect("set");
    let leg = rig.adopt(pty.master);
    let mut slave = std::fs::File::from(pty.slave);
    rig.kernel.receive(leg, Group::Small);
    for _ in 0..100 {
        slave.write_all(b"login: ").expect("written");
        assert_eq!(rig.read(leg, 7), b"login: ");
        rig.send(leg, b"root\n");
        let mut answer = [0; 5];
        slave.read_exact(&mut answer).expect("read");
        assert_eq!(&answer, b"root\n");
    }
    assert_eq!((rig.kernel.peer(leg), rig.kernel.local(leg)), (None, None));
    drop(slave);
    assert_eq!(rig.received(leg), Err(Arrival::Ended));
    rig.finish();
}

pub fn many_legs_share_a_turn(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let (flood, flooder) = rig.tcp();
    let (quiet, mut whisperer) = rig.tcp();
    let stop = flooder.try_clone().expect("cloned");
    let writer = thread::spawn(move || Pattern::default().write(flooder, 1 << 30));
    rig.kernel.receive(flood, Group::Small);
    rig.kernel.receive(quiet, Group::Small);
    for _ in 0..200 {
        whisperer.write_all(b"psst").expect("written");
        let (mut heard, mut shouted) = (false, 0);
        while !heard {
            rig.turn(Duration::from_secs(1));
            let mut turn = 0;
            for event in std::mem::take(&mut rig.backlog) {
                if let Outcome::Received(buffer) = event.outcome {
                    heard |= event.leg == quiet;
                    turn += buffer.len();
                    rig.kernel.release(buffer);
                }
            }
            shouted += turn;
            // On a ring it is the kernel that reads; all that is posted may come at once.
            assert!(turn < 100 << 10 || !driver.name.starts_with("epoll"), "{turn} in a turn");
            assert!(shouted < 4 << 20, "the flood drowns its neighbour");
        }
    }
    stop.shutdown(Shutdown::Both).expect("ended");
    writer.join().expect("no panic").expect_err("it was cut off");
    rig.finish();
}
