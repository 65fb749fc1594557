//! The CONNECT service behind TLS, and with TLS towards its targets: answers that can be read, and what comes before its time.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use penstock_tests::connect::{ESTABLISHED, PATIENCE, request};
use penstock_tests::pki::{Authority, Folder, Wanted};
use penstock_tests::stream::fill;
use penstock_tests::{Driver, Penstock, Setup, Stopwatch, both_drivers, wait};
use rustls::ServerConnection;
use rustls::pki_types::ServerName;

use crate::end::{End, Ending, Socket};
use crate::gateway::{client_config, server_config};

both_drivers! {
    a_refusal_through_tls_can_be_read,
    curl_reads_why_it_was_refused,
    a_request_that_does_not_end_is_answered_through_tls,
    a_target_that_does_not_shake_hands_is_told_as_such,
    a_target_of_strangers_is_refused_and_told_why,
    a_target_without_tls_is_told_as_such,
    who_leaves_during_the_targets_handshake_takes_it_along,
    more_than_is_kept_ahead_arrives_all_the_same,
    in_the_clear_or_not_as_the_client_likes,
    a_header_and_tls_may_come_in_one_piece,
    there_is_no_room_for_one_more,
    the_address_that_answers_first_gets_the_handshake,
}

const SECOND: Duration = Duration::from_secs(1);

struct Proxy {
    penstock: Penstock,
    pki: Folder,
}

/// A proxy whose clients speak TLS, as configured by `more`; with `upstream`, its targets do, too.
fn start(driver: Driver, upstream: bool, more: impl Fn(Setup) -> Setup) -> Proxy {
    let (setup, pki) = (Setup::new(driver), Folder::new());
    let pair = pki.pair("proxy", &Wanted::server(setup.address()));
    let json = "{ path = \"access.log\", format = \"json\" }";
    let mut setup = setup.set("listen", "tls", &format!("{{ {pair} }}")).set("log", "access", json);
    if upstream {
        let ca = format!("{{ ca = \"{}\" }}", pki.authority_file().display());
        setup = setup.set("listen", "upstream_tls", &ca);
    }
    Proxy { penstock: more(setup).start(), pki }
}

impl Proxy {
    fn dial(&self) -> TcpStream {
        TcpStream::connect(self.penstock.proxy()).expect("it listens")
    }

    fn shake(&self, socket: TcpStream) -> std::io::Result<End> {
        let config = client_config(&self.pki.authority, rustls::ALL_VERSIONS);
        let name = ServerName::from(self.penstock.proxy().ip());
        let session = rustls::ClientConnection::new(config, name).expect("a client");
        End::tls(Socket::Tcp(socket), session)
    }

    fn connect(&self) -> End {
        self.shake(self.dial()).expect("it lets us in")
    }

    fn record(&self) -> serde_json::Value {
        self.penstock.records(1).remove(0)
    }
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

/// A target that somebody else's authority vouches for.
fn stranger(socket: TcpStream) -> std::io::Result<End> {
    let identity = Authority::new("another").issue(&Wanted::server(Ipv4Addr::LOCALHOST));
    let config = server_config(&identity, rustls::ALL_VERSIONS);
    End::tls(Socket::Tcp(socket), ServerConnection::new(config).expect("a server"))
}

fn assert_refused(answer: &str, status: u16, words: &[&str]) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    for word in words {
        assert!(answer.contains(word), "no {word:?} in {answer}");
    }
}

fn answer(client: &mut End) -> (String, Ending) {
    let (bytes, ending) = client.rest();
    (String::from_utf8_lossy(&bytes).into_owned(), ending)
}

fn a_refusal_through_tls_can_be_read(driver: Driver) {
    let proxy = start(driver, false, |setup| setup);
    let before = proxy.penstock.holdings();
    let mut client = proxy.connect();
    client.say(request("127.0.0.1:22").as_bytes());
    let (text, ending) = answer(&mut client);
    assert_refused(&text, 403, &["ERR_ACCESS_DENIED", "`access`"]);
    assert_eq!(ending, Ending::InOrder);
    let mut client = proxy.connect();
    client.say(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_refused(&answer(&mut client).0, 405, &["Allow: CONNECT"]);
    drop(client);
    proxy.penstock.assert_holds(&before);
    let records = proxy.penstock.records(2);
    let denied = records.iter().find(|record| record["status"] == 403).expect("the first one");
    assert_eq!(denied["bytes_to_client"], text.len(), "what a client reads, not what TLS adds");
}

fn curl_reads_why_it_was_refused(driver: Driver) {
    let proxy = start(driver, false, |setup| setup);
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-p", "-x", &format!("https://{}", proxy.penstock.proxy())]);
    curl.arg("--proxy-cacert").arg(proxy.pki.authority_file());
    curl.args(["-w", "%{http_connect}", "http://127.0.0.1:22/"]);
    let output = curl.output().expect("curl");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "403");
}

fn a_request_that_does_not_end_is_answered_through_tls(driver: Driver) {
    let proxy = start(driver, false, |setup| setup.timeouts(&[("handshake", "1s")]));
    let mut client = proxy.connect();
    client.say(b"CONNECT 127.0.0.1:5900 HTT");
    let (text, ending) = answer(&mut client);
    assert_refused(&text, 408, &["ERR_READ_TIMEOUT", "the request at once"]);
    assert_eq!(ending, Ending::InOrder);
}

fn a_target_that_does_not_shake_hands_is_told_as_such(driver: Driver) {
    for status in [503, 504] {
        let proxy = start(driver, true, |setup| {
            let setup = setup.timeouts(&[("handshake", "1s")]);
            setup.set("listen", "connect_timeout_status", &status.to_string())
        });
        let (_silent, target) = listen();
        let watch = Stopwatch::start();
        let mut client = proxy.connect();
        client.say(request(target).as_bytes());
        let (text, _) = answer(&mut client);
        assert_refused(&text, status, &["ERR_SECURE_CONNECT_FAIL", "none in time", "speaks TLS"]);
        assert!(watch.is_within(SECOND..2 * SECOND), "{:?}", watch.real());
        drop(client);
        let record = proxy.record();
        let told = ["side", "phase", "cause"].map(|key| record[key].as_str().expect("text"));
        assert_eq!(told, ["target", "tls", "handshake_timeout"]);
    }
}

fn a_target_of_strangers_is_refused_and_told_why(driver: Driver) {
    let proxy = start(driver, true, |setup| setup);
    let before = proxy.penstock.holdings();
    let (listener, target) = listen();
    let target_hears = thread::spawn(move || {
        let (socket, _) = listener.accept().expect("the proxy connects");
        stranger(socket).err().expect("nobody trusts it").to_string()
    });
    let mut client = proxy.connect();
    client.say(request(target).as_bytes());
    assert_refused(&answer(&mut client).0, 503, &["ERR_SECURE_CONNECT_FAIL", "trusts"]);
    drop(client);
    let record = proxy.record();
    assert_eq!(record["cause"], "certificate_refused");
    let detail = record["detail"].as_str().expect("words").to_owned();
    assert!(detail.contains("CA") && detail.contains("`ca`"), "{detail}");
    let heard = target_hears.join().expect("a target");
    assert!(heard.contains("UnknownCA") || heard.contains("Unknown"), "{heard}");
    proxy.penstock.assert_holds(&before);
}

fn a_target_without_tls_is_told_as_such(driver: Driver) {
    let proxy = start(driver, true, |setup| setup);
    let (listener, target) = listen();
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("the proxy connects");
        socket.write_all(b"RFB 003.008\n").expect("an open stream");
        socket.read_to_end(&mut Vec::new()).expect("an end");
    });
    let mut client = proxy.connect();
    client.say(request(target).as_bytes());
    assert_refused(&answer(&mut client).0, 503, &["ERR_SECURE_CONNECT_FAIL"]);
    drop(client);
    let record = proxy.record();
    assert!(record["detail"].as_str().is_some_and(|text| text.contains("VNC")), "{record}");
}

fn who_leaves_during_the_targets_handshake_takes_it_along(driver: Driver) {
    let proxy = start(driver, true, |setup| setup);
    let before = proxy.penstock.holdings();
    for leaves in [End::finish, |end: &mut End| end.cut(), |_: &mut End| ()] {
        let (listener, target) = listen();
        let mut client = proxy.connect();
        client.say(request(target).as_bytes());
        let (mut silent, _) = listener.accept().expect("the proxy connects");
        silent.set_read_timeout(Some(PATIENCE)).expect("a socket");
        silent.read_exact(&mut [0; 100]).expect("a hello");
        leaves(&mut client);
        drop(client);
        silent.read_to_end(&mut Vec::new()).expect("an end");
        drop(silent);
        proxy.penstock.assert_holds(&before);
    }
}

fn more_than_is_kept_ahead_arrives_all_the_same(driver: Driver) {
    let proxy = start(driver, true, |setup| setup);
    let (listener, target) = listen();
    let identity = proxy.pki.authority.issue(&Wanted::server(Ipv4Addr::LOCALHOST));
    let mut early = vec![0; 300_000];
    fill(1, 0, &mut early);
    let expected = early.clone();
    thread::scope(|scope| {
        scope.spawn(move || {
            let (socket, _) = listener.accept().expect("the proxy connects");
            thread::sleep(SECOND / 2);
            let config = server_config(&identity, rustls::ALL_VERSIONS);
            let session = ServerConnection::new(config).expect("a server");
            let mut end = End::tls(Socket::Tcp(socket), session).expect("trusted");
            assert!(end.hear(expected.len()) == expected, "other bytes, or in another order");
            end.say(b"thanks");
            end.finish();
        });
        let mut client = proxy.connect();
        let mut all = request(target).into_bytes();
        all.extend_from_slice(&early);
        client.say(&all);
        let (heard, ending) = answer(&mut client);
        assert_eq!((heard, ending), (format!("{ESTABLISHED}thanks"), Ending::InOrder));
    });
}

fn in_the_clear_or_not_as_the_client_likes(driver: Driver) {
    let proxy = start(driver, false, |setup| setup.set("listen", "tls_only", "false"));
    let mut clear = End::plain(Socket::Tcp(proxy.dial()));
    let mut secure = proxy.connect();
    for client in [&mut clear, &mut secure] {
        client.say(request("127.0.0.1:22").as_bytes());
        assert_refused(&answer(client).0, 403, &["ERR_ACCESS_DENIED"]);
    }
    // Without the word for it, nobody is served in the clear.
    let proxy = start(driver, false, |setup| setup);
    let mut clear = End::plain(Socket::Tcp(proxy.dial()));
    clear.say(request("127.0.0.1:22").as_bytes());
    let (heard, _) = clear.rest();
    assert!(!heard.starts_with(b"HTTP"), "{heard:?}");
    drop(clear);
    let record = proxy.record();
    assert_eq!((&record["phase"], &record["cause"]), (&"tls".into(), &"tls_failed".into()));
    assert!(record["detail"].as_str().is_some_and(|text| text.contains("HTTP")), "{record}");
}

fn a_header_and_tls_may_come_in_one_piece(driver: Driver) {
    let proxy = start(driver, false, |setup| {
        let setup = setup.set("listen", "proxy_protocol", "\"required\"");
        setup.set("listen", "proxy_from", "[\"127.0.0.0/8\"]")
    });
    let header = b"PROXY TCP4 192.0.2.7 192.0.2.8 4711 3128\r\n";
    for piece in [1, 20, header.len(), header.len() + 1, header.len() + 5, 4096] {
        let mut socket = proxy.dial();
        socket.set_nodelay(true).expect("a socket");
        let config = client_config(&proxy.pki.authority, rustls::ALL_VERSIONS);
        let name = ServerName::from(proxy.penstock.proxy().ip());
        let mut session = rustls::ClientConnection::new(config, name).expect("a client");
        let mut all = header.to_vec();
        session.write_tls(&mut all).expect("memory");
        let (first, rest) = all.split_at(piece.min(all.len()));
        socket.write_all(first).expect("an open stream");
        thread::sleep(SECOND / 50);
        socket.write_all(rest).expect("an open stream");
        let mut client = End::tls(Socket::Tcp(socket), session).expect("it lets us in");
        client.say(request("127.0.0.1:22").as_bytes());
        assert_refused(&answer(&mut client).0, 403, &["ERR_ACCESS_DENIED"]);
    }
    let records = proxy.penstock.records(6);
    assert!(records.iter().all(|record| record["client"] == "192.0.2.7:4711"), "{records:?}");
}

fn there_is_no_room_for_one_more(driver: Driver) {
    let limits: [fn(Setup) -> Setup; 2] = [
        |setup| setup.set("engine", "max_tunnels", "1"),
        |setup| setup.set("listen", "max_sessions", "1"),
    ];
    for (limit, cause) in limits.into_iter().zip(["overloaded", "in_use"]) {
        let proxy = start(driver, false, limit);
        let (_listener, target) = listen();
        let mut client = proxy.connect();
        client.say(request(target).as_bytes());
        assert_eq!(client.hear(ESTABLISHED.len()), ESTABLISHED.as_bytes());
        let watch = Stopwatch::start();
        assert!(proxy.shake(proxy.dial()).is_err(), "there is no room");
        assert!(watch.elapsed() < SECOND, "{:?}", watch.real());
        let record = proxy.record();
        assert_eq!((&record["side"], &record["cause"]), (&"penstock".into(), &cause.into()));
        drop(client);
        wait::until_true("there is room again", PATIENCE, || proxy.shake(proxy.dial()).is_ok());
    }
}

/// A name of several addresses, some of which never answer: the others are not heard of any more, and TLS is spoken with one only,
/// behind the PROXY header.
fn the_address_that_answers_first_gets_the_handshake(driver: Driver) {
    let hosts = tempfile::NamedTempFile::new().expect("a file");
    let (listener, target) = listen();
    // 240.0.0.0/4 is nobody's; where it is refused at once, the next one has its turn at once.
    let lines = "240.0.0.1 gateway.test\n192.0.2.1 gateway.test\n127.0.0.1 gateway.test\n192.0.2.2 gateway.test\n";
    std::fs::write(hosts.path(), lines).expect("room");
    let proxy = start(driver, true, |setup| {
        let setup = setup.set(
            "acl",
            "lab",
            "{ dst = [\"127.0.0.0/8\", \"240.0.0.0/4\", \"192.0.2.0/24\"] }",
        );
        let setup = setup.set("listen", "send_proxy", "\"v1\"");
        setup.seeing(hosts.path(), "/etc/hosts")
    });
    let before = proxy.penstock.holdings();
    let identity = proxy.pki.authority.issue(&Wanted::named_server("gateway.test"));
    for _ in 0..5 {
        thread::scope(|scope| {
            let (listener, identity) = (&listener, &identity);
            scope.spawn(move || {
                let (mut socket, _) = listener.accept().expect("the proxy connects");
                let mut header = Vec::new();
                while !header.ends_with(b"\r\n") {
                    let mut byte = [0];
                    socket.read_exact(&mut byte).expect("a header");
                    header.push(byte[0]);
                }
                assert!(header.starts_with(b"PROXY TCP4 127."), "{header:?}");
                let config = server_config(identity, rustls::ALL_VERSIONS);
                let session = ServerConnection::new(config).expect("a server");
                let mut end = End::tls(Socket::Tcp(socket), session).expect("trusted");
                assert_eq!(end.hear(5), b"early");
                end.say(b"late");
                end.finish();
            });
            let mut client = proxy.connect();
            let asked = request(format!("gateway.test:{}", target.port()));
            client.say(&[asked.as_bytes(), b"early"].concat());
            assert_eq!(answer(&mut client), (format!("{ESTABLISHED}late"), Ending::InOrder));
        });
    }
    proxy.penstock.assert_holds(&before);
}
