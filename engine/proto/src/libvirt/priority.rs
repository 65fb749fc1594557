//! Priority strings of GnuTLS, as far as they can be kept: TLS versions.
//!
//! What chooses ciphers, groups or signatures is refused, not ignored: an operator who narrows them relies on it.

use alloc::borrow::ToOwned;

use super::error::WayError;
use super::way::TlsVersions;

/// Starts whose ciphers include all of ours. Those that ask for 192 bits do not.
const STARTS: &[&str] = &["", "NORMAL", "PERFORMANCE", "PFS", "SECURE128"];

/// What `tls_priority` says of versions.
pub(super) fn versions(text: &str) -> Result<TlsVersions, WayError> {
    let mut parts = text.split(':');
    let start = parts.next().unwrap_or_default();
    if !STARTS.iter().any(|known| known.eq_ignore_ascii_case(start)) {
        return Err(WayError::Priority(start.to_owned()));
    }
    let (mut tls12, mut tls13) = (true, true);
    for part in parts {
        let (sign, name) = part.split_at_checked(1).unwrap_or_default();
        let is_on = match sign {
            "+" => true,
            "-" | "!" => false,
            _ => return Err(WayError::Priority(part.to_owned())),
        };
        match name.to_ascii_uppercase().as_str() {
            "VERS-ALL" | "VERS-TLS-ALL" => (tls12, tls13) = (is_on, is_on),
            "VERS-TLS1.2" => tls12 = is_on,
            "VERS-TLS1.3" => tls13 = is_on,
            // Never spoken by us, and so neither missed nor in need of being taken away.
            "VERS-TLS1.0" | "VERS-TLS1.1" | "VERS-SSL3.0" | "VERS-DTLS-ALL" => {}
            _ => return Err(WayError::Priority(part.to_owned())),
        }
    }
    match (tls12, tls13) {
        (true, true) => Ok(TlsVersions::From12),
        (false, true) => Ok(TlsVersions::From13),
        _ => Err(WayError::Priority(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_kept_and_all_else_is_refused() {
        for (text, versions_kept) in [
            ("", TlsVersions::From12),
            ("NORMAL", TlsVersions::From12),
            ("normal:-vers-tls1.0:-VERS-TLS1.1", TlsVersions::From12),
            ("NORMAL:-VERS-TLS1.2", TlsVersions::From13),
            ("SECURE128:-VERS-ALL:+VERS-TLS1.3", TlsVersions::From13),
            ("NORMAL:!VERS-TLS-ALL:+VERS-TLS1.2:+VERS-TLS1.3", TlsVersions::From12),
        ] {
            assert_eq!(versions(text), Ok(versions_kept), "{text}");
        }
        for (text, part) in [
            ("SECURE256", "SECURE256"),
            ("@SYSTEM", "@SYSTEM"),
            ("NONE:+VERS-TLS1.3", "NONE"),
            ("NORMAL:-AES-128-GCM", "-AES-128-GCM"),
            ("NORMAL:%COMPAT", "%COMPAT"),
            ("NORMAL:", ""),
            ("NORMAL:é", "é"),
            ("NORMAL:-VERS-TLS1.3", "NORMAL:-VERS-TLS1.3"),
            ("NORMAL:-VERS-ALL", "NORMAL:-VERS-ALL"),
        ] {
            assert_eq!(versions(text), Err(WayError::Priority(part.to_owned())), "{text}");
        }
    }
}
