//! The log's thread with real files.

use std::fs;
use std::time::UNIX_EPOCH;

use nix::errno::Errno;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use penstock_core::close::{Cause, CloseReason, Phase, Side};
use penstock_core::control::SessionId;

use super::*;

const LIMIT: Duration = Duration::from_secs(60);

fn record(slot: u32) -> Record {
    let id = SessionId { worker: 0, slot, generation: 1 };
    Record {
        method: Some("CONNECT".into()),
        target: Some(format!("host:{slot}").into()),
        status: 200,
        bytes_to_client: 39,
        ..Record::new(id, 0, CloseReason::new(Side::Client, Phase::Relay, Cause::Finished))
    }
}

#[test]
fn every_record_becomes_a_line_in_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("access.log");
    let log = start(Some(&path), Format::Squid).expect("a new file");
    for slot in 0..3000 {
        log.record(record(slot), UNIX_EPOCH);
    }
    log.flush(LIMIT);
    let text = fs::read_to_string(&path).expect("written");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), log.dropped()), (3000, 0));
    assert!(lines.iter().enumerate().all(|(i, l)| l.contains(&format!(" host:{i} "))));
}

#[test]
fn a_renamed_file_is_followed_after_reopen_only() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, old) = (dir.path().join("access.log"), dir.path().join("access.log.1"));
    let log = start(Some(&path), Format::Json([].into())).expect("a new file");
    let write = |slot| {
        log.record(record(slot), UNIX_EPOCH);
        log.flush(LIMIT);
    };
    write(0);
    fs::rename(&path, &old).expect("rename");
    write(1);
    assert!(!path.exists());
    log.reopen();
    write(2);
    let lines = |path| fs::read_to_string(path).expect("a log").lines().count();
    assert_eq!((lines(&old), lines(&path)), (2, 1));
}

#[test]
fn a_full_disk_counts_what_is_lost() {
    let log = start(Some(Path::new("/dev/full")), Format::Squid).expect("every Linux has one");
    for slot in 0..10 {
        log.record(record(slot), UNIX_EPOCH);
    }
    log.flush(LIMIT);
    assert_eq!(log.dropped(), 10);
}

#[test]
fn a_reader_that_does_not_read_holds_up_nobody() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("pipe");
    mkfifo(&path, Mode::S_IRWXU).expect("our directory");
    let error = start(Some(&path), Format::Squid).expect_err("nobody reads");
    assert_eq!(error.raw_os_error(), Some(Errno::ENXIO as i32));
    // Read and write, so that opening the other end does not wait.
    let reader = fs::OpenOptions::new().read(true).write(true).open(&path).expect("fifo");
    let log = start(Some(&path), Format::Squid).expect("the pipe has a reader");
    let begun = Instant::now();
    for slot in 0..50_000 {
        log.record(record(slot), UNIX_EPOCH);
    }
    assert!(!log.flush(Duration::from_millis(50)), "the queue is full");
    assert!(begun.elapsed() < LIMIT);
    assert!(log.dropped() > 0, "the pipe and the queue together hold far fewer");
    thread::spawn(move || io::copy(&mut &reader, &mut io::sink()));
    assert!(log.flush(LIMIT), "room for the request came late");
}

#[test]
fn a_thread_that_is_behind_does_not_wait_for_more() {
    // Long lines: many batches, little else to do.
    let long = || Record { detail: Some("x".repeat(2000).into()), ..record(0) };
    let (log, records) = Sender::new();
    for _ in 0..QUEUE {
        log.record(long(), UNIX_EPOCH);
    }
    drop(log);
    let sleeps = || getrusage(UsageWho::RUSAGE_THREAD).expect("asked").voluntary_context_switches();
    let before = sleeps();
    keep_writing(&records, None, &Format::Json([].into()), &AtomicBool::default());
    let (slept, batches) = (sleeps() - before, (QUEUE * 2000 / BATCH) as i64);
    assert!(slept < batches / 2, "it slept {slept} times for {batches} batches");
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_at_start() {
    let error = start(Some(Path::new("/nonexistent/access.log")), Format::Squid);
    assert_eq!(error.expect_err("no such directory").kind(), io::ErrorKind::NotFound);
}
