//! Who gets in with which certificate, and what whoever does not is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};

use super::*;

pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(super) pem: String,
}

impl Authority {
    pub(super) fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    pub(super) fn authorities(&self) -> Authorities {
        authorities(self.pem.as_bytes()).unwrap()
    }

    /// A leaf after `change`.
    pub(super) fn identity(
        &self,
        names: &[&str],
        change: impl Fn(&mut CertificateParams),
    ) -> Identity {
        let (certificate, key) = self.leaf(names, change);
        Identity::from_pem(certificate.as_bytes(), key.as_bytes(), None).unwrap()
    }

    pub(super) fn leaf(
        &self,
        names: &[&str],
        change: impl Fn(&mut CertificateParams),
    ) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Lab");
        params.distinguished_name.push(DnType::CommonName, "leaf");
        params.serial_number = Some(SerialNumber::from(7u64));
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// A list that names the serial number 7, or none.
    pub(super) fn list(&self, names_it: bool, until: i32) -> Revoked {
        super::super::revoked(self.list_pem(names_it, until).as_bytes()).unwrap()
    }

    pub(super) fn list_pem(&self, names_it: bool, until: i32) -> String {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(7u64),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 2),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: names_it.then_some(revoked).into_iter().collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

fn common_name(name: &str) -> impl Fn(&mut CertificateParams) + '_ {
    move |params| params.distinguished_name.push(DnType::CommonName, name)
}

pub(super) fn unchanged(_: &mut CertificateParams) {}

pub(super) fn server_options(identity: Identity) -> ServerOptions {
    ServerOptions {
        identities: vec![identity],
        client_auth: ClientAuth::Off,
        client_authorities: None,
        revoked: Revoked::default(),
        allowed: None,
        min_version: MinVersion::Tls12,
        alpn: Vec::new(),
        tickets: true,
        implementation: Implementation::AwsLc,
    }
}

pub(super) fn client_options(authority: &Authority) -> ClientOptions {
    ClientOptions {
        authorities: Some(authority.authorities()),
        verify: Verify::Name,
        revoked: Revoked::default(),
        identity: None,
        min_version: MinVersion::Tls12,
        alpn: Vec::new(),
        implementation: Implementation::AwsLc,
        by_common_name: Arc::default(),
    }
}

/// How a handshake ends at both sides: what was agreed, or why not.
pub(super) type Ends = [Result<Option<Agreed>, Error>; 2];

/// A handshake of the client with the server as `name`.
pub(super) fn meet(client: ClientOptions, server: ServerOptions, name: &str) -> Ends {
    let client = Client::new(client).unwrap();
    let server = Server::new(server).unwrap();
    meet_again(&client, &server, name)
}

pub(super) fn meet_again(client: &Client, server: &Server, name: &str) -> Ends {
    ends_of([client.session(name).unwrap(), server.session().unwrap()])
}

/// How a client and a server, who have said nothing yet, come to an end.
pub(super) fn ends_of(mut sides: [Session; 2]) -> Ends {
    let mut bytes = [Vec::new(), Vec::new()];
    let mut ends: Ends = [Ok(None), Ok(None)];
    sides[0].start(&mut bytes[0]).unwrap();
    for _ in 0..20 {
        for (from, to) in [(0, 1), (1, 0)] {
            let mut arrived = std::mem::take(&mut bytes[from]);
            if arrived.is_empty() || ends[to].is_err() {
                continue;
            }
            let all = 0..arrived.len();
            match sides[to].receive(&mut arrived, all, &mut bytes[to]) {
                Received { broken: Some(error), .. } => ends[to] = Err(error),
                Received { agreed: Some(agreed), .. } => ends[to] = Ok(Some(*agreed)),
                _ => {}
            }
        }
    }
    ends
}

fn fault(end: &Result<Option<Agreed>, Error>) -> Option<&CertificateFault> {
    match end {
        Err(Error::Certificate { fault, .. }) => Some(fault),
        _ => None,
    }
}

pub(super) fn agreed(end: &Result<Option<Agreed>, Error>) -> &Agreed {
    end.as_ref().expect("no error").as_ref().expect("a handshake that ended")
}

#[test]
fn both_sides_know_which_name_was_asked_for() {
    let authority = Authority::new("Lab CA");
    // Addresses are not told to servers (RFC 6066 §3).
    for (name, told) in [("console.example", Some("console.example")), ("10.0.0.1", None)] {
        let server = server_options(authority.identity(&[name], unchanged));
        let [client, server] = meet(client_options(&authority), server, name);
        let [client, server] = [&client, &server].map(|end| agreed(end).server_name.as_deref());
        assert_eq!([client, server], [Some(name), told]);
    }
}

#[test]
fn a_target_is_known_by_its_names() {
    let authority = Authority::new("Lab CA");
    for (name, names, is_it) in [
        ("console.example", &["console.example"][..], true),
        ("CONSOLE.example", &["console.example"], true),
        ("a.lab.example", &["*.lab.example", "b.test"], true),
        ("a.b.test", &["*.test"], false),
        ("10.0.0.1", &["10.0.0.1"], true),
        ("::1", &["::1"], true),
        ("10.0.0.2", &["10.0.0.1"], false),
        ("other.example", &["console.example"], false),
        ("leaf", &["console.example"], false),
    ] {
        let server = server_options(authority.identity(names, unchanged));
        let [client, _] = meet(client_options(&authority), server, name);
        match fault(&client) {
            None => assert!(agreed(&client).tls13 && is_it, "{name} {names:?}"),
            Some(CertificateFault::OtherName { expected, presented }) => {
                assert!(!is_it && expected == &name.to_lowercase(), "{name} {names:?}");
                assert_eq!(presented.len(), names.len(), "{presented:?}");
            }
            Some(other) => panic!("{name} {names:?}: {other:?}"),
        }
    }
}

#[test]
fn without_alternative_names_the_sole_common_name_counts_and_is_counted() {
    let authority = Authority::new("Lab CA");
    let meeting = |common: &[&str], name: &str| {
        let identity = authority.identity(&[], |params| {
            params.distinguished_name = rcgen::DistinguishedName::new();
            common.iter().for_each(|common| common_name(common)(params));
        });
        let counter = Arc::new(AtomicU64::new(0));
        let options =
            ClientOptions { by_common_name: Arc::clone(&counter), ..client_options(&authority) };
        let [client, _] = meet(options, server_options(identity), name);
        (client.is_ok(), counter.load(Relaxed))
    };
    assert_eq!(meeting(&["host.example"], "host.example"), (true, 1));
    assert_eq!(meeting(&["HOST.example"], "host.example"), (true, 1));
    assert_eq!(meeting(&["*.lab.example"], "host.lab.example"), (true, 1));
    assert_eq!(meeting(&["10.0.0.1"], "10.0.0.1"), (true, 1));
    assert_eq!(meeting(&["*.0.0.1"], "10.0.0.1"), (false, 0));
    assert_eq!(meeting(&["*.example"], "host.example"), (false, 0));
    assert_eq!(meeting(&["other.example"], "host.example"), (false, 0));
    assert_eq!(meeting(&[], "host.example"), (false, 0));
}

#[test]
fn a_target_can_be_held_against_less_or_something_else() {
    let authority = Authority::new("Lab CA");
    let stranger = Authority::new("Another CA");
    let subject = |pattern| Verify::Subject(Allowed::new([pattern]));
    for (verify, signed_by, fits) in [
        (Verify::Name, &authority, false),
        (Verify::Authority, &authority, true),
        (Verify::Authority, &stranger, false),
        (subject("O=Lab,CN=*"), &authority, true),
        (subject("O=Lab,CN=*"), &stranger, false),
        (subject("CN=leaf"), &authority, false),
        (Verify::Off, &authority, true),
        (Verify::Off, &stranger, true),
    ] {
        let server = server_options(signed_by.identity(&["another.name"], unchanged));
        let what = format!("{verify:?}");
        let options = ClientOptions { verify, ..client_options(&authority) };
        let [client, server] = meet(options, server, "console.example");
        assert_eq!(client.is_ok(), fits, "{what}");
        // Whoever refuses says so.
        assert_eq!(matches!(server, Err(Error::Told(_))), !fits, "{what}: {server:?}");
    }
}

#[test]
fn each_fault_has_its_own_words() {
    let authority = Authority::new("Lab CA");
    let expired = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
    let early = |params: &mut CertificateParams| params.not_before = date_time_ymd(2090, 1, 1);
    let meeting = |identity: Identity, revoked: Revoked| {
        let options = ClientOptions { revoked, ..client_options(&authority) };
        let [client, _] = meet(options, server_options(identity), "a.example");
        fault(&client).cloned()
    };
    let (names, none) = (&["a.example"][..], Revoked::default());
    let sound = || authority.identity(names, unchanged);
    assert_eq!(meeting(sound(), none.clone()), None);
    let strange = Authority::new("Lab CA").identity(names, unchanged);
    assert_eq!(meeting(strange, none.clone()), Some(CertificateFault::UnknownIssuer));
    let of_old = authority.identity(names, expired);
    assert_eq!(meeting(of_old, none.clone()), Some(CertificateFault::Expired));
    let too_early = authority.identity(names, early);
    assert_eq!(meeting(too_early, none), Some(CertificateFault::NotYetValid));
    assert_eq!(meeting(sound(), authority.list(true, 2090)), Some(CertificateFault::Revoked));
    assert_eq!(meeting(sound(), authority.list(false, 2090)), None);
    let stale = Some(CertificateFault::RevocationStale);
    assert_eq!(meeting(sound(), authority.list(false, 2025)), stale);
    let unknown = Some(CertificateFault::RevocationUnknown);
    assert_eq!(meeting(sound(), Authority::new("Elsewhere").list(false, 2090)), unknown);
}

#[test]
fn clients_show_what_is_asked_of_them() {
    let authority = Authority::new("Lab CA");
    let shown = || Some(authority.identity(&[], unchanged));
    let strange = || Some(Authority::new("Lab CA").identity(&[], unchanged));
    let listed = || Some(Allowed::new(["O=Lab,CN=leaf"]));
    let unlisted = || Some(Allowed::default());
    let subject = || "O=Lab,CN=leaf".to_owned();
    use CertificateFault::{Missing, NotAllowed, UnknownIssuer};
    for (auth, allowed, identity, expected) in [
        (ClientAuth::Require, None, shown(), None),
        (ClientAuth::Require, listed(), shown(), None),
        (ClientAuth::Require, unlisted(), shown(), Some(NotAllowed { subject: subject() })),
        (ClientAuth::Require, None, None, Some(Missing)),
        (ClientAuth::Require, None, strange(), Some(UnknownIssuer)),
        (ClientAuth::Optional, None, None, None),
        (ClientAuth::Optional, unlisted(), None, None),
        (ClientAuth::Optional, None, strange(), Some(UnknownIssuer)),
        (ClientAuth::Off, None, strange(), None),
    ] {
        let showed = identity.is_some() && auth != ClientAuth::Off;
        let mut server = server_options(authority.identity(&["a.example"], unchanged));
        (server.client_auth, server.allowed) = (auth, allowed);
        server.client_authorities = Some(authority.authorities());
        let options = ClientOptions { identity, ..client_options(&authority) };
        let [client, server] = meet(options, server, "a.example");
        assert_eq!(fault(&server).cloned(), expected, "{auth:?}");
        match expected {
            // In TLS 1.3 a client believes itself in before it is told.
            Some(_) => assert!(matches!(client, Err(Error::Told(_))), "{client:?}"),
            None => {
                let told = agreed(&server).subject.as_deref();
                assert_eq!(told, showed.then(subject).as_deref(), "{auth:?}");
            }
        }
    }
}

#[test]
fn a_session_is_taken_up_again_and_not_under_other_settings() {
    let authority = Authority::new("Lab CA");
    let options = || server_options(authority.identity(&["a.example"], unchanged));
    let client = Client::new(client_options(&authority)).unwrap();
    let server = Server::new(options()).unwrap();
    let resumed = |server: &Server| {
        let [client, server] = meet_again(&client, server, "a.example");
        assert_eq!(agreed(&client).resumed, agreed(&server).resumed);
        agreed(&client).resumed
    };
    assert!(!resumed(&server));
    assert!(resumed(&server), "the ticket came after the handshake, and was kept");
    assert!(!resumed(&Server::new(options()).unwrap()));

    let server = Server::new(ServerOptions { tickets: false, ..options() }).unwrap();
    assert!(!resumed(&server));
    assert!(!resumed(&server), "there was no ticket");
}

#[test]
fn the_certificate_is_the_one_of_the_name_asked_for() {
    let authority = Authority::new("Lab CA");
    let identity = |name: &str| authority.identity(&[name], common_name(name));
    let ask = |name: &str| {
        let mut options = server_options(identity("first.example"));
        options.identities.push(identity("second.example"));
        options.identities.push(identity("*.third.example"));
        let client = ClientOptions { verify: Verify::Authority, ..client_options(&authority) };
        let [client, _] = meet(client, options, name);
        agreed(&client).subject.as_deref().unwrap().to_owned()
    };
    for (name, shown) in [
        ("second.example", "second.example"),
        ("SECOND.example", "second.example"),
        ("x.third.example", "*.third.example"),
        ("third.example", "first.example"),
        ("10.1.2.3", "first.example"),
    ] {
        assert_eq!(ask(name), format!("O=Lab,CN={shown}"));
    }
}

#[test]
fn versions_and_protocols_are_agreed_on_or_not_at_all() {
    let authority = Authority::new("Lab CA");
    let options = || server_options(authority.identity(&["a.example"], unchanged));
    let mut old = client_options(&authority);
    old.alpn = vec![b"http/1.1".to_vec(), b"binary".to_vec()];
    let mut both = options();
    both.alpn = vec![b"binary".to_vec()];
    let [client, server] = meet(old, both, "a.example");
    assert_eq!(agreed(&client).alpn.as_deref(), Some(&b"binary"[..]));
    assert_eq!(agreed(&server).alpn.as_deref(), Some(&b"binary"[..]));
    let mut other = client_options(&authority);
    other.alpn = vec![b"h2".to_vec()];
    let mut both = options();
    both.alpn = vec![b"binary".to_vec()];
    let [client, server] = meet(other, both, "a.example");
    assert_eq!(client, Err(Error::Told(Alert::NoApplicationProtocol)));
    assert!(matches!(server, Err(Error::NothingInCommon(_))), "{server:?}");
}

#[test]
fn files_say_what_is_wrong_with_them() {
    let authority = Authority::new("Lab CA");
    let (certificate, key) = authority.leaf(&["a.example"], unchanged);
    let (_, other_key) = authority.leaf(&["a.example"], unchanged);
    let of = |certificate: &str, key: &str| {
        Identity::from_pem(certificate.as_bytes(), key.as_bytes(), None).err()
    };
    assert_eq!(of(&certificate, &key), None);
    assert_eq!(of(&format!("{key}{certificate}"), &format!("{certificate}{key}")), None);
    assert_eq!(of(&certificate, &other_key), Some(FileFault::Mismatch));
    assert_eq!(of(&key, &key), Some(FileFault::NoCertificate));
    assert_eq!(of(&certificate, &certificate), Some(FileFault::NoKey));
    assert_eq!(of("", ""), Some(FileFault::NoCertificate));
    let half = &certificate[..certificate.len() / 2];
    assert!(of(half, &key).is_some(), "half a certificate");
    let broken = certificate.replacen("MII", "AAA", 1);
    assert!(matches!(of(&broken, &key), Some(FileFault::Malformed(_))));
    let old = format!("-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n{key}");
    assert_eq!(of(&certificate, &old), Some(FileFault::OldEncryption));
    assert!(authorities(key.as_bytes()).is_err());
    assert_eq!(super::super::revoked(key.as_bytes()).err(), Some(FileFault::NoList));
}
