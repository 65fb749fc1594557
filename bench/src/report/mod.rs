//! The report of a run: one document from its record, as Markdown and as an HTML page with plots.
//!
//! It measures nothing and needs nothing but the record and, for the pace of a scenario, the harness's list. What the record's rounds
//! do not carry, it calls unclear.

mod compose;
mod document;
mod html;
mod markdown;
mod order;
mod plot;
mod readme;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
mod words;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::record::{FORMAT, Record};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What `run --json` wrote
    record: PathBuf,
    /// Write one page with plots, which needs no other file
    #[arg(long)]
    html: Option<PathBuf>,
    /// Write Markdown [default: print it, if nothing else is asked for]
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// Replace the table between the marks of this file
    #[arg(long)]
    readme: Option<PathBuf>,
}

/// # Errors
/// If the record cannot be read, is of another format, a report cannot be written, or the README has no marks.
pub(crate) fn run(args: &Args) -> Result<()> {
    let text = fs::read_to_string(&args.record);
    let text = text.with_context(|| args.record.display().to_string())?;
    let record = parse(&text).with_context(|| args.record.display().to_string())?;
    let blocks = compose::compose(&record);
    if let Some(path) = &args.html {
        let page = html::render(compose::TITLE, &blocks);
        fs::write(path, page).with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &args.markdown {
        let text = markdown::render(&blocks);
        fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &args.readme {
        let name = || path.display().to_string();
        let text = fs::read_to_string(path).with_context(name)?;
        fs::write(path, readme::renew(&text, &record).with_context(name)?).with_context(name)?;
    }
    if args.html.is_none() && args.markdown.is_none() && args.readme.is_none() {
        print!("{}", markdown::render(&blocks));
    }
    Ok(())
}

/// The format comes first: a record of another one would only be called malformed.
fn parse(text: &str) -> Result<Record> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    let head: Head = serde_json::from_str(text).context("not the record of a run")?;
    let found = head.format;
    ensure!(found == FORMAT, "a record of format {found}; this program reads {FORMAT}");
    Ok(serde_json::from_str(text)?)
}
