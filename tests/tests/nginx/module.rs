//! The module, built by its own script from an installed library: once for all tests of one state of its sources, and once more for
//! each library that is not what it was built for. And libraries that answer what the installed one hardly ever does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use penstock_tests::{lock, process};
use tempfile::TempDir;

use super::program;

/// Where `ffi/install` has put the library: `PENSTOCK_PREFIX`, or where `tests/run` has it put.
fn prefix() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("cargo's folder");
    let usual = || target.join("prefix");
    let prefix = std::env::var_os("PENSTOCK_PREFIX").map_or_else(usual, PathBuf::from);
    let how = "`ffi/install --prefix` makes it, and PENSTOCK_PREFIX says where";
    assert!(prefix.join("lib/pkgconfig/penstock.pc").is_file(), "no {}: {how}", prefix.display());
    prefix
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("ffi/hosts/nginx")
}

/// The module for the installed library. Tests are processes of their own: whoever comes first builds.
pub(crate) fn module() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nginx");
    let _lock = lock::hold("nginx-module");
    let stamp = stamp();
    let module = folder.join("ngx_stream_penstock_module.so");
    if fs::read_to_string(folder.join("stamp")).is_ok_and(|built| built == stamp) {
        return module;
    }
    build(None, &folder);
    fs::write(folder.join("stamp"), stamp).expect("our directory");
    module
}

/// Everything that a module is made of.
fn stamp() -> String {
    let entries = fs::read_dir(sources()).expect("the sources of the module");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files.push(prefix().join("include/penstock.h"));
    let mut stamp = prefix().display().to_string() + program::about();
    for file in files {
        let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        stamp += &text;
    }
    stamp
}

fn build(include: Option<&Path>, into: &Path) {
    let mut command = Command::new(sources().join("build"));
    command.arg(into).env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig"));
    command.env("NGINX", program::program());
    if let Some(folder) = include {
        command.env("PENSTOCK_CFLAGS", format!("-I{}", folder.display()));
    }
    process::run(&mut command);
}

/// A module for a library with another header: `change` says what is to be replaced in there, by what.
pub(crate) fn module_for(change: (&str, &str)) -> (PathBuf, TempDir) {
    let dir = process::directory();
    let header = fs::read_to_string(prefix().join("include/penstock.h")).expect("a header");
    assert!(header.contains(change.0), "{} is not in the header", change.0);
    fs::write(dir.path().join("penstock.h"), header.replace(change.0, change.1))
        .expect("our directory");
    build(Some(dir.path()), dir.path());
    (dir.path().join("ngx_stream_penstock_module.so"), dir)
}

/// A library that answers to these functions of penstock.h in the installed one's place, if it is loaded before.
pub(crate) fn stand_in(functions: &str) -> (PathBuf, TempDir) {
    let dir = process::directory();
    let (source, library) = (dir.path().join("stand_in.c"), dir.path().join("stand_in.so"));
    let head = "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <penstock.h>\n";
    fs::write(&source, format!("{head}{functions}\n")).expect("our directory");
    let mut command = Command::new("cc");
    command.args([
        "-shared",
        "-fPIC",
        "-Wall",
        "-Wextra",
        "-Wno-unused-parameter",
        "-Werror",
        "-o",
    ]);
    command.arg(&library).arg(source).arg("-I").arg(prefix().join("include"));
    process::run(&mut command);
    (library, dir)
}
