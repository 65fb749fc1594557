//! Tells the program which sources it is made of: `PENSTOCK_VERSION`, such as `0.1.0 (c255a01)`, with `-dirty` where they
//! differ from that commit. Without git, or outside a clone of Penstock, the version alone.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    if let Some(commit) = git(&top, &["describe", "--always", "--dirty"]) {
        version = format!("{version} ({commit})");
    }
    println!("cargo::rustc-env=PENSTOCK_VERSION={version}");

    // Every move of HEAD is noted in its log. Sources of other crates make this one dirty, too.
    for path in ["engine", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", top.join(path).display());
    }
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&top, &["rev-parse", "--git-path", name]) {
            println!("cargo::rerun-if-changed={}", top.join(path).display());
        }
    }
}

/// The first line it says, of the clone at `top` and of none around it.
fn git(top: &Path, arguments: &[&str]) -> Option<String> {
    let around = top.canonicalize().ok()?.parent()?.to_owned();
    let mut git = Command::new("git");
    git.arg("-C").arg(top).args(arguments).env("GIT_CEILING_DIRECTORIES", around);
    let output = git.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
