//! QEMU with a guest of one boot sector, and the SPICE client that looks at it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::picture::Picture;
use crate::process::{self, Process};
use crate::{loopback, wait};

/// A running guest that has drawn its line of text.
#[derive(Debug)]
pub struct Guest {
    process: Process,
    spice: SocketAddr,
}

impl Guest {
    /// What stands on the guest's screen, in its first line.
    pub const TEXT: &'static str = "PENSTOCK GUEST READY";

    /// Builds the guest and starts it without an accelerator.
    ///
    /// # Panics
    /// When qemu or binutils is missing, or the guest isn't up within 30 s.
    pub fn start() -> Guest {
        let dir = process::directory();
        let spice = SocketAddr::from((loopback::address(), 5900));
        let disk = make_disk(dir.path());
        let serial = dir.path().join("serial");
        let mut command = process::command("qemu-system-x86_64");
        command.args([
            "-machine",
            "pc,accel=tcg",
            "-m",
            "16",
            "-nodefaults",
            "-vga",
            "qxl",
            "-boot",
            "a",
        ]);
        command
            .arg("-drive")
            .arg(format!("file={},format=raw,if=floppy,readonly=on", disk.display()));
        command.arg("-serial").arg(format!("file:{}", serial.display()));
        let options = format!("addr={},port={},disable-ticketing=on", spice.ip(), spice.port());
        command.arg("-spice").arg(options);
        let guest = Guest { process: Process::start(&mut command, dir), spice };
        wait::until_true("the guest is up", Duration::from_secs(30), || {
            guest.process.text("serial").contains(Guest::TEXT)
        });
        guest
    }

    /// Where its SPICE server listens.
    pub fn spice(&self) -> SocketAddr {
        self.spice
    }
}

/// What `spicy-screenshot` sees of a SPICE server through an HTTP proxy.
///
/// # Panics
/// When it takes longer than 30 s, fails, or writes no picture.
pub fn screenshot(server: SocketAddr, proxy: SocketAddr) -> Picture {
    let dir = process::directory();
    let file = dir.path().join("screen.ppm");
    let mut command = Command::new("timeout");
    command.args(["30", "spicy-screenshot", "-h", &server.ip().to_string()]);
    command.args(["-p", &server.port().to_string(), "-o"]).arg(&file);
    command.env("SPICE_PROXY", format!("http://{proxy}"));
    process::run(&mut command);
    Picture::parse(&fs::read(&file).expect("a file")).expect("a picture")
}

fn make_disk(dir: &Path) -> std::path::PathBuf {
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
