//! The stand-ins against each other: what later tests conclude from them, they have to be able to show.

use std::io::{ErrorKind, Write};

use penstock_tests::loopback;
use penstock_tests::pki::{Authority, Wanted};
use penstock_tests::tls::TlsClient;
use penstock_tests::vnc::client::{Failure, Login, blurt};
use penstock_tests::vnc::server::{self, Script, Server, Visit};
use penstock_tests::vnc::wire::{Faults, Moment, Stop};
use penstock_tests::vnc::{Account, V33, V37, V38, security, subtype};

/// A server with every subtype, and a client that knows it.
struct Pair {
    server: Server,
    tls: TlsClient,
}

const SUBTYPES: [u32; 4] =
    [subtype::X509_NONE, subtype::X509_VNC, subtype::X509_PLAIN, subtype::X509_SASL];

impl Pair {
    fn new(change: impl FnOnce(Script) -> Script) -> Pair {
        let (authority, address) = (Authority::new("stand-ins"), loopback::address().into());
        let config = server::config(&authority.issue(&Wanted::server(address)), None);
        let server = Server::start_at(address, change(Script::vencrypt(&SUBTYPES, config)));
        Pair { server, tls: TlsClient::new(&authority, None) }
    }

    fn login(&self, subtype: u32) -> Login {
        Login::vencrypt(subtype, &self.tls, self.server.address())
    }

    /// One conversation from beginning to end: what it looked like at both ends.
    fn talk(&self, login: &Login, faults: Faults) -> (Result<[u64; 2], Failure>, Visit) {
        let outcome = login.open_with(self.server.address(), faults).and_then(|mut console| {
            console.echo(&[7; 3000])?;
            assert_eq!((console.name.as_str(), console.size), ("stand-in", server::SIZE));
            Ok(console.wire.counts().get())
        });
        (outcome, self.server.visit())
    }
}

#[test]
fn each_version_says_as_much_as_it_should() {
    for kind in [security::NONE, security::VNC, security::SASL] {
        let server = Server::start(Script::new(&[kind]));
        for version in [V33, V37, V38] {
            let login = Login::new(kind).version(version);
            let mut console = login.open(server.address()).expect("a console");
            console.echo(b"hello").expect("an open stream");
            assert_eq!(console.offers.types, [kind]);
            drop(console);
            let visit = server.visit();
            assert_eq!((visit.version, visit.security), (version.to_vec(), Some(kind)));
            assert_eq!((visit.admitted, visit.shared, visit.said), (true, Some(1), 5));
        }
    }
}

#[test]
fn refusals_have_words_in_3_8_alone() {
    for kind in [security::VNC, security::SASL] {
        let server = Server::start(Script::new(&[kind]));
        for (version, words) in
            [(V33, None), (V37, None), (V38, Some("Authentication failed".to_owned()))]
        {
            let login = Login::new(kind).version(version).password("wrong");
            let failure = login.open(server.address()).expect_err("the password is wrong");
            let Failure::Refused(1, said) = failure else { panic!("{failure:?}") };
            assert_eq!(said, words);
            let visit = server.visit();
            assert!(!visit.admitted);
            // A version, the type or a list of one, a challenge, a result, and words only where they are heard.
            let told = [(V33, 36), (V37, 34), (V38, 59)].iter().find(|(v, _)| *v == version);
            let told = told.expect("one of them").1;
            assert!(kind != security::VNC || visit.counts[1] == told, "{visit:?}");
        }
    }
    let nobody = Server::start(Script { reason: "go away".to_owned(), ..Script::new(&[]) });
    for version in [V33, V37, V38] {
        let failure = Login::new(security::NONE).version(version).open(nobody.address());
        let Err(Failure::Nothing(words)) = failure else { panic!("{failure:?}") };
        assert_eq!(words, "go away");
    }
}

#[test]
fn every_subtype_is_checked_within_tls() {
    let pair = Pair::new(|script| script);
    for subtype in SUBTYPES {
        let (outcome, visit) = pair.talk(&pair.login(subtype), Faults::default());
        outcome.expect("a console");
        assert_eq!((visit.subtype, visit.admitted), (Some(subtype), true));
        let named = [subtype::X509_PLAIN, subtype::X509_SASL].contains(&subtype);
        assert_eq!(visit.account, named.then(|| Account::new("lab", "secret")));

        let (outcome, visit) = pair.talk(&pair.login(subtype).password("wrong"), Faults::default());
        assert_eq!(
            (outcome.is_ok(), visit.admitted),
            (subtype == subtype::X509_NONE, outcome.is_ok())
        );
    }
}

#[test]
fn plain_needs_no_tls() {
    let script = Script { subtypes: vec![subtype::PLAIN], ..Script::new(&[security::VENCRYPT]) };
    let server = Server::start(script);
    let login = Login { subtype: subtype::PLAIN, ..Login::new(security::VENCRYPT) };
    login.open(server.address()).expect("a console").echo(b"hello").expect("an open stream");
    let failure = login.password("wrong").open(server.address()).expect_err("it is wrong");
    assert!(matches!(failure, Failure::Refused(1, Some(_))), "{failure:?}");
}

#[test]
fn a_certificate_is_asked_for_and_shown() {
    let (authority, address) = (Authority::new("both"), loopback::address().into());
    let identity = authority.issue(&Wanted::server(address));
    let config = server::config(&identity, Some(&authority));
    let server = Server::start_at(address, Script::vencrypt(&SUBTYPES, config));
    let proxy = authority.issue(&Wanted::client(&[("CN", "proxy")]));
    let tls = TlsClient::new(&authority, Some(&proxy));
    let login = Login::vencrypt(subtype::X509_NONE, &tls, server.address());
    drop(login.open(server.address()).expect("a console"));
    assert_eq!(server.visit().certificate, Some(proxy.der));

    let tls = TlsClient::new(&authority, None);
    let login = Login::vencrypt(subtype::X509_NONE, &tls, server.address());
    login.open(server.address()).expect_err("nothing was shown");
    assert!(!server.visit().admitted);
}

#[test]
fn what_stutters_is_still_understood() {
    let pair = Pair::new(|script| script);
    let stutter = Faults { piece: Some(1), ..Faults::default() };
    for subtype in SUBTYPES {
        pair.server.have_faults([stutter.clone()]);
        let (outcome, visit) = pair.talk(&pair.login(subtype), stutter.clone());
        outcome.expect("a console");
        assert!(visit.admitted);
    }
}

#[test]
fn what_is_blurted_out_spoils_tls() {
    let pair = Pair::new(|script| script);
    for moment in [Moment::WithTheLastWord, Moment::BehindTheHandshake] {
        let nonsense = blurt(moment, &[0; 4]);
        let (outcome, visit) = pair.talk(&pair.login(subtype::X509_NONE), nonsense.clone());
        outcome.expect_err("the client blurts something out");
        assert_eq!(visit.shared, None, "{moment:?}: {visit:?}");
        pair.server.have_faults([nonsense]);
        let (outcome, visit) = pair.talk(&pair.login(subtype::X509_NONE), Faults::default());
        outcome.expect_err("the server blurts something out");
        assert_eq!(visit.said, 0, "{moment:?}: {visit:?}");
    }
}

#[test]
fn every_byte_can_be_the_last() {
    let pair = Pair::new(|script| script);
    let login = pair.login(subtype::X509_VNC);
    let (outcome, visit) = pair.talk(&login, Faults::default());
    let [received, sent] = outcome.expect("a console");
    assert_eq!(visit.counts, [sent, received]);
    for (is_sent, all) in [(false, received), (true, sent)] {
        // Signatures differ by a byte or two.
        for after in (0..all).step_by(41).chain([all - 10]) {
            let stop = Stop { sent: is_sent, after, resets: after % 2 == 0 };
            let faults = Faults { stop: Some(stop), ..Faults::default() };
            let (outcome, visit) = pair.talk(&login, faults);
            let Err(Failure::Broken(error, None)) = outcome else {
                panic!("{stop:?}: {outcome:?}")
            };
            assert_eq!(error.kind(), ErrorKind::ConnectionAborted, "{stop:?}");
            if stop.resets {
                let error = visit.error.as_ref().map(std::io::Error::kind);
                let cut = [Some(ErrorKind::ConnectionReset), Some(ErrorKind::BrokenPipe)];
                assert!(cut.contains(&error), "{stop:?}: {visit:?}");
            }
            // What the client did not send, nobody got; what it did not read may have been sent.
            let limit = if is_sent { after } else { sent };
            assert!(visit.counts[0] <= limit, "{stop:?}: {visit:?}");
        }
    }
}

#[test]
fn other_ways_to_say_no() {
    let strange = Pair::new(|script| Script { takes_version: false, ..script });
    let failure = strange.talk(&strange.login(subtype::X509_NONE), Faults::default()).0;
    assert!(matches!(failure, Err(Failure::NoVencrypt)), "{failure:?}");
    let closed = Pair::new(|script| Script { goes_on: false, ..script });
    let failure = closed.talk(&closed.login(subtype::X509_NONE), Faults::default()).0;
    assert!(matches!(failure, Err(Failure::NoVencrypt)), "{failure:?}");
    let bare = Pair::new(|script| Script { subtypes: vec![], ..script });
    let failure = bare.talk(&bare.login(subtype::X509_NONE), Faults::default()).0;
    assert!(matches!(failure, Err(Failure::NotOffered(_))), "{failure:?}");
    let busy = Server::start(Script { verdict: Some(2), ..Script::new(&[security::NONE]) });
    let failure = Login::new(security::NONE).open(busy.address());
    assert!(matches!(failure, Err(Failure::Refused(2, Some(_)))), "{failure:?}");
    let garbage = Server::start(Script::new(&[security::NONE]).version(b"SSH-2.0-xyz\n"));
    let mut console = Login::new(security::NONE).open(garbage.address()).expect("a patient client");
    assert_eq!(console.offers.version, b"SSH-2.0-xyz\n");
    console.wire.write_all(b".").expect("an open stream");
}
