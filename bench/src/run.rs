//! Measures group by group, and within a group round by round: scenario by scenario, contestant by contestant, A B C, then B C A.
//! Everything runs on two cores: contestants on one, load and origins on the other.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Error, Result, anyhow, ensure};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

use crate::contestant::{Contestant, Paths, Programs, Recipe, Stage, start_all};
use crate::interrupt;
use crate::load::{self, Meter, Timing};
use crate::pipes;
use crate::process::Process;
use crate::progress::Progress;
use crate::record::{self, Absent};
use crate::row::Row;
use crate::scenario::{SCENARIOS, Scenario, Special};

/// How everything is measured.
pub(crate) struct Plan<'a> {
    pub(crate) rounds: usize,
    pub(crate) timing: Timing,
    /// How long an idle herd is watched.
    pub(crate) idle: Duration,
    /// Operations that a schedule brings into a window, at least.
    pub(crate) samples: u32,
    pub(crate) quick: bool,
    pub(crate) programs: &'a Programs,
    pub(crate) progress: &'a Progress,
}

impl Plan<'_> {
    fn timing(&self, scenario: &Scenario) -> Timing {
        scenario.timing(self.timing, self.idle, self.samples)
    }
}

/// The scenarios whose names are, or begin with, one of `names`; all if there are none.
pub(crate) fn choose(names: &[String]) -> Result<Vec<&'static Scenario>> {
    for name in names {
        let known = || SCENARIOS.iter().map(|s| s.name).collect::<Vec<_>>().join(", ");
        ensure!(
            SCENARIOS.iter().any(|s| is_called(s, name)),
            "no scenario {name}; known: {}",
            known()
        );
    }
    let is_chosen = |s: &&Scenario| names.is_empty() || names.iter().any(|name| is_called(s, name));
    Ok(SCENARIOS.iter().filter(is_chosen).collect())
}

fn is_called(scenario: &Scenario, name: &str) -> bool {
    scenario.name == name || scenario.name.starts_with(&format!("{name}-"))
}

/// Who takes part in a scenario, of those there are.
pub(crate) fn field<'r>(
    scenario: &Scenario,
    recipes: &'r [Recipe],
    quick: bool,
) -> Vec<&'r Recipe> {
    let admits = |recipe: &&Recipe| match &recipe.guest_of {
        None => scenario.admits(&recipe.name, quick),
        Some(_) if scenario.special != Special::None || recipe.kind.legs() != scenario.legs => {
            false
        }
        Some(names) => names.is_empty() || names.iter().any(|name| is_called(scenario, name)),
    };
    recipes.iter().filter(admits).collect()
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

/// For this process and what it starts: 4,000 tunnels are 8,000 sockets here and as many there, 1,000 through pipes 6,000.
/// What it has become.
pub(crate) fn raise_descriptor_limit() -> Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    // Above the hard limit goes only root.
    let raised = setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, hard.max(DESCRIPTORS));
    if raised.is_err() {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(getrlimit(Resource::RLIMIT_NOFILE)?.0)
}

/// Descriptors that the largest herd wants.
pub(crate) const DESCRIPTORS: u64 = 30_000;

/// Measures the scenarios of one group side by side. A contestant that fails is out of the scenario, not the whole run.
pub(crate) fn run_group(
    scenarios: &[&'static Scenario],
    recipes: &[Recipe],
    stage: &mut Stage,
    plan: &Plan,
    known: &mut [record::Contestant],
) -> Result<Vec<record::Scenario>> {
    let special = scenarios.first().map_or(Special::None, |scenario| scenario.special);
    let user = match special {
        Special::Unprivileged { pipes_used_up } => {
            Some((100_000 + std::process::id() % 50_000 * 2 + u32::from(pipes_used_up)).to_string())
        }
        _ => None,
    };
    let holder = match special {
        Special::Unprivileged { pipes_used_up: true } => hold_pipes(stage, plan, &user).map(Some),
        _ => Ok(None),
    };
    interrupt::check()?;
    let fields: Vec<Vec<&Recipe>> =
        scenarios.iter().map(|scenario| field(scenario, recipes, plan.quick)).collect();
    let is_needed = |r: &&Recipe| fields.iter().flatten().any(|other| other.name == r.name);
    let needed: Vec<&Recipe> = recipes.iter().filter(is_needed).collect();
    let started: Vec<Result<Contestant>> = match (&holder, special) {
        (Err(error), _) => needed.iter().map(|_| Err(anyhow!("{error:#}"))).collect(),
        (Ok(_), Special::Fresh) => needed.iter().map(|_| Err(anyhow!("not started yet"))).collect(),
        (Ok(_), _) => start_all(&needed, stage, user.as_deref()),
    };
    for contestant in started.iter().flatten() {
        contestant.process.pause();
    }
    let mut group = Group {
        special,
        contestants: needed.into_iter().zip(started).collect(),
        rows: scenarios.iter().zip(&fields).map(|(s, field)| rows(s, field)).collect(),
    };
    for round in 1..=plan.rounds {
        for (index, scenario) in scenarios.iter().enumerate() {
            plan.progress.round(scenario.name, round, plan.rounds);
            group.round(round, index, scenario, stage, plan)?;
        }
    }
    group.remember(known);
    let rows = group.rows.into_iter();
    Ok(scenarios
        .iter()
        .zip(rows)
        .map(|(scenario, rows)| finish(scenario, rows, recipes, plan))
        .collect())
}

struct Group<'r> {
    special: Special,
    /// Everybody whom a scenario of the group needs, running or not.
    contestants: Vec<(&'r Recipe, Result<Contestant>)>,
    /// Of each scenario.
    rows: Vec<Vec<Row<'r>>>,
}

fn rows<'r>(scenario: &Scenario, field: &[&'r Recipe]) -> Vec<Row<'r>> {
    field.iter().map(|recipe| Row::new(recipe, scenario.unit)).collect()
}

impl Group<'_> {
    fn round(
        &mut self,
        round: usize,
        index: usize,
        scenario: &Scenario,
        stage: &mut Stage,
        plan: &Plan,
    ) -> Result<()> {
        // Whoever is first in one round is last in the next: what a predecessor leaves behind meets everybody.
        let count = self.rows[index].len();
        for place in 0..count {
            let row = &mut self.rows[index][(place + round) % count];
            interrupt::check()?;
            plan.progress.step(scenario.name, &row.recipe.name);
            let Some((recipe, contestant)) =
                self.contestants.iter_mut().find(|(recipe, _)| recipe.name == row.recipe.name)
            else {
                continue;
            };
            if row.failure.is_some() {
                continue;
            }
            if self.special == Special::Fresh {
                // The one before is stopped first.
                *contestant = Err(anyhow!("stopped"));
                *contestant = start_all(&[*recipe], stage, None).remove(0);
            }
            row.failure = match contestant {
                Err(error) => Some(format!("{error:#}")),
                Ok(contestant) => {
                    contestant.process.resume();
                    let result = one_round(scenario, contestant, plan, row);
                    contestant.process.pause();
                    result.err().map(|error| explain(contestant, &error))
                }
            };
            interrupt::check()?;
        }
        Ok(())
    }

    /// Notes how each was started.
    fn remember(&self, known: &mut [record::Contestant]) {
        for (recipe, contestant) in &self.contestants {
            let entry = known.iter_mut().find(|entry| entry.name == recipe.name);
            if let (Some(entry), Ok(contestant)) = (entry, contestant) {
                entry.command = contestant.command.clone();
                entry.configuration = contestant.configuration.clone();
            }
        }
    }
}

fn finish(
    scenario: &Scenario,
    rows: Vec<Row>,
    recipes: &[Recipe],
    plan: &Plan,
) -> record::Scenario {
    let timing = plan.timing(scenario);
    let took_part = |recipe: &&Recipe| rows.iter().any(|row| row.recipe.name == recipe.name);
    let absent = recipes.iter().filter(|recipe| !took_part(recipe)).filter_map(|recipe| {
        let reason = scenario.why_without(&recipe.name, plan.quick)?;
        Some(Absent { name: recipe.name.clone(), reason: reason.into() })
    });
    let absent = absent.collect();
    record::Scenario {
        name: scenario.name.into(),
        title: scenario.title.into(),
        question: scenario.question.into(),
        unit: scenario.unit,
        lead: scenario.lead.into(),
        reference: scenario.reference.into(),
        series: scenario.series.map(|(name, size)| (name.into(), size)),
        flat_out: scenario.pattern.is_flat_out(),
        offered: scenario.pattern.stream_rate.map(f64::from),
        warm_up_ms: timing.warm_up.as_millis() as u64,
        window_ms: timing.window.as_millis() as u64,
        absent,
        bars: scenario.record_bars(),
        rows: rows.into_iter().map(Row::finish).collect(),
    }
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
    plan: &Plan,
    row: &mut Row,
) -> Result<()> {
    let Contestant { origin, route, process, admin, .. } = contestant;
    let scrape = || admin.map(Paths::scrape).transpose();
    process.settle()?;
    process.return_to_its_cores();
    let before = scrape()?;
    let sample = load::measure(scenario.pattern, route, origin, plan.timing(scenario), process)?;
    row.add(&sample)?;
    process.stays_on_its_cores()?;
    process.settle()?;
    if let (Some(before), Some(after), Some(expected)) = (before, scrape()?, row.recipe.expected) {
        let growth = after.since(&before);
        row.paths = Some(growth.summary());
        growth.check(expected, scenario.path)?;
    }
    Ok(())
}

/// A process that holds all pipes that `user` may have.
fn hold_pipes(stage: &mut Stage, plan: &Plan, user: &Option<String>) -> Result<Process> {
    let is_root = nix::unistd::geteuid().is_root();
    let argv = [plan.programs.itself.display().to_string(), "hold-pipes".into()];
    let user = user.as_deref().filter(|_| is_root);
    let mut holder = Process::start(&argv, &stage.own_core, user, stage.log("hold-pipes"))?;
    let deadline = Instant::now() + Duration::from_secs(5);
    while !holder.last_words().contains(pipes::HELD) {
        ensure!(!holder.has_ended(), "who should hold the pipes ended{}", holder.last_words());
        ensure!(Instant::now() < deadline, "the pipes were not used up in time");
        sleep(Duration::from_millis(5));
    }
    // Reading its CPU proves that it lives.
    holder.cpu()?;
    Ok(holder)
}
