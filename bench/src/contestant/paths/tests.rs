//! Made-up metrics, and what is said of them.

use super::*;

const BEFORE: &str = "# TYPE penstock_bytes_total counter
penstock_driver_info{driver=\"uring\",kernel=\"6.1\",masked=\"\",missing=\"\"} 1
penstock_bytes_total{worker=\"0\",direction=\"client_to_target\",mover=\"copy\"} 100
penstock_bytes_total{worker=\"0\",direction=\"target_to_client\",mover=\"splice\"} 1000
penstock_bytes_total{worker=\"1\",direction=\"client_to_target\",mover=\"copy\"} 50
penstock_ring_splice_ring_total 10000
penstock_gathered_total 3
penstock_ring_busy_polled_total 5
penstock_switches_total{worker=\"0\",to=\"copy\"} 7
penstock_switches_total{worker=\"0\",to=\"splice\"} 9
penstock_ring_pipe_quota_total 100000
";

fn grown(copied: u32, spliced: u32) -> Paths {
    grown_by(copied, spliced, 0, 0)
}

fn grown_by(copied: u32, spliced: u32, by_ring: u32, refused: u32) -> Paths {
    let after = BEFORE
        .replace(" 100000\n", &format!(" {}\n", 100_000 + refused))
        .replace(" 10000\n", &format!(" {}\n", 10_000 + by_ring))
        .replace(" 1000\n", &format!(" {}\n", 1000 + spliced))
        .replace(" 100\n", &format!(" {}\n", 100 + copied));
    Paths::parse(&after).since(&Paths::parse(BEFORE))
}

/// Bulk beside messages, and one more of each of these.
fn grown_in(series: &[&str]) -> Paths {
    grown(80, 920).and(series)
}

impl Paths {
    /// One more of each of these.
    fn and(mut self, series: &[&str]) -> Paths {
        for (name, value) in &mut self.series {
            *value += f64::from(u8::from(series.iter().any(|part| name.contains(part))));
        }
        self
    }
}

const INLINE: Expected = Expected {
    driver: Some(Driver::Uring),
    splicing: Splicing::Inline,
    waiting: Waiting::Sleeping,
    workers: 1,
};
const RING: Expected = Expected { splicing: Splicing::Ring, ..INLINE };
const OFF: Expected = Expected { splicing: Splicing::Off, ..INLINE };

#[test]
fn each_scenario_accepts_its_own_path_alone() {
    let splice = grown(4, 996).and(&[GATHERED]);
    let (copy, both) = (grown(500, 0), grown(80, 920).and(&[GATHERED]));
    for (path, accepted) in [(Path::Copy, &copy), (Path::Splice, &splice), (Path::Both, &both)] {
        accepted.check(INLINE, path).unwrap();
    }
    for (path, refused) in [(Path::Copy, &both), (Path::Splice, &both), (Path::Both, &copy)] {
        assert!(refused.check(INLINE, path).is_err());
    }
    assert!(grown(0, 0).check(INLINE, Path::Copy).is_err());
}

fn refusal(checked: Result<()>) -> String {
    checked.expect_err("a refusal").to_string()
}

#[test]
fn who_splices_must_splice_nearly_all_of_the_bulk() {
    let alternating = |copied, spliced| {
        let grown = grown(copied, spliced).and(&["to=\"splice\"", "to=\"copy\""]);
        grown.check(INLINE, Path::Alternating)
    };
    grown(100, 900).check(INLINE, Path::Both).unwrap();
    assert!(refusal(grown(110, 890).check(INLINE, Path::Both)).contains("89.0 %"));
    alternating(150, 850).unwrap();
    assert!(refusal(alternating(160, 840)).contains("84.0 %"));
    for path in [Path::Both, Path::Alternating] {
        assert!(refusal(grown(0, 1000).check(INLINE, path)).contains("100.0 %"));
        grown(1000, 0).check(OFF, path).unwrap();
    }
}

#[test]
fn who_gathers_must_have_gathered_bulk() {
    let bulk = grown(4, 996);
    assert!(refusal(bulk.check(INLINE, Path::Splice)).contains(GATHERED));
    for waiting in [Waiting::Ungathered, Waiting::Unknown] {
        bulk.check(Expected { waiting, ..INLINE }, Path::Splice).unwrap();
    }
    grown_by(4, 996, 7, 0).check(RING, Path::Splice).unwrap();
    grown(1000, 0).check(OFF, Path::Splice).unwrap();
}

#[test]
fn every_worker_must_have_had_something_to_move() {
    let two = Expected { workers: 2, ..INLINE };
    let second = "worker=\"1\"";
    assert!(refusal(grown(500, 0).check(two, Path::Copy)).contains(second));
    grown(500, 0).and(&[second]).check(two, Path::Copy).unwrap();
    assert!(grown(0, 0).and(&[second]).check(INLINE, Path::Copy).is_err());
    let nameless = Paths::parse("penstock_bytes_total{mover=\"copy\"} 5");
    nameless.check(Expected::UNKNOWN, Path::Copy).unwrap();
}

#[test]
fn a_fallback_is_not_measured_as_penstock() {
    let says = |masked: &str| {
        let text = BEFORE.replace("masked=\"\"", masked);
        let none = Expected { splicing: Splicing::Unknown, waiting: Waiting::Unknown, ..INLINE };
        Paths::parse(&text).check(none, Path::Any)
    };
    says("masked=\"\"").unwrap();
    assert!(refusal(says("masked=\"splice,send\"")).contains("splice,send is hidden"));
    assert!(refusal(says("hidden=\"\"")).contains("does not say"));
    let masked = BEFORE.replace("masked=\"\"", "masked=\"uring\"");
    // Somebody's own may be masked on purpose.
    Paths::parse(&masked).check(Expected::UNKNOWN, Path::Any).unwrap();
}

#[test]
fn without_pipes_the_quota_must_have_been_met() {
    grown_by(500, 0, 0, 1).check(INLINE, Path::NoPipe).unwrap();
    assert!(grown(500, 0).check(INLINE, Path::NoPipe).is_err());
    assert!(grown_by(500, 1, 0, 1).check(INLINE, Path::NoPipe).is_err());
    // Who never splices asks for no pipe.
    grown(500, 0).check(OFF, Path::NoPipe).unwrap();
}

#[test]
fn splices_must_go_the_way_that_the_contestant_is_named_after() {
    grown_by(4, 996, 7, 0).check(RING, Path::Splice).unwrap();
    assert!(grown(4, 996).check(RING, Path::Splice).is_err());
    assert!(grown_by(4, 996, 7, 0).check(INLINE, Path::Splice).is_err());
    grown(1000, 0).check(OFF, Path::Splice).unwrap();
    assert!(grown(4, 996).check(OFF, Path::Splice).is_err());
}

#[test]
fn who_alternates_must_have_switched_both_ways() {
    let (to_splice, to_copy) = ("to=\"splice\"", "to=\"copy\"");
    grown_in(&[to_splice, to_copy]).check(INLINE, Path::Alternating).unwrap();
    for series in [&[to_splice][..], &[to_copy], &[]] {
        assert!(grown_in(series).check(INLINE, Path::Alternating).is_err(), "{series:?}");
        grown_in(series).check(INLINE, Path::Both).unwrap();
    }
    grown(500, 0).check(OFF, Path::Alternating).unwrap();
}

#[test]
fn it_must_wait_as_it_is_named_after() {
    let waits = |waiting| Expected { waiting, ..INLINE };
    for (series, accepted, refused) in [
        (&[][..], Waiting::Ungathered, Waiting::Busy),
        (&[GATHERED][..], Waiting::Sleeping, Waiting::Ungathered),
        (&[BUSY_POLLED][..], Waiting::Busy, Waiting::Sleeping),
    ] {
        grown_in(series).check(waits(accepted), Path::Both).unwrap();
        assert!(grown_in(series).check(waits(refused), Path::Both).is_err(), "{series:?}");
        grown_in(series).check(waits(Waiting::Unknown), Path::Both).unwrap();
    }
}

#[test]
fn the_driver_must_be_the_one_named() {
    let epoll = Expected { driver: Some(Driver::Epoll), ..INLINE };
    assert!(grown(1, 0).check(epoll, Path::Copy).is_err());
    grown(1, 0).check(Expected { driver: None, ..INLINE }, Path::Copy).unwrap();
}

#[test]
fn tls_must_be_on_the_leg_that_the_scenario_is_about() {
    let (client, origin) = (
        "penstock_tls_handshakes_total{worker=\"0\",side=\"client\",kind=\"full\"}",
        "penstock_tls_handshakes_total{worker=\"0\",side=\"target\",kind=\"resumed\"}",
    );
    let grown = |copied, spliced, series: &[&str]| {
        let before = format!("{BEFORE}{client} 5\n{origin} 7\n");
        let after = before
            .replace(" 100\n", &format!(" {}\n", 100 + copied))
            .replace(" 1000\n", &format!(" {}\n", 1000 + spliced));
        Paths::parse(&after).since(&Paths::parse(&before)).and(series)
    };
    for (path, own, other) in
        [(Path::TlsFromClient, client, origin), (Path::TlsToOrigin, origin, client)]
    {
        grown(500, 0, &[own]).check(INLINE, path).unwrap();
        for wrong in [&[][..], &[other], &[client, origin]] {
            let text = refusal(grown(500, 0, wrong).check(INLINE, path));
            assert!(text.contains("penstock_tls_handshakes_total"), "{path:?} {wrong:?}: {text}");
        }
        // What was spliced was neither opened nor sealed.
        assert!(refusal(grown(500, 5, &[own]).check(INLINE, path)).contains("were spliced"));
        assert!(refusal(grown(500, 0, &[own]).check(INLINE, Path::Copy)).contains("grew"));
    }
}
