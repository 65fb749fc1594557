//! What goes wrong in RFB's beginning, and in which words the operator reads it: what was expected, what came, what to do.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use super::security::{self, names};

/// Always the peer's doing, or that of who has set it up; each one ends the connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// No version of RFB came.
    NotRfb(Box<str>),
    /// A repeater wants to know for whom this is.
    Repeater,
    /// The server lets nobody in, for this reason.
    Closed(Box<str>),
    /// None of the types that the server offers is allowed.
    NoCommonType(Vec<u8>),
    /// None of VeNCrypt's subtypes that the server offers can be used.
    NoCommonSubtype(Vec<u32>),
    /// VeNCrypt in another version than 0.2.
    OldVeNCrypt([u8; 2]),
    /// VeNCrypt's version or subtype was agreed on, and refused all the same.
    VeNCryptRefused(u8),
    /// Bytes came before TLS could have begun: somebody between has put them there.
    PlaintextBeforeTls,
    /// The server does not let us in, for this reason.
    NotLetIn(Box<str>),
    /// It was asked too often.
    TooManyTries,
    /// A result that nobody has defined.
    UnknownResult(u32),
    /// A message that is longer than anybody needs.
    TooLong {
        /// Which.
        what: &'static str,
        /// Bytes.
        length: u32,
    },
    /// SASL came to no end.
    Sasl(SaslError),
    /// The console has another name than what was looked up.
    OtherConsole {
        /// A part of it that was expected.
        expected: Box<str>,
        /// The whole that came.
        came: Box<str>,
    },
    /// The client chose what it was not offered.
    NotOffered(u32),
    /// The client's version can't do what the server wants.
    OldClient,
}

/// Why SASL came to no end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SaslError {
    /// None of the mechanisms that are offered is known here.
    NoMechanism(Box<str>),
    /// The server wants more rounds of hashing than a gateway can afford.
    TooCostly(u32),
    /// What came makes no sense, or does not prove that the server knows the password.
    Broken(Box<str>),
}

impl SaslError {
    /// More rounds than any mechanism has.
    pub(super) fn endless() -> Self {
        SaslError::Broken("it has no end".into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotRfb(came) => write!(
                f,
                "expected a version of RFB, came `{came}`: check that a VNC server listens there"
            ),
            Error::Repeater => f.write_str(
                "expected a version of RFB, came that of a repeater: reach the VNC server itself",
            ),
            Error::Closed(reason) => {
                write!(f, "the VNC server lets nobody in{}", Because(reason))
            }
            Error::NoCommonType(offered) => {
                write!(f, "the VNC server offers {}: {}", names(offered), instead_of(offered))
            }
            Error::NoCommonSubtype(offered) => write!(
                f,
                "the VNC server's VeNCrypt offers {}: {}",
                names(offered),
                instead_of_subtypes(offered)
            ),
            Error::OldVeNCrypt([major, minor]) => {
                write!(f, "expected VeNCrypt 0.2, came {major}.{minor}")
            }
            Error::VeNCryptRefused(code) => write!(
                f,
                "VeNCrypt was refused with {code}, although it was offered: the VNC server's log has the reason"
            ),
            Error::PlaintextBeforeTls => f.write_str(
                "bytes in the clear where TLS begins: somebody between has put them there, or the peer does not speak VeNCrypt",
            ),
            Error::NotLetIn(reason) => write!(
                f,
                "the VNC server does not let us in{}: check the password or the account, and whether it has expired",
                Because(reason)
            ),
            Error::TooManyTries => {
                f.write_str("the VNC server was asked too often: wait before the next try")
            }
            Error::UnknownResult(code) => {
                write!(f, "expected 0, 1 or 2 as the result of security, came {code}")
            }
            Error::TooLong { what, length } => {
                write!(f, "{what} of {length} bytes is longer than anybody needs")
            }
            Error::Sasl(error) => error.fmt(f),
            Error::OtherConsole { expected, came } => write!(
                f,
                "expected a console with `{expected}` in its name, came `{came}`: the token is older than what listens there now"
            ),
            Error::NotOffered(number) => {
                write!(f, "the client chose {number}, which it was not offered")
            }
            Error::OldClient => f.write_str(
                "the client speaks RFB 3.3, in which this security can't be said: use a viewer that speaks 3.8",
            ),
        }
    }
}

impl fmt::Display for SaslError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SaslError::NoMechanism(offered) => write!(
                f,
                "the VNC server's SASL offers {offered}: expected SCRAM-SHA-256, or -512, -1 or PLAIN; name one in `mech_list` of its /etc/sasl2/qemu.conf, and use X509SASL (vnc_tls = 1 beside vnc_sasl = 1), since they bring no encryption of their own"
            ),
            SaslError::TooCostly(rounds) => {
                write!(f, "the VNC server's SASL wants {rounds} rounds of hashing for one login")
            }
            SaslError::Broken(what) => write!(f, "SASL with the VNC server has failed: {what}"),
        }
    }
}

/// A reason, if there is one.
struct Because<'r>(&'r str);

impl fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " (`{}`)", self.0) }
    }
}

/// What to do about types of which none is allowed.
fn instead_of(offered: &[u8]) -> &'static str {
    let has = |number: u8| offered.contains(&number);
    if has(security::SASL) {
        "SASL in the clear is for clients that bring their own: use X509SASL (vnc_tls = 1 beside vnc_sasl = 1 in qemu.conf), or `mode = \"pass\"`"
    } else if has(security::VENCRYPT) {
        "`schemes` does not allow VeNCrypt"
    } else if has(security::VNC) {
        "a password without TLS is allowed by `schemes = [\"vencrypt\", \"vnc\"]` and `password` alone; better is vnc_tls = 1 in qemu.conf"
    } else if has(security::NONE) {
        "a server that asks for nothing is allowed by `schemes = [\"vencrypt\", \"none\"]` alone; better is vnc_tls = 1 in qemu.conf"
    } else {
        "expected VeNCrypt: set up vnc_tls = 1 in qemu.conf, or use `mode = \"pass\"`"
    }
}

/// The same of VeNCrypt's subtypes.
fn instead_of_subtypes(offered: &[u32]) -> &'static str {
    let has = |range: core::ops::RangeInclusive<u32>| offered.iter().any(|n| range.contains(n));
    match () {
        () if has(261..=261) => "X509Vnc needs `password`, or in a bridge \"x509vnc\" in `listen`",
        () if has(262..=262) => "X509Plain needs `plain`, or in a bridge \"x509plain\" in `listen`",
        () if has(263..=263) => "X509SASL needs `sasl`, or in a bridge \"x509sasl\" in `listen`",
        () if has(257..=259) || has(264..=264) => {
            "anonymous TLS stops nobody in the middle and is not used: give the server a certificate (tls-creds-x509, vnc_tls_x509_cert_dir in qemu.conf)"
        }
        () if has(256..=256) => {
            "a name and a password are not sent in the clear: give the server a certificate (X509Plain)"
        }
        () => "expected X509None, X509Vnc, X509Plain or X509SASL",
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use super::*;

    #[test]
    fn texts_say_what_to_do() {
        let cases = [
            (Error::NoCommonType(vec![20]), "SASL (20): SASL in the clear"),
            (Error::NoCommonType(vec![20]), "use X509SASL"),
            (Error::NoCommonType(vec![2]), "[\"vencrypt\", \"vnc\"]"),
            (Error::NoCommonType(vec![1]), "[\"vencrypt\", \"none\"]"),
            (Error::NoCommonType(vec![19]), "`schemes` does not allow VeNCrypt"),
            (Error::NoCommonType(vec![16]), "Tight (16): expected VeNCrypt"),
            (Error::NoCommonSubtype(vec![257]), "TLSNone (257): anonymous TLS"),
            (Error::NoCommonSubtype(vec![264]), "tls-creds-x509"),
            (Error::NoCommonSubtype(vec![256]), "Plain (256): a name and a password"),
            (Error::NoCommonSubtype(vec![261]), "needs `password`"),
            (Error::NotLetIn("Authentication failed".into()), "(`Authentication failed`)"),
            (Error::NotLetIn("".into()), "does not let us in: check"),
            (Error::Sasl(SaslError::NoMechanism("digest-md5".into())), "use X509SASL"),
        ];
        for (error, words) in cases {
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
