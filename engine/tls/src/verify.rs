//! What is asked of the peer's certificate, beyond what rustls asks.
//!
//! A server's may be judged by its chain and names, by its chain alone, by its chain and subject, or not at all; one without any
//! subject alternative name is judged by its sole common name, as hypervisors' certificates often are, and that is counted.
//! A client's chain may have to end in a subject of a list.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::distrust::CertificateFault;
use crate::subject::{Allowed, sole_common_name};

/// What a server's certificate is held against.
#[derive(Clone, Debug)]
pub enum Verify {
    /// A chain to an authority, and the name of the target.
    Name,
    /// A chain to an authority.
    Authority,
    /// A chain to an authority, and a subject of these.
    Subject(Allowed),
    /// Nothing: whoever is in between can read along.
    Off,
}

/// Our fault, carried through rustls' error and back.
#[derive(Debug)]
pub(crate) struct Carried(pub(crate) CertificateFault);

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Carried {}

fn refuse(fault: CertificateFault) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Carried(fault)))))
}

/// Judges servers.
#[derive(Debug)]
pub(crate) struct ServerVerifier {
    pub(crate) inner: Arc<WebPkiServerVerifier>,
    pub(crate) verify: Verify,
    /// How many servers were judged by their common name.
    pub(crate) by_common_name: Arc<AtomicU64>,
}

impl ServerVerifier {
    /// The chain is sound, the name is not among the alternative ones.
    fn judge_name(
        &self,
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
        fault: Error,
    ) -> Result<(), Error> {
        let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Err(fault) };
        let has_alternatives = !matches!(parsed.subject_alternative_name(), Ok(None));
        let common = sole_common_name(&parsed).filter(|_| !has_alternatives);
        match common {
            Some(common) if is_named(&common, &name.to_str()) => {
                self.by_common_name.fetch_add(1, Relaxed);
                Ok(())
            }
            Some(common) => Err(refuse(CertificateFault::OtherName {
                expected: name.to_str().into_owned(),
                presented: vec![common],
            })),
            None => Err(fault),
        }
    }
}

/// Whether a common name is that of a host: letter by letter, or with a star for its first label.
fn is_named(common: &str, host: &str) -> bool {
    let rest = |name: &str| name.split_once('.').map(|(_, rest)| rest.to_ascii_lowercase());
    common.eq_ignore_ascii_case(host)
        || common.strip_prefix("*.").is_some_and(|suffix| {
            let is_address = host.parse::<std::net::IpAddr>().is_ok();
            !is_address && suffix.contains('.') && rest(host) == Some(suffix.to_ascii_lowercase())
        })
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = self.inner.verify_server_cert(certificate, intermediates, name, ocsp, now);
        // The name is the last thing that is looked at: all else is sound then.
        let other_name = |error: &Error| {
            use CertificateError::{NotValidForName, NotValidForNameContext};
            matches!(
                error,
                Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })
            )
        };
        match (judged, &self.verify) {
            (Ok(_), Verify::Name | Verify::Authority) => {}
            (Err(fault), Verify::Name) if other_name(&fault) => {
                self.judge_name(certificate, name, fault)?
            }
            (Err(fault), Verify::Authority) if other_name(&fault) => {}
            (Ok(_), Verify::Subject(allowed)) => allowed.judge(certificate).map_err(refuse)?,
            (Err(fault), Verify::Subject(allowed)) if other_name(&fault) => {
                allowed.judge(certificate).map_err(refuse)?
            }
            (_, Verify::Off) => {}
            (Err(fault), _) => return Err(fault),
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Judges nobody. That the server has the key of what it shows is proved all the same.
#[derive(Debug)]
pub(crate) struct NoVerifier(pub(crate) WebPkiSupportedAlgorithms);

impl ServerCertVerifier for NoVerifier {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// Judges clients: as rustls does, and then by their subject.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    pub(crate) inner: Arc<dyn ClientCertVerifier>,
    pub(crate) allowed: Option<Allowed>,
}

impl ClientCertVerifier for ClientVerifier {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(certificate, intermediates, now)?;
        if let Some(allowed) = &self.allowed {
            allowed.judge(certificate).map_err(refuse)?;
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
