//! Terminals: one tunnel's at a time, raw, and closed where one may wait.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::pty::openpty;
use nix::sys::termios::{BaudRate, ControlFlags, LocalFlags, cfgetospeed, tcgetattr};
use nix::unistd::ttyname;
use penstock_core::target::{Flow, Parity, Serial};

use super::*;

fn line(device: &Path) -> Serial {
    Serial {
        device: device.to_str().expect("text").to_owned(),
        baud: 9600,
        bits: 7,
        parity: Parity::Even,
        stop: 2,
        flow: Flow::RtsCts,
    }
}

/// A pseudo-terminal: the side that plays the device, and the path of the other.
fn terminal() -> (fs::File, PathBuf, OwnedFd) {
    let pty = openpty(None, None).expect("the system has some");
    let path = ttyname(&pty.slave).expect("it has a name");
    (pty.master.into(), path, pty.slave)
}

#[tokio::test]
async fn a_terminal_carries_bytes_as_they_are() {
    let rig = rig(None);
    let (mut device, path, slave) = terminal();
    let leg = rig.open(1, Door::Terminal(line(&path))).await;
    let settings = tcgetattr(&slave).expect("a terminal");
    assert_eq!(cfgetospeed(&settings), BaudRate::B9600);
    // Which of the others a pseudo-terminal keeps is its own affair.
    let expected = ControlFlags::CSTOPB | ControlFlags::CRTSCTS | ControlFlags::CLOCAL;
    assert!(settings.control_flags.contains(expected), "{:?}", settings.control_flags);
    let cooked = LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG;
    assert!(!settings.local_flags.intersects(cooked), "{:?}", settings.local_flags);
    let all: Vec<u8> = (0..=255).collect();
    device.write_all(&all).expect("room");
    let mut leg = fs::File::from(leg);
    let mut back = Vec::new();
    let end = Instant::now() + LIMIT;
    while back.len() < all.len() && Instant::now() < end {
        let mut bytes = [0; 256];
        // Without waiting: nothing may be there yet.
        match leg.read(&mut bytes) {
            Ok(length) => back.extend_from_slice(&bytes[..length]),
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
    assert_eq!(back, all);
    leg.write_all(&all).expect("room");
    let mut back = [0; 256];
    device.read_exact(&mut back).expect("all of it");
    assert_eq!(&back[..], all);
}

#[tokio::test]
async fn a_terminal_is_one_tunnels_until_that_has_ended() {
    let rig = rig(None);
    let (_device, path, _slave) = terminal();
    let door = || Door::Terminal(line(&path));
    let leg = rig.open(1, door()).await;
    let refused = rig.refused(2, door()).await;
    assert_eq!(refused.errno, Errno::EBUSY);
    assert!(refused.detail.contains("somebody else has it"), "{}", refused.detail);
    rig.ended(record(2, Some("why"))).await;
    assert_eq!(rig.logged().await, (2, Some("why".to_owned())));
    // The next one comes before the last one has left: it has some patience.
    rig.ask(3, door()).await;
    drop(leg);
    rig.ended(record(1, None)).await;
    assert_eq!(rig.logged().await, (1, None));
    let (slot, opened) = rig.opened().await;
    assert_eq!((slot, opened.map(drop)), (3, Ok(())));
}

#[tokio::test]
async fn the_last_descriptor_of_a_terminal_is_closed_here() {
    let rig = rig(None);
    let (mut device, path, slave) = terminal();
    let leg = rig.open(1, Door::Terminal(line(&path))).await;
    drop(slave);
    let flags = OFlag::from_bits_retain(fcntl(&device, FcntlArg::F_GETFL).expect("open"));
    fcntl(&device, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).expect("open");
    // The other side of a terminal that nobody has open hears an error that is not this one.
    let is_open = |device: &mut fs::File| {
        device.read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    };
    drop(leg);
    assert!(is_open(&mut device), "the worker's close was not the last");
    rig.ended(record(1, None)).await;
    let end = Instant::now() + LIMIT;
    while is_open(&mut device) {
        assert!(Instant::now() < end, "it stays open");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_is_no_terminal_is_refused_with_what_to_do() {
    let rig = rig(None);
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("file"), "text").expect("written");
    nix::unistd::mkfifo(&path("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("made");
    let _listener = UnixListener::bind(path("socket")).expect("bound");
    for (device, errno, remedy) in [
        (path("missing"), Errno::ENOENT, "plug it in"),
        (path("file"), Errno::ENOTTY, "it is a file"),
        (path("pipe"), Errno::ENOTTY, "named pipe"),
        (path(""), Errno::EISDIR, "it is a folder"),
        (path("socket"), Errno::ENXIO, "write unix:"),
    ] {
        let refused = rig.refused(1, Door::Terminal(line(&device))).await;
        assert_eq!(refused.errno, errno, "{}", refused.detail);
        let begins = format!("can't open {} (", device.display());
        let fits = refused.detail.starts_with(&begins) && refused.detail.contains(remedy);
        assert!(fits, "{}", refused.detail);
    }
    // No terminal, but something that bytes go in and out of.
    let leg = rig.open(2, Door::Terminal(line(Path::new("/dev/null")))).await;
    assert!(leg.as_fd().as_raw_fd() > 2);
}

#[tokio::test]
async fn who_may_not_open_a_device_is_told_whose_it_is() {
    let (_device, path, _slave) = terminal();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).expect("ours");
    let whose = terminal::testing::remedy(Errno::EACCES, &path);
    assert!(whose.starts_with("it belongs to ") && whose.contains(", mode 0620: let"), "{whose}");
}
