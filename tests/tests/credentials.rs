//! Credentials, wherever a client puts them, are shown nowhere: no log, no page, no reply.

use std::io::{Read, Write};

use penstock_tests::connect::{ESTABLISHED, PATIENCE, dial};
use penstock_tests::{Driver, Penstock, Setup, both_drivers, http, origin, wait};

both_drivers! {
    credentials_are_shown_nowhere,
}

/// User and password, plain and as Basic has them; the last is `letme:hunter2`.
const SECRETS: [&str; 3] = ["letme", "hunter2", "bGV0bWU6aHVudGVyMg"];

/// Requests that carry them, and the status that each is answered with. `ORIGIN` stands for an address that listens.
const REQUESTS: &[(&str, u16)] = &[
    (
        "CONNECT ORIGIN HTTP/1.1\r\nProxy-Authorization: Basic bGV0bWU6aHVudGVyMg==\r\nCookie: hunter2\r\n\r\n",
        200,
    ),
    // Old spice-gtk leaves out the scheme.
    ("CONNECT ORIGIN HTTP/1.0\r\nProxy-Authorization: bGV0bWU6aHVudGVyMg==\r\n\r\n", 200),
    (
        "CONNECT ORIGIN HTTP/1.0\r\nProxy-Authorization: Basic bGV0bWU6aHVudGVyMg==\r\nProxy-Authorization: Basic hunter2\r\n\r\n",
        400,
    ),
    ("CONNECT 127.0.0.1:22 HTTP/1.0\r\nProxy-Authorization: Basic hunter2\r\n\r\n", 403),
    ("CONNECT ORIGIN HTTP/1.0\r\nProxy-Authorization: hunter2\r\nletme hunter2\r\n\r\n", 400),
    ("CONNECT letme:hunter2@ORIGIN HTTP/1.0\r\n\r\n", 400),
    ("CONNECT letme:hunter2@host:80 HTTP/1.0\r\n\r\n", 400),
    ("CONNECT letme:hunter2@host:80\r\n\r\n", 400),
    ("CONNECT letme:hunter2@host:80 HTTP/2.0\r\n\r\n", 505),
    ("GET http://letme:hunter2@host/ HTTP/1.1\r\nAuthorization: Basic hunter2\r\n\r\n", 405),
];

fn credentials_are_shown_nowhere(driver: Driver) {
    for format in ["squid", "json"] {
        let log = format!("{{ path = \"access.log\", format = \"{format}\" }}");
        let setup = Setup::new(driver).set("log", "level", "\"debug\"").set("log", "access", &log);
        let mut penstock = setup.start();
        let mut replies = String::new();
        for (request, status) in REQUESTS {
            replies += &ask(&penstock, request, *status);
        }
        let errors = wait::until("all that is said of them", PATIENCE, || {
            let log = penstock.process().text("access.log");
            let errors = penstock.process().text("errors");
            let ended = errors.lines().filter(|line| line.contains("connection ended")).count();
            let is_all = log.lines().count() == REQUESTS.len() && ended >= REQUESTS.len();
            is_all.then_some(errors)
        });
        let metrics = http::get(penstock.admin(), "/metrics").expect("a page").1;
        let log = penstock.process().text("access.log");
        let places = [("log", log), ("errors", errors), ("metrics", metrics), ("replies", replies)];
        for (place, text) in &places {
            assert_shows_none(place, text);
        }
    }
}

/// Sends one request; the whole answer, and for a tunnel the page that shows it.
fn ask(penstock: &Penstock, request: &str, status: u16) -> String {
    let mut stream = dial(penstock.proxy()).expect("a listener");
    let request = request.replace("ORIGIN", &origin::start().to_string());
    stream.write_all(request.as_bytes()).expect("a listener");
    if status == 200 {
        let mut reply = [0; ESTABLISHED.len()];
        stream.read_exact(&mut reply).expect("a reply");
        let tunnels = penstock.tunnels();
        assert_eq!(reply, ESTABLISHED.as_bytes());
        assert!(!tunnels.is_empty(), "the page shows no tunnel");
        return format!("{tunnels:?}");
    }
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("a reply");
    assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {reply}");
    reply
}

fn assert_shows_none(place: &str, text: &str) {
    assert!(!text.is_empty(), "nothing in {place}");
    let told = text.lines().find(|line| SECRETS.iter().any(|secret| line.contains(secret)));
    assert_eq!(told, None, "in {place}");
}
