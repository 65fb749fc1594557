//! Interleaves the contestants round by round: A B C, A B C. Everything runs on two cores: contestants on one, load
//! and origins on the other.

use std::path::Path;

use anyhow::{Error, Result, ensure};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

use crate::contestant::{Contestant, Paths};
use crate::load::{self, Sample, Timing};
use crate::scenario::{SCENARIOS, Scenario};

/// All rounds of one scenario.
pub(crate) struct Outcome {
    pub(crate) scenario: &'static Scenario,
    pub(crate) rows: Vec<Row>,
}

/// All rounds of one contestant in one scenario.
pub(crate) struct Row {
    pub(crate) contestant: &'static str,
    /// One per round, as long as nothing failed.
    pub(crate) samples: Vec<Sample>,
    /// Growth of Penstock's counters in the last round.
    pub(crate) paths: Option<Paths>,
    /// Why the row does not count.
    pub(crate) failure: Option<String>,
}

/// The scenarios whose names are, or begin with, one of `names`; all if there are none.
pub(crate) fn choose(names: &[String]) -> Result<Vec<&'static Scenario>> {
    let matches =
        |name: &String, s: &Scenario| s.name == name || s.name.starts_with(&format!("{name}-"));
    for name in names {
        let known = || SCENARIOS.iter().map(|s| s.name).collect::<Vec<_>>().join(", ");
        ensure!(
            SCENARIOS.iter().any(|s| matches(name, s)),
            "no scenario {name}; known: {}",
            known()
        );
    }
    let is_chosen = |s: &&Scenario| names.is_empty() || names.iter().any(|name| matches(name, s));
    Ok(SCENARIOS.iter().filter(is_chosen).collect())
}

/// Keeps this thread, and what it starts, on one core.
pub(crate) fn pin(core: usize) -> Result<()> {
    ensure!(
        Path::new(&format!("/sys/devices/system/cpu/cpu{core}")).exists(),
        "this machine has no core {core}"
    );
    let mut set = CpuSet::new();
    set.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// To the hard limit, for this process and what it starts: 1,000 tunnels through pipes take 6,000 descriptors.
pub(crate) fn raise_descriptor_limit() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// Measures one scenario. A contestant that fails is out of it, not the whole run.
pub(crate) fn run(
    scenario: &'static Scenario,
    contestants: &mut [Contestant],
    rounds: usize,
    timing: Timing,
) -> Outcome {
    let row = |c: &Contestant| Row {
        contestant: c.name,
        samples: Vec::new(),
        paths: None,
        failure: None,
    };
    let mut rows: Vec<Row> = contestants.iter().map(row).collect();
    for round in 1..=rounds {
        eprintln!("{}: round {round} of {rounds}", scenario.name);
        for (row, contestant) in rows.iter_mut().zip(&mut *contestants) {
            if row.failure.is_none() {
                row.failure = one_round(scenario, contestant, timing, row)
                    .err()
                    .map(|e| explain(contestant, &e));
            }
        }
    }
    Outcome { scenario, rows }
}

fn explain(contestant: &mut Contestant, error: &Error) -> String {
    match contestant.process.has_ended() {
        true => format!("the process has ended ({error:#}){}", contestant.process.last_words()),
        false => format!("{error:#}"),
    }
}

fn one_round(
    scenario: &Scenario,
    contestant: &Contestant,
    timing: Timing,
    row: &mut Row,
) -> Result<()> {
    let scrape = || contestant.admin.map(Paths::scrape).transpose();
    let before = scrape()?;
    let Contestant { origin, route, process, .. } = contestant;
    let sample = load::measure(scenario.pattern, route, origin, timing, || process.cpu())?;
    row.samples.push(sample);
    process.settle()?;
    if let (Some(before), Some(after)) = (before, scrape()?) {
        let growth = after.since(&before);
        let verdict = growth.check(contestant.name, scenario.path);
        row.paths = Some(growth);
        verdict?;
    }
    Ok(())
}
