//! When a server ends, and what becomes of consoles then.

use nix::sys::signal::Signal;
use penstock_tests::{Stopwatch, procfs, wait};

use crate::rig::{Became, LIMIT, Server, echo, echoes, leave};

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
    let token = format!("/?token=vm-{}_{}", target.ip(), target.port());
    leave(server.open(&token));
    assert_eq!(server.ends().code(), Some(0), "{}", server.said());
}

#[test]
fn after_its_time_it_takes_in_nobody_and_lets_consoles_end() {
    let target = echo();
    let mut alone = Server::start(&format!("--timeout 1 {{}} {target}"));
    let watch = Stopwatch::start();
    assert_eq!(alone.ends().code(), Some(0), "{}", alone.said());
    assert!(watch.elapsed().as_secs() < 10, "it waited for nobody");
    let mut server = Server::start(&format!("--timeout 5 {{}} {target}"));
    let mut client = server.open("/");
    wait::until_true("it listens no more", LIMIT, || !procfs::listens(server.address));
    assert!(server.said().contains("listener exit due to --timeout 5"), "{}", server.said());
    assert_eq!(echoes(&mut client), Became::Served, "{}", server.said());
    assert!(server.process.ended().is_none(), "its console lives: {}", server.said());
    leave(client);
    assert_eq!(server.ends().code(), Some(0), "{}", server.said());
}

#[test]
fn it_ends_when_nobody_has_used_it_for_a_time() {
    let mut server = Server::start(&format!("--idle-timeout 4 {{}} {}", echo()));
    let mut client = server.open("/");
    std::thread::sleep(std::time::Duration::from_secs(7));
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
    let head = penstock_tests::web_socket::request("x", "/?token=hang", "");
    std::io::Write::write_all(&mut hanging, head.as_bytes()).expect("it reads");
    std::thread::sleep(std::time::Duration::from_millis(500));
    server.process.signal(Signal::SIGTERM);
    assert_eq!(server.ends().code(), Some(0), "{}", server.said());
    let mut server = Server::start(&format!("--timeout 1 {{}} {}", echo()));
    let mut client = server.open("/");
    wait::until_true("it listens no more", LIMIT, || !procfs::listens(server.address));
    server.process.signal(Signal::SIGTERM);
    assert_eq!(client.closed().0, Some(1001), "{}", server.said());
    assert_eq!(server.ends().code(), Some(0), "{}", server.said());
}
