//! The simulated kernel against the contract of [`Kernel`], before anything is built on it.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use bytes::Bytes;
use penstock_ring::{
    Arrival, Chunk, Close, Errno, Event, Group, Interest, Kernel, Leg, Outcome, Owner, PoolSizes,
    Sent, Splice, Stop, Time,
};

use crate::sim::kernel::SimKernel;
use crate::sim::link::{Holder, Read};
use crate::sim::random::Random;
use crate::sim::temper::Temper;
use crate::sim::world::{Address, Door, End};

type Sim = SimKernel<()>;

fn nothing() -> OwnedFd {
    std::fs::File::open("/dev/null").expect("every Linux has it").into()
}

/// A leg, and the socket of its peer.
fn pair(kernel: &mut Sim) -> (Leg, End) {
    let leg = kernel.adopt(nothing(), Owner(7)).expect("always");
    let end = kernel.legs.get(leg).and_then(|tenant| tenant.end).expect("adopted").peer();
    kernel.world.hold(end, Holder::Nobody);
    (leg, end)
}

fn seeded(seed: u64) -> Sim {
    let temper = Temper::of(&mut Random::new(seed));
    SimKernel::new(seed, Temper { descriptors: usize::MAX, connect_fails: 0, ..temper }, ())
}

fn wait(kernel: &mut Sim) -> Vec<Event> {
    let mut events = Vec::new();
    let until = kernel.now() + Duration::from_millis(5);
    kernel.wait(Some(until), &mut events);
    events
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + i / 256) as u8).collect()
}

/// Writes what the socket takes, reads what has come.
fn exchange(kernel: &mut Sim, end: End, send: &mut &[u8], got: &mut Vec<u8>) {
    if !send.is_empty()
        && let Ok(n) = kernel.world.write(end, send)
    {
        *send = &send[n..];
    }
    kernel.world.read(end, usize::MAX, got);
}

#[test]
fn an_echo_is_exact_under_every_temper() {
    for seed in 0..200 {
        let mut kernel = seeded(seed);
        let (leg, end) = pair(&mut kernel);
        let whole = pattern(100_000);
        let (mut send, mut got, mut told, mut owed) = (&whole[..], Vec::new(), 0, 0);
        kernel.receive(leg, Group::Small);
        for _ in 0..20_000 {
            exchange(&mut kernel, end, &mut send, &mut got);
            for event in wait(&mut kernel) {
                match event.outcome {
                    Outcome::Received(buffer) => {
                        let length = buffer.len();
                        match kernel.send(leg, Chunk::Pool(buffer)) {
                            Sent::Done => told += length,
                            Sent::Queued => owed += length,
                            Sent::Failed(errno) => panic!("{errno}"),
                        }
                    }
                    Outcome::Sent(n) => (told, owed) = (told + n, owed - n),
                    Outcome::Ready(_) => {}
                    other => panic!("{other:?}"),
                }
            }
            if got.len() == whole.len() && owed == 0 {
                break;
            }
        }
        assert!(got == whole, "seed {seed}: {} of {} bytes", got.len(), whole.len());
        assert_eq!((told, owed, kernel.buffers_away()), (whole.len(), 0, 0), "seed {seed}");
    }
}

#[test]
fn a_stop_has_one_last_word_and_nothing_after_it() {
    let mut ways = [0; 3];
    for seed in 0..300 {
        let mut kernel = seeded(seed);
        let (leg, end) = pair(&mut kernel);
        let whole = pattern(60_000);
        let (mut send, mut got) = (&whole[..], Vec::new());
        kernel.receive(leg, Group::Small);
        let turns = kernel.world.random.below(4);
        let take = |kernel: &mut Sim, got: &mut Vec<u8>, words: &mut Vec<Arrival>| {
            for event in wait(kernel) {
                match event.outcome {
                    Outcome::Received(buffer) => {
                        assert!(words.is_empty(), "seed {seed}: bytes after the last word");
                        got.extend_from_slice(kernel.bytes(&buffer));
                        kernel.release(buffer);
                    }
                    Outcome::ReceiveEnded(arrival) => words.push(arrival),
                    _ => {}
                }
            }
        };
        let mut words = Vec::new();
        for _ in 0..=turns {
            exchange(&mut kernel, end, &mut send, &mut Vec::new());
            take(&mut kernel, &mut got, &mut words);
        }
        if kernel.world.random.percent(30) {
            kernel.world.finish(end);
        }
        let stop = kernel.receive_stop(leg);
        let before = got.len();
        for _ in 0..50 {
            take(&mut kernel, &mut got, &mut words);
        }
        match stop {
            Stop::Done => assert_eq!((words.len(), got.len()), (0, before), "seed {seed}"),
            Stop::Later => assert_eq!(words.len(), 1, "seed {seed}"),
        }
        let way = if stop == Stop::Done { 0 } else { 1 + usize::from(words[0] == Arrival::Ended) };
        ways[way] += 1;
        assert!(whole.starts_with(&got), "seed {seed}");
    }
    assert!(ways.iter().all(|times| *times > 0), "done, stopped, ended: {ways:?}");
}

#[test]
fn splices_are_exact_and_hints_are_never_withheld() {
    for seed in 0..300 {
        let mut kernel = seeded(seed);
        (kernel.pipes.limit, kernel.pipes.quota, kernel.pipes.failing) = (1, 0, 0);
        let ((source, from), (sink, to)) = (pair(&mut kernel), pair(&mut kernel));
        kernel.pipe_open(source).expect("one is allowed");
        let whole = pattern(200_000);
        let (mut send, mut got) = (&whole[..], Vec::new());
        let (mut ended, mut in_flight, mut try_in, mut try_out) = (false, false, true, true);
        let mut going_out = false;
        for _ in 0..60_000 {
            exchange(&mut kernel, from, &mut send, &mut Vec::new());
            if send.is_empty() {
                kernel.world.finish(from);
            }
            kernel.world.read(to, usize::MAX, &mut got);
            // Only a hint, or a step that moved something, makes another try worthwhile.
            while !in_flight && (try_in || try_out) {
                let out = kernel.pipe_level(source) > 0;
                if if out { !try_out } else { !try_in || ended } {
                    break;
                }
                going_out = out;
                let step = match out {
                    true => kernel.splice_out(source, sink),
                    false => kernel.splice_in(source, 1 << 20),
                };
                took(step, out, &mut ended, &mut in_flight, &mut try_in, &mut try_out);
            }
            match kernel.pipe_level(source) > 0 {
                _ if in_flight => {}
                true => kernel.watch(sink, Interest::Writable, true),
                false => kernel.watch(source, Interest::Readable, !ended),
            }
            for event in wait(&mut kernel) {
                match event.outcome {
                    Outcome::Ready(ready) => {
                        try_in |= ready.readable;
                        try_out |= ready.writable;
                    }
                    Outcome::SplicedIn(step) | Outcome::SplicedOut(step) => {
                        in_flight = false;
                        took(
                            step,
                            going_out,
                            &mut ended,
                            &mut in_flight,
                            &mut try_in,
                            &mut try_out,
                        );
                    }
                    other => panic!("{other:?}"),
                }
            }
            if ended && got.len() == whole.len() {
                break;
            }
        }
        assert!(got == whole && ended, "seed {seed}: {} of {} bytes", got.len(), whole.len());
        kernel.pipe_close(source);
        assert_eq!(kernel.pipes_away(), 0);
    }
}

fn took(
    step: Splice,
    out: bool,
    ended: &mut bool,
    in_flight: &mut bool,
    try_in: &mut bool,
    try_out: &mut bool,
) {
    match step {
        Splice::Moved(n) => assert!(n > 0),
        Splice::Blocked if out => *try_out = false,
        Splice::Blocked => *try_in = false,
        Splice::Ended => *ended = true,
        Splice::Later => *in_flight = true,
        Splice::Failed(errno) => panic!("{errno}"),
    }
}

#[test]
fn a_close_with_everything_under_way_leaves_nothing_behind() {
    let mut stale = 0;
    for seed in 0..300 {
        let mut kernel = seeded(seed);
        let ((one, first), (two, _)) = (pair(&mut kernel), pair(&mut kernel));
        kernel.world.write(first, &pattern(4096)).expect("there is room");
        kernel.receive(one, Group::Small);
        kernel.send(two, Chunk::Bytes(Bytes::from(pattern(1 << 20))));
        kernel.watch(two, Interest::Readable, true);
        if kernel.pipe_open(two).is_ok() {
            kernel.splice_in(two, 100);
        }
        let dialed = kernel.connect(address(9), Owner(1));
        assert_eq!(dialed, Err(Errno::ENETUNREACH));
        let turns = kernel.world.random.below(3);
        let mut events: Vec<Event> = (0..turns).flat_map(|_| wait(&mut kernel)).collect();
        kernel.close(one, Close::Normal);
        kernel.close(two, Close::Reset);
        for _ in 0..50 {
            let late = wait(&mut kernel);
            stale += late.len();
            events.extend(late);
        }
        for event in events {
            assert_eq!(event.owner, Owner(7));
            if let Outcome::Received(buffer) = event.outcome {
                kernel.release(buffer);
            }
        }
        let away = (
            kernel.open_legs(),
            kernel.buffers_away(),
            kernel.pipes_away(),
            kernel.outcomes_pending(),
        );
        assert_eq!(away, (0, 0, 0, 0), "seed {seed}");
    }
    assert!(stale > 50, "{stale} outcomes came after a close");
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 5900))
}

#[test]
fn doors_open_refuse_and_stay_silent() {
    let doors = [
        (Door::Open(Duration::from_millis(3)), Ok(())),
        (Door::Refuse(Duration::from_millis(2)), Err(Errno::ECONNREFUSED)),
        (Door::Unreachable(Duration::from_millis(2)), Err(Errno::EHOSTUNREACH)),
        (Door::Lost, Err(Errno::ETIMEDOUT)),
    ];
    for (last, (door, result)) in doors.into_iter().enumerate() {
        let mut kernel = SimKernel::new(1, Temper::calm(), ());
        kernel.world.addresses.insert(address(last as u8), Address { host: Some(3), door });
        let leg = kernel.connect(address(last as u8), Owner(2)).expect("the answer comes later");
        let mut events = Vec::new();
        while events.is_empty() {
            kernel.wait(None, &mut events);
        }
        assert!(matches!(&events[0].outcome, Outcome::Connected(told) if *told == result));
        assert_eq!(kernel.world.visitor(3).is_some(), result.is_ok());
        kernel.close(leg, Close::Normal);
        assert_eq!(kernel.open_legs(), 0);
    }
}

#[test]
fn accepting_ends_without_descriptors_and_is_begun_again_by_the_caller() {
    let mut kernel = SimKernel::new(1, Temper { descriptors: 3, ..Temper::calm() }, ());
    let listener = kernel.listen(nothing(), Owner(5)).expect("always");
    let ends: Vec<End> =
        (0..3).map(|i| kernel.world.call(0, 0, address(i)).expect("it is open")).collect();
    let first = wait(&mut kernel);
    let [one, two, failed] = &first[..] else { panic!("{first:?}") };
    let (Outcome::Accepted(one), Outcome::Accepted(_)) = (&one.outcome, &two.outcome) else {
        panic!("{first:?}")
    };
    assert!(matches!(failed.outcome, Outcome::AcceptFailed(Errno::EMFILE)));
    assert_eq!(
        (kernel.peer(*one), failed.owner, failed.leg),
        (Some(address(0)), Owner(5), listener)
    );
    assert!(wait(&mut kernel).is_empty(), "it doesn't try by itself");
    kernel.close(*one, Close::Normal);
    assert!(wait(&mut kernel).is_empty());
    kernel.accept(listener, true);
    assert!(matches!(wait(&mut kernel)[..], [Event { outcome: Outcome::Accepted(_), .. }]));
    assert_eq!(kernel.world.look(ends[0]), Read::Ended);
    kernel.close(listener, Close::Normal);
    assert!(kernel.world.call(0, 0, address(9)).is_none());
}

#[test]
fn waiting_legs_are_served_in_order() {
    let buffers = PoolSizes { reserve: 4, small: 4, record: 4, bulk: 4 };
    let mut kernel = SimKernel::new(1, Temper { buffers, batch: 1, ..Temper::calm() }, ());
    let pairs: Vec<(Leg, End)> = (0..8).map(|_| pair(&mut kernel)).collect();
    for (_, end) in &pairs {
        kernel.world.write(*end, &[1; 100]).expect("there is room");
    }
    wait(&mut kernel);
    pairs.iter().for_each(|(leg, _)| kernel.receive(*leg, Group::Small));
    let (mut served, mut held) = (Vec::new(), Vec::new());
    while served.len() < 8 {
        for event in wait(&mut kernel) {
            served.push(event.leg);
            if let Outcome::Received(buffer) = event.outcome {
                held.push(buffer);
            }
        }
        if held.len() == 4 {
            assert!(served.len() > 4 || kernel.starved_since().is_some());
            held.drain(..).for_each(|buffer| kernel.release(buffer));
        }
    }
    let (mut first, mut second) = (served[..4].to_vec(), served[4..].to_vec());
    first.sort_by_key(|leg| leg.slot);
    second.sort_by_key(|leg| leg.slot);
    assert!(first.iter().all(|leg| !second.contains(leg)), "{served:?}");
    held.drain(..).for_each(|buffer| kernel.release(buffer));
    assert_eq!(kernel.starved_since(), None);
}

#[test]
fn a_reserved_buffer_ends_receiving_without_a_word() {
    let mut kernel = SimKernel::new(1, Temper::calm(), ());
    let (leg, end) = pair(&mut kernel);
    kernel.receive(leg, Group::Reserve);
    for _ in 0..2 {
        kernel.world.write(end, &[1; 5000]).expect("there is room");
        let events: Vec<Event> = (0..10).flat_map(|_| wait(&mut kernel)).collect();
        let [Event { outcome: Outcome::Received(_), .. }] = &events[..] else {
            panic!("{events:?}")
        };
        for event in events {
            if let Outcome::Received(buffer) = event.outcome {
                kernel.release(buffer);
            }
        }
        kernel.receive(leg, Group::Reserve);
    }
}

#[test]
fn a_wake_ends_a_wait_and_a_wait_without_end_is_noticed() {
    let mut kernel = SimKernel::new(1, Temper::calm(), ());
    kernel.wait(None, &mut Vec::new());
    assert!(kernel.is_asleep());
    kernel.waker().wake();
    kernel.wait(None, &mut Vec::new());
    assert!(!kernel.is_asleep());
    let until = Time(kernel.now().0 + 1_000_000_000);
    while kernel.now() < until {
        kernel.wait(Some(until), &mut Vec::new());
    }
    assert!(kernel.now().since(until) < Duration::from_millis(1));
}

#[test]
fn bytes_that_meet_a_closed_socket_come_back_as_a_reset() {
    let mut kernel = SimKernel::new(1, Temper::calm(), ());
    let (leg, end) = pair(&mut kernel);
    kernel.close(leg, Close::Normal);
    wait(&mut kernel);
    assert_eq!(kernel.world.look(end), Read::Ended);
    assert_eq!(kernel.world.write(end, b"too late"), Ok(8));
    wait(&mut kernel);
    wait(&mut kernel);
    assert_eq!(kernel.world.look(end), Read::Failed(Errno::ECONNRESET));
}
