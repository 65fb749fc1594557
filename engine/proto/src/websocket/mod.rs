//! WebSocket (RFC 6455) as a server speaks it: a client's frames in, their payload out; payload in, frames out.
//!
//! Which frames are refused, and with which close code, follows websockify. Knows nothing of time: when to ping and how
//! long to wait is decided elsewhere. Negotiates no extension; puts no message together, and so has no longest one.

mod base64;
mod error;
mod frame;
mod header;
mod mask;
mod receive;
mod upgrade;

pub use base64::encode;
pub use error::Error;
pub use frame::{CONTROL_LIMIT, HEADER_LIMIT, Header, Opcode, close, header, ping, pong};
pub use mask::unmask;
pub use receive::{Close, Received, Receiver};
pub use upgrade::{Upgrade, UpgradeError, VERSIONS};

/// What data frames carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Payload {
    /// Binary frames, the bytes themselves.
    #[default]
    Binary,
    /// Text frames, the bytes in standard Base64: the sub-protocol that websockify had before 0.9.
    Base64,
}

#[cfg(test)]
mod tests;
