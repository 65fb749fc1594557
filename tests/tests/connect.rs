//! HTTP CONNECT as a client sees it: the reply to the byte, early data, every form of target, refusals, limits.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use penstock_tests::connect::{ESTABLISHED, ask, dial, reply, request, tunnel};
use penstock_tests::stream::Pattern;
use penstock_tests::{Driver, Penstock, Setup, both_drivers, loopback, origin};

both_drivers! {
    the_reply_has_39_bytes_for_every_client,
    bytes_behind_the_head_belong_to_the_tunnel,
    a_head_may_come_byte_by_byte,
    ipv6_targets_may_lack_brackets,
    a_listener_may_have_many_addresses,
    names_are_resolved_by_the_proxy,
    limits_have_their_status,
    local_targets_need_a_rule_that_names_them,
    a_rule_may_depend_on_the_port_that_was_connected_to,
    the_proxy_is_no_target_of_itself,
    an_error_says_what_happened_and_tells_no_secret,
    a_client_may_vanish_at_any_byte,
    past_the_limit_a_client_hears_503_and_the_others_live,
}

fn the_reply_has_39_bytes_for_every_client(driver: Driver) {
    let (penstock, origin) = (Setup::new(driver).start(), origin::start());
    let requests = [
        format!("CONNECT {origin} HTTP/1.0\r\n\r\n"),
        format!("CONNECT {origin} HTTP/1.1\r\nHost: {origin}\r\n\r\n"),
        request(origin),
        // Two forms that old spice-gtk sent: a credential without its scheme, a line break that isn't there.
        format!(
            "CONNECT {origin} HTTP/1.0\r\nHost: {origin}\r\nProxy-Authorization: bGFiOnNlY3JldA==\r\n\r\n"
        ),
        format!(
            "CONNECT {origin} HTTP/1.0\r\nHost: {}Proxy-Connection: keep-alive\r\n\r\n",
            origin.ip()
        ),
    ];
    for request in &requests {
        let mut stream = dial(penstock.proxy()).expect("a listener");
        stream.write_all(request.as_bytes()).expect("an open connection");
        assert_eq!(reply(&mut stream).expect("a reply").head, ESTABLISHED, "{request:?}");
        assert_eq!(echo(&mut stream), b"hello", "{request:?}");
    }
    for line in penstock.access_log(requests.len()) {
        assert_eq!((line.code.as_str(), line.size), ("TCP_TUNNEL/200", 39 + 5));
    }
}

fn bytes_behind_the_head_belong_to_the_tunnel(driver: Driver) {
    let (penstock, origin) = (Setup::new(driver).start(), origin::start());
    for early in [1, 5_000, 60_000] {
        let (mut up, mut down) = (Pattern::new(early), Pattern::new(early));
        let mut message = [request(origin).as_bytes(), b"echo\n"].concat();
        up.send(&mut message, early).expect("memory");
        let mut stream = dial(penstock.proxy()).expect("a listener");
        stream.write_all(&message).expect("an open connection");
        assert_eq!(reply(&mut stream).expect("a reply").head, ESTABLISHED);
        down.receive(&mut stream, early).expect("the early bytes");
    }
}

fn a_head_may_come_byte_by_byte(driver: Driver) {
    let (penstock, origin) = (Setup::new(driver).start(), origin::start());
    let mut stream = dial(penstock.proxy()).expect("a listener");
    for byte in request(origin).bytes() {
        stream.write_all(&[byte]).expect("an open connection");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!(reply(&mut stream).expect("a reply").head, ESTABLISHED);
    assert_eq!(echo(&mut stream), b"hello");
}

fn ipv6_targets_may_lack_brackets(driver: Driver) {
    let penstock = Setup::new(driver).start();
    let listener = TcpListener::bind("[::1]:0").expect("an IPv6 loopback");
    let port = listener.local_addr().expect("a bound address").port();
    std::thread::spawn(move || origin::serve(&listener));
    for target in [format!("[::1]:{port}"), format!("::1:{port}")] {
        assert_eq!(echo(&mut tunnel(penstock.proxy(), target)), b"hello");
    }
    for line in penstock.access_log(2) {
        assert_eq!(
            (line.url, line.hierarchy.as_str()),
            (format!("[::1]:{port}"), "HIER_DIRECT/::1")
        );
    }
}

fn a_listener_may_have_many_addresses(driver: Driver) {
    let (first, port) = (loopback::address(), loopback::port_v6());
    let setup = Setup::new(driver);
    let setup = setup.set("listen", "address", &format!("[\"{first}:3128\", \"[::1]:{port}\"]"));
    let (penstock, origin) = (setup.start(), origin::start());
    let addresses =
        [SocketAddr::from((first, 3128)), format!("[::1]:{port}").parse().expect("an address")];
    for address in addresses {
        assert_eq!(echo(&mut tunnel(address, origin)), b"hello");
    }
    let mut clients: Vec<String> =
        penstock.access_log(2).into_iter().map(|line| line.client).collect();
    // Two workers may have written them.
    clients.sort_unstable();
    assert_eq!(clients, ["127.0.0.1", "::1"]);
}

fn names_are_resolved_by_the_proxy(driver: Driver) {
    let penstock = Setup::new(driver).start();
    // The name means ::1 too, where nothing listens: the other address must be tried.
    let origin = origin::start();
    let target = format!("LocalHost.:{}", origin.port());
    for _ in 0..2 {
        assert_eq!(echo(&mut tunnel(penstock.proxy(), &target)), b"hello");
    }
    for line in penstock.access_log(2) {
        let url = format!("localhost:{}", origin.port());
        assert_eq!((line.url, line.hierarchy.as_str()), (url, "HIER_DIRECT/127.0.0.1"));
    }
}

fn limits_have_their_status(driver: Driver) {
    let (penstock, origin) = (Setup::new(driver).start(), origin::start());
    let head = |fields: &str| format!("CONNECT {origin} HTTP/1.1\r\n{fields}\r\n");
    let filled = |size: usize| {
        let field = format!("A: {}\r\n", "a".repeat(size - head("A: \r\n").len()));
        head(&field)
    };
    assert_eq!(status(&penstock, &filled(65_536)), 200);
    assert_eq!(status(&penstock, &filled(65_537)), 431);
    assert_eq!(status(&penstock, &head(&"A: b\r\n".repeat(100))), 200);
    assert_eq!(status(&penstock, &head(&"A: b\r\n".repeat(101))), 431);
    let long = "a".repeat(10_000);
    assert_eq!(status(&penstock, &format!("CONNECT {long}:80 HTTP/1.1\r\n\r\n")), 414);
    assert_eq!(status(&penstock, &head("A\0: b\r\n")), 400);
    assert_eq!(status(&penstock, &head("A : b\r\n")), 400);
    assert_eq!(status(&penstock, &head("A: b\r\n  c\r\n")), 400);
}

fn local_targets_need_a_rule_that_names_them(driver: Driver) {
    let allow_all = "[\"allow all\"]";
    let penstock = Setup::new(driver).set("listen", "access", allow_all).start();
    let origin = origin::start();
    let disguises = [
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "[::]",
        "localhost",
        "169.254.169.254",
        "[fe80::1]",
        "[::ffff:0.0.0.0]",
    ];
    for host in disguises {
        let reply = ask(penstock.proxy(), request(format!("{host}:{}", origin.port())).as_bytes());
        let reply = reply.expect("a reply");
        let error = reply.header("X-Squid-Error").map(str::to_owned);
        assert_eq!((reply.status, error.as_deref()), (403, Some("ERR_ACCESS_DENIED 0")), "{host}");
    }
    // Forms that some resolvers take for 127.0.0.1 must not be a way round either.
    for host in ["127.1", "0x7f.1", "2130706433", "0177.0.0.1"] {
        let request = request(format!("{host}:{}", origin.port()));
        let status = status(&penstock, &request);
        assert!([400, 403, 503].contains(&status), "{host}: {status}");
    }
}

fn a_rule_may_depend_on_the_port_that_was_connected_to(driver: Driver) {
    let origin = origin::start();
    for (port, expected) in [("3128", 200), ("3129", 403)] {
        let setup =
            Setup::new(driver).set("acl", "front", &format!("{{ localport = [\"{port}\"] }}"));
        let rules = "[\"allow front lab\", \"deny all\"]";
        let penstock = setup.set("listen", "access", rules).start();
        assert_eq!(status(&penstock, &request(origin)), expected, "a rule for port {port}");
    }
}

fn the_proxy_is_no_target_of_itself(driver: Driver) {
    let penstock = Setup::new(driver).start();
    let before = penstock.holdings();
    assert_eq!(status(&penstock, &request(penstock.proxy())), 403);
    penstock.assert_holds(&before);
}

fn an_error_says_what_happened_and_tells_no_secret(driver: Driver) {
    let penstock = Setup::new(driver).start();
    let request =
        "CONNECT 127.0.0.1:22 HTTP/1.1\r\nProxy-Authorization: Basic c2VjcmV0OmNhbmFyeQ==\r\n\r\n";
    let reply = ask(penstock.proxy(), request.as_bytes()).expect("a reply");
    assert_eq!(reply.status, 403);
    assert_eq!(reply.header("Connection"), Some("close"));
    assert_eq!(reply.header("Content-Type"), Some("text/html;charset=utf-8"));
    assert!(reply.body.contains("access rules"), "{}", reply.body);
    assert!(!reply.body.contains("c2VjcmV0") && !reply.head.contains("c2VjcmV0"));
    let line = penstock.access_log(1).remove(0);
    let size = reply.head.len() + reply.body.len();
    assert_eq!((line.code.as_str(), line.size), ("TCP_DENIED/403", size as u64));
}

fn a_client_may_vanish_at_any_byte(driver: Driver) {
    let (penstock, origin) = (Setup::new(driver).start(), origin::start());
    let before = penstock.holdings();
    let request = request(origin);
    for length in 0..=request.len() {
        let mut stream = dial(penstock.proxy()).expect("a listener");
        stream.write_all(&request.as_bytes()[..length]).expect("an open connection");
        if length % 2 == 0 {
            let reset = Some(std::time::Duration::ZERO);
            socket2::SockRef::from(&stream).set_linger(reset).expect("a socket");
        }
    }
    penstock.assert_holds(&before);
    assert_eq!(echo(&mut tunnel(penstock.proxy(), origin)), b"hello");
}

fn past_the_limit_a_client_hears_503_and_the_others_live(driver: Driver) {
    let penstock = Setup::new(driver).set("engine", "max_tunnels", "4").start();
    let origin = origin::start();
    let mut living: Vec<_> = (0..4).map(|_| tunnel(penstock.proxy(), origin)).collect();
    let refused = ask(penstock.proxy(), request(origin).as_bytes()).expect("a reply");
    assert_eq!(refused.status, 503);
    assert!(refused.header("Retry-After").is_some(), "{}", refused.head);
    for stream in &mut living {
        assert_eq!(echo(stream), b"hello");
    }
    drop(living);
    let again = penstock_tests::wait::until("room", penstock_tests::connect::PATIENCE, || {
        penstock_tests::connect::try_tunnel(penstock.proxy(), origin).ok()
    });
    drop(again);
}

fn status(penstock: &Penstock, request: &str) -> u16 {
    ask(penstock.proxy(), request.as_bytes()).expect("a reply").status
}

/// What an echoing origin gives back for `hello`.
fn echo(stream: &mut TcpStream) -> Vec<u8> {
    stream.write_all(b"echo\nhello").expect("an open tunnel");
    let mut back = vec![0; 5];
    stream.read_exact(&mut back).expect("the echo");
    back
}
