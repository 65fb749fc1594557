//! Which driver can run here: asked of the kernel by using it, once, at the start.
//!
//! io_uring is switched off where many of our users are (RHEL 9, default container profiles), and half of it may be
//! filtered. So a version and a list of operations don't decide alone: a small driver is made and carries a few bytes.

use std::fmt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::Bytes;
use io_uring::{IoUring, opcode};
use nix::errno::Errno;
use nix::sys::utsname::uname;

use crate::buffers::{Group, PoolSizes};
use crate::op::{Chunk, Close, Kernel, Outcome, Owner, Sent};
use crate::options::{Driver, Feature, Mask, Options};
use crate::sockets;
use crate::uring::Uring;

/// The oldest kernel whose io_uring is used, major and minor.
const OLDEST: (u32, u32) = (6, 1);
/// How long the self-test may take; a microsecond is usual.
const PATIENCE: Duration = Duration::from_secs(1);

/// What was found. Its text is the one line to log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// The driver to use.
    pub driver: Driver,
    /// The kernel's release.
    pub kernel: String,
    /// What this kernel doesn't have.
    pub missing: Vec<Feature>,
    /// What the mask hides.
    pub hidden: Vec<Feature>,
    /// Why io_uring is not the driver; none if it is, or if epoll was asked for.
    pub obstacle: Option<Obstacle>,
}

/// Why io_uring can't be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Obstacle {
    /// The mask hides it.
    Hidden,
    /// The kernel is older than 6.1.
    OldKernel,
    /// EPERM.
    Forbidden,
    /// ENOSYS.
    NotBuilt,
    /// An operation is missing.
    Lacks(&'static str),
    /// A ring can't be made.
    Failed(Errno),
    /// A ring was made, and didn't carry bytes in time.
    Broken,
}

/// io_uring was asked for and can't be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProbeError(pub Obstacle);

impl std::error::Error for ProbeError {}

/// Finds the driver: the requested one, otherwise io_uring if it works here, otherwise epoll.
///
/// # Errors
/// Why the requested io_uring can't be used.
pub fn probe(requested: Option<Driver>, mask: Mask) -> Result<Facts, ProbeError> {
    let kernel = uname()
        .map_or_else(|_| String::new(), |names| names.release().to_string_lossy().into_owned());
    let hidden = Feature::ALL.iter().copied().filter(|feature| mask.hides(*feature)).collect();
    let epoll =
        Facts { driver: Driver::Epoll, kernel, missing: Vec::new(), hidden, obstacle: None };
    if requested == Some(Driver::Epoll) {
        return Ok(epoll);
    }
    match try_uring(&epoll.kernel, mask) {
        Ok(missing) => Ok(Facts { driver: Driver::Uring, missing, ..epoll }),
        Err(obstacle) if requested == Some(Driver::Uring) => Err(ProbeError(obstacle)),
        Err(obstacle) => Ok(Facts { obstacle: Some(obstacle), ..epoll }),
    }
}

/// What is missing that can be done without.
fn try_uring(release: &str, mask: Mask) -> Result<Vec<Feature>, Obstacle> {
    if mask.hides(Feature::Uring) {
        return Err(Obstacle::Hidden);
    }
    if version(release) < OLDEST {
        return Err(Obstacle::OldKernel);
    }
    check_operations()?;
    let buffers = PoolSizes { reserve: 4, small: 4, record: 4, bulk: 4 };
    let options = Options { buffers, pipes: 1, mask, ..Options::default() };
    let mut uring = Uring::new(&options).map_err(obstacle)?;
    carry_bytes(&mut uring)?;
    let by_message = woken_by_message(&mut uring)?;
    let lacks_messages = !by_message && !mask.hides(Feature::RingMessage);
    Ok(lacks_messages.then_some(Feature::RingMessage).into_iter().collect())
}

fn check_operations() -> Result<(), Obstacle> {
    let ring = IoUring::new(1).map_err(|error| obstacle(sockets::errno(error)))?;
    let mut known = io_uring::Probe::new();
    ring.submitter().register_probe(&mut known).map_err(|error| obstacle(sockets::errno(error)))?;
    let needed = [
        ("IORING_OP_POLL_ADD", opcode::PollAdd::CODE),
        ("IORING_OP_ACCEPT", opcode::Accept::CODE),
        ("IORING_OP_CONNECT", opcode::Connect::CODE),
        ("IORING_OP_RECV", opcode::Recv::CODE),
        ("IORING_OP_SEND", opcode::Send::CODE),
        ("IORING_OP_SENDMSG", opcode::SendMsg::CODE),
        ("IORING_OP_ASYNC_CANCEL", opcode::AsyncCancel::CODE),
    ];
    match needed.iter().find(|(_, code)| !known.is_supported(*code)) {
        Some((name, _)) => Err(Obstacle::Lacks(name)),
        None => Ok(()),
    }
}

/// Sends a few bytes through the ring, and receives them through it.
fn carry_bytes(uring: &mut Uring) -> Result<(), Obstacle> {
    const BYTES: &[u8] = b"penstock";
    let (near, far) = UnixStream::pair().map_err(|error| obstacle(sockets::errno(error)))?;
    let mut adopt = |socket: UnixStream| {
        uring.adopt(socket.into(), Owner::default()).map_err(|(errno, _)| obstacle(errno))
    };
    let (near, far) = (adopt(near)?, adopt(far)?);
    uring.receive(far, Group::Small);
    if let Sent::Failed(errno) = uring.send(near, Chunk::Bytes(Bytes::from_static(BYTES))) {
        return Err(obstacle(errno));
    }
    let mut arrived = false;
    turn_until(uring, |uring, outcome| {
        if let Outcome::Received(buffer) = outcome {
            arrived |= uring.bytes(&buffer) == BYTES;
            uring.release(buffer);
        }
        arrived
    })?;
    for leg in [near, far] {
        uring.close(leg, Close::Normal);
    }
    Ok(())
}

/// Whether a wake-up comes as a ring message, or by the eventfd.
fn woken_by_message(uring: &mut Uring) -> Result<bool, Obstacle> {
    uring.waker().wake();
    let end = uring.refresh() + PATIENCE;
    while uring.stats().wakes.get() == 0 {
        if uring.refresh() >= end {
            return Err(Obstacle::Broken);
        }
        uring.wait(Some(end), &mut Vec::new());
    }
    Ok(uring.stats().wakes_by_message.get() > 0)
}

/// Takes outcomes until `done` says so.
fn turn_until(
    uring: &mut Uring,
    mut done: impl FnMut(&mut Uring, Outcome) -> bool,
) -> Result<(), Obstacle> {
    let end = uring.refresh() + PATIENCE;
    let mut events = Vec::new();
    while uring.refresh() < end {
        uring.wait(Some(end), &mut events);
        let mut is_done = false;
        for event in events.drain(..) {
            is_done |= done(uring, event.outcome);
        }
        if is_done {
            return Ok(());
        }
    }
    Err(Obstacle::Broken)
}

/// What an errno of making a ring means.
fn obstacle(errno: Errno) -> Obstacle {
    match errno {
        Errno::EPERM | Errno::EACCES => Obstacle::Forbidden,
        Errno::ENOSYS => Obstacle::NotBuilt,
        errno => Obstacle::Failed(errno),
    }
}

/// Major and minor of a release; what can't be read counts as zero.
fn version(release: &str) -> (u32, u32) {
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let driver = match self.driver {
            Driver::Uring => "io_uring",
            Driver::Epoll => "epoll",
        };
        write!(f, "driver {driver} on Linux {}", self.kernel)?;
        if let Some(obstacle) = &self.obstacle {
            write!(f, "; no io_uring: {obstacle}")?;
        }
        for (what, features) in [("missing", &self.missing), ("hidden", &self.hidden)] {
            let names: Vec<&str> = features.iter().map(|feature| feature.name()).collect();
            if !names.is_empty() {
                write!(f, "; {what}: {}", names.join(", "))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::Hidden => f.write_str("PENSTOCK_MASK hides it"),
            Obstacle::OldKernel => {
                write!(f, "it needs Linux {}.{} or later", OLDEST.0, OLDEST.1)
            }
            Obstacle::Forbidden => f.write_str(
                "this process may not use it (EPERM): a seccomp profile, as containers have, or the sysctl \
                 kernel.io_uring_disabled forbids it",
            ),
            Obstacle::NotBuilt => f.write_str("the kernel is too old or built without it (ENOSYS)"),
            Obstacle::Lacks(operation) => write!(f, "the kernel lacks {operation}"),
            Obstacle::Failed(errno) => write!(f, "a ring can't be made: {errno}"),
            Obstacle::Broken => f.write_str("its self-test carried no bytes within a second"),
        }
    }
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "io_uring was asked for and can't be used: {}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_compare_by_number() {
        assert_eq!(version("6.18.44-fc-v657"), (6, 18));
        assert_eq!(version("6.1.0-32-amd64"), (6, 1));
        assert!(version("5.15.0") < OLDEST && version("6.0") < OLDEST && version("10.0") > OLDEST);
        assert_eq!(version("strange"), (0, 0));
    }

    #[test]
    fn what_is_hidden_is_never_used() {
        let mask = Mask::default().hide(Feature::Uring).hide(Feature::Splice);
        let facts = probe(None, mask).expect("epoll is always there");
        assert_eq!((facts.driver, facts.obstacle), (Driver::Epoll, Some(Obstacle::Hidden)));
        let text = facts.to_string();
        assert!(
            text.ends_with("; no io_uring: PENSTOCK_MASK hides it; hidden: uring, splice"),
            "{text}"
        );
        assert_eq!(probe(Some(Driver::Uring), mask), Err(ProbeError(Obstacle::Hidden)));
        let asked = probe(Some(Driver::Epoll), Mask::default()).expect("always there");
        assert_eq!((asked.driver, asked.obstacle), (Driver::Epoll, None));
    }

    #[test]
    fn the_self_test_agrees_with_the_driver() {
        let works = Uring::new(&Options::default()).is_ok();
        let facts = probe(None, Mask::default()).expect("epoll is always there");
        assert_eq!(facts.driver == Driver::Uring, works, "{facts}");
        assert_eq!(facts.obstacle.is_none(), works, "{facts}");
    }

    #[test]
    fn each_refusal_names_its_cause() {
        let say = |errno| ProbeError(obstacle(errno)).to_string();
        assert!(
            say(Errno::EPERM).contains("seccomp")
                && say(Errno::EPERM).contains("io_uring_disabled")
        );
        assert!(say(Errno::ENOSYS).contains("built without"));
        assert!(say(Errno::ENOMEM).contains("ENOMEM"));
        assert_eq!(try_uring("5.15.0", Mask::default()), Err(Obstacle::OldKernel));
    }
}
