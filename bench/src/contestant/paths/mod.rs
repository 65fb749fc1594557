//! Penstock's path counters, and the proof that what was measured is what the scenario means.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::scenario::Path;

/// What the counters must say of a contestant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// None: whatever it is, and with whatever features of the kernel.
    pub(crate) driver: Option<Driver>,
    pub(crate) splicing: Splicing,
    pub(crate) waiting: Waiting,
    /// Each must have had bytes to move; 0: however many there are.
    pub(crate) workers: u32,
}

impl Expected {
    /// Of one that somebody else has set up.
    pub(crate) const UNKNOWN: Expected = Expected {
        driver: None,
        splicing: Splicing::Unknown,
        waiting: Waiting::Unknown,
        workers: 0,
    };

    /// Whether its bulk pauses between two moves; who splices by the ring does not.
    fn gathers(&self) -> bool {
        self.waiting == Waiting::Sleeping && self.splicing == Splicing::Inline
    }
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
    ("TLS with clients", HANDSHAKES, WITH_CLIENT),
    ("TLS with origins", HANDSHAKES, WITH_ORIGIN),
    ("TLS resumed", HANDSHAKES, "kind=\"resumed\""),
    ("VNC logins", LOGINS, ""),
    // The load leaves in the middle of some when a round ends.
    ("TLS failed", HANDSHAKES, "kind=\"failed\""),
];
/// Handshakes, by the leg they were on and what became of them.
const HANDSHAKES: &str = "penstock_tls_handshakes_total";
const WITH_CLIENT: &str = "side=\"client\"";
const WITH_ORIGIN: &str = "side=\"target\"";
/// Logins at VNC servers, and those of ours in which TLS was all that was asked for.
const LOGINS: &str = "penstock_vnc_logins_total";
const BY_TLS: &str = "mode=\"authenticate\",security=\"x509none\"";
const SWITCHES: &str = "penstock_switches_total";
const PIPE_QUOTA: &str = "penstock_ring_pipe_quota_total";
const SPLICES_BY_RING: &str = "penstock_ring_splice_ring_total";
const GATHERED: &str = "penstock_gathered_total";
const BUSY_POLLED: &str = "penstock_ring_busy_polled_total";
const DRIVER: &str = "penstock_driver_info";

/// Of bulk, all but what moves before a direction is promoted; less where there are messages beside it, and where each burst
/// starts out as a message.
const SPLICED_OF_BULK: f64 = 0.95;
const SPLICED_OF_BOTH: f64 = 0.9;
const SPLICED_OF_ALTERNATING: f64 = 0.85;
/// Of interactive bytes, at most.
const SPLICED_OF_MESSAGES: f64 = 0.01;

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
            self.check_driver(driver)?;
        }
        self.check_movers(expected.splicing, path)?;
        self.check_workers(expected.workers)?;
        self.check_switches(expected.splicing, path)?;
        self.check_ring(expected.splicing)?;
        self.check_waiting(expected.waiting)?;
        self.check_handshakes(path)?;
        if path == Path::Vnc {
            self.must_have_grown(LOGINS, BY_TLS)?;
        }
        if path == Path::Splice && expected.gathers() {
            self.must_have_grown(GATHERED, "")?;
        }
        if path == Path::NoPipe && expected.splicing != Splicing::Off {
            self.must_have_grown(PIPE_QUOTA, "")?;
        }
        Ok(())
    }

    /// On the driver, with every feature of the kernel: a fallback is not what is to be measured.
    fn check_driver(&self, driver: Driver) -> Result<()> {
        let label = format!("driver=\"{}\"", driver.name());
        ensure!(self.sum(DRIVER, &label) >= 1.0, "wrong path: {DRIVER}{{{label}}} is not 1");
        let told = self.series.keys().find(|series| series.starts_with(DRIVER));
        let masked = told.and_then(|series| series.split_once("masked=\"")?.1.split('"').next());
        match masked {
            Some("") => Ok(()),
            Some(features) => bail!("wrong path: {features} is hidden from it by PENSTOCK_MASK"),
            None => bail!("wrong path: {DRIVER} does not say which features are masked"),
        }
    }

    fn check_movers(&self, splicing: Splicing, path: Path) -> Result<()> {
        let (copied, spliced) = (self.sum(BYTES, COPIED), self.sum(BYTES, SPLICED));
        ensure!(copied + spliced > 0.0, "wrong path: {BYTES} did not grow");
        let share = spliced / (copied + spliced);
        let fits = match path {
            _ if splicing == Splicing::Off => spliced == 0.0,
            Path::Copy => share <= SPLICED_OF_MESSAGES,
            Path::Splice => share >= SPLICED_OF_BULK,
            Path::Both => copied > 0.0 && share >= SPLICED_OF_BOTH,
            Path::Alternating => copied > 0.0 && share >= SPLICED_OF_ALTERNATING,
            Path::Any => true,
            Path::NoPipe | Path::TlsFromClient | Path::TlsToOrigin | Path::Vnc => spliced == 0.0,
        };
        ensure!(fits, "wrong path: {:.1} % of the bytes were spliced", share * 100.0);
        Ok(())
    }

    fn check_workers(&self, workers: u32) -> Result<()> {
        for worker in 0..workers {
            self.must_have_grown(BYTES, &format!("worker=\"{worker}\""))?;
        }
        Ok(())
    }

    fn check_ring(&self, splicing: Splicing) -> Result<()> {
        let (by_ring, spliced) = (self.sum(SPLICES_BY_RING, ""), self.sum(BYTES, SPLICED));
        let fits = match splicing {
            Splicing::Ring => by_ring > 0.0 || spliced == 0.0,
            Splicing::Inline | Splicing::Off => by_ring == 0.0,
            Splicing::Unknown => true,
        };
        ensure!(fits, "wrong path: {by_ring} splices went through the ring");
        Ok(())
    }

    fn check_switches(&self, splicing: Splicing, path: Path) -> Result<()> {
        if path == Path::Alternating && splicing != Splicing::Off {
            for label in ["to=\"splice\"", "to=\"copy\""] {
                self.must_have_grown(SWITCHES, label)?;
            }
        }
        Ok(())
    }

    fn check_waiting(&self, waiting: Waiting) -> Result<()> {
        let (gathered, busy_polled) = (self.sum(GATHERED, ""), self.sum(BUSY_POLLED, ""));
        match waiting {
            Waiting::Busy => self.must_have_grown(BUSY_POLLED, "")?,
            Waiting::Ungathered => ensure!(gathered == 0.0, "wrong path: {GATHERED} grew"),
            Waiting::Sleeping => ensure!(busy_polled == 0.0, "wrong path: {BUSY_POLLED} grew"),
            Waiting::Unknown => {}
        }
        Ok(())
    }

    /// On the leg that the scenario is about, and on no other; whether they were full or resumed the load sees itself.
    fn check_handshakes(&self, path: Path) -> Result<()> {
        let from_client = path == Path::TlsFromClient;
        let to_origin = matches!(path, Path::TlsToOrigin | Path::Vnc);
        for (side, is_meant) in [(WITH_CLIENT, from_client), (WITH_ORIGIN, to_origin)] {
            let count = self.sum(HANDSHAKES, side);
            match is_meant {
                true => self.must_have_grown(HANDSHAKES, side)?,
                false => ensure!(count == 0.0, "wrong path: {HANDSHAKES}{{{side}}} grew"),
            }
        }
        Ok(())
    }

    fn must_have_grown(&self, name: &str, label: &str) -> Result<()> {
        let labels = if label.is_empty() { String::new() } else { format!("{{{label}}}") };
        ensure!(self.sum(name, label) > 0.0, "wrong path: {name}{labels} did not grow");
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
