//! JWE in its compact form (RFC 7516): five parts, encrypted for the key.
//!
//! In: a key and a token. Out: what it hides. Keys are wrapped by `dir`, A128KW, A256KW, A128GCMKW, A192GCMKW, A256GCMKW for a secret, and by
//! RSA-OAEP and RSA-OAEP-256 for RSA; contents are A128GCM, A192GCM, A256GCM, A128CBC-HS256, A192CBC-HS384 and A256CBC-HS512. It refuses all others,
//! compression (a small token could hide gigabytes) and extensions.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::cipher::{self, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::key_wrap::{AES_128, AES_256, AesKek, KeyWrap};
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey,
};
use serde::Deserialize;
use serde_json::Value;

use super::super::object;
use super::Fault;
use super::jws::decode;
use super::key::Key;

#[derive(Deserialize)]
struct Header {
    alg: String,
    enc: String,
    /// Of the key's own encryption, where that has them.
    iv: Option<String>,
    tag: Option<String>,
    crit: Option<Value>,
    zip: Option<Value>,
}

const FORM: Fault = "it is no JWE";
/// Whatever went wrong: one text for all, lest it tell a forger how near he is.
const SHUT: Fault = "it is not encrypted for this key, or was changed";
const OTHER_KIND: Fault = "it is encrypted in a way that there is not for this key";

pub(super) fn decrypt(key: &Key, token: &str) -> Result<Vec<u8>, Fault> {
    let parts: Vec<&str> = token.split('.').collect();
    let [protected, wrapped, iv, content, tag] = parts[..] else { return Err(FORM) };
    let part = |part| decode(part).ok_or(FORM);
    let header: Header = object(&part(protected)?).ok_or(FORM)?;
    if header.crit.is_some() || header.zip.is_some() {
        return Err("it is compressed or wants an extension, and neither is supported");
    }
    let length = key_length(&header.enc)?;
    let content_key = unwrap(key, &header, &part(wrapped)?, length)?;
    let sealed = Sealed {
        iv: &part(iv)?,
        content: &part(content)?,
        tag: &part(tag)?,
        additional: protected.as_bytes(),
    };
    match header.enc.split_once("CBC-HS") {
        Some(_) => sealed.open_cbc(&content_key),
        None => sealed.open_gcm(&content_key),
    }
}

fn key_length(encryption: &str) -> Result<usize, Fault> {
    match encryption {
        "A128GCM" => Ok(16),
        "A192GCM" => Ok(24),
        "A256GCM" | "A128CBC-HS256" => Ok(32),
        "A192CBC-HS384" => Ok(48),
        "A256CBC-HS512" => Ok(64),
        _ => Err(OTHER_KIND),
    }
}

/// The key of the content, which has to be `length` bytes long.
fn unwrap(key: &Key, header: &Header, wrapped: &[u8], length: usize) -> Result<Vec<u8>, Fault> {
    let mut room = vec![0; wrapped.len().max(length)];
    let unwrapped = match (key, header.alg.as_str()) {
        (Key::Secret(secret), "dir") if wrapped.is_empty() => &secret[..],
        (Key::Secret(secret), "A128KW") => {
            let kek = AesKek::new(&AES_128, secret).map_err(|_| OTHER_KIND)?;
            kek.unwrap(wrapped, &mut room).map_err(|_| SHUT)?
        }
        (Key::Secret(secret), "A256KW") => {
            let kek = AesKek::new(&AES_256, secret).map_err(|_| OTHER_KIND)?;
            kek.unwrap(wrapped, &mut room).map_err(|_| SHUT)?
        }
        (Key::Secret(secret), alg @ ("A128GCMKW" | "A192GCMKW" | "A256GCMKW")) => {
            // The length is in the name, as it is of contents.
            if key_length(&alg[..7]) != Ok(secret.len()) {
                return Err(OTHER_KIND);
            }
            let part = |part: &Option<String>| part.as_deref().and_then(decode).ok_or(FORM);
            let (iv, tag) = (part(&header.iv)?, part(&header.tag)?);
            room = Sealed { iv: &iv, content: wrapped, tag: &tag, additional: b"" }
                .open_gcm(secret)?;
            &room
        }
        (Key::Rsa { private: Some(private), .. }, "RSA-OAEP" | "RSA-OAEP-256") => {
            let hash = match header.alg.as_str() {
                "RSA-OAEP" => &OAEP_SHA1_MGF1SHA1,
                _ => &OAEP_SHA256_MGF1SHA256,
            };
            let private =
                PrivateDecryptingKey::from_pkcs8(private.as_ref()).map_err(|_| OTHER_KIND)?;
            let private = OaepPrivateDecryptingKey::new(private).map_err(|_| OTHER_KIND)?;
            room.resize(private.min_output_size().max(length), 0);
            private.decrypt(hash, wrapped, &mut room, None).map_err(|_| SHUT)?
        }
        (Key::Rsa { private: None, .. }, _) => {
            return Err("it is encrypted, which takes a private key to read");
        }
        _ => return Err(OTHER_KIND),
    };
    if unwrapped.len() == length { Ok(unwrapped.to_vec()) } else { Err(SHUT) }
}

/// What an AEAD has sealed.
struct Sealed<'s> {
    iv: &'s [u8],
    content: &'s [u8],
    tag: &'s [u8],
    additional: &'s [u8],
}

impl Sealed<'_> {
    fn open_gcm(&self, key: &[u8]) -> Result<Vec<u8>, Fault> {
        let algorithm = match key.len() {
            16 => &aead::AES_128_GCM,
            24 => &aead::AES_192_GCM,
            _ => &aead::AES_256_GCM,
        };
        let nonce: [u8; NONCE_LEN] = self.iv.try_into().map_err(|_| FORM)?;
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key).map_err(|_| SHUT)?);
        // A shorter one would be easier to guess.
        if self.tag.len() != algorithm.tag_len() {
            return Err(FORM);
        }
        let mut sealed = [self.content, self.tag].concat();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plain = key.open_in_place(nonce, Aad::from(self.additional), &mut sealed);
        Ok(plain.map_err(|_| SHUT)?.to_vec())
    }

    /// AES-CBC and HMAC (RFC 7518 §5.2.2.2): the MAC is judged before anything is decrypted.
    fn open_cbc(&self, key: &[u8]) -> Result<Vec<u8>, Fault> {
        let (for_mac, for_content) = key.split_at(key.len() / 2);
        let (mac, algorithm) = match for_content.len() {
            16 => (hmac::HMAC_SHA256, &cipher::AES_128),
            24 => (hmac::HMAC_SHA384, &cipher::AES_192),
            _ => (hmac::HMAC_SHA512, &cipher::AES_256),
        };
        let bits = 8 * self.additional.len() as u64;
        let signed = [self.additional, self.iv, self.content, &bits.to_be_bytes()].concat();
        let expected = hmac::sign(&hmac::Key::new(mac, for_mac), &signed);
        verify_slices_are_equal(&expected.as_ref()[..for_mac.len()], self.tag).map_err(|_| SHUT)?;
        let iv: &[u8; 16] = self.iv.try_into().map_err(|_| FORM)?;
        let key = UnboundCipherKey::new(algorithm, for_content).map_err(|_| SHUT)?;
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).map_err(|_| SHUT)?;
        let mut content = self.content.to_vec();
        let context = DecryptionContext::Iv128(FixedLength::from(iv));
        Ok(key.decrypt(&mut content, context).map_err(|_| SHUT)?.to_vec())
    }
}
