//! The table for people and the JSON for programs. Says how far the rounds spread, and no more than they carry.

use serde_json::{Value, json};

use crate::contestant::Contestant;
use crate::load::Sample;
use crate::run::{Outcome, Row};
use crate::scenario::{Bar, Unit};
use crate::stats::{Summary, Verdict};

const OURS: &str = "penstock";

/// One scenario as a table, the bars below it.
pub(crate) fn table(outcome: &Outcome) -> String {
    let scenario = outcome.scenario;
    let mut text = format!("\n{}: {}\n", scenario.name, scenario.title);
    let cost = format!("CPU {}", scenario.unit.label());
    let ratio = format!("x {} (min..max)", scenario.reference);
    text += &format!(
        "  {:<16}{cost:>18}  {ratio:<29}{:<9}{:>12}{:>10}{:>10}\n",
        "", "verdict", "rate", "p50 us", "p99 us"
    );
    for row in &outcome.rows {
        text += &table_row(outcome, row);
    }
    for (ours, bar) in bars(outcome) {
        text += &bar_line(outcome, ours, bar);
    }
    text
}

/// Everything, every round included.
pub(crate) fn to_json(
    outcomes: &[Outcome],
    contestants: &[Contestant],
    absent: &[String],
) -> Value {
    json!({
        "machine": machine(),
        "contestants": contestants.iter().map(|c| json!({ "name": c.name, "setting": c.setting })).collect::<Vec<_>>(),
        "absent": absent,
        "scenarios": outcomes.iter().map(scenario_json).collect::<Vec<_>>(),
    })
}

/// Kernel, processor and core count, one line.
pub(crate) fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model =
        cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "Linux {}, {cores} cores, {}",
        kernel.trim(),
        model.trim_start_matches([' ', '\t', ':'])
    )
}

fn table_row(outcome: &Outcome, row: &Row) -> String {
    let name = row.contestant;
    if let Some(failure) = &row.failure {
        return format!("  {name:<16}FAILED: {failure}\n");
    }
    let unit = outcome.scenario.unit;
    let Some(cost) = Summary::of(costs(row, unit)) else { return String::new() };
    let ratio = ratio(outcome, name, outcome.scenario.reference);
    let spread =
        ratio.map_or("-".into(), |r| format!("{:.2} ({:.2}..{:.2})", r.median, r.min, r.max));
    let verdict = ratio.map_or("", |r| match r.against(1.0) {
        _ if name == outcome.scenario.reference => "",
        Verdict::Below => "cheaper",
        Verdict::Above => "dearer",
        Verdict::Unclear => "unclear",
    });
    let mut line = format!(
        "  {name:<16}{:>18.1}  {spread:<29}{verdict:<9}{:>12}",
        cost.median,
        rate(row, unit)
    );
    for quantile in [0.5, 0.99] {
        let micros = latency(row, quantile).map_or("-".into(), |micros| format!("{micros:.0}"));
        line += &format!("{micros:>10}");
    }
    line += "\n";
    if let Some(paths) = &row.paths {
        line += &format!("  {:<16}  {}\n", "", paths.summary());
    }
    line
}

fn bar_line(outcome: &Outcome, ours: &str, bar: &Bar) -> String {
    let rivals = bar.rivals.join(", ");
    let subject = format!("{ours} <= {:.2} x best of {rivals}", bar.limit);
    match best(outcome, bar.rivals).and_then(|rival| Some((rival, ratio(outcome, ours, rival)?))) {
        None => format!("  bar: {subject}: not measured\n"),
        Some((rival, ratio)) => format!(
            "  bar: {subject}: {:.2} x {rival}, {}\n",
            ratio.median,
            bar_verdict(&ratio, bar)
        ),
    }
}

fn bar_verdict(ratio: &Summary, bar: &Bar) -> &'static str {
    match ratio.against(bar.limit) {
        Verdict::Below => "met",
        Verdict::Above => "MISSED",
        Verdict::Unclear => "unclear: the spread exceeds the difference",
    }
}

/// Each of our contestants with each bar.
fn bars(outcome: &Outcome) -> impl Iterator<Item = (&'static str, &'static Bar)> {
    let ours = outcome.rows.iter().map(|row| row.contestant).filter(|name| name.starts_with(OURS));
    ours.flat_map(|name| outcome.scenario.bars.iter().map(move |bar| (name, bar)))
}

/// The rival with the lowest median cost.
fn best(outcome: &Outcome, rivals: &[&'static str]) -> Option<&'static str> {
    let unit = outcome.scenario.unit;
    let valid =
        outcome.rows.iter().filter(|row| row.failure.is_none() && rivals.contains(&row.contestant));
    let costs =
        valid.filter_map(|row| Some((Summary::of(costs(row, unit))?.median, row.contestant)));
    costs.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

/// Cost of one against another, round by round.
fn ratio(outcome: &Outcome, name: &str, reference: &str) -> Option<Summary> {
    let find =
        |name| outcome.rows.iter().find(|row| row.contestant == name && row.failure.is_none());
    let (row, base, unit) = (find(name)?, find(reference)?, outcome.scenario.unit);
    Summary::of(costs(row, unit).zip(costs(base, unit)).map(|(ours, theirs)| ours / theirs))
}

fn costs(row: &Row, unit: Unit) -> impl Iterator<Item = f64> {
    row.samples.iter().map(move |sample| unit.cost(sample))
}

fn rate(row: &Row, unit: Unit) -> String {
    match unit {
        Unit::Gigabyte => median(row, |s| s.bytes as f64 / 1e9 / s.elapsed.as_secs_f64())
            .map(|r| format!("{r:.2} GB/s")),
        _ => {
            median(row, |s| s.rounds as f64 / s.elapsed.as_secs_f64()).map(|r| format!("{r:.0} /s"))
        }
    }
    .unwrap_or_default()
}

/// Microseconds; the median over the rounds of each round's quantile.
fn latency(row: &Row, quantile: f64) -> Option<f64> {
    let is_timed = row.samples.iter().all(|s| s.rounds > 0);
    is_timed.then(|| median(row, |s| s.latency.value_at_quantile(quantile) as f64 / 1e3)).flatten()
}

fn median(row: &Row, value: impl Fn(&Sample) -> f64) -> Option<f64> {
    Summary::of(row.samples.iter().map(value)).map(|summary| summary.median)
}

fn scenario_json(outcome: &Outcome) -> Value {
    let scenario = outcome.scenario;
    let bars = bars(outcome).map(|(ours, bar)| {
        let measured =
            best(outcome, bar.rivals).and_then(|rival| Some((rival, ratio(outcome, ours, rival)?)));
        json!({
            "contestant": ours,
            "rivals": bar.rivals,
            "limit": bar.limit,
            "best_rival": measured.map(|(rival, _)| rival),
            "ratio": measured.map(|(_, ratio)| summary_json(&ratio)),
            "verdict": measured.map(|(_, ratio)| bar_verdict(&ratio, bar)),
        })
    });
    json!({
        "name": scenario.name,
        "title": scenario.title,
        "unit": scenario.unit.label(),
        "reference": scenario.reference,
        "bars": bars.collect::<Vec<_>>(),
        "rows": outcome.rows.iter().map(|row| row_json(outcome, row)).collect::<Vec<_>>(),
    })
}

fn row_json(outcome: &Outcome, row: &Row) -> Value {
    let unit = outcome.scenario.unit;
    json!({
        "contestant": row.contestant,
        "failure": row.failure,
        "cost": Summary::of(costs(row, unit)).as_ref().map(summary_json),
        "ratio": ratio(outcome, row.contestant, outcome.scenario.reference).as_ref().map(summary_json),
        "p50_us": latency(row, 0.5),
        "p99_us": latency(row, 0.99),
        "paths": row.paths.as_ref().map(|paths| paths.summary()),
        "rounds": row.samples.iter().map(|s| json!({
            "cpu_ns": s.cpu.as_nanos() as u64,
            "elapsed_ns": s.elapsed.as_nanos() as u64,
            "bytes": s.bytes,
            "round_trips": s.rounds,
            "p50_ns": s.latency.value_at_quantile(0.5),
            "p99_ns": s.latency.value_at_quantile(0.99),
        })).collect::<Vec<_>>(),
    })
}

fn summary_json(s: &Summary) -> Value {
    json!({
        "median": s.median,
        "min": s.min,
        "max": s.max,
        "lower_quartile": s.lower_quartile,
        "upper_quartile": s.upper_quartile,
    })
}
