//! The stand-in client at real servers, and a real client: what they do before Penstock is between them.

use std::io::ErrorKind;

use penstock_tests::peers::{Gvnc, SASL_PASSWORD, SASL_USER, VncGuest, VncSetup, Xvnc};
use penstock_tests::picture::Picture;
use penstock_tests::pki::{Authority, Folder, Wanted};
use penstock_tests::tls::TlsClient;
use penstock_tests::vnc::client::{Console, Failure, Login};
use penstock_tests::vnc::{Account, V33, V37, V38, security, subtype};

/// A setup, and an authority that has signed its certificate.
struct House {
    setup: VncSetup,
    pki: Folder,
}

impl House {
    fn new() -> House {
        let (setup, pki) = (VncSetup::new(), Folder::new());
        let identity = pki.authority.issue(&Wanted::server(setup.address().ip()));
        pki.authority.qemu_server(&pki.path("qemu"), &identity);
        House { setup, pki }
    }

    fn tls(&self) -> TlsClient {
        TlsClient::new(&self.pki.authority, None)
    }
}

fn assert_shown(console: &Console) {
    assert_eq!((console.name.as_str(), console.size), ("QEMU", (720, 400)));
}

fn assert_drawn(picture: &Picture) {
    assert_eq!(picture.size(), (720, 400));
    assert_eq!(picture.line(0), VncGuest::TEXT.replace(|c| c != ' ', "#"));
}

#[test]
fn qemu_without_tls() {
    let open = VncSetup::new().start();
    for version in [V33, V37, V38] {
        let login = Login::new(security::NONE).version(version);
        assert_shown(&login.open(open.address()).expect("a console"));
    }
    let locked = VncSetup::new().password("secret").start();
    for version in [V33, V37, V38] {
        let login = Login::new(security::VNC).version(version);
        assert_shown(&login.open(locked.address()).expect("a console"));
        let failure = login.password("wrong").open(locked.address()).expect_err("it is wrong");
        let Failure::Refused(1, words) = failure else { panic!("{version:?}: {failure:?}") };
        // QEMU counts a NUL behind its words.
        let expected = (version == V38).then(|| "Authentication failed\0".to_owned());
        assert_eq!(words, expected);
    }
    let by_socket = VncSetup::new().unix().start();
    assert!(by_socket.socket().exists());
}

#[test]
fn qemu_with_certificates() {
    for (subtype, inner) in
        [(subtype::X509_NONE, ""), (subtype::X509_VNC, "vnc"), (subtype::X509_SASL, "plain")]
    {
        let House { setup, pki } = House::new();
        let tls = TlsClient::new(&pki.authority, None);
        let setup = setup.certificates(&pki.path("qemu"));
        let guest = match inner {
            "" => setup.start(),
            "vnc" => setup.password("secret").start(),
            mechanism => setup.sasl(mechanism).start(),
        };
        let mut login = Login::vencrypt(subtype, &tls, guest.address());
        login.account = Account::new(SASL_USER, SASL_PASSWORD);
        let console = login.open(guest.address()).expect("a console");
        assert_shown(&console);
        assert_eq!(
            (&*console.offers.types, &*console.offers.subtypes),
            (&[19][..], &[subtype][..])
        );
        drop(console);
        let wrong = login.password("wrong").open(guest.address());
        match (inner, wrong) {
            ("", Ok(console)) => assert_shown(&console),
            ("vnc", Err(Failure::Refused(1, Some(words)))) => {
                assert_eq!(words, "Authentication failed\0");
            }
            // Of SASL, it tells no result when a password is wrong, nor says anything else.
            ("plain", Err(Failure::Broken(error, None))) => {
                assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
            }
            (_, other) => panic!("{inner}: {other:?}"),
        }
    }
}

#[test]
fn qemu_looks_at_certificates() {
    let House { setup, pki } = House::new();
    let setup = setup.mutual(&pki.path("qemu")).only("O=Penstock,CN=proxy");
    let guest = setup.start();
    let [right, wrong] = ["proxy", "another"]
        .map(|name| pki.authority.issue(&Wanted::client(&[("O", "Penstock"), ("CN", name)])));
    let stranger = Authority::new("of somebody else")
        .issue(&Wanted::client(&[("O", "Penstock"), ("CN", "proxy")]));
    let open = |identity| {
        let tls = TlsClient::new(&pki.authority, identity);
        Login::vencrypt(subtype::X509_NONE, &tls, guest.address()).open(guest.address())
    };
    assert_shown(&open(Some(&right)).expect("a console"));
    for identity in [None, Some(&wrong), Some(&stranger)] {
        let failure = open(identity).expect_err("nobody else");
        // The handshake is over by then, and there is no alert: nothing tells one fault from another.
        let Failure::Broken(error, None) = failure else { panic!("{failure:?}") };
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }
}

#[test]
fn qemu_without_certificates() {
    for (setup, subtype) in [
        (VncSetup::new().anonymous(), subtype::TLS_NONE),
        (VncSetup::new().anonymous().password("secret"), subtype::TLS_VNC),
    ] {
        let guest = setup.start();
        let house = House::new();
        let login = Login::vencrypt(subtype::X509_NONE, &house.tls(), guest.address());
        let failure = login.open(guest.address()).expect_err("it has none");
        let Failure::NotOffered(offers) = failure else { panic!("{failure:?}") };
        assert_eq!((offers.types, offers.subtypes), (vec![19], vec![subtype]));
        // A client of GnuTLS can do it.
        assert_drawn(&Gvnc::new().password("secret").look(guest.address()).expect("a picture"));
    }
}

#[test]
fn qemu_with_sasl_in_the_clear() {
    let guest = VncSetup::new().sasl("scram-sha-256 digest-md5 plain").start();
    let failure = Login::new(security::SASL).open(guest.address()).expect_err("no PLAIN here");
    let Failure::NoMechanism(list) = failure else { panic!("{failure:?}") };
    // The only one of them that brings encryption.
    assert_eq!(list, "DIGEST-MD5");
}

#[test]
fn tigervnc_asks_for_a_name() {
    let pki = Folder::new();
    let server = Xvnc::start(&pki);
    let tls = TlsClient::new(&pki.authority, None);
    let login = Login::vencrypt(subtype::X509_PLAIN, &tls, server.address());
    let console = login.open(server.address()).expect("a console");
    assert_eq!((console.name.as_str(), console.size), (Xvnc::NAME, (400, 300)));
    let failure = login.password("wrong").open(server.address()).expect_err("it is wrong");
    let Failure::Refused(1, Some(words)) = failure else { panic!("{failure:?}") };
    assert_eq!(words, "Authentication failure: invalid password or username", "{}", server.said());
}

#[test]
fn gvnccapture_draws_each_of_them() {
    let plain = VncSetup::new().password("secret").start();
    assert_drawn(&Gvnc::new().password("secret").look(plain.address()).expect("a picture"));
    Gvnc::new().password("wrong").look(plain.address()).expect_err("it is wrong");

    let House { setup, pki } = House::new();
    let guest = setup.mutual(&pki.path("qemu")).sasl("scram-sha-256").start();
    let identity = pki.authority.issue(&Wanted::client(&[("CN", "viewer")]));
    let viewer = Gvnc::new().trusting(&pki.authority).showing(&identity);
    let viewer = viewer.user(SASL_USER).password(SASL_PASSWORD);
    assert_drawn(&viewer.look(guest.address()).expect("a picture"));
    let nobody = Gvnc::new().trusting(&pki.authority).user(SASL_USER).password(SASL_PASSWORD);
    nobody.look(guest.address()).expect_err("it shows no certificate");
}
