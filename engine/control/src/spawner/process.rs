//! The spawner's own process: one thread that starts programs, reaps them, and ends with the daemon.
//!
//! In: requests, on its standard input. Out: answers there, and programs. It trusts the daemon, which is the same program, and no
//! one else can reach it. It reads no file and opens no socket; nothing that a client or a target sends passes through it.

use std::ffi::c_int;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::SigSet;
use nix::sys::socket::{SockType, getsockopt, sockopt};
use nix::unistd::setsid;
use penstock_core::ring::processes;
use signal_hook::consts::signal::{
    SIGABRT, SIGBUS, SIGCHLD, SIGFPE, SIGILL, SIGKILL, SIGPIPE, SIGSEGV, SIGSTOP, SIGSYS, SIGTRAP,
};

use super::children::Children;
use super::message::{Answer, MESSAGE_MAX, Request};

/// Signals of one's own faults, and those that can't be caught. SIGPIPE is Rust's own care.
const LEFT_ALONE: [c_int; 10] =
    [SIGABRT, SIGBUS, SIGCHLD, SIGFPE, SIGILL, SIGKILL, SIGPIPE, SIGSEGV, SIGSTOP, SIGTRAP];
/// The last signal with a name of its own.
const LAST: c_int = SIGSYS;

/// Serves the daemon at the other end of standard input, until that has gone and all programs have ended.
///
/// # Errors
/// If nobody is there: people may have found this by themselves. Else of system calls that never fail.
pub fn serve() -> io::Result<()> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    if getsockopt(&socket, sockopt::SockType) != Ok(SockType::SeqPacket) {
        return Err(io::Error::other("this is started by penstock itself, not by hand"));
    }
    // What a terminal sends to the daemon is not for its programs.
    let _ = setsid();
    let ends = leave_signals_to_programs()?;
    processes::keep_descriptors()?;
    Spawner { socket, ends, children: Children::default(), memory: vec![0; MESSAGE_MAX] }.run()
}

/// Signals mean nothing here, except that something can be read from the result when a program has ended. To programs they mean what
/// they do by default: those that a process blocks or ignores, its programs would, too, but not those that it handles.
fn leave_signals_to_programs() -> io::Result<UnixStream> {
    let (ends, end) = UnixStream::pair()?;
    ends.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(SIGCHLD, end)?;
    let nothing = Arc::new(AtomicBool::new(false));
    for signal in (1..LAST).filter(|signal| !LEFT_ALONE.contains(signal)) {
        signal_hook::flag::register(signal, nothing.clone())?;
    }
    SigSet::empty().thread_set_mask()?;
    Ok(ends)
}

struct Spawner {
    socket: OwnedFd,
    /// Readable after a program has ended.
    ends: UnixStream,
    children: Children,
    memory: Vec<u8>,
}

impl Spawner {
    fn run(&mut self) -> io::Result<()> {
        let mut has_daemon = true;
        while has_daemon || !self.children.is_empty() {
            if self.wait(has_daemon)? {
                has_daemon = self.listen();
            }
            while let Some((id, end)) = self.children.reap() {
                self.say(&Answer::Ended { id, end });
            }
            self.children.signal(Instant::now());
        }
        Ok(())
    }

    /// Waits until a program ends, one has to be signalled, or the daemon says something: whether it did.
    fn wait(&mut self, has_daemon: bool) -> io::Result<bool> {
        let mut sources = [
            PollFd::new(self.ends.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
        ];
        // Of a daemon that has gone, nothing more is to be heard.
        let heard = if has_daemon { 2 } else { 1 };
        match poll(&mut sources[..heard], self.patience()) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let is_ready = |source: &PollFd<'_>| source.any() == Some(true);
        let (has_ended, speaks) = (is_ready(&sources[0]), is_ready(&sources[1]));
        if has_ended {
            // All of them are looked for anyway.
            let _ = self.ends.read(&mut [0; 64]);
        }
        Ok(has_daemon && speaks)
    }

    /// Until somebody has to be signalled.
    fn patience(&self) -> PollTimeout {
        let Some(due) = self.children.due() else { return PollTimeout::NONE };
        let span = due.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        PollTimeout::try_from(span).unwrap_or(PollTimeout::MAX)
    }

    /// Does what the daemon asks for; false if it has gone.
    fn listen(&mut self) -> bool {
        match processes::receive(self.socket.as_fd(), &mut self.memory) {
            Ok((length @ 1.., descriptors)) => {
                match Request::decode(&self.memory[..length]) {
                    Some(Request::Run { id, line, environment }) => {
                        let started = <[OwnedFd; 2]>::try_from(descriptors)
                            .map_err(|_| Errno::EBADF)
                            .and_then(|both| self.children.start(id, &line, &environment, both));
                        self.say(&match started {
                            Ok(()) => Answer::Started { id },
                            Err(errno) => Answer::Failed { id, errno },
                        });
                    }
                    Some(Request::End { id }) => self.children.end(Some(id), Instant::now()),
                    None => {}
                }
                true
            }
            // What was lost is missed by the daemon in its own time.
            Err(Errno::EMFILE | Errno::EMSGSIZE) => true,
            Ok(_) | Err(_) => {
                self.children.end(None, Instant::now());
                false
            }
        }
    }

    fn say(&self, answer: &Answer) {
        // A daemon that has gone needs no answer.
        let _ = processes::send(self.socket.as_fd(), &answer.encode(), &[]);
    }
}
