//! Python with the package `penstock`, and with the library that `tests/run` has installed, or that of `PENSTOCK_PREFIX`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{process, setup};

/// Debian's, as websockify and nova are.
const PYTHON: &str = "/usr/bin/python3";
const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ffi/hosts/python");

/// The folder of the package.
pub fn package() -> &'static Path {
    Path::new(PACKAGE)
}

/// A Python that knows the package, and modules in that folder.
///
/// # Panics
/// When no library is installed.
pub fn command(modules: &str) -> Command {
    let prefix = std::env::var_os("PENSTOCK_PREFIX").map(PathBuf::from);
    let prefix = prefix.expect("tests/run installs the library, and says where in PENSTOCK_PREFIX");
    let library = prefix.join("lib/libpenstock.so");
    assert!(library.exists(), "no {}: `ffi/install` puts it there", library.display());
    let mut command = process::command(PYTHON);
    command.env("PYTHONPATH", format!("{PACKAGE}:{modules}")).env("PENSTOCK_LIBRARY", library);
    command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
    setup::clean(&mut command);
    command
}
