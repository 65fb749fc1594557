//! libvirt's remote URIs: how a daemon is reached, as libvirt's own client reaches it.
//!
//! In: the text of a URI, and what is known of the machine and the user ([`Surroundings`]). Out: a [`Way`]: an address, the
//! candidates for a socket, or a command line; the places of certificates; and all of it in words. Nothing is resolved,
//! looked for or run here. libvirt's RPC passes through untouched: only where its messages end is followed ([`Messages`]).
//!
//! What libvirt's documentation leaves open was tried with its client, version 9.0.0; the tests hold what it did.

mod authority;
pub mod certificates;
mod error;
mod explain;
mod messages;
mod parameters;
mod percent;
mod readonly;
mod sockets;
mod ssh;
mod surroundings;
mod uri;
mod way;

pub use error::{UriError, WayError};
pub use explain::{ClientLeg, explain, sasl_conflict};
pub use messages::Messages;
pub use parameters::{Mode, Parameter, Proxy, Purpose};
pub use sockets::Sockets;
pub use surroundings::{Surroundings, User};
pub use uri::{Transport, Uri};
pub use way::{Command, Way};

#[cfg(test)]
mod properties;
