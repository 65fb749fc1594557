//! Who is shown what, who is let in, what is agreed on, and sessions that are taken up again.

use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::thread;

use penstock_tests::connect::PATIENCE;
use penstock_tests::pki::{Authority, Issued, Wanted};
use penstock_tests::{Driver, both_drivers, names, wait};
use rustls::pki_types::ServerName;
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConfig, ServerConnection,
};

use crate::end::{End, Ending, Socket};
use crate::gateway::{Gateway, Leg, Plan, builder_of_client, certificate_of, key_of};

both_drivers! {
    the_name_that_is_asked_for_chooses_the_certificate,
    a_protocol_is_agreed_on_or_refused,
    certificates_of_clients_are_asked_for_as_configured,
    only_listed_subjects_come_in,
    sessions_are_taken_up_again_on_both_legs,
    who_is_older_than_the_minimum_is_told_so,
    a_target_that_wants_a_certificate_is_told_of,
}

const NAMES: [&str; 2] = ["one.example", "two.example"];

/// A client of TLS as a test wants it.
fn shake(gateway: &Gateway, config: &Arc<ClientConfig>, name: &str) -> std::io::Result<End> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let session = ClientConnection::new(Arc::clone(config), name).expect("a client");
    End::tls(Socket::Tcp(TcpStream::connect(gateway.address())?), session)
}

/// Whether somebody comes in, which is known when an echo has come back: TLS 1.3 tells clients late.
fn is_let_in(gateway: &Gateway, config: &Arc<ClientConfig>, name: &str) -> Result<End, String> {
    let mut client = shake(gateway, config, name).map_err(|error| error.to_string())?;
    client.try_say(b"here").map_err(|error| error.to_string())?;
    let reached = wait::until("the target is reached, or the client told", PATIENCE, || {
        gateway.try_accept().map(Ok).or_else(|| client.failure_so_far().map(Err))
    });
    let mut target = reached?;
    assert_eq!(target.hear(4), b"here");
    target.say(b"welcome");
    assert_eq!(client.hear(7), b"welcome");
    Ok(client)
}

fn config(
    gateway: &Gateway,
    identity: Option<&Issued>,
    change: impl Fn(&mut ClientConfig),
) -> Arc<ClientConfig> {
    let builder = builder_of_client(&gateway.pki.authority, rustls::ALL_VERSIONS);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder
            .with_client_auth_cert(vec![certificate_of(&identity.certificate)], key_of(identity))
            .expect("an identity"),
    };
    config.resumption = rustls::client::Resumption::disabled();
    change(&mut config);
    Arc::new(config)
}

/// A listener with a certificate for each of [`NAMES`], and more keys.
fn named(driver: Driver, more: &str) -> Gateway {
    let plan = Plan::new(driver, [Leg::Tls, Leg::Tcp]);
    let files = NAMES.map(|name| {
        plan.pki.pair(name, &Wanted::named_server(name));
        (plan.pki.path(&format!("{name}.pem")), plan.pki.path(&format!("{name}.key")))
    });
    let list = |pick: fn(&(std::path::PathBuf, std::path::PathBuf)) -> String| {
        files.iter().map(pick).collect::<Vec<_>>().join(", ")
    };
    let (cert, key) = (
        list(|(cert, _)| format!("\"{}\"", cert.display())),
        list(|(_, key)| format!("\"{}\"", key.display())),
    );
    let ca = plan.pki.authority_file().display().to_string();
    let keys = more.replace("CA", &format!("client_ca = \"{ca}\""));
    plan.identity(&format!("cert = [{cert}], key = [{key}]{keys}")).start()
}

fn the_name_that_is_asked_for_chooses_the_certificate(driver: Driver) {
    let gateway = named(driver, "");
    let config = config(&gateway, None, |_| ());
    let mut shown = Vec::new();
    for name in NAMES {
        let client = is_let_in(&gateway, &config, name).expect("it has a certificate for that");
        let session = client.tls.expect("TLS");
        shown.push(session.peer_certificates().expect("shown")[0].clone());
    }
    assert_ne!(shown[0], shown[1]);
    // Of a name that nobody has, the first certificate is shown, and the client judges.
    let refused = is_let_in(&gateway, &config, "three.example").err().expect("another name");
    assert!(refused.contains("NotValidForName") || refused.contains("not valid"), "{refused}");
}

fn a_protocol_is_agreed_on_or_refused(driver: Driver) {
    let gateway = named(driver, ", alpn = [\"http/1.1\"]");
    let agreed = |offered: &[&str]| {
        let offered: Vec<Vec<u8>> = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let config = config(&gateway, None, |config| config.alpn_protocols = offered.clone());
        let client = is_let_in(&gateway, &config, NAMES[0])?;
        let session = client.tls.expect("TLS");
        Ok::<_, String>(session.alpn_protocol().map(<[u8]>::to_vec))
    };
    assert_eq!(agreed(&["h2", "http/1.1"]), Ok(Some(b"http/1.1".to_vec())));
    assert_eq!(agreed(&[]), Ok(None), "who offers none is not asked");
    let refused = agreed(&["h2"]).expect_err("nothing in common");
    assert!(refused.contains("NoApplicationProtocol"), "{refused}");
}

fn certificates_of_clients_are_asked_for_as_configured(driver: Driver) {
    let stranger = Authority::new("another").issue(&Wanted::client(&[("CN", "stranger")]));
    for (auth, none, sound, strange) in [
        ("off", true, true, true),
        ("optional", true, true, false),
        ("require", false, true, false),
    ] {
        let keys = match auth {
            "off" => String::new(),
            auth => format!(", client_auth = \"{auth}\", CA"),
        };
        let gateway = named(driver, &keys);
        let friend = gateway.pki.authority.issue(&Wanted::client(&[("O", "We"), ("CN", "friend")]));
        let cases = [(None, none), (Some(&friend), sound), (Some(&stranger), strange)];
        for (identity, expected) in cases {
            let config = config(&gateway, identity, |_| ());
            let result = is_let_in(&gateway, &config, NAMES[0]).map(drop);
            assert_eq!(result.is_ok(), expected, "{auth}: {result:?}");
            if let Err(told) = result {
                assert!(told.contains("received fatal alert"), "{auth}: {told}");
            }
        }
        let refused = [none, sound, strange].iter().filter(|let_in| !**let_in).count();
        let records = gateway.penstock.records(3);
        let told = records.iter().filter(|record| record["cause"] == "certificate_refused");
        assert_eq!(told.count(), refused, "{auth}: {records:?}");
        let subjects =
            records.iter().filter(|record| record["client_tls"]["subject"] == "O=We,CN=friend");
        assert_eq!(subjects.count(), usize::from(auth != "off"), "{auth}: {records:?}");
    }
}

fn only_listed_subjects_come_in(driver: Driver) {
    let listed = ", client_auth = \"require\", CA, allowed_dn = [\"O=We,CN=adm?n*\", \"CN=x\"]";
    let nobody = ", client_auth = \"require\", CA, allowed_dn = []";
    for (keys, subject, expected) in [
        (listed, [("O", "We"), ("CN", "admin7")], true),
        (listed, [("O", "We"), ("CN", "adn")], false),
        (listed, [("CN", "admin7"), ("O", "We")], false),
        (nobody, [("O", "We"), ("CN", "admin7")], false),
    ] {
        let gateway = named(driver, keys);
        let identity = gateway.pki.authority.issue(&Wanted::client(&subject));
        let config = config(&gateway, Some(&identity), |_| ());
        let result = is_let_in(&gateway, &config, NAMES[0]).map(drop);
        assert_eq!(result.is_ok(), expected, "{subject:?} of {keys}: {result:?}");
        let record = gateway.penstock.records(1).remove(0);
        if !expected {
            let detail = record["detail"].as_str().expect("words");
            assert!(detail.contains("allowed_dn") && detail.contains("We"), "{detail}");
        }
    }
}

fn sessions_are_taken_up_again_on_both_legs(driver: Driver) {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let gateway = Plan::new(driver, [Leg::Tls, Leg::Tls]).start();
        let config = builder_of_client(&gateway.pki.authority, &[version]).with_no_client_auth();
        let config = Arc::new(config);
        let name = gateway.address().ip().to_string();
        for round in 0..6 {
            let kind = thread::scope(|scope| {
                let target = scope.spawn(|| gateway.accept());
                let mut client = shake(&gateway, &config, &name).expect("a tunnel");
                let mut target = target.join().expect("a target");
                target.say(b"tickets come before this");
                client.hear(24);
                client.say(b"and so");
                target.hear(6);
                client.finish();
                assert_eq!(target.rest().1, Ending::InOrder);
                client.tls.expect("TLS").handshake_kind()
            });
            let resumed = kind == Some(HandshakeKind::Resumed);
            assert_eq!(resumed, round > 0, "round {round} of {version:?}: {kind:?}");
        }
        let count = |side, kind| {
            gateway.penstock.metric(names::HANDSHAKES, &[("side", side), ("kind", kind)])
        };
        assert_eq!((count("client", "full"), count("client", "resumed")), (1.0, 5.0));
        assert_eq!((count("target", "full"), count("target", "resumed")), (1.0, 5.0));
        assert_eq!(count("client", "failed") + count("target", "failed"), 0.0);
    }
}

fn who_is_older_than_the_minimum_is_told_so(driver: Driver) {
    let gateway = named(driver, ", min_version = \"1.3\"");
    let builder = builder_of_client(&gateway.pki.authority, &[&rustls::version::TLS12]);
    let old = Arc::new(builder.with_no_client_auth());
    let refused = is_let_in(&gateway, &old, NAMES[0]).err().expect("it is too old");
    assert!(refused.contains("ProtocolVersion"), "{refused}");
    let record = gateway.penstock.records(1).remove(0);
    let detail = record["detail"].as_str().expect("words");
    assert!(detail.contains("TLS 1.2") && detail.contains("`min_version`"), "{detail}");
    assert!(is_let_in(&gateway, &config(&gateway, None, |_| ()), NAMES[0]).is_ok());
}

/// In TLS 1.3, a target says so only after the handshake has ended for us.
fn a_target_that_wants_a_certificate_is_told_of(driver: Driver) {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let gateway = Plan::new(driver, [Leg::Tcp, Leg::Tls]).start();
        let mut client = gateway.connect();
        let authority = Arc::new(authority(&gateway));
        let identity = gateway.pki.authority.issue(&Wanted::server(Ipv4Addr::LOCALHOST));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let config = builder
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(authority, provider)
                    .build()
                    .expect("an authority"),
            )
            .with_single_cert(vec![certificate_of(&identity.certificate)], key_of(&identity))
            .expect("an identity");
        let session = ServerConnection::new(Arc::new(config)).expect("a server");
        let socket = Socket::Tcp(gateway.accept_silently());
        let refused = End::tls(socket, session).err().expect("we have none").to_string();
        assert!(refused.contains("no certificates"), "{refused}");
        assert!(client.rest().0.is_empty(), "nothing of it reaches the client");
        drop(client);
        let record = gateway.penstock.records(1).remove(0);
        assert_eq!((&record["side"], &record["cause"]), (&"target".into(), &"tls_failed".into()));
        let detail = record["detail"].as_str().expect("words");
        assert!(detail.contains("certificate"), "{detail}");
        let phase = if *version == rustls::version::TLS13 { "relay" } else { "tls" };
        assert_eq!(record["phase"], phase, "{record}");
    }
}

fn authority(gateway: &Gateway) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(certificate_of(gateway.pki.authority.pem())).expect("an authority");
    roots
}
