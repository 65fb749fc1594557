//! JWS in its compact form (RFC 7515): three parts, signed.
//!
//! In: a key and a token. Out: the payload, if the key's owner has signed it. It refuses algorithms that are not of the key's kind, and whatever a
//! header calls critical: it knows no extensions.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, VerificationAlgorithm,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use super::super::object;
use super::Fault;
use super::key::Key;

#[derive(Deserialize)]
struct Header {
    alg: String,
    crit: Option<Value>,
}

/// Signed, but not as it says, or not by us.
const FORGED: Fault = "its signature is not of this key, or the token was changed";
/// The key has its own.
const OTHER_KIND: Fault = "its algorithm is none of those for this kind of key";

pub(super) fn verify(key: &Key, token: &str) -> Result<Vec<u8>, Fault> {
    let form = "it is no JWS";
    let (signed, signature) = token.rsplit_once('.').ok_or(form)?;
    let (header, payload) = signed.split_once('.').ok_or(form)?;
    let signature = decode(signature).ok_or(form)?;
    let header: Header = decode(header).and_then(|json| object(&json)).ok_or(form)?;
    if header.crit.is_some() {
        return Err("it wants an extension (crit), and none is known");
    }
    check(key, &header.alg, signed.as_bytes(), &signature)?;
    decode(payload).ok_or(form)
}

fn check(key: &Key, algorithm: &str, signed: &[u8], signature: &[u8]) -> Result<(), Fault> {
    let (how, public): (&dyn VerificationAlgorithm, _) = match key {
        Key::Secret(secret) => {
            let key = hmac::Key::new(mac(algorithm)?, secret);
            return hmac::verify(&key, signed, signature).map_err(|_| FORGED);
        }
        Key::Rsa { public, .. } => (rsa(algorithm)?, public),
        Key::Curve { algorithm: its, how, public } if *its == algorithm => (*how, public),
        Key::Curve { .. } => return Err(OTHER_KIND),
    };
    let public = ParsedPublicKey::new(how, public).map_err(|_| FORGED)?;
    public.verify_sig(signed, signature).map_err(|_| FORGED)
}

fn mac(algorithm: &str) -> Result<hmac::Algorithm, Fault> {
    match algorithm {
        "HS256" => Ok(hmac::HMAC_SHA256),
        "HS384" => Ok(hmac::HMAC_SHA384),
        "HS512" => Ok(hmac::HMAC_SHA512),
        _ => Err(OTHER_KIND),
    }
}

fn rsa(algorithm: &str) -> Result<&'static dyn VerificationAlgorithm, Fault> {
    match algorithm {
        "RS256" => Ok(&RSA_PKCS1_2048_8192_SHA256),
        "RS384" => Ok(&RSA_PKCS1_2048_8192_SHA384),
        "RS512" => Ok(&RSA_PKCS1_2048_8192_SHA512),
        "PS256" => Ok(&RSA_PSS_2048_8192_SHA256),
        "PS384" => Ok(&RSA_PSS_2048_8192_SHA384),
        "PS512" => Ok(&RSA_PSS_2048_8192_SHA512),
        _ => Err(OTHER_KIND),
    }
}

/// One part of a token.
pub(super) fn decode(part: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(part).ok()
}
