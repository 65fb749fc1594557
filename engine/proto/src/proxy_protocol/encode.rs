//! Sends PROXY headers: endpoints in, the bytes to send before all others out.

use super::{AUTHORITY, CRC32C, Endpoints, UNIQUE_ID, UNIQUE_ID_LIMIT, V2_LIMIT, crc32c, v2};
use alloc::format;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};

/// Two of IPv6, with their ports.
const ADDRESSES_MAX: usize = 2 * (16 + 2);

/// The header doesn't fit what receivers must accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// A header of version 2, as its sender sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeaderV2<'a> {
    /// `None` speaks on the sender's own behalf (LOCAL).
    pub endpoints: Option<Endpoints>,
    /// Host name that the client asked for.
    pub authority: Option<&'a str>,
    /// At most 128 bytes.
    pub unique_id: Option<&'a [u8]>,
    /// Append a CRC32C.
    pub checksum: bool,
}

/// Appends a version 1 line; `None` gives UNKNOWN.
pub fn encode_v1(endpoints: Option<Endpoints>, output: &mut Vec<u8>) {
    let Some(Endpoints { source, destination }) = endpoints.map(of_one_family) else {
        return output.extend_from_slice(b"PROXY UNKNOWN\r\n");
    };
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let line = format!(
        "PROXY {family} {} {} {} {}\r\n",
        source.ip(),
        destination.ip(),
        source.port(),
        destination.port()
    );
    output.extend_from_slice(line.as_bytes());
}

impl HeaderV2<'_> {
    /// Appends the header to `output`.
    ///
    /// # Errors
    /// [`TooLong`] if the unique id is over 128 bytes or the whole over 4 KiB; `output` is as before.
    pub fn encode(&self, output: &mut Vec<u8>) -> Result<(), TooLong> {
        let id = self.unique_id.unwrap_or_default();
        let authority = self.authority.unwrap_or_default().as_bytes();
        let extras = 3 * 3 + 4 + authority.len() + id.len();
        let mut block = Vec::with_capacity(ADDRESSES_MAX + extras);
        let (command, family) = match self.endpoints.map(of_one_family) {
            None => (v2::LOCAL, v2::UNSPEC),
            Some(ends) => (v2::PROXY, push_addresses(ends, &mut block)),
        };
        let longest = v2::FIXED + block.len() + extras;
        if id.len() > UNIQUE_ID_LIMIT || longest > V2_LIMIT {
            return Err(TooLong);
        }
        if self.authority.is_some() {
            push_tlv(AUTHORITY, authority, &mut block);
        }
        if self.unique_id.is_some() {
            push_tlv(UNIQUE_ID, id, &mut block);
        }
        if self.checksum {
            push_tlv(CRC32C, &[0; 4], &mut block);
        }
        let start = output.len();
        output.reserve(v2::FIXED + block.len());
        output.extend_from_slice(&v2::SIGNATURE);
        output.extend_from_slice(&[command, family]);
        output.extend_from_slice(&(block.len() as u16).to_be_bytes());
        output.extend_from_slice(&block);
        if self.checksum {
            let sum = crc32c::checksum([&output[start..]]).to_be_bytes();
            let field = output.len() - sum.len();
            output[field..].copy_from_slice(&sum);
        }
        Ok(())
    }
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a PROXY header of more than {V2_LIMIT} bytes, or an id of more than 128")
    }
}

impl core::error::Error for TooLong {}

/// A dual-stack socket shows IPv4 peers as mapped IPv6: undone where both ends allow, else done to
/// both, because a header has one family.
fn of_one_family(ends: Endpoints) -> Endpoints {
    let [source, destination] = [ends.source, ends.destination].map(|end| end.ip().to_canonical());
    let mapped = |ip| match ip {
        IpAddr::V4(v4) if source.is_ipv4() != destination.is_ipv4() => v4.to_ipv6_mapped().into(),
        as_it_is => as_it_is,
    };
    Endpoints {
        source: SocketAddr::new(mapped(source), ends.source.port()),
        destination: SocketAddr::new(mapped(destination), ends.destination.port()),
    }
}

/// Returns the family byte.
fn push_addresses(ends: Endpoints, block: &mut Vec<u8>) -> u8 {
    for end in [ends.source, ends.destination] {
        match end.ip() {
            IpAddr::V4(address) => block.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => block.extend_from_slice(&address.octets()),
        }
    }
    for end in [ends.source, ends.destination] {
        block.extend_from_slice(&end.port().to_be_bytes());
    }
    if ends.source.is_ipv4() { v2::TCP4 } else { v2::TCP6 }
}

/// `value` is far below the 64 KiB that the length field can tell.
fn push_tlv(kind: u8, value: &[u8], block: &mut Vec<u8>) {
    block.push(kind);
    block.extend_from_slice(&(value.len() as u16).to_be_bytes());
    block.extend_from_slice(value);
}
