//! Sessions against rustls' own buffered ones, in every form of record, however the bytes come.

mod certificates;
mod errors;
mod files;
mod floods;
mod hostile;
mod resumption;
mod split;

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::UnbufferedServerConnection;
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, Connection as Buffered, RootCertStore,
    ServerConfig, ServerConnection, SupportedProtocolVersion, version,
};

use super::*;
use crate::handshake::{Connection, Handshake};

const SUITES: [CipherSuite; 6] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
];
const BOTH: [Implementation; 2] = [Implementation::AwsLc, Implementation::Ring];
const VERSIONS: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

fn configs(suite: CipherSuite) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let mut provider = (*Implementation::AwsLc.provider()).clone();
    provider.cipher_suites.retain(|known| known.suite() == suite);
    let provider = Arc::new(provider);
    let versions: Vec<_> =
        VERSIONS.iter().copied().filter(|v| provider.cipher_suites[0].version() == *v).collect();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    (client.enable_secret_extraction, server.enable_secret_extraction) = (true, true);
    (Arc::new(client), Arc::new(server))
}

fn server(implementation: Implementation, config: &Arc<ServerConfig>) -> Session {
    let connection = UnbufferedServerConnection::new(Arc::clone(config)).unwrap();
    let handshake = Handshake::new(Connection::Server(connection), MinVersion::Tls12);
    Session::new(implementation, handshake)
}

fn client(implementation: Implementation, config: &Arc<ClientConfig>) -> Session {
    let name = "localhost".try_into().unwrap();
    let connection = UnbufferedClientConnection::new(Arc::clone(config), name).unwrap();
    let handshake = Handshake::new(Connection::Client(connection), MinVersion::Tls12);
    Session::new(implementation, handshake)
}

/// Hands `bytes` over in pieces of `piece`, in buffers with `headroom` in front; the plaintext of it all.
fn feed(
    session: &mut Session,
    bytes: &[u8],
    piece: usize,
    headroom: usize,
    output: &mut Vec<u8>,
) -> Result<Vec<u8>, Error> {
    let (plain, broken) = feed_until_broken(session, bytes, piece, headroom, output);
    broken.map_or(Ok(plain), Err)
}

/// The same; the plaintext up to where it broke, if it did, and why.
fn feed_until_broken(
    session: &mut Session,
    bytes: &[u8],
    piece: usize,
    headroom: usize,
    output: &mut Vec<u8>,
) -> (Vec<u8>, Option<Error>) {
    let mut plain = Vec::new();
    for part in bytes.chunks(piece) {
        let mut memory = vec![0xee; headroom];
        memory.extend_from_slice(part);
        let end = memory.len();
        let received = session.receive(&mut memory, headroom..end, output);
        match received.plain {
            Plain::Within(range) => plain.extend_from_slice(&memory[range]),
            Plain::Apart(bytes) => plain.extend_from_slice(&bytes),
        }
        if received.broken.is_some() {
            return (plain, received.broken);
        }
    }
    (plain, None)
}

/// Seals `bytes` as a buffer would be; all that is to be sent.
fn sealed(session: &mut Session, bytes: &[u8], slice: usize) -> Vec<u8> {
    let (front, total) = session.room(bytes.len(), slice).expect("established");
    let mut memory = vec![0; front];
    memory.extend_from_slice(bytes);
    memory.resize(total, 0);
    let mut output = Vec::new();
    let range = session.seal(&mut memory, front..front + bytes.len(), slice, &mut output).unwrap();
    output.extend_from_slice(&memory[range]);
    output
}

fn written(connection: &mut Buffered) -> Vec<u8> {
    let mut bytes = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// What rustls reads out of `bytes`.
fn read(connection: &mut Buffered, mut bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    while !bytes.is_empty() {
        connection.read_tls(&mut bytes).unwrap();
        connection.process_new_packets().unwrap();
        let mut part = vec![0; 1 << 20];
        if let Ok(length) = connection.reader().read(&mut part) {
            plain.extend_from_slice(&part[..length]);
        }
    }
    plain
}

/// Shakes hands; what rustls' side is left with.
fn shake(session: &mut Session, peer: &mut Buffered, piece: usize) {
    let mut output = Vec::new();
    session.start(&mut output).unwrap();
    for _ in 0..10 {
        read(peer, &std::mem::take(&mut output));
        let bytes = written(peer);
        assert_eq!(feed(session, &bytes, piece, 0, &mut output).unwrap(), b"");
        if session.is_established() && !peer.is_handshaking() && output.is_empty() {
            return;
        }
    }
    panic!("no end of the handshake");
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7 + index / 251) as u8).collect()
}

/// Our server or client, and rustls' other side.
fn pairs(suite: CipherSuite, implementation: Implementation) -> [(Session, Buffered); 2] {
    let (client_config, server_config) = configs(suite);
    let name = "localhost".try_into().unwrap();
    [
        (
            server(implementation, &server_config),
            ClientConnection::new(Arc::clone(&client_config), name).unwrap().into(),
        ),
        (
            client(implementation, &client_config),
            ServerConnection::new(Arc::clone(&server_config)).unwrap().into(),
        ),
    ]
}

fn every(mut check: impl FnMut(Session, Buffered)) {
    for suite in SUITES {
        for implementation in BOTH {
            for (mut session, mut peer) in pairs(suite, implementation) {
                shake(&mut session, &mut peer, usize::MAX);
                check(session, peer);
            }
        }
    }
}

#[test]
fn bytes_pass_both_ways_in_every_form() {
    every(|mut session, mut peer| {
        for length in [1, 64, 16_383, 16_384, 16_385, 100_000] {
            let plain = pattern(length);
            peer.set_buffer_limit(None);
            peer.writer().write_all(&plain).unwrap();
            let bytes = written(&mut peer);
            let mut output = Vec::new();
            assert_eq!(feed(&mut session, &bytes, usize::MAX, 0, &mut output).unwrap(), plain);
            assert_eq!(output, b"");
            let bytes = sealed(&mut session, &plain, usize::MAX);
            assert_eq!(read(&mut peer, &bytes), plain);
        }
    });
}

#[test]
fn however_records_are_broken_up_their_bytes_are_the_same() {
    let plain = pattern(40_000);
    for piece in [1, 2, 5, 6, 1000, 4096, 16_406, 18_432] {
        for headroom in [0, 16, 20_000] {
            for (mut session, mut peer) in pairs(SUITES[0], Implementation::AwsLc) {
                shake(&mut session, &mut peer, piece);
                peer.writer().write_all(&plain).unwrap();
                let bytes = written(&mut peer);
                let got = feed(&mut session, &bytes, piece, headroom, &mut Vec::new()).unwrap();
                assert_eq!(got, plain, "pieces of {piece}, headroom {headroom}");
            }
        }
    }
}

#[test]
fn records_are_no_larger_than_asked_for() {
    every(|mut session, mut peer| {
        for slice in [1, 2, 100, 4096, 16_384, 1 << 20] {
            let plain = pattern(9000);
            let bytes = sealed(&mut session, &plain, slice);
            let mut at = 0;
            while let Some(length) = crate::records::record_length(&bytes[at..]).unwrap() {
                assert!(length <= slice.min(1 << 14) + OVERHEAD_MAX, "{length} for {slice}");
                at += length;
            }
            assert_eq!(at, bytes.len());
            assert_eq!(read(&mut peer, &bytes), plain, "slices of {slice}");
        }
    });
}

#[test]
fn an_end_is_told_from_a_cut() {
    every(|mut session, mut peer| {
        peer.writer().write_all(b"last words").unwrap();
        peer.send_close_notify();
        let bytes = written(&mut peer);
        let mut output = Vec::new();
        let most = bytes.len() - 1;
        assert_eq!(feed(&mut session, &bytes[..most], 7, 0, &mut output).unwrap(), b"last words");
        assert!(!session.peer_closed());
        assert_eq!(feed(&mut session, &bytes[most..], 7, 0, &mut output).unwrap(), b"");
        assert!(session.peer_closed());
        // The other direction lives on, until it is closed too.
        let bytes = sealed(&mut session, b"and mine", usize::MAX);
        assert_eq!(read(&mut peer, &bytes), b"and mine");
        session.close(&mut output);
        session.close(&mut output);
        peer.read_tls(&mut output.as_slice()).unwrap();
        assert!(peer.process_new_packets().unwrap().peer_has_closed());
        assert_eq!(session.room(1, 1), None, "nothing follows a close");
    });
}

#[test]
fn keys_follow_one_another() {
    for implementation in BOTH {
        for (mut session, mut peer) in pairs(SUITES[1], implementation) {
            shake(&mut session, &mut peer, usize::MAX);
            for round in 0..3 {
                peer.refresh_traffic_keys().unwrap();
                peer.writer().write_all(b"under another key").unwrap();
                let bytes = written(&mut peer);
                let mut output = Vec::new();
                let got = feed(&mut session, &bytes, usize::MAX, 0, &mut output).unwrap();
                assert_eq!(got, b"under another key", "round {round}");
                // It was asked to change its own as well, and does before it says anything else.
                assert!(output.is_empty());
                let bytes = sealed(&mut session, b"and back", usize::MAX);
                assert_eq!(bytes.len(), 22 + 5 + 22 + b"and back".len());
                assert_eq!(read(&mut peer, &bytes), b"and back");
            }
        }
    }
}

#[test]
fn whatever_is_changed_on_the_way_is_refused_and_told() {
    let mut turn = 0;
    every(|mut session, mut peer| {
        peer.writer().write_all(&pattern(100)).unwrap();
        let mut bytes = written(&mut peer);
        // In turns the version, the explicit part of a nonce, if there is one, the text, and the seal.
        turn += 1;
        let at = [2, 5, 50, bytes.len() - 1][turn % 4];
        bytes[at] ^= 1;
        let mut output = Vec::new();
        let error = feed(&mut session, &bytes, usize::MAX, 0, &mut output).unwrap_err();
        assert!(matches!(error, Error::Broken(Alert::BadRecordMac, _)), "{error}");
        assert!(!output.is_empty() && !session.is_established());
        peer.read_tls(&mut output.as_slice()).unwrap();
        let told = peer.process_new_packets().unwrap_err();
        assert_eq!(told, rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac));
    });
}

#[test]
fn a_cut_handshake_never_panics_and_every_cut_waits() {
    let (client_config, server_config) = configs(SUITES[0]);
    let mut hello = Vec::new();
    client(Implementation::AwsLc, &client_config).start(&mut hello).unwrap();
    for cut in 0..hello.len() {
        let (mut session, mut output) = (server(Implementation::AwsLc, &server_config), Vec::new());
        assert_eq!(feed(&mut session, &hello[..cut], usize::MAX, 0, &mut output).unwrap(), b"");
        assert!(output.is_empty() && !session.is_established());
    }
    for at in 0..hello.len() {
        let (mut session, mut output) = (server(Implementation::AwsLc, &server_config), Vec::new());
        let mut broken = hello.clone();
        broken[at] ^= 0xff;
        // Some bytes are free to choose: whatever it says, it says in order.
        let _ = feed(&mut session, &broken, 100, 0, &mut output);
    }
}

#[test]
fn who_speaks_something_else_is_told_what_it_looks_like() {
    let (_, server_config) = configs(SUITES[0]);
    for (bytes, word) in [
        (&b"GET / HTTP/1.1\r\n"[..], "HTTP"),
        (b"RFB 003.008\n", "VNC"),
        (b"SSH-2.0-x", "SSH"),
        (b"\x80\x2e\x01", "SSL 2"),
        (b"\0\0", "another"),
    ] {
        let mut session = server(Implementation::AwsLc, &server_config);
        let error = feed(&mut session, bytes, usize::MAX, 0, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
        assert!(!session.is_established());
    }
}

#[test]
fn nothing_is_opened_or_sealed_before_its_time() {
    let (_, server_config) = configs(SUITES[0]);
    let mut session = server(Implementation::AwsLc, &server_config);
    assert_eq!(session.room(1, 1), None);
    assert!(session.seal(&mut [0; 99], 20..30, 99, &mut Vec::new()).is_err());
    let mut output = Vec::new();
    session.close(&mut output);
    assert_eq!(output, b"");
}

#[test]
fn sealing_asks_for_room_first() {
    let (mut session, mut peer) =
        pairs(SUITES[0], Implementation::Ring).into_iter().next().unwrap();
    shake(&mut session, &mut peer, usize::MAX);
    let mut memory = [0; 64];
    for range in [4..30, 40..64] {
        assert!(session.seal(&mut memory, range, 99, &mut Vec::new()).is_err());
    }
    assert!(session.seal(&mut memory, 5..42, 99, &mut Vec::new()).is_ok());
}
