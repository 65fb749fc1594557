//! gvnccapture through Penstock: untouched towards a server's own TLS, and as a client of TLS that is ours.

use penstock_tests::peers::{Gvnc, SASL_PASSWORD, SASL_USER, VncGuest, VncSetup};
use penstock_tests::picture::Picture;
use penstock_tests::pki::{Authority, Wanted};
use penstock_tests::{Driver, both_drivers};

use crate::rig::{Front, House, Plan, told};

both_drivers! {
    a_native_clients_tls_passes_untouched,
    a_native_client_speaks_tls_with_us,
    sasl_that_encrypts_by_itself_passes_untouched,
}

fn assert_drawn(picture: &Picture) {
    assert_eq!(picture.size(), (720, 400));
    assert_eq!(picture.line(0), VncGuest::TEXT.replace(|c| c != ' ', "#"));
}

fn a_native_clients_tls_passes_untouched(driver: Driver) {
    let plan = Plan::new(driver);
    let setup = VncSetup::new().password("secret");
    // The client takes the server for what it has connected to, which is the daemon.
    let identity = plan.pki.authority.issue(&Wanted::server(plan.address()));
    plan.pki.authority.qemu_server(&plan.pki.path("qemu"), &identity);
    let guest = setup.mutual(&plan.pki.path("qemu")).start();
    let target = format!("tcp://{}", guest.address());
    let house = plan
        .listener("pass", Front::Forward, &target, "vnc = { mode = \"pass\" }")
        .listener("bare", Front::Forward, &target, "")
        .start();
    let viewer = house.pki.authority.issue(&Wanted::client(&[("CN", "viewer")]));
    let viewer = Gvnc::new().trusting(&house.pki.authority).showing(&viewer).password("secret");
    for name in ["pass", "bare"] {
        assert_drawn(&viewer.look(house.at(name)).expect("a picture"));
    }
    assert_eq!((house.daemon.handshakes("client"), house.daemon.handshakes("target")), (0.0, 0.0));
    house.is_empty();
}

/// On TCP in the clear, QEMU wants a mechanism that brings its own encryption, which only both ends can speak.
fn sasl_that_encrypts_by_itself_passes_untouched(driver: Driver) {
    let guest = VncSetup::new().sasl("digest-md5").start();
    let target = format!("tcp://{}", guest.address());
    let pass = "vnc = { mode = \"pass\" }";
    let house = Plan::new(driver).listener("pass", Front::Forward, &target, pass).start();
    let viewer = Gvnc::new().user(SASL_USER).password(SASL_PASSWORD);
    assert_drawn(&viewer.look(house.at("pass")).expect("a picture"));
    let stranger = Gvnc::new().user(SASL_USER).password("wrong");
    stranger.look(house.at("pass")).expect_err("it is wrong");
    house.is_empty();
}

/// A guest with a password within TLS, and listeners for native clients before it.
fn house(driver: Driver) -> (House, VncGuest) {
    let plan = Plan::new(driver);
    let setup = VncSetup::new().password("secret");
    let identity = plan.pki.authority.issue(&Wanted::server(setup.address().ip()));
    plan.pki.authority.qemu_server(&plan.pki.path("qemu"), &identity);
    let guest = setup.certificates(&plan.pki.path("qemu")).start();
    let target = format!("tcp://{}", guest.address());
    let mode = |keys: &str| plan.vnc("", keys);
    let ours = mode(&format!(
        "mode = \"authenticate\", password = {{ file = {} }}, listen = [\"x509none\"]",
        plan.file("password", "secret\n")
    ));
    let theirs = mode("mode = \"bridge\", listen = [\"x509vnc\"]");
    let house = plan
        .listener("authenticate", Front::Native, &target, &ours)
        .listener("bridge", Front::Native, &target, &theirs)
        .start();
    (house, guest)
}

fn a_native_client_speaks_tls_with_us(driver: Driver) {
    let (house, _guest) = house(driver);
    let viewer = || Gvnc::new().trusting(&house.pki.authority);
    assert_drawn(&viewer().look(house.at("authenticate")).expect("no password is asked for"));
    assert_drawn(&viewer().password("secret").look(house.at("bridge")).expect("a picture"));
    assert_eq!((house.daemon.handshakes("client"), house.daemon.handshakes("target")), (2.0, 2.0));

    viewer().password("wrong").look(house.at("bridge")).expect_err("it is wrong");
    let (reason, detail) = told(&house.record(3));
    assert_eq!(reason, "client login unauthorized", "{detail}");
    let stranger = Authority::new("of somebody else");
    let stranger = Gvnc::new().trusting(&stranger).password("secret");
    stranger.look(house.at("bridge")).expect_err("it does not trust us");
    let (reason, detail) = told(&house.record(4));
    assert!(reason.starts_with("client "), "{reason}: {detail}");
    house.is_empty();
}
