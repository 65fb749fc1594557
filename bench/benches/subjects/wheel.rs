//! The timer wheel with ten thousand timers, one per session: what each turn of a worker and each change of a deadline costs.

use std::hint::black_box;
use std::time::Duration;

use penstock_ring::Time;

use super::timers::{TICK, Wheel};
use super::{Subject, Work};

pub(super) const SUBJECTS: &[Subject] = &[
    Subject { name: "timers/set", elements: TIMERS, prepare: set },
    Subject { name: "timers/advance, already earlier", elements: TIMERS, prepare: advance_later },
    Subject { name: "timers/set and advance", elements: TIMERS, prepare: set_and_advance },
    Subject { name: "timers/turn, none due", elements: TURNS, prepare: turn },
    Subject { name: "timers/set and expire", elements: TIMERS, prepare: set_and_expire },
];

const TIMERS: u64 = 10_000;
const TURNS: u64 = 1000;
const MINUTE: Duration = Duration::from_secs(60);

/// A deadline for each slot within the minute after `from`, in no order.
fn deadlines(from: Duration) -> Vec<(u32, Time)> {
    let spread =
        |slot: u32| u64::from(slot).wrapping_mul(0x9e37_79b9_7f4a_7c15) % MINUTE.as_nanos() as u64;
    let deadline = |slot| (slot, at(from + Duration::from_nanos(spread(slot))));
    (0..TIMERS as u32).map(deadline).collect()
}

fn at(time: Duration) -> Time {
    Time(time.as_nanos() as u64)
}

fn full(deadlines: &[(u32, Time)]) -> Wheel {
    let mut wheel = Wheel::default();
    deadlines.iter().for_each(|(slot, at)| wheel.set(*slot, *at));
    wheel
}

/// Over deadlines that were set before.
fn set() -> Work {
    let deadlines = deadlines(MINUTE);
    let mut wheel = full(&deadlines);
    Box::new(move || {
        for (slot, at) in &deadlines {
            black_box(&mut wheel).set(*slot, *at);
        }
        assert_eq!(wheel.len() as u64, TIMERS);
    })
}

/// As it is with a tunnel that is used: its deadline moves away, its timer stays.
fn advance_later() -> Work {
    let mut wheel = full(&deadlines(MINUTE));
    let later = deadlines(2 * MINUTE);
    Box::new(move || {
        for (slot, at) in &later {
            black_box(&mut wheel).advance(*slot, *at);
        }
        assert_eq!(wheel.len() as u64, TIMERS);
    })
}

/// With a set in front, since a deadline can't come nearer for ever.
fn set_and_advance() -> Work {
    let (early, late) = (deadlines(MINUTE), deadlines(2 * MINUTE));
    let mut wheel = full(&late);
    Box::new(move || {
        for ((slot, late), (_, early)) in late.iter().zip(&early) {
            let wheel = black_box(&mut wheel);
            wheel.set(*slot, *late);
            wheel.advance(*slot, *early);
        }
        assert_eq!(wheel.len() as u64, TIMERS);
    })
}

/// What a worker asks in each turn: when to wake, and who is due. All turns are within one tick.
fn turn() -> Work {
    let mut wheel = full(&deadlines(MINUTE));
    let mut due = Vec::new();
    Box::new(move || {
        for n in 0..TURNS {
            let wheel = black_box(&mut wheel);
            assert!(wheel.next().is_some());
            wheel.expire(Time(n), &mut due);
        }
        assert!(due.is_empty());
    })
}

/// A minute passes tick by tick, again and again.
fn set_and_expire() -> Work {
    let deadlines = deadlines(Duration::ZERO);
    let mut due = Vec::with_capacity(TIMERS as usize);
    Box::new(move || {
        let mut wheel = full(black_box(&deadlines));
        due.clear();
        let mut now = Duration::ZERO;
        while now < MINUTE + TICK {
            now += TICK;
            wheel.expire(at(now), &mut due);
        }
        assert_eq!((due.len() as u64, wheel.len()), (TIMERS, 0));
    })
}
