//! The target of a CONNECT: text in, `host:port` in canonical form out.
//!
//! Grammar of Squid 8, plus unbracketed IPv6 as spice-gtk sends it. Resolves nothing, and judges
//! nothing: whether a target is allowed is decided on the address that is really connected to.

use super::line::is_token_byte;
use alloc::string::String;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest name the DNS can carry, in bytes of text (RFC 1035 §2.3.4).
const NAME_LIMIT: usize = 253;

/// Where a client wants to go. `Display` gives `host:port`, IPv6 in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Name or literal address.
    pub host: Host,
    /// TCP port, never zero.
    pub port: u16,
}

/// `Display` brackets IPv6, as in a URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// Lower case, without trailing dots; not necessarily a name that can exist.
    Name(String),
    /// Four decimal parts. Shorter and hexadecimal spellings are names.
    V4(Ipv4Addr),
    /// As written: an IPv4-mapped address stays IPv6 here.
    V6(Ipv6Addr),
}

/// Why a text is no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// No `:port` at the end.
    MissingPort,
    /// Not 1 to 65535 in plain decimal.
    Port,
    /// `user@host`: credentials do not belong here.
    UserInfo,
    /// Brackets or colons without an IPv6 address; zone ids included.
    Ipv6,
    /// Empty, too long, an empty label, or a byte that no name has.
    Name,
}

impl Target {
    /// Reads `host:port`. With `strict`, IPv6 must stand in brackets.
    ///
    /// # Errors
    /// Names the first part that breaks the grammar.
    pub fn parse(text: &str, strict: bool) -> Result<Self, TargetError> {
        if text.contains('@') {
            return Err(TargetError::UserInfo);
        }
        if let Some(bracketed) = text.strip_prefix('[') {
            let (host, rest) = bracketed.split_once(']').ok_or(TargetError::Ipv6)?;
            let host = Host::V6(host.parse().map_err(|_| TargetError::Ipv6)?);
            let port = rest.strip_prefix(':').ok_or(TargetError::MissingPort)?;
            return Ok(Self { host, port: parse_port(port)? });
        }
        let (host, port) = text.rsplit_once(':').ok_or(TargetError::MissingPort)?;
        let host = match host.contains(':') {
            true if strict => return Err(TargetError::Ipv6),
            _ => Host::parse(host)?,
        };
        Ok(Self { host, port: parse_port(port)? })
    }
}

impl Host {
    /// Reads a name or an address, IPv6 without brackets.
    ///
    /// # Errors
    /// [`TargetError::Ipv6`] or [`TargetError::Name`].
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        match text.contains(':') {
            true => text.parse().map(Self::V6).map_err(|_| TargetError::Ipv6),
            false => parse_name(text),
        }
    }

    /// The address, if the host is one.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::V4(address) => Some((*address).into()),
            Self::V6(address) => Some((*address).into()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingPort => "expected host:port, the port is missing",
            Self::Port => "expected a port from 1 to 65535 without leading zeros",
            Self::UserInfo => "expected host:port, came user information before an @",
            Self::Ipv6 => "expected an IPv6 address, in brackets and without a zone",
            Self::Name => "expected a host name or address before the port",
        })
    }
}

fn parse_port(text: &str) -> Result<u16, TargetError> {
    match text.as_bytes() {
        [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit) => {
            text.parse().map_err(|_| TargetError::Port)
        }
        _ => Err(TargetError::Port),
    }
}

fn parse_name(text: &str) -> Result<Host, TargetError> {
    let name = text.trim_end_matches('.');
    let is_name = (1..=NAME_LIMIT).contains(&name.len())
        && name.bytes().all(is_token_byte)
        && name.split('.').all(|label| !label.is_empty());
    match name.parse() {
        Ok(address) => Ok(Host::V4(address)),
        Err(_) if is_name => Ok(Host::Name(name.to_ascii_lowercase())),
        Err(_) => Err(TargetError::Name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn canonical(text: &str) -> String {
        Target::parse(text, false).unwrap().to_string()
    }

    fn refusal(text: &str) -> TargetError {
        Target::parse(text, false).unwrap_err()
    }

    #[test]
    fn targets_come_out_in_canonical_form() {
        for (text, expected) in [
            ("Example.COM:5900", "example.com:5900"),
            ("example.com..:1", "example.com:1"),
            ("10.0.0.1:65535", "10.0.0.1:65535"),
            ("10.0.0.1.:80", "10.0.0.1:80"),
            ("[2001:DB8::1]:5901", "[2001:db8::1]:5901"),
            ("2001:db8::1:5901", "[2001:db8::1]:5901"),
            ("::1:18080", "[::1]:18080"),
            ("::ffff:127.0.0.1:5900", "[::ffff:127.0.0.1]:5900"),
            ("vm_7~a:5900", "vm_7~a:5900"),
        ] {
            assert_eq!(canonical(text), expected, "{text}");
        }
    }

    #[test]
    fn short_and_hexadecimal_addresses_stay_names() {
        for text in ["127.1:1", "0x7f.1:1", "2130706433:1", "010.0.0.1:1"] {
            assert!(matches!(Target::parse(text, false).unwrap().host, Host::Name(_)), "{text}");
        }
    }

    #[test]
    fn each_refusal_names_its_part() {
        for text in ["", "host", "[::1]", "127.0.0.1", "[::1]80"] {
            assert_eq!(refusal(text), TargetError::MissingPort, "{text}");
        }
        for port in ["", "0", "080", "65536", "+80", "8o", "80 ", "80/", "99999999999999999999"] {
            assert_eq!(refusal(&["h:", port].concat()), TargetError::Port, "{port}");
        }
        for text in ["a@b:1", "user:secret@host:1", "@h:1"] {
            assert_eq!(refusal(text), TargetError::UserInfo, "{text}");
        }
        for text in ["[::1:80", "[fe80::1%eth0]:80", "fe80::1%eth0:80", "[10.0.0.1]:80", "a:b:80"] {
            assert_eq!(refusal(text), TargetError::Ipv6, "{text}");
        }
        for text in [":80", ".:80", ".a:80", "a..b:80", "a/b:80", "a b:80", "a\\b:80", "ä:80"] {
            assert_eq!(refusal(text), TargetError::Name, "{text}");
        }
    }

    #[test]
    fn the_longest_name_is_253_bytes() {
        let name = "abcdefg.".repeat(32);
        assert!(Target::parse(&[&name[..253], ":1"].concat(), false).is_ok());
        assert_eq!(refusal(&[&name[..254], "h:1"].concat()), TargetError::Name);
    }

    #[test]
    fn strict_wants_brackets() {
        assert_eq!(Target::parse("::1:80", true), Err(TargetError::Ipv6));
        assert!(Target::parse("[::1]:80", true).is_ok());
    }
}
