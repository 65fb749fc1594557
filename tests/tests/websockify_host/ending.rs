//! When a server ends, and what becomes of consoles then.

use nix::sys::signal::Signal;
use penstock_tests::stranger::Stranger;
use penstock_tests::web_socket::{Client, request};
use penstock_tests::{Stopwatch, process, procfs, wait};

use crate::rig::{Became, LIMIT, Server, echo, echoes, fresh, leave, python};

const SUPER_SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/websockify_cli/inetd.py");

#[test]
fn it_runs_once() {
    let mut server = Server::start(&format!("--run-once {{}} {}", echo()));
    let mut client = server.open("/");
    assert_eq!(echoes(&mut client), Became::Served);
    assert!(server.process.ended().is_none(), "its console lives: {}", server.said());
    leave(client);
    assert_eq!(server.ends().code(), Some(0), "{}", server.said());
    assert!(server.said().contains("exiting due to --run-once"), "{}", server.said());
    assert!(!procfs::listens(server.address));
}

#[test]
fn whoever_is_refused_is_not_the_one_that_it_runs_for() {
    let target = echo();
    let plugin = "--token-plugin plugins.Tokens --token-source vm-";
    let mut server = Server::start(&format!("--run-once {plugin} {{}}"));
    assert_eq!(server.ask("/?token=other", ""), Became::Told(403));
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(procfs::listens(server.address), "{}", server.said());
    let token = format!("/?token=vm-{}_{}", target.ip(), target.port());
    leave(server.open(&token));
    assert_eq!(server.ends().code(), Some(0), "{}", server.said());
}

#[test]
fn after_its_time_it_takes_in_nobody_and_lets_consoles_end() {
    let target = echo();
    let mut alone = Server::start(&format!("--timeout 4 {{}} {target}"));
    let watch = Stopwatch::start();
    assert_eq!(alone.ends().code(), Some(0), "{}", alone.said());
    assert!(watch.elapsed().as_secs() < 14, "it waited for nobody");
    let mut server = Server::start(&format!("--timeout 10 {{}} {target}"));
    let mut client = server.open("/");
    wait::until_true("it listens no more", LIMIT, || !procfs::listens(server.address));
    assert!(server.said().contains("listener exit due to --timeout 10"), "{}", server.said());
    assert_eq!(echoes(&mut client), Became::Served, "{}", server.said());
    assert!(server.process.ended().is_none(), "its console lives: {}", server.said());
    leave(client);
    assert_eq!(server.ends().code(), Some(0), "{}", server.said());
}

#[test]
fn it_ends_when_nobody_has_used_it_for_a_time() {
    let mut server = Server::start(&format!("--idle-timeout 8 {{}} {}", echo()));
    let mut client = server.open("/");
    std::thread::sleep(std::time::Duration::from_secs(11));
    assert!(server.process.ended().is_none(), "it is used: {}", server.said());
    assert_eq!(echoes(&mut client), Became::Served);
    leave(client);
    assert_eq!(server.ends().code(), Some(0), "{}", server.said());
}

#[test]
fn a_signal_ends_it_and_its_consoles() {
    let target = echo();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut server = Server::start(&format!("{{}} {target}"));
        let mut client = server.open("/");
        server.process.signal(signal);
        assert_eq!(client.closed().0, Some(1001), "{}", server.said());
        assert_eq!(server.ends().code(), Some(0), "{}", server.said());
        assert!(server.said().contains("In exit"), "{}", server.said());
    }
}

#[test]
fn a_signal_ends_it_while_plugins_hang_and_while_it_waits_for_consoles() {
    let mut server = Server::start("{} --token-plugin plugins.Tokens --token-source vm-");
    let mut hanging = penstock_tests::connect::dial(server.address).expect("it listens");
    let head = request("x", "/?token=hang", "");
    std::io::Write::write_all(&mut hanging, head.as_bytes()).expect("it reads");
    std::thread::sleep(std::time::Duration::from_millis(500));
    server.process.signal(Signal::SIGTERM);
    assert_eq!(server.ends().code(), Some(0), "{}", server.said());
    let mut server = Server::start(&format!("--timeout 4 {{}} {}", echo()));
    let mut client = server.open("/");
    wait::until_true("it listens no more", LIMIT, || !procfs::listens(server.address));
    server.process.signal(Signal::SIGTERM);
    assert_eq!(client.closed().0, Some(1001), "{}", server.said());
    assert_eq!(server.ends().code(), Some(0), "{}", server.said());
}

#[test]
fn a_super_server_hands_over_its_socket() {
    let (address, target) = (fresh(), echo());
    let [host, port] = [address.ip().to_string(), address.port().to_string()];
    let mut command = python();
    command.args([SUPER_SERVER, &host, &port, "/usr/bin/python3", "-m", "penstock.websockify"]);
    let mut server = Server::spawn(address, command.args(["--inetd", &target.to_string()]));
    leave(server.open("/"));
    leave(server.open("/"));
    server.process.signal(Signal::SIGTERM);
    assert_eq!(server.ends().code(), Some(0), "{}", server.said());
    let mut command = python();
    command.args(["-m", "penstock.websockify", "--inetd", &target.to_string()]);
    let output = command.output().expect("Python");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("descriptor 0: expected a listening socket"), "{said}");
}

#[test]
fn in_the_background_it_serves_and_whoever_started_it_goes_on() {
    let (dir, address, target) = (process::directory(), fresh(), echo());
    let run = |more: &str| {
        let mut command = python();
        command.args(["-m", "penstock.websockify", "-D", &address.to_string()]);
        command.arg(target.to_string()).args(more.split_whitespace()).current_dir(dir.path());
        let output = command.output().expect("Python");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = run("--log-file messages");
    assert_eq!(code, Some(0), "{said}");
    wait::until_true("it listens", LIMIT, || procfs::listens(address));
    let daemon = Stranger::find(&format!("penstock.websockify -D {address}")).expect("it lives");
    let mut client = Client::dial(address, None).expect("it listens");
    client.upgrade(&request(address, "/", ""));
    assert_eq!(echoes(&mut client), Became::Served);
    leave(client);
    let cwd = std::fs::read_link(format!("/proc/{}/cwd", daemon.0)).expect("it lives");
    assert_eq!(cwd.to_str(), Some("/"));
    wait::until_true("messages", LIMIT, || {
        let messages = std::fs::read_to_string(dir.path().join("messages"));
        messages.expect("a log").contains("proxying from")
    });
    // What is wrong is told before it goes to the background.
    let (code, said) = run("");
    assert_eq!(code, Some(1), "{said}");
    let broken = dir.path().join("broken.pem");
    std::fs::write(&broken, "no certificate").expect("our folder");
    let mut command = python();
    command.args(["-m", "penstock.websockify", "-D", &fresh().to_string(), "a:1", "--cert"]);
    let output = command.arg(&broken).output().expect("Python");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("broken.pem"), "{said}");
    daemon.signal(Signal::SIGTERM);
    wait::until_true("it is gone", LIMIT, || !daemon.is_alive());
}
