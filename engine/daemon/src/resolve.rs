//! Names on a command line: their addresses, before anything is listened on.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// A name's addresses; without a name, those that mean all of this host.
pub(crate) fn resolve(name: Option<&str>, port: u16) -> io::Result<Vec<SocketAddr>> {
    match name {
        None => Ok(vec![([0; 4], port).into(), ([0u16; 8], port).into()]),
        Some(name) => Ok((name, port).to_socket_addrs()?.collect()),
    }
}
