//! Certificates and keys out of PEM files: what is in them, whether it fits together, and until when it holds.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// What is wrong with a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FileFault {
    /// It holds no certificate in PEM.
    NoCertificate,
    /// It holds no private key in PEM.
    NoKey,
    /// Its key is encrypted, and no password was given.
    Encrypted,
    /// The password does not open it.
    Password,
    /// It is encrypted in a way of old that is not read here.
    OldEncryption,
    /// The key is of a kind, or a size, that TLS has no use for.
    KeyKind,
    /// The key is another one than the certificate's.
    Mismatch,
    /// It holds no revocation list in PEM.
    NoList,
    /// What is in it can't be read.
    Malformed(String),
}

/// A certificate with its chain, and its key.
#[derive(Clone)]
pub struct Identity {
    pub(crate) key: Arc<CertifiedKey>,
    /// Names of servers that the certificate is for; DNS names only, they are what clients ask for.
    pub(crate) names: Vec<String>,
    expires: SystemTime,
}

impl Identity {
    /// Of the contents of two PEM files (which may be one), and the password of the key's.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn from_pem(
        certificates: &[u8],
        key: &[u8],
        password: Option<&[u8]>,
    ) -> Result<Identity, FileFault> {
        let chain = certificates_of(certificates)?;
        let key = key_of(key, password)?;
        let provider: CryptoProvider = rustls::crypto::aws_lc_rs::default_provider();
        let key = provider.key_provider.load_private_key(key).map_err(|_| FileFault::KeyKind)?;
        let (names, expires) = about(&chain[0])?;
        let key = CertifiedKey::new(chain, key);
        key.keys_match().map_err(|_| FileFault::Mismatch)?;
        Ok(Identity { key: Arc::new(key), names, expires })
    }

    /// When the certificate ceases to be valid.
    pub fn expires(&self) -> SystemTime {
        self.expires
    }
}

impl fmt::Debug for Identity {
    /// Says nothing of the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.names.join(", "))
    }
}

/// Authorities that are trusted, of the contents of a PEM file.
///
/// # Errors
/// What is wrong with it.
pub fn authorities(pem: &[u8]) -> Result<Authorities, FileFault> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates_of(pem)? {
        roots.add(certificate).map_err(|error| FileFault::Malformed(error.to_string()))?;
    }
    Ok(Authorities(Arc::new(roots)))
}

/// Authorities that are trusted.
#[derive(Clone, Debug)]
pub struct Authorities(pub(crate) Arc<RootCertStore>);

/// Revocation lists.
#[derive(Clone, Debug, Default)]
pub struct Revoked(pub(crate) Vec<CertificateRevocationListDer<'static>>);

/// Revocation lists, of the contents of a PEM file.
///
/// # Errors
/// What is wrong with it.
pub fn revoked(pem: &[u8]) -> Result<Revoked, FileFault> {
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(pem).collect();
    match lists {
        Ok(lists) if lists.is_empty() => Err(FileFault::NoList),
        Ok(lists) => Ok(Revoked(lists)),
        Err(error) => Err(FileFault::Malformed(error.to_string())),
    }
}

fn certificates_of(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, FileFault> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(FileFault::NoCertificate),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(FileFault::Malformed(error.to_string())),
    }
}

fn key_of(pem: &[u8], password: Option<&[u8]>) -> Result<PrivateKeyDer<'static>, FileFault> {
    let has = |text: &[u8]| pem.windows(text.len()).any(|window| window == text);
    if has(b"Proc-Type: 4,ENCRYPTED") {
        return Err(FileFault::OldEncryption);
    }
    if has(b"BEGIN ENCRYPTED PRIVATE KEY") {
        return decrypted(pem, password.ok_or(FileFault::Encrypted)?);
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => FileFault::NoKey,
        error => FileFault::Malformed(error.to_string()),
    })
}

fn decrypted(pem: &[u8], password: &[u8]) -> Result<PrivateKeyDer<'static>, FileFault> {
    let text = std::str::from_utf8(pem).map_err(|_| FileFault::NoKey)?;
    let start = text.find("-----BEGIN ENCRYPTED PRIVATE KEY").ok_or(FileFault::NoKey)?;
    let (_, document) = pkcs8::SecretDocument::from_pem(&text[start..])
        .map_err(|error| FileFault::Malformed(error.to_string()))?;
    let key = pkcs8::EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
        .map_err(|error| FileFault::Malformed(error.to_string()))?;
    let key = key.decrypt(password).map_err(|_| FileFault::Password)?;
    Ok(PrivateKeyDer::Pkcs8(key.as_bytes().to_vec().into()))
}

/// Names of servers in a certificate, and its end.
fn about(certificate: &CertificateDer<'_>) -> Result<(Vec<String>, SystemTime), FileFault> {
    let (_, parsed) = X509Certificate::from_der(certificate)
        .map_err(|error| FileFault::Malformed(error.to_string()))?;
    let alternatives = parsed.subject_alternative_name().ok().flatten();
    let names = alternatives.iter().flat_map(|names| &names.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_ascii_lowercase()),
        _ => None,
    });
    let names: Vec<String> = names.collect();
    let end = parsed.validity().not_after.timestamp();
    let expires = UNIX_EPOCH + Duration::from_secs(u64::try_from(end).unwrap_or(0));
    Ok((names, expires))
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileFault::NoCertificate => "expected a certificate in PEM, found none",
            FileFault::NoKey => "expected a private key in PEM, found none",
            FileFault::Encrypted => "the key is encrypted: name its password's file in `key_password_file`",
            FileFault::Password => "the password does not open the key",
            FileFault::OldEncryption => {
                "the key is encrypted in OpenSSL's old way: `openssl pkcs8 -topk8` turns it into one that can be read"
            }
            FileFault::KeyKind => "the key is of a kind or size that TLS has no use for: ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits and more is wanted",
            FileFault::Mismatch => "the key is not the one of the certificate",
            FileFault::NoList => "expected a certificate revocation list in PEM, found none",
            FileFault::Malformed(what) => return write!(f, "it can't be read: {what}"),
        })
    }
}

impl std::error::Error for FileFault {}
