//! What may be wrong with a peer's certificate, with a way out for whoever reads it.

use std::fmt;

use rustls::CertificateError;

use crate::error::Peer;
use crate::verify::Carried;

/// What is wrong with a certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CertificateFault {
    /// None was sent, and one is required.
    Missing,
    /// No chain to a CA that is trusted here.
    UnknownIssuer,
    /// Its time is over, or that of a CA in its chain.
    Expired,
    /// Its time has not begun, or that of a CA in its chain.
    NotYetValid,
    /// A revocation list names it, or a CA in its chain.
    Revoked,
    /// No revocation list speaks for one of its CAs.
    RevocationUnknown,
    /// A revocation list is older than it may be.
    RevocationStale,
    /// It is for another name.
    OtherName {
        /// The one that it should be for.
        expected: String,
        /// Those that it is for.
        presented: Vec<String>,
    },
    /// It must not be used for this.
    Purpose,
    /// It is a CA's own.
    Authority,
    /// It is signed in a way that is not trusted.
    Signature,
    /// Its subject is not in the list of those allowed.
    NotAllowed {
        /// As the list would have to name it.
        subject: String,
    },
    /// Anything else.
    Other(String),
}

impl From<CertificateError> for CertificateFault {
    fn from(error: CertificateError) -> CertificateFault {
        use CertificateError as From;
        match error {
            From::Other(other) => match other.0.downcast_ref::<Carried>() {
                Some(Carried(fault)) => fault.clone(),
                None => other_of(&other),
            },
            // Of an authority that has the same name as one of ours.
            From::UnknownIssuer | From::BadSignature => CertificateFault::UnknownIssuer,
            From::Expired | From::ExpiredContext { .. } => CertificateFault::Expired,
            From::NotValidYet | From::NotValidYetContext { .. } => CertificateFault::NotYetValid,
            From::Revoked => CertificateFault::Revoked,
            From::UnknownRevocationStatus => CertificateFault::RevocationUnknown,
            From::ExpiredRevocationList | From::ExpiredRevocationListContext { .. } => {
                CertificateFault::RevocationStale
            }
            From::NotValidForNameContext { expected, presented } => {
                CertificateFault::OtherName { expected: expected.to_str().into_owned(), presented }
            }
            From::InvalidPurpose | From::InvalidPurposeContext { .. } => CertificateFault::Purpose,
            From::UnsupportedSignatureAlgorithmContext { .. }
            | From::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                CertificateFault::Signature
            }
            other => CertificateFault::Other(other.to_string()),
        }
    }
}

/// What rustls hands through of webpki's.
fn other_of(error: &rustls::OtherError) -> CertificateFault {
    match error.0.downcast_ref::<webpki::Error>() {
        Some(webpki::Error::CaUsedAsEndEntity) => CertificateFault::Authority,
        _ => CertificateFault::Other(error.0.to_string()),
    }
}

impl CertificateFault {
    /// Whose it is, what is wrong with it, and what to do.
    pub(crate) fn tell(&self, f: &mut fmt::Formatter<'_>, of: Peer) -> fmt::Result {
        let (whose, ca) = match of {
            Peer::Client => ("the client's", "client_ca"),
            Peer::Server => ("the server's", "ca"),
        };
        match self {
            CertificateFault::Missing => match of {
                Peer::Client => f.write_str(
                    "the client showed no certificate, and one is required: give it one signed by a CA of `client_ca`",
                ),
                Peer::Server => f.write_str("the server showed no certificate"),
            },
            CertificateFault::UnknownIssuer => write!(
                f,
                "{whose} certificate is signed by no CA that is trusted here: `{ca}` has to hold its CA, and who shows it has to send those between"
            ),
            CertificateFault::OtherName { expected, presented } => {
                let presented = match presented.is_empty() {
                    true => "no name".into(),
                    false => presented.join(", "),
                };
                write!(
                    f,
                    "expected a certificate for {expected}, {whose} is for {presented}: set `server_name` if that is right"
                )
            }
            CertificateFault::NotAllowed { subject } => {
                write!(f, "{whose} subject {subject} is not in `allowed_dn`")
            }
            CertificateFault::Other(what) => {
                write!(f, "{whose} certificate is not acceptable: {what}")
            }
            simple => write!(f, "{whose} certificate {}", simple.predicate()),
        }
    }

    /// What is to be said of a certificate where it needs no more than that.
    fn predicate(&self) -> &'static str {
        match self {
            CertificateFault::Expired => {
                "has expired, or a CA in its chain has: it has to be renewed (or a clock is wrong)"
            }
            CertificateFault::NotYetValid => "is not valid yet: check the clocks",
            CertificateFault::Revoked => "is revoked: it has to be replaced",
            CertificateFault::RevocationUnknown => {
                "can't be judged: `crl` needs a list of each CA in its chain"
            }
            CertificateFault::RevocationStale => {
                "can't be judged, because a revocation list is out of date: renew `crl`"
            }
            CertificateFault::Purpose => {
                "is not for this use: its extended key usage has to name it, or be left out"
            }
            CertificateFault::Authority => "is that of a CA: it has to be one that a CA has signed",
            CertificateFault::Signature => {
                "is signed in a way that is not trusted any more, such as SHA-1: it has to be signed anew"
            }
            _ => "is not acceptable",
        }
    }
}
