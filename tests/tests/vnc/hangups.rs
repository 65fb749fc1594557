//! Either side goes away at any byte of the handshakes: whoever is left hears of it at once, and nothing is left of them.
//!
//! Bytes of TLS are many and much alike: of those, each run takes every few, and `PENSTOCK_LONG=1` all.

use std::io::ErrorKind;
use std::sync::Mutex;
use std::time::Duration;

use penstock_tests::vnc::client::{Console, Failure, Login};
use penstock_tests::vnc::server::{Script, Server};
use penstock_tests::vnc::wire::{Faults, Stop};
use penstock_tests::vnc::{security, subtype};
use penstock_tests::{Driver, Stopwatch, both_drivers, loopback};

use crate::rig::{Front, House, Plan};

both_drivers! {
    a_server_may_go_at_any_byte,
    a_client_may_go_at_any_byte,
}

/// So many go at a time.
const AT_ONCE: usize = 12;

/// What is said before and behind TLS, which is looked at byte by byte.
const WORDS: u64 = 120;

const SUBTYPES: [u32; 4] =
    [subtype::X509_NONE, subtype::X509_VNC, subtype::X509_PLAIN, subtype::X509_SASL];

/// Servers of each subtype, with a console before each, and native clients' listeners before one.
fn house(driver: Driver) -> (House, Vec<Server>) {
    let mut plan = Plan::new(driver);
    let file = plan.file("secret", "secret\n");
    let keys = format!(
        "password = {{ file = {file} }}, plain = {{ user = \"lab\", password_file = {file} }}, sasl = {{ user = \"lab\", password_file = {file} }}"
    );
    let mut servers = Vec::new();
    for subtype in SUBTYPES {
        let address = loopback::address().into();
        let script = Script::vencrypt(&[subtype], plan.server(address));
        servers.push(Server::start_at(address, script));
        let ours = plan.vnc("", &format!("mode = \"authenticate\", {keys}"));
        let target = format!("tcp://{address}:5900");
        plan = plan.listener(&subtype.to_string(), Front::Console, &target, &ours);
    }
    let target = format!("tcp://{}", servers[1].address());
    let theirs = plan.vnc("", "mode = \"bridge\"");
    let native = plan.vnc("", "mode = \"bridge\", listen = [\"x509vnc\"]");
    let house = plan
        .listener("bridge", Front::SecureConsole, &target, &theirs)
        .listener("native", Front::Native, &target, &native)
        .start();
    (house, servers)
}

/// The bytes at which somebody goes, of so many.
fn places(all: u64, first: u64) -> Vec<u64> {
    let step = if std::env::var_os("PENSTOCK_LONG").is_some() { 1 } else { 4 };
    let is_tls = |n: &u64| (WORDS..all.saturating_sub(WORDS)).contains(n);
    (0..all).filter(|n| !is_tls(n) || (n + first).is_multiple_of(step)).collect()
}

/// All the ways to go, of who receives and sends so many bytes.
fn stops([received, sent]: [u64; 2], first: u64) -> Vec<Faults> {
    let ways = [(false, received), (true, sent)];
    let stops = ways.into_iter().flat_map(|(sent, all)| {
        let places = places(all, first).into_iter();
        places.map(move |after| Stop { sent, after, resets: after.is_multiple_of(3) })
    });
    stops.map(|stop| Faults { stop: Some(stop), ..Faults::default() }).collect()
}

/// Does it for each of them, a few at a time.
fn each<T: Send>(all: Vec<T>, work: impl Fn(T) + Sync) {
    let queue = Mutex::new(all);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(next) = { queue.lock().expect("a queue").pop() } {
                    work(next);
                }
            });
        }
    });
}

/// Who was left heard of it, and did not wait for anybody's patience to end.
fn assert_heard(outcome: &Result<Console, Failure>, since: Stopwatch, what: &dyn std::fmt::Debug) {
    if let Err(Failure::Broken(error, _)) = outcome {
        let is_late = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        assert!(!is_late, "{what:?}: {error}");
    }
    assert!(since.elapsed() < Duration::from_secs(8), "{what:?}: after {:?}", since.real());
}

/// A greeting, a byte and its echo: so much is said if nobody goes.
fn talk(house: &House, name: &str, login: &Login, faults: Faults) -> Result<Console, Failure> {
    let mut console = house.open_with(name, login, faults)?;
    console.echo(b".")?;
    Ok(console)
}

fn a_server_may_go_at_any_byte(driver: Driver) {
    let (house, servers) = house(driver);
    let mut tried = 0;
    for (first, (subtype, server)) in SUBTYPES.iter().zip(&servers).enumerate() {
        let (name, login) = (subtype.to_string(), Login::new(security::NONE));
        drop(talk(&house, &name, &login, Faults::default()).expect("a console"));
        let stops = stops(server.whole_visit().counts, first as u64);
        tried += stops.len() + 1;
        // The servers take their faults as clients come, in whatever order.
        server.have_faults(stops.clone());
        each(stops, |stop| {
            let since = Stopwatch::start();
            let outcome = talk(&house, &name, &login, Faults::default());
            assert_heard(&outcome, since, &stop);
        });
    }
    // Through a bridge, the client has a part in it.
    let server = &servers[1];
    for name in ["bridge", "native"] {
        let login = match name {
            "bridge" => Login::new(security::VNC),
            _ => house.vencrypt(name, subtype::X509_VNC),
        };
        drop(talk(&house, name, &login, Faults::default()).expect("a console"));
        let stops = stops(server.whole_visit().counts, 5);
        tried += stops.len() + 1;
        server.have_faults(stops.clone());
        each(stops, |stop| {
            let since = Stopwatch::start();
            let outcome = talk(&house, name, &login, Faults::default());
            assert_heard(&outcome, since, &stop);
        });
    }
    println!("{tried} connections");
    house.is_empty();
    assert_eq!(house.daemon.records(tried).len(), tried);
}

fn a_client_may_go_at_any_byte(driver: Driver) {
    let (house, servers) = house(driver);
    let mut tried = 0;
    for (first, name) in SUBTYPES
        .map(|n| n.to_string())
        .iter()
        .map(String::as_str)
        .chain(["bridge", "native"])
        .enumerate()
    {
        let login = match name {
            "bridge" => Login::new(security::VNC),
            "native" => house.vencrypt(name, subtype::X509_VNC),
            _ => Login::new(security::NONE),
        };
        let console = talk(&house, name, &login, Faults::default()).expect("a console");
        let stops = stops(console.wire.counts().get(), first as u64);
        drop(console);
        tried += stops.len() + 1;
        each(stops, |stop| {
            let since = Stopwatch::start();
            let outcome = talk(&house, name, &login, stop.clone());
            assert_heard(&outcome, since, &stop);
        });
    }
    println!("{tried} connections");
    // Servers hear of it, too.
    house.is_empty();
    drop(servers);
    assert_eq!(house.daemon.records(tried).len(), tried);
}
