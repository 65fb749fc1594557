//! PROXY protocol, versions 1 and 2, in and out: who really speaks at the other end.
//!
//! After haproxy's `doc/proxy-protocol.txt`. Whether a header must come is configured; nothing here
//! guesses, and nothing here decides whose header to trust.

mod crc32c;
mod encode;
mod receive;
mod tlv;
mod v1;
mod v2;

pub use encode::{HeaderV2, TooLong, encode_v1};
pub use receive::Receiver;
pub use tlv::{Tlv, Tlvs};
pub use v1::V1_LIMIT;
pub use v2::V2_LIMIT;

use core::fmt;
use core::net::SocketAddr;

/// `authority`: host name that the client asked for, UTF-8.
pub const AUTHORITY: u8 = 0x02;
/// CRC32C over the whole header.
pub const CRC32C: u8 = 0x03;
/// Opaque id of the connection, at most 128 bytes.
pub const UNIQUE_ID: u8 = 0x05;

/// Longest unique id, in bytes.
pub const UNIQUE_ID_LIMIT: usize = 128;

/// One header that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// On whose behalf the sender speaks.
    pub origin: Origin,
    /// Extras of version 2; empty for version 1 and without a known origin.
    pub tlvs: Tlvs,
}

/// On whose behalf the sender speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// On its own, such as a health check: the real endpoints of the connection hold.
    Local,
    /// For somebody whom it cannot tell: the real endpoints of the connection hold.
    Unknown,
    /// For a client on TCP.
    Stream(Endpoints),
    /// For a client on UDP.
    Datagram(Endpoints),
    /// For a client on a Unix socket.
    Unix {
        /// Path of the client; empty if it has none.
        source: UnixPath,
        /// Path it connected to.
        destination: UnixPath,
    },
}

/// Both ends of the first leg, of one address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The client.
    pub source: SocketAddr,
    /// What the client connected to.
    pub destination: SocketAddr,
}

/// A path without its padding; a leading NUL marks an abstract name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixPath(pub alloc::vec::Vec<u8>);

/// Always the peer's doing; each one ends the connection without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The first bytes are neither `PROXY ` nor the signature of version 2.
    NotProxy,
    /// A version 1 line without CRLF in its first 107 bytes.
    LineTooLong,
    /// A version 1 line that breaks the grammar.
    Line,
    /// Version and command byte of version 2, other than 0x20 and 0x21.
    Command(u8),
    /// Family and transport byte of version 2 that the protocol doesn't define.
    Family(u8),
    /// A version 2 header of more than 4 KiB.
    TooLong(u16),
    /// Shorter than the addresses that it announces.
    TooShort(u16),
    /// A TLV that overruns the header, or has a size its type cannot have.
    Tlv(u8),
    /// The CRC32C doesn't match.
    Checksum,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotProxy => f.write_str("expected a PROXY header, came something else"),
            Self::LineTooLong => {
                write!(f, "expected CRLF in the first {V1_LIMIT} bytes of a PROXY line, came none")
            }
            Self::Line => f.write_str("expected `PROXY TCP4|TCP6|UNKNOWN ...`, came another line"),
            Self::Command(byte) => {
                write!(f, "expected PROXY version 2 LOCAL or PROXY, came 0x{byte:02x}")
            }
            Self::Family(byte) => {
                write!(f, "expected a known PROXY address family, came 0x{byte:02x}")
            }
            Self::TooLong(length) => {
                write!(f, "expected a PROXY header of at most {V2_LIMIT} bytes, came 16 + {length}")
            }
            Self::TooShort(length) => {
                write!(f, "expected both addresses in the PROXY header, came {length} bytes")
            }
            Self::Tlv(kind) => write!(f, "expected whole PROXY TLVs, came a broken 0x{kind:02x}"),
            Self::Checksum => f.write_str("expected the CRC32C of the PROXY header, came another"),
        }
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests;
