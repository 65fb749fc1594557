//! Instructions that the engine's small parts take, compared with the committed figures.
//!
//! `cargo bench -p penstock-bench --bench instructions [-- --accept]`. Each subject runs in a process of its own under
//! callgrind, which counts one call. Exit status: 0, 1 if a figure is too far off, 2 if it could not be counted.
#![forbid(unsafe_code)]

mod callgrind;
mod figures;
#[path = "../benches/subjects/mod.rs"]
mod subjects;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Parser;
// The ring crate's tag codec, compiled in as a file, looks for these at the root of its crate.
use penstock_ring::{op, table};

use figures::{Figure, Figures};

/// The argument before the name of a subject, of the program that runs under callgrind.
const WORK: &str = "--work";

#[derive(Parser)]
struct Cli {
    /// Write the figures anew instead of comparing them
    #[arg(long)]
    accept: bool,
    /// As cargo says it to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let result = match arguments.as_slice() {
        // Not by clap: what it leaves on the heap would change what allocations cost.
        [_, verb, subject] if verb == WORK => work(subject).map(|()| true),
        _ => compare(Cli::parse().accept),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("instructions: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// The first call, in which caches are filled and tables grow, is not counted.
fn work(name: &str) -> Result<()> {
    let subject =
        subjects::all().find(|subject| subject.name == name).context("no such subject")?;
    let mut work = (subject.prepare)();
    work();
    callgrind::counted(&mut work);
    Ok(())
}

/// False if a figure is too far off.
fn compare(accept: bool) -> Result<bool> {
    let counted = Figures { made_with: made_with()?, figures: count_all()? };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions/figures.txt");
    let path_text = path.display().to_string();
    if accept {
        fs::write(&path, counted.to_string()).context(path_text)?;
        println!("wrote {}", path.display());
        return Ok(true);
    }
    let text = fs::read_to_string(&path).context(path_text.clone())?;
    let committed: Figures = text.parse().map_err(anyhow::Error::msg).context(path_text)?;
    let comparison = committed.compare(&counted);
    print!("{comparison}");
    Ok(comparison.is_good())
}

fn count_all() -> Result<Vec<Figure>> {
    let count = |subject: &subjects::Subject| {
        let total = callgrind::count(&[WORK, subject.name]).context(subject.name)?;
        let instructions = total as f64 / subject.elements as f64;
        Ok(Figure { name: subject.name.to_owned(), instructions })
    };
    subjects::all().map(count).collect()
}

/// What the figures depend on, beside the code: the compiler, what it may use of a processor, and the C library.
fn made_with() -> Result<String> {
    let features = [
        ("avx512f", cfg!(target_feature = "avx512f")),
        ("avx2", cfg!(target_feature = "avx2")),
        ("sse4.2", cfg!(target_feature = "sse4.2")),
    ];
    let best = features.iter().find(|(_, is_used)| *is_used).map_or("baseline", |(name, _)| *name);
    let rustc = first_line("rustc", "--version")?;
    let library = first_line("getconf", "GNU_LIBC_VERSION")?;
    Ok(format!("{rustc}, {} {best}, {library}", std::env::consts::ARCH))
}

fn first_line(program: &str, argument: &str) -> Result<String> {
    let output = Command::new(program).arg(argument).output().context(program.to_owned())?;
    ensure!(output.status.success(), "{program} {argument}: {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
