//! `[console] ssl_ciphers`: OpenSSL's list of ciphers, held against what there is to choose from.
//!
//! In: the list. Out: what of it has no effect, for a warning; or that nothing of it is spoken. What is spoken is fixed: TLS 1.2 and 1.3 with ephemeral
//! keys and authenticated ciphers of 128 bits and more.

/// Words that leave at least one of our ciphers.
const SPOKEN: [&str; 22] = [
    "ALL",
    "DEFAULT",
    "COMPLEMENTOFDEFAULT",
    "HIGH",
    "ECDHE",
    "EECDH",
    "KEECDH",
    "KECDHE",
    "ECDSA",
    "AECDSA",
    "RSA",
    "ARSA",
    "AES",
    "AES128",
    "AES256",
    "AESGCM",
    "CHACHA20",
    "TLSV1.2",
    "TLSV1.3",
    "SHA256",
    "SHA384",
    "AEAD",
];
/// Beginnings of suites' names that are ours.
const SUITES: [&str; 3] = ["ECDHE-ECDSA-", "ECDHE-RSA-", "TLS_"];

/// # Errors
/// There is nothing in it that is spoken.
pub(super) fn judge(list: &str) -> Result<Vec<String>, String> {
    let words = list.split([':', ',', ' ', '\n']).filter(|word| !word.is_empty());
    // What is left out or put in order can't make it weaker.
    let asked: Vec<&str> = words.filter(|word| !word.starts_with(['!', '-', '@'])).collect();
    let (spoken, other): (Vec<&str>, Vec<&str>) = asked.iter().partition(|word| is_spoken(word));
    if spoken.is_empty() && !asked.is_empty() {
        return Err(format!(
            "nothing of it is spoken here ({}): leave it out. Spoken are TLS 1.2 and 1.3 with ephemeral keys and authenticated ciphers (ECDHE with AES-GCM or ChaCha20)",
            other.join(", ")
        ));
    }
    let fixed = "[console] ssl_ciphers chooses nothing: all suites of TLS 1.2 and 1.3 that have ephemeral keys and authenticated ciphers are spoken, and no others";
    let none = (!other.is_empty()).then(|| format!("; not spoken: {}", other.join(", ")));
    Ok(vec![format!("{fixed}{}", none.unwrap_or_default())])
}

fn is_spoken(word: &str) -> bool {
    let word = word.trim_start_matches('+').to_ascii_uppercase();
    let is_suite = SUITES.iter().any(|suite| word.starts_with(suite));
    let is_authenticated = word.contains("GCM") || word.contains("CHACHA20");
    (is_suite && is_authenticated) || word.split('+').all(|part| SPOKEN.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ciphers_that_are_not_spoken_are_named() {
        let warned = |list: &str| judge(list).expect(list).remove(0);
        for list in [
            "HIGH",
            "ECDHE-RSA-AES256-GCM-SHA384:!aNULL",
            "kEECDH+aRSA+AES:@STRENGTH",
            "TLS_AES_128_GCM_SHA256",
        ] {
            assert!(!warned(list).contains("not spoken: "), "{list}");
        }
        let nova_s = "kEECDH+aECDSA+AES:kEECDH+AES+aRSA:kEDH+aRSA+AES";
        assert!(warned(nova_s).ends_with("not spoken: kEDH+aRSA+AES"), "{}", warned(nova_s));
        for list in [
            "RC4-SHA",
            "AES128-SHA:DES-CBC3-SHA",
            "ECDHE-RSA-AES256-SHA",
            "DHE-RSA-AES256-GCM-SHA384",
        ] {
            let refused = judge(list).expect_err(list);
            assert!(refused.contains(list.split(':').next().expect("a word")), "{refused}");
        }
    }
}
