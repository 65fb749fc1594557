//! What time does to a console, and how many there may be.

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use penstock_tests::connect::PATIENCE;
use penstock_tests::web_socket::{BINARY, Client, PING, PONG, frame, request};
use penstock_tests::{Driver, Stopwatch, both_drivers, process, wait};

use crate::rig::{House, Plan, WIRES, all, some};

both_drivers! {
    pings_come_at_the_interval,
    no_heartbeat_no_pings,
    who_answers_nothing_is_dead,
    who_answers_pings_is_not_dead,
    a_slow_reader_that_answers_is_not_dead,
    pings_and_pongs_are_no_traffic,
    user_idle_looks_at_keys_and_not_at_traffic,
    the_sockets_of_one_folder_are_different_targets,
    a_lifetime_ends_in_the_middle_of_traffic,
    the_consoles_of_a_listener_are_counted_and_its_refusals_are_not,
}

/// Times here are short for a test, and long for a machine that stands still now and then.
const MS: Duration = Duration::from_millis(1);

fn start(driver: Driver, is_secure: bool, lines: &[&str]) -> House {
    let plan = Plan::new(driver).secure(is_secure);
    lines.iter().fold(plan, |plan, line| plan.line(line)).start()
}

fn ping() -> (u8, Vec<u8>) {
    (PING, Vec::new())
}

fn next(browser: &mut Client) -> (u8, Vec<u8>) {
    let frame = browser.frame().expect("a frame");
    (frame.first, frame.payload)
}

fn pings_come_at_the_interval(driver: Driver) {
    for is_secure in WIRES {
        let lines = ["heartbeat = \"300ms\"", "timeouts = { dead_peer = \"1m\" }"];
        let house = start(driver, is_secure, &lines);
        let watch = Stopwatch::start();
        let (mut browser, mut target) = house.open_with("/", "");
        for n in 1..=4 {
            assert_eq!(next(&mut browser), ping());
            let due = Duration::from_millis(300) * n;
            let span = due - Duration::from_millis(50)..due + Duration::from_millis(400);
            assert!(watch.is_within(span), "{n}: {:?}", watch.real());
            browser.say(&frame(PONG, b""));
        }
        target.write_all(b"x").expect("an open stream");
        assert_eq!(browser.data(1), b"x");
    }
}

fn no_heartbeat_no_pings(driver: Driver) {
    let house = start(driver, false, &["heartbeat = \"off\""]);
    let (mut browser, _target) = house.open();
    assert!(browser.is_silent(Duration::from_millis(700)));
}

fn who_answers_nothing_is_dead(driver: Driver) {
    for is_secure in WIRES {
        let lines = ["heartbeat = \"100ms\"", "timeouts = { dead_peer = \"2s\" }"];
        let house = start(driver, is_secure, &lines);
        let watch = Stopwatch::start();
        let (mut browser, mut target) = house.open();
        assert!(all(&mut target).is_empty());
        assert!(watch.is_within(1950 * MS..3000 * MS), "{:?}", watch.real());
        let (frames, _) = browser.rest();
        assert!(frames.iter().filter(|frame| frame.first == PING).count() >= 3, "{frames:?}");
        let record = house.record(1);
        assert_eq!((&record["side"], &record["cause"]), (&"client".into(), &"dead_peer".into()));
    }
}

fn who_answers_pings_is_not_dead(driver: Driver) {
    let lines = ["heartbeat = \"200ms\"", "timeouts = { dead_peer = \"3s\" }"];
    let house = start(driver, false, &lines);
    let (mut browser, mut target) = house.open();
    for _ in 0..25 {
        assert_eq!(next(&mut browser), ping());
        browser.say(&frame(PONG, b""));
    }
    target.write_all(b"x").expect("an open stream");
    while next(&mut browser) != (BINARY, b"x".to_vec()) {}
}

/// Whoever takes bytes is there, even if its answers to pings come late, because the pings do.
fn a_slow_reader_that_answers_is_not_dead(driver: Driver) {
    let lines = ["heartbeat = \"200ms\"", "timeouts = { dead_peer = \"3s\" }"];
    let house = start(driver, false, &lines);
    let (mut browser, mut target) = house.open();
    let floods = std::thread::spawn(move || while target.write_all(&[7; 64 << 10]).is_ok() {});
    let watch = Stopwatch::start();
    while watch.elapsed() < 5000 * MS {
        let got = browser.frame().expect("it is not taken for dead");
        if got.first == PING {
            browser.say(&frame(PONG, &got.payload));
        }
        std::thread::sleep(Duration::from_micros(got.payload.len() as u64 / 8));
    }
    drop(browser);
    floods.join().expect("no panic");
}

fn closed_with(house: &House, ends: (Client, TcpStream), code: u16, words: &str, cause: &str) {
    let (mut browser, mut target) = ends;
    let (frames, _) = browser.rest();
    let last = frames.last().expect("a close frame");
    assert_eq!(last.close(), (Some(code), words.to_owned()));
    all(&mut target);
    drop(browser);
    let record = house.record(1);
    assert_eq!((&record["side"], &record["cause"]), (&"penstock".into(), &cause.into()));
}

fn pings_and_pongs_are_no_traffic(driver: Driver) {
    for is_secure in WIRES {
        let lines = ["heartbeat = \"100ms\"", "timeouts = { idle = \"3s\", dead_peer = \"1m\" }"];
        let house = start(driver, is_secure, &lines);
        let (mut browser, mut target) = house.open();
        let begun = Stopwatch::start();
        while begun.elapsed() < 3500 * MS {
            // Traffic of either way keeps it.
            browser.say(&frame(BINARY, b"x"));
            assert_eq!(some(&mut target, 1), b"x");
            std::thread::sleep(50 * MS);
        }
        let quiet = Stopwatch::start();
        while browser.try_say(&[frame(PING, b"1"), frame(PONG, b"")].concat()).is_ok()
            && quiet.real() < 2500 * MS
        {
            std::thread::sleep(50 * MS);
        }
        let words = "Nothing has moved for too long";
        closed_with(&house, (browser, target), 1008, words, "idle_timeout");
        assert!(quiet.elapsed() < 4500 * MS, "{:?}", quiet.real());
    }
}

/// A VNC server that goes on drawing does not make somebody sit there; a key does.
fn user_idle_looks_at_keys_and_not_at_traffic(driver: Driver) {
    for is_secure in WIRES {
        let house = start(driver, is_secure, &["timeouts = { user_idle = \"3s\" }"]);
        let (mut browser, mut target) = house.open_with("/", "");
        target.write_all(b"RFB 003.008\n").expect("an open stream");
        assert_eq!(browser.data(12), b"RFB 003.008\n");
        browser.say(&frame(BINARY, b"RFB 003.008\n"));
        browser.say(&frame(BINARY, &[1, 1]));
        let key = [4, 1, 0, 0, 0, 0, 0, 97];
        let asks = [3, 1, 0, 0, 0, 0, 0, 9, 0, 9];
        let begun = Stopwatch::start();
        while begun.elapsed() < 3500 * MS {
            browser.say(&frame(BINARY, &key));
            std::thread::sleep(100 * MS);
        }
        let left = Stopwatch::start();
        // Who has been sent away meanwhile, because the machine stood still, can't be written to.
        while left.real() < 2500 * MS
            && browser.try_say(&frame(BINARY, &asks)).is_ok()
            && target.write_all(&[0; 100]).is_ok()
        {
            std::thread::sleep(100 * MS);
        }
        let words = "Nobody has used this console for too long";
        closed_with(&house, (browser, target), 1008, words, "user_idle");
        assert!(left.elapsed() < 4500 * MS, "{:?}", left.real());
    }
}

/// Whoever works at one machine does not keep the console of another open; two windows of the same machine are one viewer.
fn the_sockets_of_one_folder_are_different_targets(driver: Driver) {
    let folder = process::directory();
    let at = |name: &str| folder.path().join(name);
    let sockets = ["busy-vm", "left-vm"].map(|name| UnixListener::bind(at(name)).expect("ours"));
    let source = folder.path().display();
    let house = Plan::new(driver)
        .to(&format!(
            "tokens = {{ plugin = \"UnixDomainSocketDirectory\", source = \"{source}\" }}"
        ))
        .line("timeouts = { user_idle = \"3s\" }")
        .start();
    let open = |name: &str, socket: &UnixListener| {
        let mut browser = house.browser();
        browser.upgrade(&request(house.address, &format!("/?token={name}"), ""));
        (browser, socket.accept().expect("it connects").0)
    };
    let (mut busy, _at_busy) = open("busy-vm", &sockets[0]);
    let (mut window, _at_window) = open("busy-vm", &sockets[0]);
    let (mut left, _at_left) = open("left-vm", &sockets[1]);
    let begun = Stopwatch::start();
    while begun.elapsed() < 4000 * MS {
        busy.say(&frame(BINARY, b"x"));
        std::thread::sleep(100 * MS);
    }
    window.say(&frame(PING, b"here"));
    assert_eq!(next(&mut window), (PONG, b"here".to_vec()));
    left.patience(1000 * MS);
    let last = left.frame().expect("somebody else's keys don't count");
    assert_eq!(last.close().0, Some(1008));
    drop(left);
    let record = house.record(1);
    assert_eq!(record["cause"], "user_idle", "{record}");
    let shown = format!("{record}{:?}{:?}", house.daemon.metrics(), house.daemon.tunnels());
    assert!(!shown.contains("-vm"), "{shown}");
}

fn a_lifetime_ends_in_the_middle_of_traffic(driver: Driver) {
    for is_secure in WIRES {
        let house = start(driver, is_secure, &["timeouts = { lifetime = \"3s\" }"]);
        let watch = Stopwatch::start();
        let (mut browser, mut target) = house.open();
        while watch.real() < 2000 * MS {
            browser.say(&frame(BINARY, b"x"));
            target.write_all(b"y").expect("an open stream");
            std::thread::sleep(20 * MS);
        }
        closed_with(&house, (browser, target), 1008, "This session's time is over", "lifetime_end");
        assert!(watch.is_within(2950 * MS..4500 * MS), "{:?}", watch.real());
    }
}

fn the_consoles_of_a_listener_are_counted_and_its_refusals_are_not(driver: Driver) {
    let dir = penstock_tests::process::directory();
    std::fs::write(dir.path().join("vnc.html"), "a page").expect("our directory");
    let house = start(driver, false, &["max_sessions = 2", &format!("web = {:?}", dir.path())]);
    let first = house.open();
    // Browsers of pages, and connections that say nothing, take no place.
    let silent: Vec<Client> = (0..5).map(|_| house.browser()).collect();
    let mut reading: Vec<Client> = (0..5).map(|_| house.browser()).collect();
    let page = "GET /vnc.html HTTP/1.1\r\nHost: h\r\n\r\n";
    let read = |browser: &mut Client| assert_eq!(browser.ask(page).expect("a page").status, 200);
    reading.iter_mut().for_each(read);
    let _second = house.open();
    reading.iter_mut().for_each(read);
    let reply = house.ask(&request(house.address, "/", ""));
    assert_eq!(reply.status, 503, "{}", reply.head);
    assert!(reply.header("Retry-After").is_some(), "{}", reply.head);
    assert!(reply.body.contains("no room for one more session"), "{}", reply.body);
    drop(first);
    wait::until_true("a place is free again", PATIENCE, || house.status("/", "") == 101);
    drop(silent);
}
