//! TigerVNC's server with a screen that is white: the one that asks for a user's name and password within TLS.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::pki::{Folder, Wanted};
use crate::private::{self, Processes};
use crate::process::{self, Process};
use crate::{loopback, procfs, wait};

/// The service by which it asks for passwords, which only it knows.
const SERVICE: &str = "penstock";

/// A running server. It shows itself as [`Xvnc::NAME`].
#[derive(Debug)]
pub struct Xvnc {
    process: Process,
    address: SocketAddr,
}

impl Xvnc {
    /// Who may come in.
    pub const USER: &'static str = "lab";
    /// By what.
    pub const PASSWORD: &'static str = "secret";
    /// What it calls its screen.
    pub const NAME: &'static str = "penstock";
    /// How large that is.
    pub const SIZE: (usize, usize) = (400, 300);

    /// Starts it with a certificate for its address, and X509Plain alone.
    ///
    /// # Panics
    /// When TigerVNC's server is missing, or nothing listens within 20 s.
    pub fn start(pki: &Folder) -> Xvnc {
        let address = SocketAddr::from((loopback::address(), 5900));
        let dir = process::directory();
        // Users of this machine have no part in this: its folder of services holds ours alone.
        let (services, check) = (dir.path().join("services"), dir.path().join("check"));
        fs::create_dir(&services).expect("our directory");
        let service = format!(
            "auth required pam_exec.so expose_authtok quiet {}\naccount required pam_permit.so\n",
            check.display()
        );
        fs::write(services.join(SERVICE), service).expect("our directory");
        let script = format!(
            "#!/bin/sh\n[ \"$PAM_USER:$(tr -d '\\0')\" = '{}:{}' ]\n",
            Xvnc::USER,
            Xvnc::PASSWORD
        );
        fs::write(&check, script).expect("our directory");
        fs::set_permissions(&check, fs::Permissions::from_mode(0o755)).expect("our file");
        let identity = pki.authority.issue(&Wanted::server(address.ip()));
        identity.write(&dir.path().join("server.pem"), &dir.path().join("server.key"));

        let mut command = private::command(&[(services, "/etc/pam.d")], Processes::Shared);
        // An X server wants to listen for windows, too: by a name that is no file, so that nothing of it is left.
        let display = 1000 + std::process::id() % 50_000;
        command.arg("Xvnc").arg(format!(":{display}"));
        command.args(["-nolisten", "tcp", "-nolisten", "unix", "-nolock", "-UseIPv6=0"]);
        command.args(["-rfbport", &address.port().to_string()]);
        command.args(["-interface", &address.ip().to_string()]);
        command.args(["-SecurityTypes", "X509Plain", "-PlainUsers", "*", "-PAMService", SERVICE]);
        command.args(["-X509Cert", "server.pem", "-X509Key", "server.key"]);
        command.args(["-geometry", &format!("{}x{}", Xvnc::SIZE.0, Xvnc::SIZE.1)]);
        command.args(["-wr", "-desktop", Xvnc::NAME]).current_dir(dir.path());
        let mut process = Process::start(&mut command, dir);
        wait::until_true("TigerVNC's server listens", Duration::from_secs(20), || {
            let ended = process.ended();
            assert!(ended.is_none(), "ended with {ended:?}");
            procfs::listens(address)
        });
        Xvnc { process, address }
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
