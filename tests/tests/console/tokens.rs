//! Where a token may stand, in the forms that noVNC, its users and proxies between make of it.

use std::fs;
use std::net::SocketAddr;

use penstock_tests::web_socket::{KEY, request};
use penstock_tests::{Driver, both_drivers, process};
use tempfile::TempDir;

use crate::rig::{House, Plan};

both_drivers! {
    a_token_is_found_on_any_path_and_in_every_form,
    the_first_of_several_tokens_counts,
    what_is_no_token_opens_nothing,
    a_cookie_is_read_where_the_url_has_none,
    the_hosts_name_may_be_the_token,
    refused_tokens_are_answered_by_silence_where_that_is_wanted,
    what_a_token_may_lead_to,
}

/// A listener whose tokens are in a file of those lines; `TARGET` stands for the test's target.
fn start(driver: Driver, lines: &str, more: &str) -> (House, TempDir) {
    let dir = process::directory();
    let target = std::net::TcpListener::bind((penstock_tests::loopback::address(), 0));
    let target = target.expect("a free port");
    let to: SocketAddr = target.local_addr().expect("bound");
    let text = lines.replace("TARGET", &to.to_string());
    fs::write(dir.path().join("tokens"), text).expect("our directory");
    let source = dir.path().join("tokens");
    let source = source.display();
    let house = Plan::new(driver)
        .to(&format!("tokens = {{ plugin = \"TokenFile\", source = \"{source}\" }}"))
        .line(more)
        .start_with(target);
    (house, dir)
}

fn a_token_is_found_on_any_path_and_in_every_form(driver: Driver) {
    let (house, _dir) = start(driver, "X: TARGET\na+b c: TARGET\n", "");
    for path in [
        "/?token=X",
        "/websockify?token=X",
        "/vnc.html/any/path?token=X",
        "/websockify?a=b&token=X&c=d",
        "/?%74oken=%58",
        "/?token=X%0A",
        "/?token=X%0A%0A",
        "/websockify?token=a%2Bb+c",
        "/websockify?token=a%2bb%20c",
        "/?token=&token=X",
        // noVNC's `path` twice encoded by a proxy.
        "/%3Ftoken%3DX",
        "/websockify%3Ftoken%3DX",
        "/websockify%3ftoken=X",
        "/%3Fa%3Db%26token%3DX",
    ] {
        assert_eq!(house.status(path, ""), 101, "{path}");
        house.accept();
    }
}

fn the_first_of_several_tokens_counts(driver: Driver) {
    let (house, _dir) = start(driver, "X: TARGET\n", "");
    assert_eq!(house.status("/?token=X&token=Y", ""), 101);
    house.accept();
    assert_eq!(house.status("/?token=Y&token=X", ""), 403);
    house.nobody_came();
}

fn what_is_no_token_opens_nothing(driver: Driver) {
    let (house, _dir) = start(driver, "X: TARGET\ntoken: TARGET\n", "");
    for path in [
        "/",
        "/X",
        "/token=X",
        "/?X",
        "/?Token=X",
        "/?TOKEN=X",
        "/?tokens=X",
        "/?token",
        "/?token=",
        "/?token=%0A",
        "/?token=x",
        "/?token=X%20",
        "/?token=X%00",
        "/?token=X%0D",
        "/?path=token%3DX",
        "/?a#token=X",
        "/?token=X;token=X",
    ] {
        let reply = house.ask(&request(house.address, path, ""));
        assert_eq!(reply.status, 403, "{path}");
        assert!(reply.body.contains("The link to this console is not valid"), "{}", reply.body);
    }
    house.nobody_came();
}

fn a_cookie_is_read_where_the_url_has_none(driver: Driver) {
    let (house, _dir) = start(driver, "X: TARGET\n", "");
    for lines in [
        "Cookie: token=X\r\n",
        "Cookie: a=b; token=\"X\"; c\r\n",
        "Cookie: token=Y; token=X\r\n",
        "Cookie: token=Y\r\nCookie: token=X\r\n",
    ] {
        assert_eq!(house.status("/websockify", lines), 101, "{lines}");
        house.accept();
        assert_eq!(house.status("/websockify?token=Y", lines), 403, "{lines}: the URL comes first");
    }
    for lines in ["Cookie: Token=X\r\n", "Cookie: token=X; token=Y\r\n", "Cookie: a=token=X\r\n"] {
        assert_eq!(house.status("/websockify", lines), 403, "{lines}");
    }
    house.nobody_came();
}

fn the_hosts_name_may_be_the_token(driver: Driver) {
    let lines = "guest-1.example: TARGET\n2001:db8::1: TARGET\n";
    let (house, _dir) = start(driver, lines, "host_token = true");
    for (host, status) in [
        ("guest-1.example", 101),
        ("guest-1.example:6080", 101),
        ("Guest-1.EXAMPLE:6080", 101),
        ("[2001:DB8::1]:6080", 101),
        ("guest-2.example", 403),
        ("guest-1.example.evil", 403),
        ("", 403),
    ] {
        let reply = house.ask(&request(host, "/?token=guest-1.example", ""));
        assert_eq!(reply.status, status, "{host}");
        if status == 101 {
            house.accept();
        }
    }
    house.nobody_came();
}

fn refused_tokens_are_answered_by_silence_where_that_is_wanted(driver: Driver) {
    let (house, _dir) = start(driver, "X: TARGET\n", "websockify_compat = true");
    for path in ["/", "/?token=Y"] {
        let mut browser = house.browser();
        let answer = browser.ask(&request(house.address, path, ""));
        assert_eq!(answer.expect_err("silence").kind(), std::io::ErrorKind::UnexpectedEof);
    }
    assert_eq!(house.status("/?token=X", ""), 101);
    house.accept();
    // What is wrong otherwise is said.
    let head = format!(
        "GET /?token=X HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    );
    assert_eq!(house.ask(&head).status, 400);
}

/// The target is judged on the address that it has.
fn what_a_token_may_lead_to(driver: Driver) {
    let lines = "good: TARGET\nfar: 192.0.2.1:5900\nuri: tcp://TARGET\n\
        qemu: qemu+ext:///x\ncommand: exec:/bin/sh\nport: 127.0.0.1:0\n";
    let (house, _dir) = start(driver, lines, "");
    for (token, status) in
        [("good", 101), ("far", 403), ("uri", 403), ("qemu", 403), ("command", 403), ("port", 403)]
    {
        let reply = house.ask(&request(house.address, &format!("/?token={token}"), ""));
        assert_eq!(reply.status, status, "{token}");
        assert!(!reply.body.contains("192.0.2.1"), "{}", reply.body);
    }
    house.accept();
    house.nobody_came();
}
