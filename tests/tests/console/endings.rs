//! How consoles end, whoever ends them, and what is said then.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use nix::sys::signal::Signal;
use penstock_tests::connect::PATIENCE;
use penstock_tests::web_socket::{BINARY, CLOSE, Client, End, PING, Wire, close, frame, request};
use penstock_tests::{Driver, Stopwatch, both_drivers, loopback, names, wait};
use socket2::{Domain, SockRef, Socket, Type};

use crate::rig::{House, Plan, WIRES, all, some};

both_drivers! {
    the_targets_end_is_told_as_1000_target_closed,
    what_the_target_said_last_comes_before_its_end,
    a_target_that_refuses_is_told_as_1011,
    a_name_that_leads_nowhere_is_told_as_1011,
    a_target_that_does_not_answer_is_told_as_1011,
    a_target_that_resets_is_told_as_1011,
    a_target_that_resets_under_bulk_is_no_end_in_order,
    a_client_that_closes_has_its_queue_flushed_to_the_target,
    a_client_that_closes_does_not_wait_for_the_target,
    a_client_that_says_all_its_last_words_at_once_gets_the_tail,
    a_client_that_vanishes_closes_the_target_at_once,
    what_the_client_says_early_arrives_first,
    a_client_that_leaves_early_opens_nothing,
    a_client_that_breaks_rules_early_is_told,
    a_daemon_that_stops_tells_everybody_1001,
    whose_target_is_still_dialled_hears_why_it_ends,
}

fn the_targets_end_is_told_as_1000_target_closed(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        let (mut browser, target) = house.open();
        drop(target);
        assert_eq!(browser.closed(), (Some(1000), "Target closed".to_owned()));
        let record = house.record(1);
        assert_eq!((&record["side"], &record["cause"]), (&"target".into(), &"finished".into()));
    }
}

fn what_the_target_said_last_comes_before_its_end(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        for length in [1, 5000, 3_000_000] {
            let (mut browser, mut target) = house.open();
            let says = std::thread::spawn(move || target.write_all(&vec![9; length]));
            assert!(browser.data(length).iter().all(|byte| *byte == 9));
            says.join().expect("no panic").expect("an open stream");
            assert_eq!(browser.closed(), (Some(1000), "Target closed".to_owned()));
        }
    }
}

/// What a browser hears when its console can't be had.
fn refused(house: &House) -> (u16, String) {
    let mut browser = house.browser();
    browser.upgrade(&request(house.address, "/", ""));
    let (code, reason) = browser.closed();
    (code.expect("a code"), reason)
}

fn assert_1011(house: &House, cause: &str) {
    let (code, reason) = refused(house);
    let record = house.record(1);
    assert_eq!(code, 1011, "{record}");
    let id = record["id"].as_str().expect("an id");
    let expected = format!("Failed to connect to downstream server (session {id})");
    assert_eq!(reason, expected, "{record}");
    assert_eq!(record["cause"], cause, "{record}");
    assert_eq!(record["status"], 101, "{record}");
}

fn a_target_that_refuses_is_told_as_1011(driver: Driver) {
    for is_secure in WIRES {
        let shut = format!("target = \"tcp://{}:1\"", loopback::address());
        let house = Plan::new(driver).secure(is_secure).to(&shut).start();
        assert_1011(&house, "connect_refused");
    }
}

fn a_name_that_leads_nowhere_is_told_as_1011(driver: Driver) {
    let house = Plan::new(driver).to("target = \"tcp://nowhere.invalid:5900\"").start();
    assert_1011(&house, "name_not_found");
}

/// A listener whose queue is full answers nobody.
fn full() -> (Socket, Vec<TcpStream>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let address = std::net::SocketAddr::from((loopback::address(), 5900));
    socket.bind(&address.into()).expect("an address of ours");
    socket.listen(0).expect("a socket");
    let wait = Duration::from_millis(200);
    let fill = || TcpStream::connect_timeout(&address, wait).ok();
    let inside = std::iter::from_fn(fill).collect();
    (socket, inside)
}

fn a_target_that_does_not_answer_is_told_as_1011(driver: Driver) {
    let (socket, _inside) = full();
    let address = socket.local_addr().expect("bound").as_socket().expect("an address");
    let house = Plan::new(driver)
        .to(&format!("target = \"tcp://{address}\""))
        .line("timeouts = { connect = \"1s\" }")
        .start();
    assert_1011(&house, "connect_timeout");
}

fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket");
}

fn a_target_that_resets_is_told_as_1011(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        let (mut browser, mut target) = house.open();
        target.write_all(b"half a picture").expect("an open stream");
        assert_eq!(browser.data(14), b"half a picture");
        reset(target);
        assert_eq!(browser.closed().0, Some(1011));
        assert_eq!(house.record(1)["cause"], "reset");
    }
}

/// Within a frame nothing can be said; then the connection has to break.
fn a_target_that_resets_under_bulk_is_no_end_in_order(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        for round in 0..20 {
            let (mut browser, mut target) = house.open();
            let says = std::thread::spawn(move || {
                target.write_all(&vec![1; 3_000_000 + round * 9973]).expect("an open stream");
                reset(target);
            });
            let (frames, end) = browser.rest();
            let last = frames.last().filter(|frame| frame.first == CLOSE);
            match last.map(|frame| frame.close().0) {
                Some(code) => assert_eq!(code, Some(1011)),
                None => assert_eq!(end, End::Cut, "after {} frames", frames.len()),
            }
            says.join().expect("no panic");
        }
        house.is_empty();
    }
}

fn a_client_that_closes_has_its_queue_flushed_to_the_target(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        let (mut browser, mut target) = house.open();
        let length = 6 << 20;
        let says = std::thread::spawn(move || {
            browser.say(&frame(BINARY, &vec![3; length]));
            browser.say(&close(1001, "leaving"));
            browser.closed()
        });
        // Nobody reads until the queues are full.
        std::thread::sleep(Duration::from_millis(300));
        let came = all(&mut target);
        assert_eq!((came.len(), came.iter().all(|byte| *byte == 3)), (length, true));
        drop(target);
        assert_eq!(says.join().expect("no panic").0, Some(1001));
        let record = house.record(1);
        assert_eq!((&record["side"], &record["cause"]), (&"client".into(), &"finished".into()));
    }
}

fn a_client_that_closes_does_not_wait_for_the_target(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        let (mut browser, mut target) = house.open();
        let watch = Stopwatch::start();
        browser.say(&close(1000, ""));
        assert_eq!(browser.closed().0, Some(1000));
        assert!(watch.elapsed() < Duration::from_secs(1), "{:?}", watch.real());
        assert!(all(&mut target).is_empty());
        // Who goes on talking is not heard.
        let _ = target.write_all(b"hello?");
        house.is_empty();
    }
}

/// TLS's last word lies behind the close frame: unread, it would reset the connection.
fn a_client_that_says_all_its_last_words_at_once_gets_the_tail(driver: Driver) {
    const TAIL: usize = 400_000;
    let house = Plan::new(driver).secure(true).start();
    let (mut browser, mut target) = house.open();
    target.write_all(&vec![7; TAIL]).expect("an open stream");
    // Until all of it lies with the system, but not with the browser.
    let carried = [("direction", "target_to_client")];
    house.daemon.wait_for_metric(names::BYTES, &carried, (1 + TAIL) as f64);
    browser.say(&close(1000, ""));
    let Wire::Tls(stream) = browser.wire() else { panic!("TLS") };
    stream.conn.send_close_notify();
    stream.flush().expect("an open connection");
    assert_eq!(all(&mut target), b"");
    drop(target);
    std::thread::sleep(Duration::from_millis(400));
    assert!(browser.data(TAIL).iter().all(|byte| *byte == 7));
    assert_eq!(browser.closed(), (Some(1000), String::new()));
}

fn a_client_that_vanishes_closes_the_target_at_once(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        for resets in [false, true] {
            let (mut browser, mut target) = house.open();
            browser.say(&frame(BINARY, b"x"));
            assert_eq!(some(&mut target, 1), b"x");
            let watch = Stopwatch::start();
            browser.vanish(resets);
            let end = target.read(&mut [0]);
            let is_end = matches!(&end, Ok(0))
                || end.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset);
            assert!(is_end, "{end:?}");
            assert!(watch.elapsed() < Duration::from_secs(1), "{:?}", watch.real());
        }
        house.is_empty();
    }
}

/// SPICE clients speak first, before anybody could have connected to the target.
fn what_the_client_says_early_arrives_first(driver: Driver) {
    for is_secure in WIRES {
        let (socket, mut inside) = full();
        let address = socket.local_addr().expect("bound").as_socket().expect("an address");
        let target = format!("target = \"tcp://{address}\"");
        let house = Plan::new(driver).secure(is_secure).to(&target).start();
        let mut browser = house.browser();
        browser.upgrade(&request(house.address, "/", ""));
        browser.say(&frame(BINARY, b"REDQ first"));
        browser.say(&[frame(PING, b"early"), frame(0x02, b", second")].concat());
        assert_eq!(
            browser.frame().expect("a pong").payload,
            b"early",
            "before the target is there"
        );
        inside.clear();
        let listener = TcpListener::from(socket);
        let mut target = loop {
            // The places that were taken are served first.
            let (mut stream, _) = listener.accept().expect("an open listener");
            stream.set_read_timeout(Some(Duration::from_secs(15))).expect("a socket");
            let mut first = [0];
            if stream.read(&mut first).expect("bytes, or an end") == 1 {
                assert_eq!(&first, b"R");
                break stream;
            }
        };
        browser.say(&frame(0x80, b", third"));
        assert_eq!(some(&mut target, 24), b"EDQ first, second, third");
        target.write_all(b"REDQ answer").expect("an open stream");
        assert_eq!(browser.data(11), b"REDQ answer");
    }
}

fn unanswering(driver: Driver) -> (House, Socket, Vec<TcpStream>) {
    let (socket, inside) = full();
    let address = socket.local_addr().expect("bound").as_socket().expect("an address");
    let house = Plan::new(driver)
        .to(&format!("target = \"tcp://{address}\""))
        .line("timeouts = { connect = \"3s\" }")
        .start();
    (house, socket, inside)
}

fn a_client_that_leaves_early_opens_nothing(driver: Driver) {
    let (house, _socket, _inside) = unanswering(driver);
    let before = house.daemon.holdings();
    // Of who has said something before, that is still delivered, if the target comes in time.
    for said in [&b""[..], b"hello"] {
        for resets in [false, true] {
            let mut browser = house.browser();
            browser.upgrade(&request(house.address, "/", ""));
            browser.say(&frame(BINARY, said));
            browser.vanish(resets);
            if resets || said.is_empty() {
                house.daemon.assert_holds(&before);
            } else {
                wait::until_true("it gives up", PATIENCE, || house.daemon.tunnels().is_empty());
            }
        }
    }
    let mut browser = house.browser();
    browser.upgrade(&request(house.address, "/", ""));
    browser.say(&[frame(BINARY, b"hello"), close(1000, "")].concat());
    let (frames, end) = browser.rest();
    assert_eq!((frames.len(), end), (1, End::InOrder), "{frames:?}");
    assert_eq!(frames[0].close().0, Some(1000));
    drop(browser);
    house.daemon.assert_holds(&before);
}

fn a_client_that_breaks_rules_early_is_told(driver: Driver) {
    let (house, _socket, _inside) = unanswering(driver);
    let before = house.daemon.holdings();
    let mut browser = house.browser();
    browser.upgrade(&request(house.address, "/", ""));
    browser.say(&frame(0x81, b"text"));
    assert_eq!(browser.closed().0, Some(1003));
    drop(browser);
    house.daemon.assert_holds(&before);
}

fn a_daemon_that_stops_tells_everybody_1001(driver: Driver) {
    for is_secure in WIRES {
        let plan = Plan::new(driver).secure(is_secure);
        let mut house = plan.engine("drain_timeout", "\"3s\"").start();
        let mut ends: Vec<(Client, TcpStream)> = (0..5).map(|_| house.open()).collect();
        house.daemon.process().signal(Signal::SIGTERM);
        for (browser, target) in &mut ends {
            // What was asked for before is not cut off.
            target.write_all(b"until then").expect("an open stream");
            assert_eq!(browser.data(10), b"until then");
        }
        for (browser, target) in &mut ends {
            let (code, reason) = browser.closed();
            assert_eq!((code, &*reason), (Some(1001), "The gateway is being stopped"));
            let _ = target.shutdown(Shutdown::Both);
        }
        drop(ends);
        let (status, said) = house.daemon.outcome();
        assert_eq!(status, Some(0), "{said}");
    }
}

fn whose_target_is_still_dialled_hears_why_it_ends(driver: Driver) {
    let (socket, _inside) = full();
    let address = socket.local_addr().expect("bound").as_socket().expect("an address");
    for (lifetime, code, words) in
        [("3s", 1008, "This session's time is over"), ("1m", 1001, "The gateway is being stopped")]
    {
        let mut house = Plan::new(driver)
            .to(&format!("target = \"tcp://{address}\""))
            .line(&format!("timeouts = {{ connect = \"1m\", lifetime = \"{lifetime}\" }}"))
            .engine("drain_timeout", "\"300ms\"")
            .start();
        let mut browser = house.browser();
        browser.upgrade(&request(house.address, "/", ""));
        if code == 1001 {
            house.daemon.process().signal(Signal::SIGTERM);
        }
        let (said, reason) = browser.closed();
        assert_eq!(said, Some(code), "{reason}");
        assert!(reason.starts_with(words), "{reason}");
        drop(browser);
        if code == 1001 {
            let (status, said) = house.daemon.outcome();
            assert_eq!(status, Some(0), "{said}");
        }
    }
}
