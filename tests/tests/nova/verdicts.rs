//! Who has a console and who has none: nova's own proxy, its class over the engine, and ours are asked the same.

use std::process::Stdio;
use std::time::Duration;

use penstock_tests::web_socket::{Client, request};
use penstock_tests::{Stopwatch, http, process, setup};

use crate::cell::{ALL, Became, Cell, LIMIT, Made, Proxy, Whose, Wish, echo, echo_behind};

/// A path and lines of a head, what both do, and with which status ours refuses.
type Case<'c> = (&'c str, String, String, Option<u16>);

fn path(made: &Made) -> String {
    format!("/?token={}", made.token)
}

fn judge(cell: &Cell, proxy: Proxy, cases: &[Case<'_>]) {
    for whose in ALL {
        let server = cell.serve(whose, proxy);
        for (what, path, lines, refused) in cases {
            let expected = match (whose, refused) {
                (_, None) => Became::Served,
                (Whose::Nova, Some(_)) => Became::Dropped,
                (Whose::Penstock, Some(status)) => Became::Told(*status),
                (Whose::Hosted, Some(_)) => Became::Told(403),
            };
            let became = server.ask(path, lines);
            assert_eq!(became, expected, "{what}: {}", server.said());
        }
        // nova's own library writes requests as they are.
        let tokens = cases.iter().filter_map(|(_, path, ..)| path.split_once("token="));
        let is_shown = |token: &str| !token.is_empty() && server.said().contains(token);
        for (_, token) in tokens.filter(|_| whose == Whose::Penstock) {
            assert!(!is_shown(token), "{}", server.said());
        }
    }
}

#[test]
fn serial_consoles_are_given_to_the_same_tokens_and_pages() {
    let cell = Cell::new(None, "");
    let wish = Wish::new("serial", echo());
    let made = cell.authorize(&[
        wish.clone(),
        Wish { ttl: -10, ..wish.clone() },
        Wish { deleted: true, ..wish.clone() },
        Wish { base: "wss://gate.example/", ..wish.clone() },
        Wish { base: "https://gate.example/x", ..wish.clone() },
        Wish { base: "http://gate.example/x", ..wish },
    ]);
    let [good, expired, gone, wss, https, http] = &made[..] else { panic!("{made:?}") };
    assert_eq!(good.url, format!("ws://gate.example/?token={}", good.token));
    assert_eq!(good.name, "instance-00000001");
    let unknown = "5c9e5dd6-0e2b-4b5c-8a7d-0123456789ab";
    let origin = |origin: &str| format!("Origin: {origin}\r\n");
    let forwarded =
        |page: &str, proto: &str| format!("Origin: {page}\r\nX-Forwarded-Proto: {proto}\r\n");
    let none = String::new;
    let cookie = |token: &str| format!("Cookie: a=b; token=\"{token}\"; c\r\n");
    let cases: Vec<Case<'_>> = vec![
        ("a good token", path(good), none(), None),
        ("for the second time", path(good), none(), None),
        ("of any path", format!("/websockify?x=1&token={}", good.token), none(), None),
        ("the last of two", format!("/?token={unknown}&token={}", good.token), none(), None),
        (
            "not the first of two",
            format!("/?token={}&token={unknown}", good.token),
            none(),
            Some(403),
        ),
        ("a cookie", "/".to_owned(), cookie(&good.token), None),
        ("a cookie beside a token", path(good), cookie(unknown), None),
        ("an expired token", path(expired), none(), Some(403)),
        ("an unknown token", format!("/?token={unknown}"), none(), Some(403)),
        ("an empty token", "/?token=".to_owned(), none(), Some(403)),
        ("no token", "/".to_owned(), none(), Some(403)),
        ("an instance that is gone", path(gone), none(), Some(403)),
        ("SQL", "/?token=%27%20OR%201%3D1%20--".to_owned(), none(), Some(403)),
        ("the same host", path(good), origin("http://gate.example"), None),
        ("at another port", path(good), origin("http://gate.example:8080"), None),
        ("a host that is allowed", path(good), origin("http://portal.example"), None),
        ("ws by ws", path(good), origin("ws://gate.example"), None),
        ("http by wss", path(wss), origin("http://gate.example"), Some(403)),
        ("https by wss", path(wss), origin("https://gate.example"), None),
        ("https by ws", path(good), origin("https://gate.example"), Some(403)),
        ("https by https", path(https), origin("https://gate.example"), None),
        ("wss by https", path(https), origin("wss://gate.example"), Some(403)),
        ("http by http", path(http), origin("http://gate.example"), None),
        ("https by http, behind a proxy", path(http), origin("https://gate.example"), Some(403)),
        ("another host", path(good), origin("http://evil.example"), Some(403)),
        ("a part of its name", path(good), origin("http://gate.example.evil"), Some(403)),
        ("no origin at all", path(good), origin("null"), Some(403)),
        ("an empty origin", path(good), origin(""), Some(403)),
        ("null, forwarded", path(good), forwarded("null", "http"), Some(403)),
    ];
    judge(&cell, Proxy::Serial, &cases);
}

#[test]
fn spice_consoles_speak_first_and_pages_stand_beside_them() {
    let cell = Cell::new(None, "");
    let wish =
        Wish { base: "http://gate.example/spice_auto.html", ..Wish::new("spice-html5", echo()) };
    let [good, serial] =
        &cell.authorize(&[wish.clone(), Wish { console_type: "serial", ..wish }])[..]
    else {
        panic!("two")
    };
    let page = "Origin: http://gate.example\r\n".to_owned();
    let channels: Vec<Case<'_>> =
        ["main", "display", "inputs"].map(|name| (name, path(good), page.clone(), None)).into();
    judge(&cell, Proxy::Spice, &channels);
    for whose in ALL {
        let server = cell.serve(whose, Proxy::Spice);
        // nova leaves the type to a compute service, which has a console of each type.
        let by_type = whose == Whose::Penstock;
        let expected = if by_type { Became::Told(403) } else { Became::Served };
        assert_eq!(server.ask(&path(serial), ""), expected, "{}", server.said());
        let (status, text) = http::get(server.address, "/page.html").expect("an answer");
        assert_eq!((status, text.as_str()), (200, "a page"));
    }
}

#[test]
fn a_console_within_a_host_is_asked_for_by_its_path() {
    const REQUEST: &str = "CONNECT /console?ref=7 HTTP/1.1\r\n\r\n";
    let cell = Cell::new(None, "");
    let behind = |answer| Wish {
        path: Some("/console?ref=7"),
        ..Wish::new("serial", echo_behind(REQUEST, answer))
    };
    let made = cell.authorize(&[
        behind(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n"),
        behind(b"HTTP/1.1 404 Not Found\r\n\r\n"),
    ]);
    for whose in ALL {
        let server = cell.serve(whose, Proxy::Serial);
        // nova 26 looks for text among bytes, and fails at every answer.
        let fails = if whose == Whose::Hosted { Became::Told(403) } else { Became::Dropped };
        let expected = if whose == Whose::Penstock { Became::Served } else { fails.clone() };
        assert_eq!(server.ask(&path(&made[0]), ""), expected, "{}", server.said());
        assert_eq!(server.ask(&path(&made[1]), ""), fails, "{}", server.said());
    }
}

#[test]
fn a_session_ends_with_its_token_if_that_is_wanted() {
    let cell = Cell::new(None, "[consoleauth]\nenforce_session_timeout = true\n");
    let wished = Stopwatch::start();
    let made = cell.authorize(&[Wish { ttl: 12, ..Wish::new("serial", echo()) }]);
    let made_at = Stopwatch::start();
    let server = cell.serve(Whose::Penstock, Proxy::Serial);
    let mut client = Client::dial(server.address, None).expect("it listens");
    client.patience(LIMIT);
    client.upgrade(&request("gate.example", &path(&made[0]), ""));
    assert_eq!(client.closed().0, Some(1008), "{}", server.said());
    // nova counts whole seconds.
    assert!(wished.real() >= Duration::from_secs(11), "{:?}", wished.real());
    assert!(made_at.elapsed() <= Duration::from_secs(13), "{:?}", made_at.real());
}

#[test]
fn a_command_line_that_is_wrong_ends_with_a_word_about_it() {
    let cell = Cell::new(None, "[serial_console]\nport_range = 1\n");
    let config = format!("--config-file={}", cell.config().display());
    for (arguments, code, says) in [
        (vec!["--help"], 0, "usage: penstock nova-serialproxy"),
        (vec!["--frob"], 2, "unrecognized arguments: --frob"),
        (vec![&config], 1, "[serial_console] port_range: expected two ports"),
        (vec!["--config-file=/nowhere/nova.conf"], 1, "can't read /nowhere/nova.conf"),
    ] {
        let mut command = process::command(setup::program());
        command.arg("nova-serialproxy").args(&arguments).stdin(Stdio::null());
        let output = setup::clean(&mut command).output().expect("it can be started");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(says), "{said}");
    }
}
