//! Handshakes with peers that break off, dribble, ramble or mean harm.

use proptest::prelude::*;

use super::errors::message;
use super::*;

/// The payloads of all records of `bytes`, in records of at most `size` bytes of the same kind.
fn in_records_of(size: usize, bytes: &[u8]) -> Vec<u8> {
    let (mut rest, mut records) = (bytes, Vec::new());
    while let Some(length) = crate::records::record_length(rest).unwrap() {
        for part in rest[5..length].chunks(size) {
            records.extend_from_slice(&rest[..3]);
            records.extend_from_slice(&(part.len() as u16).to_be_bytes());
            records.extend_from_slice(part);
        }
        rest = &rest[length..];
    }
    records
}

fn hello_of(suite: CipherSuite) -> (Vec<u8>, Arc<ServerConfig>) {
    let (client_config, server_config) = configs(suite);
    let mut hello = Vec::new();
    client(Implementation::AwsLc, &client_config).start(&mut hello).unwrap();
    (hello, server_config)
}

/// Feeds until there is an error; how many bytes that took, of at most so many.
fn until_refused(session: &mut Session, bytes: &[u8], most: usize) -> (usize, Error) {
    let (mut fed, mut output) = (0, Vec::new());
    while fed < most {
        fed += bytes.len();
        match feed(session, bytes, usize::MAX, 0, &mut output) {
            Ok(plain) => assert_eq!(plain, b""),
            Err(error) => return (fed, error),
        }
    }
    panic!("{fed} bytes, and no end");
}

#[test]
fn wherever_a_handshake_is_cut_it_waits_and_nothing_is_agreed_on() {
    for suite in [SUITES[1], SUITES[4]] {
        for (mut session, mut peer) in pairs(suite, Implementation::AwsLc) {
            let mut output = Vec::new();
            session.start(&mut output).unwrap();
            while !session.is_established() || peer.is_handshaking() {
                read(&mut peer, &std::mem::take(&mut output));
                let flight = written(&mut peer);
                for (at, byte) in flight.iter().enumerate() {
                    // After each byte, the session is what a cut would leave.
                    assert!(!session.is_established() || at == 0, "byte {at}");
                    let one = std::slice::from_ref(byte);
                    assert_eq!(feed(&mut session, one, 1, 0, &mut output).unwrap(), b"");
                    if session.is_established() {
                        assert_eq!(
                            feed(&mut session, &flight[at + 1..], 1, 0, &mut output),
                            Ok(vec![])
                        );
                        break;
                    }
                }
            }
        }
    }
}

#[test]
fn whatever_byte_of_a_flight_is_changed_the_client_refuses_or_waits() {
    for suite in [SUITES[1], SUITES[4]] {
        let (client_config, server_config) = configs(suite);
        for at in (0..2500).step_by(29) {
            let mut session = client(Implementation::AwsLc, &client_config);
            let mut peer = ServerConnection::new(Arc::clone(&server_config)).unwrap().into();
            let mut output = Vec::new();
            session.start(&mut output).unwrap();
            read(&mut peer, &output);
            let mut flight = written(&mut peer);
            let Some(byte) = flight.get_mut(at) else { continue };
            *byte ^= 0x55;
            let _ = feed(&mut session, &flight, usize::MAX, 0, &mut output);
            assert!(!session.is_established(), "byte {at} of {}", flight.len());
        }
    }
}

#[test]
fn a_hello_may_come_in_records_of_any_size_byte_by_byte() {
    for suite in [SUITES[0], SUITES[3]] {
        let (hello, config) = hello_of(suite);
        for size in [1, 2, 3, 5, 100] {
            for piece in [1, 7, usize::MAX] {
                let mut session = server(Implementation::AwsLc, &config);
                let (bytes, mut output) = (in_records_of(size, &hello), Vec::new());
                let last = bytes.len() - 1;
                feed(&mut session, &bytes[..last], piece, 0, &mut output).unwrap();
                assert_eq!((output.len(), session.server_name()), (0, None));
                feed(&mut session, &bytes[last..], piece, 0, &mut output).unwrap();
                assert_eq!(output.first(), Some(&22), "an answer to records of {size}");
                assert_eq!(session.server_name(), Some("localhost"));
            }
        }
    }
}

#[test]
fn a_record_larger_than_allowed_is_refused_by_its_header() {
    let (_, config) = hello_of(SUITES[0]);
    for (length, is_refused) in [(0x4801_u16, true), (0xffff, true), (0x4800, false)] {
        let mut session = server(Implementation::AwsLc, &config);
        let [high, low] = length.to_be_bytes();
        let mut output = Vec::new();
        let result = feed(&mut session, &[22, 3, 1, high, low], 1, 0, &mut output);
        match result {
            Ok(_) => assert!(!is_refused && output.is_empty()),
            Err(error) => {
                assert!(is_refused && matches!(error, Error::Broken(Alert::RecordOverflow, _)));
                assert_eq!(output, [21, 3, 3, 0, 2, 2, 22], "a fatal alert: record_overflow");
            }
        }
    }
}

#[test]
fn once_there_are_keys_alerts_are_not_told_in_the_clear() {
    let (client_config, server_config) = configs(SUITES[0]);
    let mut session = server(Implementation::AwsLc, &server_config);
    let name = "localhost".try_into().unwrap();
    let mut peer: Buffered = ClientConnection::new(client_config, name).unwrap().into();
    let mut output = Vec::new();
    feed(&mut session, &written(&mut peer), usize::MAX, 0, &mut output).unwrap();
    let error = feed(&mut session, &[23, 3, 3, 0xff, 0xff], 5, 0, &mut output).unwrap_err();
    assert!(matches!(error, Error::Broken(Alert::RecordOverflow, _)), "{error}");
    peer.read_tls(&mut output.as_slice()).unwrap();
    let told = peer.process_new_packets().unwrap_err();
    assert_eq!(told, rustls::Error::AlertReceived(Alert::DecodeError), "under its keys");
}

#[test]
fn a_handshake_that_comes_to_no_end_is_refused_and_holds_little_until_then() {
    let (_, config) = hello_of(SUITES[0]);
    let endless = message(1, &[3; 300]);
    let begun = [&[22, 3, 1, 0, 4, 1, 0, 0xff, 0xff][..]].concat();
    let filler = [&[22, 3, 1, 0x40, 0][..], &[0; 1 << 14]].concat();
    let one_byte = [22, 3, 1, 0, 1, 0];
    for (first, again, most) in [
        (&begun, &filler[..], 100_000),
        (&begun, &one_byte[..], 100_000),
        (&vec![22, 3, 1, 0, 4, 1, 0xff, 0, 0], &one_byte[..], 1000),
        (&Vec::new(), &endless[..], 1000),
        (&Vec::new(), &[20, 3, 3, 0, 1, 1][..], 1000),
        (&Vec::new(), &[21, 3, 3, 0, 2, 1, 100][..], 1000),
        (&Vec::new(), &[22, 3, 3, 0, 0][..], 1000),
        (&Vec::new(), &[23, 3, 3, 0, 0][..], 1000),
        (&Vec::new(), &[23, 3, 3, 0, 1, 0][..], 1000),
    ] {
        let mut session = server(Implementation::AwsLc, &config);
        let mut output = Vec::new();
        let before = feed(&mut session, first, usize::MAX, 0, &mut output);
        let (fed, _) = match before {
            Ok(_) => until_refused(&mut session, again, most),
            Err(error) => (0, error),
        };
        assert!(fed <= most, "{fed} bytes of {again:?}");
        // And then nothing more is kept.
        for bytes in [&filler, &filler[..100]] {
            assert_eq!(feed(&mut session, bytes, usize::MAX, 0, &mut output), Ok(vec![]));
            assert_eq!(format!("{session:?}"), "Session(over, 0 bytes kept)");
        }
    }
}

#[test]
fn a_client_is_not_drowned_by_its_server_either() {
    let (config, _) = configs(SUITES[0]);
    let filler = [&[22, 3, 3, 0x40, 0][..], &[0; 1 << 14]].concat();
    let mut session = client(Implementation::AwsLc, &config);
    session.start(&mut Vec::new()).unwrap();
    let begun = [22, 3, 3, 0, 4, 2, 0, 0xff, 0xff];
    feed(&mut session, &begun, usize::MAX, 0, &mut Vec::new()).unwrap();
    until_refused(&mut session, &filler, 100_000);
}

/// A client that says as much as it may: two large hellos, because its first key share is of no use, and a long chain.
fn long_winded() -> (Session, Buffered) {
    use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, SECP384R1};
    let provider = |groups: &[&'static dyn rustls::crypto::SupportedKxGroup]| {
        let mut provider = (*Implementation::AwsLc.provider()).clone();
        provider.kx_groups = groups.to_vec();
        Arc::new(provider)
    };
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = || PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let ours = provider(&[SECP256R1]);
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots.clone()),
        Arc::clone(&ours),
    );
    let ours = ServerConfig::builder_with_provider(ours)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![certificate.clone()], key())
        .unwrap();
    let mut theirs = ClientConfig::builder_with_provider(provider(&[SECP384R1, SECP256R1]))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate; 70], key())
        .unwrap();
    theirs.alpn_protocols = vec![vec![b'x'; 255]; 50];
    theirs.max_fragment_size = Some(32);
    let name = "localhost".try_into().unwrap();
    let peer = ClientConnection::new(Arc::new(theirs), name).unwrap().into();
    (server(Implementation::AwsLc, &Arc::new(ours)), peer)
}

#[test]
fn a_handshake_of_many_whole_messages_has_a_bound_too() {
    let (mut session, mut peer) = long_winded();
    let (mut fed, mut output) = (0, Vec::new());
    for expected in [22, 22] {
        let hello = in_records_of(1, &written(&mut peer));
        fed += hello.len();
        feed(&mut session, &hello, usize::MAX, 0, &mut output).unwrap();
        assert_eq!(output.first(), Some(&expected), "an answer");
        read(&mut peer, &std::mem::take(&mut output));
    }
    let flight = written(&mut peer);
    assert!(fed < 3 << 16 && fed + flight.len() > 3 << 16, "{fed} and {}", flight.len());
    assert!(flight.len() < 1 << 16, "no single message that is too long: {}", flight.len());
    let error = feed(&mut session, &flight, usize::MAX, 0, &mut output).unwrap_err();
    assert!(error.to_string().contains("without end"), "{error}");
    assert_eq!(output, b"", "nobody has keys for an alert, and none goes out without");
}

/// A record that was changed, one of noise, none at all, an alert in the clear, and a fatal one in order: what may break a session.
fn breaking(kind: usize, peer: &mut Buffered) -> Vec<u8> {
    match kind {
        0 => {
            peer.writer().write_all(b"changed").unwrap();
            let mut record = written(peer);
            *record.last_mut().unwrap() ^= 1;
            record
        }
        1 => [&[23, 3, 3, 0, 40][..], &[7; 40]].concat(),
        2 => b"none at all".to_vec(),
        3 => vec![21, 3, 3, 0, 2, 2, 40],
        _ => {
            peer.read_tls(&mut &[23, 3, 3, 0xff, 0xff, 0][..]).unwrap();
            peer.process_new_packets().unwrap_err();
            written(peer)
        }
    }
}

#[test]
fn what_came_before_a_broken_record_is_understood_however_it_comes() {
    let plain = pattern(20_000);
    let pieces =
        [(usize::MAX, 0), (usize::MAX, 300), (18_432, 16_400), (100, 0), (100, 300), (1, 0)];
    for (kind, (piece, headroom)) in (0..5).flat_map(|kind| pieces.map(|piece| (kind, piece))) {
        for suite in [SUITES[0], SUITES[4]] {
            for (mut session, mut peer) in pairs(suite, Implementation::AwsLc) {
                shake(&mut session, &mut peer, usize::MAX);
                peer.writer().write_all(&plain).unwrap();
                let good = written(&mut peer);
                let bytes = [&good[..], &breaking(kind, &mut peer), &good].concat();
                let (came, broken) =
                    feed_until_broken(&mut session, &bytes, piece, headroom, &mut Vec::new());
                assert_eq!(came, plain, "before {kind}, in pieces of {piece}");
                match broken.expect("an end") {
                    Error::Told(_) => assert_eq!(kind, 4),
                    error => assert!(kind < 4 && matches!(error, Error::Broken(..)), "{error}"),
                }
                let after = feed(&mut session, &good, 100, 0, &mut Vec::new());
                assert_eq!(after, Ok(vec![]), "it is over");
            }
        }
    }
}

proptest! {
    #[test]
    fn nonsense_is_refused_or_waited_out(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        is_record in any::<bool>(),
        kind in 20u8..24,
        piece in 1usize..100,
        is_client in any::<bool>(),
    ) {
        let (client_config, server_config) = configs(SUITES[0]);
        let mut session = match is_client {
            true => client(Implementation::AwsLc, &client_config),
            false => server(Implementation::AwsLc, &server_config),
        };
        let mut output = Vec::new();
        session.start(&mut output).unwrap();
        let header = [kind, 3, 3, 0, bytes.len().min(255) as u8];
        let bytes = if is_record { [&header[..], &bytes].concat() } else { bytes };
        let _ = feed(&mut session, &bytes, piece, 20, &mut output);
        prop_assert!(!session.is_established());
    }

    #[test]
    fn a_hello_with_changes_is_refused_or_answered(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let (mut hello, config) = hello_of(SUITES[0]);
        for (at, byte) in changes {
            let at = at.index(hello.len());
            hello[at] = byte;
        }
        hello.truncate(cut.index(hello.len()).max(hello.len() / 2));
        let mut session = server(Implementation::AwsLc, &config);
        let _ = feed(&mut session, &hello, usize::MAX, 0, &mut Vec::new());
        prop_assert!(!session.is_established());
    }
}
