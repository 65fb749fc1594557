//! Listening, accepting, connecting.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use penstock_ring::{Arrival, Close, Errno, Group, Leg, Outcome, Owner};
use socket2::{Domain, Socket, Type};

use crate::Driver;
use crate::alone::alone;
use crate::rig::{OWNER, Rig};

fn accepted(rig: &mut Rig, listener: Leg) -> Leg {
    match rig.next(listener) {
        Outcome::Accepted(leg) => leg,
        outcome => panic!("the listener is to accept, not {outcome:?}"),
    }
}

pub fn accepted_legs_have_addresses_and_the_listeners_owner(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let (listener, address) = rig.listen(16);
    let client = rig.connect(address);
    rig.kernel.set_owner(client, Owner(8));
    assert!(matches!(rig.next(client), Outcome::Connected(Ok(()))));
    let server = accepted(&mut rig, listener);
    assert_eq!((rig.kernel.local(server), rig.kernel.peer(client)), (Some(address), Some(address)));
    assert_eq!(rig.kernel.peer(server), rig.kernel.local(client));

    rig.kernel.receive(server, Group::Reserve);
    rig.kernel.receive(client, Group::Small);
    rig.send(client, b"to the server");
    rig.until("bytes", |rig| rig.backlog.iter().any(|event| event.leg == server));
    let event = rig.backlog.iter().find(|event| event.leg == server).expect("just seen");
    assert_eq!(event.owner, OWNER, "the listener's, as nobody set another");
    assert_eq!(rig.read(server, 13), b"to the server");
    rig.send(server, b"to the client");
    rig.until("bytes", |rig| rig.backlog.iter().any(|event| event.leg == client));
    let event = rig.backlog.iter().find(|event| event.leg == client).expect("just seen");
    assert_eq!(event.owner, Owner(8));
    assert_eq!(rig.read(client, 13), b"to the client");
    rig.finish();
}

pub fn a_refused_connection_says_so(driver: &Driver) {
    let mut rig = Rig::new(driver);
    // Bound, so that nobody else is given its port, but not listening.
    let deaf = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    deaf.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("bound");
    let address = deaf.local_addr().ok().and_then(|address| address.as_socket()).expect("bound");
    match rig.kernel.connect(address, OWNER) {
        Ok(leg) => {
            let outcome = rig.next(leg);
            assert!(matches!(outcome, Outcome::Connected(Err(Errno::ECONNREFUSED))), "{outcome:?}");
            rig.kernel.close(leg, Close::Normal);
        }
        Err(errno) => assert_eq!(errno, Errno::ECONNREFUSED),
    }
    rig.finish();
}

pub fn accepting_stops_and_starts(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let (listener, address) = rig.listen(16);
    rig.kernel.accept(listener, false);
    rig.turn(Duration::from_millis(20));
    rig.backlog.clear();
    let _first = TcpStream::connect(address).expect("queued");
    rig.silent(listener);
    rig.kernel.accept(listener, true);
    accepted(&mut rig, listener);
    let _second = TcpStream::connect(address).expect("queued");
    accepted(&mut rig, listener);
    rig.finish();
}

pub fn more_connections_than_a_turn_accepts(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let (listener, address) = rig.listen(512);
    let clients: Vec<TcpStream> =
        (0..200).map(|_| TcpStream::connect(address).expect("queued")).collect();
    let legs: Vec<Leg> = clients.iter().map(|_| accepted(&mut rig, listener)).collect();
    for (leg, client) in legs.iter().zip(&clients) {
        rig.echo(*leg, client);
    }
    rig.finish();
}

pub fn a_burst_of_tunnels_is_set_up_and_torn_down(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let (listener, address) = rig.listen(512);
    for _ in 0..20 {
        let clients: Vec<Leg> = (0..50).map(|_| rig.connect(address)).collect();
        for client in clients {
            assert!(matches!(rig.next(client), Outcome::Connected(Ok(()))));
            rig.kernel.receive(client, Group::Small);
            let server = accepted(&mut rig, listener);
            rig.send(server, b"hello");
            rig.kernel.close(server, Close::Normal);
            rig.kernel.close(client, Close::Reset);
        }
        rig.backlog.retain(|event| !matches!(event.outcome, Outcome::ReceiveEnded(Arrival::Ended)));
    }
    rig.finish();
}

pub fn without_descriptors_accepting_pauses_and_recovers(driver: &Driver) {
    alone(driver, "without_descriptors_accepting_pauses_and_recovers", || {
        let mut rig = Rig::new(driver);
        let (listener, address) = rig.listen(64);
        rig.kernel.accept(listener, false);
        rig.turn(Duration::from_millis(20));
        let _clients: Vec<TcpStream> =
            (0..10).map(|_| TcpStream::connect(address).expect("queued")).collect();
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("asked");
        setrlimit(Resource::RLIMIT_NOFILE, 256, hard).expect("lowered");
        let mut fill = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            fill.push(file);
        }
        fill.truncate(fill.len() - 2);

        rig.kernel.accept(listener, true);
        let first = accepted(&mut rig, listener);
        accepted(&mut rig, listener);
        let outcome = rig.next(listener);
        assert!(matches!(outcome, Outcome::AcceptFailed(Errno::EMFILE)), "{outcome:?}");
        assert_eq!(rig.count("accept_failed"), 1);
        pauses(&mut rig);

        rig.kernel.close(first, Close::Normal);
        rig.until("a free descriptor", |_| File::open("/dev/null").is_ok());
        rig.kernel.accept(listener, true);
        accepted(&mut rig, listener);
        let outcome = rig.next(listener);
        assert!(matches!(outcome, Outcome::AcceptFailed(Errno::EMFILE)), "{outcome:?}");
        drop(fill);
        rig.kernel.accept(listener, true);
        for _ in 0..7 {
            accepted(&mut rig, listener);
        }
        rig.finish();
    });
}

/// Asserts that the driver sleeps instead of trying again by itself.
fn pauses(rig: &mut Rig) {
    let (start, turns) = (Instant::now(), rig.count("turns"));
    while start.elapsed() < Duration::from_millis(200) {
        rig.turn(Duration::from_millis(200));
    }
    assert!(rig.backlog.is_empty(), "{:?}", rig.backlog);
    assert!(rig.count("turns") - turns < 10, "it spins");
}
