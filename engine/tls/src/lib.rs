//! TLS sessions as bytes in, bytes out, in the memory of pool buffers.
//!
//! The only crate that names rustls. Handshakes are rustls'; once one has ended, its secrets are taken over and records are opened
//! and sealed in place (docs/decisions/0010). It does no I/O but reading files of certificates, all of it in `files`, and knows no clock but the one
//! by which certificates are judged.
#![forbid(unsafe_code)]

mod aead;
mod distrust;
mod error;
mod fault;
mod files;
mod handshake;
mod hello;
mod identity;
mod priority;
mod provider;
mod records;
mod remembered;
mod session;
mod settings;
mod subject;
#[cfg(test)]
mod tests;
mod verify;

pub use aead::{FRONT_MAX, OVERHEAD_MAX};
pub use distrust::CertificateFault;
pub use error::{Alert, Error, Peer, VersionFault};
pub use fault::FileFault;
pub use files::{Ca, ClientFiles, FileError, ServerFiles, Swap};
pub use handshake::Agreed;
pub use identity::{Authorities, Identity, Revoked, authorities, revoked};
pub use priority::PriorityError;
pub use provider::Implementation;
pub use session::{Plain, Received, Session};
pub use settings::{Client, ClientAuth, ClientOptions, MinVersion, Server, ServerOptions};
pub use subject::{Allowed, subject_of};
pub use verify::Verify;
