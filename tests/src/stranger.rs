//! A process that is no child of ours, such as one that has gone to the background.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// It is killed when this is dropped.
#[derive(Debug)]
pub struct Stranger(pub i32);

impl Stranger {
    /// Whoever has these words on its command line, but for us.
    ///
    /// # Panics
    /// Where there is no /proc.
    pub fn find(words: &str) -> Option<Stranger> {
        let pids = fs::read_dir("/proc").expect("Linux").flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let own = std::process::id().cast_signed();
        let has_them = |pid: &i32| *pid != own && command_line(*pid).contains(words);
        pids.into_iter().find(has_them).map(Stranger)
    }

    /// Sends it a signal, if it lives.
    pub fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.0), signal);
    }

    /// Whether it has not ended.
    pub fn is_alive(&self) -> bool {
        let state = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        !state.is_empty() && !state.contains(") Z ")
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// What everybody can list of a process.
pub fn command_line(pid: i32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ")
}
