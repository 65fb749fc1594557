//! Penstock beside its peers, in one run.
//!
//! Figures count as ratios between programs measured in the same run, never as absolute numbers: see `run --help`.
#![forbid(unsafe_code)]

mod compare;
mod contestant;
mod interrupt;
mod load;
mod machine;
mod measure;
mod network;
mod pipes;
mod process;
mod progress;
mod record;
mod relay;
mod report;
mod row;
mod run;
mod scenario;
mod stats;
mod table;
mod tls;
mod vnc;
mod websocket;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

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
    Relay {
        kind: relay::Kind,
        forwards: Vec<relay::Forward>,
        /// Where certificate and key are, for those that speak TLS
        #[arg(long, default_value = ".")]
        keys: PathBuf,
    },
    /// Say in Markdown and HTML what a run found out
    Report(report::Args),
    /// Use up the user's pipe quota: the harness starts this itself
    #[command(hide = true)]
    HoldPipes,
    /// Name the scenarios
    List,
}

#[derive(Args)]
struct RunArgs {
    /// Scenarios, or what their names begin with; all of them if none is given
    scenarios: Vec<String>,
    /// 5 short rounds instead of 9 longer ones, and fewer contestants
    #[arg(long)]
    quick: bool,
    /// Rounds per scenario
    #[arg(long)]
    rounds: Option<usize>,
    /// Measured milliseconds per contestant and round
    #[arg(long)]
    window: Option<u64>,
    /// Seconds for which idle tunnels are watched
    #[arg(long)]
    idle: Option<f64>,
    /// Only these contestants
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Contestants of your own: see bench/README.md
    #[arg(long, value_name = "FILE.toml")]
    contestants: Option<PathBuf>,
    /// Core of the load generator and the origins
    #[arg(long, default_value_t = 0)]
    load_core: usize,
    /// Core of the contestants
    #[arg(long, default_value_t = 1)]
    relay_core: usize,
    /// The daemon to measure [default: the one beside this program]
    #[arg(long)]
    penstock: Option<PathBuf>,
    /// What ffi/hosts/nginx/build made [default: the one beside this program]
    #[arg(long)]
    nginx_module: Option<PathBuf>,
    /// Where everything runs
    #[arg(long, value_enum, default_value_t = network::Choice::Own)]
    network: network::Choice,
    /// Write every round to this file
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Verb::Run(args) => measure::measure(&args),
        Verb::Relay { kind, forwards, keys } => {
            relay::run(kind, &forwards, &keys).map(|()| true).map_err(Into::into)
        }
        Verb::Report(args) => report::run(&args).map(|()| true),
        Verb::HoldPipes => pipes::hold().map(|()| true).map_err(Into::into),
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
        println!("{:<20}{}", scenario.name, scenario.title);
    }
}
