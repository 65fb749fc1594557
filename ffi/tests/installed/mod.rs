//! The library as it is installed, and programs in C that are linked with it.
//!
//! In: PENSTOCK_PREFIX, where `ffi/install` has put it; without that, it is installed once below target/. Out: compiled programs, and what
//! became of a run. A program that does not compile without a warning, or answers anything but 0, fails the test with all that it said.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// What every source has to be compiled by, without a word.
const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Werror", "-pedantic"];

/// This crate's folder.
pub(crate) fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder below target/ for what tests make.
pub(crate) fn made(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c").join(name);
    fs::create_dir_all(&folder).expect("a folder below target/");
    folder
}

/// Runs it, and gives what it wrote. Panics with all of it, unless it answers 0.
pub(crate) fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(status.success(), "{command:?}: {status}\n{}\n{}", said[0], said[1]);
    said.concat()
}

/// Where the library is installed.
pub(crate) fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| match env::var_os("PENSTOCK_PREFIX") {
        Some(prefix) => prefix.into(),
        None => install_once(),
    })
}

/// With nextest each test is a process of its own: the first one of a run installs, the others wait for it.
fn install_once() -> PathBuf {
    let (prefix, stamp) = (made("prefix"), made(".").join("run"));
    let lock = File::create(made(".").join("lock")).expect("a lock below target/");
    lock.lock().expect("a lock below target/");
    let this_run = env::var("NEXTEST_RUN_ID").ok();
    if this_run.is_none() || fs::read_to_string(&stamp).ok() != this_run {
        install(&prefix);
        fs::write(&stamp, this_run.unwrap_or_default()).expect("a stamp below target/");
    }
    prefix
}

/// Installs what is built already: by `tests/run` a release (PENSTOCK_PROFILE), and else as the tests themselves are built.
pub(crate) fn install(prefix: &Path) {
    let profile = env::var("PENSTOCK_PROFILE").unwrap_or_else(|_| "debug".into());
    let mut install = Command::new(home().join("install"));
    // What cargo tells tests of their own package makes libraries build anew that ask for such words.
    for (name, _) in env::vars_os().filter(|(name, _)| is_of_this_test(name)) {
        install.env_remove(name);
    }
    run(install.arg("--prefix").arg(prefix).args(["--profile", &profile]));
}

fn is_of_this_test(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("CARGO_") && !["CARGO_HOME", "CARGO_TARGET_DIR"].contains(&&*name)
}

/// What pkg-config says of it, word by word.
pub(crate) fn pkg_config(questions: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig"));
    let said = run(command.args(questions).arg("penstock"));
    said.split_whitespace().map(str::to_owned).collect()
}

/// One way of compiling.
#[derive(Clone, Copy)]
pub(crate) struct Compiler {
    /// The program, and what it is given beside warnings and sources.
    pub(crate) words: &'static [&'static str],
    /// What makes of a C file one of this language.
    pub(crate) language: &'static str,
}

/// Plain C11.
pub(crate) const C: Compiler = Compiler { words: &["cc", "-std=c11", "-g", "-O1"], language: "c" };

impl Compiler {
    /// Compiles these into `program`, and links them with `library`, the words for the linker.
    pub(crate) fn compile(self, sources: &[PathBuf], program: &Path, library: &[String]) {
        let mut command = Command::new(self.words[0]);
        command.args(&self.words[1..]).args(WARNINGS).arg("-pthread").args(["-x", self.language]);
        command.args(pkg_config(&["--cflags"])).args(sources).args(["-x", "none"]);
        let said = run(command.args(library).arg("-o").arg(program));
        assert!(said.is_empty(), "{said}");
    }
}

/// For the linker: what pkg-config answers to these; a shared library is found again where it was.
pub(crate) fn linking(questions: &[&str]) -> Vec<String> {
    let mut words = pkg_config(questions);
    words.push(format!("-Wl,-rpath,{}", prefix().join("lib").display()));
    words
}
