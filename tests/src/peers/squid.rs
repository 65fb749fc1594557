//! Squid as the proxy that ours must be mistaken for.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::access_log::Line;
use crate::process::{self, Process};
use crate::{loopback, wait};

/// A running Squid with the rules of oVirt's documentation for a SPICE proxy.
#[derive(Debug)]
pub struct Squid {
    process: Process,
    address: SocketAddr,
}

impl Squid {
    /// Starts it; its access rules are those of [`crate::Setup::new`].
    ///
    /// # Panics
    /// When Squid is missing or nothing listens within 20 s.
    pub fn start() -> Squid {
        let dir = process::directory();
        let address = SocketAddr::from((loopback::address(), 3128));
        let path = dir.path().display();
        let config = format!(
            "http_port {address}
acl safe_ports port 80 443 1025-65535
acl lab dst 127.0.0.0/8 ::1
http_access deny !safe_ports
http_access allow lab
http_access deny all
visible_hostname oracle
cache deny all
pid_filename {path}/squid.pid
cache_log {path}/cache.log
access_log stdio:{path}/access.log
coredump_dir {path}
pinger_enable off
shutdown_lifetime 0 seconds
"
        );
        fs::write(dir.path().join("squid.conf"), config).expect("our directory");
        let mut command = process::command("squid");
        command.arg("-N").arg("-f").arg(dir.path().join("squid.conf"));
        let squid = Squid { process: Process::start(&mut command, dir), address };
        wait::until_true("Squid listens", Duration::from_secs(20), || {
            TcpStream::connect(address).is_ok()
        });
        squid
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its access log so far, without the connections that never said anything.
    pub fn access_log(&self) -> Vec<Line> {
        let text = self.process.text("access.log");
        // The last line may not be whole yet.
        let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
        let lines = whole.lines().map(Line::parse);
        lines.filter(|line| !line.url.contains("transaction-end-before-headers")).collect()
    }
}
