//! The resolver with a name service made for the test.

use std::net::Ipv4Addr;
use std::sync::atomic::AtomicUsize;

use penstock_core::control::{Mailbox, SessionId};

use super::*;
use crate::mailman::testing;

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Patience of the tests, and of resolvers that are to have time.
const LIMIT: Duration = Duration::from_secs(60);

struct Rig {
    ask: mpsc::Sender<Asked>,
    mailbox: Mailbox,
    counts: Arc<ResolverCounts>,
}

fn rig(mailbox: usize, look_up: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Rig {
    rig_with(LIMIT, mailbox, look_up)
}

fn rig_with(
    patience: Duration,
    mailbox: usize,
    look_up: impl Fn(&str) -> Answer + Send + Sync + 'static,
) -> Rig {
    let (ask, questions) = mpsc::channel(64);
    let counts = Arc::new(ResolverCounts::default());
    tokio::spawn(Resolver::new(Arc::new(look_up), patience, counts.clone()).run(questions));
    Rig { ask, mailbox: testing::mailbox(mailbox), counts }
}

impl Rig {
    async fn ask(&self, slot: u32, name: &str) {
        let id = SessionId { worker: 0, slot, generation: 5 };
        let asked = Asked { id, name: name.into(), mailbox: self.mailbox.clone() };
        self.ask.send(asked).await.expect("the resolver lives");
    }

    async fn next(&self) -> (u32, Answer) {
        timeout(LIMIT, self.taken()).await.expect("an answer in time")
    }

    async fn taken(&self) -> (u32, Answer) {
        loop {
            match self.mailbox.take() {
                Some(Command::Resolved { id, result }) => return (id.slot, result),
                Some(other) => panic!("{other:?}"),
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    }
}

#[tokio::test]
async fn one_look_up_serves_all_who_ask_and_those_who_ask_later() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let rig = rig(1, move |_| {
        counted.fetch_add(1, Relaxed);
        std::thread::sleep(Duration::from_millis(50));
        Ok(vec![HOME])
    });
    for slot in 0..3 {
        rig.ask(slot, "a").await;
    }
    // A mailbox for one: the others are delivered as room appears.
    let mut slots: Vec<u32> = Vec::new();
    for _ in 0..3 {
        let (slot, answer) = rig.next().await;
        assert_eq!(answer, Ok(vec![HOME]));
        slots.push(slot);
    }
    slots.sort_unstable();
    assert_eq!(slots, [0, 1, 2]);
    rig.ask(3, "a").await;
    assert_eq!(rig.next().await, (3, Ok(vec![HOME])));
    let counts = &rig.counts;
    let all = [&counts.misses, &counts.joined, &counts.hits].map(|count| count.load(Relaxed));
    assert_eq!((calls.load(Relaxed), all), (1, [1, 2, 1]));
}

#[tokio::test]
async fn a_look_up_that_panics_is_a_failure() {
    let rig = rig(8, |_| panic!("on purpose"));
    rig.ask(0, "a").await;
    assert_eq!(rig.next().await, (0, Err(ResolveError::Failed)));
    assert_eq!(rig.counts.failures.load(Relaxed), 1);
}

#[tokio::test]
async fn a_slow_name_does_not_hold_up_another() {
    let (hang, release) = std::sync::mpsc::channel::<()>();
    let release = std::sync::Mutex::new(release);
    let rig = rig(8, move |name| {
        if name == "slow" {
            let _ = release.lock().expect("one at a time").recv();
        }
        Ok(vec![HOME])
    });
    rig.ask(0, "slow").await;
    rig.ask(1, "quick").await;
    assert_eq!(rig.next().await.0, 1);
    drop(hang);
    assert_eq!(rig.next().await.0, 0);
}

#[tokio::test]
async fn patience_ends_and_is_counted() {
    let (hang, release) = std::sync::mpsc::channel::<()>();
    let release = std::sync::Mutex::new(release);
    let rig = rig_with(Duration::from_secs(1), 8, move |_| {
        let _ = release.lock().expect("one at a time").recv();
        Ok(vec![HOME])
    });
    rig.ask(0, "slow").await;
    assert_eq!(rig.next().await, (0, Err(ResolveError::Failed)));
    assert_eq!(rig.counts.timeouts.load(Relaxed), 1);
    drop(hang);
}

#[tokio::test]
async fn names_beyond_the_limit_fail_at_once() {
    let (hang, release) = std::sync::mpsc::channel::<()>();
    let release = std::sync::Mutex::new(release);
    let rig = rig(8, move |_| {
        let _ = release.lock().expect("one at a time").recv();
        Ok(vec![HOME])
    });
    for slot in 0..PENDING_MAX as u32 {
        rig.ask(slot, &slot.to_string()).await;
    }
    let begun = Instant::now();
    rig.ask(5000, "one too many").await;
    assert_eq!(rig.next().await, (5000, Err(ResolveError::Failed)));
    assert!(begun.elapsed() < LIMIT / 2, "it waited for a place");
    rig.ask(5001, "0").await;
    drop(hang);
    let mut served = Vec::new();
    for _ in 0..=PENDING_MAX {
        let (slot, answer) = rig.next().await;
        assert_eq!(answer, Ok(vec![HOME]));
        served.push(slot);
    }
    assert!(served.contains(&5001), "an equal question joins, whatever is pending");
    let counts = [&rig.counts.refused, &rig.counts.misses].map(|count| count.load(Relaxed));
    assert_eq!(counts, [1, PENDING_MAX as u64]);
}
