//! Reload, quit and stop of an nginx whose engine carries sessions, and what it does with more of them than the engine takes.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use penstock_tests::connect::{PATIENCE, dial};
use penstock_tests::stream::{End, Pattern};
use penstock_tests::{Driver, Stopwatch, both_drivers, procfs, wait};

use super::rig::{Nginx, Setup, session, target};

both_drivers! {
    a_reload_leaves_live_tunnels_alone,
    a_shutdown_timeout_ends_them,
    quit_waits_and_stop_does_not,
}

pub(crate) fn speak(client: &TcpStream, target: &TcpStream, seed: u64) {
    let (mut client, mut target) = (client, target);
    Pattern::new(seed).send(&mut client, 100_000).expect("an open stream");
    Pattern::new(seed).receive(&mut target, 100_000).expect("an open stream");
    Pattern::new(seed + 1).send(&mut target, 100_000).expect("an open stream");
    Pattern::new(seed + 1).receive(&mut client, 100_000).expect("an open stream");
}

fn wait_for_end(nginx: &mut Nginx) {
    wait::until_true("nginx ends", PATIENCE, || nginx.has_ended());
}

fn a_reload_leaves_live_tunnels_alone(driver: Driver) {
    let (listener, address) = target();
    let nginx = Setup::new(driver).in_front_of(address).start();
    let (client, target) = session(&nginx, &listener);
    speak(&client, &target, 1);
    let old = nginx.worker();
    nginx.reload();
    // Longer than an idle worker takes to leave.
    std::thread::sleep(Duration::from_millis(1500));
    speak(&client, &target, 3);
    let workers = nginx.workers();
    assert!(workers.len() == 2 && workers.contains(&old), "{workers:?}");

    let (later_client, later_target) = session(&nginx, &listener);
    speak(&later_client, &later_target, 5);
    drop((client, target));
    wait::until_true("the old worker leaves", PATIENCE, || !nginx.workers().contains(&old));
    let line = nginx.line();
    assert_eq!((&*line["penstock"], &*line["bytes_sent"]), ("on", "200000"));
    speak(&later_client, &later_target, 7);
    drop((later_client, later_target));
    assert!(nginx.lines(2).iter().all(|line| line["penstock"] == "on"));
    let said = nginx.errors();
    assert!(!said.contains("open socket") && !said.contains("[alert]"), "{said}");
}

fn a_shutdown_timeout_ends_them(driver: Driver) {
    let (listener, address) = target();
    let setup = Setup::new(driver).main("worker_shutdown_timeout 2s;").in_front_of(address);
    let nginx = setup.start();
    let (mut client, mut target) = session(&nginx, &listener);
    speak(&client, &target, 1);
    let (old, began, watch) = (nginx.worker(), Instant::now(), Stopwatch::start());
    nginx.reload();
    assert!(matches!(Pattern::new(9).drain(&mut client), End::Eof | End::Broken(_)));
    assert!(matches!(Pattern::new(9).drain(&mut target), End::Eof | End::Broken(_)));
    assert!(began.elapsed() > Duration::from_millis(1900), "{:?}", began.elapsed());
    assert!(watch.elapsed() < Duration::from_secs(8), "{:?}", watch.elapsed());
    wait::until_true("the old worker leaves", PATIENCE, || !nginx.workers().contains(&old));
    let line = nginx.line();
    assert_eq!((&*line["penstock"], &*line["bytes_sent"]), ("on", "100000"));
    let said = nginx.errors();
    assert!(said.contains("shutdown timeout") && !said.contains("[alert]"), "{said}");
}

fn quit_waits_and_stop_does_not(driver: Driver) {
    let (listener, address) = target();
    let mut nginx = Setup::new(driver).in_front_of(address).start();
    let (client, target) = session(&nginx, &listener);
    nginx.signal(Signal::SIGQUIT);
    std::thread::sleep(Duration::from_millis(1500));
    assert!(!nginx.has_ended(), "it has not waited");
    speak(&client, &target, 1);
    drop((client, target));
    wait_for_end(&mut nginx);
    assert_eq!(nginx.line()["bytes_received"], "100000");

    let mut nginx = Setup::new(driver).in_front_of(address).start();
    let (mut client, target) = session(&nginx, &listener);
    speak(&client, &target, 1);
    let watch = Stopwatch::start();
    nginx.signal(Signal::SIGTERM);
    assert!(matches!(Pattern::new(9).drain(&mut client), End::Eof | End::Broken(_)));
    wait_for_end(&mut nginx);
    assert!(watch.elapsed() < Duration::from_secs(5), "{:?}", watch.elapsed());
    assert!(!nginx.errors().contains("[alert]"), "{}", nginx.errors());
}

/// What the engine keeps of 200 descriptors for itself is its own affair: it says how many tunnels that leaves.
#[test]
fn what_the_engine_does_not_take_nginx_carries() {
    let (listener, address) = target();
    let nginx =
        Setup::new(Driver::Epoll).main("worker_rlimit_nofile 200;").in_front_of(address).start();
    let most = wait::until("how many", PATIENCE, || {
        let said = nginx.errors();
        let (before, _) = said.split_once(" sessions at most in this worker")?;
        before.rsplit(' ').next()?.parse::<usize>().ok()
    });
    // Four descriptors each, of which the others have to be left some.
    assert!((2..40).contains(&most), "{most}");
    let sessions: Vec<_> = (0..most + 4).map(|_| session(&nginx, &listener)).collect();
    for (client, target) in &sessions {
        speak(client, target, 1);
    }
    drop(sessions);
    let lines = nginx.lines(most + 4);
    let on = lines.iter().filter(|line| line["penstock"] == "on").count();
    let fell_back = lines.iter().filter(|line| line["penstock"] == "fell back: full").count();
    assert_eq!((on, fell_back), (most, 4), "{lines:?}");
    assert!(lines.iter().all(|line| line["bytes_sent"] == "100000"), "{lines:?}");
    assert!(lines.iter().all(|line| line["upstream_bytes_sent"] == "100000"), "{lines:?}");
    let warning = "penstock: nginx carries this session by itself";
    assert_eq!(nginx.errors().matches(warning).count(), 4, "{}", nginx.errors());
}

/// That another session costs less than 7 KiB.
fn assert_small<S>(nginx: &Nginx, open: impl Fn() -> S) {
    let _first: Vec<_> = (0..20).map(|_| open()).collect();
    let before = procfs::private_dirty(nginx.worker());
    let _others: Vec<_> = (0..200).map(|_| open()).collect();
    let grown = procfs::private_dirty(nginx.worker()).saturating_sub(before);
    assert!(grown / 200 < 7 << 10, "{} bytes each", grown / 200);
}

/// nginx alone keeps 34 KiB for each; its buffers, unused, would still be 8 KiB of touched pages.
#[test]
fn who_says_nothing_holds_no_buffers() {
    let (listener, address) = target();
    let nginx = Setup::new(Driver::Epoll).in_front_of(address).start();
    let open = || {
        let (client, target) = session(&nginx, &listener);
        speak(&client, &target, 1);
        (client, target)
    };
    assert_small(&nginx, open);
}

/// What nginx looks at for the sake of `ssl_preread` takes a buffer of 16 KiB, which it keeps for as long as the session lasts.
#[test]
fn who_was_looked_at_holds_no_buffers_either() {
    let (listener, address) = target();
    let nginx = Setup::new(Driver::Epoll).stream("ssl_preread on;").in_front_of(address).start();
    let open = || {
        let client = dial(nginx.address).expect("nginx listens");
        Pattern::new(1).send(&mut &client, 14_000).expect("room in nginx's socket");
        let (target, _) = listener.accept().expect("nginx connects");
        Pattern::new(1).receive(&mut &target, 14_000).expect("an open stream");
        (client, target)
    };
    assert_small(&nginx, open);
}
