//! SSL_CIPHERS: a list in OpenSSL's language, and what of it is not as it says.
//!
//! In: the list. Out: those words that are not heeded. What is spoken is always the same: suites with forward secrecy and authenticated encryption.

/// Those that are spoken, as OpenSSL calls them.
const SPOKEN: [&str; 9] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
];

/// Words of which all that is spoken is a part.
const WIDE: [&str; 12] = [
    "HIGH",
    "ALL",
    "DEFAULT",
    "ECDHE",
    "EECDH",
    "kECDHE",
    "kEECDH",
    "TLSv1.2",
    "PROFILE=SYSTEM",
    "FIPS",
    "SHA256",
    "SHA384",
];

/// Words for what is never spoken.
const NEVER: [&str; 36] = [
    "aNULL",
    "eNULL",
    "NULL",
    "COMPLEMENTOFALL",
    "COMPLEMENTOFDEFAULT",
    "LOW",
    "MEDIUM",
    "EXP",
    "EXPORT",
    "MD5",
    "RC2",
    "RC4",
    "DES",
    "3DES",
    "IDEA",
    "SEED",
    "CAMELLIA",
    "ARIA",
    "PSK",
    "SRP",
    "DSS",
    "aDSS",
    "kRSA",
    "RSA",
    "kDHE",
    "kEDH",
    "DHE",
    "EDH",
    "DH",
    "ADH",
    "AECDH",
    "SHA1",
    "SHA",
    "SSLv2",
    "SSLv3",
    "AESCCM",
];

/// The words that are not heeded, each with what is done instead.
pub(super) fn unheeded(list: &str) -> Vec<String> {
    let words = list.split([':', ',', ' ']).filter(|word| !word.is_empty());
    words.filter_map(|word| judge(word).map(|what| format!("{word} {what}"))).collect()
}

fn judge(word: &str) -> Option<&'static str> {
    let one_of = |words: &[&str], word: &str| words.contains(&word);
    match (word.as_bytes()[0], &word[1..]) {
        (b'!' | b'-', out) if one_of(&NEVER, out) || is_never(out) => None,
        (b'!' | b'-', _) => Some("is spoken nevertheless"),
        (b'+', _) => {
            Some("has no effect: the order is that of the client, or the faster one first")
        }
        (b'@', level) if level == "STRENGTH" || level.starts_with("SECLEVEL=") => None,
        _ if one_of(&WIDE, word) => None,
        _ if one_of(&SPOKEN, word) => Some("is spoken, and others are, too"),
        _ => Some("is not spoken"),
    }
}

/// Suites of their own, by name: without forward secrecy, or with the encryption of before.
fn is_never(suite: &str) -> bool {
    suite.contains('-') && !SPOKEN.contains(&suite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packaged_and_usual_is_as_it_says() {
        for list in [
            "",
            "HIGH:!aNULL",
            "HIGH:!aNULL:!MD5:!RC4",
            "DEFAULT@",
            "ECDHE:@STRENGTH:@SECLEVEL=2",
            "ALL:-ADH:!AES128-SHA",
        ] {
            let list = list.replace("DEFAULT@", "DEFAULT:!3DES");
            assert_eq!(unheeded(&list), [] as [&str; 0], "{list}");
        }
    }

    #[test]
    fn what_is_not_heeded_is_told_by_name() {
        let told = unheeded(
            "AES256-SHA:ECDHE-RSA-AES128-GCM-SHA256,!CHACHA20 +HIGH:!ECDHE-RSA-AES256-GCM-SHA384",
        );
        assert_eq!(told.len(), 5);
        for (told, expected) in told.iter().zip([
            "AES256-SHA is not spoken",
            "ECDHE-RSA-AES128-GCM-SHA256 is spoken, and others",
            "!CHACHA20 is spoken nevertheless",
            "+HIGH has no effect",
            "!ECDHE-RSA-AES256-GCM-SHA384 is spoken nevertheless",
        ]) {
            assert!(told.starts_with(expected), "{told}");
        }
    }
}
