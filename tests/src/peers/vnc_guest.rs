//! QEMU with a guest whose screen is shown by VNC, with each kind of security that QEMU has for it.
//!
//! QEMU offers one security type, and within VeNCrypt one subtype: which, follows from certificates, password and SASL together.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::Guest;
use super::qemu::start;
use crate::process::{self, Process};
use crate::{loopback, procfs, wait};

/// The user that [`VncSetup::sasl`] lets in.
pub const SASL_USER: &str = "lab";
/// That user's password.
pub const SASL_PASSWORD: &str = "secret";

/// What a VNC server of QEMU's is started with; without more, it asks for nothing.
#[derive(Debug)]
pub struct VncSetup {
    dir: TempDir,
    address: SocketAddr,
    options: String,
    objects: Vec<String>,
    has_sasl: bool,
    is_unix: bool,
}

impl VncSetup {
    /// One on an address of its own.
    pub fn new() -> VncSetup {
        VncSetup {
            dir: process::directory(),
            address: SocketAddr::from((loopback::address(), 5900)),
            options: String::new(),
            objects: Vec::new(),
            has_sasl: false,
            is_unix: false,
        }
    }

    /// Where it will listen, for whom a certificate is made for it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn object(mut self, object: String) -> VncSetup {
        self.objects.push(object);
        self
    }

    fn option(mut self, option: &str) -> VncSetup {
        self.options += option;
        self
    }

    /// Asks for this password by VNC's challenge.
    #[must_use]
    pub fn password(self, password: &str) -> VncSetup {
        let secret = format!("secret,id=password,data={password}");
        self.object(secret).option(",password-secret=password")
    }

    /// Speaks TLS with a certificate, as [`crate::pki::Authority::qemu_server`] writes it, and wants to see no other.
    #[must_use]
    pub fn certificates(self, dir: &Path) -> VncSetup {
        self.tls("tls-creds-x509", &format!(",dir={},verify-peer=off", dir.display()))
    }

    /// The same, and only who has a certificate of the same authority comes in.
    #[must_use]
    pub fn mutual(self, dir: &Path) -> VncSetup {
        self.tls("tls-creds-x509", &format!(",dir={},verify-peer=on", dir.display()))
    }

    /// Speaks TLS without any certificate.
    #[must_use]
    pub fn anonymous(self) -> VncSetup {
        self.tls("tls-creds-anon", "")
    }

    fn tls(self, kind: &str, more: &str) -> VncSetup {
        self.object(format!("{kind},id=tls,endpoint=server{more}")).option(",tls-creds=tls")
    }

    /// Lets nobody in but who has this subject, as GnuTLS writes it: `O=Penstock,CN=proxy`.
    #[must_use]
    pub fn only(self, subject: &str) -> VncSetup {
        let rule = json!({ "match": subject, "policy": "allow", "format": "exact" });
        let list =
            json!({ "qom-type": "authz-list", "id": "people", "policy": "deny", "rules": [rule] });
        self.object(list.to_string()).option(",tls-authz=people")
    }

    /// Asks for [`SASL_USER`] and [`SASL_PASSWORD`] by SASL with these mechanisms.
    ///
    /// # Panics
    /// When `saslpasswd2` is missing.
    #[must_use]
    pub fn sasl(mut self, mechanisms: &str) -> VncSetup {
        let users = self.dir.path().join("users");
        let config = format!(
            "mech_list: {mechanisms}\npwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {}\n",
            users.display()
        );
        fs::write(self.dir.path().join("qemu.conf"), config).expect("our directory");
        let mut command = Command::new("sh");
        command.args(["-c", "echo \"$1\" | saslpasswd2 -p -c -a qemu -f \"$0\" \"$2\""]);
        process::run(command.arg(users).args([SASL_PASSWORD, SASL_USER]));
        self.has_sasl = true;
        self.option(",sasl=on")
    }

    /// Listens on a UNIX socket.
    #[must_use]
    pub fn unix(mut self) -> VncSetup {
        self.is_unix = true;
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// When qemu or binutils is missing, the guest isn't up within 30 s, or nothing listens.
    pub fn start(self) -> VncGuest {
        let socket = self.dir.path().join("vnc");
        let place = match self.is_unix {
            true => format!("unix:{}", socket.display()),
            false => format!("{}:{}", self.address.ip(), self.address.port() - 5900),
        };
        let screen = format!("{place}{}", self.options);
        let mut arguments = vec!["-vga", "std", "-serial", "file:serial", "-vnc", &screen];
        arguments.extend(self.objects.iter().flat_map(|object| ["-object", object.as_str()]));
        let sasl = self.dir.path().to_owned();
        let environment: &[_] =
            if self.has_sasl { &[("SASL_CONF_PATH", sasl.as_path())] } else { &[] };
        let process = start(self.dir, &arguments, environment);
        if !self.is_unix {
            let listens = || procfs::listens(self.address);
            wait::until_true("a VNC server", Duration::from_secs(5), listens);
        }
        VncGuest { process, address: self.address }
    }
}

impl Default for VncSetup {
    fn default() -> VncSetup {
        VncSetup::new()
    }
}

/// A running guest that has drawn [`Guest::TEXT`].
#[derive(Debug)]
pub struct VncGuest {
    process: Process,
    address: SocketAddr,
}

impl VncGuest {
    /// What stands on the guest's screen, in its first line.
    pub const TEXT: &'static str = Guest::TEXT;

    /// Where its VNC server listens, if that is a port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The UNIX socket of its VNC server, if that is one.
    pub fn socket(&self) -> PathBuf {
        self.process.path("vnc")
    }

    /// What it said so far by its serial port: its line, and what was typed.
    pub fn said(&self) -> String {
        self.process.text("serial")
    }
}
