//! A way to libvirtd by ssh: keys, the server's configuration, and a client that trusts it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::process;

/// Writes all of it into a folder; the client is the program `ssh` there.
pub(super) fn make(dir: &Path, address: SocketAddr) {
    use std::os::unix::fs::PermissionsExt;

    for name in ["ssh-host", "ssh-user"] {
        let mut keygen = Command::new("ssh-keygen");
        process::run(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.join(name)));
    }
    let read = |name: &str| fs::read_to_string(dir.join(name)).expect("a key");
    let write = |name: &str, text: String| fs::write(dir.join(name), text).expect("our directory");
    let (host, port) = (address.ip(), address.port());
    write("ssh-known", format!("[{host}]:{port} {}", read("ssh-host.pub")));
    let dir_text = dir.display();
    write(
        "sshd_config",
        format!(
            "ListenAddress {address}\nHostKey {dir_text}/ssh-host\nAuthorizedKeysFile {dir_text}/ssh-user.pub
StrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nUsePAM no\nPidFile none\n"
        ),
    );
    // Nothing of the user's own has a say, neither configuration nor known hosts nor other keys.
    write(
        "ssh",
        format!(
            "#!/bin/sh\nexec ssh -F none -o UserKnownHostsFile={dir_text}/ssh-known -o GlobalKnownHostsFile=none -o IdentityAgent=none \"$@\"\n"
        ),
    );
    fs::set_permissions(dir.join("ssh"), fs::Permissions::from_mode(0o755)).expect("our file");
}
