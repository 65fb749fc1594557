//! A ticket opens a console: no part of it is shown, whatever becomes of it.

use std::fs;

use penstock_tests::web_socket::request;
use penstock_tests::{Driver, both_drivers};

use crate::rig::{Engine, MOMENT, Plan, Proxy, Ticket, echo};

both_drivers! {
    no_part_of_a_ticket_is_shown,
}

/// So many letters of a ticket are nobody's business.
const PART: usize = 12;

fn assert_hidden(place: &str, text: &str, ticket: &str) {
    for start in 0..ticket.len() - PART {
        let part = &ticket[start..start + PART];
        assert!(!text.contains(part), "{part} in {place}: {text}");
    }
}

fn answer(proxy: &Proxy, head: &str) -> String {
    let mut browser = proxy.browser();
    browser.patience(2 * MOMENT);
    browser.ask(head).map(|reply| reply.head + &reply.body).unwrap_or_default()
}

fn no_part_of_a_ticket_is_shown(driver: Driver) {
    let (engine, target) = (Engine::new(), echo(b"RFB"));
    let proxy = Plan::new(driver, &engine).argument("--debug").start();
    let good = Ticket::to(target, false).signed(&engine).text();
    let heads = [
        request(proxy.address, &format!("/{good}"), ""),
        request(proxy.address, &format!("/%65{}", &good[1..]), ""),
        request(proxy.address, &format!("/x{good}"), ""),
        request(proxy.address, &format!("/{good}?a"), ""),
        request(proxy.address, &format!("http://h/{good}"), ""),
        request(proxy.address, &format!("/{good}"), "Upgrade: x\r\n"),
        request(proxy.address, &format!("/{good}{}", "x".repeat(9000)), ""),
        format!("GET /{good} HTTP/1.1\r\nHost: h\r\n\r\n"),
        format!("POST /{good} HTTP/1.1\r\nHost: h\r\n\r\n"),
        format!("HEAD /{good} HTTP/1.1\r\nHost: h\r\n\r\n"),
        format!("CONNECT /{good} HTTP/1.1\r\nHost: h\r\n\r\n"),
        format!("GET /{good}\r\n\r\n"),
        format!("GET /{good} HTTP/9.9\r\n\r\n"),
        format!("GET /{good} x HTTP/1.1\r\n\r\n"),
        format!("GET /{good} HTTP/1.1\r\nbad {good}\r\n\r\n"),
        format!("GET /{good} HTTP/1.1\r\nContent-Length: {good}\r\n\r\n"),
        format!("GET {good} HTTP/1.1\r\n\r\n"),
        format!("/{good} / HTTP/1.1\r\n\r\n"),
    ];
    for head in &heads {
        assert_hidden("an answer", &answer(&proxy, head), &good);
    }
    proxy.records(heads.len());
    assert_hidden("messages and records", &proxy.said(), &good);
    let line = fs::read_to_string(format!("/proc/{}/cmdline", proxy.process.pid()));
    assert_hidden("the list of processes", &line.expect("it runs"), &good);
    // It is not that nothing was said.
    let targets: Vec<_> = proxy.records(0).iter().map(|record| record["target"].clone()).collect();
    assert!(
        targets.contains(&target.to_string().into()) && targets.contains(&"/***".into()),
        "{targets:?}"
    );
}
