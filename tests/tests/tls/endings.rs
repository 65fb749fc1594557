//! Ends of streams through layers: in order, cut off, broken, and with the first words.

use std::io::Write;
use std::thread;
use std::time::Duration;

use penstock_tests::{Driver, Stopwatch, both_drivers};

use crate::end::{End, Ending, Socket};
use crate::gateway::{Gateway, Leg, Plan};

both_drivers! {
    an_end_in_order_is_passed_on_as_one,
    a_stream_that_was_cut_off_is_not_passed_on_as_whole,
    a_reset_is_not_passed_on_as_an_end_in_order,
    who_ends_a_tunnel_hears_the_other_sides_last_word,
    what_was_dropped_is_not_called_whole,
    all_may_be_said_at_once_with_the_last_word,
    a_last_word_counts_before_the_connection_ends,
    the_other_direction_lives_on,
}

const ALL: [[Leg; 2]; 4] =
    [[Leg::Tcp, Leg::Tls], [Leg::Tls, Leg::Tcp], [Leg::Tls, Leg::Tls], [Leg::Unix, Leg::Tls]];

/// Both ends of a tunnel, the first one being the one that a test is about.
fn ends_from(gateway: &Gateway, from_client: bool) -> (End, End) {
    let (client, target) = gateway.ends();
    if from_client { (client, target) } else { (target, client) }
}

fn each(driver: Driver, half_close: &str, test: impl Fn(&Gateway, bool, &str)) {
    for legs in ALL {
        let line = format!("half_close = \"{half_close}\"");
        let gateway = Plan::new(driver, legs).line(&line).start();
        let before = gateway.penstock.holdings();
        for from_client in [true, false] {
            test(&gateway, from_client, &format!("{legs:?} {half_close} {from_client}"));
        }
        gateway.penstock.assert_holds(&before);
    }
}

/// Of ends that speak TLS, however the tunnel takes an end.
fn each_of_tls(driver: Driver, test: impl Fn(End, End, &str)) {
    for half_close in ["forward", "close"] {
        each(driver, half_close, |gateway, from_client, what| {
            let (from, to) = ends_from(gateway, from_client);
            if from.tls.is_some() {
                test(from, to, what);
            }
        });
    }
}

fn an_end_in_order_is_passed_on_as_one(driver: Driver) {
    for half_close in ["forward", "close"] {
        each(driver, half_close, |gateway, from_client, what| {
            let (mut from, mut to) = ends_from(gateway, from_client);
            from.say(b"the last");
            from.finish();
            assert_eq!(to.rest(), (b"the last".to_vec(), Ending::InOrder), "{what}");
        });
    }
}

fn a_stream_that_was_cut_off_is_not_passed_on_as_whole(driver: Driver) {
    each_of_tls(driver, |mut from, mut to, what| {
        from.say(b"the last");
        from.cut();
        let (heard, ending) = to.rest();
        assert_eq!(heard, b"the last", "{what}");
        let expected = if to.tls.is_some() { Ending::Truncated } else { Ending::InOrder };
        assert_eq!(ending, expected, "{what}");
    });
}

fn a_reset_is_not_passed_on_as_an_end_in_order(driver: Driver) {
    each(driver, "forward", |gateway, from_client, what| {
        let (mut from, mut to) = ends_from(gateway, from_client);
        from.say(b"the last");
        assert_eq!(to.hear(8), b"the last", "{what}");
        if matches!(from.socket, Socket::Unix(_)) {
            return;
        }
        from.reset();
        let (_, ending) = to.rest();
        assert!(to.tls.is_none() || ending != Ending::InOrder, "{what}: {ending:?}");
    });
}

fn who_ends_a_tunnel_hears_the_other_sides_last_word(driver: Driver) {
    for half_close in ["forward", "close"] {
        each(driver, half_close, |gateway, from_client, what| {
            let (mut from, mut to) = ends_from(gateway, from_client);
            from.say(b"question");
            assert_eq!(to.hear(8), b"question");
            from.finish();
            assert_eq!(to.rest(), (Vec::new(), Ending::InOrder), "{what}");
            let watch = Stopwatch::start();
            to.finish();
            assert_eq!(from.rest(), (Vec::new(), Ending::InOrder), "{what}");
            assert!(watch.elapsed() < Duration::from_secs(1), "{what}: after {:?}", watch.real());
        });
    }
}

fn what_was_dropped_is_not_called_whole(driver: Driver) {
    each(driver, "close", |gateway, from_client, what| {
        let (mut from, mut to) = ends_from(gateway, from_client);
        from.say(b"question");
        from.finish();
        assert_eq!(to.rest(), (b"question".to_vec(), Ending::InOrder), "{what}");
        to.say(b"an answer that comes too late");
        to.finish();
        let expected = if from.tls.is_some() { Ending::Truncated } else { Ending::InOrder };
        assert_eq!(from.rest(), (Vec::new(), expected), "{what}");
    });
}

/// A client's last flight, what it has to say, and its last word: all in one piece, as a script would send it.
fn all_may_be_said_at_once_with_the_last_word(driver: Driver) {
    let gateway = Plan::new(driver, [Leg::Tls, Leg::Tcp]).start();
    let before = gateway.penstock.holdings();
    let (mut session, mut socket) = (gateway.session(), gateway.dial().expect("a listener"));
    let mut flight = Vec::new();
    session.write_tls(&mut flight).expect("memory");
    socket.write_all(&flight).expect("an open stream");
    while session.is_handshaking() {
        session.read_tls(&mut socket).expect("an open stream");
        session.process_new_packets().expect("a server");
    }
    session.writer().write_all(b"question").expect("memory");
    session.send_close_notify();
    flight.clear();
    while session.wants_write() {
        session.write_tls(&mut flight).expect("memory");
    }
    socket.write_all(&flight).expect("an open stream");
    let mut target = gateway.accept();
    assert_eq!(target.rest(), (b"question".to_vec(), Ending::InOrder));
    target.say(b"answer");
    target.finish();
    let mut client = End::tls(Socket::Tcp(socket), session).expect("it stands");
    assert_eq!(client.rest(), (b"answer".to_vec(), Ending::InOrder));
    drop((client, target));
    gateway.penstock.assert_holds(&before);
}

fn a_last_word_counts_before_the_connection_ends(driver: Driver) {
    each_of_tls(driver, |mut from, mut to, what| {
        from.say(b"the last");
        from.say_last();
        assert_eq!(to.rest(), (b"the last".to_vec(), Ending::InOrder), "{what}");
        to.finish();
        assert_eq!(from.rest(), (Vec::new(), Ending::InOrder), "{what}");
    });
}

fn the_other_direction_lives_on(driver: Driver) {
    each(driver, "forward", |gateway, from_client, what| {
        let (mut from, mut to) = ends_from(gateway, from_client);
        from.say(b"question");
        from.finish();
        assert_eq!(to.rest(), (b"question".to_vec(), Ending::InOrder), "{what}");
        thread::sleep(Duration::from_millis(50));
        to.say(&[7; 100_000]);
        to.finish();
        let (answer, ending) = from.rest();
        assert_eq!((answer.len(), ending), (100_000, Ending::InOrder), "{what}");
    });
}
