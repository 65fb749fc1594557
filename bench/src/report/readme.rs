//! The README's table: some scenarios, the programs that most people know, and a verdict in each cell.
//!
//! A README goes in, and comes out with the table between its two marks renewed; without both marks, in order, it is refused.

use anyhow::{Context, Result};

use super::document::{Block, Line, Table};
use super::{markdown, words};
use crate::compare::{Entry, Standing};
use crate::record::{Family, Measure, Record, Scenario, Unit};
use crate::stats::Verdict;

const BEGIN: &str = "<!-- measured: begin; made by penstock-bench report --readme -->\n";
const END: &str = "<!-- measured: end -->";

const ROWS: &[(&str, Measure)] = &[
    ("setup", Measure::Figure),
    ("pingpong-64", Measure::Figure),
    ("pingpong-1000", Measure::Figure),
    ("message-16k", Measure::Figure),
    ("bulk-1", Measure::Figure),
    ("bulk-8", Measure::Figure),
    ("bulk-32", Measure::Figure),
    ("mixed", Measure::P99),
    ("phases", Measure::Figure),
    ("phases", Measure::P99),
    ("idle", Measure::Figure),
    ("lone", Measure::Figure),
];

/// Behind Penstock's own column.
const COLUMNS: &[&str] = &[
    "penstock-epoll",
    "squid",
    "haproxy-copy",
    "haproxy-splice",
    "haproxy-busy",
    "nginx",
    "nginx-default",
];

pub(super) fn renew(text: &str, record: &Record) -> Result<String> {
    let missing = || format!("no lines {:?} and {END:?}", BEGIN.trim_end());
    let (before, rest) = text.split_once(BEGIN).with_context(missing)?;
    let (_, after) = rest.split_once(END).with_context(missing)?;
    let blocks = [Block::Table(table(record)), Block::paragraph(legend(record))];
    Ok(format!("{before}{BEGIN}\n{}{END}{after}", markdown::render(&blocks)))
}

fn table(record: &Record) -> Table {
    let rows: Vec<(&Scenario, Measure)> = ROWS
        .iter()
        .filter_map(|(name, measure)| {
            Some((record.scenarios.iter().find(|s| s.name == *name)?, *measure))
        })
        .collect();
    let is_shown = |name: &&&str| rows.iter().any(|(s, _)| s.entry(name).is_some());
    let columns: Vec<&str> = COLUMNS.iter().filter(is_shown).copied().collect();
    let names = columns.iter().map(|name| words::readable(name));
    let heads: Vec<String> = ["".into(), "Penstock".into()].into_iter().chain(names).collect();
    let mut table = Table::new(&heads.iter().map(String::as_str).collect::<Vec<_>>());
    for (scenario, measure) in rows {
        let mut cells = vec![title(scenario, measure).into(), lead(record, scenario, measure)];
        cells.extend(columns.iter().map(|name| cell(record, scenario, measure, name)));
        table.row(false, cells);
    }
    table
}

fn title(scenario: &Scenario, measure: Measure) -> String {
    let title = scenario.title.split(';').next().unwrap_or_default();
    let title = title.split(" (").next().unwrap_or_default();
    match (measure, scenario.unit, scenario.reference()) {
        (Measure::P99, _, _) if scenario.flat_out => format!("{title}; p99 flat out, ms"),
        (Measure::P99, _, _) => format!("{title}; p99, ms"),
        (_, Unit::BytesPerTunnel, _) => format!("{title}; bytes per tunnel"),
        (_, Unit::Latency, _) => format!("{title}; median, µs"),
        (_, _, Some(reference)) => {
            format!("{title}; CPU, × {}", words::readable(reference.name()))
        }
        (_, unit, None) => format!("{title}; CPU, {}", unit.per()),
    }
}

fn lead(record: &Record, scenario: &Scenario, measure: Measure) -> Line {
    let Some(lead) = record.lead(scenario) else { return "–".into() };
    let line = figure(lead, measure);
    let line = match Some(lead.name()) == record.default_name() {
        true => line,
        false => line.text(format!(", {}", words::readable(lead.name()))),
    };
    goal(record, lead, measure, line)
}

fn cell(record: &Record, scenario: &Scenario, measure: Measure, name: &str) -> Line {
    let Some(entry) = scenario.entry(name) else { return "–".into() };
    let line = figure(entry, measure);
    if record.is(entry, Family::Penstock) {
        return goal(record, entry, measure, line);
    }
    let Some(lead) = record.lead(scenario) else { return line };
    match Standing::between(lead, entry, measure).verdict() {
        Some(verdict) => line.text(format!(", {}", outcome(verdict))),
        None => line,
    }
}

/// As the title of the row counts it.
fn figure(entry: Entry<'_>, measure: Measure) -> Line {
    if let Some(trouble) = entry.trouble() {
        return trouble.brief().into();
    }
    let text = match measure {
        Measure::P99 => entry.median(measure).map(|nanos| words::number(nanos / 1e6)),
        _ if entry.scenario.unit == Unit::Latency => entry.median(measure).map(words::number),
        _ => entry.scenario.cost(entry).map(|cost| match entry.scenario.yardstick() {
            Some(_) => words::ratio(cost.median),
            None => words::number(cost.median),
        }),
    };
    text.unwrap_or("–".into()).into()
}

fn goal(record: &Record, ours: Entry<'_>, measure: Measure, line: Line) -> Line {
    let is_same = |other| match other {
        Measure::Absolute => measure == Measure::Figure,
        Measure::P50 => measure == Measure::Figure && ours.scenario.unit == Unit::Latency,
        other => other == measure,
    };
    let mut bars =
        ours.scenario.bars.iter().filter(|bar| bar.ours == ours.name() && is_same(bar.measure));
    let is_missed = bars
        .any(|bar| record.finding(ours.scenario, bar).standing.verdict() == Some(Verdict::Above));
    if is_missed { line.text(", goal missed") } else { line }
}

fn outcome(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Below => "won",
        Verdict::Above => "lost",
        Verdict::Unclear => "no clear difference",
        Verdict::TooFewRounds => "too few rounds",
    }
}

fn legend(record: &Record) -> String {
    format!(
        "{}, {}, {} of {}. Won and lost are Penstock's, beside that program in the same rounds; goals were set before the run.",
        record.machine.kernel_name(),
        record.machine.processor,
        words::count(record.rounds, "round"),
        words::milliseconds(record.window_ms),
    )
}
