//! A certificate's subject as libvirt compares it, and lists of subjects that are allowed.
//!
//! In: a certificate, DER. Out: its subject in the words of GnuTLS' `gnutls_x509_crt_get_dn`: attributes in the order of the certificate,
//! known ones by name, values escaped as RFC 4514 §2.4 says but for what can't be printed, unknown ones in hexadecimal. Patterns
//! are GLib's simple ones: `*` is any run of characters, `?` is one. There is no other magic, and no sense of attributes.

use std::fmt::Write;

use wildmatch::WildMatch;
use x509_parser::asn1_rs::{Oid, Tag};
use x509_parser::prelude::{AttributeTypeAndValue, FromDer, X509Certificate, X509Name};

use crate::distrust::CertificateFault;

/// Subjects that may pass: one pattern that fits is enough. An empty list lets nobody pass.
#[derive(Clone, Debug, Default)]
pub struct Allowed(Vec<WildMatch>);

impl Allowed {
    /// Of patterns as `tls_allowed_dn_list` has them.
    pub fn new<'p>(patterns: impl IntoIterator<Item = &'p str>) -> Allowed {
        Allowed(patterns.into_iter().map(WildMatch::new).collect())
    }

    /// Whether a subject may pass.
    pub fn admits(&self, subject: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(subject))
    }

    /// Whether the subject of a certificate may pass.
    ///
    /// # Errors
    /// If it may not, or has none that can be told.
    pub(crate) fn judge(&self, certificate: &[u8]) -> Result<(), CertificateFault> {
        let subject = subject_of(certificate).unwrap_or_default();
        match !subject.is_empty() && self.admits(&subject) {
            true => Ok(()),
            false => Err(CertificateFault::NotAllowed { subject }),
        }
    }
}

/// The subject of a certificate. None if it is not one, has no subject, or one that GnuTLS refuses to tell.
pub fn subject_of(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    text(certificate.subject()).filter(|text| !text.is_empty())
}

fn text(name: &X509Name<'_>) -> Option<String> {
    let mut text = String::new();
    for (index, set) in name.iter_rdn().enumerate() {
        for (place, attribute) in set.iter().enumerate() {
            text += match (index, place) {
                (0, 0) => "",
                (_, 0) => ",",
                _ => "+",
            };
            append(&mut text, attribute)?;
        }
    }
    Some(text)
}

fn append(text: &mut String, attribute: &AttributeTypeAndValue<'_>) -> Option<()> {
    let oid = dotted(attribute.attr_type())?;
    let known = KNOWN.iter().find(|(known, ..)| *known == oid);
    match known {
        Some((_, Some(name), _)) => text.push_str(name),
        _ => text.push_str(&oid),
    }
    text.push('=');
    let value = attribute.attr_value();
    if known.is_some_and(|(.., kind)| *kind == Kind::Directory) && value.data.is_empty() {
        return None;
    }
    let readable = known.and_then(|(.., kind)| readable(*kind, value.tag(), value.data));
    match readable {
        Some(readable) => escape(text, &readable),
        None => {
            text.push('#');
            text.push_str(&hexadecimal(&whole(value.tag(), value.data)));
        }
    }
    Some(())
}

/// An identifier's numbers, with dots between. x509-parser's own text takes the first two for one byte, which they need not be.
fn dotted(oid: &Oid<'_>) -> Option<String> {
    let (mut text, mut number) = (String::new(), 0u64);
    for byte in oid.as_bytes() {
        number = number.checked_mul(128)? | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        if text.is_empty() {
            let first = (number / 40).min(2);
            let _ = write!(text, "{first}.{}", number - 40 * first);
        } else {
            let _ = write!(text, ".{number}");
        }
        number = 0;
    }
    Some(text)
}

/// What a value says, if its type is one that is read.
fn readable(kind: Kind, tag: Tag, data: &[u8]) -> Option<String> {
    let as_it_is = || String::from_utf8(data.to_vec()).ok();
    let readable = match (kind, tag) {
        (Kind::Directory, Tag::Utf8String | Tag::PrintableString) => as_it_is(),
        (Kind::Directory, Tag::T61String) if is_printable(data) => as_it_is(),
        (Kind::Directory, Tag::BmpString) => {
            of_bmp(data).or_else(|| Some(format!("#{}", hexadecimal(data))))
        }
        // Of these the content alone is told, and the mark in front is escaped like any other.
        (Kind::Directory, Tag::T61String | Tag::UniversalString) => {
            Some(format!("#{}", hexadecimal(data)))
        }
        (Kind::Exactly(expected), tag) if expected == tag => as_it_is(),
        _ => None,
    };
    readable.filter(|text| !text.contains('\0'))
}

fn is_printable(data: &[u8]) -> bool {
    data.iter().all(|byte| (0x20..0x7f).contains(byte))
}

fn of_bmp(data: &[u8]) -> Option<String> {
    let (units, rest) = data.as_chunks::<2>();
    let units = units.iter().map(|pair| u16::from_be_bytes(*pair));
    rest.is_empty().then(|| char::decode_utf16(units).collect::<Result<String, _>>().ok()).flatten()
}

fn escape(text: &mut String, value: &str) {
    let last = value.chars().count().saturating_sub(1);
    for (index, character) in value.chars().enumerate() {
        let edge =
            index == 0 && matches!(character, '#' | ' ') || index == last && character == ' ';
        if edge || matches!(character, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            text.push('\\');
        }
        text.push(character);
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A value with its tag and length, DER.
fn whole(tag: Tag, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag.0 as u8];
    match data.len() {
        length @ 0..0x80 => bytes.push(length as u8),
        length => {
            let digits = length.to_be_bytes();
            let used = digits.iter().skip_while(|digit| **digit == 0).count();
            bytes.push(0x80 | used as u8);
            bytes.extend_from_slice(&digits[digits.len() - used..]);
        }
    }
    bytes.extend_from_slice(data);
    bytes
}

/// How an attribute's value is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A DirectoryString (RFC 5280 §4.1.2.4).
    Directory,
    /// Of this type, and of no other.
    Exactly(Tag),
}

const PRINTABLE: Kind = Kind::Exactly(Tag::PrintableString);
const IA5: Kind = Kind::Exactly(Tag::Ia5String);
const NUMERIC: Kind = Kind::Exactly(Tag::NumericString);
const D: Kind = Kind::Directory;

/// GnuTLS' list: the attribute, its name, its type.
const KNOWN: &[(&str, Option<&str>, Kind)] = &[
    ("1.3.6.1.5.5.7.9.2", Some("placeOfBirth"), D),
    ("1.3.6.1.5.5.7.9.3", Some("gender"), PRINTABLE),
    ("1.3.6.1.5.5.7.9.4", Some("countryOfCitizenship"), PRINTABLE),
    ("1.3.6.1.5.5.7.9.5", Some("countryOfResidence"), PRINTABLE),
    ("2.5.4.6", Some("C"), PRINTABLE),
    ("2.5.4.9", Some("street"), D),
    ("2.5.4.12", Some("title"), D),
    ("2.5.4.10", Some("O"), D),
    ("2.5.4.11", Some("OU"), D),
    ("2.5.4.3", Some("CN"), D),
    ("2.5.4.7", Some("L"), D),
    ("2.5.4.8", Some("ST"), D),
    ("2.5.4.13", Some("description"), D),
    ("2.5.4.5", Some("serialNumber"), PRINTABLE),
    ("2.5.4.20", Some("telephoneNumber"), PRINTABLE),
    ("2.5.4.4", Some("surName"), D),
    ("2.5.4.43", Some("initials"), D),
    ("2.5.4.44", Some("generationQualifier"), D),
    ("2.5.4.42", Some("givenName"), D),
    ("2.5.4.65", Some("pseudonym"), D),
    ("2.5.4.46", Some("dnQualifier"), PRINTABLE),
    ("2.5.4.17", Some("postalCode"), D),
    ("2.5.4.41", Some("name"), D),
    ("2.5.4.15", Some("businessCategory"), D),
    ("0.9.2342.19200300.100.1.25", Some("DC"), IA5),
    ("0.9.2342.19200300.100.1.1", Some("UID"), D),
    ("1.2.840.113556.1.4.656", Some("userPrincipalName"), D),
    ("1.3.6.1.4.1.311.60.2.1.1", Some("jurisdictionOfIncorporationLocalityName"), D),
    ("1.3.6.1.4.1.311.60.2.1.2", Some("jurisdictionOfIncorporationStateOrProvinceName"), D),
    ("1.3.6.1.4.1.311.60.2.1.3", Some("jurisdictionOfIncorporationCountryName"), PRINTABLE),
    ("1.2.840.113549.1.9.1", Some("EMAIL"), IA5),
    ("1.2.840.113549.1.9.7", None, D),
    ("1.3.6.1.5.5.7.8.5", Some("XmppAddr"), Kind::Exactly(Tag::Utf8String)),
    ("1.2.643.100.1", Some("OGRN"), NUMERIC),
    ("1.2.643.100.3", Some("SNILS"), NUMERIC),
    ("1.2.643.100.5", Some("OGRNIP"), NUMERIC),
    ("1.2.643.3.131.1.1", Some("INN"), NUMERIC),
];

/// The common name of a certificate, if it has one and no other.
pub(crate) fn common_name_of(certificate: &[u8]) -> Option<String> {
    sole_common_name(&X509Certificate::from_der(certificate).ok()?.1)
}

/// The same of one that was read.
pub(crate) fn sole_common_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let mut names = certificate.subject().iter_by_oid(&COMMON_NAME);
    let (first, second) = (names.next()?, names.next());
    let value = first.attr_value();
    second.is_none().then(|| readable(D, value.tag(), value.data)).flatten()
}

const COMMON_NAME: Oid<'static> = x509_parser::oid_registry::OID_X509_COMMON_NAME;

#[cfg(test)]
mod tests {
    use super::*;

    /// A subject out of attributes: RDN by RDN, each with its attributes: identifier, tag, content.
    fn subject(names: &[&[(&str, u8, &[u8])]]) -> Option<String> {
        let wrapped = |tag: u8, data: Vec<u8>| whole(Tag(u32::from(tag)), &data);
        let attribute = |(oid, tag, data): &(&str, u8, &[u8])| {
            let numbers: Vec<u64> = oid.split('.').map(|n| n.parse().unwrap()).collect();
            let oid = Oid::from(&numbers).unwrap();
            let mut pair = wrapped(6, oid.as_bytes().to_vec());
            pair.extend(wrapped(*tag, data.to_vec()));
            wrapped(0x30, pair)
        };
        let sets = names.iter().map(|set| wrapped(0x31, set.iter().flat_map(attribute).collect()));
        let name = wrapped(0x30, sets.flatten().collect());
        text(&X509Name::from_der(&name).unwrap().1)
    }

    const UTF8: u8 = 12;
    const PRINT: u8 = 19;

    #[test]
    fn attributes_stand_in_the_certificates_order() {
        let text = subject(&[
            &[("2.5.4.6", PRINT, b"GB")],
            &[("2.5.4.8", UTF8, b"London")],
            &[("2.5.4.10", UTF8, b"Red Hat"), ("2.5.4.11", UTF8, b"Virt")],
            &[("2.5.4.3", UTF8, b"name")],
            &[("1.2.840.113549.1.9.1", 22, b"me@example.com")],
        ]);
        let expected = "C=GB,ST=London,O=Red Hat+OU=Virt,CN=name,EMAIL=me@example.com";
        assert_eq!(text.as_deref(), Some(expected));
    }

    #[test]
    fn values_are_escaped_where_they_could_be_mistaken() {
        let of = |value: &[u8]| subject(&[&[("2.5.4.3", UTF8, value)]]).unwrap();
        for (value, text) in [
            ("a,b+c\"d\\e<f>g;h=i", r#"CN=a\,b\+c\"d\\e\<f\>g\;h=i"#),
            ("#a#", r"CN=\#a#"),
            (" a b ", r"CN=\ a b\ "),
            (" ", r"CN=\ "),
            ("Zürich", "CN=Zürich"),
            ("tab\there", "CN=tab\there"),
        ] {
            assert_eq!(of(value.as_bytes()), text);
        }
    }

    #[test]
    fn what_is_of_another_type_is_told_in_hexadecimal() {
        for (oid, tag, value, text) in [
            ("2.5.4.6", UTF8, &b"GB"[..], "C=#0c024742"),
            ("2.5.4.3", 22, b"ia5", "CN=#1603696135"),
            ("2.5.4.3", UTF8, b"a\0b", "CN=#0c03610062"),
            ("1.2.3.4.5", UTF8, b"x", "1.2.3.4.5=#0c0178"),
            ("2.5.4.3", 30, b"\0A\x20\xac", "CN=A€"),
            ("2.5.4.3", 20, b"plain", "CN=plain"),
            ("2.5.4.3", 20, b"\xe9", r"CN=\#e9"),
            ("2.5.4.3", 28, b"\0\0\0A", r"CN=\#00000041"),
        ] {
            assert_eq!(subject(&[&[(oid, tag, value)]]).as_deref(), Some(text));
        }
        assert_eq!(subject(&[&[("2.5.4.3", UTF8, b"")]]), None, "GnuTLS refuses an empty one");
        let long = vec![b'x'; 300];
        let text = subject(&[&[("1.2.3.4", UTF8, &long)]]).unwrap();
        assert!(text.starts_with("1.2.3.4=#0c82012c7878"), "{text}");
    }

    #[test]
    fn the_first_two_numbers_of_an_attribute_may_take_several_bytes() {
        let dotted = |bytes: &[u8]| dotted(&Oid::new(bytes.into()));
        for (bytes, text) in [
            (&[0x55, 4, 3][..], "2.5.4.3"),
            (&[0x2a, 0x86, 0x48], "1.2.840"),
            (&[39], "0.39"),
            (&[40], "1.0"),
            (&[127], "2.47"),
            (&[0x88, 0x37, 1], "2.999.1"),
        ] {
            assert_eq!(dotted(bytes).as_deref(), Some(text));
        }
        assert_eq!(dotted(&[0xff; 11]), None, "more than anybody counts to");
    }

    #[test]
    fn patterns_know_two_signs_and_nothing_of_attributes() {
        let subject = "C=GB,ST=London,L=London,O=Red Hat,CN=name";
        for (pattern, admits) in [
            ("C=GB,ST=London,*", true),
            ("*CN=name", true),
            ("*", true),
            ("C=GB,ST=London,L=London,O=Red Hat,CN=name", true),
            ("C=G?,*", true),
            ("*,O=Red*,*", true),
            ("CN=name*", false),
            ("c=gb,*", false),
            ("C=GB,ST=London", false),
            ("C=[GX]B,*", false),
            ("*CN=name,EMAIL=*", false),
            ("", false),
        ] {
            assert_eq!(Allowed::new([pattern]).admits(subject), admits, "{pattern}");
        }
        assert!(!Allowed::default().admits(subject), "an empty list is nobody");
        assert!(Allowed::new(["no", "C=*"]).admits(subject), "one that fits is enough");
        assert!(Allowed::new(["CN=Z?rich"]).admits("CN=Zürich"), "a character, not a byte");
    }
}
