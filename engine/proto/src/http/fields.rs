//! Header fields that somebody else wants in an answer of ours: text in, the same text out if it can't be anything but whole lines.
//!
//! Refused: what would end the head or begin another line, names that are none, and fields that say how long the answer is, what it is, or
//! what becomes of the connection.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fields(Box<str>);

/// What is wrong with such a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BadField {
    /// A line is no `name: value`, or has a control character.
    Form,
    /// A field that the answer has by itself, or that would belie it.
    Ours(Box<str>),
    /// More than [`Fields::MAX`] bytes.
    TooLong,
}

/// In lower case.
const OURS: [&str; 12] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "keep-alive",
    "proxy-connection",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Fields {
    /// Bytes of them all.
    pub const MAX: usize = 8192;

    /// Reads lines, each ended by CR LF; the last one may go without.
    ///
    /// # Errors
    /// Of the first line that must not be sent.
    pub fn parse(text: &str) -> Result<Fields, BadField> {
        if text.is_empty() {
            return Ok(Fields::default());
        }
        let lines = text.strip_suffix("\r\n").unwrap_or(text);
        lines.split("\r\n").try_for_each(judge)?;
        if lines.len() > Fields::MAX {
            return Err(BadField::TooLong);
        }
        let mut whole = String::with_capacity(lines.len() + 2);
        whole.push_str(lines);
        whole.push_str("\r\n");
        Ok(Fields(whole.into()))
    }

    /// Whole lines, or nothing.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn judge(line: &str) -> Result<(), BadField> {
    let (name, value) = line.split_once(':').ok_or(BadField::Form)?;
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(BadField::Form);
    }
    if value.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
        return Err(BadField::Form);
    }
    match OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
        true => Err(BadField::Ours(name.to_owned().into())),
        false => Ok(()),
    }
}

/// `tchar` of RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl fmt::Display for BadField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadField::Form => f.write_str(
                "expected lines `name: value`, each ended by CR LF and without other control characters, came something else",
            ),
            BadField::Ours(name) => write!(f, "`{name}` is not for others to say: leave it out"),
            BadField::TooLong => {
                write!(f, "expected header fields of {} bytes at most, came more", Fields::MAX)
            }
        }
    }
}

impl core::error::Error for BadField {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use std::string::ToString;

    #[test]
    fn whole_lines_are_taken_as_they_are() {
        for text in ["A: b\r\n", "WWW-Authenticate: Basic realm=\"x\"\r\nX-Y:\tz é\r\n", "a:\r\n"]
        {
            assert_eq!(Fields::parse(text).expect("fields").as_str(), text);
        }
        assert_eq!(Fields::parse("A: b").expect("one line").as_str(), "A: b\r\n");
        assert_eq!(Fields::parse("").expect("none").as_str(), "");
    }

    #[test]
    fn nothing_begins_a_line_or_ends_the_head() {
        for text in [
            "A: b\r\n\r\n",
            "\r\n",
            "\r\nA: b",
            "A: b\r\n\r\nbody",
            "A: b\nC: d",
            "A: b\rC: d",
            "A: b\0",
            "A: \x7f",
            "A b\r\n",
            ": b",
            "A : b",
            "A: b\r\n c",
            "\u{e4}: b",
            "A: b\r\nC",
        ] {
            assert_eq!(Fields::parse(text), Err(BadField::Form), "{text:?}");
        }
    }

    #[test]
    fn the_answer_has_fields_of_its_own() {
        for name in ["Content-Length", "transfer-encoding", "CONNECTION", "Date", "Upgrade"] {
            let error = Fields::parse(&format!("A: b\r\n{name}: 1\r\n")).expect_err(name);
            assert!(error.to_string().contains(name), "{error}");
        }
        let many = format!("A: {}\r\n", "x".repeat(Fields::MAX));
        assert_eq!(Fields::parse(&many), Err(BadField::TooLong));
    }
}
