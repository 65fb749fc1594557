//! An engine that has too much to do, or can't be had: nginx goes on, says so, and holds nothing more than without it.

use std::time::{Duration, Instant};

use penstock_tests::connect::PATIENCE;
use penstock_tests::stream::{End, Pattern};
use penstock_tests::{Driver, procfs, wait};

use super::life::speak;
use super::module::stand_in;
use super::rig::{Nginx, Setup, session, target};

fn open_sockets(nginx: &Nginx) -> usize {
    procfs::descriptors(nginx.worker()).len()
}

/// Each session says it in the error log and in the access log.
fn assert_nginx_carries(functions: &str, reason: &str, why: &str) {
    let (library, _dir) = stand_in(functions);
    let (listener, address) = target();
    let nginx = Setup::new(Driver::Epoll).preload(library).in_front_of(address).start();
    // Whatever the worker opens with its first session.
    drop(session(&nginx, &listener));
    nginx.lines(1);
    let before = open_sockets(&nginx);
    let sessions: Vec<_> = (0..3).map(|_| session(&nginx, &listener)).collect();
    for (client, target) in &sessions {
        speak(client, target, 1);
    }
    assert_eq!(open_sockets(&nginx), before + 2 * sessions.len(), "a duplicate stays open");
    drop(sessions);
    let lines = nginx.lines(4);
    assert!(lines.iter().all(|line| line["penstock"] == format!("fell back: {reason}")));
    for line in &lines[1..] {
        assert_eq!((&*line["bytes_received"], &*line["bytes_sent"]), ("100000", "100000"));
    }
    wait::until_true("all is closed", PATIENCE, || open_sockets(&nginx) == before);
    let said = nginx.errors();
    let warning = format!("penstock: nginx carries this session by itself: {why}");
    assert_eq!(said.matches(&warning).count(), 4, "{warning}: {said}");
}

#[test]
fn what_a_busy_engine_does_not_take_nginx_carries() {
    let busy = "penstock_status penstock_tunnel(penstock_engine engine, int client, int target,
        const penstock_tunnel_options *options, penstock_id *id) { return PENSTOCK_BUSY; }";
    assert_nginx_carries(busy, "busy", "");
}

#[test]
fn a_worker_without_an_engine_serves() {
    let broken =
        "penstock_status penstock_start(penstock_engine engine) { return PENSTOCK_SYSTEM; }";
    assert_nginx_carries(broken, "no engine", "there is no engine in this worker");
}

/// nginx's own calls go to the C library by this name, the engine's by `fcntl`.
#[test]
fn what_has_no_descriptors_left_nginx_carries() {
    let exhausted = "#include <errno.h>
        #include <fcntl.h>
        #include <stdarg.h>
        int fcntl64(int fd, int command, ...) {
            va_list rest;
            int (*real)(int, int, ...);
            if (command == F_DUPFD_CLOEXEC) { errno = EMFILE; return -1; }
            *(void **) &real = dlsym(RTLD_NEXT, \"fcntl64\");
            va_start(rest, command);
            int answer = real(fd, command, va_arg(rest, void *));
            va_end(rest);
            return answer;
        }";
    let why = "fcntl(F_DUPFD_CLOEXEC) failed (24: Too many open files)";
    assert_nginx_carries(exhausted, "no descriptors", why);
}

/// Whom nginx wants to end while the engine has too much to do to hear of it.
#[test]
fn a_busy_engine_is_asked_again() {
    let (library, _dir) = stand_in(
        "penstock_status penstock_cancel(penstock_engine engine, penstock_id id) {
            static int asked;
            penstock_status (*real)(penstock_engine, penstock_id);
            if (asked++ < 5) return PENSTOCK_BUSY;
            *(void **) &real = dlsym(RTLD_NEXT, \"penstock_cancel\");
            return real ? real(engine, id) : PENSTOCK_BUSY;
        }",
    );
    let (listener, address) = target();
    let setup = Setup::new(Driver::Epoll).preload(library);
    let nginx = setup.main("worker_shutdown_timeout 1s;").in_front_of(address).start();
    let (mut client, target) = session(&nginx, &listener);
    speak(&client, &target, 1);
    let (old, began) = (nginx.worker(), Instant::now());
    nginx.reload();
    assert!(matches!(Pattern::new(9).drain(&mut client), End::Eof | End::Broken(_)));
    // Two of the five are nginx's own calls, one for each leg.
    assert!(began.elapsed() > Duration::from_millis(1250), "{:?}", began.elapsed());
    wait::until_true("the old worker leaves", PATIENCE, || !nginx.workers().contains(&old));
    assert_eq!(nginx.line()["penstock"], "on");
    let said = nginx.errors();
    assert!(said.contains("shutdown timeout") && !said.contains("[alert]"), "{said}");
}
