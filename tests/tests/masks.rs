//! Each feature of the kernel hidden in turn: the same functions, by the fallback.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;

use penstock_ring::Feature;
use penstock_tests::connect::{ask, request, tunnel};
use penstock_tests::stream::{End, Pattern};
use penstock_tests::{Driver, Penstock, Setup, names, origin};

const MIB: u64 = 1 << 20;

/// What every user needs: tunnels, refusals, keystrokes, bulk both ways, half-close, and nothing left behind.
fn assert_serves(penstock: &Penstock) {
    let before = penstock.holdings();
    let origin = origin::start();
    let refused = ask(penstock.proxy(), request("127.0.0.1:22").as_bytes()).expect("a reply");
    assert_eq!(refused.status, 403);
    let mut typist = tunnel(penstock.proxy(), origin);
    typist.write_all(b"echo\n").expect("an open tunnel");
    for _ in 0..200 {
        typist.write_all(b"key").expect("an open tunnel");
        typist.read_exact(&mut [0; 3]).expect("the echo");
    }
    let (client, server) = penstock.pair();
    thread::scope(|scope| {
        for (from, to) in [(&client, &server), (&server, &client)] {
            scope.spawn(move || {
                Pattern::new(1).send(&mut &*from, 16 * MIB).expect("an open tunnel");
                from.shutdown(Shutdown::Write).expect("an open tunnel");
            });
            scope.spawn(move || {
                let mut sink = Pattern::new(1);
                assert_eq!((sink.drain(&mut &*to), sink.bytes()), (End::Eof, 16 * MIB));
            });
        }
    });
    // The list is asked of the workers, who have to be woken.
    assert!(!penstock.tunnels().is_empty(), "the typist is listed");
    let held: Vec<_> = (0..100).map(|_| tunnel(penstock.proxy(), origin)).collect();
    drop((held, typist, client, server));
    penstock.assert_holds(&before);
}

fn assert_works_without(driver: Driver, mask: &str) {
    let setup = Setup::new(driver).mask(mask).set("listen", "half_close", "\"forward\"");
    let penstock = setup.start();
    let hidden = penstock.metric(names::DRIVER, &[("masked", mask)]);
    assert_eq!(hidden, 1.0, "{mask} is not hidden");
    assert_serves(&penstock);
    assert_counts(&penstock, driver, mask);
}

/// What is hidden was not used; what isn't, was. Of multishot requests, only restarts are counted.
fn assert_counts(penstock: &Penstock, driver: Driver, mask: &str) {
    let metrics = penstock.metrics();
    let hides = |feature: Feature| mask.split(',').any(|name| name == feature.name());
    let lacks = |feature: Feature| metrics.has(names::DRIVER, &[("missing", feature.name())]);
    let uses = |feature| driver == Driver::Uring && !hides(feature) && !lacks(feature);
    let spliced = metrics.sum(names::BYTES, &[("mover", "splice")]);
    assert_eq!(spliced > 0.0, !hides(Feature::Splice), "{spliced} bytes spliced without {mask}");
    let pipes = metrics.sum(names::PIPES, &[]);
    assert_eq!(pipes > 0.0, !hides(Feature::Splice), "{pipes} pipes without {mask}");
    assert!(metrics.sum(names::WAKES, &[]) > 0.0, "nobody was woken");
    let messages = metrics.sum(names::WAKES_BY_MESSAGE, &[]);
    assert_eq!(messages > 0.0, uses(Feature::RingMessage), "{messages} messages without {mask}");
    if !uses(Feature::MultishotReceive) && !uses(Feature::MultishotAccept) {
        assert_eq!(metrics.sum(names::MULTISHOT_REARMED, &[]), 0.0, "there is nothing to restart");
    }
}

#[test]
fn each_feature_has_a_fallback_on_uring() {
    for feature in Feature::ALL.iter().filter(|feature| **feature != Feature::Uring) {
        assert_works_without(Driver::Uring, feature.name());
    }
}

#[test]
fn each_feature_has_a_fallback_on_epoll() {
    for feature in [Feature::Uring, Feature::Splice] {
        assert_works_without(Driver::Epoll, feature.name());
    }
}

#[test]
fn all_of_them_at_once_leave_a_working_ring() {
    let names: Vec<&str> = Feature::ALL.iter().map(|feature| feature.name()).collect();
    let all_but_uring: Vec<&str> = names.into_iter().filter(|name| *name != "uring").collect();
    assert_works_without(Driver::Uring, &all_but_uring.join(","));
}

#[test]
fn a_wake_up_comes_as_a_ring_message_or_by_eventfd() {
    let resolve = |penstock: &Penstock| {
        let target = format!("localhost:{}", origin::start().port());
        drop(tunnel(penstock.proxy(), target));
        penstock.metric(names::WAKES_BY_MESSAGE, &[])
    };
    assert_eq!(resolve(&Setup::new(Driver::Uring).mask("ring-message").start()), 0.0);
    let penstock = Setup::new(Driver::Uring).start();
    let by_message = resolve(&penstock) > 0.0;
    // Of what the probe looks for, nothing else can be missing.
    let lacking = Feature::RingMessage.name();
    let is_missing = penstock.metrics().has(names::DRIVER, &[("missing", lacking)]);
    assert_ne!(by_message, is_missing, "messages are used where the kernel has them, only there");
}
