//! The main job: a SPICE client draws a guest's screen through the proxy, with TLS on either leg of its way or on none.

use penstock_tests::peers::{Guest, Spicy};
use penstock_tests::picture::Picture;
use penstock_tests::pki::{Folder, Wanted};
use penstock_tests::{Driver, Penstock, Setup, both_drivers, loopback, names};

both_drivers! {
    spicy_draws_the_guest,
    spicy_draws_the_guest_through_an_https_proxy,
    spicys_own_tls_passes_untouched,
    spicys_own_tls_passes_within_that_of_the_proxy,
}

fn assert_drawn(picture: &Picture) {
    assert_eq!(picture.size(), (720, 400));
    assert_eq!(picture.line(0), Guest::TEXT.replace(|c| c != ' ', "#"));
    assert!(picture.ink() > 600, "{} pixels", picture.ink());
}

fn spicy_draws_the_guest(driver: Driver) {
    let (penstock, guest) = (Setup::new(driver).start(), Guest::start());
    let before = penstock.holdings();
    assert_drawn(&Spicy::through(penstock.proxy(), guest.spice()).screenshot());
    penstock.assert_holds(&before);

    // The client opens two channels, main and display.
    let lines = penstock.access_log(2);
    for line in &lines {
        assert_eq!((line.code.as_str(), line.method.as_str()), ("TCP_TUNNEL/200", "CONNECT"));
        assert_eq!((line.client.as_str(), line.user.as_str()), ("127.0.0.1", "-"));
        assert_eq!((&line.url, line.content_type.as_str()), (&guest.spice().to_string(), "-"));
        assert_eq!(line.hierarchy, format!("HIER_DIRECT/{}", guest.spice().ip()));
        assert!(line.size > 39, "a channel without an answer");
    }
    let display = lines.iter().map(|line| line.size).max();
    assert!(display > Some(10_000), "{display:?} bytes are no picture");
}

/// A proxy whose clients speak TLS with it.
fn https_proxy(driver: Driver, pki: &Folder) -> Penstock {
    let setup = Setup::new(driver);
    let pair = pki.pair("proxy", &Wanted::server(setup.address()));
    setup.set("listen", "tls", &format!("{{ {pair} }}")).start()
}

/// A guest whose SPICE server speaks TLS, too.
fn guest_with_tls(pki: &Folder) -> Guest {
    let address = loopback::address().into();
    let identity = pki.authority.issue(&Wanted::server(address));
    pki.authority.qemu_server(&pki.path("qemu"), &identity);
    Guest::start_with_tls(address, &pki.path("qemu"))
}

/// Two tunnels, with as many handshakes of ours with the client as there should be, and none with the target.
fn assert_passed(penstock: &Penstock, guest: std::net::SocketAddr, handshakes: f64) {
    let counts = (penstock.handshakes("client"), penstock.handshakes("target"));
    assert_eq!(counts, (handshakes, 0.0));
    assert_eq!(penstock.metric(names::TUNNELS, &[]), 2.0);
    for line in penstock.access_log(2) {
        assert_eq!((line.code.as_str(), &line.url), ("TCP_TUNNEL/200", &guest.to_string()));
    }
}

fn spicy_draws_the_guest_through_an_https_proxy(driver: Driver) {
    let pki = Folder::new();
    let (penstock, guest) = (https_proxy(driver, &pki), Guest::start());
    let before = penstock.holdings();
    let spicy = Spicy::through(penstock.proxy(), guest.spice()).https(pki.authority_file());
    assert_drawn(&spicy.screenshot());
    penstock.assert_holds(&before);
    assert_passed(&penstock, guest.spice(), 2.0);
}

fn spicys_own_tls_passes_untouched(driver: Driver) {
    let pki = Folder::new();
    let (penstock, guest) = (Setup::new(driver).start(), guest_with_tls(&pki));
    let ca = pki.authority_file();
    assert_drawn(&Spicy::with_tls_through(penstock.proxy(), guest.spice_tls(), ca).screenshot());
    assert_passed(&penstock, guest.spice_tls(), 0.0);
}

fn spicys_own_tls_passes_within_that_of_the_proxy(driver: Driver) {
    let pki = Folder::new();
    let (penstock, guest) = (https_proxy(driver, &pki), guest_with_tls(&pki));
    let ca = pki.authority_file();
    let spicy = Spicy::with_tls_through(penstock.proxy(), guest.spice_tls(), ca.clone()).https(ca);
    assert_drawn(&spicy.screenshot());
    assert_passed(&penstock, guest.spice_tls(), 2.0);
}
