//! Legs and drivers that end with operations in flight.

use super::*;
use crate::uring::system::Want;

#[test]
fn legs_closed_with_everything_in_flight_are_freed_after_the_last_completion() {
    for mask in MASKS {
        let mut rig = Rig::new(&masked(mask), Sizes::default());
        for round in 0..30 {
            let (leg, mut theirs) = rig.adopt_pair();
            rig.uring.receive(leg, Group::Small);
            for interest in [Interest::Readable, Interest::Writable, Interest::HangUp] {
                rig.uring.watch(leg, interest, true);
            }
            // More than the socket takes: the send stays in flight.
            rig.uring.send(leg, Chunk::Bytes(Bytes::from(vec![7; 4 << 20])));
            if round % 2 == 0 {
                theirs.write_all(&[1; 3000]).expect("written");
            }
            for _ in 0..round % 4 {
                rig.uring.wait(Some(Time::default()), &mut rig.events);
            }
            rig.uring.close(leg, if round % 3 == 0 { Close::Reset } else { Close::Normal });
            assert_eq!(rig.uring.queued(leg), Queued::default());
            assert_eq!(rig.uring.receive_stop(leg), Stop::Done);
            assert!(matches!(
                rig.uring.send(leg, Chunk::Bytes(Bytes::from_static(b"x"))),
                Sent::Failed(_)
            ));
            rig.settle(|uring| uring.stats.legs.get() == 0);
            // Nothing of ours is open any more, so the peer sees the end.
            let mut rest = Vec::new();
            theirs.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
            let _ = theirs.read_to_end(&mut rest).map_err(|error| {
                assert_ne!(error.kind(), ErrorKind::WouldBlock, "never closed");
            });
        }
        rig.assert_clean();
    }
}

#[test]
fn dropping_the_driver_with_everything_in_flight_ends_it_all() {
    for splice in [SpliceMode::Inline, SpliceMode::Ring] {
        let options = Options { splice, ..small_pool() };
        let mut theirs = Vec::new();
        let mut rig = Rig::new(&options, Sizes::default());
        let (_, address) = rig.listen();
        let mut client = TcpStream::connect(address).expect("connected");
        rig.uring.connect(address, Owner(0)).expect("started");
        for _ in 0..50 {
            let (leg, mut their) = rig.adopt_pair();
            rig.uring.receive(leg, Group::Small);
            rig.uring.watch(leg, Interest::Readable, true);
            rig.uring.send(leg, Chunk::Bytes(Bytes::from(vec![7; 4 << 20])));
            their.write_all(b"late").expect("written");
            rig.uring.pipe_open(leg).expect("a pipe");
            rig.uring.splice_in(leg, 100);
            theirs.push(their);
        }
        let stats = rig.uring.stats.clone();
        drop(rig);
        assert_eq!((stats.in_flight.get(), stats.legs.get()), (0, 0));
        // Whatever still held one of our descriptors would keep its peer waiting.
        for their in &mut theirs {
            their.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
            let end = their.read_to_end(&mut Vec::new()).map_err(|error| error.kind());
            assert_ne!(end, Err(ErrorKind::WouldBlock), "a descriptor was left open");
        }
        client.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
        let end = client.read(&mut [0]).map_err(|error| error.kind());
        assert_ne!(end, Err(ErrorKind::WouldBlock), "the accepted connection was left open");
    }
}

#[test]
fn a_wake_up_on_its_way_does_not_delay_the_drop() {
    let mut rig = Rig::new(&masked("ring-message"), Sizes::default());
    rig.uring.wait(Some(Time::default()), &mut rig.events);
    assert!(rig.uring.alarm_polled);
    rig.uring.waker().wake();
    let start = Instant::now();
    assert!(rig.uring.drain());
    assert!(start.elapsed() < Duration::from_secs(1), "the alarm was polled anew");
}

#[test]
fn what_the_public_numbers_say_frees_nothing() {
    let mut rig = Rig::plain();
    let (leg, _their) = rig.adopt_pair();
    rig.uring.receive(leg, Group::Small);
    rig.uring.wait(Some(Time::default()), &mut rig.events);
    rig.uring.stats.in_flight.set(0);
    assert!(rig.uring.drain());
    assert!(rig.uring.legs.is_empty(), "the drain ended before its last completion");
}

#[test]
fn a_cancellation_that_missed_is_repeated() {
    let mut rig = Rig::plain();
    let (leg, _their) = rig.adopt_pair();
    rig.uring.receive(leg, Group::Small);
    rig.uring.wait(Some(Time::default()), &mut rig.events);
    // As if the kernel had not found the receive, which it does between two steps of a multishot.
    rig.uring.legs.get_mut(leg).expect("open").receive = tenant::Receive::Stop { again: None };
    rig.uring.file_cancel(Tag::new(Operation::Receive, leg).cancelling(), Err(Errno::ENOENT));
    rig.until(|event| {
        matches!(event.outcome, Outcome::ReceiveEnded(Arrival::Stopped)).then_some(())
    });
    rig.uring.file_cancel(Tag::new(Operation::Receive, leg).cancelling(), Err(Errno::ENOENT));
    rig.uring.receive(leg, Group::Small);
    let end = rig.uring.refresh() + Duration::from_millis(20);
    rig.uring.wait(Some(end), &mut rig.events);
    assert!(rig.events.is_empty(), "what ended by itself is not cancelled again");
    rig.uring.close(leg, Close::Normal);
    rig.assert_clean();
}

#[test]
fn a_connection_accepted_for_a_closed_listener_is_closed() {
    let mut rig = Rig::plain();
    let (listener, address) = rig.listen();
    rig.uring.wait(Some(Time::default()), &mut rig.events);
    let mut client = TcpStream::connect(address).expect("connected");
    // Accepted by the kernel, not yet reaped.
    rig.uring.ring.enter(Want { completions: 1, ..Want::default() });
    rig.uring.close(listener, Close::Normal);
    rig.settle(|uring| uring.stats.legs.get() == 0);
    client.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    assert_eq!(client.read(&mut [0]).expect("closed, not forgotten"), 0);
    rig.assert_clean();
}
