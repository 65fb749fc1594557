//! Certificates that are not what they should be, between real clients and servers: who judges, what is decided, and whether the
//! log says what is wrong and what to do.

use std::net::IpAddr;
use std::path::Path;

use penstock_tests::peers::{Libvirtd, LibvirtdSetup, Virsh};
use penstock_tests::pki::{Authority, Folder, Issued, Wanted};
use penstock_tests::{Driver, Penstock, Setup, both_drivers, names};

both_drivers! {
    a_server_is_let_be_one_by_its_certificate,
    a_server_may_have_its_name_as_common_name_only,
    a_client_is_let_in_by_its_certificate,
    a_server_that_does_not_let_us_in_is_told_apart,
}

/// What stands in the log about the last connection: its side, phase and cause, and the words for the operator.
fn last_record(penstock: &Penstock) -> (String, String) {
    let record = penstock.records(1).pop().expect("at least one");
    let word = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
    (format!("{} {} {}", word("side"), word("phase"), word("cause")), word("detail"))
}

fn assert_told(what: &str, (reason, detail): &(String, String), expected: &str, words: &[&str]) {
    assert!(reason.contains(expected), "{what}: {reason}: {detail}");
    for word in words {
        assert!(detail.contains(word), "{what}: {word:?} is missing in: {detail}");
    }
}

/// A gateway from a UNIX socket to one target, and who asks there.
fn gateway(driver: Driver, pki: &Folder, target: &str) -> (Penstock, Virsh) {
    let socket = pki.path("gateway");
    let lines = format!(
        "name = \"gateway\"\naddress = \"unix:{}\"\nservice = \"forward\"\ntarget = \"{target}\"",
        socket.display()
    );
    let penstock = Setup::without_listeners(driver).listener(&lines).start();
    (penstock, Virsh::new(format!("qemu+unix:///system?socket={}", socket.display())))
}

/// What becomes of a libvirtd whose certificate is as wanted, of another authority if one is given, and revoked or not.
fn judge_server(
    driver: Driver,
    other: Option<&Authority>,
    wanted: impl Fn(IpAddr) -> Wanted,
    is_revoked: bool,
) -> (bool, (String, String)) {
    let (pki, setup) = (Folder::new(), LibvirtdSetup::new());
    let server = other.unwrap_or(&pki.authority).issue(&wanted(setup.address()));
    let (client, files) =
        (pki.authority.issue(&Wanted::client(&[("CN", "us")])), pki.path("files"));
    let revoked: Vec<&Issued> = is_revoked.then_some(&server).into_iter().collect();
    let list = pki.authority.revoke(&revoked);
    pki.authority.libvirt_client(&files, Some(&client), Some(&list));
    let libvirtd = setup.tls(&pki.authority, &server).start();
    let (penstock, virsh) = gateway(driver, &pki, &libvirtd.by_tls(&files));
    let is_served = virsh.list().is_ok();
    assert_eq!(penstock.handshakes("target") > 0.0, is_served);
    assert_eq!(penstock.metric(names::BY_COMMON_NAME, &[]), 0.0);
    (is_served, last_record(&penstock))
}

fn a_server_is_let_be_one_by_its_certificate(driver: Driver) {
    let (namesake, stranger) = (Authority::new(Folder::AUTHORITY), Authority::new("Others"));
    let other = |_| Wanted::named_server("other.invalid");
    let judge = |authority, revoked| judge_server(driver, authority, Wanted::server, revoked);
    let refused = "target tls certificate_refused";
    let cases = [
        ("right", judge(None, false), " relay ", &[][..]),
        (
            "of another authority",
            judge(Some(&stranger), false),
            refused,
            &["no CA", "/files/cacert.pem"],
        ),
        ("of a namesake", judge(Some(&namesake), false), refused, &["no CA", "/files/cacert.pem"]),
        (
            "for another name",
            judge_server(driver, None, other, false),
            refused,
            &["127.", "other.invalid", "server_name"],
        ),
        (
            "expired",
            judge_server(driver, None, |ip| Wanted::server(ip).expired(), false),
            refused,
            &["expired", "renew"],
        ),
        ("revoked", judge(None, true), refused, &["revoked"]),
    ];
    for (what, (is_served, told), reason, words) in cases {
        assert_eq!(is_served, what == "right", "{what}");
        assert_told(what, &told, reason, words);
    }
}

fn a_server_may_have_its_name_as_common_name_only(driver: Driver) {
    let (pki, setup) = (Folder::new(), LibvirtdSetup::on_localhost());
    let server = pki.authority.issue(&Wanted::server_by_common_name("localhost"));
    let libvirtd = setup.tls(&pki.authority, &server).start();
    let files = pki.pkipath("files", &Wanted::client(&[("CN", "us")]));
    let target = libvirtd.by_tls(&files).replace("127.0.0.1", "localhost");
    let (penstock, virsh) = gateway(driver, &pki, &target);
    assert_eq!(virsh.list(), Ok(Vec::new()));
    assert_eq!(penstock.metric(names::BY_COMMON_NAME, &[("listener", "gateway")]), 1.0);
    // The same certificate at a place of another name.
    let place = Folder::new();
    let (penstock, virsh) = gateway(driver, &place, &libvirtd.by_tls(&files));
    assert!(virsh.list().is_err(), "127.0.0.1 is not localhost");
    let told = last_record(&penstock);
    assert_told("by number", &told, "target tls certificate_refused", &["127.0.0.1", "localhost"]);
}

/// A gateway from TLS, for subjects of `O=Consoles`, to a libvirtd that lets everybody in.
fn gate(driver: Driver, pki: &Folder, libvirtd: &Libvirtd, list: &str) -> (Penstock, String) {
    let setup = Setup::without_listeners(driver);
    let address = format!("{}:16514", setup.address());
    let (pair, crl) = (pki.pair("penstock", &Wanted::server(setup.address())), pki.path("crl.pem"));
    std::fs::write(&crl, list).expect("our directory");
    let lines = format!(
        "name = \"gateway\"\naddress = \"{address}\"\nservice = \"forward\"\ntarget = \"{}\"\nlibvirt = true
tls = {{ {pair}, client_ca = \"{}\", client_auth = \"require\", allowed_dn = [\"O=Consoles,*\"], crl = \"{}\" }}",
        libvirtd.by_unix(),
        pki.authority_file().display(),
        crl.display()
    );
    (setup.listener(&lines).start(), address)
}

/// Whether virsh is served with an identity, or without one.
fn knock(pki: &Folder, address: &str, identity: Option<&Issued>, files: &Path) -> bool {
    pki.authority.libvirt_client(files, identity, None);
    let uri = format!("qemu+tls://{address}/system?no_sanity=1&pkipath={}", files.display());
    Virsh::new(uri).list().is_ok()
}

fn a_client_is_let_in_by_its_certificate(driver: Driver) {
    let (pki, libvirtd) = (Folder::new(), LibvirtdSetup::new().start());
    let (namesake, stranger) = (Authority::new(Folder::AUTHORITY), Authority::new("Others"));
    let wanted = Wanted::client(&[("O", "Consoles"), ("CN", "somebody")]);
    let other = Wanted::client(&[("O", "Others"), ("CN", "somebody")]);
    let ours = &pki.authority;
    let (right, revoked) = (ours.issue(&wanted), ours.issue(&wanted));
    let refused = "client tls certificate_refused";
    let cases = [
        ("right", Some(right), " relay ", &[][..]),
        ("none", None, refused, &["no certificate"]),
        // virsh keeps it to itself.
        ("of another authority", Some(stranger.issue(&wanted)), refused, &["no certificate"]),
        ("of a namesake", Some(namesake.issue(&wanted)), refused, &["CA", "client_ca"]),
        ("expired", Some(ours.issue(&wanted.clone().expired())), refused, &["expired"]),
        ("revoked", Some(revoked.clone()), refused, &["revoked"]),
        ("not listed", Some(ours.issue(&other)), refused, &["O=Others,CN=somebody", "allowed_dn"]),
    ];
    for (what, identity, reason, words) in cases {
        let (penstock, address) = gate(driver, &pki, &libvirtd, &ours.revoke(&[&revoked]));
        let is_served =
            knock(&pki, &address, identity.as_ref(), &pki.path(&what.replace(' ', "-")));
        assert_eq!(is_served, what == "right", "{what}");
        assert_eq!(penstock.handshakes("client") > 0.0, is_served, "{what}");
        assert_told(what, &last_record(&penstock), reason, words);
    }
}

fn a_server_that_does_not_let_us_in_is_told_apart(driver: Driver) {
    let (pki, setup) = (Folder::new(), LibvirtdSetup::new());
    let server = pki.authority.issue(&Wanted::server(setup.address()));
    let libvirtd = setup.tls(&pki.authority, &server).allow(&["CN=others"]).start();
    let files = pki.pkipath("files", &Wanted::client(&[("CN", "us")]));
    let (penstock, virsh) = gateway(driver, &pki, &libvirtd.by_tls(&files));
    assert!(virsh.list().is_err(), "we are not on its list");
    let told = last_record(&penstock);
    assert_told("unlisted", &told, "target tls not_let_in", &["tls_allowed_dn_list"]);
    // The handshake itself had succeeded.
    assert_eq!(penstock.handshakes("target"), 1.0);
}
