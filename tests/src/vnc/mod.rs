//! RFB's handshakes, by hands that know nothing of the engine's: a server and a client that speak any version, offer and choose any
//! security, really check it, and break off, stutter or blurt something out at any byte.
//!
//! In: a [`server::Script`] or a [`client::Login`]. Out: what the other side said and did. No screen is drawn: behind its
//! greeting the server gives back what comes.

mod challenge;
pub mod client;
mod sasl;
pub mod server;
pub mod wire;

pub use challenge::respond;

/// What RFB 3.8 begins with.
pub const V38: &[u8; 12] = b"RFB 003.008\n";
/// The same of RFB 3.7.
pub const V37: &[u8; 12] = b"RFB 003.007\n";
/// The same of RFB 3.3.
pub const V33: &[u8; 12] = b"RFB 003.003\n";

/// Security types.
pub mod security {
    /// Nothing is asked for.
    pub const NONE: u8 = 1;
    /// A password, by a challenge.
    pub const VNC: u8 = 2;
    /// TLS, and more within.
    pub const VENCRYPT: u8 = 19;
    /// SASL.
    pub const SASL: u8 = 20;
}

/// Subtypes of VeNCrypt, with QEMU's numbers.
pub mod subtype {
    /// A user's name and password, without TLS.
    pub const PLAIN: u32 = 256;
    /// TLS without certificates.
    pub const TLS_NONE: u32 = 257;
    /// TLS without certificates, and the challenge.
    pub const TLS_VNC: u32 = 258;
    /// TLS.
    pub const X509_NONE: u32 = 260;
    /// TLS, and the challenge.
    pub const X509_VNC: u32 = 261;
    /// TLS, a user's name and password.
    pub const X509_PLAIN: u32 = 262;
    /// TLS, and SASL.
    pub const X509_SASL: u32 = 263;

    /// Whether TLS with certificates is spoken, and what follows within it.
    pub fn within(subtype: u32) -> Option<Inner> {
        match subtype {
            X509_NONE => Some(Inner::None),
            X509_VNC => Some(Inner::Vnc),
            X509_PLAIN => Some(Inner::Plain),
            X509_SASL => Some(Inner::Sasl),
            _ => None,
        }
    }

    /// What is asked for within TLS.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Inner {
        /// Nothing.
        None,
        /// A password, by a challenge.
        Vnc,
        /// A user's name and password.
        Plain,
        /// SASL.
        Sasl,
    }
}

/// A user's name and password.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl Account {
    /// Of two words.
    pub fn new(user: &str, password: &str) -> Account {
        Account { user: user.to_owned(), password: password.to_owned() }
    }
}
