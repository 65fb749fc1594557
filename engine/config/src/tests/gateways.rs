//! Listeners with TLS, and those that forward: what each key does, and each contradiction at its place.
//!
//! The place of an error is marked in the text: `⟨what is wrong⟩`.

use std::fs;
use std::path::PathBuf;

use penstock_core::config::{Address, Door, Reach, SendProxy, Service};
use penstock_core::tls::{Ca, ClientAuth, MinVersion, Verify};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::*;

/// Files as the keys want them.
pub(super) struct Files(TempDir);

impl Files {
    pub(super) fn new() -> Files {
        let files = Files(tempfile::tempdir().expect("a folder"));
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        files.write("ca", &authority.self_signed(&key).expect("a certificate").pem());
        let issuer = Issuer::new(authority, key);
        for name in ["one", "two"] {
            let key = KeyPair::generate().expect("a key");
            let params = CertificateParams::new(vec![format!("{name}.example")]).expect("a name");
            let certificate = params.signed_by(&key, &issuer).expect("a certificate");
            files.write(name, &certificate.pem());
            files.write(&format!("{name}.key"), &key.serialize_pem());
        }
        files
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("room");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `DIR` stands for the folder, `PAIR` for the keys of the first certificate.
    pub(super) fn filled(&self, text: &str) -> String {
        let pair = "cert = \"DIR/one\", key = \"DIR/one.key\"";
        text.replace("PAIR", pair).replace("DIR", &self.0.path().display().to_string())
    }
}

fn listener(lines: &str) -> String {
    let default = |key: &str, line: &str| {
        if lines.lines().any(|line| line.trim_start_matches('⟨').starts_with(key)) {
            String::new()
        } else {
            format!("{line}\n")
        }
    };
    let address = default("address", "address = \"127.0.0.1:3128\"");
    let service = default("service", "service = \"forward\"");
    let target = match lines.contains("service = ") {
        true => String::new(),
        false => default("target", "target = \"tcp://10.0.0.7:5900\""),
    };
    format!("[[listen]]\nname = \"a\"\n{address}{service}{target}{lines}\n")
}

/// Asserts that a text is wrong where it is marked, and that all of these words are said.
fn assert_wrong(files: &Files, text: &str, words: &[&str]) {
    let marked = files.filled(text);
    let before = marked.split('⟨').next().expect("always one");
    assert!(before.len() < marked.len(), "no mark in {marked}");
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let text = marked.replace(['⟨', '⟩'], "");
    let error = parse("f", &text).expect_err(&text).to_string();
    assert!(error.starts_with(&format!("f:{line}:{column}: ")), "{line}:{column} in\n{error}");
    for word in words {
        assert!(error.contains(word), "{word:?} in\n{error}");
    }
}

fn assert_all_wrong(cases: &[(&str, &[&str])]) {
    assert_all_wrong_of(listener, cases);
}

/// The same of lines that `of` makes a file of.
pub(super) fn assert_all_wrong_of(of: fn(&str) -> String, cases: &[(&str, &[&str])]) {
    let files = Files::new();
    for (lines, words) in cases {
        assert_wrong(&files, &of(lines), words);
    }
}

fn only(text: &str) -> penstock_core::config::Listener {
    let mut settings = parse("f", text).unwrap_or_else(|error| panic!("{error}"));
    settings.config.listeners.pop().expect("one")
}

#[test]
fn every_key_of_tls_has_an_effect() {
    let files = Files::new();
    let text = files.filled(&listener(
        "tls = { cert = [\"DIR/one\", \"DIR/two\"], key = [\"DIR/one.key\", \"DIR/two.key\"], key_password_file = \"DIR/ca\", client_ca = \"DIR/ca\", client_auth = \"optional\", allowed_dn = [\"CN=*\"], min_version = \"1.3\", alpn = [\"a\", \"b\"] }\ntls_only = false\nlibvirt = true\nmax_sessions = 3",
    ));
    let found = only(&text);
    assert_eq!(found.max_sessions, Some(3));
    let tls = found.tls.expect("it was asked for");
    assert!(!tls.only && tls.libvirt);
    assert_eq!(tls.files.cert, [files.path("one"), files.path("two")]);
    assert_eq!(tls.files.key, [files.path("one.key"), files.path("two.key")]);
    assert_eq!(tls.files.key_password_file, Some(files.path("ca")));
    assert_eq!(tls.files.client_ca, Some(files.path("ca")));
    assert_eq!(tls.files.client_auth, ClientAuth::Optional);
    assert!(tls.files.allowed.is_some());
    assert_eq!(tls.files.min_version, MinVersion::Tls13);
    assert_eq!(tls.files.alpn, [b"a", b"b"]);
    assert!(only(&files.filled(&listener("tls = { PAIR }"))).tls.is_some_and(|tls| tls.only));
}

#[test]
fn every_key_of_upstream_tls_has_an_effect() {
    let files = Files::new();
    let text = files.filled(&listener(
        "address = \"unix:/run/a\"\ntarget = \"tls://10.0.0.7:5900\"\nupstream_tls = { ca = \"DIR/ca\", PAIR, key_password_file = \"DIR/ca\", verify = \"dn\", allowed_dn = [], server_name = \"x.example\", min_version = \"1.3\", alpn = [\"a\"], max_record = 1 }",
    ));
    let upstream = only(&text).upstream_tls.expect("it was asked for");
    assert_eq!(upstream.files.ca, Some(Ca::File(files.path("ca"))));
    assert_eq!(upstream.files.cert, Some(files.path("one")));
    assert_eq!(upstream.files.key, Some(files.path("one.key")));
    assert_eq!(upstream.files.key_password_file, Some(files.path("ca")));
    assert!(matches!(upstream.files.verify, Verify::Subject(_)));
    assert_eq!(upstream.server_name.as_deref(), Some("x.example"));
    assert_eq!(upstream.files.min_version, MinVersion::Tls13);
    assert_eq!((upstream.files.alpn.len(), upstream.max_record), (1, 1));
    let least = "target = \"tls://10.0.0.7:5900\"\nupstream_tls = { verify = \"off\" }";
    let upstream = only(&listener(least)).upstream_tls.expect("it was asked for");
    assert!(matches!(upstream.files.verify, Verify::Off));
    assert_eq!((upstream.files.ca, upstream.max_record), (None, 16_384));
}

#[test]
fn every_key_of_a_gateway_has_an_effect() {
    let lines = "address = \"unix:/run/a\"\nmode = \"0600\"\nowner = 7\ngroup = \"root\"\ntarget = \"unix:/run/b\"\nsend_proxy = \"v2\"";
    let found = only(&listener(lines));
    let [Address::Unix(socket)] = &found.addresses[..] else { panic!("{:?}", found.addresses) };
    assert_eq!((socket.mode, socket.owner, socket.group), (0o600, Some(7), Some(0)));
    assert_eq!(found.send_proxy, SendProxy::V2);
    let Service::Forward(destination) = &found.service else { panic!("{:?}", found.service) };
    let Reach::Door(door) = &destination.reach else { panic!("{destination:?}") };
    assert_eq!(**door, Door::Unix(vec!["/run/b".into()]));
    let open = "target = \"unix:/run/b\"\nunauthenticated = true";
    assert!(parse("f", &listener(open)).is_ok());
}

#[test]
fn what_is_wrong_with_tls_has_its_place() {
    assert_all_wrong(&[
        ("tls = { PAIR, ⟨ca⟩ = \"x\" }", &["unknown field `ca`", "`client_ca`"]),
        ("tls = ⟨{ cert = \"DIR/one\" }⟩", &["missing field `key`"]),
        ("tls = { cert = ⟨\"/nonexistent\"⟩, key = \"DIR/one.key\" }", &["`cert`", "/nonexistent"]),
        ("tls = { cert = \"DIR/one\", key = ⟨\"/nonexistent\"⟩ }", &["`key`", "/nonexistent"]),
        ("tls = { cert = \"DIR/one\", key = ⟨\"DIR/two.key\"⟩ }", &["`key`", "two.key"]),
        ("tls = { cert = ⟨\"DIR/one.key\"⟩, key = \"DIR/one.key\" }", &["`cert`"]),
        ("tls = { cert = ⟨[]⟩, key = [] }", &["at least one"]),
        ("tls = { cert = [\"DIR/one\", \"DIR/two\"], key = ⟨\"DIR/one.key\"⟩ }", &["as many keys"]),
        ("tls = { PAIR, key_password_file = ⟨\"/nonexistent\"⟩ }", &["`key_password_file`"]),
        ("tls = { PAIR, client_auth = ⟨\"yes\"⟩ }", &["`yes`", "`optional`", "`require`"]),
        ("tls = { PAIR, client_auth = ⟨\"require\"⟩ }", &["needs `client_ca`"]),
        ("tls = { PAIR, client_ca = ⟨\"DIR/ca\"⟩ }", &["no effect", "client_auth = \"require\""]),
        ("tls = { PAIR, allowed_dn = ⟨[\"CN=x\"]⟩ }", &["no effect", "client_auth"]),
        ("tls = { PAIR, crl = ⟨\"DIR/ca\"⟩ }", &["without `client_auth`"]),
        (
            "tls = { PAIR, client_auth = \"require\", client_ca = ⟨\"DIR/one.key\"⟩ }",
            &["`client_ca`", "one.key"],
        ),
        ("tls = { PAIR, min_version = ⟨\"1.1\"⟩ }", &["`1.1`", "`1.2`", "`1.3`"]),
        ("tls = { PAIR, alpn = [\"h2\", ⟨\"\"⟩] }", &["1 to 255 bytes", "got 0"]),
        ("tls_only = ⟨true⟩", &["expected `tls` beside it"]),
        ("libvirt = ⟨true⟩", &["expected `tls` beside it"]),
        (
            "tls = { PAIR, client_auth = \"require\", client_ca = \"DIR/ca\" }\ntls_only = ⟨false⟩",
            &["shows no certificate", "client_auth = \"optional\""],
        ),
        (
            "tls = { PAIR, client_auth = \"require\", client_ca = \"DIR/ca\" }\nunauthenticated = ⟨true⟩",
            &["leave `unauthenticated` out"],
        ),
    ]);
}

#[test]
fn what_is_wrong_with_upstream_tls_has_its_place() {
    let tls = |table: &str| format!("target = \"tls://10.0.0.7:5900\"\nupstream_tls = {table}");
    let files = Files::new();
    let of_tables: &[(&str, &[&str])] = &[
        ("⟨{}⟩", &["needs `upstream_tls.ca`", "\"system\""]),
        ("{ ca = ⟨\"/nonexistent\"⟩ }", &["`ca`", "/nonexistent"]),
        ("{ ca = \"DIR/ca\", verify = ⟨\"none\"⟩ }", &["`none`", "`off`"]),
        ("{ ca = \"DIR/ca\", verify = ⟨\"dn\"⟩ }", &["needs `allowed_dn`"]),
        ("{ ca = \"DIR/ca\", allowed_dn = ⟨[]⟩ }", &["without `verify = \"dn\"`"]),
        ("{ ca = ⟨\"DIR/ca\"⟩, verify = \"off\" }", &["`ca` has no effect"]),
        ("{ crl = ⟨\"DIR/ca\"⟩, verify = \"off\" }", &["`crl` has no effect"]),
        ("{ ca = \"DIR/ca\", crl = ⟨\"DIR/one\"⟩ }", &["`crl`"]),
        ("{ ca = \"DIR/ca\", cert = ⟨\"DIR/one\"⟩ }", &["`cert` needs its `key`"]),
        ("{ ca = \"DIR/ca\", key = ⟨\"DIR/one.key\"⟩ }", &["`key` needs its `cert`"]),
        ("{ ca = \"DIR/ca\", key_password_file = ⟨\"DIR/ca\"⟩ }", &["expected `cert` and `key`"]),
        ("{ ca = \"DIR/ca\", max_record = ⟨0⟩ }", &["1 to 16384", "got 0"]),
        ("{ ca = \"DIR/ca\", max_record = ⟨16385⟩ }", &["1 to 16384", "got 16385"]),
        ("{ ca = \"DIR/ca\", server_name = ⟨\"no name\"⟩ }", &["a host name", "`no name`"]),
        ("{ ca = \"DIR/ca\", min_version = ⟨\"1.0\"⟩ }", &["`1.0`", "`1.2`"]),
        ("{ ca = \"DIR/ca\", alpn = [⟨\"\"⟩] }", &["1 to 255 bytes"]),
        ("{ ca = \"DIR/ca\", ⟨client_ca⟩ = \"x\" }", &["unknown field", "`ca`"]),
    ];
    for (table, words) in of_tables {
        assert_wrong(&files, &listener(&tls(table)), words);
    }
    assert_all_wrong(&[
        ("target = ⟨\"tls://10.0.0.7:5900\"⟩", &["needs `upstream_tls.ca`"]),
        ("upstream_tls = ⟨{ ca = \"DIR/ca\" }⟩", &["`tcp://` is no TLS", "`tls://HOST:PORT`"]),
        (
            "target = \"serial:/dev/ttyS0\"\nupstream_tls = ⟨{ ca = \"DIR/ca\" }⟩",
            &["`serial:` is no TLS"],
        ),
        (
            "address = \"unix:/run/a\"\ntarget = \"unix:/run/b\"\nupstream_tls = ⟨{ ca = \"DIR/ca\" }⟩",
            &["no name to verify", "`server_name`"],
        ),
    ]);
}

#[test]
fn what_does_not_go_with_the_service_has_its_place() {
    let connect = "service = \"connect\"\naccess = []\n";
    let forward = |line: &str| format!("service = \"connect\"\naccess = []\n{line}");
    assert_all_wrong(&[
        ("service = ⟨\"forward\"⟩", &["needs `target`", "qemu+tls://"]),
        ("target = ⟨\"vnc://10.0.0.7\"⟩", &["vnc"]),
        ("readonly = ⟨true⟩", &["libvirt", "one of their URIs"]),
        ("connect_timeout_status = ⟨504⟩", &["about CONNECT", "leave it out"]),
        ("strict_connect_target = ⟨true⟩", &["about CONNECT", "leave it out"]),
        (&forward("target = ⟨\"tcp://10.0.0.7:1\"⟩"), &["names the target", "\"forward\""]),
        (&forward("readonly = ⟨true⟩"), &["`readonly`", "\"forward\""]),
        (&forward("tls = { PAIR }\nlibvirt = ⟨true⟩"), &["`libvirt`", "\"forward\""]),
        ("target = \"serial:/dev/ttyS0\"\nhalf_close = ⟨\"forward\"⟩", &["serial line"]),
        (
            "target = \"serial:/dev/ttyS0\"\nsend_proxy = ⟨\"v1\"⟩",
            &["a serial line knows no PROXY"],
        ),
        (
            "target = \"qemu+tcp://10.0.0.7/system\"\nsend_proxy = ⟨\"v2\"⟩",
            &["libvirt knows no PROXY"],
        ),
        ("target = ⟨\"qemu+libssh2://10.0.0.7/system\"⟩", &["libssh2"]),
        ("proxy_from = ⟨[\"10.0.0.1\"]⟩", &["no effect", "proxy_protocol = \"required\""]),
        ("max_sessions = ⟨0⟩", &["above zero"]),
    ]);
    assert!(parse("f", &listener(connect)).is_ok());
}

#[test]
fn what_is_wrong_with_sockets_has_its_place() {
    let long = format!("address = ⟨\"unix:/{}\"⟩", "x".repeat(107));
    assert_all_wrong(&[
        ("address = ⟨\"unix:relative\"⟩", &["\"unix:relative\"", "unix:/run/penstock"]),
        (&long, &["at most 107 bytes"]),
        ("mode = ⟨\"0660\"⟩", &["about UNIX sockets"]),
        ("owner = ⟨\"root\"⟩", &["about UNIX sockets"]),
        ("group = ⟨\"root\"⟩", &["about UNIX sockets"]),
        ("address = \"unix:/run/a\"\nmode = ⟨\"0990\"⟩", &["octal", "\"0660\""]),
        ("address = \"unix:/run/a\"\nowner = ⟨\"nobody at all\"⟩", &["no user `nobody at all`"]),
        ("address = \"unix:/run/a\"\ngroup = ⟨\"nobody at all\"⟩", &["no group `nobody at all`"]),
        (
            "address = \"unix:/run/a\"\nproxy_protocol = ⟨\"required\"⟩\nproxy_from = [\"all\"]",
            &["no address", "[[listen]] of its own"],
        ),
        ("address = ⟨[\"unix:/run/a\", \"unix:/run/a\"]⟩", &["unix:/run/a", "twice"]),
        ("address = \"unix:/run/a\"\ntarget = ⟨\"unix:/run/a\"⟩", &["come back to us"]),
        ("target = ⟨\"tcp://127.0.0.1:3128\"⟩", &["127.0.0.1:3128", "come back to us"]),
    ]);
}

#[test]
fn what_only_we_may_use_is_not_given_to_whoever_comes() {
    let shown = "upstream_tls = { ca = \"DIR/ca\", PAIR }";
    let with_certificate =
        format!("address = ⟨\"127.0.0.1:1\"⟩\ntarget = \"tls://10.0.0.7:2\"\n{shown}");
    let by_connect =
        format!("address = ⟨\"127.0.0.1:1\"⟩\nservice = \"connect\"\naccess = []\n{shown}");
    let optional = "tls = { PAIR, client_auth = \"optional\", client_ca = \"DIR/ca\" }";
    let optional = format!("address = ⟨\"127.0.0.1:1\"⟩\ntarget = \"unix:/run/b\"\n{optional}");
    assert_all_wrong(&[
        (&with_certificate, &["our client certificate", "`unauthenticated = true`"]),
        (&by_connect, &["our client certificate", "`unauthenticated = true`"]),
        (
            "address = ⟨\"127.0.0.1:1\"⟩\ntarget = \"unix:/run/b\"",
            &["a UNIX socket, which lets us in"],
        ),
        (
            "address = ⟨[\"unix:/run/a\", \"127.0.0.1:1\"]⟩\ntarget = \"unix:/run/b\"",
            &["UNIX socket"],
        ),
        (
            "address = ⟨\"127.0.0.1:1\"⟩\ntarget = \"qemu+ssh://h/system\"",
            &["a program that runs as us"],
        ),
        (&optional, &["client_auth = \"require\""]),
    ]);
    let files = Files::new();
    for lines in [&with_certificate, &by_connect] {
        let said = format!("{}\nunauthenticated = true", lines.replace(['⟨', '⟩'], ""));
        assert!(parse("f", &files.filled(&listener(&said))).is_ok(), "{said}");
    }
    let required = "target = \"unix:/run/b\"\ntls = { PAIR, client_auth = \"require\", client_ca = \"DIR/ca\" }";
    assert!(parse("f", &files.filled(&listener(required))).is_ok());
}
