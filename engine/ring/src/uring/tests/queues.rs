//! The queues, their sizes, and the sleep between them.

use super::*;
use crate::options::Driver;
use crate::probe::probe;

#[test]
fn a_tiny_submission_queue_is_flushed_early_and_loses_nothing() {
    let mut rig = Rig::new(&small_pool(), Sizes { submission: 8, completion: 64 });
    let mut pairs: Vec<_> = (0..200).map(|_| rig.adopt_pair()).collect();
    rig.uring.received = AT_ONCE_MAX + 1;
    for (leg, _) in &pairs {
        rig.uring.receive(*leg, Group::Small);
        let sent = rig.uring.send(*leg, Chunk::Bytes(Bytes::from_static(b"hello")));
        assert_eq!(sent, Sent::Queued);
    }
    let mut sent = 0;
    rig.until(|event| {
        sent += usize::from(matches!(event.outcome, Outcome::Sent(5)));
        (sent == 200).then_some(())
    });
    for (_, theirs) in &mut pairs {
        let mut bytes = [0; 5];
        theirs.read_exact(&mut bytes).expect("sent");
        assert_eq!(&bytes, b"hello");
        theirs.write_all(b"reply").expect("written");
    }
    let mut heard = 0;
    rig.until(|event| {
        heard += usize::from(matches!(&event.outcome, Outcome::Received(_)));
        (heard == 200).then_some(())
    });
    assert!(rig.uring.stats.submission_full.get() > 0);
    for (leg, _) in &pairs {
        rig.uring.close(*leg, Close::Normal);
    }
    rig.assert_clean();
}

#[test]
fn a_tiny_completion_queue_overflows_and_loses_nothing() {
    let sizes = Sizes { submission: 16, completion: 16 };
    let mut rig = Rig::new(&small_pool(), sizes);
    let mut pairs: Vec<_> = (0..500).map(|_| rig.adopt_pair()).collect();
    for (leg, _) in &pairs {
        rig.uring.receive(*leg, Group::Small);
    }
    rig.uring.wait(Some(Time::default()), &mut rig.events);
    for round in 0..5u8 {
        for (_, theirs) in &mut pairs {
            theirs.write_all(&[round]).expect("written");
        }
        let mut heard = 0;
        rig.until(|event| {
            heard += usize::from(matches!(&event.outcome, Outcome::Received(_)));
            (heard == 500).then_some(())
        });
    }
    assert!(rig.uring.stats.overflow.get() > 0, "the queue was meant to overflow");
    for (leg, _) in &pairs {
        rig.uring.close(*leg, Close::Normal);
    }
    rig.assert_clean();
}

#[test]
fn wakes_come_from_other_threads_by_message_or_eventfd() {
    let facts = probe(Some(Driver::Uring), Mask::default()).expect("io_uring");
    let has_messages = !facts.missing.contains(&Feature::RingMessage);
    for (mask, by_message) in [("", has_messages), ("ring-message", false)] {
        let mut rig = Rig::new(&masked(mask), Sizes::default());
        assert_eq!(rig.uring.stats.wakes.get(), 0);
        for n in 1..=3 {
            let waker = rig.uring.waker();
            let thread = thread::spawn(move || {
                thread::sleep(Duration::from_millis(20));
                waker.wake();
                waker.wake();
            });
            let end = rig.uring.refresh() + Duration::from_secs(60);
            while rig.uring.stats.wakes.get() < n {
                rig.uring.wait(Some(end), &mut rig.events);
                assert!(rig.uring.now() < end, "no wake-up, mask {mask:?}");
            }
            thread.join().expect("woke");
        }
        let stats = rig.uring.stats.clone();
        assert_eq!(stats.wakes_by_message.get() > 0, by_message);
        let waker = rig.uring.waker();
        drop(rig);
        waker.wake();
    }
}

#[test]
fn waits_end_in_time_and_not_before() {
    let mut rig = Rig::plain();
    let start = rig.uring.refresh();
    rig.uring.wait(Some(start + Duration::from_millis(30)), &mut rig.events);
    let slept = rig.uring.now().since(start);
    assert!(slept >= Duration::from_millis(30) && slept < Duration::from_secs(5), "{slept:?}");
    assert!(rig.events.is_empty());
}

#[test]
fn memory_touched_follows_use_not_ownership() {
    let buffers = PoolSizes { reserve: 8, small: 4096, record: 8, bulk: 4 };
    let mut rig = Rig::new(&Options { buffers, ..Options::default() }, Sizes::default());
    let (leg, mut theirs) = rig.adopt_pair();
    rig.uring.receive(leg, Group::Small);
    let mut indices = std::collections::HashSet::new();
    for _ in 0..3000 {
        theirs.write_all(&[5; 64]).expect("written");
        rig.until(|event| match &event.outcome {
            Outcome::Received(buffer) => {
                indices.insert(buffer.index());
                Some(())
            }
            _ => None,
        });
    }
    assert!(indices.len() <= 65, "{} buffers touched by one at a time", indices.len());
}

#[test]
fn what_waits_for_a_peer_costs_no_turns() {
    for mask in MASKS {
        let mut rig = Rig::new(&masked(mask), Sizes::default());
        let (_, address) = rig.listen();
        let (quiet, _their) = rig.adopt_pair();
        rig.uring.receive(quiet, Group::Small);
        rig.uring.watch(quiet, Interest::Readable, true);
        rig.uring.watch(quiet, Interest::HangUp, true);
        let (stuck, _their_too) = rig.adopt_pair();
        rig.uring.send(stuck, Chunk::Bytes(Bytes::from(vec![7; 4 << 20])));
        let terminal = nix::pty::openpty(None, None).expect("a terminal");
        let terminal_leg = rig.uring.adopt(terminal.master, Owner(3)).expect("adopted");
        rig.uring.receive(terminal_leg, Group::Small);
        let client = rig.uring.connect(address, Owner(2)).expect("started");
        rig.uring.receive(client, Group::Small);
        let soon = rig.uring.refresh() + Duration::from_millis(20);
        rig.settle(|uring| uring.now() > soon);
        let before = rig.uring.stats.turns.get();
        let end = rig.uring.refresh() + Duration::from_millis(50);
        while rig.uring.now() < end {
            rig.uring.wait(Some(end), &mut rig.events);
        }
        assert!(rig.events.is_empty(), "{mask}: {:?}", rig.events);
        let turns = rig.uring.stats.turns.get() - before;
        assert!(turns <= 3, "{turns} turns in 50 ms without anything to do, mask {mask:?}");
    }
}
