//! The key that tokens are signed with, and may be encrypted for.
//!
//! In: a file as websockify takes it: PEM with a public key, a private one or a certificate; else text, which is the base64url of a secret.
//! Out: a key of one kind.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P256K1_SHA256_FIXED,
    ECDSA_P256K1_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED, ECDSA_P521_SHA512_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, Ed25519KeyPair, KeyPair, ParsedPublicKey,
    VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::{alphabet, engine::DecodePaddingMode};
use x509_parser::pem::Pem;

use super::Fault;

/// The smallest key of RSA.
const BITS_MIN: usize = 2048;

/// A key, and the algorithms that there are for it.
pub(super) enum Key {
    /// HS256, HS384, HS512; for JWE: dir, AES key wrap, AES-GCM key wrap.
    Secret(Vec<u8>),
    /// RS and PS; for JWE, if it is private: RSA-OAEP. The public one as SubjectPublicKeyInfo, the private one as PKCS #8.
    Rsa { public: Vec<u8>, private: Option<Pkcs8V1Der<'static>> },
    /// One algorithm, by the curve.
    Curve { algorithm: &'static str, how: &'static dyn VerificationAlgorithm, public: Vec<u8> },
}

type Curve = (&'static str, &'static EcdsaVerificationAlgorithm, &'static EcdsaSigningAlgorithm);

const CURVES: [Curve; 4] = [
    ("ES256", &ECDSA_P256_SHA256_FIXED, &ECDSA_P256_SHA256_FIXED_SIGNING),
    ("ES384", &ECDSA_P384_SHA384_FIXED, &ECDSA_P384_SHA384_FIXED_SIGNING),
    ("ES512", &ECDSA_P521_SHA512_FIXED, &ECDSA_P521_SHA512_FIXED_SIGNING),
    ("ES256K", &ECDSA_P256K1_SHA256_FIXED, &ECDSA_P256K1_SHA256_FIXED_SIGNING),
];

/// Secrets are written with either alphabet, and with or without padding.
const EITHER_PADDING: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, EITHER_PADDING);

impl Key {
    pub(super) fn parse(text: &[u8]) -> Result<Key, Fault> {
        let is_pem = text.windows(11).any(|window| window == b"-----BEGIN ");
        if !is_pem {
            return secret(text);
        }
        for pem in Pem::iter_from_buffer(text) {
            let Pem { label, contents } = pem.map_err(|_| "PEM that can't be read")?;
            match label.as_str() {
                "PUBLIC KEY" => return public(&contents),
                "RSA PUBLIC KEY" => return rsa_public(&contents),
                "CERTIFICATE" => {
                    let (_, certificate) = x509_parser::parse_x509_certificate(&contents)
                        .map_err(|_| "a certificate that can't be read")?;
                    return public(certificate.public_key().raw);
                }
                "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => return private(&contents),
                "ENCRYPTED PRIVATE KEY" => return Err("a key that a password opens"),
                // Such as EC PARAMETERS, which OpenSSL writes before the key.
                _ => {}
            }
        }
        Err("PEM with no key and no certificate in it")
    }
}

fn secret(text: &[u8]) -> Result<Key, Fault> {
    let expected = "expected PEM, or the base64url of a secret";
    let text = str::from_utf8(text).map_err(|_| expected)?.trim();
    let text = text.replace('+', "-").replace('/', "_");
    match URL_SAFE.decode(text).map_err(|_| expected)? {
        secret if secret.is_empty() => Err("an empty secret"),
        secret => Ok(Key::Secret(secret)),
    }
}

fn public(spki: &[u8]) -> Result<Key, Fault> {
    if let Ok(key) = rsa_public(spki) {
        return Ok(key);
    }
    let curves = CURVES.iter().map(|(name, how, _)| (*name, *how as &dyn VerificationAlgorithm));
    for (algorithm, how) in curves.chain([("EdDSA", &ED25519 as &dyn VerificationAlgorithm)]) {
        if ParsedPublicKey::new(how, spki).is_ok() {
            return Ok(Key::Curve { algorithm, how, public: spki.to_vec() });
        }
    }
    Err("expected RSA of 2048 bits or more, P-256, P-384, P-521, secp256k1 or Ed25519")
}

/// In either form.
fn rsa_public(der: &[u8]) -> Result<Key, Fault> {
    let key = rsa::PublicKey::from_der(der).map_err(|_| "no key of RSA that can be used")?;
    let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(&key).map_err(|_| "a key without a form")?;
    let bits = rsa::PublicEncryptingKey::from_der(spki.as_ref()).map(|key| key.key_size_bits());
    if !bits.is_ok_and(|bits| bits >= BITS_MIN) {
        return Err("a key of RSA with less than 2048 bits");
    }
    Ok(Key::Rsa { public: spki.as_ref().to_vec(), private: None })
}

fn private(der: &[u8]) -> Result<Key, Fault> {
    if let Ok(pair) = rsa::KeyPair::from_pkcs8(der).or_else(|_| rsa::KeyPair::from_der(der)) {
        let private = AsDer::<Pkcs8V1Der<'static>>::as_der(&pair).ok();
        return match rsa_public(pair.public_key().as_ref())? {
            Key::Rsa { public, .. } => Ok(Key::Rsa { public, private }),
            other => Ok(other),
        };
    }
    for (algorithm, how, signing) in CURVES {
        if let Ok(pair) = EcdsaKeyPair::from_private_key_der(signing, der) {
            let public = pair.public_key().as_ref().to_vec();
            return Ok(Key::Curve { algorithm, how, public });
        }
    }
    match Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
        Ok(pair) => {
            let public = pair.public_key().as_ref().to_vec();
            Ok(Key::Curve { algorithm: "EdDSA", how: &ED25519, public })
        }
        Err(_) => Err("a private key of no kind that signs tokens"),
    }
}
