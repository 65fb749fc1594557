//! Uses up a user's pipe quota (pipe(7), pipe-user-pages-soft): from there on the kernel gives pipes of a page or two.

use std::io::{Result, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use nix::unistd::pipe;

/// Holds pipes until it is killed; says so once the quota is used up.
pub(crate) fn hold() -> Result<()> {
    let mut held: Vec<(OwnedFd, OwnedFd)> = Vec::new();
    loop {
        let (read, write) = pipe()?;
        let is_small = fcntl(&write, FcntlArg::F_GETPIPE_SZ)? < WHOLE;
        held.push((read, write));
        if is_small {
            break;
        }
    }
    println!("{HELD}");
    std::io::stdout().flush()?;
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// What [`hold`] says.
pub(crate) const HELD: &str = "the pipe quota is used up";
/// Of a pipe within the quota.
const WHOLE: i32 = 64 << 10;
