//! What testssl.sh, a scanner of TLS servers, has to say of a listener that has nothing but a certificate and a key.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use penstock_tests::peers::Nginx;
use penstock_tests::pki::{Folder, Wanted};
use penstock_tests::{Driver, Setup, names, process};
use serde_json::Value;

/// Everything that is found, by testssl.sh's own names: the finding, how bad it is, and what it is.
fn scan(address: SocketAddr, authority: &Path) -> Vec<[String; 3]> {
    let dir = process::directory();
    let file = dir.path().join("findings.json");
    let mut command = Command::new("timeout");
    command.args(["300", "testssl", "--quiet", "--warnings", "off", "--ip", "one"]);
    command.args(["--openssl", "/usr/bin/openssl", "--add-ca"]).arg(authority);
    command.arg("--jsonfile").arg(&file).arg(address.to_string());
    // Its exit code is a number of findings, or of other things.
    let output = command.stdin(Stdio::null()).output().expect("timeout, of coreutils");
    let said = String::from_utf8_lossy(&output.stdout);
    let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("no findings: {e}: {said}"));
    let findings: Vec<Value> =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {said}"));
    let word = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let triple = |finding| ["id", "severity", "finding"].map(|key| word(finding, key));
    let findings: Vec<[String; 3]> = findings.iter().map(triple).collect();
    assert!(findings.iter().any(|[id, ..]| id == "scanTime"), "it was not finished: {said}");
    findings
}

/// What is not about us: web pages, which a proxy has none of; the scanner itself; and that it may be gone again before a ticket
/// comes, which it needs for its second connection.
const ASIDE: [&str; 3] = ["security_headers", "engine_problem", "sessionresumption_ticket"];

/// Those that are worse than "low", or that could not be looked for, certificates aside.
fn above_low(findings: &[[String; 3]]) -> Vec<&[String; 3]> {
    let is_bad = |severity: &str| !["OK", "INFO", "LOW", "DEBUG"].contains(&severity);
    let is_ours = |id: &str| !id.starts_with("cert_") && !ASIDE.contains(&id);
    findings.iter().filter(|[id, severity, _]| is_bad(severity) && is_ours(id)).collect()
}

#[test]
fn a_listener_with_defaults_shows_nothing_above_low() {
    let (pki, setup) = (Folder::new(), Setup::new(Driver::Epoll));
    let pair = pki.pair("proxy", &Wanted::server(setup.address()));
    let penstock = setup.set("listen", "tls", &format!("{{ {pair} }}")).start();
    let before = penstock.holdings();
    let findings = scan(penstock.proxy(), &pki.authority_file());
    assert!(above_low(&findings).is_empty(), "{:#?}", above_low(&findings));
    // It did look.
    let is_offered = |id: &str| {
        let found = findings.iter().find(|[other, ..]| other == id);
        found.is_some_and(|[_, _, what]| what.starts_with("offered"))
    };
    let versions = ["SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2", "TLS1_3"].map(is_offered);
    assert_eq!(versions, [false, false, false, false, true, true]);
    let trust = findings.iter().find(|[id, ..]| id == "cert_chain_of_trust");
    assert!(trust.is_some_and(|[_, severity, _]| severity == "OK"), "{trust:?}");
    assert!(penstock.metric(names::HANDSHAKES, &[("kind", "failed")]) > 50.0);
    penstock.assert_holds(&before);
}

#[test]
fn another_server_shows_more() {
    let nginx = Nginx::start();
    let findings = scan(nginx.address(), &nginx.certificate());
    assert!(!above_low(&findings).is_empty(), "a scanner that finds nothing shows nothing");
}
