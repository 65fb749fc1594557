//! Any sequence of sizes, in any pieces, in any order of directions: against rustls' own sessions.

use proptest::prelude::*;
use rustls::crypto::CipherSuiteCommon;
use rustls::{SupportedCipherSuite, Tls12CipherSuite, Tls13CipherSuite};

use super::*;

/// What happens next on a connection.
#[derive(Clone, Debug)]
enum Step {
    /// rustls' side writes so much, which arrives in pieces, with so much room in front of each.
    Theirs { length: usize, piece: usize, headroom: usize },
    /// We seal so much in records of at most so much.
    Ours { length: usize, slice: usize },
    /// rustls' side changes its key.
    Keys,
}

fn step() -> impl Strategy<Value = Step> {
    let length = prop_oneof![0usize..5, 0usize..600, 16_380usize..16_390, 0usize..50_000];
    let piece = prop_oneof![1usize..7, 1usize..1000, 4096usize..20_000];
    let headroom = prop_oneof![Just(0usize), 0usize..40, Just(20_000usize)];
    let slice = prop_oneof![Just(1usize), 1usize..100, 100usize..20_000, Just(usize::MAX)];
    prop_oneof![
        4 => (length.clone(), piece, headroom)
            .prop_map(|(length, piece, headroom)| Step::Theirs { length, piece, headroom }),
        4 => (length, slice).prop_map(|(length, slice)| {
            // Single bytes are slow enough.
            Step::Ours { length: if slice < 10 { length % 500 } else { length }, slice }
        }),
        1 => Just(Step::Keys),
    ]
}

fn live(session: &mut Session, peer: &mut Buffered, steps: &[Step]) {
    peer.set_buffer_limit(None);
    for step in steps {
        match *step {
            Step::Theirs { length, piece, headroom } => {
                let plain = pattern(length);
                peer.writer().write_all(&plain).unwrap();
                let (bytes, mut output) = (written(peer), Vec::new());
                let got = feed(session, &bytes, piece, headroom, &mut output).unwrap();
                assert!(got == plain && output.is_empty(), "{step:?}");
            }
            Step::Ours { length, slice } => {
                let plain = pattern(length);
                let bytes = sealed(session, &plain, slice);
                assert!(read(peer, &bytes) == plain, "{step:?}");
            }
            Step::Keys if peer.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3) => {
                peer.refresh_traffic_keys().unwrap();
            }
            Step::Keys => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn bytes_are_the_same_however_they_come(
        suite in prop::sample::select(SUITES.to_vec()),
        ring in any::<bool>(),
        is_client in any::<bool>(),
        piece in prop_oneof![1usize..20, Just(usize::MAX)],
        steps in proptest::collection::vec(step(), 1..12),
    ) {
        let implementation = if ring { Implementation::Ring } else { Implementation::AwsLc };
        let [server, client] = pairs(suite, implementation);
        let (mut session, mut peer) = if is_client { client } else { server };
        shake(&mut session, &mut peer, piece);
        live(&mut session, &mut peer, &steps);
    }
}

/// A server of ours whose keys seal three full records, and a client.
fn worn_pair(suite: CipherSuite) -> (Session, Buffered) {
    let (client_config, server_config) = configs(suite);
    let mut provider = (**server_config.crypto_provider()).clone();
    provider.cipher_suites = vec![worn(provider.cipher_suites[0])];
    let versions = [provider.cipher_suites[0].version()];
    let mut ours = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&server_config.cert_resolver));
    ours.enable_secret_extraction = true;
    let mut session = server(Implementation::AwsLc, &Arc::new(ours));
    let name = "localhost".try_into().unwrap();
    let mut peer = ClientConnection::new(client_config, name).unwrap().into();
    shake(&mut session, &mut peer, usize::MAX);
    (session, peer)
}

/// The same, but that a key seals no more than three records.
fn worn(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    let common = |common: &CipherSuiteCommon| CipherSuiteCommon {
        suite: common.suite,
        hash_provider: common.hash_provider,
        confidentiality_limit: 3,
    };
    match suite {
        SupportedCipherSuite::Tls13(suite) => {
            SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
                common: common(&suite.common),
                hkdf_provider: suite.hkdf_provider,
                aead_alg: suite.aead_alg,
                quic: suite.quic,
            })))
        }
        SupportedCipherSuite::Tls12(suite) => {
            SupportedCipherSuite::Tls12(Box::leak(Box::new(Tls12CipherSuite {
                common: common(&suite.common),
                prf_provider: suite.prf_provider,
                kx: suite.kx,
                sign: suite.sign,
                aead_alg: suite.aead_alg,
            })))
        }
    }
}

#[test]
fn a_key_that_is_worn_is_changed_before_what_comes_under_the_next() {
    let (mut session, mut peer) = worn_pair(SUITES[0]);
    for round in 0..5 {
        let plain = pattern(40_000);
        let bytes = sealed(&mut session, &plain, 16_000);
        let changes = usize::from(round > 0) * 27;
        assert_eq!(bytes.len(), plain.len() + 3 * 22 + changes, "round {round}");
        assert_eq!(read(&mut peer, &bytes), plain, "round {round}");
    }
}

#[test]
fn a_key_of_tls_1_2_that_is_worn_seals_no_more() {
    let (mut session, mut peer) = worn_pair(SUITES[3]);
    let plain = pattern(40_000);
    let bytes = sealed(&mut session, &plain, 16_000);
    assert_eq!(read(&mut peer, &bytes), plain);
    let mut memory = vec![0; 20_000];
    let error = session.seal(&mut memory, 100..16_100, 16_000, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("sealed all that it may"), "{error}");
}
