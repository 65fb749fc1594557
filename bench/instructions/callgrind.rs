//! Runs this program once more under callgrind and reads how many instructions `counted` took, with all that it called.
//!
//! The same on every run: valgrind decides on the addresses and on the processor that a program sees. The environment is
//! empty and the path short, because what a program finds on its stack and heap changes what its allocations cost.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Seconds after which a run is given up; the longest takes about one.
const PATIENCE: &str = "60";

/// What callgrind counts, found by this name.
#[inline(never)]
pub(crate) fn counted(work: &mut dyn FnMut()) {
    work();
    // A call in the last place would become a jump, and callgrind would not see its end.
    black_box(());
}

/// Instructions within `counted` when this program is run with `arguments`.
pub(crate) fn count(arguments: &[&str]) -> Result<u64> {
    let out = tempfile::NamedTempFile::new()?;
    let program = std::env::current_exe()?;
    let (folder, name) =
        program.parent().zip(program.file_name()).context("a program has a path")?;
    let mut valgrind = Command::new("timeout");
    valgrind.env_clear().current_dir(folder).args([PATIENCE, "valgrind", "--tool=callgrind"]);
    valgrind.arg("--toggle-collect=*::callgrind::counted*");
    valgrind.arg(format!("--callgrind-out-file={}", out.path().display()));
    valgrind.arg(Path::new(".").join(name)).args(arguments);
    let output = valgrind.output().context("timeout")?;
    let log = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind: {}\n{log}", output.status);
    let profile = fs::read_to_string(out.path())?;
    let total =
        profile.lines().find_map(|line| line.strip_prefix("totals: ")).context("no totals")?;
    let total = total.trim().parse().with_context(|| total.to_owned())?;
    ensure!(total > 0, "callgrind never saw `counted`");
    Ok(total)
}
