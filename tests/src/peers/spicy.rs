//! The SPICE client of GTK, without a window: it connects, draws the screen once, and ends.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use crate::picture::Picture;
use crate::private::{self, Processes};
use crate::process;

/// Whom to look at, and on which way.
#[derive(Clone, Debug)]
pub struct Spicy {
    arguments: Vec<String>,
    proxy: String,
    server_authority: Option<PathBuf>,
    system_authority: Option<PathBuf>,
}

impl Spicy {
    /// A server without TLS, through an HTTP proxy.
    pub fn through(proxy: SocketAddr, server: SocketAddr) -> Spicy {
        Spicy::new(format!("http://{proxy}"), server, "-p")
    }

    /// A server with TLS whose certificate is of the authority in this file, through an HTTP proxy.
    pub fn with_tls_through(proxy: SocketAddr, server: SocketAddr, authority: PathBuf) -> Spicy {
        let spicy = Spicy::new(format!("http://{proxy}"), server, "-s");
        Spicy { server_authority: Some(authority), ..spicy }
    }

    fn new(proxy: String, server: SocketAddr, port: &str) -> Spicy {
        let arguments =
            ["-h".into(), server.ip().to_string(), port.into(), server.port().to_string()];
        Spicy { arguments: arguments.into(), proxy, server_authority: None, system_authority: None }
    }

    /// Speaks TLS with the proxy and trusts the authority in this file. Such a proxy is trusted by the system's own store only: the
    /// client is shown another one.
    #[must_use]
    pub fn https(mut self, authority: PathBuf) -> Spicy {
        self.proxy = self.proxy.replacen("http:", "https:", 1);
        self.system_authority = Some(authority);
        self
    }

    /// What it sees.
    ///
    /// # Panics
    /// When it takes longer than 30 s, fails, or writes no picture.
    pub fn screenshot(&self) -> Picture {
        let dir = process::directory();
        let file = dir.path().join("screen.ppm");
        let mut command = self.command();
        command
            .args(["timeout", "30", "spicy-screenshot"])
            .args(&self.arguments)
            .arg("-o")
            .arg(&file);
        command.env("SPICE_PROXY", &self.proxy);
        if let Some(authority) = &self.server_authority {
            // OpenSSL's own variable: this client has no option for it.
            command.env("SSL_CERT_FILE", authority);
        }
        process::run(&mut command);
        Picture::parse(&fs::read(&file).expect("a file")).expect("a picture")
    }

    fn command(&self) -> Command {
        let store = "/etc/ssl/certs/ca-certificates.crt";
        let mounts = self.system_authority.iter().map(|file| (file.clone(), store));
        private::command(&mounts.collect::<Vec<_>>(), Processes::Shared)
    }
}

/// What it sees of a server through an HTTP proxy, neither with TLS.
///
/// # Panics
/// As [`Spicy::screenshot`].
pub fn screenshot(server: SocketAddr, proxy: SocketAddr) -> Picture {
    Spicy::through(proxy, server).screenshot()
}
