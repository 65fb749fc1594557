//! One scenario: its question, plots, table, and the ways that Penstock's bytes took.

use super::{bar_colour, curve_colour, failure, question, tone};
use crate::record::{Family, Measure, Record, Row, Scenario};
use crate::report::compare::Entry;
use crate::report::document::{Block, Line, Table};
use crate::report::plot::{Bar, Bars, Curve, Kind, Lines, Plot, Scale};
use crate::report::words;
use crate::stats::Summary;

pub(super) fn compose(record: &Record, scenario: &Scenario) -> Vec<Block> {
    let anchor = Some(scenario.name.clone());
    let mut blocks = vec![
        Block::Heading { level: 3, text: question(record, scenario), anchor },
        Block::Paragraph(
            Line::default()
                .code(&scenario.name)
                .text(format!(": {}.", scenario.title.trim_end_matches('.'))),
        ),
        Block::Plot(costs(record, scenario)),
    ];
    blocks.extend(latencies(record, scenario).map(Block::Plot));
    blocks.push(Block::Table(table(record, scenario)));
    blocks.extend(paths(scenario));
    blocks
}

/// Everybody's cost, and how Penstock stands to it.
fn costs(record: &Record, scenario: &Scenario) -> Plot {
    let unit = scenario.unit;
    let yardstick = scenario.yardstick();
    let lead = record.lead(scenario);
    let bar = |entry: Entry<'_>| Bar {
        label: words::readable(entry.name()),
        is_ours: record.is(entry, Family::Penstock),
        colour: bar_colour(record, entry),
        value: scenario.cost(entry),
        text: match scenario.cost(entry) {
            None if entry.figure().is_none() => "failed".into(),
            None => "–".into(),
            Some(value) if yardstick.is_some() => format!("{} ×", words::ratio(value.median)),
            Some(value) => words::number(value.median),
        },
        verdict: lead
            .filter(|_| !record.is(entry, Family::Penstock))
            .and_then(|lead| Some(lead.against(entry, Measure::Figure)?.against(1.0))),
    };
    let bars = scenario.ranking().into_iter().map(bar).collect();
    let against = match yardstick {
        Some(yardstick) => {
            format!(", as a multiple of what the {} needs", words::readable(yardstick.name()))
        }
        None => format!(", {}", unit.per()),
    };
    let noun = words::capitalized(unit.noun());
    let caption =
        format!("{noun}{against}: shorter is better. Whiskers span the middle half of the rounds.");
    Plot { caption, kind: Kind::Bars(Bars { same: yardstick.map(|_| 1.0), bars }) }
}

/// From here on waits are drawn in milliseconds.
const LONG_NS: u64 = 100_000_000;
/// The smallest share of slow answers that is drawn is one in a million.
const TAIL: f64 = 1e6;

fn latencies(record: &Record, scenario: &Scenario) -> Option<Plot> {
    let valid = || scenario.entries().filter(|entry| entry.row.failure.is_none());
    let longest = valid().flat_map(|e| e.row.latencies.iter().map(|(_, ns)| *ns)).max()?;
    let (unit, ns_per_unit) = if longest < LONG_NS { ("µs", 1e3) } else { ("ms", 1e6) };
    let curve = |entry: Entry<'_>| Curve {
        label: words::readable(entry.name()),
        colour: curve_colour(record, entry),
        is_ours: record.lead(scenario).is_some_and(|lead| lead.name() == entry.name()),
        points: points(entry.row, ns_per_unit),
        has_dots: false,
    };
    let curves: Vec<Curve> = valid().map(curve).filter(|c| c.points.len() > 1).collect();
    let end = curves.iter().filter_map(|c| c.points.last()).map(|p| p.0).fold(0.0, f64::max);
    if curves.is_empty() {
        return None;
    }
    let mut marks = vec![(2.0, "half".to_owned()), (10.0, "90 %".into()), (100.0, "99 %".into())];
    for nines in 1..=4 {
        let (before, after) = (10f64.powi(nines + 1), 10f64.powi(nines + 2));
        if end > before * 1.5 {
            marks.push((after, format!("99.{} %", "9".repeat(nines as usize))));
        }
    }
    let caption = format!(
        "Waits in {unit}: how long the fastest half, 90 %, 99 % … of all answers took at most. Lower is better, and flat to the right."
    );
    Some(Plot { caption, kind: Kind::Lines(Lines { marks, scale: Scale::Logarithmic, curves }) })
}

/// One over the share of slower answers, and how long they took. A share of which there was not one answer says nothing.
fn points(row: &Row, ns_per_unit: f64) -> Vec<(f64, f64)> {
    let answers: u64 = row.rounds.iter().map(|round| round.operations).sum();
    let range = 2.0..=TAIL.min(answers as f64);
    let point = |(quantile, ns): &(f64, u64)| (1.0 / (1.0 - quantile), *ns as f64 / ns_per_unit);
    row.latencies.iter().map(point).filter(|(x, y)| range.contains(x) && *y > 0.0).collect()
}

fn table(record: &Record, scenario: &Scenario) -> Table {
    let unit = scenario.unit;
    let has_waits = scenario.rows.iter().any(|row| row.rounds.iter().any(|round| round.p99_ns > 0));
    let figure = format!("#{}, {}", words::capitalized(unit.noun()), unit.per());
    let ratio = format!("#× {}", words::readable(&scenario.reference));
    let rate = format!("#{}", words::capitalized(unit.rate_head()));
    let sleeps = format!("#{}", words::capitalized(unit.switches_head()));
    let mut heads = vec!["Who", &figure, &ratio, "Penstock against it", &rate];
    if has_waits {
        heads.extend(["#p50, µs", "#p99, µs"]);
    }
    heads.extend(["#Memory, MiB", &sleeps]);
    let mut table = Table::new(&heads);
    for entry in scenario.ranking() {
        let name = words::readable(entry.name()).into();
        let is_ours = record.is(entry, Family::Penstock);
        let cells = match entry.figure() {
            None => vec![name, failure(entry)],
            Some(figure) => cells(record, entry, name, figure, has_waits),
        };
        table.row(is_ours, cells);
    }
    table
}

fn cells(
    record: &Record,
    entry: Entry<'_>,
    name: Line,
    figure: Summary,
    has_waits: bool,
) -> Vec<Line> {
    let unit = entry.scenario.unit;
    let reference = entry.scenario.reference();
    let ratio = reference.and_then(|reference| entry.against(reference, Measure::Figure));
    let shown = |value: Option<f64>| Line::from(value.map_or("–".into(), words::number));
    let median = |value: &dyn Fn(&crate::record::Round) -> Option<f64>| {
        entry.summary(value).map(|summary| summary.median)
    };
    let micros = |measure| entry.median(measure).map(|ns| ns / 1e3);
    let mut cells = vec![
        name,
        words::number(figure.median).into(),
        ratio.map_or("–".into(), |ratio| words::ratio_and_spread(&ratio)).into(),
        lead_against(record, entry),
        rate(entry, median(&|round| unit.rate(round))).into(),
    ];
    if has_waits {
        cells.extend([shown(micros(Measure::P50)), shown(micros(Measure::P99))]);
    }
    cells.push(shown(median(&|round| Some(round.resident_bytes as f64 / f64::from(1 << 20)))));
    cells.push(shown(median(&|round| unit.switches(round))));
    cells
}

/// Who carried less than it was offered is told from the others.
fn rate(entry: Entry<'_>, rate: Option<f64>) -> String {
    let rate = rate.map_or("–".into(), words::number);
    match entry.scenario.offered {
        Some(offered) if entry.fell_short() => {
            format!("{rate}, short of {}", words::number(offered / 1e9))
        }
        _ => rate,
    }
}

/// Our own other settings are no rivals: a ratio, and no verdict.
fn lead_against(record: &Record, entry: Entry<'_>) -> Line {
    let lead = record.lead(entry.scenario).filter(|lead| lead.name() != entry.name());
    let Some(ratio) = lead.and_then(|lead| lead.against(entry, Measure::Figure)) else {
        return "–".into();
    };
    let text = format!("{} ×", words::ratio(ratio.median));
    if record.is(entry, Family::Penstock) {
        return text.into();
    }
    let verdict = ratio.against(1.0);
    Line::default().verdict(tone(verdict), words::outcome(verdict)).text(format!(" {text}"))
}

/// Those that stood still, too: a fallback that was not taken is news.
fn paths(scenario: &Scenario) -> Option<Block> {
    let taken = scenario.rows.iter().filter_map(|row| Some((row, row.paths.as_ref()?)));
    let items: Vec<Line> = taken
        .map(|(row, paths)| {
            let line = Line::default().strong(words::readable(&row.contestant)).text(": ");
            paths.iter().enumerate().fold(line, |line, (place, (name, value))| {
                let comma = if place > 0 { ", " } else { "" };
                line.text(comma).code(name).text(format!(" {}", words::number(*value)))
            })
        })
        .collect();
    let title = "Which way Penstock's bytes went: its counters in the last round".into();
    (!items.is_empty()).then(|| Block::Folded { title, blocks: vec![Block::List(items)] })
}
