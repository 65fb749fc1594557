//! GnuTLS' priority strings, which libvirt has in `tls_priority`, told in what there is to choose from here.
//!
//! In: a string. Out: the oldest version. What is offered is fixed: TLS 1.2 and 1.3, ephemeral key exchange, authenticated ciphers of 128
//! bits and more. Words that ask for nothing else are accepted, all others are refused by name: nobody gets less than was asked for.

use std::fmt;

use crate::settings::MinVersion;

/// A word of a priority string that can't be honoured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PriorityError {
    /// The word, with its sign.
    pub word: String,
    /// Why not, and what to write instead.
    pub why: &'static str,
}

impl MinVersion {
    /// What a priority string asks for.
    ///
    /// # Errors
    /// The first word that can't be honoured.
    pub fn from_priority(priority: &str) -> Result<MinVersion, PriorityError> {
        let refused = |word: &str, why| PriorityError { word: word.to_owned(), why };
        let mut words = priority.split(':');
        let first = words.next().unwrap_or_default();
        starts_from(&first.to_ascii_uppercase()).map_err(|why| refused(first, why))?;
        let mut spoken = Spoken { tls12: true, tls13: true };
        for word in words {
            spoken.change(&word.to_ascii_uppercase()).map_err(|why| refused(word, why))?;
        }
        match spoken {
            Spoken { tls13: true, tls12: true } => Ok(MinVersion::Tls12),
            Spoken { tls13: true, tls12: false } => Ok(MinVersion::Tls13),
            Spoken { tls13: false, tls12: true } => {
                Err(refused(priority, "it leaves out TLS 1.3, which is always offered"))
            }
            Spoken { tls13: false, tls12: false } => {
                Err(refused(priority, "it leaves neither TLS 1.2 nor TLS 1.3"))
            }
        }
    }
}

/// Versions that are left.
struct Spoken {
    tls12: bool,
    tls13: bool,
}

impl Spoken {
    fn change(&mut self, word: &str) -> Result<(), &'static str> {
        let (adds, item) = match word.split_at_checked(1) {
            Some(("+", item)) => (true, item),
            Some(("-" | "!", item)) => (false, item),
            Some(("%", _)) => return Err("options of GnuTLS are not known here: leave it out"),
            _ => return Err("expected a word that begins with +, - or !"),
        };
        match (item, adds) {
            ("VERS-ALL" | "VERS-TLS-ALL", _) => (self.tls12, self.tls13) = (adds, adds),
            ("VERS-TLS1.2", _) => self.tls12 = adds,
            ("VERS-TLS1.3", _) => self.tls13 = adds,
            (item, true) if item.starts_with("VERS-") => {
                return Err("nothing older than TLS 1.2, and no DTLS, is spoken here");
            }
            (item, false) if item.starts_with("VERS-") => {}
            (item, true) if OFFERED.contains(&item) => {}
            (item, false) if is_never_offered(item) => {}
            (item, false) if OFFERED.contains(&item) => return Err("it is always offered here"),
            (item, true) if is_never_offered(item) => return Err("it is never offered here"),
            _ => return Err("it is not known here"),
        }
        Ok(())
    }
}

fn starts_from(word: &str) -> Result<(), &'static str> {
    match word {
        "NORMAL" | "PERFORMANCE" | "PFS" | "SECURE128" => Ok(()),
        "SECURE192" | "SECURE256" | "SUITEB128" | "SUITEB192" => {
            Err("suites can't be narrowed here: use SECURE128")
        }
        "NONE" => Err("suites can't be chosen one by one here: use NORMAL"),
        "LEGACY" => Err("nothing of old is offered here: use NORMAL"),
        _ if word.starts_with('@') => {
            Err("the system's settings of GnuTLS are not read here: use NORMAL")
        }
        _ => Err("expected NORMAL, PERFORMANCE, PFS or SECURE128 at its beginning"),
    }
}

/// GnuTLS' names of what rustls offers.
const OFFERED: &[&str] = &[
    "AEAD",
    "AES-128-GCM",
    "AES-256-GCM",
    "CHACHA20-POLY1305",
    "COMP-NULL",
    "CTYPE-X509",
    "ECDHE-ECDSA",
    "ECDHE-RSA",
    "GROUP-SECP256R1",
    "GROUP-SECP384R1",
    "GROUP-X25519",
];

/// What rustls has none of, whatever its strength.
fn is_never_offered(item: &str) -> bool {
    const BEGINNINGS: [&str; 8] =
        ["ARCFOUR", "CAMELLIA", "ANON-", "DHE-", "SRP", "PSK", "GROUP-FFDHE", "CTYPE-OPENPGP"];
    const NAMES: [&str; 6] = ["RSA", "MD5", "SHA1", "SHA256", "SHA384", "COMP-DEFLATE"];
    BEGINNINGS.iter().any(|beginning| item.starts_with(beginning))
        || NAMES.contains(&item)
        || item.ends_with("-CBC")
        || item.contains("-CCM")
}

impl fmt::Display for PriorityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the TLS priority {:?} can't be honoured: {}", self.word, self.why)
    }
}

impl std::error::Error for PriorityError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_honoured_becomes_a_version() {
        use MinVersion::{Tls12, Tls13};
        for (priority, version) in [
            ("NORMAL", Tls12),
            ("normal", Tls12),
            ("PERFORMANCE", Tls12),
            ("SECURE128", Tls12),
            ("PFS:-VERS-TLS1.0:-VERS-TLS1.1:-VERS-SSL3.0", Tls12),
            ("NORMAL:-VERS-ALL:+VERS-TLS1.3", Tls13),
            ("NORMAL:-VERS-TLS-ALL:+VERS-TLS1.2:+VERS-TLS1.3", Tls12),
            ("NORMAL:-VERS-TLS1.2", Tls13),
            ("NORMAL:!vers-tls1.2", Tls13),
            ("NORMAL:-3DES-CBC:-ARCFOUR-128:-AES-128-CBC:-RSA:-MD5:-SHA1:-DHE-RSA", Tls12),
            ("SECURE128:+AES-256-GCM:+GROUP-X25519", Tls12),
        ] {
            assert_eq!(MinVersion::from_priority(priority), Ok(version), "{priority}");
        }
    }

    #[test]
    fn what_can_not_be_honoured_is_refused_by_name() {
        for (priority, word, why) in [
            ("", "", "expected NORMAL"),
            ("-VERS-TLS1.2", "-VERS-TLS1.2", "expected NORMAL"),
            ("SECURE256", "SECURE256", "SECURE128"),
            ("LEGACY", "LEGACY", "NORMAL"),
            ("NONE:+VERS-TLS1.3:+AES-256-GCM", "NONE", "one by one"),
            ("@LIBVIRT,SYSTEM", "@LIBVIRT,SYSTEM", "not read"),
            ("NORMAL:+VERS-TLS1.1", "+VERS-TLS1.1", "older than TLS 1.2"),
            ("NORMAL:+VERS-DTLS1.2", "+VERS-DTLS1.2", "DTLS"),
            ("NORMAL:-VERS-TLS1.3", "NORMAL:-VERS-TLS1.3", "always offered"),
            ("NORMAL:-VERS-ALL", "NORMAL:-VERS-ALL", "neither"),
            ("NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.2", "TLS 1.3"),
            ("NORMAL:-AES-128-GCM", "-AES-128-GCM", "always offered"),
            ("NORMAL:+ANON-DH", "+ANON-DH", "never offered"),
            ("NORMAL:+WISHES", "+WISHES", "not known"),
            ("NORMAL:%COMPAT", "%COMPAT", "options"),
            ("NORMAL:VERS-TLS1.3", "VERS-TLS1.3", "begins with"),
            ("NORMAL:", "", "begins with"),
            ("NORMAL:é", "é", "begins with"),
        ] {
            let error = MinVersion::from_priority(priority).unwrap_err();
            assert!(error.word == word && error.why.contains(why), "{priority}: {error}");
        }
    }
}
