//! The static library: programs link with it, whatever they have of their own, and run as with the shared one.

mod installed;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use installed::{C, Compiler, home, linking, made, prefix, run};

/// What the programs in `tests/c` are made of beside themselves.
const RIG: [&str; 4] = ["check", "rig", "every", "asking"];

const SANITIZED: Compiler = Compiler {
    words: &["cc", "-std=c11", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    language: "c",
};

/// What `nm` says of the names that are defined.
fn defined(more: &[&str]) -> String {
    let mut nm = Command::new("nm");
    run(nm.args(["--format=posix", "--defined-only"]).args(more).arg(archive()))
}

fn archive() -> PathBuf {
    prefix().join("lib/libpenstock.a")
}

/// Of lines such as `penstock_free T 0 1c5`; the archive's own line has no kind.
fn names(listed: &str) -> impl Iterator<Item = (&str, &str)> {
    listed.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?, words.next()?))
    })
}

/// Compiles one of the programs in `tests/c`, links it statically with these, too, and runs it.
fn runs(compiler: Compiler, way: &str, name: &str, more: &[String]) {
    let file = |name: &str| home().join(format!("tests/c/{name}.c"));
    let sources: Vec<PathBuf> = RIG.iter().copied().chain([name]).map(file).collect();
    let program = made(way).join(name);
    let ours = |word: String| if word == "-lpenstock" { "-l:libpenstock.a".into() } else { word };
    let words = linking(&["--static", "--libs"]).into_iter().map(ours);
    let words: Vec<String> = more.iter().cloned().chain(words).collect();
    compiler.compile(&sources, &program, &words);
    let needed = run(Command::new("readelf").arg("--dynamic").arg(&program));
    assert!(needed.contains("NEEDED") && !needed.contains("libpenstock"), "{needed}");
    run(&mut Command::new(&program));
}

#[test]
fn nothing_is_global_but_what_the_map_names() {
    let map = fs::read_to_string(home().join("penstock.map")).expect("a map");
    let ours = map.lines().filter_map(|line| line.trim().strip_suffix(';'));
    let ours: BTreeSet<_> = ours.filter(|name| name.starts_with("penstock_")).collect();
    let listed = defined(&["--extern-only"]);
    assert_eq!(names(&listed).map(|(name, _)| name).collect::<BTreeSet<_>>(), ours);
    // One of the same name in another library would be taken in its place.
    let groups = run(Command::new("readelf").args(["--wide", "--section-groups"]).arg(archive()));
    assert!(groups.contains("no section groups"), "{groups}");
}

/// Its own SQLite, ring and so on: every name within the library that C can have, as a function that must not be called.
#[test]
fn a_program_may_have_functions_of_the_same_names() {
    let listed = defined(&[]);
    let is_c = |name: &str| {
        let mangled = name.starts_with("_ZN") || name.starts_with("_R");
        !mangled && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let functions = names(&listed).filter(|(_, kind)| kind.eq_ignore_ascii_case("t"));
    let names = functions.map(|(name, _)| name).filter(|name| is_c(name));
    let names: BTreeSet<_> = names.filter(|name| !name.starts_with("penstock_")).collect();
    for library in ["sqlite3_open", "ring_core_", "aws_lc_", "rust_eh_personality"] {
        assert!(names.iter().any(|name| name.starts_with(library)), "no {library} within");
    }
    let source = made("own").join("own.s");
    let own = names.iter().fold(String::new(), |mut text, name| {
        writeln!(text, ".globl {name}\n.type {name}, @function\n{name}: ud2").expect("room");
        text
    });
    fs::write(&source, own + ".section .note.GNU-stack\n").expect("a source");
    runs(C, "own", "tls", &[source.display().to_string()]);
}

#[test]
fn a_panic_is_caught() {
    runs(C, "static", "panics", &[]);
}

/// What is not needed is left out, and nothing that is.
#[test]
fn sections_may_be_collected() {
    runs(C, "collected", "panics", &["-Wl,--gc-sections".into()]);
    let length = |path: &Path| fs::metadata(path).expect("a file").len();
    assert!(length(&made("collected").join("panics")) < length(&archive()));
}

#[test]
fn programs_may_be_sanitized() {
    runs(SANITIZED, "static_sanitized", "relay", &[]);
    runs(SANITIZED, "static_sanitized", "panics", &[]);
}
