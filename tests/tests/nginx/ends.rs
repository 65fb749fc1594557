//! How sessions end: in order, half, broken, at once, and by nginx's own timers.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use penstock_tests::connect::{PATIENCE, dial};
use penstock_tests::stream::{End, Pattern};
use penstock_tests::{Driver, Stopwatch, both_drivers, procfs, wait};

use super::rig::{Nginx, Setup, number, session, target};

both_drivers! {
    one_direction_ends_and_the_other_goes_on,
    without_half_close_one_end_is_both,
    a_broken_leg_ends_the_other,
    nobody_stays_behind,
    silence_ends_a_session,
}

/// Sends, finishes; the other side has all of it and the end, and can still answer.
fn finish_and_be_answered(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from, to);
    Pattern::new(1).send(&mut from, 1 << 20).expect("an open stream");
    from.shutdown(Shutdown::Write).expect("a socket");
    let mut sink = Pattern::new(1);
    assert_eq!(sink.drain(&mut to), End::Eof);
    assert_eq!(sink.bytes(), 1 << 20);
    // Whatever is to happen at the end would have happened by then.
    thread::sleep(Duration::from_millis(200));
    Pattern::new(2).send(&mut to, 3 << 20).expect("the other direction is open");
    to.shutdown(Shutdown::Write).expect("a socket");
    let mut sink = Pattern::new(2);
    assert_eq!(sink.drain(&mut from), End::Eof);
    assert_eq!(sink.bytes(), 3 << 20);
}

fn one_direction_ends_and_the_other_goes_on(driver: Driver) {
    let (listener, address) = target();
    let nginx = Setup::new(driver).stream("proxy_half_close on;").in_front_of(address).start();
    let (client, target) = session(&nginx, &listener);
    finish_and_be_answered(&client, &target);
    let (client, target) = session(&nginx, &listener);
    finish_and_be_answered(&target, &client);
    let lines = nginx.lines(2);
    assert_eq!(number(&lines[0], "bytes_received"), 1 << 20);
    assert_eq!(number(&lines[0], "bytes_sent"), 3 << 20);
    assert_eq!(number(&lines[1], "bytes_received"), 3 << 20);
    assert!(lines.iter().all(|line| line["penstock"] == "on" && line["status"] == "200"));
}

fn without_half_close_one_end_is_both(driver: Driver) {
    let (listener, address) = target();
    let nginx = Setup::new(driver).in_front_of(address).start();
    for is_client in [true, false] {
        let (client, target) = session(&nginx, &listener);
        let (mut first, mut second) = if is_client { (client, target) } else { (target, client) };
        Pattern::new(1).send(&mut first, 1 << 20).expect("an open stream");
        first.shutdown(Shutdown::Write).expect("a socket");
        let mut sink = Pattern::new(1);
        assert_eq!(sink.drain(&mut second), End::Eof);
        assert_eq!(sink.bytes(), 1 << 20);
        assert_eq!(Pattern::new(2).drain(&mut first), End::Eof);
    }
    let said = nginx.errors();
    assert_eq!(nginx.lines(2).len(), 2);
    assert!(said.contains("client disconnected, bytes from/to client:1048576/0"), "{said}");
    assert!(said.contains("upstream disconnected, bytes from/to client:0/1048576"), "{said}");
}

/// Closes with RST.
fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket");
    drop(stream);
}

/// Penstock passes a reset on as an end, as nginx does; the log tells them apart.
fn a_broken_leg_ends_the_other(driver: Driver) {
    let (listener, address) = target();
    let nginx = Setup::new(driver).in_front_of(address).start();
    for (is_client, side) in [(true, "client"), (false, "target")] {
        let (mut client, mut target) = session(&nginx, &listener);
        Pattern::new(1).send(&mut client, 1000).expect("an open stream");
        Pattern::new(1).receive(&mut target, 1000).expect("an open stream");
        let (first, mut second) = if is_client { (client, target) } else { (target, client) };
        reset(first);
        assert_eq!(Pattern::new(2).drain(&mut second), End::Eof);
        let said = format!("penstock: ended by the {side}: reset");
        wait::until_true(&said, PATIENCE, || nginx.errors().contains(&said));
    }
    let lines = nginx.lines(2);
    assert!(lines.iter().all(|line| line["bytes_received"] == "1000"), "{lines:?}");
    assert!(lines.iter().all(|line| line["penstock"] == "on"), "{lines:?}");
}

/// What the worker has open, beside what every idle one has.
fn open_sockets(nginx: &Nginx) -> usize {
    procfs::descriptors(nginx.worker()).len()
}

fn nobody_stays_behind(driver: Driver) {
    let (listener, address) = target();
    let nginx = Setup::new(driver).in_front_of(address).start();
    thread::spawn(move || listener.incoming().for_each(drop));
    drop(dial(nginx.address).expect("nginx listens"));
    nginx.lines(1);
    let (before, worker) = (open_sockets(&nginx), nginx.worker());
    for n in 0..300 {
        let client = dial(nginx.address).expect("nginx listens");
        match n % 3 {
            0 => drop(client),
            1 => reset(client),
            _ => speak_and_leave(&client),
        }
    }
    let lines = nginx.lines(301);
    assert_eq!(lines.len(), 301);
    wait::until_true("all descriptors are closed", PATIENCE, || open_sockets(&nginx) <= before + 8);
    assert_eq!(nginx.worker(), worker, "the worker has died");
    let said = nginx.errors();
    for level in ["[alert]", "[crit]", "[emerg]", "[warn]"] {
        assert!(!said.contains(level), "{said}");
    }
}

/// Says something, and doesn't wait for it to arrive.
fn speak_and_leave(mut client: &TcpStream) {
    // The target may have closed by now, and nginx with it.
    let _ = client.write_all(b"good bye");
    let _ = client.shutdown(Shutdown::Both);
}

fn silence_ends_a_session(driver: Driver) {
    let (listener, address) = target();
    let nginx = Setup::new(driver).stream("proxy_timeout 1500ms;").in_front_of(address).start();
    let (mut client, mut target) = session(&nginx, &listener);
    let watch = Stopwatch::start();
    for _ in 0..4 {
        thread::sleep(Duration::from_millis(600));
        Pattern::new(1).send(&mut client, 10).expect("not silent long enough");
        Pattern::new(1).receive(&mut target, 10).expect("not silent long enough");
    }
    assert_eq!(Pattern::new(2).drain(&mut client), End::Eof);
    let took = watch.elapsed();
    assert!(took > Duration::from_millis(3800) && took < Duration::from_secs(8), "{took:?}");
    assert_eq!(Pattern::new(3).drain(&mut target), End::Eof);
    let line = nginx.line();
    assert_eq!((&*line["status"], &*line["bytes_received"]), ("200", "40"));
    let time: f64 = line["session_time"].parse().expect("seconds");
    assert!((3.8..9.0).contains(&time), "{time}");
    let said = nginx.errors();
    assert!(said.contains("connection timed out (110: Connection timed out)"), "{said}");
}
