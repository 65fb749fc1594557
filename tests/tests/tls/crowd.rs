//! Many at once, some of whom do not read: memory stays within its bounds, and nobody pays for the others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use penstock_tests::pki::{Folder, Wanted};
use penstock_tests::{Driver, Penstock, Setup, both_drivers, names, origin};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::gateway::client_config;

both_drivers! {
    a_crowd_that_stalls_at_once_loses_nobody,
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
    for group in 0..3 {
        // All of them take up speed.
        thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(move || read_for(client, SECOND));
            }
        });
        thread::sleep(3 * SECOND);
        let pinned = crowd.penstock.metrics().closed(&[("cause", "pool_pinned")]);
        let waiting = crowd.penstock.metric("penstock_ring_receivers_waiting", &[]);
        eprintln!(
            "round {group}: {pinned} {waiting} refits {}",
            crowd.penstock.metric("penstock_refits_total", &[])
        );
        assert_eq!(pinned, 0.0, "round {group}");
    }
    assert_eq!(crowd.penstock.metric(names::TUNNELS_OPEN, &[]), 120.0);
}
