//! The PROXY header of a balancer in front: required where it is configured, believed only from those who may send it.

use std::io::{Read, Write};
use std::net::TcpStream;

use penstock_tests::connect::{ESTABLISHED, dial, reply, request};
use penstock_tests::{Driver, Penstock, Setup, both_drivers, origin};

both_drivers! {
    the_client_is_who_the_header_says,
    a_header_in_pieces_is_a_header,
    access_rules_judge_the_client_of_the_header,
    without_a_header_there_is_no_tunnel,
    nobody_else_may_send_one,
    it_is_no_request_where_it_is_off,
}

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 3128\r\n";
/// PROXY, TCP4, 12 bytes: from 192.0.2.7:40000 to 192.0.2.1:3128.
const V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc0\x00\x02\x01\x9c\x40\x0c\x38";
/// LOCAL: a health check of the balancer, in its own name.
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

fn start(driver: Driver, from: &str) -> Penstock {
    let setup = Setup::new(driver).set("listen", "proxy_protocol", "\"required\"");
    setup.set("listen", "proxy_from", from).start()
}

/// A connection that has sent these bytes; those that come too late for a proxy in a hurry are lost.
fn say(penstock: &Penstock, bytes: &[u8]) -> TcpStream {
    let mut stream = dial(penstock.proxy()).expect("a listener");
    let _ = stream.write_all(bytes);
    stream
}

fn the_client_is_who_the_header_says(driver: Driver) {
    let penstock = start(driver, "[\"127.0.0.1\"]");
    let origin = origin::start();
    let request = request(origin);
    for header in [V1, V2, V2_LOCAL, b"PROXY UNKNOWN\r\n"] {
        let mut stream = say(&penstock, &[header, request.as_bytes(), b"echo\nhello"].concat());
        assert_eq!(reply(&mut stream).expect("a reply").head, ESTABLISHED);
        let mut back = [0; 5];
        stream.read_exact(&mut back).expect("the echo");
        assert_eq!(&back, b"hello");
    }
    let mut clients: Vec<_> = penstock.access_log(4).into_iter().map(|line| line.client).collect();
    // Two workers may have written them.
    clients.sort_unstable();
    assert_eq!(clients, ["127.0.0.1", "127.0.0.1", "192.0.2.7", "192.0.2.7"]);
}

fn a_header_in_pieces_is_a_header(driver: Driver) {
    let penstock = start(driver, "[\"127.0.0.1\"]");
    let origin = origin::start();
    for header in [V1, V2] {
        let mut stream = say(&penstock, b"");
        for byte in [header, request(origin).as_bytes()].concat() {
            stream.write_all(&[byte]).expect("an open connection");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert_eq!(reply(&mut stream).expect("a reply").head, ESTABLISHED);
    }
}

fn access_rules_judge_the_client_of_the_header(driver: Driver) {
    let setup = Setup::new(driver)
        .set("listen", "proxy_protocol", "\"required\"")
        .set("listen", "proxy_from", "[\"127.0.0.1\"]")
        .set("acl", "viewers", "{ src = [\"192.0.2.0/28\"] }")
        .set("listen", "access", "[\"allow viewers lab\", \"deny all\"]");
    let (penstock, origin) = (setup.start(), origin::start());
    let ask = |header: &[u8]| {
        let mut stream = say(&penstock, &[header, request(origin).as_bytes()].concat());
        reply(&mut stream).expect("a reply").status
    };
    assert_eq!(ask(V1), 200);
    assert_eq!(ask(b"PROXY TCP4 192.0.2.70 192.0.2.1 40000 3128\r\n"), 403);
    assert_eq!(ask(V2_LOCAL), 403);
}

fn without_a_header_there_is_no_tunnel(driver: Driver) {
    let penstock = start(driver, "[\"127.0.0.1\"]");
    let before = penstock.holdings();
    let request = request(origin::start());
    for bytes in [request.as_bytes(), b"PROXY TCP4 nonsense\r\n", &[b'P'; 200]] {
        assert_eq!(rest(say(&penstock, bytes)), "");
    }
    penstock.assert_holds(&before);
}

fn nobody_else_may_send_one(driver: Driver) {
    let penstock = start(driver, "[\"192.0.2.0/24\"]");
    let before = penstock.holdings();
    let request = request(origin::start());
    for header in [V1, V2, b""] {
        assert_eq!(rest(say(&penstock, &[header, request.as_bytes()].concat())), "");
    }
    penstock.assert_holds(&before);
}

fn it_is_no_request_where_it_is_off(driver: Driver) {
    let penstock = Setup::new(driver).start();
    let request = request(origin::start());
    for header in [V1, V2] {
        let mut stream = say(&penstock, &[header, request.as_bytes()].concat());
        assert!(reply(&mut stream).is_ok_and(|reply| [400, 501, 505].contains(&reply.status)));
    }
}

/// All that still comes before the end, whether that is in order or not.
fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(e) if e.kind() != std::io::ErrorKind::ConnectionReset => panic!("no end: {e}"),
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    }
}
