//! What may be wrong with a file of certificates, keys or lists, in words for whoever has to mend it.

use std::fmt;
use std::io;

/// What is wrong with a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FileFault {
    /// None is named, and one is needed.
    Required,
    /// There are as many keys as certificates, or nobody knows which belong together.
    Unpaired {
        /// Files of certificates.
        certificates: usize,
        /// Files of keys.
        keys: usize,
    },
    /// The system does not let us read it, and why.
    Unreadable(String),
    /// The system has no authorities of its own, and what went wrong, if anything did.
    NoSystem(String),
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
    /// It is encrypted with ciphers that are not known here.
    OtherEncryption(String),
    /// The key is of a kind, or a size, that TLS has no use for.
    KeyKind,
    /// The key is another one than the certificate's.
    Mismatch,
    /// What stands for a key can't be read.
    KeyMalformed(String),
    /// It holds no revocation list in PEM.
    NoList,
    /// What is in it can't be read.
    Malformed(String),
}

impl FileFault {
    pub(crate) fn of(error: &io::Error) -> FileFault {
        FileFault::Unreadable(match error.kind() {
            io::ErrorKind::NotFound => format!("{error}: create it, or mend the path"),
            io::ErrorKind::PermissionDenied => {
                format!(
                    "{error}: let the user that Penstock runs as read it, and enter its folders"
                )
            }
            _ => error.to_string(),
        })
    }

    /// Of a pair: whether it is the certificate's file that has it.
    pub(crate) fn is_of_certificate(&self) -> bool {
        matches!(self, FileFault::NoCertificate | FileFault::Malformed(_))
    }
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileFault::Required => "a file is needed here, and none is named",
            FileFault::Unpaired { certificates, keys } => {
                return write!(
                    f,
                    "expected a key for each certificate, in the same order; got {certificates} of `cert` and {keys} of `key`"
                );
            }
            FileFault::Unreadable(why) => return write!(f, "it can't be read: {why}"),
            FileFault::NoSystem(why) => {
                let why = if why.is_empty() { "no certificate was found" } else { why };
                return write!(
                    f,
                    "the system has no authorities of its own ({why}): install ca-certificates, or name a PEM file"
                );
            }
            FileFault::NoCertificate => "expected a certificate in PEM, found none",
            FileFault::NoKey => "expected a private key in PEM, found none",
            FileFault::Encrypted => {
                "the key is encrypted: name its password's file in `key_password_file`"
            }
            FileFault::Password => {
                "the password does not open the key: is the first line of `key_password_file` the right one?"
            }
            FileFault::OldEncryption => {
                "the key is encrypted in OpenSSL's old way: `openssl pkcs8 -topk8` turns it into one that can be read"
            }
            FileFault::OtherEncryption(what) => {
                return write!(
                    f,
                    "the key is encrypted in a way that is not read here ({what}): `openssl pkcs8 -topk8 -v2 aes-256-cbc` turns it into one that can be read"
                );
            }
            FileFault::KeyKind => {
                "the key is of a kind or size that TLS has no use for: ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits and more is wanted"
            }
            FileFault::Mismatch => {
                "the key is not the one of the certificate: were both renewed together?"
            }
            FileFault::NoList => "expected a certificate revocation list in PEM, found none",
            FileFault::KeyMalformed(what) => return write!(f, "the key can't be read: {what}"),
            FileFault::Malformed(what) => return write!(f, "what is in it can't be read: {what}"),
        })
    }
}

impl std::error::Error for FileFault {}
