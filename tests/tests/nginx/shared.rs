//! Servers that share an address, and that pass a client on to another: what nginx has from 1.25.5 on.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use penstock_tests::connect::{be_patient, dial};
use penstock_tests::pki::{Authority, Wanted};
use penstock_tests::stream::{End, Pattern};
use penstock_tests::tls::TlsClient;
use penstock_tests::{Driver, Stopwatch, process};

use super::bytes::client_hello;
use super::program;
use super::rig::{PORT, Setup, target};

/// For all servers, and whatever speaks TLS with them: a certificate, whose files go into the folder.
fn with_certificate(setup: Setup, dir: &Path) -> (Setup, TlsClient) {
    let authority = Authority::new("CA");
    let (certificate, key) = (dir.join("server.pem"), dir.join("server.key"));
    authority.issue(&Wanted::server(setup.address)).write(&certificate, &key);
    let (certificate, key) = (certificate.display(), key.display());
    let lines = format!("ssl_certificate {certificate}; ssl_certificate_key {key};");
    (setup.stream(&lines), TlsClient::new(&authority, None))
}

/// The name in the ClientHello, and with it what holds for the session: whether it is handed over, where to, and for how long.
#[test]
fn a_name_chooses_the_server() {
    if !program::has_virtual_servers() {
        return program::say_that_it_is_old();
    }
    let ((one, address_of_one), (other, address_of_other)) = (target(), target());
    let setup = Setup::new(Driver::Epoll).stream("ssl_preread on;");
    let first = format!("penstock off; server_name one.test; proxy_pass {address_of_one};");
    let second =
        format!("server_name other.test; proxy_timeout 1s; proxy_pass {address_of_other};");
    let nginx = setup.server(PORT, &first).server(PORT, &second).start();
    let cases = [("one.test", &one, "-"), ("other.test", &other, "on")];
    for (n, (name, listener, penstock)) in cases.into_iter().enumerate() {
        let hello = client_hello(name);
        let mut client = dial(nginx.address).expect("nginx listens");
        client.write_all(&hello).expect("nginx reads");
        let (target, _) = listener.accept().expect("nginx connects");
        be_patient(&target).expect("a socket");
        Pattern::new(1).send(&mut &target, 1000).expect("an open stream");
        Pattern::new(1).receive(&mut client, 1000).expect("an open stream");
        if name == "other.test" {
            let watch = Stopwatch::start();
            assert_eq!(Pattern::new(2).drain(&mut client), End::Eof);
            assert!(watch.elapsed() < Duration::from_secs(10), "{:?}", watch.elapsed());
        }
        drop((client, target));
        let line = nginx.lines(n + 1).pop().expect("a line");
        assert_eq!((&*line["penstock"], &*line["bytes_sent"]), (penstock, "1000"), "{name}");
        assert_eq!(line["bytes_received"], hello.len().to_string(), "{name}");
    }
}

/// TLS holds for all servers of an address, whichever of them says it.
#[test]
fn tls_of_a_server_beside_it_is_refused() {
    if !program::has_virtual_servers() {
        return program::say_that_it_is_old();
    }
    let dir = process::directory();
    let (setup, _) = with_certificate(Setup::new(Driver::Epoll), dir.path());
    let said = setup
        .server(PORT, "server_name one.test; proxy_pass 127.0.0.1:1;")
        .server(PORT, "ssl; server_name other.test; penstock off; proxy_pass 127.0.0.1:1;")
        .refusal();
    assert!(said.contains("can't hold beside \"listen ... ssl\" in the server in "), "{said}");
}

const INNER: u16 = 5901;

/// A server that passes clients on, with these lines, to one behind which the target is.
fn passing(setup: Setup, lines: &str, target: SocketAddr) -> Setup {
    let inner = SocketAddr::new(setup.address, INNER);
    setup
        .server(PORT, &format!("{lines} pass {inner};"))
        .server(INNER, &format!("proxy_pass {target};"))
}

#[test]
fn who_is_passed_on_is_handed_over() {
    if !program::has_virtual_servers() {
        return program::say_that_it_is_old();
    }
    let (listener, address) = target();
    let nginx = passing(Setup::new(Driver::Epoll), "", address).start();
    let mut client = dial(nginx.address).expect("nginx listens");
    let (mut target, _) = listener.accept().expect("nginx connects");
    Pattern::new(1).send(&mut client, 100_000).expect("an open stream");
    Pattern::new(1).receive(&mut target, 100_000).expect("all of it");
    Pattern::new(2).send(&mut target, 100_000).expect("an open stream");
    Pattern::new(2).receive(&mut client, 100_000).expect("all of it");
    drop((client, target));
    let line = nginx.line();
    assert_eq!((&*line["penstock"], &*line["bytes_received"]), ("on", "100000"));
}

/// The server that carries it knows nothing of TLS, the connection does.
#[test]
fn who_is_passed_on_with_tls_stays_with_nginx() {
    if !program::has_virtual_servers() {
        return program::say_that_it_is_old();
    }
    let (listener, address) = target();
    let dir = process::directory();
    let (setup, client) = with_certificate(Setup::new(Driver::Epoll), dir.path());
    let nginx = passing(setup, "ssl; penstock off;", address).start();
    let mut client = client.connect(nginx.address).expect("nginx shakes hands");
    let (mut target, _) = listener.accept().expect("nginx connects");
    be_patient(&target).expect("a socket");
    Pattern::new(1).send(&mut client, 100_000).expect("an open stream");
    Pattern::new(1).receive(&mut target, 100_000).expect("in the clear");
    Pattern::new(2).send(&mut target, 100_000).expect("an open stream");
    Pattern::new(2).receive(&mut client, 100_000).expect("encrypted");
    drop((client, target));
    let line = nginx.line();
    assert_eq!((&*line["penstock"], &*line["bytes_sent"]), ("fell back: TLS", "100000"));
    assert!(nginx.errors().contains("nginx carries this session by itself: it speaks TLS"));
}
