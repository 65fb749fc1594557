//! When a server ends, and what becomes of consoles then.

use nix::sys::signal::Signal;
use penstock_tests::stranger::Stranger;
use penstock_tests::{Stopwatch, process, wait};

use crate::rig::{BOTH, Browser, LIMIT, Server, Whose, echo, fresh, is_listened_on};

#[test]
fn it_runs_once() {
    let target = echo();
    for whose in BOTH {
        let mut server = Server::start(whose, &format!("--run-once {{}} {target}"));
        let mut browser = Browser::open(&server.url(), &[]);
        // Who is no console is waited for as long as that, and no longer.
        std::thread::sleep(std::time::Duration::from_secs(12));
        assert!(server.process.ended().is_none(), "its console lives: {}", server.said());
        browser.says("still");
        assert_eq!(browser.leaves(), "1000");
        assert_eq!(server.ends().code(), Some(0), "{}", server.said());
        assert!(!is_listened_on(server.address));
    }
}

#[test]
fn after_its_time_it_takes_in_nobody_and_lets_consoles_end() {
    let target = echo();
    for whose in BOTH {
        let mut alone = Server::start(whose, &format!("--timeout 4 {{}} {target}"));
        let watch = Stopwatch::start();
        assert_eq!(alone.ends().code(), Some(0), "{}", alone.said());
        assert!(watch.elapsed().as_secs() < 14, "it waited for nobody");
        let mut server = Server::start(whose, &format!("--timeout 8 {{}} {target}"));
        let mut browser = Browser::open(&server.url(), &[]);
        wait::until_true("its time is over", LIMIT, || server.said().contains("--timeout"));
        // The child process of websockify that has the console has the listening socket, too.
        let shut = || whose == Whose::Websockify || !is_listened_on(server.address);
        wait::until_true("it listens no more", LIMIT, shut);
        assert!(server.process.ended().is_none(), "its console lives: {}", server.said());
        browser.says("still");
        assert_eq!(browser.leaves(), "1000");
        assert_eq!(server.ends().code(), Some(0), "{}", server.said());
    }
}

#[test]
fn it_ends_when_nobody_has_used_it_for_a_time() {
    let target = echo();
    for whose in BOTH {
        let mut server = Server::start(whose, &format!("--idle-timeout 8 {{}} {target}"));
        let mut browser = Browser::open(&server.url(), &[]);
        std::thread::sleep(std::time::Duration::from_secs(10));
        assert!(server.process.ended().is_none(), "it is used: {}", server.said());
        browser.says("still");
        assert_eq!(browser.leaves(), "1000");
        assert_eq!(server.ends().code(), Some(0), "{}", server.said());
    }
}

#[test]
fn a_signal_ends_it_and_its_consoles() {
    let target = echo();
    for whose in BOTH {
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            let mut server = Server::start(whose, &format!("{{}} {target}"));
            let browser = Browser::open(&server.url(), &[]);
            server.process.signal(signal);
            assert_eq!(server.ends().code(), Some(0), "{}", server.said());
            // Its child process is killed, and says nothing more.
            let code = if whose == Whose::Penstock { "1001" } else { "1006" };
            assert_eq!(browser.leave(), code, "{}", server.said());
        }
    }
}

#[test]
fn in_the_background_it_serves_and_whoever_started_it_goes_on() {
    let target = echo();
    for whose in BOTH {
        let dir = process::directory();
        let address = fresh();
        let line = format!("-D {address} {target} --log-file messages");
        let (code, said) = whose.run(dir.path(), &line.split(' ').collect::<Vec<_>>());
        assert_eq!(code, Some(0), "{said}");
        let daemon = wait::until("it is there", LIMIT, || Stranger::find(&address.to_string()));
        let url = format!("ws://{address}/");
        assert_eq!(Browser::open(&url, &[]).leaves(), "1000");
        let cwd = std::fs::read_link(format!("/proc/{}/cwd", daemon.0)).expect("it lives");
        assert_eq!(cwd.to_str(), Some("/"), "it keeps no file system from being unmounted");
        let output = std::fs::read_link(format!("/proc/{}/fd/1", daemon.0)).expect("it lives");
        assert_eq!(output.to_str(), Some("/dev/null"), "it holds nobody's terminal");
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.0)).expect("it lives");
        assert_eq!(stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(4)), Some("0"));
        wait::until_true("messages", LIMIT, || {
            let messages = std::fs::read_to_string(dir.path().join("messages"));
            messages.expect("a log").contains("proxying from")
        });
        let taken = whose.run(dir.path(), &["-D", &address.to_string(), &target.to_string()]);
        assert_eq!(taken.0, Some(1), "told before it goes to the background: {}", taken.1);
        daemon.signal(Signal::SIGTERM);
        wait::until_true("it is gone", LIMIT, || !daemon.is_alive());
    }
}

#[test]
fn a_super_server_hands_over_its_socket() {
    let target = echo();
    for whose in BOTH {
        let address = fresh();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/websockify_cli/inetd.py");
        let (program, first) = whose.program();
        let mut command = process::command("/usr/bin/python3");
        command.arg(script).args([address.ip().to_string(), address.port().to_string()]);
        command.arg(program).args(first).args(["--inetd", &target.to_string()]);
        let mut server = Server::spawn(whose, address, &mut command);
        wait::until_true("it listens", LIMIT, || is_listened_on(address));
        assert_eq!(Browser::open(&server.url(), &[]).leaves(), "1000", "{}", server.said());
        assert_eq!(Browser::open(&server.url(), &[]).leaves(), "1000", "{}", server.said());
        server.process.signal(Signal::SIGTERM);
        assert_eq!(server.ends().code(), Some(0), "{}", server.said());
    }
    let dir = process::directory();
    let (code, said) = Whose::Penstock.run(dir.path(), &["--inetd", &target.to_string()]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("expected a listening socket"), "{said}");
}
