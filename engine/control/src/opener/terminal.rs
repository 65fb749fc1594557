//! Serial lines and other terminals.
//!
//! In: a device and the settings of its line. Out: a descriptor of its own, raw, that nobody else gets while it is open: the lock is
//! flock(2)'s, which picocom, minicom and tio heed, too. TIOCEXCL would be stronger, but on a pseudo-terminal it outlives who asked for it.
//!
//! Settings stay as they are when it is closed: who opens a line sets it anyway, and the tail of what was sent may still be on its way.
//! That is why a second descriptor stays here until the tunnel has ended: the last close(2) waits until all is sent, up to
//! half a minute if the line is stopped, which no worker may do.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::stat::major;
use nix::sys::termios::{
    BaudRate, ControlFlags, InputFlags, SetArg, Termios, cfgetospeed, cfmakeraw, cfsetspeed,
    tcgetattr, tcsetattr,
};
use nix::unistd::{Gid, Group, Uid, User};
use penstock_core::control::{Mailbox, OpenError, SessionId};
use penstock_core::ring::Errno;
use penstock_core::target::{Flow, Parity, Serial};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::{Ended, Tools};

/// How often it is tried again while the one before leaves: for a second. By the clock, a machine that stood still would have no time left.
const BUSY_TRIES: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(50);
/// Within that, a worker closes what it has told the end of.
const AFTERWARDS: Duration = Duration::from_millis(100);

pub(super) async fn serve(
    id: SessionId,
    serial: &Serial,
    mailbox: &Mailbox,
    ended: oneshot::Receiver<Ended>,
    tools: &Tools,
) {
    let mut kept = None;
    let opened = open(serial, tools).await.map(|(leg, second)| {
        kept = Some(second);
        leg.into()
    });
    tools.answer(mailbox, id, opened);
    if let Ok((record, at)) = ended.await {
        tools.access_log.record(*record, at);
    }
    if let Some(second) = kept {
        sleep(AFTERWARDS).await;
        let closings = tools.closings.clone();
        // Nobody waits for it at the end of the daemon.
        tokio::spawn(async move { closings.run(move || drop(second)).await });
    }
}

/// The descriptor for the worker, and the one that stays.
async fn open(serial: &Serial, tools: &Tools) -> Result<(File, File), OpenError> {
    let mut tries = 0;
    loop {
        let wanted = serial.clone();
        match tools.blocking(&serial.device, move || open_now(&wanted)).await {
            Err(OpenError { errno: Errno::EBUSY, .. }) if tries < BUSY_TRIES => {
                tries += 1;
                sleep(BUSY_PAUSE).await;
            }
            opened => return opened,
        }
    }
}

fn open_now(serial: &Serial) -> Result<(File, File), OpenError> {
    let path = serial.device.as_str();
    let refused = |errno, remedy: &str| {
        let detail = format!("can't open {path} ({remedy})");
        OpenError { errno, detail: detail.into() }
    };
    // Carrier is not waited for, and the line does not become the one whose hang-up would end us.
    let flags = OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
    let opened = OpenOptions::new().read(true).write(true).custom_flags(flags.bits()).open(path);
    let file = opened.map_err(|error| {
        let errno = errno(&error);
        refused(errno, &remedy(errno, path))
    })?;
    let kind = file.metadata().map_err(|error| refused(errno(&error), "stat(2) failed"))?;
    if !kind.file_type().is_char_device() {
        return Err(refused(Errno::ENOTTY, what_it_is(&kind)));
    }
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(refused(
                Errno::EBUSY,
                "somebody else has it: another tunnel, or a terminal program; fuser(1) tells who",
            ));
        }
        Err(TryLockError::Error(error)) => {
            return Err(refused(errno(&error), "it can't be locked"));
        }
    }
    set(&file, serial).map_err(|fault| refused(fault.0, fault.1))?;
    let second = file.try_clone().map_err(|error| refused(errno(&error), "no descriptor left"))?;
    Ok((file, second))
}

/// Makes it a line for bytes. What has no line, such as a virtio port, is left as it is.
fn set(file: &File, serial: &Serial) -> Result<(), (Errno, &'static str)> {
    let mut line = match tcgetattr(file) {
        Ok(line) => line,
        Err(Errno::ENOTTY | Errno::EINVAL) => return Ok(()),
        // What the driver says of a port that is not there.
        Err(Errno::EIO) => return Err((Errno::ENXIO, "there is no port behind this device")),
        Err(errno) => return Err((errno, "its settings can't be read")),
    };
    let rate = rate(serial.baud).ok_or((Errno::EINVAL, "Linux knows no such baud rate"))?;
    prepare(&mut line, serial);
    cfsetspeed(&mut line, rate).map_err(|errno| (errno, "its baud rate can't be changed"))?;
    match tcsetattr(file, SetArg::TCSANOW, &line) {
        // That some of it was done, and that some of it was not: which, is for us to see.
        Ok(()) | Err(Errno::EINVAL) => {}
        Err(errno) => return Err((errno, "its settings can't be changed")),
    }
    let now = tcgetattr(file).map_err(|errno| (errno, "its settings can't be read"))?;
    let refused = now.control_flags.symmetric_difference(line.control_flags);
    match () {
        // Their line is but a memory, and they remember what they like.
        () if is_pseudo(file) => Ok(()),
        () if cfgetospeed(&now) != rate => {
            Err((Errno::EINVAL, "the port does not know this baud rate"))
        }
        () if refused.intersects(ControlFlags::CRTSCTS) => {
            Err((Errno::EINVAL, "the port knows no flow=rtscts"))
        }
        () if refused.intersects(FRAMING) => {
            Err((Errno::EINVAL, "the port does not know these bits, parity or stop"))
        }
        () => Ok(()),
    }
}

/// What makes a byte a frame.
const FRAMING: ControlFlags = ControlFlags::CSIZE
    .union(ControlFlags::PARENB)
    .union(ControlFlags::PARODD)
    .union(ControlFlags::CSTOPB);

/// Whether it is the near side of a pseudo-terminal, by its number (admin-guide/devices.txt).
fn is_pseudo(file: &File) -> bool {
    file.metadata().is_ok_and(|file| (136..=143).contains(&major(file.rdev())))
}

fn prepare(line: &mut Termios, serial: &Serial) {
    cfmakeraw(line);
    // Whether somebody is there at the other end, its bytes tell: many a cable has no wires for it.
    line.control_flags |= ControlFlags::CREAD | ControlFlags::CLOCAL;
    line.control_flags -= FRAMING | ControlFlags::CRTSCTS;
    line.control_flags |= match serial.bits {
        5 => ControlFlags::CS5,
        6 => ControlFlags::CS6,
        7 => ControlFlags::CS7,
        _ => ControlFlags::CS8,
    };
    line.control_flags |= match serial.parity {
        Parity::None => ControlFlags::empty(),
        Parity::Even => ControlFlags::PARENB,
        Parity::Odd => ControlFlags::PARENB | ControlFlags::PARODD,
    };
    line.control_flags.set(ControlFlags::CSTOPB, serial.stop == 2);
    line.control_flags.set(ControlFlags::CRTSCTS, serial.flow == Flow::RtsCts);
    let by_characters = InputFlags::IXON | InputFlags::IXOFF;
    line.input_flags.set(by_characters, serial.flow == Flow::XonXoff);
}

fn what_it_is(kind: &Metadata) -> &'static str {
    let kind = kind.file_type();
    match () {
        () if kind.is_file() => "it is a file, not a device: mend the path",
        () if kind.is_fifo() => "it is a named pipe, which goes one way only: mend the path",
        () => "it is no character device: mend the path",
    }
}

fn remedy(errno: Errno, path: &str) -> String {
    match errno {
        Errno::ENOENT | Errno::ENOTDIR => {
            "it is not there: plug it in, or mend the path; /dev/serial/by-id has what is there"
                .to_owned()
        }
        Errno::EACCES | Errno::EPERM => format!(
            "{}: let the user that Penstock runs as into its group, usually dialout",
            whose(path)
        ),
        Errno::EISDIR => "it is a folder: mend the path".to_owned(),
        Errno::ENXIO | Errno::ENODEV => {
            "there is no device behind it; if it is a UNIX socket, write unix: instead of serial:"
                .to_owned()
        }
        Errno::EBUSY => "somebody else has it; fuser(1) tells who".to_owned(),
        Errno::EMFILE | Errno::ENFILE => "too many open files: see LimitNOFILE".to_owned(),
        _ => "open(2) has the reason".to_owned(),
    }
}

/// Who may open it, as `ls -l` has it.
fn whose(path: &str) -> String {
    let Ok(file) = std::fs::metadata(path) else {
        return "one of its folders is closed to us".to_owned();
    };
    let user = User::from_uid(Uid::from_raw(file.uid())).ok().flatten();
    let group = Group::from_gid(Gid::from_raw(file.gid())).ok().flatten();
    let user = user.map_or(file.uid().to_string(), |user| user.name);
    let group = group.map_or(file.gid().to_string(), |group| group.name);
    format!("it belongs to {user}:{group}, mode {:04o}", file.mode() & 0o7777)
}

fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// The rates that have a name, as `Serial` knows them.
fn rate(baud: u32) -> Option<BaudRate> {
    use BaudRate::*;
    Some(match baud {
        50 => B50,
        75 => B75,
        110 => B110,
        134 => B134,
        150 => B150,
        200 => B200,
        300 => B300,
        600 => B600,
        1200 => B1200,
        1800 => B1800,
        2400 => B2400,
        4800 => B4800,
        9600 => B9600,
        19_200 => B19200,
        38_400 => B38400,
        57_600 => B57600,
        115_200 => B115200,
        230_400 => B230400,
        460_800 => B460800,
        500_000 => B500000,
        576_000 => B576000,
        921_600 => B921600,
        1_000_000 => B1000000,
        1_152_000 => B1152000,
        1_500_000 => B1500000,
        2_000_000 => B2000000,
        2_500_000 => B2500000,
        3_000_000 => B3000000,
        3_500_000 => B3500000,
        4_000_000 => B4000000,
        _ => return None,
    })
}

#[cfg(test)]
pub(super) mod testing {
    use std::path::Path;

    use super::*;

    /// What is said of a device that can't be opened.
    pub(crate) fn remedy(errno: Errno, path: &Path) -> String {
        super::remedy(errno, path.to_str().expect("text"))
    }
}
