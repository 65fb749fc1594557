//! Version 2: a binary header in, its endpoints and extras out.

use super::{Endpoints, Error, Header, Origin, Tlvs, UnixPath};
use core::net::{IpAddr, SocketAddr};

/// Longest header accepted, in bytes; the protocol itself allows 16 + 65,535.
pub const V2_LIMIT: usize = 4096;

pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
pub(super) const LOCAL: u8 = 0x20;
pub(super) const PROXY: u8 = 0x21;
pub(super) const UNSPEC: u8 = 0x00;
pub(super) const TCP4: u8 = 0x11;
pub(super) const TCP6: u8 = 0x21;
const UDP4: u8 = 0x12;
const UDP6: u8 = 0x22;
const UNIX_STREAM: u8 = 0x31;
const UNIX_DATAGRAM: u8 = 0x32;

/// Signature, command, family, length.
pub(super) const FIXED: usize = 16;

/// `sun_path` on every system that haproxy runs on.
const UNIX_PATH: usize = 108;

/// Length of the whole header, once it is known.
pub(super) fn find_end(input: &[u8]) -> Result<Option<usize>, Error> {
    if input.iter().zip(SIGNATURE).any(|(came, expected)| *came != expected) {
        return Err(Error::NotProxy);
    }
    match input[SIGNATURE.len().min(input.len())..] {
        [command, ..] if command != LOCAL && command != PROXY => Err(Error::Command(command)),
        [_, _, high, low, ..] => match u16::from_be_bytes([high, low]) {
            length if FIXED + usize::from(length) > V2_LIMIT => Err(Error::TooLong(length)),
            length => Ok(Some(FIXED + usize::from(length))),
        },
        _ => Ok(None),
    }
}

/// `header` is whole, as [`find_end`] measured it.
pub(super) fn parse(header: &[u8]) -> Result<Header, Error> {
    let (fixed, block) = header.split_at(FIXED);
    let ends_known = |origin| Ok(Header { origin, tlvs: Tlvs::default() });
    match (fixed[12], fixed[13]) {
        (LOCAL, _) => return ends_known(Origin::Local),
        (_, UNSPEC) => return ends_known(Origin::Unknown),
        _ => {}
    }
    let too_short = Error::TooShort(u16::from_be_bytes([fixed[14], fixed[15]]));
    let (origin, extras) = match fixed[13] {
        TCP4 => inet::<4>(block).map(|(ends, rest)| (Origin::Stream(ends), rest)),
        UDP4 => inet::<4>(block).map(|(ends, rest)| (Origin::Datagram(ends), rest)),
        TCP6 => inet::<16>(block).map(|(ends, rest)| (Origin::Stream(ends), rest)),
        UDP6 => inet::<16>(block).map(|(ends, rest)| (Origin::Datagram(ends), rest)),
        UNIX_STREAM | UNIX_DATAGRAM => unix(block),
        other => return Err(Error::Family(other)),
    }
    .ok_or(too_short)?;
    let tlvs = Tlvs::parse(extras)?;
    tlvs.verify_checksum(header)?;
    Ok(Header { origin, tlvs })
}

/// Two addresses of `N` bytes, then two ports.
fn inet<const N: usize>(block: &[u8]) -> Option<(Endpoints, &[u8])>
where
    IpAddr: From<[u8; N]>,
{
    let (source, block) = block.split_first_chunk::<N>()?;
    let (destination, block) = block.split_first_chunk::<N>()?;
    let (source_port, block) = block.split_first_chunk::<2>()?;
    let (destination_port, rest) = block.split_first_chunk::<2>()?;
    let ends = Endpoints {
        source: SocketAddr::new((*source).into(), u16::from_be_bytes(*source_port)),
        destination: SocketAddr::new((*destination).into(), u16::from_be_bytes(*destination_port)),
    };
    Some((ends, rest))
}

fn unix(block: &[u8]) -> Option<(Origin, &[u8])> {
    let (source, block) = block.split_first_chunk::<UNIX_PATH>()?;
    let (destination, rest) = block.split_first_chunk::<UNIX_PATH>()?;
    let origin = Origin::Unix { source: unpad(source), destination: unpad(destination) };
    Some((origin, rest))
}

fn unpad(path: &[u8]) -> UnixPath {
    let length = path.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    UnixPath(path[..length].into())
}
