//! The programs in `tests/c`, one test each and way: as C over the usual driver, as C++ over epoll, under AddressSanitizer with
//! LeakSanitizer and UndefinedBehaviorSanitizer, under Valgrind, and with the Rust side instrumented, too.

mod installed;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use installed::{C, Compiler, home, linking, made, run};

/// What each program is linked with.
const RIG: [&str; 4] = ["check", "rig", "every", "asking"];

/// The same sources as C++.
const CXX: Compiler = Compiler { words: &["g++", "-std=c++11", "-g", "-O1"], language: "c++" };

const SANITIZED: Compiler = Compiler {
    words: &[
        "cc",
        "-std=c11",
        "-g",
        "-O1",
        "-fno-omit-frame-pointer",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
    ],
    language: "c",
};

/// How many of a thousand tunnels are enough where everything is slow.
const SLOW: (&str, &str) = ("PENSTOCK_TEST_SHARE", "20");

const ADDRESS_OPTIONS: (&str, &str) =
    ("ASAN_OPTIONS", "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1");

fn compiled(compiler: Compiler, way: &str, name: &str, library: &[String]) -> PathBuf {
    let file = |name: &str| home().join(format!("tests/c/{name}.c"));
    let sources: Vec<PathBuf> = RIG.iter().copied().chain([name]).map(file).collect();
    let program = made(way).join(name);
    compiler.compile(&sources, &program, library);
    program
}

fn as_c(name: &str) {
    run(&mut Command::new(compiled(C, "c", name, &linking(&["--libs"]))));
}

fn as_cxx(name: &str) {
    let mut program = Command::new(compiled(CXX, "cxx", name, &linking(&["--libs"])));
    run(program.env("PENSTOCK_TEST_DRIVER", "epoll"));
}

fn sanitized(name: &str) {
    let mut program = Command::new(compiled(SANITIZED, "sanitized", name, &linking(&["--libs"])));
    run(program.envs([ADDRESS_OPTIONS]));
}

/// Which does not know io_uring, and runs one thread at a time. What is held by a pointer into its middle, as Rust's counted values and hash
/// tables are, is "possibly lost" to it: what may be is in a list.
fn valgrind(name: &str) {
    let program = compiled(C, "valgrind", name, &linking(&["--libs"]));
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--error-exitcode=9", "--leak-check=full", "--fair-sched=yes"]);
    command.args(["--num-callers=40", "--show-leak-kinds=definite,indirect,possible"]);
    command.arg("--errors-for-leak-kinds=definite,indirect,possible");
    command.arg(format!("--suppressions={}", home().join("tests/c/valgrind.supp").display()));
    command.env("PENSTOCK_TEST_DRIVER", "epoll").envs([SLOW]);
    run(command.arg(program));
}

/// With the nightly toolchain, if it is there; the C side is as `sanitized` has it.
fn instrumented(name: &str) {
    if !has_nightly() {
        return;
    }
    let library = [instrumented_library().display().to_string(), "-lm".into(), "-ldl".into()];
    let mut program = Command::new(compiled(SANITIZED, "instrumented", name, &library));
    run(program.envs([ADDRESS_OPTIONS]));
}

fn has_nightly() -> bool {
    let mut rustup = Command::new("rustup");
    let asked = rustup.args(["run", "nightly", "rustc", "--version"]).output();
    asked.is_ok_and(|answer| answer.status.success())
}

/// The static library, instrumented; made by the first test that asks, and the others wait for it.
fn instrumented_library() -> PathBuf {
    const TRIPLE: &str = "x86_64-unknown-linux-gnu";
    let folder = made("rust");
    let lock = File::create(folder.join("lock")).expect("a lock below target/");
    lock.lock().expect("a lock below target/");
    let begun = Instant::now();
    let mut cargo = Command::new("rustup");
    cargo.args(["run", "nightly", "cargo", "rustc", "--locked", "--quiet", "--lib"]);
    cargo.args(["--crate-type", "staticlib", "--target", TRIPLE, "--target-dir"]).arg(&folder);
    run(cargo.env("RUSTFLAGS", "-Zsanitizer=address").current_dir(home()));
    println!("the Rust side was instrumented in {:.0?}", begun.elapsed());
    folder.join(TRIPLE).join("debug/libpenstock.a")
}

#[test]
fn what_is_instrumented() {
    if has_nightly() {
        instrumented_library();
        println!("AddressSanitizer: the C side and, with the nightly toolchain, the Rust side");
    } else {
        println!("AddressSanitizer: the C side alone, for there is no nightly toolchain");
    }
}

macro_rules! programs {
    (@way $way:ident $($name:ident)*) => {
        mod $way {
            $(
                #[test]
                fn $name() {
                    super::$way(stringify!($name));
                }
            )*
        }
    };
    ($($name:ident)*) => {
        programs! { @way as_c $($name)* }
        programs! { @way as_cxx $($name)* }
        programs! { @way sanitized $($name)* }
        programs! { @way valgrind $($name)* }
        programs! { @way instrumented $($name)* }

        /// Those that `every_program_is_run` knows of.
        const PROGRAMS: &[&str] = &[$(stringify!($name)),*];
    };
}

programs! {
    arguments authorise callbacks completions constants decisions forked leaks lifecycle listeners ownership panics relay signals splicing starting threads
    tls watching websocket
}

#[test]
fn every_program_is_run() {
    for file in fs::read_dir(home().join("tests/c")).expect("tests/c") {
        let path = file.expect("a file").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let is_run = PROGRAMS.contains(&&*name) || RIG.contains(&&*name);
        assert!(is_run || path.extension().is_some_and(|end| end != "c"), "{name}");
    }
}
