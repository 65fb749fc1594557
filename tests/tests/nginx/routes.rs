//! Every way in which nginx comes to a connection is seen: at once, later, by the next upstream, by a name; and whom it refuses gets none.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;

use penstock_tests::connect::dial;
use penstock_tests::stream::Pattern;
use penstock_tests::{Driver, both_drivers, loopback, process};

use super::dns;
use super::rig::{Nginx, PORT, Setup, session, target};

both_drivers! {
    upstreams_that_fail_are_passed_over,
    a_unix_socket_is_connected_to_at_once,
    names_are_resolved,
}

/// The client never says a word: no event of its own may be what makes nginx look at the session.
fn greet(client: &TcpStream, target: &TcpStream) {
    let (mut client, mut target) = (client, target);
    Pattern::new(1).send(&mut target, 1000).expect("an open stream");
    Pattern::new(1).receive(&mut client, 1000).expect("an open stream");
}

fn upstreams_that_fail_are_passed_over(driver: Driver) {
    let (listener, address) = target();
    let nobody = SocketAddr::from((loopback::address(), 1));
    let upstream = format!("upstream both {{ server {nobody}; server {address} backup; }}");
    let setup = Setup::new(driver).stream(&upstream).server(PORT, "proxy_pass both;");
    let nginx = setup.start();
    let (client, target) = session(&nginx, &listener);
    greet(&client, &target);
    drop((client, target));
    let line = nginx.line();
    assert_eq!(line["penstock"], "on");
    assert_eq!(line["upstream_addr"], format!("{nobody}, {address}"));
    assert_eq!(line["upstream_bytes_received"], "0, 1000");
}

fn a_unix_socket_is_connected_to_at_once(driver: Driver) {
    let dir = process::directory();
    let path = dir.path().join("console");
    let listener = UnixListener::bind(&path).expect("our directory");
    let lines = format!("proxy_pass unix:{};", path.display());
    let nginx = Setup::new(driver).server(PORT, &lines).start();
    let client = dial(nginx.address).expect("nginx listens");
    let (target, _) = listener.accept().expect("nginx connects");
    thread::scope(|scope| {
        scope.spawn(|| Pattern::new(1).send(&mut &client, 8 << 20).expect("an open stream"));
        Pattern::new(1).receive(&mut &target, 8 << 20).expect("an open stream");
    });
    Pattern::new(2).send(&mut &target, 1000).expect("an open stream");
    Pattern::new(2).receive(&mut &client, 1000).expect("an open stream");
    drop((client, target));
    let line = nginx.line();
    assert_eq!((&*line["penstock"], &*line["bytes_sent"]), ("on", "1000"));
}

/// By a variable, so that nginx has to ask for it when the client comes.
fn names_are_resolved(driver: Driver) {
    let (listener, address) = target();
    let resolver = dns::start(address.ip());
    let setup = Setup::new(driver).stream(&format!("resolver {resolver} ipv6=off;")).stream(
        &format!("map $remote_port $chosen {{ default console.test:{}; }}", address.port()),
    );
    let nginx = setup.server(PORT, "proxy_pass $chosen;").start();
    for _ in 0..2 {
        let (client, target) = session(&nginx, &listener);
        greet(&client, &target);
        // Only now: a client that leaves is an event, too.
        thread::sleep(Duration::from_millis(100));
    }
    // The second time nginx knows it already.
    let lines = nginx.lines(2);
    assert!(lines.iter().all(|line| line["penstock"] == "on"), "{lines:?}");
    assert!(lines.iter().all(|line| line["upstream_addr"] == address.to_string()), "{lines:?}");
}

fn is_refused(nginx: &Nginx) {
    let mut client = dial(nginx.address).expect("nginx listens");
    assert_eq!(client.read(&mut [0]).unwrap_or(0), 0, "a byte of nobody");
}

#[test]
fn whom_nginx_refuses_reaches_nobody() {
    let (listener, address) = target();
    listener.set_nonblocking(true).expect("a socket");
    let lines = format!("proxy_pass {address}; deny all;");
    let nginx = Setup::new(Driver::Epoll).server(PORT, &lines).start();
    is_refused(&nginx);
    let line = nginx.line();
    assert_eq!((&*line["penstock"], &*line["status"]), ("-", "403"));
    assert!(listener.accept().is_err(), "nginx has connected");
}

/// nginx counts a session for as long as the engine carries it, and no longer.
#[test]
fn limits_of_connections_hold() {
    let (listener, address) = target();
    let setup = Setup::new(Driver::Epoll)
        .stream("limit_conn_zone $binary_remote_addr zone=one:1m; limit_conn one 1;");
    let nginx = setup.in_front_of(address).start();
    for n in 1..=2 {
        let (client, target) = session(&nginx, &listener);
        greet(&client, &target);
        is_refused(&nginx);
        drop((client, target));
        let lines = nginx.lines(2 * n);
        assert_eq!(lines.iter().filter(|line| line["status"] == "503").count(), n, "{lines:?}");
        assert_eq!(lines.iter().filter(|line| line["penstock"] == "on").count(), n, "{lines:?}");
    }
}

#[test]
fn whoever_is_not_there_is_a_bad_gateway() {
    let nobody = SocketAddr::from((loopback::address(), 1));
    let nginx = Setup::new(Driver::Epoll).in_front_of(nobody).start();
    is_refused(&nginx);
    let line = nginx.line();
    assert_eq!((&*line["penstock"], &*line["status"]), ("-", "502"));
}

#[test]
fn a_server_that_says_off_is_nginx_s_own() {
    let (listener, address) = target();
    let lines = format!("penstock off; proxy_pass {address};");
    let nginx = Setup::new(Driver::Epoll).server(PORT, &lines).start();
    let (client, target) = session(&nginx, &listener);
    Pattern::new(1).send(&mut &client, 1000).expect("an open stream");
    Pattern::new(1).receive(&mut &target, 1000).expect("an open stream");
    drop((client, target));
    assert_eq!(nginx.line()["penstock"], "-");
}
