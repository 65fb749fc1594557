//! What can't be configured, and a library that is not what the module was built for: said before anybody connects.

use std::fs;

use penstock_tests::connect::PATIENCE;
use penstock_tests::pki::{Authority, Wanted};
use penstock_tests::stream::Pattern;
use penstock_tests::{Driver, process, wait};

use super::module::module_for;
use super::program;
use super::rig::{PORT, Setup, session, target};

/// What nginx says of a server with these lines.
fn refusal(lines: &str) -> String {
    Setup::new(Driver::Epoll).server(PORT, &format!("proxy_pass 127.0.0.1:1; {lines}")).refusal()
}

/// It names what can't be, the directive's place and the server's.
fn assert_refused(said: &str, beside: &str) {
    let expected = format!("can't hold beside {beside} in the server in ");
    assert!(said.contains(&expected), "{expected:?} is not in: {said}");
    // As the rig writes it.
    for line in ["\"penstock on\" in ", "nginx.conf:8 can't", "nginx.conf:10: "] {
        assert!(said.contains(line), "{line:?} is not in: {said}");
    }
}

#[test]
fn what_the_engine_would_not_do_is_refused() {
    let address = penstock_tests::loopback::address();
    let (authority, dir) = (Authority::new("CA"), process::directory());
    let (certificate, key) = (dir.path().join("server.pem"), dir.path().join("server.key"));
    authority.issue(&Wanted::server(address)).write(&certificate, &key);
    let (certificate, key) = (certificate.display(), key.display());
    let ssl = format!(
        "listen {address}:5999 ssl; ssl_certificate {certificate}; ssl_certificate_key {key};"
    );
    let cases = [
        (format!("listen {address}:5999 udp;"), "\"listen ... udp\""),
        (ssl, "\"listen ... ssl\""),
        ("proxy_ssl on;".to_owned(), "\"proxy_ssl on\""),
        ("proxy_upload_rate 1m;".to_owned(), "proxy_upload_rate"),
        ("proxy_download_rate 1m;".to_owned(), "proxy_download_rate"),
        ("proxy_download_rate $connection;".to_owned(), "proxy_download_rate"),
    ];
    for (lines, beside) in cases {
        assert_refused(&refusal(&lines), beside);
    }
}

#[test]
fn scripts_that_would_see_nothing_are_refused() {
    if !program::is_of_debian() {
        println!("skipped: Debian's module for scripts fits Debian's nginx alone");
        return;
    }
    let dir = process::directory();
    let script = dir.path().join("script.js");
    fs::write(&script, "export default { look(s) {} };").expect("our directory");
    // After the stream module, before ours.
    let said = Setup::new(Driver::Epoll)
        .module_before("/usr/lib/nginx/modules/ngx_stream_js_module.so")
        .stream(&format!("js_import script from {};", script.display()))
        .server(PORT, "proxy_pass 127.0.0.1:1; js_filter script.look;")
        .refusal();
    assert!(said.contains("can't hold beside \"js_filter\" in the server in "), "{said}");
}

#[test]
fn what_is_not_said_is_not_refused() {
    let lines = "proxy_pass 127.0.0.1:1; proxy_upload_rate 0; proxy_ssl off;";
    let fine = Setup::new(Driver::Epoll).server(PORT, lines);
    let off = "penstock off; proxy_pass 127.0.0.1:1; proxy_ssl on; proxy_upload_rate 1m;";
    for setup in [fine, Setup::new(Driver::Epoll).server(PORT, off)] {
        let output = setup.check();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn values_are_checked() {
    let cases = [
        ("penstock_workers 0;", "value must be between 1 and 256"),
        ("penstock_workers 257;", "value must be between 1 and 256"),
        ("penstock_workers two;", "invalid number"),
        ("penstock_driver kqueue;", "invalid value \"kqueue\""),
        ("penstock perhaps;", "invalid value \"perhaps\""),
    ];
    for (line, expected) in cases {
        let said = Setup::without_penstock().stream(line).refusal();
        assert!(said.contains(expected), "{line}: {expected:?} is not in: {said}");
    }
}

#[test]
fn io_uring_is_missed_before_the_start() {
    let (_, address) = target();
    let setup = Setup::new(Driver::Uring).without_uring().in_front_of(address);
    let said = setup.refusal();
    let expected = "\"penstock_driver uring\": the kernel doesn't let this process use io_uring";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn without_io_uring_auto_is_epoll() {
    let (listener, address) = target();
    let setup = Setup::without_penstock().stream("penstock on;").without_uring();
    let nginx = setup.in_front_of(address).start();
    let (client, target) = session(&nginx, &listener);
    Pattern::new(1).send(&mut &client, 1000).expect("an open stream");
    Pattern::new(1).receive(&mut &target, 1000).expect("an open stream");
    drop((client, target));
    assert_eq!(nginx.line()["penstock"], "on");
    // The engine's own word, by way of nginx's log.
    let said = "[notice] 2#2: penstock: penstock 0.1.0: driver epoll ";
    wait::until_true(said, PATIENCE, || nginx.errors().contains(said));
}

#[test]
fn a_library_of_another_abi_is_refused() {
    let change = ("#define PENSTOCK_ABI_VERSION 1\n", "#define PENSTOCK_ABI_VERSION 77\n");
    let (module, _dir) = module_for(change);
    // Whether or not anybody says "penstock on".
    let said = Setup::without_penstock().module(module).refusal();
    let expected = "was built for Penstock 0.1.0 (ABI version 77), but the libpenstock that is \
                    loaded is 0.1.0 (ABI version 1): build the module again";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_library_of_another_version_is_told_of() {
    let change = ("#define PENSTOCK_VERSION \"0.1.0\"", "#define PENSTOCK_VERSION \"0.0.9\"");
    let (module, _dir) = module_for(change);
    let (_, address) = target();
    let output = Setup::new(Driver::Epoll).module(module).in_front_of(address).check();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let expected = "was built for Penstock 0.0.9, and the libpenstock that is loaded is 0.1.0";
    assert!(said.contains("[warn]") && said.contains(expected), "{said}");
}
