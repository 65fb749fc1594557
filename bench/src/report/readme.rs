//! The README's tables: some scenarios, the programs that most people know, and a verdict in each cell.
//!
//! A README goes in, and comes out with the tables between its two marks renewed; without both marks, in order, it is refused.

use anyhow::{Context, Result};

use super::document::{Block, Line, Table};
use super::{markdown, words};
use crate::compare::{Entry, Standing};
use crate::record::{Family, Measure, Record, Scenario, Unit};
use crate::stats::Verdict;

const BEGIN: &str = "<!-- measured: begin; made by penstock-bench report --readme -->\n";
const END: &str = "<!-- measured: end -->";

/// One table.
struct Part {
    rows: &'static [(&'static str, Measure)],
    /// Behind Penstock's own column.
    columns: &'static [Column],
}

/// Whose figures are in it: of several settings, those of the one that needs least.
struct Column {
    /// None: there is one setting, which says itself what it is.
    head: Option<&'static str>,
    contestants: &'static [&'static str],
}

const fn one(contestants: &'static [&'static str; 1]) -> Column {
    Column { head: None, contestants }
}

const fn best(head: &'static str, contestants: &'static [&'static str]) -> Column {
    Column { head: Some(head), contestants }
}

const PARTS: &[Part] = &[
    Part {
        rows: &[
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
        ],
        columns: &[
            one(&["penstock-epoll"]),
            one(&["squid"]),
            one(&["haproxy-copy"]),
            one(&["haproxy-splice"]),
            one(&["haproxy-busy"]),
            one(&["nginx"]),
            one(&["nginx-default"]),
        ],
    },
    Part {
        rows: &[
            ("tls-bulk-8", Measure::Figure),
            ("tls-upload-8", Measure::Figure),
            ("tls-handshake", Measure::Figure),
            ("tls-resume", Measure::Figure),
            ("tls-idle-1000", Measure::Figure),
            ("to-tls-bulk-8", Measure::Figure),
            ("to-tls-upload-8", Measure::Figure),
            ("to-tls-handshake", Measure::Figure),
            ("to-tls-idle-1000", Measure::Figure),
        ],
        columns: &[
            best(
                "HAProxy",
                &["haproxy-tls", "haproxy-tls-wide", "haproxy-to-tls", "haproxy-to-tls-wide"],
            ),
            best(
                "nginx stream",
                &["nginx-tls", "nginx-tls-wide", "nginx-to-tls", "nginx-to-tls-wide"],
            ),
            best("hitch", &["hitch"]),
            best("stunnel", &["stunnel", "stunnel-to-tls"]),
        ],
    },
    Part {
        rows: &[
            ("ws-bulk-8", Measure::Figure),
            ("ws-64-16", Measure::Figure),
            ("ws-64-64", Measure::Figure),
            ("ws-upload-8", Measure::Figure),
            ("wss-bulk-8", Measure::Figure),
            ("wss-64-64", Measure::Figure),
            ("ws-idle-50", Measure::Figure),
            ("ws-idle-2000", Measure::Figure),
        ],
        columns: &[best("websockify", &["websockify", "websockify-tls"])],
    },
];

/// Penstock as it comes, where one of its legs is not plain.
const USUAL: &[&str] = &["penstock-tls", "penstock-to-tls", "penstock-ws", "penstock-wss"];

impl Column {
    fn head(&self) -> String {
        match self.head {
            Some(head) => head.to_owned(),
            None => self.contestants.iter().map(|name| words::readable(name)).collect(),
        }
    }

    /// Whoever fails comes last.
    fn entry<'a>(&self, scenario: &'a Scenario, measure: Measure) -> Option<Entry<'a>> {
        let cost = |entry: &Entry<'_>| entry.median(measure).unwrap_or(f64::INFINITY);
        let entries = self.contestants.iter().filter_map(|name| scenario.entry(name));
        entries.min_by(|a, b| cost(a).total_cmp(&cost(b)))
    }
}

pub(super) fn renew(text: &str, record: &Record) -> Result<String> {
    let missing = || format!("no lines {:?} and {END:?}", BEGIN.trim_end());
    let (before, rest) = text.split_once(BEGIN).with_context(missing)?;
    let (_, after) = rest.split_once(END).with_context(missing)?;
    let tables = PARTS.iter().filter_map(|part| table(record, part)).map(Block::Table);
    let blocks: Vec<Block> = tables.chain([Block::paragraph(legend(record))]).collect();
    Ok(format!("{before}{BEGIN}\n{}{END}{after}", markdown::render(&blocks)))
}

/// None: nothing of it was measured.
fn table(record: &Record, part: &Part) -> Option<Table> {
    let rows: Vec<(&Scenario, Measure)> = part
        .rows
        .iter()
        .filter_map(|(name, measure)| {
            Some((record.scenarios.iter().find(|s| s.name == *name)?, *measure))
        })
        .collect();
    let is_shown = |column: &&Column| rows.iter().any(|(s, m)| column.entry(s, *m).is_some());
    let columns: Vec<&Column> = part.columns.iter().filter(is_shown).collect();
    let heads = columns.iter().map(|column| column.head());
    let heads: Vec<String> = ["".into(), "Penstock".into()].into_iter().chain(heads).collect();
    let mut table = Table::new(&heads.iter().map(String::as_str).collect::<Vec<_>>());
    for (scenario, measure) in &rows {
        let (scenario, measure) = (*scenario, *measure);
        let mut cells = vec![title(scenario, measure).into(), lead(record, scenario, measure)];
        let entries = columns.iter().map(|column| column.entry(scenario, measure));
        cells.extend(entries.map(|entry| cell(record, scenario, measure, entry)));
        table.row(false, cells);
    }
    (!rows.is_empty()).then_some(table)
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
    let is_usual = record.default_name() == Some(lead.name()) || USUAL.contains(&lead.name());
    let line = match is_usual {
        true => line,
        false => line.text(format!(", {}", words::readable(lead.name()))),
    };
    goal(record, lead, measure, line)
}

fn cell(record: &Record, scenario: &Scenario, measure: Measure, entry: Option<Entry<'_>>) -> Line {
    let Some(entry) = entry else { return "–".into() };
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
        "{}, {}, {} of {}. Won and lost are Penstock's, beside that program in the same rounds; goals were set before the run. With TLS, a program of several settings is shown at the one that needed least.",
        record.machine.kernel_name(),
        record.machine.processor,
        words::count(record.rounds, "round"),
        words::milliseconds(record.window_ms),
    )
}
