//! Text of single values: spans of time, sizes, addresses, `auto`.
//!
//! In: one TOML value. Out: the value, or what was expected and what came; the reader of the file knows where.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Unexpected, Visitor};

/// A span of time above zero: `200us`, `500ms`, `10s`, `15m`, `12h`, `7d`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span(pub(crate) Duration);

/// A span of time, or `off`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SpanOrOff(pub(crate) Option<Duration>);

/// A number of bytes: `64MiB`, `64KiB`, or a bare integer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Size(pub(crate) usize);

/// An address to listen on, with a port that is not zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Address(pub(crate) SocketAddr);

/// One place to listen at or a list of them; owner and permissions of UNIX sockets are still to come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Addresses(pub(crate) Vec<Place>);

/// Permissions of a file, in octal: `0660`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mode(pub(crate) u32);

/// A user or group, by name or number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Name(pub(crate) String);

/// One value or a list of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct OneOrMore<T>(pub(crate) Vec<T>);

/// Where to listen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// A TCP port.
    Tcp(SocketAddr),
    /// The path of a UNIX socket.
    Unix(PathBuf),
}

/// A number above zero, or `auto`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Auto(pub(crate) Option<usize>);

/// A number above zero, or `off`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NumberOrOff(pub(crate) Option<usize>);

/// A word of a list; a bare integer will do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Word(pub(crate) String);

fn span(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let one = match unit {
        "us" => Duration::from_micros(1),
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        "d" => Duration::from_secs(86_400),
        _ => return None,
    };
    let number = number.parse::<u32>().ok().filter(|n| *n > 0)?;
    one.checked_mul(number)
}

fn size(text: &str) -> Option<usize> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(1 << shift)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp(address) => address.fmt(f),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

fn place(text: &str) -> Option<Place> {
    match text.strip_prefix("unix:") {
        Some(path) => path.starts_with('/').then(|| Place::Unix(path.into())),
        None => address(text).map(Place::Tcp),
    }
}

fn mode(text: &str) -> Option<u32> {
    let is_octal =
        (3..=4).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit());
    u32::from_str_radix(text, 8).ok().filter(|mode| is_octal && *mode <= 0o777)
}

fn address(text: &str) -> Option<SocketAddr> {
    text.parse::<SocketAddr>().ok().filter(|address| address.port() != 0)
}

/// Reads one value of a kind that has a text form and perhaps an integer form.
struct Scalar<T> {
    expected: &'static str,
    text: fn(&str) -> Option<T>,
    integer: fn(usize) -> Option<T>,
}

impl<T> Visitor<'_> for Scalar<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.text)(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        let value = usize::try_from(number).ok().and_then(self.integer);
        value.ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
    }
}

const SPAN: &str = r#"a span of time above zero such as "500ms", "10s", "15m", "12h" or "7d""#;
const SPAN_OR_OFF: &str =
    r#"a span of time above zero such as "500ms", "10s", "15m", "12h" or "7d", or "off""#;
const SIZE: &str = r#"a number of bytes such as "64KiB" or "64MiB""#;
const ADDRESS: &str = r#"an address and port such as "127.0.0.1:3128" or "[::1]:3128""#;
const PLACE: &str = r#"an address and port such as "127.0.0.1:3128" or "[::1]:3128", or a UNIX socket such as "unix:/run/penstock/proxy.sock""#;
const MODE: &str = r#"permissions in octal such as "0660""#;
const NUMBER_OR_OFF: &str = r#"a number above zero, or "off""#;
const AUTO: &str = r#"a number above zero, or "auto""#;

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Scalar { expected: SPAN, text: span, integer: |_| None }).map(Span)
    }
}

impl<'de> Deserialize<'de> for SpanOrOff {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = |text: &str| if text == "off" { Some(None) } else { span(text).map(Some) };
        let scalar = Scalar { expected: SPAN_OR_OFF, text, integer: |_| None };
        from.deserialize_any(scalar).map(SpanOrOff)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Scalar { expected: SIZE, text: size, integer: Some }).map(Size)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let scalar = Scalar { expected: ADDRESS, text: address, integer: |_| None };
        from.deserialize_any(scalar).map(Address)
    }
}

impl<'de> Deserialize<'de> for Auto {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = |text: &str| (text == "auto").then_some(None);
        let integer = |number: usize| (number > 0).then_some(Some(number));
        from.deserialize_any(Scalar { expected: AUTO, text, integer }).map(Auto)
    }
}

impl<'de> Deserialize<'de> for NumberOrOff {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = |text: &str| (text == "off").then_some(None);
        let integer = |number: usize| (number > 0).then_some(Some(number));
        let scalar = Scalar { expected: NUMBER_OR_OFF, text, integer };
        from.deserialize_any(scalar).map(NumberOrOff)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Scalar { expected: PLACE, text: place, integer: |_| None })
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Scalar { expected: MODE, text: mode, integer: |_| None }).map(Mode)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Word::deserialize(from).map(|Word(name)| Name(name))
    }
}

impl<'de> Deserialize<'de> for OneOrMore<PathBuf> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OneOrMany {
            expected: "a path",
            one: |text| Some(PathBuf::from(text)),
        })
        .map(OneOrMore)
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let scalar = Scalar {
            expected: "a string",
            text: |text| Some(text.to_owned()),
            integer: |number| Some(number.to_string()),
        };
        from.deserialize_any(scalar).map(Word)
    }
}

impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OneOrMany { expected: PLACE, one: place }).map(Addresses)
    }
}

/// Reads one text or a list of them, each in the same way.
struct OneOrMany<T> {
    expected: &'static str,
    one: fn(&str) -> Option<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, or a list of them", self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<T>, E> {
        let one = (self.one)(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))?;
        Ok(vec![one])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(next) = list.next_element()? {
            all.push(next);
        }
        if all.is_empty() {
            return Err(A::Error::invalid_length(0, &"at least one"));
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_number_and_a_unit() {
        let cases = [("500ms", 500), ("10s", 10_000), ("15m", 900_000), ("12h", 43_200_000)];
        for (text, milliseconds) in cases {
            assert_eq!(span(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        assert_eq!(span("200us"), Some(Duration::from_micros(200)));
        assert_eq!(span("7d"), Some(Duration::from_secs(7 * 86_400)));
        for text in ["", "10", "s", "10x", "0s", "-1s", "1.5s", "10 s", "10S", "99999999999s"] {
            assert_eq!(span(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_binary() {
        let cases = [("0", 0), ("4096", 4096), ("64KiB", 65_536), ("64MiB", 67_108_864)];
        for (text, bytes) in cases {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "KiB", "64KB", "64k", "-1", "99999999999GiB", "1.5MiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn an_address_has_a_port() {
        assert!(address("127.0.0.1:3128").is_some() && address("[::1]:3128").is_some());
        for text in ["127.0.0.1", "127.0.0.1:0", "::1:3128", "localhost:3128", "127.0.0.1:65536"] {
            assert_eq!(address(text), None, "{text}");
        }
    }
}
