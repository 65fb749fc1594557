//! Listeners that forward, without TLS: UNIX sockets on either side, who may come, and how they begin and end.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use penstock_tests::connect::be_patient;
use penstock_tests::stream::Pattern;
use penstock_tests::{Driver, Penstock, Setup, both_drivers, names, origin, process, wait};
use tempfile::TempDir;

both_drivers! {
    every_worker_serves_a_socket,
    a_new_daemon_takes_over_while_the_old_one_drains,
    rules_for_addresses_say_nothing_of_doors,
    rules_for_clients_say_nothing_good_of_those_without_an_address,
    a_place_is_given_back,
    one_end_leaves_the_other_direction_alive,
}

const SECOND: Duration = Duration::from_secs(1);

fn start(driver: Driver, lines: &str) -> Penstock {
    setup(driver, lines).start()
}

fn setup(driver: Driver, lines: &str) -> Setup {
    let lines = format!("name = \"gateway\"\nservice = \"forward\"\n{lines}");
    Setup::without_listeners(driver).set("engine", "workers", "2").listener(&lines)
}

fn socket() -> (TempDir, PathBuf) {
    let dir = process::directory();
    let path = dir.path().join("socket");
    (dir, path)
}

fn dial(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).expect("a listener");
    stream.set_read_timeout(Some(10 * SECOND)).expect("a socket");
    stream
}

fn assert_serves(mut stream: impl Read + Write, seed: u64) {
    stream.write_all(format!("send {seed} 10000\n").as_bytes()).expect("an open stream");
    let result = Pattern::new(seed).receive(&mut stream, 10_000);
    result.unwrap_or_else(|error| panic!("stream {seed}: {error}"));
}

fn every_worker_serves_a_socket(driver: Driver) {
    let (_dir, path) = socket();
    let target = origin::start();
    let lines = format!("address = \"unix:{}\"\ntarget = \"tcp://{target}\"", path.display());
    let penstock = start(driver, &lines);
    let before = penstock.holdings();
    thread::scope(|scope| {
        for seed in 0..200 {
            let path = &path;
            scope.spawn(move || assert_serves(dial(path), seed));
        }
    });
    penstock.assert_holds(&before);
    assert_eq!(penstock.metric(names::TUNNELS, &[]), 200.0);
    let records = penstock.records(200);
    assert!(records.iter().all(|record| record["client"].is_null()), "{}", records[0]);
    assert!(penstock.stop().success());
    assert!(!path.exists(), "who ends takes the file along");
}

fn a_new_daemon_takes_over_while_the_old_one_drains(driver: Driver) {
    let (_dir, path) = socket();
    let target = origin::start();
    let lines = format!("address = \"unix:{}\"\ntarget = \"tcp://{target}\"", path.display());
    let mut old = start(driver, &lines);
    let mut live = dial(&path);
    live.write_all(b"echo\n").expect("an open stream");
    old.process().signal(Signal::SIGTERM);
    wait::until_true("the old one is deaf", 5 * SECOND, || UnixStream::connect(&path).is_err());
    let new = start(driver, &lines);
    assert_serves(dial(&path), 1);
    live.write_all(b"still here").expect("an open stream");
    let mut heard = [0; 10];
    live.read_exact(&mut heard).expect("an echo");
    assert_eq!(&heard, b"still here");
    drop(live);
    assert_eq!(old.outcome().0, Some(0));
    assert!(path.exists(), "it is the new one's");
    assert_serves(dial(&path), 2);
    assert!(new.stop().success());
    assert!(!path.exists());
}

/// A target behind a UNIX socket, which says so and ends.
fn door(path: &Path) {
    let listener = UnixListener::bind(path).expect("a path of our own");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.and_then(|mut stream| stream.write_all(b"behind the door"));
        }
    });
}

fn rules_for_addresses_say_nothing_of_doors(driver: Driver) {
    let (_dir, path) = socket();
    door(&path);
    let heard = |access: &str| {
        let lines = format!(
            "address = \"unix:{0}.in\"\ntarget = \"unix:{0}\"\naccess = [{access}]",
            path.display()
        );
        let nets = "{ dst = [\"0.0.0.0/8\", \"10.0.0.0/8\", \"::/128\"] }";
        let penstock = setup(driver, &lines).set("acl", "nets", nets).start();
        let mut heard = String::new();
        dial(&path.with_extension("in")).read_to_string(&mut heard).expect("an end");
        drop(penstock);
        heard
    };
    for access in ["\"deny to_localhost\", \"allow all\"", "\"deny nets\", \"allow all\""] {
        assert_eq!(heard(access), "behind the door", "{access}");
    }
    for access in ["\"allow nets\"", "\"deny all\"", "\"allow to_localhost\", \"deny all\""] {
        assert_eq!(heard(access), "", "{access}");
    }
}

fn rules_for_clients_say_nothing_good_of_those_without_an_address(driver: Driver) {
    let (_dir, path) = socket();
    let target = origin::start();
    for (access, served) in [
        ("\"allow lan\"", false),
        ("\"deny lan\", \"allow all\"", false),
        ("\"deny !lan\", \"allow all\"", false),
        ("\"allow all\"", true),
    ] {
        let lines = format!(
            "address = \"unix:{}\"\ntarget = \"tcp://{target}\"\naccess = [{access}]",
            path.display()
        );
        let lan = "{ src = [\"127.0.0.0/8\"] }";
        let penstock = setup(driver, &lines).set("acl", "lan", lan).start();
        let mut stream = dial(&path);
        let said = stream.write_all(b"send 1 100\n");
        let heard = said.and_then(|()| Pattern::new(1).receive(&mut stream, 100));
        assert_eq!(heard.is_ok(), served, "{access}: {heard:?}");
        drop(stream);
        let record = penstock.records(1).remove(0);
        assert_eq!(record["cause"] == "access_denied", !served, "{record}");
    }
}

fn a_place_is_given_back(driver: Driver) {
    let (_dir, path) = socket();
    let target = origin::start();
    let lines = format!(
        "address = \"unix:{}\"\ntarget = \"tcp://{target}\"\nmax_sessions = 1",
        path.display()
    );
    let penstock = start(driver, &lines);
    for seed in 0..20 {
        let mut first = dial(&path);
        first.write_all(b"echo\n?").expect("an open stream");
        first.read_exact(&mut [0]).expect("an echo");
        let mut second = dial(&path);
        assert_eq!(second.read(&mut [0]).expect("an end"), 0, "there is one place");
        drop((first, second));
        wait::until_true("the place is free", 5 * SECOND, || {
            penstock.metric(names::SESSIONS_OPEN, &[]) == 0.0
        });
        assert_serves(dial(&path), seed);
        wait::until_true("the place is free", 5 * SECOND, || {
            penstock.metric(names::SESSIONS_OPEN, &[]) == 0.0
        });
    }
    assert_eq!(penstock.metrics().closed(&[("cause", "in_use")]), 20.0);
}

fn one_end_leaves_the_other_direction_alive(driver: Driver) {
    let target = origin::start();
    let setup = Setup::without_listeners(driver);
    let lines = format!(
        "name = \"gateway\"\nservice = \"forward\"\naddress = \"{}:3128\"\ntarget = \"tcp://{target}\"",
        setup.address()
    );
    let penstock = setup.listener(&lines).start();
    let mut client = TcpStream::connect(penstock.proxy()).expect("a listener");
    be_patient(&client).expect("a socket");
    // All that it will ever say comes before the target is there.
    client.write_all(b"echo\nto be, or not").expect("an open stream");
    client.shutdown(Shutdown::Write).expect("an open stream");
    let mut heard = String::new();
    client.read_to_string(&mut heard).expect("an end in order");
    assert_eq!(heard, "to be, or not");
}
