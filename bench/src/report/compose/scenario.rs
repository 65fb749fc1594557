//! One scenario: its question, plots and table, and what to know before believing them.

use super::{bar_colour, curve_colour, failure, paths, question, tone};
use crate::compare::{Entry, Standing, Trouble};
use crate::record::{Absent, Family, Measure, Record, Round, Row, Scenario, Unit};
use crate::report::document::{Block, Line, Table};
use crate::report::plot::{Bar, Bars, Curve, Kind, Lines, Plot, Scale};
use crate::report::words;
use crate::stats::Summary;

pub(super) fn compose(record: &Record, scenario: &Scenario) -> Vec<Block> {
    let anchor = Some(scenario.name.clone());
    let mut blocks = vec![
        Block::Heading { level: 3, text: question(record, scenario), anchor },
        Block::Paragraph(described(scenario)),
        Block::Plot(costs(record, scenario)),
    ];
    blocks.extend(latencies(record, scenario).map(Block::Plot));
    blocks.push(Block::Table(table(record, scenario)));
    blocks.extend(disturbed(scenario).map(Block::paragraph));
    blocks.extend(absent(&scenario.absent).map(Block::paragraph));
    blocks.extend(paths::compose(scenario));
    blocks
}

fn described(scenario: &Scenario) -> Line {
    let line = Line::default().code(&scenario.name).text(format!(
        ": {}. Each measurement took {} after {} of warm-up.",
        scenario.title.trim_end_matches('.'),
        words::milliseconds(scenario.window_ms),
        words::milliseconds(scenario.warm_up_ms)
    ));
    let line = match scenario.flat_out {
        true => line.text(" Flat out: every client sends as soon as it has its answer."),
        false => line,
    };
    match scenario.unit {
        Unit::BytesPerTunnel => line.text(
            " Memory is process memory: the kernel's own for sockets and pipes is not in it.",
        ),
        _ => line,
    }
}

/// Rows on whose core more went on than their own work, as far as is known.
fn disturbed(scenario: &Scenario) -> Option<String> {
    let share = |entry: Entry<'_>| {
        let percent = words::number(entry.disturbed()? * 100.0);
        Some(format!("{} {percent} %", words::readable(entry.name())))
    };
    let shares: Vec<String> = scenario.entries().filter_map(share).collect();
    let names = words::enumerate(&shares, "and");
    (!shares.is_empty())
        .then(|| format!("Of the core so much was busy with neither the program nor the load, but with interrupts, with waking up, or with somebody else: {names}."))
}

/// Names behind each reason.
fn absent(absent: &[Absent]) -> Option<String> {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for Absent { name, reason } in absent {
        let name = words::readable(name);
        match reasons.iter_mut().find(|(known, _)| known == reason) {
            Some((_, names)) => names.push(name),
            None => reasons.push((reason, vec![name])),
        }
    }
    let groups: Vec<String> = reasons
        .iter()
        .map(|(reason, names)| format!("{} ({reason})", words::group(names)))
        .collect();
    (!groups.is_empty()).then(|| format!("Not measured here: {}.", groups.join("; ")))
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
            .and_then(|lead| Standing::between(lead, entry, Measure::Figure).verdict()),
    };
    let bars = scenario.ranking().into_iter().map(bar).collect();
    let against = match yardstick {
        Some(yardstick) => {
            format!(", as a multiple of what the {} needs", words::readable(yardstick.name()))
        }
        None => format!(", {}", unit.per()),
    };
    let noun = words::capitalized(unit.noun());
    let caption = format!(
        "{noun}{against}: shorter is better. Whiskers span the interval that verdicts are made from."
    );
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
    let answers: u64 = row.rounds.iter().map(|round| round.timed).sum();
    let range = 2.0..=TAIL.min(answers as f64);
    let point = |(quantile, ns): &(f64, u64)| (1.0 / (1.0 - quantile), *ns as f64 / ns_per_unit);
    row.latencies.iter().map(point).filter(|(x, y)| range.contains(x) && *y > 0.0).collect()
}

fn table(record: &Record, scenario: &Scenario) -> Table {
    let unit = scenario.unit;
    let has_waits = has_waits(scenario);
    let lead = record.lead(scenario).map_or("Penstock".into(), |lead| words::readable(lead.name()));
    let mut heads = vec![
        "Who".to_owned(),
        format!("#{}, {}", words::capitalized(unit.noun()), unit.per()),
        format!("#× {}", words::readable(&scenario.reference)),
        format!("{lead} against it"),
        "#Share of a core, %".into(),
    ];
    heads.extend(unit.rate_head().map(|head| format!("#{}", words::capitalized(head))));
    if has_waits {
        let pace = if scenario.flat_out { " flat out" } else { "" };
        heads.extend(["p50", "p99"].map(|quantile| format!("#{quantile}{pace}, µs")));
    }
    heads.push("#Memory, MiB".into());
    heads.push(format!("#{}", words::capitalized(unit.switches_head())));
    let mut table = Table::new(&heads.iter().map(String::as_str).collect::<Vec<_>>());
    for entry in scenario.ranking() {
        let name = words::readable(entry.name()).into();
        let cells = match entry.figure() {
            None => vec![name, failure(entry)],
            Some(figure) => cells(record, entry, name, figure),
        };
        table.row(record.is(entry, Family::Penstock), cells);
    }
    table
}

fn has_waits(scenario: &Scenario) -> bool {
    scenario.rows.iter().any(|row| row.rounds.iter().any(|round| round.p99_ns > 0))
}

fn cells(record: &Record, entry: Entry<'_>, name: Line, figure: Summary) -> Vec<Line> {
    let unit = entry.scenario.unit;
    let reference = entry.scenario.reference();
    let ratio = reference.and_then(|reference| entry.against(reference, Measure::Figure));
    let shown = |value: Option<f64>| Line::from(value.map_or("–".into(), words::number));
    let median =
        |value: &dyn Fn(&Round) -> Option<f64>| entry.summary(value).map(|summary| summary.median);
    let micros = |measure| entry.median(measure).map(|ns| ns / 1e3);
    let mut cells = vec![
        name,
        words::number(figure.median).into(),
        ratio.map_or("–".into(), |ratio| words::ratio_and_spread(&ratio)).into(),
        lead_against(record, entry),
        shown(entry.median(Measure::CoreShare).map(|share| share * 100.0)),
    ];
    if unit.rate_head().is_some() {
        cells.push(rate(entry, median(&|round| unit.rate(round))).into());
    }
    if has_waits(entry.scenario) {
        cells.extend([shown(micros(Measure::P50)), shown(micros(Measure::P99))]);
    }
    cells.push(shown(median(&|round| Some(round.resident_bytes as f64 / f64::from(1 << 20)))));
    cells.push(shown(median(&|round| unit.switches(round))));
    cells
}

/// With what keeps it from being the contestant's own.
fn rate(entry: Entry<'_>, rate: Option<f64>) -> String {
    let mut text = rate.map_or("–".into(), words::number);
    if let Some(Trouble::Short { offered, .. }) = entry.trouble() {
        text += &format!(", short of {}", words::number(offered / 1e9));
    }
    if entry.load_was_limit() {
        text += ", limited by the load generator";
    }
    text
}

/// Our own other settings are no rivals: a ratio, and no verdict.
fn lead_against(record: &Record, entry: Entry<'_>) -> Line {
    let Some(lead) = record.lead(entry.scenario).filter(|lead| lead.name() != entry.name()) else {
        return "–".into();
    };
    if record.is(entry, Family::Penstock) {
        let ratio = lead.against(entry, Measure::Figure);
        return ratio.map_or("–".into(), |r| format!("{} ×", words::ratio(r.median))).into();
    }
    let standing = Standing::between(lead, entry, Measure::Figure);
    let Some(verdict) = standing.verdict() else { return "–".into() };
    let line = Line::default().verdict(tone(verdict), words::outcome(verdict));
    match standing {
        Standing::Measured(c) => line.text(format!(" {} ×", words::ratio(c.measured.median))),
        Standing::Beaten(trouble) => line.text(format!(": it {}", trouble.brief())),
        Standing::Open(_) => line,
    }
}
