//! The command `run`: from arguments to tables and the record.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::contestant::{self, Programs, Recipe, Source, Stage};
use crate::load::Timing;
use crate::progress::Progress;
use crate::record::{self, Absent, Machine, Record};
use crate::run::{self, Plan};
use crate::scenario::Scenario;
use crate::{RunArgs, interrupt, machine, network, table};

/// False if a row failed.
pub(crate) fn measure(args: &RunArgs) -> Result<bool> {
    ensure!(args.load_core != args.relay_core, "load and contestants need a core each");
    let mut scenarios = run::choose(&args.scenarios)?;
    let began = Instant::now();
    interrupt::watch()?;
    raise_descriptor_limit()?;
    // Whoever can't be written to is to be known now, not after half an hour.
    let mut output = args.json.as_deref().map(Output::create).transpose()?;

    let folder = tempfile::tempdir()?;
    let programs = copy_programs(args, folder.path())?;
    let (recipes, mut absent) = choose_contestants(args, &programs, &scenarios)?;
    let machine = machine::describe(network::enter(against_own_network(args, &recipes))?);
    run::pin(args.load_core)?;
    absent.extend(left_out(&scenarios, args.quick));
    scenarios.retain(|scenario| !run::field(scenario, &recipes, args.quick).is_empty());
    let timing = timing(args);
    let rounds = args.rounds.unwrap_or(if args.quick { 5 } else { 9 });
    let mut record = begin_record(machine, &recipes, absent, rounds, timing);
    print!("{}", table::heading(&record));

    let steps = scenarios.iter().map(|s| run::field(s, &recipes, args.quick).len() * rounds);
    let progress = Progress::new(steps.sum::<usize>() as u64);
    let plan = Plan {
        rounds,
        timing,
        idle: Duration::from_secs_f64(args.idle.unwrap_or(if args.quick { 0.5 } else { 2.0 })),
        samples: if args.quick { 1020 } else { 2000 },
        quick: args.quick,
        programs: &programs,
        progress: &progress,
    };
    let mut stage = stage(args, record.machine.cores, folder.path())?;
    for group in scenarios.chunk_by(|a, b| a.group == b.group) {
        let measured = run::run_group(group, &recipes, &mut stage, &plan, &mut record.contestants)?;
        let first = record.scenarios.len();
        record.scenarios.extend(measured);
        for scenario in &record.scenarios[first..] {
            progress.print(&table::table(&record, scenario));
        }
        record.seconds = began.elapsed().as_secs_f64();
        if let Some(output) = &mut output {
            output.write(&record)?;
        }
    }
    progress.print(&format!("\nmeasured in {:.0} s\n", record.seconds));
    Ok(record.scenarios.iter().flat_map(|s| &s.rows).all(|row| row.failure.is_none()))
}

fn begin_record(
    machine: Machine,
    recipes: &[Recipe],
    absent: Vec<Absent>,
    rounds: usize,
    timing: Timing,
) -> Record {
    let contestants: Vec<record::Contestant> = recipes.iter().map(Recipe::describe).collect();
    let ours = contestants.iter().find(|c| c.family == record::Family::Penstock);
    Record {
        format: record::FORMAT,
        machine,
        command: std::env::args().collect(),
        version: ours.map_or(String::new(), |ours| ours.version.clone()),
        rounds,
        window_ms: timing.window.as_millis() as u64,
        seconds: 0.0,
        contestants,
        absent,
        scenarios: Vec::new(),
    }
}

fn raise_descriptor_limit() -> Result<()> {
    let limit = run::raise_descriptor_limit()?;
    if limit < run::DESCRIPTORS {
        eprintln!(
            "only {limit} descriptors may be open, and {} are wanted: rows with thousands of tunnels will fail; raise the hard limit (ulimit -Hn) or run as root",
            run::DESCRIPTORS
        );
    }
    Ok(())
}

/// The file of the record, which holds all groups measured so far: an end before the end loses none of them.
struct Output {
    path: PathBuf,
    file: File,
}

impl Output {
    fn create(path: &Path) -> Result<Output> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        Ok(Output { path: path.to_owned(), file })
    }

    fn write(&mut self, record: &Record) -> Result<()> {
        let text = serde_json::to_string_pretty(record)? + "\n";
        let mut write = || {
            self.file.set_len(0)?;
            self.file.rewind()?;
            self.file.write_all(text.as_bytes())
        };
        write().with_context(|| self.path.display().to_string())
    }
}

/// Why it must be the machine's network, if it must.
fn against_own_network(args: &RunArgs, recipes: &[Recipe]) -> Option<String> {
    let runs_already = |recipe: &&Recipe| matches!(recipe.source, Source::Running { .. });
    match recipes.iter().find(runs_already) {
        Some(recipe) => Some(format!("{} runs in it already", recipe.name)),
        None => (args.network == network::Choice::Host).then(|| "asked for".into()),
    }
}

/// Who can't take part in a scenario, and whom a quick run has no time for.
fn left_out(scenarios: &[&Scenario], quick: bool) -> Vec<Absent> {
    let absent = |name: &str, reason| Absent { name: name.into(), reason };
    let unable = scenarios.iter().flat_map(|scenario| {
        scenario.without.iter().map(|(name, why)| absent(name, format!("{}: {why}", scenario.name)))
    });
    let late = scenarios
        .iter()
        .flat_map(|scenario| scenario.also)
        .filter(|name| quick && !scenarios.iter().any(|scenario| scenario.field.contains(name)));
    let late: BTreeSet<_> = late.collect();
    unable.chain(late.into_iter().map(|name| absent(name, "not in a quick run".into()))).collect()
}

fn timing(args: &RunArgs) -> Timing {
    let window = args.window.unwrap_or(if args.quick { 200 } else { 600 });
    Timing {
        warm_up: Duration::from_millis(if args.quick { 80 } else { 200 }),
        window: Duration::from_millis(window),
    }
}

fn stage(args: &RunArgs, cores: usize, folder: &Path) -> Result<Stage> {
    let other = (0..cores)
        .find(|core| ![args.load_core, args.relay_core].contains(core))
        .unwrap_or(args.load_core);
    Stage::new(args.relay_core, other, folder.to_owned())
}

fn copy_programs(args: &RunArgs, folder: &Path) -> Result<Programs> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    let itself = std::env::current_exe()?;
    let penstock = args.penstock.clone().unwrap_or_else(|| itself.with_file_name("penstock"));
    let programs = Programs {
        penstock: folder.join("penstock"),
        itself: folder.join("penstock-bench"),
        nginx_module: folder.join("module.so"),
    };
    let module = args.nginx_module.clone();
    let module = module.unwrap_or_else(|| itself.with_file_name("ngx_stream_penstock_module.so"));
    if module.is_file() {
        fs::copy(&module, &programs.nginx_module)?;
    } else {
        ensure!(args.nginx_module.is_none(), "{} is not there", module.display());
    }
    fs::copy(&itself, &programs.itself)?;
    if penstock.is_file() {
        fs::copy(&penstock, &programs.penstock)?;
        // Code that is still to be written to a disk would count as private memory of who runs it.
        fs::File::open(&programs.penstock)?.sync_all()?;
    } else {
        ensure!(args.penstock.is_none(), "{} is not there", penstock.display());
    }
    Ok(programs)
}

/// Everybody who takes part in one of the scenarios, and who is not there.
fn choose_contestants(
    args: &RunArgs,
    programs: &Programs,
    scenarios: &[&Scenario],
) -> Result<(Vec<Recipe>, Vec<Absent>)> {
    let mut recipes = contestant::recipes(programs, args.contestants.as_deref())?;
    for name in &args.only {
        let known = || recipes.iter().map(|r| r.name.as_str()).collect::<Vec<_>>().join(", ");
        ensure!(
            recipes.iter().any(|r| r.name == *name),
            "no contestant {name}; known: {}",
            known()
        );
    }
    recipes.retain(|recipe| args.only.is_empty() || args.only.contains(&recipe.name));
    let needed: Vec<bool> = recipes
        .iter()
        .map(|recipe| {
            let one = std::slice::from_ref(recipe);
            scenarios.iter().any(|scenario| !run::field(scenario, one, args.quick).is_empty())
        })
        .collect();
    let mut needed = needed.into_iter();
    recipes.retain(|_| needed.next().unwrap_or(false));
    // The daemon is known by its counters; who else has Penstock within may be absent.
    let is_ours = |recipe: &&Recipe| recipe.expected.is_some();
    let ours: Vec<String> = recipes.iter().filter(is_ours).map(|r| r.name.clone()).collect();
    let absent = contestant::remove_absent(&mut recipes);
    ensure!(
        !absent.iter().any(|absent| ours.contains(&absent.name)),
        "there is no Penstock to measure: `cargo build --release` makes one beside this program, --penstock names another, --only does without"
    );
    ensure!(!recipes.is_empty(), "nobody to measure");
    Ok((recipes, absent))
}
