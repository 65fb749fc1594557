//! Squid as the proxy that ours must be mistaken for.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use tempfile::TempDir;

use crate::access_log::Line;
use crate::pki::Issued;
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
        let address = SocketAddr::from((loopback::address(), 3128));
        Squid::start_with(process::directory(), address, &format!("http_port {address}"))
    }

    /// The same for clients that speak TLS with it.
    ///
    /// # Panics
    /// As [`Squid::start`].
    pub fn start_https(address: IpAddr, identity: &Issued) -> Squid {
        let (dir, address) = (process::directory(), SocketAddr::new(address, 3128));
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| dir.path().join(name));
        identity.write(&cert, &key);
        let (cert, key) = (cert.display(), key.display());
        let port = format!("https_port {address} tls-cert={cert} tls-key={key}");
        Squid::start_with(dir, address, &port)
    }

    fn start_with(dir: TempDir, address: SocketAddr, port: &str) -> Squid {
        let path = dir.path().display();
        let config = format!(
            "{port}
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
