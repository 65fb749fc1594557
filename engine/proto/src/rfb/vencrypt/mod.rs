//! VeNCrypt 0.2: TLS within RFB.
//!
//! ```text
//! server: 0.2 ─▶ client: 0.2 ─▶ server: ok, subtypes ─▶ client: one of them ─▶ server: go ─▶ TLS, the client begins
//! ```
//!
//! After rfbproto and QEMU. With certificates alone: anonymous TLS stops nobody in the middle.

pub(super) mod client;
mod server;

pub(super) use server::Server;
pub(super) use server::Within;

/// The version that everybody speaks.
const VERSION: [u8; 2] = [0, 2];
/// Zero was yes for the version; for the subtype, one is.
const GO: u8 = 1;

/// What TLS is for, and what follows within it. The numbers are QEMU's, which every client has taken over; the public text of the
/// protocol has X509SASL and TLSSASL the other way round.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Subtype {
    /// TLS with certificates, and nothing within.
    X509None = 260,
    /// VNC's challenge.
    X509Vnc = 261,
    /// A user's name and password.
    X509Plain = 262,
    /// SASL.
    X509Sasl = 263,
}

impl Subtype {
    /// Its number on the wire.
    pub fn number(self) -> u32 {
        self as u32
    }
}
