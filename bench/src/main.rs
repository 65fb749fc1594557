//! Penstock beside its peers, in one run.
//!
//! Figures count as ratios between programs measured in the same run, never as absolute numbers: see `run --help`.
#![forbid(unsafe_code)]

mod contestant;
mod load;
mod process;
mod record;
mod relay;
mod report;
mod run;
mod scenario;
mod stats;
mod table;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};

use contestant::Choice;
use load::Timing;

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Measure the contestants side by side and print the table
    Run(RunArgs),
    /// Be one of the bare relays: the harness starts these itself
    Relay { kind: relay::Kind, forwards: Vec<relay::Forward> },
    /// Say in Markdown and HTML what a run found out
    Report(report::Args),
    /// Name the scenarios
    List,
}

#[derive(Args)]
struct RunArgs {
    /// Scenarios, or what their names begin with; all of them if none is given
    scenarios: Vec<String>,
    /// 5 short rounds instead of 9 longer ones
    #[arg(long)]
    quick: bool,
    /// Rounds per scenario
    #[arg(long)]
    rounds: Option<usize>,
    /// Measured milliseconds per contestant and round
    #[arg(long)]
    window: Option<u64>,
    /// Only these contestants
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Core of the load generator and the origins
    #[arg(long, default_value_t = 0)]
    load_core: usize,
    /// Core of the contestants
    #[arg(long, default_value_t = 1)]
    relay_core: usize,
    /// The daemon to measure [default: the one beside this program]
    #[arg(long)]
    penstock: Option<PathBuf>,
    /// Write every round to this file
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Verb::Run(args) => measure(&args),
        Verb::Relay { kind, forwards } => {
            relay::run(kind, &forwards).map(|()| true).map_err(Into::into)
        }
        Verb::Report(args) => report::run(&args).map(|()| true),
        Verb::List => {
            list();
            Ok(true)
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("penstock-bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn list() {
    for scenario in scenario::SCENARIOS {
        println!("{:<16}{}", scenario.name, scenario.title);
    }
}

/// False if a row failed.
fn measure(args: &RunArgs) -> Result<bool> {
    ensure!(args.load_core != args.relay_core, "load and contestants need a core each");
    let scenarios = run::choose(&args.scenarios)?;
    let timing = Timing {
        warm_up: Duration::from_millis(if args.quick { 150 } else { 250 }),
        window: Duration::from_millis(args.window.unwrap_or(if args.quick { 400 } else { 1000 })),
    };
    let rounds = args.rounds.unwrap_or(if args.quick { 5 } else { 9 });
    run::pin(args.load_core)?;
    run::raise_descriptor_limit()?;

    let machine = table::machine();
    let folder = tempfile::tempdir()?;
    let penstock = match &args.penstock {
        Some(path) => std::path::absolute(path)?,
        None => std::env::current_exe()?.with_file_name("penstock"),
    };
    let choice = Choice { only: args.only.clone(), penstock, core: args.relay_core };
    let (mut contestants, absent) = contestant::start_all(&choice, folder.path())?;
    ensure!(!contestants.is_empty(), "nobody to measure: {}", absent.join("; "));
    println!("{machine}\n{rounds} rounds of {:?}", timing.window);
    for contestant in &contestants {
        println!("  {:<16}{}", contestant.name, contestant.setting);
    }
    println!(
        "verdicts: cheaper or dearer only where the difference exceeds the distance between the quartiles"
    );
    for reason in &absent {
        println!("  left out: {reason}");
    }

    let began = Instant::now();
    let mut outcomes = Vec::new();
    for scenario in scenarios {
        let outcome = run::run(scenario, &mut contestants, rounds, timing);
        print!("{}", table::table(&outcome));
        outcomes.push(outcome);
    }
    print!("{}", table::mixed_against_alone(&outcomes));
    println!("\nmeasured in {:.0} s", began.elapsed().as_secs_f64());
    if let Some(path) = &args.json {
        let text = format!("{:#}\n", table::to_json(&machine, &outcomes, &contestants, &absent));
        fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    Ok(outcomes.iter().flat_map(|outcome| &outcome.rows).all(|row| row.failure.is_none()))
}
