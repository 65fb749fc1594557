//! How VNC begins (RFC 6143, section 7, and VeNCrypt), for the load generator and its origin: a viewer who has nothing to prove, and a
//! server that asks for nothing, or for TLS first.
//!
//! It shares no code with the engine, as [`crate::tls`] shares none: a mistake of the engine's would not be one of its measurement, too.
//! One version, one type of each kind; whoever says anything else fails the measurement.
//!
//! ```text
//!  server: version   types            result            ServerInit
//!  viewer:        version    type              ClientInit          ─▶ whatever is measured
//!                                └─ TLS: version, subtypes, taken; then all of it by TLS
//! ```

mod server;
#[cfg(test)]
mod tests;
mod viewer;

pub(crate) use server::Server;
pub(crate) use viewer::Viewer;

/// Where a conversation has got to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The other side has to say more.
    Waiting,
    /// What follows is TLS.
    Tls,
    /// What follows is payload.
    Done,
}

/// What both sides speak.
pub(crate) const VERSION: &[u8; 12] = b"RFB 003.008\n";

/// Types of security, and the subtype of VeNCrypt that asks for TLS with a certificate and nothing else.
const NONE: u8 = 1;
const VENCRYPT: u8 = 19;
const X509_NONE: u32 = 260;
const VENCRYPT_VERSION: [u8; 2] = [0, 2];
/// Of a SecurityResult.
const OK: u32 = 0;

/// ServerInit: 800 by 600 pixels of 32 bits, with a name as QEMU's.
fn server_init() -> Vec<u8> {
    let mut init = vec![0x03, 0x20, 0x02, 0x58];
    init.extend([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0]);
    init.extend((NAME.len() as u32).to_be_bytes());
    init.extend(NAME);
    init
}

const NAME: &[u8] = b"QEMU (bench)";
