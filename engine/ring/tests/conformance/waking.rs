//! Waking a driver from other threads, and sleeping no longer than asked.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use penstock_ring::{Group, Options};

use crate::Driver;
use crate::rig::{PATIENCE, Rig};

pub fn another_thread_ends_a_wait(driver: &Driver) {
    let mut rig = Rig::new(driver);
    rig.turn(Duration::ZERO);
    let waker = rig.kernel.waker();
    let start = Instant::now();
    let thread = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        waker.wake();
    });
    let until = rig.kernel.refresh() + 2 * PATIENCE;
    // A wait may end for no reason, but not before its time for ever.
    while rig.count("wakes") == 0 {
        rig.kernel.wait(Some(until), &mut Vec::new());
        assert!(start.elapsed() < PATIENCE, "nobody woke it");
    }
    assert!(start.elapsed() >= Duration::from_millis(50));
    thread.join().expect("no panic");
    let by_message = rig.count("wakes_by_message");
    let hidden = driver.hidden.contains(&penstock_ring::Feature::RingMessage);
    assert!(by_message == 0 || !(hidden || driver.name.starts_with("epoll")));
    rig.finish();
}

pub fn no_wake_is_lost(driver: &Driver) {
    const ROUNDS: u64 = 2000;
    const THREADS: usize = 4;
    let mut rig = Rig::new(driver);
    let counters: Vec<Arc<[AtomicU64; 2]>> = (0..THREADS).map(|_| Arc::default()).collect();
    let threads: Vec<_> = counters
        .iter()
        .map(|counter| {
            let (counter, waker) = (counter.clone(), rig.kernel.waker());
            thread::spawn(move || {
                for round in 1..=ROUNDS {
                    counter[0].store(round, SeqCst);
                    waker.wake();
                    while counter[1].load(SeqCst) < round {
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    while counters.iter().any(|counter| counter[1].load(SeqCst) < ROUNDS) {
        let until = rig.kernel.refresh() + PATIENCE;
        rig.kernel.wait(Some(until), &mut Vec::new());
        assert!(rig.kernel.now() < until, "a wake was lost");
        for counter in &counters {
            counter[1].store(counter[0].load(SeqCst), SeqCst);
        }
    }
    for thread in threads {
        thread.join().expect("no panic");
    }
    assert!(rig.count("wakes") > 0);
    rig.finish();
}

pub fn waking_a_driver_that_is_gone_harms_nobody(driver: &Driver) {
    let rig = Rig::new(driver);
    let waker = rig.kernel.waker();
    waker.wake();
    drop(rig);
    // Whoever gets the descriptor numbers next must not feel the wake-ups.
    let events: Vec<EventFd> =
        (0..64).map(|_| EventFd::from_flags(EfdFlags::EFD_NONBLOCK).expect("made")).collect();
    let pairs: Vec<_> = (0..64).map(|_| UnixStream::pair().expect("made")).collect();
    for _ in 0..10 {
        waker.wake();
    }
    assert!(events.iter().all(|event| event.read() == Err(Errno::EAGAIN)));
    for (mut near, mut far) in pairs {
        near.set_nonblocking(true).expect("set");
        far.set_nonblocking(true).expect("set");
        assert!(near.read(&mut [0; 8]).is_err() && far.read(&mut [0; 8]).is_err());
    }
}

pub fn a_wait_ends_in_time(driver: &Driver) {
    let mut rig = Rig::new(driver);
    rig.turn(Duration::ZERO);
    // Most of them are enough: a machine may stand still for as long.
    let past = rig.kernel.now();
    let mut took: Vec<Duration> = (0..20)
        .map(|_| {
            let start = Instant::now();
            rig.kernel.wait(Some(past), &mut Vec::new());
            start.elapsed()
        })
        .collect();
    took.sort();
    assert!(
        took[15] < Duration::from_millis(500),
        "a time that has passed means no sleep: {took:?}"
    );
    let mut late: Vec<Duration> = (0..20)
        .map(|_| {
            let until = rig.kernel.refresh() + Duration::from_micros(2_500);
            rig.kernel.wait(Some(until), &mut Vec::new());
            let now = rig.kernel.now();
            assert!(now >= until, "it was woken by nobody");
            assert!(now <= rig.kernel.refresh());
            now.since(until)
        })
        .collect();
    late.sort();
    assert!(late[15] < Duration::from_secs(2), "{late:?}");
    rig.finish();
}

pub fn a_short_sleep_is_short(driver: &Driver) {
    sleeps_shortly(Rig::new(driver));
    // Looking around first makes it no longer.
    let options = Options { busy_poll: Duration::from_micros(200), ..Options::default() };
    sleeps_shortly(Rig::with(driver, options));
    let options = Options { busy_poll: Duration::from_millis(10), ..Options::default() };
    sleeps_shortly(Rig::with(driver, options));
}

fn sleeps_shortly(mut rig: Rig) {
    const SHORT: Duration = Duration::from_micros(250);
    rig.turn(Duration::ZERO);
    // On a busy machine many of them are late, but not the quickest; where it stands still, all of a round may be.
    let mut are_short = |_: u32| {
        let mut times: Vec<Duration> = (0..200)
            .map(|_| {
                let (start, until) = (Instant::now(), rig.kernel.refresh() + SHORT);
                while rig.kernel.now() < until {
                    rig.kernel.wait(Some(until), &mut Vec::new());
                }
                start.elapsed()
            })
            .collect();
        times.sort();
        println!("{:?} to {:?}", times[0], times[199]);
        times[20] < SHORT * 17 / 10
    };
    assert!((0..20).any(&mut are_short));
    rig.finish();
}

pub fn a_lone_wait_may_look_around(driver: &Driver) {
    let options = Options { busy_poll: PATIENCE, ..Options::default() };
    let mut rig = Rig::with(driver, options);
    let (leg, mut peer) = rig.tcp();
    rig.kernel.receive(leg, Group::Small);
    rig.turn(Duration::ZERO);
    let writer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(5));
        peer.write_all(b"third").expect("written");
        peer
    });
    assert_eq!(rig.received(leg).expect("bytes"), b"third");
    drop(writer.join().expect("no panic"));
    assert!(rig.count("busy_polled") > 0, "it slept");
    rig.finish();
}
