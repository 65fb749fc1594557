//! websockify, as Debian has it: what ours must be mistaken for.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::process::{self, Process};
use crate::{loopback, wait};

/// A running websockify.
#[derive(Debug)]
pub struct Websockify {
    process: Process,
    address: SocketAddr,
}

impl Websockify {
    /// Starts it with these options, and a target if they name none.
    ///
    /// # Panics
    /// When websockify is missing or nothing listens within 20 s.
    pub fn start(options: &[&str], target: Option<SocketAddr>) -> Websockify {
        let address = SocketAddr::from((loopback::address(), 6080));
        // Debian's own Python, whatever else is in the way: websockify and numpy are packages of Debian's.
        let mut command = process::command("/usr/bin/python3");
        command.arg("/usr/bin/websockify").args(options).arg(address.to_string());
        command.args(target.map(|target| target.to_string()));
        let process = Process::start(&mut command, process::directory());
        wait::until_true("websockify listens", Duration::from_secs(20), || {
            TcpStream::connect(address).is_ok()
        });
        Websockify { process, address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it said so far.
    pub fn said(&self) -> String {
        self.process.text("errors")
    }
}
