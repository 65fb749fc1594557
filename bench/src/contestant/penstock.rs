//! Penstock itself, and the proof that what was measured is what the scenario means.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Kind, Recipe, Site};
use crate::scenario::Path;

pub(super) const RECIPES: &[Recipe] = &[
    Recipe {
        name: "penstock-uring",
        setting: "CONNECT, io_uring, default configuration, no log",
        kind: Kind::Connect,
        build: |site| penstock(site, "uring"),
        user: None,
    },
    Recipe {
        name: "penstock-epoll",
        setting: "CONNECT, epoll, default configuration, no log",
        kind: Kind::Connect,
        build: |site| penstock(site, "epoll"),
        user: None,
    },
];

fn penstock(site: &Site, driver: &str) -> (Option<String>, Vec<String>) {
    let config = format!(
        r#"[engine]
workers = 1

[log]
level = "warn"

[admin]
listen = "{}"

[acl]
origin = {{ dst = ["127.0.0.0/8"] }}

[[listen]]
name = "bench"
address = ["{}"]
service = "connect"
access = ["allow origin", "deny all"]
"#,
        site.second, site.first
    );
    let program = site.penstock.display().to_string();
    let argv = [
        program,
        "--config".into(),
        site.config.display().to_string(),
        format!("--engine={driver}"),
    ];
    (Some(config), argv.into())
}

/// The series that tell which way the bytes went.
const BYTES: &str = "penstock_bytes_total";
const COPIED: &str = "mover=\"copy\"";
const SPLICED: &str = "mover=\"splice\"";
/// Series whose growth is shown beside every row.
const SHOWN: &[(&str, &str)] = &[
    ("switches", "penstock_switches_total"),
    ("splice refused", "penstock_splice_refused_total"),
    ("pipe quota", "penstock_ring_pipe_quota_total"),
    ("backpressure", "penstock_backpressure_total"),
];
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

    /// Says what was wrong if this growth is not of the path that the scenario is about, on the driver that the
    /// contestant is named after.
    pub(crate) fn check(&self, contestant: &str, path: Path) -> Result<()> {
        let driver = contestant.rsplit('-').next().unwrap_or_default();
        let label = format!("driver=\"{driver}\"");
        ensure!(self.sum(DRIVER, &label) >= 1.0, "wrong path: {DRIVER}{{{label}}} is not 1");
        let (copied, spliced) = (self.sum(BYTES, COPIED), self.sum(BYTES, SPLICED));
        ensure!(copied + spliced > 0.0, "wrong path: {BYTES} did not grow");
        let share = spliced / (copied + spliced);
        let fits = match path {
            Path::Copy => share <= SPLICED_SHARE_MAX,
            Path::Splice => share >= SPLICED_SHARE_MIN,
            Path::Both => copied > 0.0 && spliced > 0.0,
        };
        ensure!(fits, "wrong path: {:.1} % of the bytes were spliced", share * 100.0);
        Ok(())
    }

    /// One line for the report.
    pub(crate) fn summary(&self) -> String {
        let (copied, spliced) = (self.sum(BYTES, COPIED), self.sum(BYTES, SPLICED));
        let mut line = format!("copied {:.2} MB, spliced {:.2} MB", copied / 1e6, spliced / 1e6);
        for (title, name) in SHOWN {
            line += &format!(", {title} {}", self.sum(name, ""));
        }
        line
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
";

    fn grown(copied: u32, spliced: u32) -> Paths {
        let after = BEFORE
            .replace("1000", &(1000 + spliced).to_string())
            .replace(" 100\n", &format!(" {}\n", 100 + copied));
        Paths::parse(&after).since(&Paths::parse(BEFORE))
    }

    #[test]
    fn each_scenario_accepts_its_own_path_alone() {
        let (copy, splice, both) = (grown(500, 0), grown(4, 996), grown(500, 500));
        for (path, accepted) in [(Path::Copy, &copy), (Path::Splice, &splice), (Path::Both, &both)]
        {
            accepted.check("penstock-uring", path).unwrap();
        }
        for (path, refused) in [(Path::Copy, &both), (Path::Splice, &both), (Path::Both, &copy)] {
            assert!(refused.check("penstock-uring", path).is_err());
        }
        assert!(grown(0, 0).check("penstock-uring", Path::Copy).is_err());
    }

    #[test]
    fn the_driver_must_be_the_one_named() {
        assert!(grown(1, 0).check("penstock-epoll", Path::Copy).is_err());
    }
}
