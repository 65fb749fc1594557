//! TLS with browsers, their certificates, and pages beside consoles.

use std::fs;

use penstock_tests::pki::{Folder, Issued, Wanted};
use penstock_tests::process::Process;
use penstock_tests::tls::TlsClient;
use penstock_tests::web_socket::Client;
use penstock_tests::{http, process, procfs, wait};

use crate::plugins::MODULE;
use crate::rig::{Became, LIMIT, Server, echo, echoes, fresh, python};

#[test]
fn tls_and_connections_in_the_clear_share_a_port_unless_said() {
    let (folder, target, at) = (Folder::new(), echo(), fresh());
    folder.pair("server", &Wanted::server(at.ip()));
    let pair = format!(
        "--cert {} --key {}",
        folder.path("server.pem").display(),
        folder.path("server.key").display()
    );
    let client = TlsClient::new(&folder.authority, None);
    let by_tls = |server: &Server| {
        let client = Client::dial(server.address, Some(&client)).expect("TLS");
        let (mut client, status, _) = server.browse_by(client, "/", "");
        assert_eq!(status, 101, "{}", server.said());
        assert_eq!(echoes(&mut client), Became::Served);
    };
    let both = Server::start_at(at, &format!("{pair} {{}} {target}"));
    by_tls(&both);
    assert_eq!(both.ask("/", ""), Became::Served, "{}", both.said());
    drop(both);
    // The kernel takes a ring down when its process is gone already.
    wait::until_true("nobody listens there", LIMIT, || !procfs::listens(at));
    let only = Server::start_at(at, &format!("{pair} --ssl-only {{}} {target}"));
    by_tls(&only);
    let plain = http::get(only.address, "/");
    assert!(plain.is_err(), "{plain:?}");
}

#[test]
fn who_has_to_show_a_certificate_is_judged_by_its_name() {
    let (folder, target, at) = (Folder::new(), echo(), fresh());
    folder.pair("server", &Wanted::server(at.ip()));
    let server = Server::start_at(
        at,
        &format!(
            "--ssl-only --cert {} --key {} --verify-client --cafile {} --auth-plugin ClientCertCNAuth --auth-source alice {{}} {target}",
            folder.path("server.pem").display(),
            folder.path("server.key").display(),
            folder.authority_file().display()
        ),
    );
    let who = |name: &str, lines: &str| {
        let identity = folder.authority.issue(&Wanted::client(&[("CN", name)]));
        let tls = TlsClient::new(&folder.authority, Some(&identity));
        let client = Client::dial(server.address, Some(&tls)).expect("TLS");
        let (mut client, status, _) = server.browse_by(client, "/", lines);
        if status == 101 { echoes(&mut client) } else { Became::Told(status) }
    };
    assert_eq!(who("alice", ""), Became::Served, "{}", server.said());
    assert_eq!(who("bob", ""), Became::Told(403), "{}", server.said());
    // websockify takes this word for the certificate's.
    assert_eq!(who("bob", "SSL_CLIENT_S_DN_CN: alice\r\n"), Became::Told(403));
    let nobody = TlsClient::new(&folder.authority, None);
    let refused = Client::dial(server.address, Some(&nobody))
        .and_then(|mut client| client.ask(&penstock_tests::web_socket::request("x", "/", "")));
    assert!(refused.is_err(), "{refused:?}");
}

/// As with websockify: who speaks TLS has to show one.
#[test]
fn who_comes_in_the_clear_has_no_certificate_to_show() {
    let (folder, target, at) = (Folder::new(), echo(), fresh());
    folder.pair("server", &Wanted::server(at.ip()));
    let server = Server::start_at(
        at,
        &format!(
            "--cert {} --key {} --verify-client --cafile {} {{}} {target}",
            folder.path("server.pem").display(),
            folder.path("server.key").display(),
            folder.authority_file().display()
        ),
    );
    let by_tls = |identity: Option<&Issued>| {
        let tls = TlsClient::new(&folder.authority, identity);
        let client = Client::dial(server.address, Some(&tls)).ok()?;
        let (mut client, status, _) = server.browse_by(client, "/", "");
        Some(if status == 101 { echoes(&mut client) } else { Became::Told(status) })
    };
    let known = folder.authority.issue(&Wanted::client(&[("CN", "alice")]));
    assert_eq!(by_tls(Some(&known)), Some(Became::Served), "{}", server.said());
    assert_eq!(server.ask("/", ""), Became::Served, "{}", server.said());
    assert_eq!(by_tls(None), Some(Became::Told(403)), "{}", server.said());
    let strange = Folder::new().authority.issue(&Wanted::client(&[("CN", "alice")]));
    let tls = TlsClient::new(&folder.authority, Some(&strange));
    let refused = Client::dial(server.address, Some(&tls))
        .and_then(|mut client| client.ask(&penstock_tests::web_socket::request("x", "/", "")));
    assert!(refused.is_err(), "{refused:?}");
    assert!(server.said().contains("ssl_only keeps them out"), "{}", server.said());
}

#[test]
fn the_password_of_a_key_is_known_to_the_process_alone() {
    let (folder, target, at) = (Folder::new(), echo(), fresh());
    folder.pair("server", &Wanted::server(at.ip()));
    let [key, locked] = ["server.key", "locked.key"].map(|name| folder.path(name));
    let mut openssl = process::command("openssl");
    openssl.args(["pkcs8", "-topk8", "-in"]).arg(key).arg("-out").arg(&locked);
    process::run(openssl.args(["-passout", "pass:canary7"]));
    let line = format!(
        "--ssl-only --cert {} --key {}",
        folder.path("server.pem").display(),
        locked.display()
    );
    let server = Server::start_at(at, &format!("{line} --key-password canary7 {{}} {target}"));
    let tls = TlsClient::new(&folder.authority, None);
    let client = Client::dial(server.address, Some(&tls)).expect("TLS");
    let (mut client, status, _) = server.browse_by(client, "/", "");
    assert_eq!((status, echoes(&mut client)), (101, Became::Served));
    assert!(!server.said().contains("canary7"));
}

#[test]
fn pages_are_beside_consoles_and_for_the_same_people_if_said() {
    let (dir, target) = (process::directory(), echo());
    fs::write(dir.path().join("vnc.html"), "a page").expect("our folder");
    let web = format!("--web {}", dir.path().display());
    let open = Server::start(&format!("{web} {{}} {target}"));
    let page = http::get(open.address, "/vnc.html").expect("an answer");
    assert_eq!(page, (200, "a page".to_owned()));
    assert_eq!(http::get(open.address, "/nothing").expect("an answer").0, 404);
    assert_eq!(open.ask("/", ""), Became::Served, "{}", open.said());
    let basic = "--web-auth --auth-plugin BasicHTTPAuth --auth-source admin:canary7";
    let closed = Server::start(&format!("{web} {basic} {{}} {target}"));
    assert_eq!(http::get(closed.address, "/vnc.html").expect("an answer").0, 401);
    assert_eq!(closed.ask("/", ""), Became::Told(401));
    assert_eq!(closed.ask("/", "Authorization: Basic YWRtaW46Y2FuYXJ5Nw==\r\n"), Became::Served);
    // Who opens a page sends no Origin.
    let pages = "--web-auth --auth-plugin ExpectOrigin --auth-source https://portal.example";
    let portal = Server::start(&format!("{web} {pages} {{}} {target}"));
    assert_eq!(portal.ask("/", "Origin: https://portal.example\r\n"), Became::Served);
    assert_eq!(portal.ask("/", ""), Became::Told(403), "{}", portal.said());
    assert_eq!(http::get(portal.address, "/vnc.html").expect("an answer").0, 405);
    assert!(portal.said().contains("pages are not served"), "{}", portal.said());
    let none = Server::start(&format!("{{}} {target}"));
    assert_eq!(http::get(none.address, "/").expect("an answer").0, 405);
}

/// Whether websockify's handler leaves the connection to the engine, or a user's own hands it over: the engine speaks TLS.
#[test]
fn a_target_on_tls_has_to_be_who_it_is_said_to_be() {
    const ECHO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/websockify_cli/echo_tls.py");
    let (folder, at) = (Folder::new(), fresh());
    folder.pair("target", &Wanted::server(at.ip()));
    let mut target = process::command("/usr/bin/python3");
    target.args([ECHO, &at.ip().to_string(), &at.port().to_string()]);
    target.args([folder.path("target.pem"), folder.path("target.key")]);
    let _target = Process::start(&mut target, process::directory());
    wait::until_true("the target listens", LIMIT, || procfs::listens(at));
    let strangers = Folder::new();
    for (trusted, expected) in [(&folder, Became::Served), (&strangers, Became::Closed(Some(1011)))]
    {
        let ways: [&[&str]; 2] = [&["-m", "penstock.websockify", "--ssl-target"], &[MODULE]];
        for way in ways {
            let address = fresh();
            let mut command = python();
            command.args(way).args([address.to_string(), at.to_string()]);
            command.args((way == [MODULE]).then_some("tls"));
            command.env("SSL_CERT_FILE", trusted.authority_file());
            let server = Server::spawn(address, &mut command);
            assert_eq!(server.ask("/console", ""), expected, "{}", server.said());
        }
    }
}
