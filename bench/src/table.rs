//! The table for people and the JSON for programs. Says how far the rounds spread, and no more than they carry.

use serde_json::{Value, json};

use crate::contestant::Contestant;
use crate::load::Sample;
use crate::run::{Outcome, Row};
use crate::scenario::{Bar, Measure, Unit};
use crate::stats::{Summary, Verdict};

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
    for bar in bars(outcome) {
        text += &bar_line(outcome, bar);
    }
    text
}

/// What the ping-pongs add to the cost of the bulk beside them. The two were not interleaved, hence no verdict.
pub(crate) fn mixed_against_alone(outcomes: &[Outcome]) -> String {
    let find = |name| outcomes.iter().find(|outcome| outcome.scenario.name == name);
    let (Some(mixed), Some(alone)) = (find("mixed"), find("bulk-8")) else { return String::new() };
    let mut text = String::from(
        "\nCPU per GB, mixed against bulk-8 (medians of different minutes; the bar for Penstock is 1.15)\n",
    );
    for (mixed, alone) in mixed
        .rows
        .iter()
        .zip(&alone.rows)
        .filter(|(m, a)| m.failure.is_none() && a.failure.is_none())
    {
        let cost = |row| median(row, |s| Unit::Gigabyte.cost(s));
        if let (Some(beside), Some(by_itself)) = (cost(mixed), cost(alone)) {
            text += &format!("  {:<16}{:>6.2}\n", mixed.contestant, beside / by_itself);
        }
    }
    text
}

/// Everything, every round included.
pub(crate) fn to_json(
    machine: &str,
    outcomes: &[Outcome],
    contestants: &[Contestant],
    absent: &[String],
) -> Value {
    json!({
        "machine": machine,
        "contestants": contestants.iter().map(|c| json!({ "name": c.name, "setting": c.setting })).collect::<Vec<_>>(),
        "absent": absent,
        "scenarios": outcomes.iter().map(scenario_json).collect::<Vec<_>>(),
    })
}

/// Kernel, processor, core count, and how busy it is, one line.
pub(crate) fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model =
        cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let (kernel, load) = (read("/proc/sys/kernel/osrelease"), read("/proc/loadavg"));
    let load = load.split(' ').next().unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']);
    format!("Linux {}, {cores} cores, {model}; load average before the run {load}", kernel.trim())
}

fn table_row(outcome: &Outcome, row: &Row) -> String {
    let name = row.contestant;
    if let Some(failure) = &row.failure {
        return format!("  {name:<16}FAILED: {failure}\n{}", paths_line(row));
    }
    let unit = outcome.scenario.unit;
    let Some(cost) = Summary::of(costs(row, unit)) else { return String::new() };
    let ratio = ratio(outcome, name, outcome.scenario.reference, Measure::Cost);
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
    line + "\n" + &paths_line(row)
}

fn paths_line(row: &Row) -> String {
    row.paths.as_ref().map_or(String::new(), |paths| format!("  {:<16}  {}\n", "", paths.summary()))
}

fn bar_line(outcome: &Outcome, bar: &Bar) -> String {
    let best_of = if bar.rivals.len() > 1 { "best of " } else { "" };
    let subject = format!(
        "{} {} <= {:.2} x {best_of}{}",
        bar.ours,
        bar.measure.label(),
        bar.limit,
        bar.rivals.join(", ")
    );
    match bar_ratio(outcome, bar) {
        None => format!("  bar: {subject}: not measured\n"),
        Some((rival, ratio)) => {
            format!(
                "  bar: {subject}: {:.2} x {rival}, {}\n",
                ratio.median,
                bar_verdict(&ratio, bar)
            )
        }
    }
}

/// The best rival, and ours against it.
fn bar_ratio(outcome: &Outcome, bar: &Bar) -> Option<(&'static str, Summary)> {
    let rival = best(outcome, bar)?;
    Some((rival, ratio(outcome, bar.ours, rival, bar.measure)?))
}

fn bar_verdict(ratio: &Summary, bar: &Bar) -> &'static str {
    match ratio.against(bar.limit) {
        Verdict::Below => "met",
        Verdict::Above => "MISSED",
        Verdict::Unclear => "unclear: the spread exceeds the difference",
    }
}

/// The bars of those who took part.
fn bars(outcome: &Outcome) -> impl Iterator<Item = &'static Bar> {
    outcome
        .scenario
        .bars
        .iter()
        .filter(|bar| outcome.rows.iter().any(|row| row.contestant == bar.ours))
}

/// The rival with the lowest median.
fn best(outcome: &Outcome, bar: &Bar) -> Option<&'static str> {
    let unit = outcome.scenario.unit;
    let valid = outcome
        .rows
        .iter()
        .filter(|row| row.failure.is_none() && bar.rivals.contains(&row.contestant));
    let medians =
        valid.filter_map(|row| Some((median(row, |s| bar.measure.of(s, unit))?, row.contestant)));
    medians.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

/// One against another, round by round.
fn ratio(outcome: &Outcome, name: &str, reference: &str, measure: Measure) -> Option<Summary> {
    let find =
        |name| outcome.rows.iter().find(|row| row.contestant == name && row.failure.is_none());
    let (row, base, unit) = (find(name)?, find(reference)?, outcome.scenario.unit);
    let pairs = row.samples.iter().zip(&base.samples);
    Summary::of(pairs.map(|(ours, theirs)| measure.of(ours, unit) / measure.of(theirs, unit)))
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
    let bars = bars(outcome).map(|bar| {
        let measured = bar_ratio(outcome, bar);
        json!({
            "contestant": bar.ours,
            "measure": bar.measure.label(),
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
        "ratio": ratio(outcome, row.contestant, outcome.scenario.reference, Measure::Cost).as_ref().map(summary_json),
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
