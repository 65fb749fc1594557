//! What is said when nothing is agreed on: each cause with its words, its alert, and its way out.

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, date_time_ymd};

use super::certificates::*;
use super::*;
use crate::error::VersionFault;

/// A hello of a client that offers `version` and no more, and asks for a name.
fn old_hello(version: [u8; 2]) -> Vec<u8> {
    let name = b"\0\0\0\x0e\0\x0c\0\0\x09a.example";
    let mut body = [&version[..], &[7; 32], b"\0\0\x02\xc0\x13\x01\0"].concat();
    body.extend_from_slice(&(name.len() as u16).to_be_bytes());
    body.extend_from_slice(name);
    message(1, &body)
}

/// A handshake message in a record in the clear.
pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = |length: usize| (length as u16).to_be_bytes();
    let record = [&[22, 3, 1][..], &length(body.len() + 4), &[kind, 0], &length(body.len()), body];
    record.concat()
}

/// What a session says of bytes, and what it sends in turn.
fn judged(session: &mut Session, bytes: &[u8]) -> (Error, Vec<u8>) {
    let mut output = Vec::new();
    session.start(&mut output).unwrap();
    output.clear();
    let error = feed(session, bytes, usize::MAX, 0, &mut output).unwrap_err();
    (error, output)
}

fn a_server(change: impl FnOnce(&mut ServerOptions)) -> Server {
    let authority = Authority::new("Lab CA");
    let mut options = server_options(authority.identity(&["a.example"], unchanged));
    change(&mut options);
    Server::new(options).unwrap()
}

fn a_client(least: MinVersion) -> Session {
    let options = ClientOptions { min_version: least, ..client_options(&Authority::new("Lab CA")) };
    Client::new(options).unwrap().session("a.example").unwrap()
}

#[test]
fn a_client_of_old_is_told_so_by_name() {
    for (version, name) in [([3, 2], "TLS 1.1"), ([3, 1], "TLS 1.0"), ([3, 0], "SSL 3.0")] {
        let mut session = a_server(|_| {}).session().unwrap();
        let (error, output) = judged(&mut session, &old_hello(version));
        let expected = format!("the client offers at most {name}: update it");
        assert!(error.to_string().ends_with(&expected), "{error}");
        assert_eq!(output, [21, 3, 3, 0, 2, 2, 70], "a fatal alert: protocol_version");
        assert_eq!(session.server_name(), Some("a.example"));
    }
    let server = a_server(|options| options.min_version = MinVersion::Tls13);
    let (error, _) = judged(&mut server.session().unwrap(), &old_hello([3, 3]));
    let fault = VersionFault::Offered(0x0303);
    assert_eq!(error, Error::Version { fault, least: MinVersion::Tls13 });
    assert!(error.to_string().contains("or lower `min_version`"), "{error}");
}

#[test]
fn a_server_of_old_is_told_so() {
    let hello = message(2, &[&[3, 2][..], &[7; 32], &[0, 0xc0, 0x13, 0]].concat());
    let (error, output) = judged(&mut a_client(MinVersion::Tls12), &hello);
    let words = "expected TLS 1.2 or 1.3, the peer speaks TLS 1.1 or older: update it";
    assert_eq!(error.to_string(), words);
    assert_eq!(output, [21, 3, 3, 0, 2, 2, 70]);
    let (error, _) = judged(&mut a_client(MinVersion::Tls13), &[21, 3, 1, 0, 2, 2, 70]);
    let words = "the peer refused TLS 1.3, it speaks only others: update it, or lower";
    assert!(error.to_string().starts_with(words), "{error}");
    let (_, server) = configs(SUITES[3]);
    let mut peer = ServerConnection::new(server).unwrap().into();
    let (mut session, mut hello) = (a_client(MinVersion::Tls13), Vec::new());
    session.start(&mut hello).unwrap();
    let told = answer(&mut peer, &hello);
    let error = feed(&mut session, &told, usize::MAX, 0, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, Error::Version { fault: VersionFault::Refused, .. }), "{error}");
}

/// What rustls says to bytes, be it an alert.
fn answer(peer: &mut Buffered, mut bytes: &[u8]) -> Vec<u8> {
    peer.read_tls(&mut bytes).unwrap();
    let _ = peer.process_new_packets();
    written(peer)
}

#[test]
fn two_sides_without_a_suite_in_common_are_told_which_there_are() {
    for (ours, theirs) in [(0, 2), (3, 5)] {
        let (_, config) = configs(SUITES[ours]);
        let mut session = server(Implementation::AwsLc, &config);
        let mut hello = Vec::new();
        client(Implementation::AwsLc, &configs(SUITES[theirs]).0).start(&mut hello).unwrap();
        let (error, output) = judged(&mut session, &hello);
        assert!(error.to_string().contains("AES-GCM or ChaCha20-Poly1305"), "{error}");
        assert_eq!(output, [21, 3, 3, 0, 2, 2, 40], "a fatal alert: handshake_failure");
        let mut session = client(Implementation::AwsLc, &configs(SUITES[theirs]).0);
        let (error, _) = judged(&mut session, &output);
        assert_eq!(error, Error::Told(Alert::HandshakeFailure));
    }
}

#[test]
fn what_a_client_asks_for_is_known_with_its_name() {
    let authority = Authority::new("Lab CA");
    let client = Client::new(client_options(&authority)).unwrap();
    let server = Server::new(server_options(authority.identity(&["a.example"], unchanged)));
    let server = server.unwrap();
    for (name, told) in [("A.example", Some("a.example")), ("10.0.0.1", None)] {
        for piece in [1, usize::MAX] {
            let (mut session, mut hello) = (server.session().unwrap(), Vec::new());
            client.session(name).unwrap().start(&mut hello).unwrap();
            assert_eq!(session.server_name(), None);
            feed(&mut session, &hello, piece, 0, &mut Vec::new()).unwrap();
            assert_eq!(session.server_name(), told);
        }
    }
}

#[test]
fn what_was_agreed_on_has_names() {
    for (suite, version, name) in [
        (SUITES[0], "TLSv1.3", "TLS_AES_128_GCM_SHA256"),
        (SUITES[2], "TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256"),
        (SUITES[4], "TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    ] {
        let (client_config, server_config) = configs(suite);
        let sides = [
            client(Implementation::AwsLc, &client_config),
            server(Implementation::AwsLc, &server_config),
        ];
        for end in ends_of(sides) {
            let agreed = agreed(&end);
            assert_eq!((agreed.version(), agreed.suite.as_str()), (version, name));
        }
    }
}

/// Its words for the one that looks at a certificate, and for the other one.
fn words(client: ClientOptions, server: ServerOptions) -> [String; 2] {
    meet(client, server, "a.example").map(|end| end.unwrap_err().to_string())
}

#[test]
fn a_server_that_is_not_trusted_learns_why_and_what_helps() {
    let authority = Authority::new("Lab CA");
    let of = |names: &[&str], change: &dyn Fn(&mut CertificateParams), revoked: Revoked| {
        let server = server_options(authority.identity(names, change));
        words(ClientOptions { revoked, ..client_options(&authority) }, server)
    };
    let none = Revoked::default;
    let names = &["a.example"][..];
    let expired = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
    let early = |params: &mut CertificateParams| params.not_before = date_time_ymd(2090, 1, 1);
    let client_only = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    let of_a_ca = |params: &mut CertificateParams| {
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    };
    let strange = server_options(Authority::new("Another").identity(names, unchanged));
    let unsigned = words(client_options(&authority), strange);
    for ([client, server], cause, remedy, alert) in [
        (of(names, &expired, none()), "has expired", "renewed", "our certificate has expired"),
        (of(names, &early, none()), "not valid yet", "clocks", ""),
        (
            of(&["b.example", "c.example"], &unchanged, none()),
            "for a.example, the server's is for",
            "server_name",
            "",
        ),
        (of(&["b.example", "c.example"], &unchanged, none()), "b.example", "server_name", ""),
        (of(&[], &unchanged, none()), "for a.example, the server's is for leaf", "server_name", ""),
        (
            of(names, &unchanged, authority.list(true, 2090)),
            "is revoked",
            "replaced",
            "our certificate is revoked",
        ),
        (
            of(names, &unchanged, authority.list(false, 2025)),
            "list is out of date",
            "renew `crl`",
            "",
        ),
        (
            of(names, &unchanged, Authority::new("X").list(false, 2090)),
            "can't be judged",
            "each CA",
            "",
        ),
        (of(names, &client_only, none()), "not for this use", "extended key usage", ""),
        (of(names, &of_a_ca, none()), "that of a CA", "signed", ""),
        (unsigned, "signed by no CA that is trusted here", "`ca`", "does not trust the CA"),
    ] {
        assert!(client.contains("the server's"), "{client}");
        assert!(client.contains(cause) && client.contains(remedy), "{client}");
        assert!(server.contains("gave up") && server.contains(alert), "{server}");
    }
}

#[test]
fn a_client_that_is_not_let_in_learns_why_and_what_helps() {
    let authority = Authority::new("Lab CA");
    let of = |identity: Option<Identity>, revoked: Revoked, allowed: Option<Allowed>| {
        let mut server = server_options(authority.identity(&["a.example"], unchanged));
        server.client_auth = ClientAuth::Require;
        server.client_authorities = Some(authority.authorities());
        (server.revoked, server.allowed) = (revoked, allowed);
        words(ClientOptions { identity, ..client_options(&authority) }, server)
    };
    let leaf = |change: &dyn Fn(&mut CertificateParams)| Some(authority.identity(&[], change));
    let expired = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
    let server_only = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    };
    let strange = Some(Authority::new("Another").identity(&[], unchanged));
    let none = Revoked::default;
    for ([client, server], cause, remedy, alert) in [
        (of(None, none(), None), "showed no certificate", "`client_ca`", "wants a client"),
        (of(leaf(&expired), none(), None), "has expired", "renewed", "has expired"),
        (of(strange, none(), None), "no CA that is trusted", "`client_ca`", "does not trust"),
        (
            of(leaf(&unchanged), authority.list(true, 2090), None),
            "is revoked",
            "replaced",
            "revoked",
        ),
        (of(leaf(&unchanged), authority.list(false, 2025), None), "out of date", "renew `crl`", ""),
        (of(leaf(&server_only), none(), None), "not for this use", "extended key usage", ""),
        (
            of(leaf(&unchanged), none(), Some(Allowed::new(["CN=leaf"]))),
            "subject O=Lab,CN=leaf is not in",
            "`allowed_dn`",
            "does not accept our certificate",
        ),
    ] {
        assert!(server.contains("the client"), "{server}");
        assert!(server.contains(cause) && server.contains(remedy), "{server}");
        assert!(client.contains("gave up") && client.contains(alert), "{client}");
    }
}
