//! What a leg sends and receives, where the driver has a choice.

use super::*;

#[test]
fn plain_descriptors_speak_both_ways_and_end_by_hang_up() {
    for mask in ["", "defer-taskrun"] {
        let mut rig = Rig::new(&masked(mask), Sizes::default());
        let pty = nix::pty::openpty(None, None).expect("a terminal");
        raw(&pty.slave);
        let leg = rig.uring.adopt(pty.master, Owner(3)).expect("adopted");
        let mut slave = std::fs::File::from(pty.slave);
        rig.uring.receive(leg, Group::Small);
        for _ in 0..10 {
            slave.write_all(b"from the guest").expect("written");
            let mut got = 0;
            rig.until(|event| {
                if let Outcome::Received(buffer) = &event.outcome {
                    got += buffer.len();
                }
                (got == 14).then_some(())
            });
        }
        // More than a terminal takes at once.
        let long = Bytes::from(vec![b'k'; 100_000]);
        assert_eq!(rig.uring.send(leg, Chunk::Bytes(long)), Sent::Queued);
        let reader = thread::spawn(move || {
            let mut bytes = vec![0; 100_000];
            slave.read_exact(&mut bytes).expect("read");
            assert!(bytes.iter().all(|byte| *byte == b'k'));
        });
        let mut sent = 0;
        rig.until(|event| {
            if let Outcome::Sent(n) = event.outcome {
                sent += n;
            }
            (sent == 100_000).then_some(())
        });
        reader.join().expect("all came, and the slave is closed");
        rig.until(|event| {
            matches!(event.outcome, Outcome::ReceiveEnded(Arrival::Ended)).then_some(())
        });
        rig.uring.close(leg, Close::Normal);
        rig.assert_clean();
    }
}

fn raw(terminal: &OwnedFd) {
    let mut settings = nix::sys::termios::tcgetattr(terminal).expect("a terminal");
    nix::sys::termios::cfmakeraw(&mut settings);
    nix::sys::termios::tcsetattr(terminal, nix::sys::termios::SetArg::TCSANOW, &settings)
        .expect("raw");
}

#[test]
fn a_small_turn_sends_at_once_and_what_follows_keeps_its_order() {
    let mut rig = Rig::plain();
    let (leg, mut theirs) = rig.adopt_unix_pair();
    let chunk = |byte: u8, len: usize| Chunk::Bytes(Bytes::from(vec![byte; len]));
    assert_eq!(rig.uring.send(leg, chunk(1, 10)), Sent::Done);
    assert_eq!(rig.uring.stats.in_flight.get(), 0);
    // More than the socket takes: a part is accepted at once, and told of in the next turn.
    assert_eq!(rig.uring.send(leg, chunk(2, 4 << 20)), Sent::Queued);
    assert_eq!(rig.uring.queued(leg).bytes, 4 << 20);
    assert_eq!(rig.uring.send(leg, chunk(3, 10)), Sent::Queued);
    let reader = thread::spawn(move || {
        let mut bytes = vec![0; (4 << 20) + 20];
        theirs.read_exact(&mut bytes).expect("sent");
        let mut runs = bytes.chunk_by(|a, b| a == b).map(|run| (run[0], run.len()));
        assert!(runs.by_ref().eq([(1, 10), (2, 4 << 20), (3, 10)]));
        theirs
    });
    let early = rig.uring.legs.get(leg).expect("open").early;
    let (mut first, mut told) = (None, 0);
    rig.until(|event| {
        if let Outcome::Sent(n) = event.outcome {
            first.get_or_insert(n);
            told += n;
        }
        (told == (4 << 20) + 10).then_some(())
    });
    assert!(early > 0 && first == Some(early), "{first:?}, {early} at once");
    drop(reader.join().expect("all came in order"));
    assert!(matches!(rig.uring.send(leg, chunk(4, 1)), Sent::Failed(Errno::EPIPE)));
    rig.uring.close(leg, Close::Normal);
    rig.assert_clean();
}

#[test]
fn stopping_delivers_what_came_before_and_says_so_once() {
    let mut rig = Rig::plain();
    let (leg, mut theirs) = rig.adopt_pair();
    for round in 0..200 {
        rig.uring.receive(leg, Group::Small);
        if round % 3 > 0 {
            rig.uring.wait(Some(Time::default()), &mut rig.events);
        }
        theirs.write_all(b"0123456789").expect("written");
        assert_eq!(rig.uring.receive_stop(leg), Stop::Later);
        let again = round % 2 == 0;
        if again {
            rig.uring.receive(leg, Group::Record);
        }
        let (mut got, mut stopped) = (0, 0);
        let mut take = |event: &Event| match &event.outcome {
            Outcome::Received(buffer) => got += buffer.len(),
            Outcome::ReceiveEnded(Arrival::Stopped) => stopped += 1,
            other => panic!("{other:?}"),
        };
        rig.until(|event| {
            take(event);
            matches!(event.outcome, Outcome::ReceiveEnded(_)).then_some(())
        });
        if again {
            assert_eq!(rig.uring.receive_stop(leg), Stop::Later);
            rig.until(|event| {
                take(event);
                matches!(event.outcome, Outcome::ReceiveEnded(_)).then_some(())
            });
        }
        rig.uring.wait(Some(Time::default()), &mut rig.events);
        assert_eq!(rig.uring.receive_stop(leg), Stop::Done);
        rig.uring.receive(leg, Group::Small);
        while got < 10 {
            rig.until(|event| {
                if let Outcome::Received(buffer) = &event.outcome {
                    got += buffer.len();
                }
                Some(())
            });
        }
        assert_eq!(got, 10);
        assert_eq!(rig.uring.receive_stop(leg), Stop::Later);
        rig.until(|event| matches!(event.outcome, Outcome::ReceiveEnded(_)).then_some(()));
    }
    rig.uring.close(leg, Close::Normal);
    rig.assert_clean();
}

#[test]
fn a_stop_between_two_outcomes_of_one_turn_is_not_said_to_be_done() {
    // One turn takes the whole pool and finds it empty, so that nothing is in flight after it.
    const POOL: u32 = 16;
    let buffers = PoolSizes { reserve: 4, small: POOL, record: 4, bulk: 4 };
    let mut rig = Rig::new(&Options { buffers, ..Options::default() }, Sizes::default());
    rig.uring.small_pool = 0;
    let (leg, mut theirs) = rig.adopt_pair();
    for again in [false, true] {
        theirs.write_all(&[6; (POOL as usize + 1) * 4096]).expect("written");
        rig.uring.receive(leg, Group::Small);
        rig.uring.wait(None, &mut rig.events);
        assert_eq!((rig.events.len(), rig.uring.stats.receivers_waiting.get()), (16, 1));
        assert_eq!(rig.uring.receive_stop(leg), Stop::Later, "outcomes are unread");
        if again {
            rig.uring.receive(leg, Group::Small);
        }
        let mut got = 0;
        rig.until(|event| match &event.outcome {
            Outcome::Received(buffer) => {
                got += buffer.len();
                None
            }
            other => {
                assert!(matches!(other, Outcome::ReceiveEnded(Arrival::Stopped)), "{other:?}");
                Some(())
            }
        });
        assert_eq!(got, POOL as usize * 4096);
    }
    rig.until(|event| matches!(event.outcome, Outcome::Received(_)).then_some(()));
    rig.uring.close(leg, Close::Normal);
    rig.assert_clean();
}
