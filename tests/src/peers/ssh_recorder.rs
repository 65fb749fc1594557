//! libvirt's own client, with a program in place of ssh that writes down what it was asked for.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::process;

/// Some user who is not root.
const USER: u32 = 65_534;

/// What `virsh` hands to ssh for a URI without a `command`; none if it refuses the URI. `is_root` says as whom it runs.
///
/// # Panics
/// When virsh is missing.
pub fn ssh_arguments(uri: &str, is_root: bool, readonly: bool) -> Option<Vec<String>> {
    let dir = process::directory();
    let program = recorder(dir.path(), "ssh");
    let mut virsh = match is_root {
        true => as_root("virsh"),
        false => process::command_as(USER, "virsh"),
    };
    // In front of the others, lest it change how they are told apart.
    let (place, query) = uri.split_once('?').map_or((uri, None), |(p, q)| (p, Some(q)));
    let query = query.map_or(String::new(), |query| format!("&{query}"));
    let uri = format!("{place}?command={}{query}", program.display());
    virsh.args(readonly.then_some("--readonly")).args(["--connect", &uri, "uri"]);
    virsh.env("HOME", dir.path()).env("XDG_RUNTIME_DIR", dir.path());
    virsh.output().expect("virsh");
    recorded(dir.path(), "ssh")
}

/// What a command line of ours makes another host run, if its shell is `sh`: the program's arguments.
///
/// # Panics
/// When it runs none of this name.
pub fn remote_arguments(command: &str, program: &str) -> Vec<String> {
    let dir = process::directory();
    recorder(dir.path(), program);
    let mut shell = process::command("sh");
    let path = format!("{}:/usr/bin:/bin", dir.path().display());
    process::run(shell.args(["-c", command]).env("PATH", path));
    recorded(dir.path(), program).unwrap_or_else(|| panic!("{command} runs no {program}"))
}

fn as_root(program: &str) -> Command {
    if nix::unistd::geteuid().is_root() {
        return process::command(program);
    }
    let mut command = process::command("unshare");
    command.args(["--user", "--map-root-user", program]);
    command
}

/// A program that writes its arguments, each with a NUL behind it, and reads nothing.
fn recorder(dir: &Path, name: &str) -> std::path::PathBuf {
    let file = dir.join(name);
    let text = "#!/bin/sh\nprintf '%s\\0' \"$@\" >\"$0.said\"\n";
    fs::write(&file, text).expect("our directory");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("our file");
    file
}

fn recorded(dir: &Path, name: &str) -> Option<Vec<String>> {
    let text = fs::read_to_string(dir.join(format!("{name}.said"))).ok()?;
    Some(text.split_terminator('\0').map(ToOwned::to_owned).collect())
}
