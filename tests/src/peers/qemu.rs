//! QEMU with a guest of one boot sector: a screen by SPICE and by VNC, or a serial port that gives back what it gets.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::picture::Picture;
use crate::process::{self, Process};
use crate::{loopback, wait};

/// A running guest that has drawn its line of text, and whose screen is shown by SPICE and by VNC.
#[derive(Debug)]
pub struct Guest {
    process: Process,
    spice: SocketAddr,
    spice_tls: SocketAddr,
}

impl Guest {
    /// What stands on the guest's screen, in its first line.
    pub const TEXT: &'static str = "PENSTOCK GUEST READY";

    /// Builds the guest and starts it without an accelerator.
    ///
    /// # Panics
    /// When qemu or binutils is missing, or the guest isn't up within 30 s.
    pub fn start() -> Guest {
        Guest::start_at(loopback::address().into(), None)
    }

    /// The same, with SPICE over TLS on a second port: certificates as [`crate::pki::Authority::qemu_server`] writes them.
    ///
    /// # Panics
    /// As [`Guest::start`].
    pub fn start_with_tls(address: std::net::IpAddr, certificates: &Path) -> Guest {
        Guest::start_at(address, Some(certificates))
    }

    fn start_at(address: std::net::IpAddr, certificates: Option<&Path>) -> Guest {
        let [spice, spice_tls] = [5900, 5901].map(|port| SocketAddr::new(address, port));
        let mut options = format!("addr={address},port={},disable-ticketing=on", spice.port());
        if let Some(certificates) = certificates {
            options +=
                &format!(",tls-port={},x509-dir={}", spice_tls.port(), certificates.display());
        }
        let vnc = format!("{address}:2");
        let arguments = ["-vga", "qxl", "-serial", "file:serial", "-spice", &options, "-vnc", &vnc];
        Guest { process: start(process::directory(), &arguments, &[]), spice, spice_tls }
    }

    /// What it said so far by its serial port: its line, and what was typed.
    pub fn said(&self) -> String {
        self.process.text("serial")
    }

    /// What it shows while it shows noise: a key F1 asks for it.
    ///
    /// # Panics
    /// Never: it has as many pixels as it should.
    pub fn noise() -> Picture {
        const SIZE: (usize, usize) = (640, 480);
        let mut seed = 1_u32;
        let words = std::iter::repeat_with(move || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((seed >> 16) as u16).to_le_bytes()
        });
        let mut pixels: Vec<u8> = words.flatten().take(SIZE.0 * SIZE.1 * 3).collect();
        // A card of VGA has blue first.
        pixels.chunks_mut(3).for_each(<[u8]>::reverse);
        Picture::new(SIZE.0, SIZE.1, pixels).expect("three bytes each")
    }

    /// Where its VNC server listens.
    pub fn vnc(&self) -> SocketAddr {
        SocketAddr::new(self.spice.ip(), 5902)
    }

    /// Where its SPICE server listens.
    pub fn spice(&self) -> SocketAddr {
        self.spice
    }

    /// Where its SPICE server listens for TLS, if it does.
    pub fn spice_tls(&self) -> SocketAddr {
        self.spice_tls
    }
}

/// What a guest's serial port is connected with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Line<'d> {
    /// A TCP port.
    Tcp,
    /// A UNIX socket.
    Unix,
    /// A TCP port with TLS that wants certificates: its own as [`crate::pki::Authority::qemu_server`] writes them.
    Tls(SocketAddr, &'d Path),
    /// A pseudo terminal.
    Terminal,
}

/// A running guest that gives back what its serial port gets.
#[derive(Debug)]
pub struct SerialGuest {
    process: Process,
    address: SocketAddr,
}

impl SerialGuest {
    /// Builds the guest and starts it.
    ///
    /// # Panics
    /// As [`Guest::start`].
    pub fn start(line: Line<'_>) -> SerialGuest {
        let address = match line {
            Line::Tls(address, _) => address,
            _ => SocketAddr::from((loopback::address(), 4555)),
        };
        let (ip, port) = (address.ip(), address.port());
        let (mut credentials, server) = (None, "server=on,wait=off");
        let device = match line {
            Line::Tcp => format!("socket,host={ip},port={port},{server}"),
            Line::Unix => format!("socket,path=line,{server}"),
            Line::Tls(_, dir) => {
                let dir = dir.display();
                credentials =
                    Some(format!("tls-creds-x509,id=tls,dir={dir},endpoint=server,verify-peer=on"));
                format!("socket,host={ip},port={port},{server},tls-creds=tls")
            }
            Line::Terminal => "pty".to_owned(),
        };
        let device = format!("{device},id=line,logfile=serial");
        let mut arguments =
            vec!["-display", "none", "-chardev", &device, "-serial", "chardev:line"];
        if let Some(credentials) = &credentials {
            arguments.extend(["-object", credentials]);
        }
        SerialGuest { process: start(process::directory(), &arguments, &[]), address }
    }

    /// Where its line listens, if that is a port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The UNIX socket of its line, if that is one.
    pub fn socket(&self) -> PathBuf {
        self.process.path("line")
    }

    /// The pseudo terminal of its line, if that is one.
    ///
    /// # Panics
    /// When QEMU didn't say which.
    pub fn terminal(&self) -> PathBuf {
        let said = self.process.text("output") + &self.process.text("errors");
        let path = said.split_once("redirected to ").and_then(|(_, rest)| rest.split(' ').next());
        path.unwrap_or_else(|| panic!("no terminal: {said}")).into()
    }
}

/// Starts QEMU in its directory, and waits until the guest wrote its line into the file `serial` there.
pub(super) fn start(dir: TempDir, arguments: &[&str], environment: &[(&str, &Path)]) -> Process {
    let disk = make_disk(dir.path());
    let mut command = process::command("qemu-system-x86_64");
    command.args(["-machine", "pc,accel=tcg", "-m", "16", "-nodefaults", "-boot", "a"]);
    command.arg("-drive").arg(format!("file={},format=raw,if=floppy,readonly=on", disk.display()));
    command.args(arguments).envs(environment.iter().copied()).current_dir(dir.path());
    let mut process = Process::start(&mut command, dir);
    wait::until_true("the guest is up", Duration::from_secs(30), || {
        let ended = process.ended();
        assert!(ended.is_none(), "ended with {ended:?}");
        process.text("serial").contains(Guest::TEXT)
    });
    process
}

/// Builds the guest's floppy disk in a folder.
pub(super) fn make_disk(dir: &Path) -> PathBuf {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/guest.S");
    let (object, disk) = (dir.join("guest.o"), dir.join("guest.img"));
    process::run(Command::new("as").arg("--32").arg(source).arg("-o").arg(&object));
    let mut linker = Command::new("ld");
    linker.args(["-m", "elf_i386", "-Ttext=0x7c00", "--oformat", "binary"]);
    process::run(linker.arg(&object).arg("-o").arg(&disk));
    let floppy = fs::OpenOptions::new().write(true).open(&disk).expect("the boot sector");
    floppy.set_len(1_474_560).expect("room for a floppy disk");
    disk
}
