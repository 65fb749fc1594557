//! Passwords on the command line, which everybody on the host can list, are taken off it: they go into files that have no name and are
//! in memory only, and the program is executed once more, as the same process, with those in their place.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::memfd::{MFdFlags, memfd_create};
use penstock_config::websockify::hidden;

use super::ARGUMENT;

/// Returns if there is nothing to hide. To be called before there is any thread.
pub(super) fn hide(arguments: &[String]) -> io::Result<()> {
    let mut kept: Vec<OwnedFd> = Vec::new();
    let mut keep = |secret: &str| {
        let mut file = File::from(memfd_create("secret", MFdFlags::empty())?);
        file.write_all(secret.as_bytes())?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        kept.push(file.into());
        Ok(path)
    };
    match hidden(arguments, &mut keep)? {
        None => Ok(()),
        Some(shown) => {
            // By its path, after whose end pgrep and ps call the process.
            let program = std::env::current_exe().unwrap_or("/proc/self/exe".into());
            let mut command = Command::new(program);
            Err(command.arg0("penstock").arg(ARGUMENT).args(shown).exec())
        }
    }
}
