//! Why a session can't begin or go on, in words for its user.

use std::fmt;

use rustls::{AlertDescription, CertificateError};

use crate::verify::Carried;

/// What is told to the peer.
pub use rustls::AlertDescription as Alert;

/// Why a TLS session ended before its time. The alert for the peer, if there is one, was put into the output.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// What came is no TLS: the first bytes, and what they look like.
    NotTls(&'static str),
    /// No version in common; true if the peer speaks nothing newer than TLS 1.1.
    Version {
        /// The peer said so by what it offered; else it only refused.
        old: bool,
    },
    /// No suite, group or signature in common.
    NothingInCommon(String),
    /// Our peer's certificate is not what it should be.
    Certificate(CertificateFault),
    /// The peer gave up, and said why.
    Told(Alert),
    /// The peer broke the protocol; what it is told.
    Broken(Alert, String),
    /// The peer closed the connection in the middle of the handshake.
    Closed,
    /// A fault of our own.
    Internal(String),
}

/// What is wrong with a certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CertificateFault {
    /// None was sent, and one is required.
    Missing,
    /// No chain to a CA that is trusted here.
    UnknownIssuer,
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// A revocation list names it.
    Revoked,
    /// The revocation lists say nothing of it, or are out of date.
    RevocationUnknown,
    /// It is for another name.
    OtherName {
        /// The one that it should be for.
        expected: String,
        /// Those that it is for.
        presented: Vec<String>,
    },
    /// It must not be used for this.
    Purpose,
    /// Its subject is not in the list of those allowed.
    NotAllowed {
        /// As the list would have to name it.
        subject: String,
    },
    /// Anything else.
    Other(String),
}

impl Error {
    pub(crate) fn internal(what: &str) -> Error {
        Error::Internal(what.into())
    }

    pub(crate) fn alert(alert: Alert) -> Error {
        Error::Broken(alert, format!("{alert:?}"))
    }
}

impl From<rustls::Error> for Error {
    fn from(error: rustls::Error) -> Error {
        use rustls::{Error as From, PeerIncompatible as Cannot};
        match error {
            From::InvalidCertificate(error) => Error::Certificate(error.into()),
            From::NoCertificatesPresented => Error::Certificate(CertificateFault::Missing),
            From::AlertReceived(AlertDescription::ProtocolVersion) => Error::Version { old: false },
            From::AlertReceived(alert) => Error::Told(alert),
            From::PeerIncompatible(
                Cannot::Tls12NotOffered
                | Cannot::Tls12NotOfferedOrEnabled
                | Cannot::Tls13RequiredForQuic
                | Cannot::SupportedVersionsExtensionRequired
                | Cannot::ServerDoesNotSupportTls12Or13
                | Cannot::ServerTlsVersionIsDisabledByOurConfig,
            ) => Error::Version { old: true },
            From::NoApplicationProtocol => {
                Error::NothingInCommon("protocol within TLS (ALPN)".into())
            }
            From::PeerIncompatible(what) => Error::NothingInCommon(format!("{what:?}")),
            From::InvalidMessage(what) => Error::Broken(Alert::DecodeError, format!("{what:?}")),
            From::InappropriateMessage { .. } | From::InappropriateHandshakeMessage { .. } => {
                Error::Broken(Alert::UnexpectedMessage, error.to_string())
            }
            From::DecryptError => Error::alert(Alert::BadRecordMac),
            From::PeerSentOversizedRecord => Error::alert(Alert::RecordOverflow),
            From::PeerMisbehaved(what) => {
                Error::Broken(Alert::IllegalParameter, format!("{what:?}"))
            }
            other => Error::Internal(other.to_string()),
        }
    }
}

impl From<CertificateError> for CertificateFault {
    fn from(error: CertificateError) -> CertificateFault {
        use CertificateError as From;
        match error {
            From::Other(other) => match other.0.downcast_ref::<Carried>() {
                Some(Carried(fault)) => fault.clone(),
                None => CertificateFault::Other(other.0.to_string()),
            },
            // Of an authority that has the same name as one of ours.
            From::UnknownIssuer | From::BadSignature => CertificateFault::UnknownIssuer,
            From::Expired | From::ExpiredContext { .. } => CertificateFault::Expired,
            From::NotValidYet | From::NotValidYetContext { .. } => CertificateFault::NotYetValid,
            From::Revoked => CertificateFault::Revoked,
            From::UnknownRevocationStatus
            | From::ExpiredRevocationList
            | From::ExpiredRevocationListContext { .. } => CertificateFault::RevocationUnknown,
            From::NotValidForNameContext { expected, presented } => {
                CertificateFault::OtherName { expected: expected.to_str().into_owned(), presented }
            }
            From::InvalidPurpose | From::InvalidPurposeContext { .. } => CertificateFault::Purpose,
            other => CertificateFault::Other(other.to_string()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotTls(looks) => write!(f, "expected TLS, got {looks}"),
            Error::Version { old: true } => {
                f.write_str("expected TLS 1.2 or 1.3, the peer speaks nothing newer than TLS 1.1: update it")
            }
            Error::Version { old: false } => f.write_str(
                "no TLS version in common: the peer speaks nothing newer than TLS 1.1, or less than `min_version` asks for",
            ),
            Error::NothingInCommon(what) => write!(f, "no cipher, group or signature in common ({what})"),
            Error::Certificate(fault) => fault.fmt(f),
            Error::Told(alert) => write!(f, "the peer gave up with the alert {alert:?}{}", advice(*alert)),
            Error::Broken(_, what) => write!(f, "the peer broke the TLS protocol ({what})"),
            Error::Closed => f.write_str("the peer closed the connection in the middle of the TLS handshake"),
            Error::Internal(what) => write!(f, "internal TLS error: {what}"),
        }
    }
}

/// What a peer's alert usually means here.
fn advice(alert: Alert) -> &'static str {
    match alert {
        Alert::UnknownCA => ": it does not trust the CA of our certificate",
        Alert::CertificateRequired | Alert::NoCertificate => ": it wants a client certificate",
        Alert::BadCertificate | Alert::CertificateUnknown | Alert::UnsupportedCertificate => {
            ": it does not accept our certificate"
        }
        Alert::CertificateExpired => ": our certificate has expired",
        Alert::CertificateRevoked => ": our certificate is revoked",
        Alert::AccessDenied => ": it does not let this certificate in",
        Alert::HandshakeFailure => ": no cipher in common, or it wants a client certificate",
        Alert::UnrecognisedName => ": it does not serve this name",
        _ => "",
    }
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            CertificateFault::Missing => "no certificate was sent, and one is required",
            CertificateFault::UnknownIssuer => {
                "its certificate is not signed by a CA that is trusted here: check `ca`"
            }
            CertificateFault::Expired => "its certificate has expired",
            CertificateFault::NotYetValid => "its certificate is not valid yet: check the clocks",
            CertificateFault::Revoked => "its certificate is revoked",
            CertificateFault::RevocationUnknown => {
                "no current revocation list covers its certificate: `crl` needs one of each CA of the chain"
            }
            CertificateFault::Purpose => "its certificate is not for this use (extended key usage)",
            CertificateFault::OtherName { expected, presented } => {
                let presented = match presented.is_empty() {
                    true => "no name".into(),
                    false => presented.join(", "),
                };
                return write!(
                    f,
                    "expected a certificate for {expected}, got one for {presented}: set `server_name` if that is right"
                );
            }
            CertificateFault::NotAllowed { subject } => {
                return write!(f, "its subject {subject} is not in `allowed_dn`");
            }
            CertificateFault::Other(what) => {
                return write!(f, "its certificate is not acceptable: {what}");
            }
        };
        f.write_str(text)
    }
}

impl std::error::Error for Error {}
