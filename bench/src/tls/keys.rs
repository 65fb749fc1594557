//! The certificate that everybody shows who speaks TLS in a run, and the authority that signed it: made anew for each.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Where the keys of a run are, for programs that read files.
#[derive(Clone, Debug)]
pub(crate) struct KeyFiles {
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Key and certificate, one after the other.
    pub(crate) both: PathBuf,
}

impl KeyFiles {
    pub(crate) fn within(folder: &Path) -> KeyFiles {
        KeyFiles {
            authority: folder.join("authority.pem"),
            certificate: folder.join("certificate.pem"),
            key: folder.join("key.pem"),
            both: folder.join("both.pem"),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.key.parent().unwrap_or(&self.key)
    }
}

/// A certificate and its key, in PEM.
pub(crate) struct Keys {
    authority: String,
    certificate: String,
    key: String,
}

/// Whom the certificate is for.
pub(crate) const NAME: &str = "localhost";

impl Keys {
    /// ECDSA on P-256 throughout.
    pub(crate) fn generate() -> Result<Keys> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "penstock-bench authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let authority = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);

        let mut params = CertificateParams::new(vec![NAME.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, NAME);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?.pem();
        Ok(Keys { authority, certificate, key: key.serialize_pem() })
    }

    /// Everybody may read them: they are good for nothing but this run, and some contestants run as other users.
    pub(crate) fn write(&self, files: &KeyFiles) -> Result<()> {
        fs::write(&files.authority, &self.authority)?;
        fs::write(&files.certificate, &self.certificate)?;
        fs::write(&files.key, &self.key)?;
        Ok(fs::write(&files.both, format!("{}{}", self.key, self.certificate))?)
    }

    pub(crate) fn read(files: &KeyFiles) -> Result<Keys> {
        Ok(Keys {
            authority: fs::read_to_string(&files.authority)?,
            certificate: fs::read_to_string(&files.certificate)?,
            key: fs::read_to_string(&files.key)?,
        })
    }

    pub(super) fn certificate(&self) -> Result<CertificateDer<'static>> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).map_err(|e| anyhow!("{e}"))
    }

    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(|e| anyhow!("{e}"))
    }
}
