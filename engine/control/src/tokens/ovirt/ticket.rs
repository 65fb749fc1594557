//! What a ticket of oVirt's says: text in, what is signed and by which signature out.
//!
//! ```text
//!  text ── Base64 ──▶ JSON: texts by name ──▶ signedFields says which texts are signed, in which order
//!                                         └─▶ v2_signature
//! ```
//!
//! Nothing is believed here. It refuses whatever oVirt's engine doesn't write: names that come twice, anything signed beside the four fields, or less
//! than those: of texts that are signed one behind the other, nobody could tell where one ends and another begins.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::{alphabet, engine::DecodePaddingMode};
use chrono::NaiveDateTime;
use serde::Deserializer;
use serde::de::{Error as _, MapAccess, Visitor};

/// Each of them has to be signed.
const FIELDS: [&str; 4] = ["salt", "data", "validFrom", "validTo"];
const SIGNED: &str = "signedFields";
const SIGNATURE: &str = "v2_signature";
/// With SHA-1, of old engines.
const OLD_SIGNATURE: &str = "signature";
/// Of `yyyyMMddHHmmss`.
const DIGITS: usize = 14;

const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);

/// A ticket that can be read, signed by whomever.
#[derive(PartialEq, Eq)]
pub(super) struct Ticket {
    /// What is signed.
    pub(super) message: Vec<u8>,
    pub(super) signature: Vec<u8>,
    /// From when to when.
    pub(super) valid: [SystemTime; 2],
    pub(super) data: String,
}

/// Why a text is no ticket, without a word of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    NotBase64,
    NotJson,
    OldSignature,
    Missing(&'static str),
    Unsigned(&'static str),
    SignedBeside,
    SignedTwice,
    NotBase64Signature,
    NoDate(&'static str),
}

impl Ticket {
    pub(super) fn parse(text: &str) -> Result<Ticket, Fault> {
        let json = decode(text).ok_or(Fault::NotBase64)?;
        let members = members(&json).ok_or(Fault::NotJson)?;
        let member = |name| members.get(name).map(String::as_str).ok_or(Fault::Missing(name));
        let signature = match (member(SIGNATURE), member(OLD_SIGNATURE)) {
            (Err(_), Ok(_)) => return Err(Fault::OldSignature),
            (signature, _) => decode(signature?).ok_or(Fault::NotBase64Signature)?,
        };
        let mut message = Vec::new();
        for name in signed(member(SIGNED)?)? {
            message.extend_from_slice(member(name)?.as_bytes());
        }
        let time = |name| time_of(member(name)?).ok_or(Fault::NoDate(name));
        let valid = [time("validFrom")?, time("validTo")?];
        Ok(Ticket { message, signature, valid, data: member("data")?.to_owned() })
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({:?})", self.valid)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NotBase64 => f.write_str("it is no Base64"),
            Fault::NotJson => {
                f.write_str("it is no JSON object of texts, each under a name of its own")
            }
            Fault::OldSignature => f.write_str(
                "its only signature is one with SHA-1 (`signature`), which proves nothing any more: update the engine",
            ),
            Fault::Missing(name) => write!(f, "it has no `{name}`"),
            Fault::Unsigned(name) => write!(f, "its `{name}` is not signed"),
            Fault::SignedBeside => {
                write!(f, "its signature is of something beside {}", FIELDS.join(", "))
            }
            Fault::SignedTwice => f.write_str("it says of a field twice that it is signed"),
            Fault::NotBase64Signature => write!(f, "its `{SIGNATURE}` is no Base64"),
            Fault::NoDate(name) => write!(f, "its `{name}` is no time such as 20260131235959"),
        }
    }
}

/// Either alphabet, with and without padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let standard = |byte| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    };
    BASE64.decode(text.bytes().map(standard).collect::<Vec<_>>()).ok()
}

/// The four fields, in the order in which they are signed.
fn signed(list: &str) -> Result<Vec<&'static str>, Fault> {
    let mut names = Vec::new();
    for name in list.split(',') {
        let known = FIELDS.into_iter().find(|field| *field == name.trim());
        let known = known.ok_or(Fault::SignedBeside)?;
        if names.contains(&known) {
            return Err(Fault::SignedTwice);
        }
        names.push(known);
    }
    match FIELDS.into_iter().find(|field| !names.contains(field)) {
        Some(missing) => Err(Fault::Unsigned(missing)),
        None => Ok(names),
    }
}

/// In UTC.
fn time_of(text: &str) -> Option<SystemTime> {
    if text.len() != DIGITS || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let time = NaiveDateTime::parse_from_str(text, "%Y%m%d%H%M%S").ok()?;
    let seconds = u64::try_from(time.and_utc().timestamp()).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// An object whose values are texts. Of two values of one name, readers take now this one, now that.
fn members(json: &[u8]) -> Option<HashMap<String, String>> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let members = reader.deserialize_map(Members).ok()?;
    reader.end().ok()?;
    Some(members)
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = HashMap<String, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("texts by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = HashMap::new();
        while let Some((name, value)) = map.next_entry()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a name that comes twice"));
            }
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

    use super::*;

    const JSON: &str = r#"{"data":"%7B%7D~","salt":"AAECAwQFBgc=","validTo":"20260101000200","validFrom":"20260101000000",
        "signedFields":"salt, validTo ,data,validFrom","v2_signature":"c2ln","certificate":"whatever"}"#;

    fn parse(json: &str) -> Result<Ticket, Fault> {
        Ticket::parse(&BASE64_STANDARD.encode(json))
    }

    #[test]
    fn what_is_signed_is_told_in_the_order_of_the_list() {
        let ticket = parse(JSON).expect("a ticket");
        assert_eq!(ticket.message, b"AAECAwQFBgc=20260101000200%7B%7D~20260101000000");
        assert_eq!((&*ticket.signature, &*ticket.data), (&b"sig"[..], "%7B%7D~"));
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(ticket.valid, [at(1_767_225_600), at(1_767_225_720)]);
        assert!(!format!("{ticket:?}").contains("7B"));
    }

    #[test]
    fn either_alphabet_of_base64_is_read_with_and_without_padding() {
        // `~?` and the like make the letters in which the alphabets differ.
        let json = JSON.replace("whatever", "~~~???>>>");
        let (standard, other) =
            (BASE64_STANDARD.encode(&json), BASE64_URL_SAFE_NO_PAD.encode(&json));
        assert_ne!(standard, other);
        assert!(other.contains(['-', '_']) && standard.contains(['+', '/']));
        assert_eq!(Ticket::parse(&other), Ticket::parse(&standard));
        assert!(Ticket::parse(&standard).is_ok());
    }

    #[test]
    fn each_fault_is_named() {
        let with = |from: &str, to: &str| {
            let changed = JSON.replacen(from, to, 1);
            assert_ne!(changed, JSON, "{from}");
            parse(&changed).expect_err(to)
        };
        assert_eq!(Ticket::parse("???"), Err(Fault::NotBase64));
        assert_eq!(Ticket::parse("e30 "), Err(Fault::NotBase64));
        assert_eq!(parse("{"), Err(Fault::NotJson));
        assert_eq!(parse("[]"), Err(Fault::NotJson));
        assert_eq!(parse("{} x"), Err(Fault::NotJson));
        assert_eq!(parse("{}"), Err(Fault::Missing(SIGNATURE)));
        for (from, to, fault) in [
            ("whatever\"", "whatever\",\"data\":\"%7B%7D\"", Fault::NotJson),
            ("whatever\"", "whatever\",\"certificate\":\"\"", Fault::NotJson),
            ("\"whatever\"", "1", Fault::NotJson),
            ("\"whatever\"", "null", Fault::NotJson),
            ("v2_signature", "signature", Fault::OldSignature),
            ("v2_signature", "v3_signature", Fault::Missing(SIGNATURE)),
            ("c2ln", "c2l", Fault::NotBase64Signature),
            ("signedFields", "signed", Fault::Missing(SIGNED)),
            ("salt, ", "", Fault::Unsigned("salt")),
            (",data,", ",", Fault::Unsigned("data")),
            ("validTo ,", "", Fault::Unsigned("validTo")),
            (",validFrom\"", "\"", Fault::Unsigned("validFrom")),
            ("salt, ", "salt, salt, ", Fault::SignedTwice),
            ("salt, ", "salt, certificate, ", Fault::SignedBeside),
            ("salt, ", "salt,, ", Fault::SignedBeside),
            ("salt, ", "Salt, ", Fault::SignedBeside),
            ("\"salt\"", "\"other\"", Fault::Missing("salt")),
            ("20260101000200", "2026010100020", Fault::NoDate("validTo")),
            ("20260101000200", "202601010002000", Fault::NoDate("validTo")),
            ("20260101000200", "+2026010100020", Fault::NoDate("validTo")),
            ("20260101000200", "20260101 00200", Fault::NoDate("validTo")),
            ("20260101000200", "20261301000200", Fault::NoDate("validTo")),
            ("20260101000200", "20260230000200", Fault::NoDate("validTo")),
            ("20260101000200", "20260101240000", Fault::NoDate("validTo")),
            ("20260101000000", "00000101000000", Fault::NoDate("validFrom")),
        ] {
            assert_eq!(with(from, to), fault, "{to}");
        }
    }

    #[test]
    fn faults_do_not_repeat_what_they_are_about() {
        for json in [
            JSON.replacen("salt, ", "canary,", 1),
            JSON.replacen("20260101000200", "canary", 1),
            JSON.replacen("c2ln", "canary!", 1),
            "{\"canary\":1}".to_owned(),
        ] {
            let fault = parse(&json).expect_err("no ticket").to_string();
            assert!(!fault.contains("canary"), "{fault}");
        }
    }
}
