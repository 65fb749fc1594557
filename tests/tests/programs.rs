//! Programs as targets: what passes through them, what they say, and that none outlives its tunnel or the daemon.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use penstock_tests::stream::Pattern;
use penstock_tests::{
    Driver, Penstock, Setup, both_drivers, connect, names, process, procfs, wait,
};
use tempfile::TempDir;

both_drivers! {
    a_program_carries_a_tunnel_and_its_last_words_are_in_the_log,
    a_program_ends_with_its_tunnel,
    a_daemon_that_is_killed_leaves_no_program,
    a_drain_leaves_programs_alone,
    without_a_spawner_what_runs_goes_on_and_nothing_new_does,
    as_many_as_are_admitted_find_descriptors,
}

const LIMIT: Duration = Duration::from_secs(60);

/// A daemon whose target is a shell script, and the folder that this is in.
fn with_script(driver: Driver, script: &str) -> (Penstock, TempDir) {
    with(Setup::new(driver), script)
}

fn with(setup: Setup, script: &str) -> (Penstock, TempDir) {
    let folder = process::directory();
    let program = folder.path().join("program");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("our folder");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("our file");
    let target = format!("\"qemu+ext:///system?command={}\"", program.display());
    let penstock = setup
        .set("log", "access", "{ path = \"access.log\", format = \"json\" }")
        .set("listen", "service", "\"forward\"")
        .set("listen", "target", &target)
        .set("listen", "unauthenticated", "true")
        // That a client says no more would else not be the end of its tunnel.
        .set("listen", "half_close", "\"close\"")
        .set("listen", "access", "[\"allow all\"]")
        .start();
    (penstock, folder)
}

fn client(penstock: &Penstock) -> TcpStream {
    let client = TcpStream::connect(penstock.proxy()).expect("a listener");
    connect::be_patient(&client).expect("a socket");
    client
}

/// A number that the script says first.
fn pid(client: &mut TcpStream) -> Pid {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        let mut byte = [0];
        client.read_exact(&mut byte).expect("a line");
        line.push(byte[0]);
    }
    let text = String::from_utf8(line).expect("text");
    Pid::from_raw(text.trim().parse().expect("a number"))
}

fn wait_for_death(pid: Pid) {
    wait::until_true("the program is gone", LIMIT, || kill(pid, None).is_err());
}

fn echo(client: &mut TcpStream) {
    client.write_all(b"x").expect("an open tunnel");
    client.read_exact(&mut [0]).expect("an open tunnel");
}

/// The spawner is the daemon's only child.
fn spawner(penstock: &Penstock) -> Pid {
    let path = PathBuf::from(format!("/proc/{0}/task/{0}/children", penstock.pid()));
    let children = fs::read_to_string(path).expect("it lives");
    Pid::from_raw(children.trim().parse().expect("one child"))
}

fn a_program_carries_a_tunnel_and_its_last_words_are_in_the_log(driver: Driver) {
    let script = "cat; echo 'Host key verification failed.' >&2; exit 255";
    let (mut penstock, _folder) = with_script(driver, script);
    let mut client = client(&penstock);
    let mut writer = client.try_clone().expect("a descriptor");
    let sender = std::thread::spawn(move || Pattern::new(1).send(&mut writer, 1 << 20));
    Pattern::new(1).receive(&mut client, 1 << 20).expect("all of it");
    sender.join().expect("it ended").expect("all of it");
    client.shutdown(std::net::Shutdown::Write).expect("an open tunnel");
    let line = wait::until("a line in the log", LIMIT, || {
        let text = penstock.process().text("access.log");
        text.ends_with('\n').then_some(text)
    });
    let record: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(record["bytes_to_target"], 1 << 20, "{line}");
    let detail = record["detail"].as_str().expect("a text");
    assert!(detail.ends_with("program exited with 255: Host key verification failed."), "{detail}");
}

fn a_program_ends_with_its_tunnel(driver: Driver) {
    let (penstock, _folder) =
        with_script(driver, "trap '' TERM; echo $$; while :; do sleep 1; done");
    let before = penstock.holdings();
    let mut client = client(&penstock);
    let pid = pid(&mut client);
    drop(client);
    wait_for_death(pid);
    penstock.assert_holds(&before);
    penstock.wait_for_metric(names::PROGRAMS_RUNNING, &[], 0.0);
}

fn a_daemon_that_is_killed_leaves_no_program(driver: Driver) {
    let (mut penstock, _folder) =
        with_script(driver, "trap '' TERM; echo $$; while :; do sleep 1; done");
    let pids: Vec<Pid> = (0..3)
        .map(|_| {
            let mut client = client(&penstock);
            let pid = pid(&mut client);
            std::mem::forget(client);
            pid
        })
        .collect();
    let spawner = spawner(&penstock);
    penstock.process().signal(Signal::SIGKILL);
    pids.into_iter().chain([spawner]).for_each(wait_for_death);
}

fn a_drain_leaves_programs_alone(driver: Driver) {
    let (mut penstock, _folder) = with_script(driver, "echo $$; exec cat");
    let mut client = client(&penstock);
    let pid = pid(&mut client);
    let spawner = spawner(&penstock);
    // As a service manager does that signals everybody.
    kill(spawner, Signal::SIGTERM).expect("it lives");
    penstock.process().signal(Signal::SIGTERM);
    wait::until_true("closed listeners", LIMIT, || TcpStream::connect(penstock.proxy()).is_err());
    echo(&mut client);
    drop(client);
    assert_eq!(penstock.outcome().0, Some(0));
    [pid, spawner].into_iter().for_each(wait_for_death);
}

fn without_a_spawner_what_runs_goes_on_and_nothing_new_does(driver: Driver) {
    let (mut penstock, _folder) = with_script(driver, "exec cat");
    let mut living = client(&penstock);
    echo(&mut living);
    kill(spawner(&penstock), Signal::SIGKILL).expect("it lives");
    wait::until_true("its end is known", LIMIT, || penstock.metric(names::SPAWNERS, &[]) == 0.0);
    echo(&mut living);
    let mut late = client(&penstock);
    assert!(matches!(late.read(&mut [0]), Ok(0) | Err(_)), "nobody is there");
    let said = wait::until("a line in the log", LIMIT, || {
        let text = penstock.process().text("access.log");
        text.contains("restart Penstock").then_some(text)
    });
    assert!(said.contains("\"phase\":\"connect\""), "{said}");
    wait::until_true("its end is told", LIMIT, || {
        penstock.said().contains("the process that starts programs has ended")
    });
}

fn as_many_as_are_admitted_find_descriptors(driver: Driver) {
    let limit = 1000;
    let setup = Setup::new(driver).set("engine", "workers", "1").descriptors(limit);
    let (penstock, _folder) = with(setup, "exec cat");
    let most = penstock.metric("penstock_max_tunnels", &[]) as usize;
    assert!((150..300).contains(&most), "{most}");
    let mut clients: Vec<_> = (0..most).map(|_| client(&penstock)).collect();
    clients.iter_mut().for_each(echo);
    let used = procfs::descriptors(penstock.pid()).len();
    assert!(used >= 3 * most && used < limit as usize - 200, "{used} for {most} tunnels");
    assert_eq!(penstock.metric(names::ACCEPT_PAUSES, &[]), 0.0);
    // Others come as soon as these leave.
    for _ in 0..3 {
        clients.truncate(most / 4);
        wait::until_true("room", LIMIT, || {
            penstock.metric(names::TUNNELS_OPEN, &[]) <= (most / 4) as f64
        });
        clients.resize_with(most, || client(&penstock));
        clients.iter_mut().for_each(echo);
    }
    assert_eq!(penstock.metric(names::ACCEPT_PAUSES, &[]), 0.0);
}
