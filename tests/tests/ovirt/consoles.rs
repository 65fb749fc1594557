//! Where tickets lead: VNC and TLS, and what becomes of who is not there.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use nix::sys::signal::Signal;
use penstock_tests::connect::PATIENCE;
use penstock_tests::pki::{Folder, Wanted};
use penstock_tests::web_socket::{BINARY, close, frame, request};
use penstock_tests::{Driver, both_drivers, loopback};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::rig::{Engine, Plan, Ticket, echo, give_back};

both_drivers! {
    a_ticket_leads_to_a_console_that_speaks_first,
    who_is_not_there_is_told_by_a_close_code,
    a_page_is_nothing_and_an_origin_may_be_asked_for,
    a_target_on_tls_has_a_certificate_of_the_authority,
    a_file_has_the_number_of_the_process_while_it_serves,
}

fn a_ticket_leads_to_a_console_that_speaks_first(driver: Driver) {
    let (engine, target) = (Engine::new(), echo(b"RFB 003.008\n"));
    for plan in [Plan::new(driver, &engine), Plan::new(driver, &engine).tls()] {
        let proxy = plan.start();
        let mut browser = proxy.open(&Ticket::to(target, false).signed(&engine));
        assert_eq!(browser.data(12), b"RFB 003.008\n");
        browser.say(&frame(BINARY, b"RFB 003.008\n"));
        assert_eq!(browser.data(12), b"RFB 003.008\n");
        browser.say(&close(1000, ""));
        assert_eq!(browser.closed().0, Some(1000));
        let record = &proxy.records(1)[0];
        assert_eq!(record["target"], target.to_string(), "{record}");
        assert_eq!(record["status"], 101, "{record}");
    }
}

fn who_is_not_there_is_told_by_a_close_code(driver: Driver) {
    let engine = Engine::new();
    let proxy = Plan::new(driver, &engine).start();
    let nobody = SocketAddr::from((loopback::address(), 5900));
    let mut browser = proxy.open(&Ticket::to(nobody, false).signed(&engine));
    assert_eq!(browser.closed().0, Some(1011));
    drop(browser);
    // No ticket leads to those who tell a cloud's machines their secrets.
    let neighbour = SocketAddr::from(([169, 254, 169, 254], 80));
    assert_eq!(proxy.ask(&Ticket::to(neighbour, false).signed(&engine).path()).status, 403);
    let no_place =
        Ticket::new(&serde_json::json!({ "host": "h", "port": "x", "ssl_target": false }));
    assert_eq!(proxy.ask(&no_place.signed(&engine).path()).status, 403);
    let records = proxy.records(3);
    let is_told = |record: &Value| record.to_string().contains("of the ticket's data");
    assert!(records.iter().any(is_told), "{records:?}");
}

fn a_page_is_nothing_and_an_origin_may_be_asked_for(driver: Driver) {
    let (engine, target) = (Engine::new(), echo(b"RFB"));
    let proxy = Plan::new(driver, &engine).argument("--origin=https://engine.example").start();
    let path = Ticket::to(target, false).signed(&engine).path();
    let page = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", proxy.address);
    assert_eq!(proxy.browser().ask(&page).expect("an answer").status, 405);
    for (origin, expected) in [("https://engine.example", 101), ("https://evil.example", 403)] {
        let head = request(proxy.address, &path, &format!("Origin: {origin}\r\n"));
        assert_eq!(proxy.browser().ask(&head).expect("an answer").status, expected, "{origin}");
    }
}

/// A console on TLS that waits for its client to speak, as SPICE does.
fn on_tls(folder: &Folder, name: &str) -> SocketAddr {
    folder.pair(name, &Wanted::named_server(name));
    let read = |kind: &str| std::fs::read(folder.path(&format!("{name}.{kind}"))).expect("written");
    let chain = vec![CertificateDer::from_pem_slice(&read("pem")).expect("PEM")];
    let key = PrivateKeyDer::from_pem_slice(&read("key")).expect("PEM");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("versions").with_no_client_auth();
    let config = Arc::new(builder.with_single_cert(chain, key).expect("a pair"));
    let listener = TcpListener::bind((loopback::address(), 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let session = ServerConnection::new(config.clone()).expect("a session");
            std::thread::spawn(move || give_back(&mut StreamOwned::new(session, stream), b""));
        }
    });
    address
}

fn a_target_on_tls_has_a_certificate_of_the_authority(driver: Driver) {
    let (engine, stranger) = (Engine::new(), Folder::new());
    for (arguments, of_ours, of_strangers) in
        [(&[][..], true, false), (&["--verify-names"], false, false)]
    {
        let plan = arguments.iter().fold(Plan::new(driver, &engine), |plan, a| plan.argument(a));
        let proxy = plan.start();
        // The ticket calls it by its address.
        assert_eq!(echoes(&proxy, on_tls(&proxy.pki, "host.example"), &engine), of_ours);
        assert_eq!(echoes(&proxy, on_tls(&stranger, "host.example"), &engine), of_strangers);
    }
    let proxy = Plan::new(driver, &engine).arguments(&["--insecure-target"]).start();
    assert!(echoes(&proxy, on_tls(&stranger, "host.example"), &engine));
}

/// Whether a console on TLS gives back what a browser sends ahead.
fn echoes(proxy: &crate::rig::Proxy, target: SocketAddr, engine: &Engine) -> bool {
    let mut browser = proxy.open(&Ticket::to(target, true).signed(engine));
    browser.say(&frame(BINARY, b"REDQ"));
    let frame = browser.frame().expect("a frame");
    match frame.first {
        BINARY => frame.payload == b"REDQ",
        _ => {
            assert_eq!(frame.close().0, Some(1011));
            false
        }
    }
}

fn a_file_has_the_number_of_the_process_while_it_serves(driver: Driver) {
    let engine = Engine::new();
    let mut proxy = Plan::new(driver, &engine).argument("--pidfile=proxy.pid").start();
    assert_eq!(proxy.process.text("proxy.pid"), format!("{}\n", proxy.process.pid()));
    proxy.process.signal(Signal::SIGTERM);
    assert!(proxy.process.wait(PATIENCE).success());
    assert!(!proxy.process.path("proxy.pid").exists());
}
