//! Certificates and keys out of PEM files: what is in them, whether it fits together, and until when it holds.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pkcs8::pkcs5::Error as Scheme;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use webpki::OwnedCertRevocationList;
use x509_parser::prelude::{CertificateRevocationList, FromDer, GeneralName, X509Certificate};

use crate::fault::FileFault;

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

/// Those of the system that can be understood. None if there are none.
pub(crate) fn of_the_system(certificates: Vec<CertificateDer<'static>>) -> Option<Authorities> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates);
    (added > 0).then(|| Authorities(Arc::new(roots)))
}

/// Authorities that are trusted.
#[derive(Clone, Debug)]
pub struct Authorities(pub(crate) Arc<RootCertStore>);

/// Revocation lists.
#[derive(Clone, Debug, Default)]
pub struct Revoked(pub(crate) Vec<CertificateRevocationListDer<'static>>);

impl Revoked {
    /// When the first of them is out of date. None if none of them ever is, or there are none.
    pub(crate) fn expires(&self) -> Option<SystemTime> {
        let end = |list: &CertificateRevocationListDer<'static>| {
            let (_, parsed) = CertificateRevocationList::from_der(list).ok()?;
            Some(after_epoch(parsed.next_update()?.timestamp()))
        };
        self.0.iter().filter_map(end).min()
    }
}

/// Revocation lists, of the contents of a PEM file.
///
/// # Errors
/// What is wrong with it.
pub fn revoked(pem: &[u8]) -> Result<Revoked, FileFault> {
    let malformed = |error: &dyn fmt::Display| FileFault::Malformed(error.to_string());
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(pem).collect();
    let lists = lists.map_err(|error| malformed(&error))?;
    if lists.is_empty() {
        return Err(FileFault::NoList);
    }
    for list in &lists {
        OwnedCertRevocationList::from_der(list).map_err(|error| malformed(&error))?;
    }
    Ok(Revoked(lists))
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
        error => FileFault::KeyMalformed(error.to_string()),
    })
}

fn decrypted(pem: &[u8], password: &[u8]) -> Result<PrivateKeyDer<'static>, FileFault> {
    let text = std::str::from_utf8(pem).map_err(|_| FileFault::NoKey)?;
    let start = text.find("-----BEGIN ENCRYPTED PRIVATE KEY").ok_or(FileFault::NoKey)?;
    let (_, document) = pkcs8::SecretDocument::from_pem(&text[start..])
        .map_err(|error| FileFault::KeyMalformed(error.to_string()))?;
    let key = pkcs8::EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
        .map_err(|error| FileFault::OtherEncryption(error.to_string()))?;
    let key = key.decrypt(password).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(
            error @ (Scheme::NoPbes1CryptSupport
            | Scheme::UnsupportedAlgorithm { .. }
            | Scheme::AlgorithmParametersInvalid { .. }),
        ) => FileFault::OtherEncryption(error.to_string()),
        // Also bytes that are no key: a wrong password makes them one time in 256.
        _ => FileFault::Password,
    })?;
    Ok(PrivateKeyDer::Pkcs8(key.as_bytes().to_vec().into()))
}

/// When a certificate ceases to be valid.
pub(crate) fn end_of(certificate: &[u8]) -> Option<SystemTime> {
    about(&certificate.into()).ok().map(|(_, end)| end)
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
    Ok((names, after_epoch(parsed.validity().not_after.timestamp())))
}

fn after_epoch(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
