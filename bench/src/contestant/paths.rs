//! Penstock's path counters, and the proof that what was measured is what the scenario means.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::scenario::Path;

/// What the counters must say of a contestant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// None: whatever it is.
    pub(crate) driver: Option<Driver>,
    pub(crate) splicing: Splicing,
    pub(crate) waiting: Waiting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    Uring,
    Epoll,
}

/// How it splices, if it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Splicing {
    /// By splice(2).
    Inline,
    /// By requests of the ring.
    Ring,
    Off,
    /// It was started by somebody else.
    Unknown,
}

/// How it waits for work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// It sleeps, and lets bulk gather.
    Sleeping,
    /// It sleeps, and wakes for whatever comes.
    Ungathered,
    /// It looks for work before it sleeps.
    Busy,
    /// It was started by somebody else.
    Unknown,
}

impl Driver {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Driver::Uring => "uring",
            Driver::Epoll => "epoll",
        }
    }
}

/// The series that tell which way the bytes went.
const BYTES: &str = "penstock_bytes_total";
const COPIED: &str = "mover=\"copy\"";
const SPLICED: &str = "mover=\"splice\"";
/// Series whose growth is shown beside every row.
const SHOWN: &[(&str, &str, &str)] = &[
    ("switches to splice", SWITCHES, "to=\"splice\""),
    ("switches to copy", SWITCHES, "to=\"copy\""),
    ("splice refused", "penstock_splice_refused_total", ""),
    ("pipe quota", PIPE_QUOTA, ""),
    ("splices by the ring", SPLICES_BY_RING, ""),
    ("gathered", GATHERED, ""),
    ("busy polled", BUSY_POLLED, ""),
    ("backpressure", "penstock_backpressure_total", ""),
];
const SWITCHES: &str = "penstock_switches_total";
const PIPE_QUOTA: &str = "penstock_ring_pipe_quota_total";
const SPLICES_BY_RING: &str = "penstock_ring_splice_ring_total";
const GATHERED: &str = "penstock_gathered_total";
const BUSY_POLLED: &str = "penstock_ring_busy_polled_total";
const DRIVER: &str = "penstock_driver_info";

/// Of bulk, all but what moves before a direction is promoted.
const SPLICED_SHARE_MIN: f64 = 0.95;
/// Of interactive bytes.
const SPLICED_SHARE_MAX: f64 = 0.01;

/// Penstock's path counters at one moment, or their growth between two.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paths {
    series: BTreeMap<String, f64>,
}

impl Paths {
    /// Reads `/metrics`.
    pub(crate) fn scrape(admin: SocketAddr) -> Result<Paths> {
        let mut stream = TcpStream::connect(admin).context("admin address")?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(format!("GET /metrics HTTP/1.0\r\nHost: {admin}\r\n\r\n").as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text).context("/metrics")?;
        ensure!(
            text.split(' ').nth(1) == Some("200"),
            "/metrics answered {:?}",
            text.lines().next()
        );
        Ok(Paths::parse(&text))
    }

    fn parse(text: &str) -> Paths {
        let samples = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.rsplit_once(' '));
        let series = samples
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
            .collect();
        Paths { series }
    }

    pub(crate) fn since(&self, before: &Paths) -> Paths {
        let grown = |(name, value): (&String, &f64)| {
            // Of gauges that name a fact, such as the driver, the fact counts and not its change.
            let base = if name.starts_with(DRIVER) {
                0.0
            } else {
                *before.series.get(name).unwrap_or(&0.0)
            };
            (name.clone(), value - base)
        };
        Paths { series: self.series.iter().map(grown).collect() }
    }

    /// Says what was wrong if this growth is not of the path that the scenario is about, on the driver and by the
    /// splices that the contestant is named after.
    pub(crate) fn check(&self, expected: Expected, path: Path) -> Result<()> {
        if let Some(driver) = expected.driver {
            let label = format!("driver=\"{}\"", driver.name());
            ensure!(self.sum(DRIVER, &label) >= 1.0, "wrong path: {DRIVER}{{{label}}} is not 1");
        }
        let (copied, spliced) = (self.sum(BYTES, COPIED), self.sum(BYTES, SPLICED));
        ensure!(copied + spliced > 0.0, "wrong path: {BYTES} did not grow");
        let share = spliced / (copied + spliced);
        let fits = match path {
            _ if expected.splicing == Splicing::Off => spliced == 0.0,
            Path::Copy => share <= SPLICED_SHARE_MAX,
            Path::Splice => share >= SPLICED_SHARE_MIN,
            Path::Both | Path::Alternating => copied > 0.0 && spliced > 0.0,
            Path::Any => true,
            Path::NoPipe => spliced == 0.0,
        };
        ensure!(fits, "wrong path: {:.1} % of the bytes were spliced", share * 100.0);
        self.check_switches(expected.splicing, path)?;
        let refused = self.sum(PIPE_QUOTA, "");
        let asks = path == Path::NoPipe && expected.splicing != Splicing::Off;
        ensure!(!asks || refused > 0.0, "wrong path: {PIPE_QUOTA} did not grow");
        let by_ring = self.sum(SPLICES_BY_RING, "");
        let fits = match expected.splicing {
            Splicing::Ring => by_ring > 0.0 || spliced == 0.0,
            Splicing::Inline | Splicing::Off => by_ring == 0.0,
            Splicing::Unknown => true,
        };
        ensure!(fits, "wrong path: {by_ring} splices went through the ring");
        self.check_waiting(expected.waiting)
    }

    fn check_switches(&self, splicing: Splicing, path: Path) -> Result<()> {
        if path == Path::Alternating && splicing != Splicing::Off {
            for label in ["to=\"splice\"", "to=\"copy\""] {
                let switches = self.sum(SWITCHES, label);
                ensure!(switches > 0.0, "wrong path: {SWITCHES}{{{label}}} did not grow");
            }
        }
        Ok(())
    }

    fn check_waiting(&self, waiting: Waiting) -> Result<()> {
        let (gathered, busy_polled) = (self.sum(GATHERED, ""), self.sum(BUSY_POLLED, ""));
        match waiting {
            Waiting::Busy => ensure!(busy_polled > 0.0, "wrong path: {BUSY_POLLED} did not grow"),
            Waiting::Ungathered => ensure!(gathered == 0.0, "wrong path: {GATHERED} grew"),
            Waiting::Sleeping => ensure!(busy_polled == 0.0, "wrong path: {BUSY_POLLED} grew"),
            Waiting::Unknown => {}
        }
        Ok(())
    }

    /// What is shown beside every row.
    pub(crate) fn summary(&self) -> BTreeMap<String, f64> {
        let (copied, spliced) = (self.sum(BYTES, COPIED), self.sum(BYTES, SPLICED));
        let bytes = [("copied bytes".to_owned(), copied), ("spliced bytes".to_owned(), spliced)];
        let counts =
            SHOWN.iter().map(|(title, name, label)| ((*title).to_owned(), self.sum(name, label)));
        bytes.into_iter().chain(counts).collect()
    }

    fn sum(&self, name: &str, label: &str) -> f64 {
        let is_meant = |series: &str| {
            series.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
                && series.contains(label)
        };
        // The empty `sum` of floats is -0.
        self.series
            .iter()
            .filter(|(series, _)| is_meant(series))
            .fold(0.0, |sum, (_, value)| sum + value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "# TYPE penstock_bytes_total counter
penstock_driver_info{driver=\"uring\",kernel=\"6.1\",masked=\"\"} 1
penstock_bytes_total{worker=\"0\",direction=\"client_to_target\",mover=\"copy\"} 100
penstock_bytes_total{worker=\"0\",direction=\"target_to_client\",mover=\"splice\"} 1000
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

    /// One more of each of these.
    fn grown_in(series: &[&str]) -> Paths {
        let mut grown = grown(500, 500);
        for (name, value) in &mut grown.series {
            *value += f64::from(u8::from(series.iter().any(|part| name.contains(part))));
        }
        grown
    }

    const INLINE: Expected = Expected {
        driver: Some(Driver::Uring),
        splicing: Splicing::Inline,
        waiting: Waiting::Sleeping,
    };
    const RING: Expected = Expected { splicing: Splicing::Ring, ..INLINE };
    const OFF: Expected = Expected { splicing: Splicing::Off, ..INLINE };

    #[test]
    fn each_scenario_accepts_its_own_path_alone() {
        let (copy, splice, both) = (grown(500, 0), grown(4, 996), grown(500, 500));
        for (path, accepted) in [(Path::Copy, &copy), (Path::Splice, &splice), (Path::Both, &both)]
        {
            accepted.check(INLINE, path).unwrap();
        }
        for (path, refused) in [(Path::Copy, &both), (Path::Splice, &both), (Path::Both, &copy)] {
            assert!(refused.check(INLINE, path).is_err());
        }
        assert!(grown(0, 0).check(INLINE, Path::Copy).is_err());
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
}
