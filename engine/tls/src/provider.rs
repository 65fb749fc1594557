//! Which implementation of the ciphers is used: chosen by name, or by a short measurement at the start.
//!
//! Key exchange and signatures are always aws-lc's, X25519MLKEM768 among them. The AEADs differ: which of the two is faster
//! depends on the processor, by up to a factor of two either way.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustls::crypto::cipher::{AeadKey, Iv, OutboundPlainMessage};
use rustls::crypto::{CryptoProvider, aws_lc_rs, ring};
use rustls::{CipherSuite, ContentType, ProtocolVersion, SupportedCipherSuite};

/// Whose code seals and opens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Implementation {
    /// AWS-LC.
    AwsLc,
    /// ring.
    Ring,
}

impl Implementation {
    /// The word for it in configurations, logs and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Implementation::AwsLc => "aws-lc",
            Implementation::Ring => "ring",
        }
    }

    /// The faster one here: measured once, which takes 10 ms, and only where TLS is spoken.
    pub fn fastest() -> Implementation {
        static FASTEST: OnceLock<Implementation> = OnceLock::new();
        *FASTEST.get_or_init(Self::measured)
    }

    fn measured() -> Implementation {
        let mut rounds = [0u32; 2];
        // In turns, so that a machine that slows down meanwhile slows down both.
        for _ in 0..TURNS {
            for (count, implementation) in rounds.iter_mut().zip([Self::AwsLc, Self::Ring]) {
                *count += implementation.rounds();
            }
        }
        match rounds {
            [aws, ring] if ring > aws => Implementation::Ring,
            _ => Implementation::AwsLc,
        }
    }

    /// Full records sealed in one turn.
    fn rounds(self) -> u32 {
        let plain = vec![0; 1 << 14];
        let end = Instant::now() + TURN;
        let mut count = 0;
        let Some(mut encrypter) = self.encrypter() else { return 0 };
        loop {
            let message = OutboundPlainMessage {
                typ: ContentType::ApplicationData,
                version: ProtocolVersion::TLSv1_3,
                payload: plain.as_slice().into(),
            };
            if encrypter.encrypt(message, u64::from(count)).is_err() {
                return 0;
            }
            count += 1;
            if Instant::now() >= end {
                return count;
            }
        }
    }

    fn encrypter(self) -> Option<Box<dyn rustls::crypto::cipher::MessageEncrypter>> {
        let suites = self.suites();
        let suite = suites.iter().find(|s| s.suite() == CipherSuite::TLS13_AES_256_GCM_SHA384)?;
        let SupportedCipherSuite::Tls13(suite) = suite else { return None };
        Some(suite.aead_alg.encrypter(AeadKey::from([7; 32]), Iv::from([7; 12])))
    }

    fn suites(self) -> &'static [SupportedCipherSuite] {
        match self {
            Implementation::AwsLc => aws_lc_rs::ALL_CIPHER_SUITES,
            Implementation::Ring => ring::ALL_CIPHER_SUITES,
        }
    }

    /// For the handshakes of settings.
    pub(crate) fn provider(self) -> Arc<CryptoProvider> {
        let suites = self.suites().to_vec();
        Arc::new(CryptoProvider { cipher_suites: suites, ..aws_lc_rs::default_provider() })
    }
}

/// Of one measurement of one implementation.
const TURN: Duration = Duration::from_millis(1);
const TURNS: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_can_be_measured() {
        assert!(Implementation::AwsLc.rounds() > 0 && Implementation::Ring.rounds() > 0);
    }
}
