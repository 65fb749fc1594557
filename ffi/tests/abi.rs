//! What programs see of the library: symbols and their versions, what it needs, what pkg-config says, and that the header, the map and
//! the tests in C are of the same functions.

mod installed;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use installed::{C, home, install, linking, made, pkg_config, prefix, run};

const FOUR: &str = "
#include <stdio.h>
#include <penstock.h>

int main(void)
{
    penstock_engine engine;
    if (penstock_create(NULL, &engine) != PENSTOCK_OK || penstock_start(engine) != PENSTOCK_OK)
        return 1;
    puts(penstock_version());
    return penstock_free(engine);
}
";

fn text(path: &str) -> String {
    fs::read_to_string(home().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The header without its comments.
fn header() -> String {
    let text = text("include/penstock.h");
    let (_, code) = text.split_once("*/").expect("an introduction");
    let code = code.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.collect::<Vec<_>>().join("\n")
}

/// Words of a text that begin like this.
fn words<'a>(text: &'a str, beginning: &str) -> BTreeSet<&'a str> {
    let is_within = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_within(c)).filter(|word| word.starts_with(beginning)).collect()
}

/// Names in front of a parenthesis.
fn functions(header: &str) -> BTreeSet<&str> {
    let called = |name: &&str| header.contains(&format!("{name}("));
    words(header, "penstock_").into_iter().filter(called).collect()
}

/// What the map says is for everybody.
fn mapped(map: &str) -> BTreeSet<&str> {
    words(map, "penstock_")
}

/// The number that the header gives to what programs are compiled for.
fn abi_version() -> String {
    let header = text("include/penstock.h");
    let (_, rest) = header.split_once("#define PENSTOCK_ABI_VERSION ").expect("an ABI version");
    rest.lines().next().expect("a number").to_owned()
}

fn library() -> PathBuf {
    prefix().join("lib/libpenstock.so")
}

fn readelf(what: &str) -> String {
    run(Command::new("readelf").args(["--wide", what]).arg(library()))
}

#[test]
fn the_map_names_every_function_of_the_header() {
    let (header, map) = (header(), text("penstock.map"));
    assert_eq!(mapped(&map), functions(&header));
    assert!(functions(&header).len() >= 28);
}

#[test]
fn every_function_and_constant_is_tried_in_c() {
    let sources = fs::read_dir(home().join("tests/c")).expect("tests/c");
    let sources = sources.map(|file| fs::read_to_string(file.expect("a file").path()));
    let tried: String = sources.map(|text| text.expect("a source")).collect();
    let header = header();
    let tried = &words(&tried, "PENSTOCK_") | &words(&tried, "penstock_");
    let wanted = &words(&header, "PENSTOCK_") | &functions(&header);
    let untried: Vec<_> = wanted.difference(&tried).filter(|name| **name != "PENSTOCK_H").collect();
    assert!(untried.is_empty(), "{untried:?}");
}

#[test]
fn symbols_have_a_version_and_nothing_else_is_seen() {
    let listed = run(Command::new("nm").args(["-D", "--defined-only"]).arg(library()));
    let seen: BTreeSet<_> = listed.lines().filter_map(|line| line.split(' ').next_back()).collect();
    let (map, node) = (text("penstock.map"), format!("PENSTOCK_{}", abi_version()));
    let mut expected: BTreeSet<_> =
        mapped(&map).into_iter().map(|name| format!("{name}@@{node}")).collect();
    expected.insert(node);
    assert_eq!(seen, expected.iter().map(String::as_str).collect());
}

#[test]
fn the_shared_library_is_as_a_distribution_wants_it() {
    let dynamic = readelf("--dynamic");
    let soname = format!("Library soname: [libpenstock.so.{}]", abi_version());
    assert!(dynamic.contains(&soname), "{dynamic}");
    assert!(!dynamic.contains("TEXTREL") && !dynamic.contains("RUNPATH"), "{dynamic}");
    assert!(!readelf("--sections").contains(".debug_"), "debug information");
    let segments = readelf("--segments");
    let stack = segments.lines().find(|line| line.contains("GNU_STACK")).expect("a stack");
    assert!(stack.contains(" RW ") && segments.contains("GNU_RELRO"), "{segments}");
    let needed = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    let allowed = ["[libc.so.6]", "[libm.so.6]", "[libgcc_s.so.1]", "[ld-linux-x86-64.so.2]"];
    let strange: Vec<_> =
        needed.filter(|line| !allowed.iter().any(|name| line.contains(name))).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

/// The same files again, which can be used in another folder, where they were moved to.
#[test]
fn an_install_again_is_the_same_and_may_be_moved() {
    let (first, again) = (made("first"), made("again"));
    // Of another version before.
    for old in [&first, &again] {
        fs::remove_dir_all(old).expect("our folder");
    }
    install(&first);
    install(&again);
    install(&again);
    run(Command::new("diff").arg("-r").arg(&first).arg(&again));
    let moved = made(".").join("moved");
    let _ = fs::remove_dir_all(&moved);
    fs::rename(&again, &moved).expect("moved");
    let program = moved.join("four");
    fs::write(moved.join("four.c"), FOUR).expect("a source");
    let mut ask = Command::new("pkg-config");
    ask.env("PKG_CONFIG_PATH", moved.join("lib/pkgconfig"));
    let said = run(ask.args(["--cflags", "--libs", "penstock"]));
    let mut cc = Command::new("cc");
    cc.arg("-o").arg(&program).arg(moved.join("four.c")).args(said.split_whitespace());
    run(&mut cc);
    let said = run(Command::new(&program).env("LD_LIBRARY_PATH", moved.join("lib")));
    assert_eq!(said, "0.1.0\n");
}

#[test]
fn links_dynamically_by_its_soname() {
    let folder = made("shared");
    let (source, program) = (folder.join("four.c"), folder.join("four"));
    fs::write(&source, FOUR).expect("a source");
    C.compile(&[source], &program, &linking(&["--libs"]));
    assert_eq!(run(&mut Command::new(&program)), "0.1.0\n");
    let modversion = pkg_config(&["--modversion"]);
    assert_eq!(modversion, [env!("CARGO_PKG_VERSION")]);
    let links = |name: &str| fs::read_link(prefix().join("lib").join(name)).expect("a link");
    let soname = format!("libpenstock.so.{}", abi_version());
    for told in ["include/penstock.h", "hosts/python/README.md"] {
        assert!(text(told).contains(&soname), "{told} does not name {soname}");
    }
    assert_eq!(links("libpenstock.so"), Path::new(&soname));
    let file = format!("{soname}.{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(links(&soname), Path::new(&file));
    // No loader gives it to a program that was compiled for another one.
    let needed = run(Command::new("readelf").args(["--wide", "--dynamic"]).arg(&program));
    assert!(needed.contains(&format!("[{soname}]")), "{needed}");
}
