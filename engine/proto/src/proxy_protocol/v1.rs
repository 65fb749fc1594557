//! Version 1: one line of text in, its endpoints out.

use super::{Endpoints, Error, Header, Origin, Tlvs};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str::FromStr;

/// Longest line, in bytes, CRLF included.
pub const V1_LIMIT: usize = 107;

const PREFIX: &[u8] = b"PROXY ";

/// Where the line ends, behind its CRLF. `scanned` bytes need no second look.
pub(super) fn find_end(input: &[u8], scanned: &mut usize) -> Result<Option<usize>, Error> {
    if input.iter().zip(PREFIX).any(|(came, expected)| came != expected) {
        return Err(Error::NotProxy);
    }
    let line = &input[..input.len().min(V1_LIMIT)];
    let end = line[*scanned..].windows(2).position(|pair| pair == b"\r\n");
    match end {
        Some(offset) => Ok(Some(*scanned + offset + 2)),
        None if line.len() == V1_LIMIT => Err(Error::LineTooLong),
        None => {
            // The last byte may be the CR of a CRLF.
            *scanned = line.len().saturating_sub(1);
            Ok(None)
        }
    }
}

pub(super) fn parse(line: &[u8]) -> Result<Header, Error> {
    let fields = line.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(b"\r\n"));
    let origin = fields.and_then(origin).ok_or(Error::Line)?;
    Ok(Header { origin, tlvs: Tlvs::default() })
}

fn origin(fields: &[u8]) -> Option<Origin> {
    // What follows UNKNOWN is nobody's business, not even whether it is text.
    if fields == b"UNKNOWN" || fields.starts_with(b"UNKNOWN ") {
        return Some(Origin::Unknown);
    }
    let (family, addresses) = core::str::from_utf8(fields).ok()?.split_once(' ')?;
    match family {
        "TCP4" => endpoints::<Ipv4Addr>(addresses),
        "TCP6" => endpoints::<Ipv6Addr>(addresses),
        _ => None,
    }
}

fn endpoints<A: FromStr + Into<IpAddr>>(text: &str) -> Option<Origin> {
    let mut fields = text.split(' ');
    let mut address = || fields.next()?.parse::<A>().ok().map(Into::into);
    let (source, destination) = (address()?, address()?);
    let (source_port, destination_port) = (port(fields.next()?)?, port(fields.next()?)?);
    fields.next().is_none().then_some(Origin::Stream(Endpoints {
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
    }))
}

fn port(text: &str) -> Option<u16> {
    match text.as_bytes() {
        [b'0'] => Some(0),
        [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit) => text.parse().ok(),
        _ => None,
    }
}
