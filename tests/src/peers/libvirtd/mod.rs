//! libvirtd with everything that a client can want of it: every transport, every way to prove who one is, a guest, a folder
//! of volumes. It has its own `/run`, `/etc/libvirt` and folders of `/var`, so that many of them run beside the machine's own.

mod setup;
mod ssh;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use setup::LibvirtdSetup;

use super::{Virsh, qemu};
use crate::process::Process;
use crate::{private, wait};

/// A running libvirtd. All of it, with guests and servers beside it, ends when this value is dropped.
#[derive(Debug)]
pub struct Libvirtd {
    process: Process,
    tcp: SocketAddr,
    tls: SocketAddr,
    ssh: SocketAddr,
}

impl Libvirtd {
    /// Its UNIX socket, seen from outside.
    pub fn socket(&self) -> PathBuf {
        self.process.path("run/libvirt/libvirt-sock")
    }

    /// What is `/run` to it.
    pub fn run(&self) -> PathBuf {
        self.process.path("run")
    }

    /// By its UNIX socket.
    pub fn by_unix(&self) -> String {
        format!("qemu+unix:///system?socket={}", self.socket().display())
    }

    /// By TCP.
    pub fn by_tcp(&self) -> String {
        format!("qemu+tcp://{}/system", self.tcp)
    }

    /// By TLS, with the certificates in a folder: see [`Authority::libvirt_client`].
    pub fn by_tls(&self, pkipath: &Path) -> String {
        format!("qemu+tls://{}/system?pkipath={}", self.tls, pkipath.display())
    }

    /// By ssh, with the key that it was given.
    pub fn by_ssh(&self) -> String {
        let path = |name| self.process.path(name).display().to_string();
        let (key, command) = (path("ssh-user"), path("ssh"));
        format!("qemu+ssh://root@{}/system?keyfile={key}&command={command}", self.ssh)
    }

    /// Where it listens for TLS.
    pub fn tls(&self) -> SocketAddr {
        self.tls
    }

    /// The file that tells virsh name and password, for the parameter `authfile`.
    pub fn password(&self) -> PathBuf {
        self.process.path("password")
    }

    /// What it and those beside it said so far.
    pub fn said(&self) -> String {
        self.process.text("errors")
    }

    /// Starts the guest `guest`, whose serial console gives back what it gets, and waits until it is up.
    ///
    /// # Panics
    /// When it isn't within 30 s, or we aren't root.
    pub fn start_guest(&self) {
        // Who is root in a user namespace only may not set groups, which libvirtd does for every guest.
        assert!(nix::unistd::geteuid().is_root(), "libvirtd starts guests for root only");
        let dir = self.process.path("");
        let disk = qemu::make_disk(&dir);
        let serial = dir.join("serial");
        let domain = format!(
            "<domain type='qemu'><name>guest</name><memory unit='MiB'>16</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os><devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<disk type='file' device='floppy'><driver name='qemu' type='raw'/><source file='{}'/><target dev='fda'/><readonly/></disk>
<serial type='pty'><log file='{}' append='off'/></serial><memballoon model='none'/></devices></domain>",
            disk.display(),
            serial.display()
        );
        fs::write(dir.join("guest.xml"), domain).expect("our directory");
        // Once in fifty times, QEMU doesn't understand the first word that this libvirtd says to it ("stray ''").
        let (virsh, domain) = (Virsh::new(self.by_unix()), dir.join("guest.xml"));
        let create = ["create", &domain.display().to_string()];
        virsh.try_run(&create).or_else(|_| virsh.try_run(&create)).expect("a guest");
        wait::until_true("the guest is up", Duration::from_secs(30), || {
            self.process.text("serial").contains(qemu::Guest::TEXT)
        });
    }

    /// Makes the storage pool `files`, with an empty volume `volume` of that size.
    ///
    /// # Panics
    /// When libvirtd refuses.
    pub fn make_volume(&self, bytes: u64) {
        let volumes = self.process.path("volumes").display().to_string();
        self.manage(&["pool-create-as", "files", "dir", "--target", &volumes]);
        self.manage(&["vol-create-as", "files", "volume", &format!("{bytes}b")]);
    }

    /// Stops the guest for a while, which is an event.
    ///
    /// # Panics
    /// When it doesn't run.
    pub fn pause_guest(&self) {
        self.manage(&["suspend", "guest"]);
    }

    /// Lets the guest run on.
    ///
    /// # Panics
    /// When it does already.
    pub fn resume_guest(&self) {
        self.manage(&["resume", "guest"]);
    }

    /// Tells it something by its own socket.
    fn manage(&self, arguments: &[&str]) {
        Virsh::new(self.by_unix()).run(arguments);
    }
}

impl Drop for Libvirtd {
    fn drop(&mut self) {
        private::end(&mut self.process);
    }
}
