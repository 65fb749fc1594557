//! What goes in comes out, both ways, whatever nginx had read of it before; and the log has the numbers.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use penstock_tests::connect::{PATIENCE, dial};
use penstock_tests::pki::Authority;
use penstock_tests::stream::Pattern;
use penstock_tests::tls::TlsClient;
use penstock_tests::{Driver, both_drivers, process};
use rustls::pki_types::ServerName;

use super::program;
use super::rig::{PORT, Setup, number, session, target};

both_drivers! {
    large_streams_pass_both_ways_at_once,
    what_nginx_has_read_comes_first,
    both_see_a_proxy_header_first,
    a_little_goes_along_at_once,
    what_is_more_than_may_go_along_is_sent_before,
}

const MEBIBYTE: u64 = 1 << 20;

/// Sends that much each way at the same time, and compares it; then both finish.
fn exchange(client: &TcpStream, target: &TcpStream, up: u64, down: u64) {
    let send = |mut to: &TcpStream, seed, length| {
        Pattern::new(seed).send(&mut to, length).expect("an open stream");
    };
    let receive = |mut from: &TcpStream, seed, length| {
        Pattern::new(seed).receive(&mut from, length).expect("all of it");
    };
    thread::scope(|scope| {
        scope.spawn(|| send(client, 1, up));
        scope.spawn(|| send(target, 2, down));
        scope.spawn(|| receive(target, 1, up));
        receive(client, 2, down);
    });
}

fn large_streams_pass_both_ways_at_once(driver: Driver) {
    let (listener, address) = target();
    let nginx = Setup::new(driver).in_front_of(address).start();
    let (client, target) = session(&nginx, &listener);
    exchange(&client, &target, 96 * MEBIBYTE, 64 * MEBIBYTE + 1);
    drop((client, target));
    let line = nginx.line();
    assert_eq!(line["penstock"], "on");
    assert_eq!(line["status"], "200");
    assert_eq!(number(&line, "bytes_received"), 96 * MEBIBYTE);
    assert_eq!(number(&line, "upstream_bytes_sent"), 96 * MEBIBYTE);
    assert_eq!(number(&line, "bytes_sent"), 64 * MEBIBYTE + 1);
    assert_eq!(number(&line, "upstream_bytes_received"), 64 * MEBIBYTE + 1);
    assert_eq!(line["upstream_addr"], address.to_string());
}

/// The first bytes of a TLS client that asks for that name.
pub(crate) fn client_hello(name: &'static str) -> Vec<u8> {
    let client = TlsClient::new(&Authority::new("CA"), None);
    let mut session = client.session(ServerName::try_from(name).expect("a name"));
    let mut hello = Vec::new();
    session.write_tls(&mut hello).expect("memory");
    hello
}

/// nginx reads until it knows the name: the rest of what lay in the socket by then is read along.
fn what_nginx_has_read_comes_first(driver: Driver) {
    let ((one, address_of_one), (other, address_of_other)) = (target(), target());
    let map = format!(
        "map $ssl_preread_server_name $chosen {{ one.test {address_of_one}; other.test {address_of_other}; }}"
    );
    let setup = Setup::new(driver).stream(&map).stream("ssl_preread on;");
    let nginx = setup.server(PORT, "proxy_pass $chosen;").start();
    for (name, listener) in [("one.test", &one), ("other.test", &other)] {
        let hello = client_hello(name);
        let mut client = dial(nginx.address).expect("nginx listens");
        let mut all = hello.clone();
        Pattern::new(1).send(&mut all, 10_000).expect("memory");
        client.write_all(&all).expect("nginx reads");
        let (mut target, _) = listener.accept().expect("nginx connects");
        let mut came = vec![0; hello.len()];
        target.read_exact(&mut came).expect("the ClientHello");
        assert_eq!(came, hello);
        Pattern::new(1).receive(&mut target, 10_000).expect("what came with it");
        exchange(&client, &target, MEBIBYTE, MEBIBYTE);
        client.shutdown(Shutdown::Both).expect("a socket");
        let line = nginx.lines(1).pop().expect("a line");
        assert_eq!(line["penstock"], "on");
    }
    for line in nginx.lines(2) {
        let all = client_hello("one.test").len() as u64 + 10_000 + MEBIBYTE;
        let (sent, received) =
            (number(&line, "upstream_bytes_sent"), number(&line, "bytes_received"));
        assert!(sent.abs_diff(all) <= 2, "{line:?}");
        if program::has_virtual_servers() {
            assert_eq!(received, sent, "{line:?}");
        } else {
            // What it reads for the sake of ssl_preread, an older nginx never counts as received.
            assert!((MEBIBYTE..all).contains(&received), "{line:?}");
        }
    }
}

fn both_see_a_proxy_header_first(driver: Driver) {
    let (listener, address) = target();
    let setup = Setup::new(driver).stream("proxy_protocol on;").in_front_of(address);
    let nginx = setup.start();
    let (client, mut target) = session(&nginx, &listener);
    let from = client.local_addr().expect("a bound address");
    let header = format!(
        "PROXY TCP4 {} {} {} {}\r\n",
        from.ip(),
        nginx.address.ip(),
        from.port(),
        nginx.address.port()
    );
    let mut came = vec![0; header.len()];
    target.read_exact(&mut came).expect("a header");
    assert_eq!(String::from_utf8_lossy(&came), header);
    exchange(&client, &target, MEBIBYTE, MEBIBYTE);
    drop((client, target));
    let line = nginx.line();
    assert_eq!(line["penstock"], "on");
    assert_eq!(number(&line, "bytes_received"), MEBIBYTE);
    assert_eq!(number(&line, "upstream_bytes_sent"), MEBIBYTE + header.len() as u64);
}

/// What a UNIX socket takes at once of somebody whose peer doesn't read.
fn room() -> u64 {
    let (one, _other) = UnixStream::pair().expect("sockets");
    one.set_nonblocking(true).expect("a socket");
    (&one).write(&vec![0; 4 << 20]).expect("some of it") as u64
}

/// The client has sent so much more than a target takes that doesn't read, before nginx looks at it; nginx then has to keep that, and some
/// of what a client that doesn't read leaves behind.
fn what_nobody_has_taken_yet_goes_along(driver: Driver, beyond: u64) {
    let dir = process::directory();
    let path = dir.path().join("console");
    let listener = UnixListener::bind(&path).expect("our directory");
    // An older nginx reads all of it to find out that it is no TLS. A newer one only looks, and reads at once if the kernel says with the
    // client that there is something.
    let setup = Setup::new(driver)
        .stream("ssl_preread on; preread_buffer_size 4m;")
        .stream("proxy_buffer_size 4m;");
    let deferred = if program::has_virtual_servers() { "deferred" } else { "" };
    let lines = format!("rcvbuf=4m {deferred}; proxy_pass unix:{};", path.display());
    let nginx = setup.server(PORT, &lines).start();
    let worker = Pid::from_raw(nginx.worker().cast_signed());
    kill(worker, Signal::SIGSTOP).expect("a worker");
    let client = dial(nginx.address).expect("nginx listens");
    let up = room() + beyond;
    Pattern::new(1).send(&mut &client, up).expect("room in nginx's socket");
    kill(worker, Signal::SIGCONT).expect("a worker");
    let (target, _) = listener.accept().expect("nginx connects");
    target.set_read_timeout(Some(PATIENCE)).expect("a socket");
    target.set_write_timeout(Some(PATIENCE)).expect("a socket");
    thread::scope(|scope| {
        scope.spawn(|| Pattern::new(2).send(&mut &target, 8 * MEBIBYTE).expect("an open stream"));
        thread::sleep(Duration::from_millis(300));
        Pattern::new(1).receive(&mut &target, up).expect("all of it");
        thread::sleep(Duration::from_millis(100));
        Pattern::new(2).receive(&mut &client, 8 * MEBIBYTE).expect("all of it");
    });
    exchange_more(&client, &target);
    drop((client, target));
    let line = nginx.line();
    assert_eq!(line["penstock"], "on");
    assert_eq!(number(&line, "upstream_bytes_sent"), up + MEBIBYTE);
    let counted = if program::has_virtual_servers() { up + MEBIBYTE } else { MEBIBYTE };
    assert_eq!(number(&line, "bytes_received"), counted, "of ssl_preread");
    assert_eq!(number(&line, "bytes_sent"), 8 * MEBIBYTE);
    assert_eq!(number(&line, "upstream_bytes_received"), 8 * MEBIBYTE);
}

fn exchange_more(client: &TcpStream, target: &UnixStream) {
    thread::scope(|scope| {
        let (mut client, mut target) = (client, target);
        scope.spawn(move || Pattern::new(3).send(&mut client, MEBIBYTE).expect("an open stream"));
        Pattern::new(3).receive(&mut target, MEBIBYTE).expect("all of it");
    });
}

fn a_little_goes_along_at_once(driver: Driver) {
    what_nobody_has_taken_yet_goes_along(driver, 40_000);
}

fn what_is_more_than_may_go_along_is_sent_before(driver: Driver) {
    what_nobody_has_taken_yet_goes_along(driver, 400_000);
}
