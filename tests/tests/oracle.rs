//! The same requests to Squid and to Penstock: status, error name and log line must be the same, except where a row
//! says what ours does instead, and why.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use penstock_tests::access_log::Line;
use penstock_tests::peers::Squid;
use penstock_tests::{Driver, Setup, both_drivers, connect, loopback, origin, wait};

/// What a client and an operator see of one request.
#[derive(Clone, PartialEq, Debug)]
struct Seen {
    status: u16,
    error: String,
    /// Code, method, URL, user, hierarchy and content type of the log line.
    log: String,
}

/// How ours answers.
enum Ours {
    Same,
    /// Status, error name, and the log line from its code on; a `*` at the size.
    Instead(u16, &'static str, &'static str),
}
use Ours::{Instead, Same};

both_drivers! {
    ours_answers_as_squid_does,
}

/// `OPEN` and `SHUT` stand for an address that listens and one that doesn't, `PORT` for the latter's port.
const ROWS: &[(&str, Ours)] = &[
    ("CONNECT OPEN HTTP/1.0\r\n\r\n", Same),
    ("CONNECT OPEN HTTP/1.1\r\nHost: somewhere.else\r\n\r\n", Same),
    ("\r\nCONNECT OPEN HTTP/1.1\r\n\r\n", Same),
    ("CONNECT OPEN HTTP/1.0\nHost: x\n\n", Same),
    ("CONNECT 127.0.0.1:22 HTTP/1.0\r\n\r\n", Same),
    ("CONNECT 192.0.2.1:5900 HTTP/1.0\r\n\r\n", Same),
    // 5.7 calls a tunnel that never stood NONE_NONE; Squid of today, and ours, TCP_TUNNEL.
    (
        "CONNECT SHUT HTTP/1.0\r\n\r\n",
        Instead(503, "ERR_CONNECT_FAIL 111", "TCP_TUNNEL/503 CONNECT SHUT - HIER_DIRECT/HOST -"),
    ),
    (
        "CONNECT [::1]:PORT HTTP/1.0\r\n\r\n",
        Instead(
            503,
            "ERR_CONNECT_FAIL 111",
            "TCP_TUNNEL/503 CONNECT [::1]:PORT - HIER_DIRECT/::1 -",
        ),
    ),
    // spice-gtk writes IPv6 without brackets, and its users want a console, not a lecture.
    (
        "CONNECT ::1:PORT HTTP/1.0\r\n\r\n",
        Instead(
            503,
            "ERR_CONNECT_FAIL 111",
            "TCP_TUNNEL/503 CONNECT [::1]:PORT - HIER_DIRECT/::1 -",
        ),
    ),
    // 5.7 has no word of its own for a name that does not resolve when no name server answers.
    (
        "CONNECT nohost.invalid:5900 HTTP/1.0\r\n\r\n",
        Instead(
            503,
            "ERR_DNS_FAIL 0",
            "TCP_TUNNEL/503 CONNECT nohost.invalid:5900 - HIER_NONE/- -",
        ),
    ),
    // 5.7 takes a missing port for 443; Squid of today, and ours, do not guess.
    (
        "CONNECT 127.0.0.1 HTTP/1.0\r\n\r\n",
        Instead(
            400,
            "ERR_INVALID_URL 0",
            "NONE_NONE/400 CONNECT 127.0.0.1 - HIER_NONE/- text/html",
        ),
    ),
    // 5.7 takes what is no HTTP for another protocol; Squid of today, and ours, for a bad request.
    (
        "BOGUS\r\n\r\n",
        Instead(
            400,
            "ERR_INVALID_REQ 0",
            "NONE_NONE/400 BOGUS error:invalid-request - HIER_NONE/- text/html",
        ),
    ),
];

/// Fills in what a row leaves open.
fn fill(text: &str, open: SocketAddr, shut: SocketAddr) -> String {
    text.replace("OPEN", &open.to_string())
        .replace("SHUT", &shut.to_string())
        .replace("HOST", &shut.ip().to_string())
        .replace("PORT", &shut.port().to_string())
}

fn see(proxy: SocketAddr, request: &str, log: impl Fn() -> Option<Line>) -> Seen {
    let reply = connect::ask(proxy, request.as_bytes()).expect("a reply");
    let line = wait::until("a log line", connect::PATIENCE, log);
    let Line { code, method, url, user, hierarchy, content_type, .. } = line;
    Seen {
        status: reply.status,
        error: reply.header("X-Squid-Error").unwrap_or_default().into(),
        log: format!("{code} {method} {url} {user} {hierarchy} {content_type}"),
    }
}

fn ours_answers_as_squid_does(driver: Driver) {
    let (squid, penstock) = (Squid::start(), Setup::new(driver).start());
    let open = origin::start();
    let shut = refusing(loopback::address());
    let mut wrong = Vec::new();
    for (n, (row, ours)) in ROWS.iter().enumerate() {
        let request = fill(row, open, shut);
        let theirs = see(squid.address(), &request, || squid.access_log().into_iter().nth(n));
        let expected = match ours {
            Same => theirs,
            Instead(status, error, log) => {
                let instead =
                    Seen { status: *status, error: (*error).into(), log: fill(log, open, shut) };
                assert_ne!(instead, theirs, "no difference in row {row:?}");
                instead
            }
        };
        let seen = see(penstock.proxy(), &request, || penstock.access_log(n + 1).pop());
        if seen != expected {
            wrong.push(format!("{row:?}\n  expected {expected:?}\n  saw      {seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// An address where nothing listens: reserved for the length of a test by its own number.
fn refusing(address: Ipv4Addr) -> SocketAddr {
    let listener = TcpListener::bind((address, 0)).expect("an address of this host");
    listener.local_addr().expect("a bound address")
}
