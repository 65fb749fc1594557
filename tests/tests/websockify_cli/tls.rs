//! TLS with browsers and with targets, and pages beside consoles.

use std::fs;
use std::path::Path;

use penstock_tests::pki::{Folder, Wanted};
use penstock_tests::process::{self, Process};
use penstock_tests::{setup, wait};

use crate::rig::{
    BOTH, Browser, LIMIT, Server, Whose, answer, echo, echo_at, fresh, is_listened_on,
};

/// A folder with `self.pem`, certificate and key in one file.
fn with_certificate() -> Folder {
    let folder = Folder::new();
    folder.pair("server", &Wanted::named_server("localhost"));
    let text = |name: &str| fs::read_to_string(folder.path(name)).expect("it was written");
    fs::write(folder.path("self.pem"), text("server.pem") + &text("server.key")).expect("room");
    folder
}

fn option(name: &str, path: &Path) -> String {
    format!("--{name} {}", path.display())
}

#[test]
fn tls_and_connections_in_the_clear_share_a_port() {
    let (folder, target) = (with_certificate(), echo());
    let ca = format!("ca={}", folder.authority_file().display());
    for whose in BOTH {
        let cert = option("cert", &folder.path("self.pem"));
        let server = Server::start(whose, &format!("{cert} {{}} {target}"));
        assert_eq!(Browser::open(&server.url(), &[]).leaves(), "1000", "{}", server.said());
        assert_eq!(Browser::open(&server.tls_url(), &[&ca]).leaves(), "1000", "{}", server.said());
    }
}

#[test]
fn with_ssl_only_nobody_comes_in_the_clear() {
    let (folder, target) = (with_certificate(), echo());
    let ca = format!("ca={}", folder.authority_file().display());
    let pair = option("cert", &folder.path("server.pem"))
        + " "
        + &option("key", &folder.path("server.key"));
    for whose in BOTH {
        let server = Server::start(whose, &format!("--ssl-only {pair} {{}} {target}"));
        assert_eq!(Browser::open(&server.tls_url(), &[&ca]).leaves(), "1000", "{}", server.said());
        let plain = answer(server.address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(plain, "", "{}", server.said());
    }
}

#[test]
fn who_has_to_show_a_certificate_is_let_in_with_one() {
    let (folder, target) = (with_certificate(), echo());
    folder.pair("alice", &Wanted::client(&[("CN", "alice")]));
    folder.pair("bob", &Wanted::client(&[("CN", "bob")]));
    let ca = format!("ca={}", folder.authority_file().display());
    let shows = |name: &str| {
        let [pem, key] = ["pem", "key"].map(|kind| folder.path(&format!("{name}.{kind}")));
        format!("cert={}:{}", pem.display(), key.display())
    };
    let asks = format!(
        "--ssl-only {} --verify-client {}",
        option("cert", &folder.path("self.pem")),
        option("cafile", &folder.authority_file())
    );
    for whose in BOTH {
        let names = "--auth-plugin ClientCertCNAuth --auth-source alice";
        let server = Server::start(whose, &format!("{asks} {names} {{}} {target}"));
        let url = server.tls_url();
        assert_eq!(Browser::open(&url, &[&ca, &shows("alice")]).leaves(), "1000");
        assert_eq!(Browser::refused(&url, &[&ca, &shows("bob")]), "InvalidStatusCode 403");
        let why = Browser::refused(&url, &[&ca]);
        assert!(!why.contains("InvalidStatusCode"), "no handshake: {why}, {}", server.said());
    }
}

/// websockify of Debian can't: Python has taken from it what it needs.
#[test]
fn a_target_on_tls_has_to_be_who_it_is_said_to_be() {
    let folder = Folder::new();
    let at = fresh();
    folder.pair("target", &Wanted::server(at.ip()));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/websockify_cli/echo_tls.py");
    let mut command = process::command("/usr/bin/python3");
    command.args([script, &at.ip().to_string(), &at.port().to_string()]);
    command.args([folder.path("target.pem"), folder.path("target.key")]);
    let _target = Process::start(&mut command, process::directory());
    wait::until_true("the target listens", LIMIT, || is_listened_on(at));
    let trusting = |file: &Path| {
        let address = fresh();
        let mut command = process::command(setup::program());
        command.args(["websockify", "--ssl-target", &address.to_string(), &at.to_string()]);
        let server = Server::spawn(Whose::Penstock, address, command.env("SSL_CERT_FILE", file));
        wait::until_true("it listens", LIMIT, || is_listened_on(address));
        server
    };
    let server = trusting(&folder.authority_file());
    assert_eq!(Browser::open(&server.url(), &[]).leaves(), "1000", "{}", server.said());
    let server = trusting(&Folder::new().authority_file());
    assert_eq!(Browser::ask(&server.url(), &[]).0, "closed 1011", "{}", server.said());
}

#[test]
fn a_unix_socket_that_a_token_names_is_spoken_to_in_the_clear() {
    let dir = process::directory();
    let [socket, tokens] = ["vm.sock", "tokens"].map(|name| dir.path().join(name));
    echo_at(&socket);
    fs::write(&tokens, format!("vm: unix_socket:{}\n", socket.display())).expect("our directory");
    for whose in BOTH {
        let source = option("token-source", &tokens);
        let line = format!("--ssl-target --token-plugin TokenFile {source} {{}}");
        let server = Server::start(whose, &line);
        let url = format!("{}?token=vm", server.url());
        assert_eq!(Browser::open(&url, &[]).leaves(), "1000", "{}", server.said());
    }
}

#[test]
fn pages_are_beside_consoles_and_for_the_same_people_if_said() {
    let (dir, target) = (process::directory(), echo());
    fs::write(dir.path().join("vnc.html"), "a page").expect("our directory");
    fs::create_dir(dir.path().join("folder")).expect("our directory");
    let status = |server: &Server, path: &str, lines: &str| {
        let said = answer(server.address, &format!("GET {path} HTTP/1.0\r\n{lines}\r\n"));
        said.split(' ').nth(1).unwrap_or_else(|| panic!("{said:?}")).to_owned()
    };
    let credentials = "Authorization: Basic YWRtaW46Y2FuYXJ5Nw==\r\n";
    for whose in BOTH {
        let web = option("web", dir.path());
        let open = Server::start(whose, &format!("{web} {{}} {target}"));
        let page = answer(open.address, "GET /vnc.html HTTP/1.0\r\n\r\n");
        assert!(page.contains(" 200 OK\r\n") && page.ends_with("a page"), "{whose:?}: {page}");
        assert_eq!(status(&open, "/nothing", ""), "404");
        assert_eq!(status(&open, "/folder", ""), "301");
        let listed = if whose == Whose::Penstock { "404" } else { "200" };
        assert_eq!(status(&open, "/folder/", ""), listed);
        assert_eq!(Browser::open(&open.url(), &[]).leaves(), "1000", "{}", open.said());
        let basic = "--web-auth --auth-plugin BasicHTTPAuth --auth-source admin:canary7";
        let closed = Server::start(whose, &format!("{web} {basic} {{}} {target}"));
        assert_eq!(status(&closed, "/vnc.html", ""), "401", "{}", closed.said());
        assert_eq!(status(&closed, "/vnc.html", credentials), "200", "{}", closed.said());
    }
}
