//! Programs: what they say, how they end, and who starts them.

use std::io::{Read, Write};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;
use crate::spawner::tests::spawner;

fn command(line: &[&str]) -> Door {
    let mut line = line.iter().map(|part| (*part).to_owned());
    let program = line.next().expect("a program");
    Door::Command(libvirt::Command { program, arguments: line.collect(), environment: &["PATH"] })
}

/// Waits for a line of a program, while others go on.
async fn said(leg: &mut UnixStream) {
    leg.set_nonblocking(true).expect("open");
    let begun = Instant::now();
    while leg.read(&mut [0]).is_err() {
        assert!(begun.elapsed() < LIMIT, "it says nothing");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_program_is_a_leg_and_its_last_words_are_in_the_record() {
    let rig = rig(Some(spawner()));
    let script = "cat; echo 'Permission denied (publickey).' >&2; exit 255";
    let mut leg = stream(rig.open(1, command(&["sh", "-c", script])).await);
    leg.write_all(b"echo").expect("it reads");
    let mut back = [0; 4];
    leg.read_exact(&mut back).expect("it answers");
    assert_eq!(&back, b"echo");
    assert_eq!((rig.counts.running.load(Relaxed), rig.counts.spawner.load(Relaxed)), (1, 1));
    leg.shutdown(std::net::Shutdown::Write).expect("open");
    assert_eq!(leg.read(&mut [0]).expect("an end"), 0);
    rig.ended(record(1, Some("ECONNRESET"))).await;
    let expected = "ECONNRESET; sh exited with 255: Permission denied (publickey).";
    assert_eq!(rig.logged().await, (1, Some(expected.to_owned())));
    assert_eq!(rig.counts.running.load(Relaxed), 0);
}

#[tokio::test]
async fn a_program_that_ended_well_and_said_nothing_adds_nothing() {
    let rig = rig(Some(spawner()));
    for (slot, script, expected) in [
        (1, "exit 0", None),
        (2, "exit 3", Some("sh exited with 3")),
        (3, "echo Welcome >&2", Some("sh: Welcome")),
        (4, "kill -9 $$", Some("sh was killed by SIGKILL")),
    ] {
        drop(rig.open(slot, command(&["/bin/sh", "-c", script])).await);
        rig.ended(record(slot, None)).await;
        assert_eq!(rig.logged().await, (slot, expected.map(str::to_owned)), "{script}");
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_run_says_what_to_do() {
    let rig = rig(Some(spawner()));
    let refused = rig.refused(1, command(&["no-such-program", "x"])).await;
    assert_eq!(refused.errno, Errno::ENOENT);
    let begins = "can't run no-such-program (install it, or name it by its path";
    assert!(refused.detail.starts_with(begins), "{}", refused.detail);
    rig.ended(record(1, Some("as it was"))).await;
    assert_eq!(rig.logged().await, (1, Some("as it was".to_owned())));
    let long = "x".repeat(100 << 10);
    assert_eq!(rig.refused(2, command(&["cat", &long])).await.errno, Errno::E2BIG);
}

#[tokio::test]
async fn a_flood_on_standard_error_holds_up_nobody() {
    let rig = rig_with(Some(spawner()), program::LAST_WORDS);
    // More than a pipe holds: when it says so, most of it was read.
    let script = "yes 'all is lost' | head -c 120000 >&2; echo; exec yes 'all is lost' >&2";
    let mut flood = stream(rig.open(1, command(&["sh", "-c", script])).await);
    let mut leg = stream(rig.open(2, command(&["cat"])).await);
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        leg.write_all(b"x").expect("it reads");
        leg.read_exact(&mut [0]).expect("it answers");
    }
    said(&mut flood).await;
    // It never ends by itself, nor does it fall silent.
    rig.ended(record(1, None)).await;
    let (slot, detail) = rig.logged().await;
    let detail = detail.expect("it said something");
    assert_eq!(slot, 1);
    let (begin, length) = (&detail[..40], detail.len());
    assert!(begin.starts_with("sh: … ") && begin.contains("lost; all is"), "{begin}");
    assert!((4000..5000).contains(&length), "{length}");
}

#[tokio::test]
async fn who_ends_before_its_program_runs_is_in_the_log_all_the_same() {
    let rig = rig(Some(spawner()));
    rig.ask(1, command(&["sh", "-c", "sleep 1000"])).await;
    rig.ended(record(1, Some("hung up"))).await;
    assert_eq!(rig.logged().await, (1, Some("hung up".to_owned())));
}

#[tokio::test]
async fn without_a_spawner_programs_are_refused_and_those_that_run_go_on() {
    let spawner = spawner();
    let process = Pid::from_raw(spawner.process.id().cast_signed());
    let rig = rig(Some(spawner));
    let mut leg = stream(rig.open(1, command(&["cat"])).await);
    // It dies with a request at hand.
    kill(process, Signal::SIGSTOP).expect("it lives");
    rig.ask(2, command(&["cat"])).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    kill(process, Signal::SIGKILL).expect("it lives");
    let (slot, opened) = rig.opened().await;
    assert_eq!((slot, opened.map(drop).map_err(|error| error.errno)), (2, Err(Errno::ESRCH)));
    assert_eq!(rig.counts.spawner.load(Relaxed), 0);
    let refused = rig.refused(3, command(&["cat"])).await;
    assert_eq!(refused.errno, Errno::ESRCH);
    assert!(refused.detail.contains("restart Penstock"), "{}", refused.detail);
    leg.write_all(b"x").expect("it reads");
    leg.read_exact(&mut [0]).expect("it answers");
    drop(leg);
    rig.ended(record(1, None)).await;
    assert_eq!(rig.logged().await, (1, None));
}

#[tokio::test]
async fn the_last_records_are_written_before_the_end() {
    let rig = rig_with(Some(spawner()), program::LAST_WORDS);
    let script = "trap '' TERM; echo bye >&2; echo; exec sleep 1000";
    let mut leg = stream(rig.open(1, command(&["sh", "-c", script])).await);
    said(&mut leg).await;
    rig.ended(record(1, None)).await;
    rig.finish.send(()).expect("the opener lives");
    timeout(LIMIT, rig.opener).await.expect("an end").expect("no panic");
    let record = rig.records.next().expect("written");
    assert_eq!(record.detail.as_deref(), Some("sh: bye"));
}
