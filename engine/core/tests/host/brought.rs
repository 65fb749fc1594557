//! The same of browsers, of who says nothing, and of what is there already.

use super::*;

pub(super) fn a_browser_is_asked_about_with_its_token(driver: Driver) {
    let house = House::new(driver, listener(console(), &["allow all"]));
    let path = "/websockify?token=a%20b&x=1";
    let (there, place) = target();
    let mut client = house.client(&upgrade(path));
    let asked = house.allow(Some(To::Place(place)));
    assert_eq!((asked.method.as_deref(), asked.path.as_deref()), (Some("GET"), Some(path)));
    assert_eq!(asked.token.as_ref().map(|token| token.secret()), Some("a b"));
    assert_eq!(asked.target, None, "the host says where");
    assert_eq!(String::from_utf8(asked.head).expect("text"), upgrade(path));
    let mut there = accept(&there);
    there.write_all(b"RFB").expect("written");
    let heard = hear(&mut client, 13);
    assert_eq!(heard, b"HTTP/1.1 101 ");
    client.write_all(&[0x82, 0x82, 0, 0, 0, 0, b'h', b'i']).expect("written");
    assert_eq!(hear(&mut there, 2), b"hi");
    drop((client, there));
    assert_eq!(house.ended().status, 101);
    // Who wants a page is asked about by nobody.
    let client = house.client("GET / HTTP/1.1\r\nHost: here\r\n\r\n");
    assert!(hear_all(client).starts_with("HTTP/1.1 405 "));
    assert_eq!(house.stop(), 0);
}

pub(super) fn a_browser_gets_what_the_host_has_connected(driver: Driver) {
    let house = House::new(driver, listener(console(), &["allow all"]));
    let (mut there, to) = connected(b"RFB", None);
    // A browser that can't wait.
    let mut client = house.client(&upgrade("/"));
    client.write_all(&[0x82, 0x82, 0, 0, 0, 0, b'h', b'i']).expect("written");
    assert_eq!(house.allow(to).token, None);
    assert_eq!(hear(&mut there, 2), b"hi");
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n\x82\x03RFB") {
        heard.extend(hear(&mut client, 1));
    }
    assert!(heard.starts_with(b"HTTP/1.1 101 "));
    drop((client, there));
    let record = house.ended();
    assert_eq!((record.reason.phase, record.target), (Phase::Relay, None), "it has no name");
    assert_eq!(house.stop(), 0);
}

pub(super) fn a_forwarder_has_the_target_that_it_is_given(driver: Driver) {
    let house = House::new(driver, listener(Service::handed_over(), &["allow all"]));
    let (mut there, to) = connected(b"login: ", Some("console"));
    let mut client = house.client("");
    let asked = house.allow(to);
    assert_eq!((asked.method, asked.target, asked.head.len()), (None, None, 0));
    assert_eq!(hear(&mut client, 7), b"login: ");
    client.write_all(b"root").expect("written");
    assert_eq!(hear(&mut there, 4), b"root");
    drop((client, there));
    assert_eq!(house.ended().target.as_deref(), Some("console"));
    assert_eq!(house.stop(), 0);
}

pub(super) fn a_default_target_is_the_last_word_or_not(driver: Driver) {
    let ((usual, Place::Network(place)), (other, elsewhere)) = (target(), target()) else {
        panic!("ports");
    };
    let text = "the usual one".into();
    let reach = Reach::Network(place);
    let service = Service::Forward(Destination { text, readonly: false, reach });
    let house = House::new(driver, listener(service, &["allow all"]));
    for (to, there) in [(None, usual), (Some(To::Place(elsewhere)), other)] {
        let mut client = house.client("x");
        assert_eq!(house.allow(to).target.as_deref(), Some("the usual one"));
        let mut there = accept(&there);
        assert_eq!(hear(&mut there, 1), b"x");
        there.write_all(b"y").expect("written");
        assert_eq!(hear(&mut client, 1), b"y");
    }
    assert_eq!(house.stop(), 0);
}

pub(super) fn a_terminal_has_no_end_to_pass_on(driver: Driver) {
    for half_close in [HalfClose::Forward, HalfClose::Close] {
        let terms = listener(Service::handed_over(), &["allow all"]);
        let house = House::new(driver, Listener { half_close, ..terms });
        let pty = openpty(None, None).expect("a terminal");
        let connected = Connected::new(pty.master, Vec::new(), None).expect("a stream");
        let mut client = house.client("");
        house.allow(Some(To::Connected(connected)));
        let mut line = File::from(pty.slave);
        if half_close == HalfClose::Close {
            line.write_all(b"login:").expect("written");
            assert_eq!(hear(&mut client, 6), b"login:");
            drop((client, line));
            assert_eq!(house.ended().reason.phase, Phase::Relay);
        } else {
            assert_eq!(hear_all(client), "");
            let record = house.ended();
            assert_eq!(record.reason.cause, Cause::Unreachable);
            assert!(record.detail.is_some_and(|detail| detail.contains("half_close")));
        }
        assert_eq!(house.stop(), 0);
    }
}

pub(super) fn what_the_host_hands_over_is_not_asked_about(driver: Driver) {
    let house = House::new(driver, listener(Service::handed_over(), &["allow all"]));
    let ((mut client, one), (other, mut there)) =
        (UnixStream::pair().expect("a pair"), UnixStream::pair().expect("a pair"));
    let handed = HandOver { cookie: 5, ..HandOver::new(0, one.into(), other.into()) };
    house.engine.intake().hand_over(handed).expect("room");
    client.write_all(b"x").expect("written");
    assert_eq!(hear(&mut there, 1), b"x");
    drop((client, there));
    assert_eq!(house.ended().cookie, 5);
    assert_eq!(house.stop(), 0);
}

pub(super) fn what_comes_meanwhile_is_kept_and_no_more(driver: Driver) {
    const BULK: usize = 16 << 20;
    let house = House::new(driver, listener(Service::Connect, &["allow all"]));
    let client = house.client("CONNECT vm7:5900 HTTP/1.1\r\n\r\n");
    let (id, _) = house.question();
    let mut sender = client.try_clone().expect("a descriptor");
    let bytes: Vec<u8> = (0..BULK).map(|at| (at % 251) as u8).collect();
    let sent = bytes.clone();
    let all = std::thread::spawn(move || sender.write_all(&sent));
    std::thread::sleep(Duration::from_millis(100));
    assert!(!all.is_finished(), "it was read to its end");
    let (mut there, to) = connected(b"", None);
    house.answer(id, Ok(Admitted { to, cookie: 0 }));
    assert!(hear(&mut there, BULK) == bytes, "something is missing");
    all.join().expect("no panic").expect("written");
    drop((client, there));
    assert_eq!(house.ended().bytes_to_target, BULK as u64);
    assert_eq!(house.stop(), 0);
}
