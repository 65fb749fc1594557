//! After the handshake: peers that make us work for nothing, or say what has no place there.

use super::*;
use crate::aead::Cipher;
use rustls::ContentType;

/// A peer that says what it is told to, under the keys that were agreed on.
struct Raw(Cipher);

impl Raw {
    /// One that has shaken hands with `session`.
    fn new(session: &mut Session, mut peer: Buffered) -> Raw {
        shake(session, &mut peer, usize::MAX);
        let tls13 = peer.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
        let secrets = peer.dangerous_extract_secrets().unwrap();
        Raw(Cipher::new(Implementation::AwsLc, tls13, secrets.tx).unwrap())
    }

    fn record(&mut self, kind: ContentType, payload: &[u8]) -> Vec<u8> {
        let (front, back) = (self.0.form().front(), self.0.form().back());
        let mut record = vec![0; front];
        record.extend_from_slice(payload);
        record.resize(record.len() + back, 0);
        let number = self.0.reserve(1).unwrap();
        self.0.seal(number, kind, &mut record).unwrap();
        record
    }
}

const DATA: ContentType = ContentType::ApplicationData;
const MESSAGE: ContentType = ContentType::Handshake;
const ALERT: ContentType = ContentType::Alert;

/// Our server or client, and a peer that says what it likes; in both versions.
fn raw_pairs(suite: CipherSuite) -> impl Iterator<Item = (Session, Raw)> {
    pairs(suite, Implementation::AwsLc).into_iter().map(|(mut session, peer)| {
        let raw = Raw::new(&mut session, peer);
        (session, raw)
    })
}

/// What a session makes of records, all at once.
fn made_of(session: &mut Session, records: &[Vec<u8>]) -> Result<Vec<u8>, Error> {
    feed(session, &records.concat(), usize::MAX, 0, &mut Vec::new())
}

/// The records in a row of one kind that a session puts up with.
fn patience(session: &mut Session, raw: &mut Raw, kind: ContentType, payload: &[u8]) -> usize {
    (0..1000)
        .find(|_| {
            let record = raw.record(kind, payload);
            made_of(session, &[record]).is_err()
        })
        .expect("an end")
}

#[test]
fn records_without_data_are_borne_with_for_a_while() {
    for (suite, kind, payload) in [
        (SUITES[0], DATA, &b""[..]),
        (SUITES[3], DATA, b""),
        (SUITES[5], DATA, b""),
        (SUITES[0], ALERT, b"\x01\x5a"),
        (SUITES[3], ALERT, b"\x01\x5a"),
        (SUITES[3], ALERT, b"\x01\x64"),
        (SUITES[0], MESSAGE, b"\x04"),
    ] {
        for (mut session, mut raw) in raw_pairs(suite) {
            let borne = patience(&mut session, &mut raw, kind, payload);
            assert!((30..=64).contains(&borne), "{borne} of {kind:?} {payload:?}");
            assert!(!session.is_established());
        }
    }
    // Between data they may come as often as they like.
    for (mut session, mut raw) in raw_pairs(SUITES[0]) {
        for _ in 0..200 {
            let records =
                [raw.record(DATA, b""), raw.record(ALERT, b"\x01\x5a"), raw.record(DATA, b"x")];
            assert_eq!(made_of(&mut session, &records).unwrap(), b"x");
        }
    }
}

#[test]
fn however_often_keys_change_it_is_answered_once() {
    for (mut session, mut peer) in pairs(SUITES[0], Implementation::AwsLc) {
        shake(&mut session, &mut peer, usize::MAX);
        for _ in 0..30 {
            peer.refresh_traffic_keys().unwrap();
        }
        peer.writer().write_all(b"at last").unwrap();
        let (bytes, mut output) = (written(&mut peer), Vec::new());
        assert_eq!(feed(&mut session, &bytes, 1, 0, &mut output).unwrap(), b"at last");
        assert_eq!(output, b"", "nothing piles up for a peer that does not read");
        let bytes = sealed(&mut session, b"yes", usize::MAX);
        assert_eq!(bytes.len(), 22 + 5 + 22 + 3, "one change of ours");
        assert_eq!(read(&mut peer, &bytes), b"yes");
        assert_eq!(sealed(&mut session, b"yes", usize::MAX).len(), 22 + 3, "and no other");
        let bytes = sealed(&mut session, b"", usize::MAX);
        assert_eq!(bytes, b"");
        for _ in 0..100 {
            peer.refresh_traffic_keys().unwrap();
        }
        let error = feed(&mut session, &written(&mut peer), usize::MAX, 0, &mut output);
        assert!(error.unwrap_err().to_string().contains("no data"));
    }
}

#[test]
fn a_server_may_send_some_tickets_and_not_any_number() {
    let (client_config, server_config) = configs(SUITES[0]);
    for (tickets, is_borne) in [(10, true), (500, false)] {
        let mut config = (*server_config).clone();
        config.send_tls13_tickets = tickets;
        let mut peer: Buffered = ServerConnection::new(Arc::new(config)).unwrap().into();
        let (mut session, mut output) = (client(Implementation::AwsLc, &client_config), Vec::new());
        session.start(&mut output).unwrap();
        read(&mut peer, &std::mem::take(&mut output));
        feed(&mut session, &written(&mut peer), usize::MAX, 0, &mut output).unwrap();
        read(&mut peer, &std::mem::take(&mut output));
        let result = feed(&mut session, &written(&mut peer), usize::MAX, 0, &mut output);
        assert_eq!(result.is_ok(), is_borne, "{tickets} tickets: {result:?}");
    }
}

#[test]
fn what_has_no_place_after_the_handshake_is_refused() {
    let change_cipher_spec = || vec![20, 3, 3, 0, 1, 1];
    let update = [24, 0, 0, 1, 0];
    for (name, records, alert) in [
        (
            "a key update with more behind it",
            vec![(MESSAGE, [&update[..], &update].concat())],
            Alert::UnexpectedMessage,
        ),
        ("a key update of no kind", vec![(MESSAGE, vec![24, 0, 0, 1, 2])], Alert::IllegalParameter),
        (
            "a key update of another length",
            vec![(MESSAGE, vec![24, 0, 0, 2, 0, 0])],
            Alert::DecodeError,
        ),
        ("another message", vec![(MESSAGE, vec![20, 0, 0, 0])], Alert::UnexpectedMessage),
        ("an empty one", vec![(MESSAGE, vec![])], Alert::UnexpectedMessage),
        (
            "data within a message",
            vec![(MESSAGE, vec![24, 0]), (DATA, vec![1])],
            Alert::UnexpectedMessage,
        ),
        ("half an alert", vec![(ALERT, vec![1])], Alert::DecodeError),
        ("two alerts", vec![(ALERT, vec![1, 90, 1, 90])], Alert::DecodeError),
        (
            "a change of ciphers, sealed",
            vec![(ContentType::ChangeCipherSpec, vec![1])],
            Alert::UnexpectedMessage,
        ),
        (
            "nothing but padding",
            vec![(ContentType::Unknown(0), vec![0; 9])],
            Alert::UnexpectedMessage,
        ),
        ("a kind of its own", vec![(ContentType::Unknown(99), vec![1])], Alert::UnexpectedMessage),
    ] {
        for (mut session, mut raw) in raw_pairs(SUITES[1]) {
            let records: Vec<_> =
                records.iter().map(|(kind, payload)| raw.record(*kind, payload)).collect();
            let error = made_of(&mut session, &records).unwrap_err();
            assert!(matches!(&error, Error::Broken(told, _) if *told == alert), "{name}: {error}");
            assert!(!session.is_established(), "{name}");
        }
    }
    for (mut session, _) in raw_pairs(SUITES[1]) {
        let error = made_of(&mut session, &[change_cipher_spec()]).unwrap_err();
        assert!(matches!(error, Error::Broken(Alert::UnexpectedMessage, _)), "{error}");
    }
}

#[test]
fn tls_1_2_is_never_negotiated_anew() {
    for (mut session, mut raw) in raw_pairs(SUITES[3]) {
        let mut output = Vec::new();
        let record = raw.record(MESSAGE, &[0, 0, 0, 0]);
        let error = feed(&mut session, &record, usize::MAX, 0, &mut output).unwrap_err();
        assert!(matches!(error, Error::Broken(Alert::NoRenegotiation, _)), "{error}");
        assert!(!output.is_empty() && !session.is_established());
    }
}

#[test]
fn after_an_end_nothing_is_heard() {
    for suite in [SUITES[0], SUITES[3]] {
        for (mut session, mut raw) in raw_pairs(suite) {
            let records = [
                raw.record(DATA, b"before"),
                raw.record(ALERT, &[1, 0]),
                raw.record(DATA, b"behind"),
                b"and no record at all".to_vec(),
            ];
            assert_eq!(made_of(&mut session, &records).unwrap(), b"before");
            assert!(session.peer_closed());
            assert_eq!(format!("{session:?}"), "Session(established, 0 bytes kept)");
            assert_eq!(made_of(&mut session, &records).unwrap(), b"");
            assert!(session.room(1, 1).is_some(), "our direction lives on");
        }
    }
}

#[test]
fn what_a_peer_gives_up_for_is_told() {
    for suite in [SUITES[0], SUITES[3]] {
        for (mut session, mut raw) in raw_pairs(suite) {
            let mut output = Vec::new();
            let record = raw.record(ALERT, &[2, 48]);
            let error = feed(&mut session, &record, usize::MAX, 0, &mut output).unwrap_err();
            assert_eq!((error, output), (Error::Told(Alert::UnknownCA), vec![]));
        }
    }
}

#[test]
fn nothing_is_said_after_our_own_end() {
    for (mut session, mut raw) in raw_pairs(SUITES[0]) {
        let mut output = Vec::new();
        session.close(&mut output);
        output.clear();
        assert_eq!(session.room(1, 1), None);
        let record = raw.record(MESSAGE, &[24, 0, 0, 1, 1]);
        feed(&mut session, &record, usize::MAX, 0, &mut output).unwrap();
        assert!(feed(&mut session, &[23, 3, 3, 0, 20, 1], 1, 0, &mut output).is_ok());
        assert!(feed(&mut session, &[0; 19], 1, 0, &mut output).is_err());
        assert_eq!(output, b"");
    }
}

#[test]
fn an_oversize_record_is_refused_with_an_alert() {
    for suite in [SUITES[0], SUITES[3]] {
        for (mut session, mut peer) in pairs(suite, Implementation::AwsLc) {
            shake(&mut session, &mut peer, usize::MAX);
            let mut output = Vec::new();
            let error = feed(&mut session, &[23, 3, 3, 0x48, 1], 5, 0, &mut output).unwrap_err();
            assert!(matches!(error, Error::Broken(Alert::RecordOverflow, _)), "{error}");
            peer.read_tls(&mut output.as_slice()).unwrap();
            let told = peer.process_new_packets().unwrap_err();
            assert_eq!(told, rustls::Error::AlertReceived(Alert::RecordOverflow));
        }
    }
}

#[test]
fn padding_is_taken_off_and_too_much_of_anything_is_refused() {
    let inner = |data: usize, padding: usize| [vec![5; data], vec![23], vec![0; padding]].concat();
    for (data, padding, is_fine) in [
        (10, 0, true),
        (10, 300, true),
        (0, 300, true),
        (16_384, 0, true),
        (16_000, 384, true),
        (16_385, 0, false),
        (16_000, 385, false),
    ] {
        for (mut session, mut raw) in raw_pairs(SUITES[2]) {
            // The type that sealing appends is a byte of padding here.
            let mut inner = inner(data, padding);
            let last = inner.pop().unwrap();
            let record = raw.record(ContentType::from(last), &inner);
            match made_of(&mut session, &[record]) {
                Ok(plain) => assert!(is_fine && plain == vec![5; data], "{data} {padding}"),
                Err(error) => {
                    assert!(!is_fine, "{data} {padding}: {error}");
                    assert!(matches!(error, Error::Broken(Alert::RecordOverflow, _)), "{error}");
                }
            }
        }
    }
    for (mut session, mut raw) in raw_pairs(SUITES[4]) {
        let record = raw.record(DATA, &[0; 16_385]);
        let error = made_of(&mut session, &[record]).unwrap_err();
        assert!(matches!(error, Error::Broken(Alert::RecordOverflow, _)), "{error}");
    }
}
