//! Why a session can't begin or go on, in words for its user.

use std::fmt;

use crate::distrust::CertificateFault;
use crate::settings::MinVersion;

/// What is told to the peer.
pub use rustls::AlertDescription as Alert;

/// Why a TLS session ended before its time. The alert for the peer, if there is one, was put into the output.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// What came is no TLS: what its first bytes look like.
    NotTls(&'static str),
    /// No version in common.
    Version {
        /// What the peer did.
        fault: VersionFault,
        /// The oldest that we speak.
        least: MinVersion,
    },
    /// No suite, group, signature or protocol in common, and what there is here.
    NothingInCommon(String),
    /// Our peer's certificate is not what it should be.
    Certificate {
        /// Whose.
        of: Peer,
        /// What is wrong with it.
        fault: CertificateFault,
    },
    /// The peer gave up, and said why.
    Told(Alert),
    /// The peer broke the protocol; what it is told.
    Broken(Alert, String),
    /// The peer closed the connection in the middle of the handshake.
    Closed,
    /// A fault of our own.
    Internal(String),
}

/// The other side of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// Who connected to us.
    Client,
    /// Whom we connected to.
    Server,
}

/// How it turned out that there is no version in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VersionFault {
    /// The newest that a client offers, as it is on the wire, is older than we allow.
    Offered(u16),
    /// What the peer speaks is older than we allow.
    Older,
    /// The peer refused those that we speak.
    Refused,
}

impl Error {
    pub(crate) fn internal(what: &str) -> Error {
        Error::Internal(what.into())
    }

    pub(crate) fn broken(alert: Alert, what: &str) -> Error {
        Error::Broken(alert, what.into())
    }

    /// What the peer has to be told.
    pub(crate) fn due(&self) -> Option<Alert> {
        match self {
            Error::Broken(alert, _) => Some(*alert),
            Error::Version { .. } => Some(Alert::ProtocolVersion),
            Error::NothingInCommon(_) => Some(Alert::HandshakeFailure),
            Error::Certificate { fault: CertificateFault::Expired, .. } => {
                Some(Alert::CertificateExpired)
            }
            Error::Certificate { .. } => Some(Alert::BadCertificate),
            Error::Internal(_) => Some(Alert::InternalError),
            Error::NotTls(_) | Error::Told(_) | Error::Closed => None,
        }
    }
}

impl From<rustls::Error> for Error {
    fn from(error: rustls::Error) -> Error {
        use rustls::{Error as From, PeerIncompatible as Cannot};
        let version = |fault| Error::Version { fault, least: MinVersion::default() };
        // Whose it is, and what was asked for, the handshake knows.
        let certificate = |fault| Error::Certificate { of: Peer::Server, fault };
        match error {
            From::InvalidCertificate(error) => certificate(error.into()),
            From::NoCertificatesPresented => certificate(CertificateFault::Missing),
            From::AlertReceived(Alert::ProtocolVersion) => version(VersionFault::Refused),
            From::AlertReceived(Alert::CloseNotify) => Error::Closed,
            From::AlertReceived(alert) => Error::Told(alert),
            From::PeerIncompatible(
                Cannot::Tls12NotOffered
                | Cannot::Tls12NotOfferedOrEnabled
                | Cannot::SupportedVersionsExtensionRequired
                | Cannot::ServerDoesNotSupportTls12Or13
                | Cannot::ServerTlsVersionIsDisabledByOurConfig,
            ) => version(VersionFault::Older),
            From::NoApplicationProtocol => Error::NothingInCommon(
                "protocol within TLS (ALPN): the client asks for none of `alpn`".into(),
            ),
            From::PeerIncompatible(what) => Error::NothingInCommon(in_common(&what)),
            From::InvalidMessage(what) => Error::Broken(Alert::DecodeError, format!("{what:?}")),
            From::InappropriateMessage { .. } | From::InappropriateHandshakeMessage { .. } => {
                Error::Broken(Alert::UnexpectedMessage, error.to_string())
            }
            From::DecryptError => {
                Error::broken(Alert::BadRecordMac, "a record that was not sealed with our keys")
            }
            From::PeerSentOversizedRecord => {
                Error::broken(Alert::RecordOverflow, "a record larger than allowed")
            }
            From::PeerMisbehaved(what) => {
                Error::Broken(Alert::IllegalParameter, format!("{what:?}"))
            }
            other => Error::Internal(other.to_string()),
        }
    }
}

/// What both sides would need to have in common, and what there is here.
fn in_common(what: &rustls::PeerIncompatible) -> String {
    use rustls::PeerIncompatible as Cannot;
    match what {
        Cannot::NoCipherSuitesInCommon => {
            "cipher suite: expected one with AES-GCM or ChaCha20-Poly1305, in TLS 1.2 with ECDHE and signatures of the certificate's kind".into()
        }
        Cannot::NoKxGroupsInCommon => {
            "group for the key exchange: expected X25519MLKEM768, X25519, P-256 or P-384, in TLS 1.2 for a cipher suite with ECDHE".into()
        }
        Cannot::NoSignatureSchemesInCommon
        | Cannot::NoCertificateRequestSignatureSchemesInCommon => {
            "signature: the peer accepts none that our certificate's key can make".into()
        }
        other => format!("feature of TLS that is needed here: {other:?}"),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotTls(looks) => write!(f, "expected TLS, got {looks}"),
            Error::Version { fault, least } => version(f, *fault, *least),
            Error::NothingInCommon(what) => write!(f, "the two sides have no {what}"),
            Error::Certificate { of, fault } => fault.tell(f, *of),
            Error::Told(alert) => {
                write!(f, "the peer gave up with the alert {alert:?}{}", advice(*alert))
            }
            Error::Broken(_, what) => write!(f, "the peer broke the TLS protocol: {what}"),
            Error::Closed => {
                f.write_str("the peer closed the connection in the middle of the TLS handshake")
            }
            Error::Internal(what) => write!(f, "internal TLS error: {what}"),
        }
    }
}

fn version(f: &mut fmt::Formatter<'_>, fault: VersionFault, least: MinVersion) -> fmt::Result {
    let wanted = match least {
        MinVersion::Tls12 => "TLS 1.2 or 1.3",
        MinVersion::Tls13 => "TLS 1.3",
    };
    let remedy = |newest: u16| match (least, newest) {
        (MinVersion::Tls13, 0x0303) => "update it, or lower `min_version`",
        _ => "update it",
    };
    match fault {
        VersionFault::Offered(newest) => {
            let (name, remedy) = (name_of(newest), remedy(newest));
            write!(f, "expected {wanted}, the client offers at most {name}: {remedy}")
        }
        VersionFault::Older => {
            let (name, newest) = match least {
                MinVersion::Tls12 => ("TLS 1.1 or older", 0x0302),
                MinVersion::Tls13 => ("TLS 1.2 or older", 0x0303),
            };
            write!(f, "expected {wanted}, the peer speaks {name}: {}", remedy(newest))
        }
        VersionFault::Refused => {
            write!(f, "the peer refused {wanted}, it speaks only others: {}", remedy(0x0303))
        }
    }
}

fn name_of(version: u16) -> &'static str {
    match version {
        0x0304 => "TLS 1.3",
        0x0303 => "TLS 1.2",
        0x0302 => "TLS 1.1",
        0x0301 => "TLS 1.0",
        0x0300 => "SSL 3.0",
        _ => "an unknown version",
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
        Alert::CertificateExpired => ": our certificate has expired, or its clock is wrong",
        Alert::CertificateRevoked => ": our certificate is revoked",
        Alert::DecryptError => {
            ": a signature of ours is not what it expects: was a CA renewed under its old name?"
        }
        Alert::AccessDenied => ": it does not let this certificate in",
        Alert::HandshakeFailure => ": no cipher in common, or it wants a client certificate",
        Alert::UnrecognisedName => ": it does not serve this name",
        Alert::NoApplicationProtocol => ": it speaks none of `alpn`",
        _ => "",
    }
}

impl std::error::Error for Error {}
