//! What needs no console: Python's own tests, the header as ctypes has it, and libraries that are not ours.

use std::path::Path;
use std::process::Command;

use penstock_tests::process;
use penstock_tests::python_host::package;

use crate::rig::python;

/// The options of a C compiler for a shared library.
const SHARED: [&str; 4] = ["-shared", "-fPIC", "-x", "c"];

#[test]
fn its_own_tests_pass() {
    let header = concat!(env!("CARGO_MANIFEST_DIR"), "/../ffi/include/penstock.h");
    let mut command = python();
    command.args(["-m", "unittest", "discover", "-v", "-s"]).arg(package().join("tests"));
    let output = command.env("PENSTOCK_HEADER", header).output().expect("Python");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("structures_are_the_headers") && !said.contains("skipped"), "{said}");
}

#[test]
fn a_library_of_another_abi_version_is_refused() {
    let dir = process::directory();
    let library = |name: &str, text: &str| {
        let source = dir.path().join(format!("{name}.c"));
        std::fs::write(&source, text).expect("our folder");
        let path = dir.path().join(format!("{name}.so"));
        process::run(Command::new("cc").args(SHARED).arg(&source).arg("-o").arg(&path));
        path
    };
    let newer = library("newer", "unsigned penstock_abi_version(void) { return 2; }");
    assert!(refusal(&newer).contains("has ABI version 2, expected 1"), "{}", refusal(&newer));
    let other = library("other", "int nothing;");
    assert!(refusal(&other).contains("PENSTOCK_LIBRARY"), "{}", refusal(&other));
    assert!(refusal(Path::new("/nowhere.so")).contains("PENSTOCK_LIBRARY"));
}

/// What the command line says with such a library.
fn refusal(library: &Path) -> String {
    let mut command = python();
    command.args(["-m", "penstock.websockify", "127.0.0.1:0", "127.0.0.1:1"]);
    let output = command.env("PENSTOCK_LIBRARY", library).output().expect("Python");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("Traceback"), "{said}");
    said
}

#[test]
fn what_has_no_counterpart_is_said_at_the_start() {
    for (line, words) in [
        ("127.0.0.1:0 a:1 --traffic --ssl-only --cert=/nowhere.pem", "/nowhere.pem not found"),
        (
            "127.0.0.1:0 a:1 --web=/usr --web-auth --auth-plugin=plugins.Anybody",
            "can't ask Anybody",
        ),
    ] {
        let mut command = python();
        let output = command.args(["-m", "penstock.websockify"]).args(line.split(' ')).output();
        let output = output.expect("Python");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(words), "{said}");
    }
    let mut command = python();
    let output = command.args(["-m", "penstock.websockify", "--help"]).output().expect("Python");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.contains("Usage: \n    websockify [options]"),
        "{said}"
    );
}
