//! The handshake, as websockify answers it, and in which order a request is judged.

use std::io::{Read, Write};
use std::time::Duration;

use penstock_tests::connect::PATIENCE;
use penstock_tests::web_socket::{ACCEPT, BINARY, Client, KEY, frame, request};
use penstock_tests::{Driver, Stopwatch, both_drivers, wait};

use crate::rig::{House, Plan, WIRES, some};

both_drivers! {
    versions_7_8_and_13_are_spoken,
    other_versions_and_none_are_told_apart,
    a_handshake_without_a_key_is_refused,
    the_key_may_be_any_string,
    binary_is_chosen_and_base64_where_it_is_alone,
    nothing_else_is_chosen,
    upgrade_counts_in_any_case_and_connection_does_not,
    pages_may_be_asked_for_before_a_console,
    pages_before_a_console_are_no_part_of_its_set_up,
    no_handshake_follows_a_page_that_was_cut,
    no_extension_is_agreed_on,
    what_asks_for_no_web_socket_is_no_console,
    a_head_may_come_byte_by_byte,
    frames_behind_the_head_are_not_lost,
    requests_are_judged_in_order,
    who_says_nothing_is_let_go,
    neither_tls_nor_a_request_is_expected_on_the_others_port,
}

/// A head of those lines.
fn head(house: &House, lines: &[&str]) -> String {
    format!("GET / HTTP/1.1\r\nHost: {}\r\n{}\r\n\r\n", house.address, lines.join("\r\n"))
}

fn with_version(house: &House, version: &str) -> String {
    let key = format!("Sec-WebSocket-Key: {KEY}");
    head(house, &["Upgrade: websocket", &format!("Sec-WebSocket-Version: {version}"), &key])
}

fn versions_7_8_and_13_are_spoken(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        for version in ["7", "8", "13"] {
            let mut browser = house.browser();
            let reply = browser.upgrade(&with_version(&house, version));
            let expected = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
            );
            assert_eq!(reply.head, expected);
            browser.say(&frame(BINARY, b"hello"));
            let mut target = house.accept();
            assert_eq!(some(&mut target, 5), b"hello", "version {version}");
            target.write_all(b"world").expect("an open stream");
            assert_eq!(browser.data(5), b"world");
        }
    }
}

fn other_versions_and_none_are_told_apart(driver: Driver) {
    let house = Plan::new(driver).start();
    let key = format!("Sec-WebSocket-Key: {KEY}");
    let mut count = 0;
    for (version, detail) in [
        (Some("0"), "Unsupported protocol version 0"),
        (Some("12"), "Unsupported protocol version 12"),
        (Some("14"), "Unsupported protocol version 14"),
        (Some("013"), "Unsupported protocol version 013"),
        (Some("13, 8"), "Unsupported protocol version 13,8"),
        (Some(""), "Unsupported protocol version "),
        (None, "Missing Sec-WebSocket-Version header"),
    ] {
        let line = version.map(|version| format!("Sec-WebSocket-Version: {version}"));
        let lines: Vec<&str> =
            ["Upgrade: websocket", &key].into_iter().chain(line.as_deref()).collect();
        let reply = house.ask(&head(&house, &lines));
        assert_eq!(reply.status, 400, "{version:?}");
        count += 1;
        let records = house.daemon.records(count);
        let told = records.iter().any(|record| record["detail"] == detail);
        assert!(told, "{detail} is not in {records:?}");
    }
    house.nobody_came();
}

fn a_handshake_without_a_key_is_refused(driver: Driver) {
    let house = Plan::new(driver).start();
    let reply = house.ask(&head(&house, &["Upgrade: websocket", "Sec-WebSocket-Version: 13"]));
    assert_eq!((reply.status, reply.header("Connection")), (400, Some("close")));
    assert_eq!(house.record(1)["detail"], "Missing Sec-WebSocket-Key header");
    house.nobody_came();
}

fn the_key_may_be_any_string(driver: Driver) {
    let house = Plan::new(driver).start();
    for (key, expected) in [
        ("x", "JVxkmtKFjDcI/Pm/AGPEKSN6wT8="),
        ("not base 64!", "y6jWEzuJiXt3Bv8nd9/sDUf5uSk="),
        ("AAAAAAAAAAAAAAAAAAAAAA==", "ICX+Yqv66kxgM0FcWaLWlFLwTAI="),
    ] {
        let lines = ["Upgrade: websocket", "Sec-WebSocket-Version: 13"];
        let line = format!("Sec-WebSocket-Key: {key}");
        let reply = house.ask(&head(&house, &[&lines[..], &[&line]].concat()));
        assert_eq!(reply.header("Sec-WebSocket-Accept"), Some(expected), "{key}");
    }
}

fn binary_is_chosen_and_base64_where_it_is_alone(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        for (offered, chosen) in [
            ("binary", "binary"),
            ("binary, base64", "binary"),
            ("binary,base64", "binary"),
            ("base64, binary", "binary"),
            ("base64", "base64"),
            ("chat, base64", "base64"),
            ("chat\r\nSec-WebSocket-Protocol: binary", "binary"),
        ] {
            let lines = format!("Sec-WebSocket-Protocol: {offered}\r\n");
            let reply = house.ask(&request(house.address, "/", &lines));
            assert_eq!(reply.status, 101, "{offered}");
            assert_eq!(reply.header("Sec-WebSocket-Protocol"), Some(chosen), "{offered}");
        }
        let reply = house.ask(&request(house.address, "/", ""));
        assert_eq!(reply.header("Sec-WebSocket-Protocol"), None, "none is offered");
    }
}

fn nothing_else_is_chosen(driver: Driver) {
    let house = Plan::new(driver).start();
    for (n, offered) in ["chat", "", "Binary", "binary2", "chat, soap", ","].iter().enumerate() {
        let lines = format!("Sec-WebSocket-Protocol: {offered}\r\n");
        assert_eq!(house.status("/", &lines), 400, "{offered:?}");
        assert_eq!(house.record(n + 1)["detail"], "Invalid protocol selected");
    }
    house.nobody_came();
}

fn upgrade_counts_in_any_case_and_connection_does_not(driver: Driver) {
    let house = Plan::new(driver).start();
    let key = format!("Sec-WebSocket-Key: {KEY}");
    for lines in [
        ["Upgrade: WebSocket", "Connection: Upgrade"],
        ["upgrade: WEBSOCKET", "Connection: keep-alive"],
        ["UPGRADE: websocket", "X-Connection: none"],
        ["Upgrade: h2c, websocket", "Connection: close"],
    ] {
        let lines = [lines[0], lines[1], "Sec-WebSocket-Version: 13", &key];
        assert_eq!(house.ask(&head(&house, &lines)).status, 101, "{lines:?}");
    }
}

fn pages_may_be_asked_for_before_a_console(driver: Driver) {
    let dir = penstock_tests::process::directory();
    std::fs::write(dir.path().join("vnc.html"), "a page").expect("our directory");
    for is_secure in WIRES {
        let house = Plan::new(driver)
            .secure(is_secure)
            .line(&format!("web = \"{}\"", dir.path().display()))
            .start();
        let mut browser = house.browser();
        for _ in 0..3 {
            let reply = browser.ask("GET /vnc.html HTTP/1.1\r\nHost: h\r\n\r\n").expect("a page");
            assert_eq!((reply.status, &*reply.body), (200, "a page"));
            let reply = browser.ask("GET /none HTTP/1.1\r\nHost: h\r\n\r\n").expect("a page");
            assert_eq!(reply.status, 404);
        }
        house.nobody_came();
        browser.upgrade(&request(house.address, "/", ""));
        let mut target = house.accept();
        browser.say(&frame(BINARY, b"hello"));
        assert_eq!(some(&mut target, 5), b"hello");
        // The page, the refusal and the handshake in one go.
        let mut browser = house.browser();
        let page = "GET /vnc.html HTTP/1.1\r\nHost: h\r\n\r\n";
        let head = request(house.address, "/", "");
        browser.say(&[page.as_bytes(), head.as_bytes(), &frame(BINARY, b"early")].concat());
        assert_eq!(browser.reply().expect("a page").body, "a page");
        assert_eq!(browser.reply().expect("an answer").status, 101);
        assert_eq!(some(&mut house.accept(), 5), b"early");
    }
}

/// How long a console takes to be set up says nothing of how long somebody read a page before.
fn pages_before_a_console_are_no_part_of_its_set_up(driver: Driver) {
    let dir = penstock_tests::process::directory();
    std::fs::write(dir.path().join("vnc.html"), "a page").expect("our directory");
    let house = Plan::new(driver).line(&format!("web = \"{}\"", dir.path().display())).start();
    let mut browser = house.browser();
    browser.ask("GET /vnc.html HTTP/1.1\r\nHost: h\r\n\r\n").expect("a page");
    std::thread::sleep(Duration::from_secs(4));
    browser.upgrade(&request(house.address, "/", ""));
    let mut target = house.accept();
    browser.say(&frame(BINARY, b"x"));
    some(&mut target, 1);
    for phase in ["request", "total"] {
        let sum = house.daemon.metric("penstock_setup_seconds_sum", &[("phase", phase)]);
        assert!(sum < 3.5, "{phase}: {sum} s");
    }
}

fn no_handshake_follows_a_page_that_was_cut(driver: Driver) {
    let dir = penstock_tests::process::directory();
    let page = std::fs::File::create(dir.path().join("big.bin")).expect("our directory");
    page.set_len(64 << 20).expect("our directory");
    let house = Plan::new(driver).line(&format!("web = \"{}\"", dir.path().display())).start();
    let mut browser = house.browser();
    browser.say(b"GET /big.bin HTTP/1.1\r\nHost: h\r\n\r\n");
    // The daemon waits for the browser, in the middle of the page.
    wait::until_true("it waits", PATIENCE, || {
        house.daemon.metric("penstock_backpressure_total", &[]) > 0.0
    });
    browser.say(request(house.address, "/", "").as_bytes());
    page.set_len(0).expect("our directory");
    let mut came = Vec::new();
    browser.socket().read_to_end(&mut came).expect("an end in order");
    assert!(came.starts_with(b"HTTP/1.1 200"), "{} bytes", came.len());
    assert!(came.len() < 64 << 20, "{} bytes: nothing was cut", came.len());
    assert!(came.ends_with(&[0; 100]), "something follows the page");
    house.nobody_came();
}

fn no_extension_is_agreed_on(driver: Driver) {
    let house = Plan::new(driver).start();
    let lines = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    let mut browser = house.browser();
    let reply = browser.upgrade(&request(house.address, "/", lines));
    assert_eq!(reply.header("Sec-WebSocket-Extensions"), None);
    browser.say(&frame(BINARY | 0x40, b"as if it were compressed"));
    assert_eq!(browser.closed().0, Some(1002));
}

/// No page is served here: whatever is no console is told so.
fn what_asks_for_no_web_socket_is_no_console(driver: Driver) {
    let house = Plan::new(driver).start();
    for (first, upgrade) in [
        ("GET / HTTP/1.1", "X-Upgrade: websocket"),
        ("GET / HTTP/1.1", "Upgrade: h2c"),
        ("GET / HTTP/1.1", "Upgrade: websocket13"),
        ("HEAD / HTTP/1.1", "Upgrade: websocket"),
        ("POST / HTTP/1.1", "Upgrade: websocket"),
        ("OPTIONS * HTTP/1.1", "X: y"),
        ("get / HTTP/1.1", "Upgrade: websocket"),
    ] {
        let head = format!(
            "{first}\r\nHost: h\r\n{upgrade}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        );
        let mut browser = house.browser();
        let reply = browser.ask(&head).expect("an answer");
        assert_eq!((reply.status, reply.header("Allow")), (405, Some("GET")), "{first} {upgrade}");
        assert!(browser.try_next().is_ok_and(|more| more.is_none()), "more than an answer");
    }
    house.nobody_came();
}

fn a_head_may_come_byte_by_byte(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        let mut browser = house.browser();
        for byte in request(house.address, "/", "").bytes() {
            browser.say(&[byte]);
        }
        assert_eq!(browser.reply().expect("an answer").status, 101);
    }
}

fn frames_behind_the_head_are_not_lost(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        let head = request(house.address, "/", "").into_bytes();
        let sent = [head, frame(BINARY, b"REDQ"), frame(BINARY, &[7; 3000])].concat();
        let mut browser = house.browser();
        browser.say(&sent);
        assert_eq!(browser.reply().expect("an answer").status, 101);
        let came = some(&mut house.accept(), 3004);
        assert_eq!((&came[..4], &came[4..]), (&b"REDQ"[..], &[7; 3000][..]));
    }
}

/// Each request has all that is wrong with those below it: page of origin, person, handshake, token, target.
fn requests_are_judged_in_order(driver: Driver) {
    let dir = penstock_tests::process::directory();
    let tokens = dir.path().join("tokens");
    std::fs::write(&tokens, "far: 192.0.2.1:5900\nshut: 127.0.0.1:1\n").expect("our directory");
    let house = Plan::new(driver)
        .to(&format!("tokens = {{ plugin = \"TokenFile\", source = \"{}\" }}", tokens.display()))
        .line("auth = { plugin = \"BasicHTTPAuth\", source = \"user:password\" }")
        .start();
    let hostile = "Origin: https://evil.example\r\n";
    let known = "Authorization: Basic dXNlcjpwYXNzd29yZA==\r\n";
    let odd = "Sec-WebSocket-Protocol: chat\r\n";
    for (path, lines, status, cause) in [
        ("/", [hostile, "", odd], 403, "origin_refused"),
        ("/", ["", "", odd], 401, "unauthorized"),
        ("/", ["", known, odd], 400, "bad_request"),
        ("/?token=none", ["", known, ""], 403, "token_refused"),
        ("/?token=far", ["", known, ""], 403, "access_denied"),
        ("/?token=shut", ["", known, ""], 101, "connect_refused"),
    ] {
        let count = house.daemon.metrics().closed(&[("cause", cause)]);
        let mut browser = house.browser();
        let reply = browser.ask(&request(house.address, path, &lines.concat())).expect("an answer");
        assert_eq!(reply.status, status, "{path} {lines:?}: {}", reply.body);
        if status == 101 {
            assert_eq!(browser.frame().expect("a frame").close().0, Some(1011));
        }
        drop(browser);
        penstock_tests::wait::until_true(cause, penstock_tests::connect::PATIENCE, || {
            house.daemon.metrics().closed(&[("cause", cause)]) == count + 1.0
        });
    }
}

fn who_says_nothing_is_let_go(driver: Driver) {
    for is_secure in WIRES {
        let plan = Plan::new(driver).secure(is_secure);
        let house = plan.line("timeouts = { handshake = \"3s\" }").start();
        let watch = Stopwatch::start();
        // Half a head is as little as none.
        let mut browser = house.browser();
        let silent = std::net::TcpStream::connect(house.address).expect("it listens");
        browser.say(b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n");
        assert_eq!(browser.reply().expect("an answer").status, 408);
        let (frames, _) = Client::over(silent).rest();
        assert!(frames.is_empty() || !is_secure, "{frames:?}");
        assert!(watch.elapsed() < Duration::from_secs(5), "{:?}", watch.real());
    }
}

fn neither_tls_nor_a_request_is_expected_on_the_others_port(driver: Driver) {
    let house = Plan::new(driver).secure(true).start();
    let plain = std::net::TcpStream::connect(house.address).expect("it listens");
    let answer = Client::over(plain).ask(&request(house.address, "/", ""));
    assert!(answer.is_err(), "{answer:?}");
    let house = Plan::new(driver).start();
    let pki = penstock_tests::pki::Folder::new();
    let tls = penstock_tests::tls::TlsClient::new(&pki.authority, None);
    assert!(tls.connect(house.address).is_err(), "no handshake with who speaks none");
    house.nobody_came();
}
