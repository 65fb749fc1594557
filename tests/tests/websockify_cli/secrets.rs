//! Passwords of the command line: used, and not to be read by anybody else.

use std::fs;
use std::process::Command;

use penstock_tests::pki::{Folder, Wanted};
use penstock_tests::process;
use penstock_tests::stranger::command_line;

use crate::rig::{Browser, Server, Whose, echo};

const CANARY: &str = "canary7";

#[test]
fn passwords_open_keys_and_consoles_and_leave_the_process_list() {
    let (folder, target) = (Folder::new(), echo());
    folder.pair("server", &Wanted::named_server("localhost"));
    let encrypted = folder.path("encrypted.key");
    let mut openssl = Command::new("openssl");
    openssl.args(["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", &format!("pass:{CANARY}")]);
    process::run(openssl.arg("-in").arg(folder.path("server.key")).arg("-out").arg(&encrypted));
    let [cert, key] = [folder.path("server.pem"), encrypted].map(|path| path.display().to_string());
    let server = Server::start(
        Whose::Penstock,
        &format!(
            "--cert {cert} --key {key} --key-password {CANARY} --auth-plugin BasicHTTPAuth --auth-source admin:{CANARY} {{}} {target}"
        ),
    );
    let ca = format!("ca={}", folder.authority_file().display());
    let user = format!("user=admin:{CANARY}");
    assert_eq!(Browser::open(&server.tls_url(), &[&ca, &user]).leaves(), "1000");
    let line = command_line(server.process.pid().cast_signed());
    assert!(line.starts_with("penstock websockify ") && !line.contains(CANARY), "{line}");
    let name =
        fs::read_to_string(format!("/proc/{}/comm", server.process.pid())).expect("it lives");
    let file =
        Whose::Penstock.program().0.file_name().map(|name| name.to_string_lossy().into_owned());
    assert_eq!(Some(name.trim()), file.as_deref(), "as pgrep knows it");
    let environment =
        fs::read(format!("/proc/{}/environ", server.process.pid())).expect("it lives");
    assert!(!String::from_utf8_lossy(&environment).contains(CANARY));
    assert!(!server.said().contains(CANARY), "{}", server.said());
}
