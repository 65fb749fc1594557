//! Many at once, some of whom do not read: memory stays within its bounds, and nobody pays for the others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use penstock_tests::pki::{Folder, Wanted};
use penstock_tests::{
    Driver, Penstock, Setup, Stopwatch, both_drivers, names, origin, procfs, wait,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::end::{End, Socket};
use crate::gateway::{Gateway, Leg, Plan, client_config};

both_drivers! {
    a_crowd_that_stalls_at_once_loses_nobody,
    who_does_not_read_costs_no_more_than_the_pool,
    an_idle_tunnel_costs_little_after_traffic,
}

const SECOND: Duration = Duration::from_secs(1);

type Client = StreamOwned<ClientConnection, TcpStream>;

/// A gateway of one worker from TLS to an origin in the clear.
struct Crowd {
    penstock: Penstock,
    pki: Folder,
}

fn start(driver: Driver, more: impl Fn(Setup) -> Setup) -> Crowd {
    let (setup, pki) = (Setup::without_listeners(driver), Folder::new());
    let pair = pki.pair("listener", &Wanted::server(setup.address()));
    let (address, origin) = (setup.address(), origin::start());
    let listener = format!(
        "name = \"crowd\"\naddress = \"{address}:3128\"\nservice = \"forward\"\ntarget = \"tcp://{origin}\"\ntls = {{ {pair} }}"
    );
    let setup = more(setup.set("engine", "workers", "1").listener(&listener));
    Crowd { penstock: setup.start(), pki }
}

impl Crowd {
    /// A client that has wished for something, and takes in little while it does not read.
    fn client(&self, wish: &str) -> Client {
        let mut socket = TcpStream::connect(self.penstock.proxy()).expect("it listens");
        penstock_tests::connect::be_patient(&socket).expect("a socket");
        socket2::SockRef::from(&socket).set_recv_buffer_size(64 << 10).expect("a socket");
        let config = client_config(&self.pki.authority, rustls::ALL_VERSIONS);
        let name = ServerName::from(self.penstock.proxy().ip());
        let mut session = ClientConnection::new(config, name).expect("a client");
        while session.is_handshaking() {
            session.complete_io(&mut socket).expect("it lets us in");
        }
        let mut stream = StreamOwned::new(session, socket);
        stream.write_all(wish.as_bytes()).expect("an open stream");
        stream
    }
}

fn read_for(client: &mut Client, time: Duration) {
    let (until, mut piece) = (Instant::now() + time, vec![0; 64 << 10]);
    while Instant::now() < until {
        assert!(client.read(&mut piece).expect("a flood") > 0, "an end");
    }
}

fn a_crowd_that_stalls_at_once_loses_nobody(driver: Driver) {
    let crowd = start(driver, |setup| setup);
    let mut clients: Vec<Client> = (0..120).map(|_| crowd.client("flood\n")).collect();
    for round in 0..3 {
        // All of them take up speed.
        thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(move || read_for(client, SECOND));
            }
        });
        thread::sleep(3 * SECOND);
        let pinned = crowd.penstock.metrics().closed(&[("cause", "pool_pinned")]);
        assert_eq!(pinned, 0.0, "round {round}");
    }
    assert_eq!(crowd.penstock.metric(names::TUNNELS_OPEN, &[]), 120.0);
}

/// Targets with TLS that never stop, clients in the clear that do not read, and one that does.
fn who_does_not_read_costs_no_more_than_the_pool(driver: Driver) {
    const STUCK: usize = 300;
    const POOL: u64 = 8 << 20;
    let plan = Plan::new(driver, [Leg::Tcp, Leg::Tls]).engine("memory", "\"8MiB\"");
    let gateway = plan.engine("workers", "1").start();
    let mut idle = gateway.ends();
    let before = procfs::private_dirty(gateway.penstock.pid());
    let stuck: Vec<_> = (0..STUCK).map(|_| stuck(&gateway)).collect();
    thread::sleep(2 * SECOND);
    let grown = procfs::private_dirty(gateway.penstock.pid()).saturating_sub(before);
    // What every tunnel costs, and the one record that everybody may have.
    let bound = POOL + STUCK as u64 * (12 << 10) + STUCK as u64 * (17 << 10);
    println!("grown {grown}, bound {bound}");
    assert!(grown < bound, "{grown} bytes more, at most {bound} expected");
    let watch = Stopwatch::start();
    thread::scope(|scope| {
        let (client, target) = (&mut idle.0, &mut idle.1);
        scope.spawn(|| client.exchange(1, 2, 4 << 20));
        target.exchange(2, 1, 4 << 20);
    });
    assert!(watch.elapsed() < 5 * SECOND, "4 MiB both ways took {:?}", watch.real());
    assert_eq!(gateway.penstock.metrics().closed(&[]), 0.0);
    for (client, _) in &stuck {
        client.reset_on_drop();
    }
    drop(stuck);
}

/// A client that reads nothing, and a target that sends as long as it can.
fn stuck(gateway: &Gateway) -> (End, JoinHandle<()>) {
    let (client, mut target) = gateway.ends();
    if let Socket::Tcp(socket) = &client.socket {
        socket2::SockRef::from(socket).set_recv_buffer_size(4 << 10).expect("a socket");
    }
    if let Socket::Tcp(socket) = &target.socket {
        socket2::SockRef::from(socket).set_send_buffer_size(256 << 10).expect("a socket");
    }
    let floods = thread::spawn(move || while target.try_say(&[7; 16 << 10]).is_ok() {});
    (client, floods)
}

fn an_idle_tunnel_costs_little_after_traffic(driver: Driver) {
    const TUNNELS: usize = 1000;
    const LEAST: usize = 6 << 10;
    for legs in [[Leg::Tls, Leg::Tcp], [Leg::Tcp, Leg::Tls]] {
        let gateway = Plan::new(driver, legs).engine("workers", "1").start();
        // What the first ones touch, all use.
        let warm: Vec<_> = (0..100).map(|_| used(&gateway)).collect();
        let before = settled(&gateway);
        let idle: Vec<_> = (0..TUNNELS).map(|_| used(&gateway)).collect();
        let each = settled(&gateway).saturating_sub(before) as usize / TUNNELS;
        println!("{legs:?}: {each} bytes");
        assert!(each <= LEAST, "{legs:?}: {each} bytes each");
        drop((warm, idle));
    }
}

/// A tunnel that has carried something both ways, and is silent now.
fn used(gateway: &Gateway) -> (End, End) {
    let (mut client, mut target) = gateway.ends();
    client.say(&[1; 50_000]);
    target.hear(50_000);
    target.say(&[2; 50_000]);
    client.hear(50_000);
    (client, target)
}

/// Private memory once the daemon has given back what it does not use.
fn settled(gateway: &Gateway) -> u64 {
    let now = || procfs::private_dirty(gateway.penstock.pid());
    let mut last = now();
    wait::until("memory that stands still", 20 * SECOND, || {
        thread::sleep(SECOND);
        let before = std::mem::replace(&mut last, now());
        (before == last).then_some(last)
    })
}
