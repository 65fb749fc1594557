//! Who has signed: RSASSA-PSS with SHA-256, MGF1 with SHA-256, and a salt as long as it can be (RFC 8017 §8.1.2).
//!
//! In: the certificate of oVirt's engine. Out: whether a signature is its key's. Of the certificate the key alone counts: whoever put the file there
//! has said that it is the one. Signatures whose salt has another length are refused, even the usual ones.

use aws_lc_rs::signature::{
    ParsedPublicKey, RSA_PSS_2048_8192_SHA256, RsaParameters, RsaPssSaltLength,
};
use x509_parser::pem::Pem;

static LONGEST_SALT: RsaParameters =
    RSA_PSS_2048_8192_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);

/// What is wrong with a certificate.
pub(super) type Fault = &'static str;

#[derive(Debug)]
pub(super) struct Key(ParsedPublicKey);

impl Key {
    /// Of the first certificate in a PEM file.
    pub(super) fn parse(text: &[u8]) -> Result<Key, Fault> {
        for pem in Pem::iter_from_buffer(text) {
            let Pem { label, contents } = pem.map_err(|_| "PEM that can't be read")?;
            if label == "CERTIFICATE" {
                return Key::of_certificate(&contents);
            }
        }
        Err("expected a certificate in PEM, such as /etc/pki/ovirt-engine/certs/engine.cer")
    }

    fn of_certificate(der: &[u8]) -> Result<Key, Fault> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der)
            .map_err(|_| "a certificate that can't be read")?;
        let key = ParsedPublicKey::new(&LONGEST_SALT, certificate.public_key().raw);
        key.map(Key).map_err(|_| "expected a key of RSA with 2048 to 8192 bits in the certificate")
    }

    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify_sig(message, signature).is_ok()
    }
}
