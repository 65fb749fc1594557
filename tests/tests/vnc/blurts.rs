//! Bytes in the clear where TLS begins, as somebody in between would put them there: nothing of them counts, and nobody gets through.

use penstock_tests::vnc::client::{Failure, Login, blurt};
use penstock_tests::vnc::server::{CHALLENGE, Script, Server};
use penstock_tests::vnc::wire::{Faults, Moment};
use penstock_tests::vnc::{respond, security, subtype};
use penstock_tests::{Driver, both_drivers, loopback};

use crate::rig::{Front, House, Plan, told};

both_drivers! {
    what_a_server_blurts_out_is_nobodys_verdict,
    what_a_client_blurts_out_is_nobodys_password,
    what_broke_tls_is_told_and_not_that_nothing_can_be_said,
}

/// Before each change to TLS, and behind it.
const MOMENTS: [Moment; 2] = [Moment::WithTheLastWord, Moment::BehindTheHandshake];

/// What would be a verdict and a greeting, and other amounts of bytes.
fn nonsense() -> Vec<Vec<u8>> {
    let greeting = [&[0; 4][..], &[2, 128, 1, 224], &[0; 16], &[0, 0, 0, 1, b'!']].concat();
    [1, 4, 5, 16, 600].map(|length| vec![0; length]).into_iter().chain([greeting]).collect()
}

/// A server of one subtype, and listeners of every kind before it.
fn house(driver: Driver) -> (House, Server) {
    let (plan, address) = (Plan::new(driver), loopback::address().into());
    let script = Script::vencrypt(&[subtype::X509_VNC], plan.server(address));
    let server = Server::start_at(address, script);
    let (target, file) = (format!("tcp://{}", server.address()), plan.file("secret", "secret\n"));
    let mode = |keys: &str| plan.vnc("", keys);
    let ours = mode(&format!("mode = \"authenticate\", password = {{ file = {file} }}"));
    let theirs = mode("mode = \"bridge\"");
    let native = mode("mode = \"bridge\", listen = [\"x509vnc\"]");
    let house = plan
        .listener("authenticate", Front::Console, &target, &ours)
        .listener("bridge", Front::SecureConsole, &target, &theirs)
        .listener("native", Front::Native, &target, &native)
        .start();
    (house, server)
}

fn login(house: &House, name: &str) -> Login {
    match name {
        "authenticate" => Login::new(security::NONE),
        "bridge" => Login::new(security::VNC),
        _ => house.vencrypt(name, subtype::X509_VNC),
    }
}

fn what_a_server_blurts_out_is_nobodys_verdict(driver: Driver) {
    let (house, server) = house(driver);
    let mut ended = 0;
    for name in ["authenticate", "bridge", "native"] {
        for (moment, bytes) in MOMENTS.iter().flat_map(|m| nonsense().into_iter().map(|b| (*m, b)))
        {
            server.have_faults([blurt(moment, &bytes)]);
            let failure = house.open(name, &login(&house, name)).expect_err("TLS is broken");
            assert!(!matches!(failure, Failure::Refused(0, _)), "{failure:?}");
            let visit = server.visit();
            assert_eq!((visit.shared, visit.said), (None, 0), "{name} {moment:?}: {visit:?}");
            ended += 1;
            let (reason, detail) = told(&house.record(ended));
            assert!(reason.starts_with("target "), "{name} {moment:?}: {reason}: {detail}");
            assert!(!reason.ends_with(" finished"), "{name} {moment:?}: {reason}: {detail}");
        }
    }
    house.is_empty();
}

fn what_a_client_blurts_out_is_nobodys_password(driver: Driver) {
    let (house, server) = house(driver);
    let mut all = nonsense();
    // The right answer to a question that is yet to come, and a client's first word behind it.
    all.push([&respond("secret", CHALLENGE)[..], &[1]].concat());
    for (ended, (moment, bytes)) in
        MOMENTS.iter().flat_map(|m| all.iter().map(|bytes| (*m, bytes))).enumerate()
    {
        let login = login(&house, "native");
        let failure = house.open_with("native", &login, blurt(moment, bytes));
        failure.expect_err("TLS is broken");
        let visit = server.visit();
        assert_eq!((visit.admitted, visit.shared), (false, None), "{moment:?}: {visit:?}");
        let (reason, detail) = told(&house.record(ended + 1));
        assert!(reason.starts_with("client "), "{moment:?}: {reason}: {detail}");
        assert!(!reason.ends_with(" finished"), "{moment:?}: {reason}: {detail}");
    }
    let mut console = house
        .open_with("native", &login(&house, "native"), Faults::default())
        .expect("who is quiet comes in");
    console.echo(b"hello").expect("an open stream");
    drop(console);
    house.is_empty();
}

fn what_broke_tls_is_told_and_not_that_nothing_can_be_said(driver: Driver) {
    let (house, server) = house(driver);
    // No record of TLS begins like this: the question before it is understood, and can't be answered any more.
    server.have_faults([blurt(Moment::WithAQuestion, b"no record")]);
    let login = login(&house, "authenticate");
    house.open("authenticate", &login).expect_err("TLS is broken");
    assert!(!server.visit().admitted);
    let (reason, detail) = told(&house.record(1));
    assert_eq!(reason, "target login tls_failed", "{detail}");
    assert!(detail.contains("expected a record"), "{detail}");
    house.is_empty();
}
