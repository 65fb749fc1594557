//! What only one test may have at a time, whatever process it runs in.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};

use crate::connect::PATIENCE;
use crate::wait;

/// Holds the lock of this name until the file is dropped; waits for it.
///
/// # Panics
/// When the file of the lock can't be made.
pub fn hold(name: &str) -> File {
    let path = std::env::temp_dir().join(format!("penstock-{name}"));
    let file = File::create(path).expect("a file");
    file.lock().expect("a lock");
    file
}

/// The ports of a daemon that is started without a configuration. Whoever had them has left them by then.
///
/// # Panics
/// When somebody who knows nothing of this lock has one of them.
pub fn default_ports() -> File {
    let lock = hold("default-ports");
    // Where there was an accept on a ring, the kernel lets go of a listener a while after its process is gone.
    for port in [3128, 6080, 9128] {
        for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            wait::until_true(&format!("{ip} port {port} is free"), PATIENCE, || {
                TcpListener::bind((ip, port)).is_ok()
            });
        }
    }
    lock
}
