//! spice-html5 as oVirt's portal opens it: each of its channels is a WebSocket with the same ticket for its path.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use penstock_tests::browser::Browser;
use penstock_tests::connect::PATIENCE;
use penstock_tests::peers::Guest;
use penstock_tests::picture::Font;
use penstock_tests::pki::Wanted;
use penstock_tests::{Driver, Setup, both_drivers, process, procfs, wait};
use tempfile::TempDir;

use crate::rig::{Engine, Plan, Proxy, Ticket};

both_drivers! {
    one_ticket_opens_all_channels_of_a_viewer,
    one_ticket_opens_all_channels_of_a_viewer_on_tls,
}

/// Debian's pages, with one fault mended: an encrypted password loses the zeros at its front.
fn pages() -> TempDir {
    let pages = process::directory();
    process::run(Command::new("cp").args(["-rL", "/usr/share/spice-html5/."]).arg(pages.path()));
    let script = pages.path().join("ticket.js");
    let text = fs::read_to_string(&script).expect("a script");
    let mended = "var h = enc.toString(16).padStart(2 * oaep.length, '0');";
    fs::write(&script, text.replace("var h = enc.toString(16);", mended)).expect("our directory");
    pages
}

/// Looks at the guest, whose SPICE server listens for its channels there, through that proxy, on pages of another listener.
fn look(driver: Driver, guest: &Guest, channels: SocketAddr, proxy: &Proxy, ticket: &Ticket) {
    let (pages, setup) = (pages(), Setup::without_listeners(driver));
    let portal = SocketAddr::new(setup.address(), 6080);
    let portal_lines = format!(
        "name = \"portal\"\naddress = \"{portal}\"\nservice = \"console\"\nweb = \"{}\"\ntarget = \"tcp://{}\"",
        pages.path().display(),
        guest.spice()
    );
    let _portal = setup.listener(&portal_lines).start();
    let browser = Browser::start(None);
    let path: String = ticket.path().bytes().map(|byte| format!("%{byte:02X}")).collect();
    let (host, port) = (proxy.address.ip(), proxy.address.port());
    browser.open(&format!("http://{portal}/spice_auto.html?host={host}&port={port}&path={path}"));
    let style = "document.head.append(Object.assign(document.createElement('style'), { textContent: 'canvas { outline: none }' }))";
    browser.look(style).expect("a page");
    let font = Font::of_qemu();
    browser.wait_until("the screen shows the guest's line", || {
        let picture = browser.picture("canvas").filter(|picture| picture.size() == (720, 400));
        picture.is_some_and(|picture| picture.text(&font) == [Guest::TEXT])
    });
    // The screen may be there before the other channels are.
    wait::until_true("all channels are open", PATIENCE, || procfs::connections_to(channels) >= 4);
    drop(browser);
    let records = proxy.records(4);
    let opened = records.iter().filter(|record| record["status"] == 101).count();
    assert_eq!(opened, 4, "{records:?}");
}

fn one_ticket_opens_all_channels_of_a_viewer(driver: Driver) {
    let (engine, guest) = (Engine::new(), Guest::start());
    let proxy = Plan::new(driver, &engine).argument("--deny-replay").start();
    look(driver, &guest, guest.spice(), &proxy, &Ticket::to(guest.spice(), false).signed(&engine));
}

fn one_ticket_opens_all_channels_of_a_viewer_on_tls(driver: Driver) {
    let engine = Engine::new();
    let proxy = Plan::new(driver, &engine).start();
    let address = penstock_tests::loopback::address();
    let certificates = proxy.pki.path("qemu");
    let identity = proxy.pki.authority.issue(&Wanted::server(address));
    proxy.pki.authority.qemu_server(&certificates, &identity);
    let guest = Guest::start_with_tls(address.into(), &certificates);
    let ticket = Ticket::to(guest.spice_tls(), true).signed(&engine);
    look(driver, &guest, guest.spice_tls(), &proxy, &ticket);
}
