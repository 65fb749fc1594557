//! Pages that try to open somebody's console from within his browser: all of them are refused before the 101, and nothing reaches the target.

use penstock_tests::connect::PATIENCE;
use penstock_tests::web_socket::{KEY, request};
use penstock_tests::{Driver, both_drivers, wait};

use crate::rig::{House, Plan, WIRES};

both_drivers! {
    pages_of_other_hosts_are_refused,
    pages_of_the_same_host_are_let_in_on_any_port,
    who_sends_no_origin_is_no_browser,
    of_listed_origins_each_part_counts,
    the_protocol_counts_where_a_trusted_proxy_tells_it,
    what_an_untrusted_proxy_tells_does_not_count,
    several_origins_are_refused,
    everybody_may_where_that_is_said,
    a_request_without_a_host_has_no_same_host,
    tokens_and_passwords_do_not_help_a_hostile_page,
}

fn head(host: &str, lines: &str) -> String {
    request(host, "/", lines)
}

/// Status for a page of that origin.
fn status(house: &House, host: &str, origin: &str, more: &str) -> u16 {
    house.ask(&head(host, &format!("Origin: {origin}\r\n{more}"))).status
}

/// Refused, and told so without a word about the target or the page.
fn assert_refused(house: &House, host: &str, origin: &str, more: &str) {
    let lines = format!("Origin: {origin}\r\n{more}");
    let reply = house.ask(&head(host, &lines));
    assert_eq!(reply.status, 403, "{origin:?} at {host}");
    assert_eq!(reply.header("Upgrade"), None, "{origin:?}");
    assert!(!reply.body.contains("evil") && !reply.body.contains("tcp://"), "{}", reply.body);
}

/// What a browser calls this host, and origins that are not its.
const HOSTILE: &[(&str, &[&str])] = &[
    (
        "console.example:6080",
        &[
            "https://evil.example",
            "http://evil.example:6080",
            "null",
            "NULL",
            "",
            "file://",
            "data:",
            "about:blank",
            "chrome-extension://console.example",
            // Behind, before and around the name.
            "https://console.example.evil.example",
            "https://evilconsole.example",
            "https://evil.console.example",
            "https://console.exampleevil",
            "https://console.exampl",
            "https://example",
            "https://.console.example",
            "https://*.example",
            "https://console.example.",
            "https://console.example..",
            // In disguise.
            "https://console.example@evil.example",
            "https://console.example:6080@evil.example",
            "https://evil.example#console.example",
            "https://evil.example?console.example",
            "https://evil.example/console.example",
            "https://evil.example\\console.example",
            "https://evil.example\\@console.example",
            "https://user@console.example",
            "https://console.example/",
            "https://console.example:",
            "https://console.example:port",
            "https://console.example:65536",
            "https://console.example:-1",
            "https:console.example",
            "https:/console.example",
            "//console.example",
            "console.example",
            "://console.example",
            "https://",
            "https://https://console.example",
            "https://console.example https://evil.example",
            "https://evil.example https://console.example",
            "https://console.example, https://evil.example",
            "https://console.example\thttps://evil.example",
            "https://console%2eexample",
            "https://console.example%00.evil.example",
            "https://console.example\u{0}",
            "ws://console.example",
            "wss://console.example",
            "ftp://console.example",
            "javascript://console.example",
            // Letters that look alike, and their names in ASCII.
            "https://c\u{43e}nsole.example",
            "https://xn--cnsole-ppe.example",
            "https://console\u{3002}example",
            "https://con\u{17f}ole.example",
        ],
    ),
    ("b\u{fc}ro.example", &["https://b\u{fc}ro.example", "https://xn--bro-hoa.example"]),
    (
        "[2001:db8::1]:6080",
        &[
            "http://2001:db8::1",
            "http://[2001:db8::2]",
            "http://[2001:db8::1",
            "http://2001:db8::1]",
            "http://[2001:db8::1].evil.example",
            "http://[2001:db8::1]evil",
            "http://[2001:db8::1%25eth0]",
            "http://[::ffff:192.0.2.1]",
        ],
    ),
    (
        "127.0.0.1",
        &["http://127.0.0.2", "http://localhost", "http://[::1]", "http://127.0.0.1.evil"],
    ),
    ("localhost", &["http://127.0.0.1", "http://localhost.evil.example", "http://localhost."]),
];

fn pages_of_other_hosts_are_refused(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        let mut count = 0.0;
        for (host, origins) in HOSTILE {
            for origin in *origins {
                // What HTTP itself has no room for is a bad request.
                let control = origin.contains('\u{0}') || host.bytes().any(|byte| byte > 0x7f);
                if control {
                    let status = status(&house, host, origin, "");
                    assert!([400, 403].contains(&status), "{origin:?}: {status}");
                } else {
                    assert_refused(&house, host, origin, "");
                    count += 1.0;
                }
            }
        }
        house.nobody_came();
        let refused = || house.daemon.metrics().closed(&[("cause", "origin_refused")]);
        wait::until_true("all are counted", PATIENCE, || refused() >= count);
    }
}

fn pages_of_the_same_host_are_let_in_on_any_port(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        for (host, origin) in [
            ("console.example:6080", "https://console.example"),
            ("console.example:6080", "http://console.example"),
            ("console.example", "https://console.example:8443"),
            ("Console.EXAMPLE:6080", "https://console.example"),
            ("console.example", "HTTPS://CONSOLE.example"),
            ("[2001:db8::1]:6080", "http://[2001:DB8:0:0::1]"),
            ("127.0.0.1:6080", "http://127.0.0.1:80"),
        ] {
            assert_eq!(status(&house, host, origin, ""), 101, "{origin} at {host}");
        }
    }
}

fn who_sends_no_origin_is_no_browser(driver: Driver) {
    for origins in ["", "origins = [\"https://portal.example\"]"] {
        let house = Plan::new(driver).line(origins).start();
        assert_eq!(house.ask(&head("console.example", "")).status, 101);
    }
}

fn of_listed_origins_each_part_counts(driver: Driver) {
    let house = Plan::new(driver)
        .line("origins = [\"https://portal.example\", \"http://lab.example:8080\"]")
        .start();
    for (origin, status_expected) in [
        ("https://portal.example", 101),
        ("https://portal.example:443", 101),
        ("HTTPS://Portal.Example", 101),
        ("http://lab.example:8080", 101),
        ("http://portal.example", 403),
        ("https://portal.example:8443", 403),
        ("https://portal.example.", 403),
        ("http://lab.example", 403),
        ("https://lab.example:8080", 403),
        ("https://sub.portal.example", 403),
        ("https://portal.example.evil", 403),
        ("https://evilportal.example", 403),
        ("https://portal.example@evil.example", 403),
        // The same host is not among them by itself.
        ("https://console.example", 403),
        ("http://console.example:6080", 403),
        ("null", 403),
        ("", 403),
    ] {
        let status = status(&house, "console.example:6080", origin, "");
        assert_eq!(status, status_expected, "{origin}");
    }
}

const SAME: &str = "console.example";

fn the_protocol_counts_where_a_trusted_proxy_tells_it(driver: Driver) {
    let house = Plan::new(driver).line("trusted_proxies = [\"127.0.0.0/8\"]").start();
    for (origin, proto, expected) in [
        ("https://console.example", "https", 101),
        ("https://console.example", "HTTPS", 101),
        ("https://console.example", "wss", 101),
        ("http://console.example", "http", 101),
        ("http://console.example", "ws", 101),
        // Whoever made a page for it in the clear stands between.
        ("http://console.example", "https", 403),
        ("https://console.example", "http", 403),
        ("https://console.example", "https,http", 403),
        ("https://console.example", "", 403),
        ("https://evil.example", "https", 403),
        ("null", "https", 403),
    ] {
        let more = format!("X-Forwarded-Proto: {proto}\r\n");
        assert_eq!(status(&house, SAME, origin, &more), expected, "{origin} by {proto}");
    }
}

fn what_an_untrusted_proxy_tells_does_not_count(driver: Driver) {
    let house = Plan::new(driver).line("trusted_proxies = [\"192.0.2.1\"]").start();
    for proto in ["http", "nonsense", ""] {
        let more = format!("X-Forwarded-Proto: {proto}\r\n");
        assert_eq!(status(&house, SAME, "https://console.example", &more), 101);
        assert_refused(&house, SAME, "https://evil.example", &more);
        let host = format!("{more}X-Forwarded-Host: evil.example\r\n");
        assert_refused(&house, SAME, "https://evil.example", &host);
    }
}

fn several_origins_are_refused(driver: Driver) {
    for line in ["", "origins = [\"https://console.example\"]"] {
        let house = Plan::new(driver).line(line).start();
        for second in ["https://evil.example", "https://console.example", "null"] {
            let more = format!("Origin: {second}\r\n");
            assert_refused(&house, SAME, "https://console.example", &more);
        }
        assert_refused(&house, SAME, "https://evil.example", "Origin: https://console.example\r\n");
        house.nobody_came();
    }
}

fn everybody_may_where_that_is_said(driver: Driver) {
    let house = Plan::new(driver).line("origins = [\"*\"]").start();
    for origin in ["https://any.example", "null", "http://console.example"] {
        assert_eq!(status(&house, SAME, origin, ""), 101, "{origin}");
    }
}

fn a_request_without_a_host_has_no_same_host(driver: Driver) {
    let house = Plan::new(driver).start();
    for hosts in ["", "Host: \r\n", "Host: a:b:c\r\n", "Host: console.example:port\r\n"] {
        let head = format!(
            "GET / HTTP/1.0\r\n{hosts}Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {KEY}\r\nOrigin: https://console.example\r\n\r\n"
        );
        let status = house.ask(&head).status;
        assert!([400, 403].contains(&status), "{hosts:?}: {status}");
    }
    house.nobody_came();
}

/// The browser sends them along with whatever page asks: that is why pages are judged.
fn tokens_and_passwords_do_not_help_a_hostile_page(driver: Driver) {
    let house = Plan::new(driver)
        .line("auth = { plugin = \"BasicHTTPAuth\", source = \"user:password\" }")
        .start();
    let known = "Authorization: Basic dXNlcjpwYXNzd29yZA==\r\nCookie: token=X\r\n";
    assert_refused(&house, SAME, "https://evil.example", known);
    house.nobody_came();
    assert_eq!(status(&house, SAME, "https://console.example", known), 101);
}
