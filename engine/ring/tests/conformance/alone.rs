//! Runs a test in a process of its own: for what belongs to a whole process, as descriptors, limits and users do.

use std::process::Command;

use crate::Driver;

const MARK: &str = "PENSTOCK_CONFORMANCE_ALONE";

/// Runs `body` in a new process of this program, which runs the test `file::test` of the driver's suite and no other.
#[track_caller]
pub fn alone(driver: &Driver, test: &str, body: impl FnOnce()) {
    let name = format!("{}::{test}", driver.name);
    if std::env::var_os(MARK).is_some_and(|alone| alone == *name) {
        return body();
    }
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program)
        .args([&name, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, &name)
        .output()
        .expect("started");
    let said = String::from_utf8_lossy(&output.stdout);
    let cried = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{cried}");
}

/// Descriptors that this process has open.
pub fn descriptors() -> usize {
    // Reading the directory takes one itself.
    std::fs::read_dir("/proc/self/fd").expect("proc").count() - 1
}
