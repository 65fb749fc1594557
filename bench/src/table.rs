//! The table for people at a terminal. Says how far the rounds spread, and no more than they carry.

use crate::compare;
use crate::record::{Bar, Machine, Measure, Network, Record, Rival, Round, Row, Scenario, Unit};
use crate::stats::{Summary, Verdict};

/// What is measured, on what, and by whom.
pub(crate) fn heading(record: &Record) -> String {
    let Machine { kernel, processor, cores, load_average, network, .. } = &record.machine;
    let mut text = format!(
        "{kernel}, {cores} cores, {processor}; load average before the run {load_average}\n{}; {} rounds of {} ms\n{}\n",
        record.version,
        record.rounds,
        record.window_ms,
        network_line(network)
    );
    for contestant in &record.contestants {
        text += &format!(
            "  {:<NAME$}{} [{}]\n",
            contestant.name, contestant.setting, contestant.version
        );
    }
    text += "verdicts: cheaper or dearer only where the difference exceeds the distance between the quartiles\n";
    for absent in &record.absent {
        text += &format!("  left out: {}: {}\n", absent.name, absent.reason);
    }
    text
}

fn network_line(network: &Network) -> String {
    let Network { machines, congestion_control, settings } = network;
    let place = match machines {
        None => "a network of its own".to_owned(),
        Some(reason) => format!("the machine's network: {reason}"),
    };
    let settings: Vec<String> =
        settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
    format!("{place}; congestion control {congestion_control}; {}", settings.join(", "))
}

/// One scenario as a table, the bars below it.
pub(crate) fn table(record: &Record, scenario: &Scenario) -> String {
    let mut text = format!("\n{}: {}\n", scenario.name, scenario.title);
    let ratio = format!("x {} (min..max)", scenario.reference);
    text += &format!(
        "  {:<NAME$}{:>18}  {ratio:<31}{:<9}{:>12}{:>10}{:>10}{:>9}\n",
        "",
        label(scenario.unit),
        "verdict",
        "rate",
        "p50 us",
        "p99 us",
        "MiB"
    );
    for row in &scenario.rows {
        text += &table_row(scenario, row);
    }
    let has_ours = |bar: &&Bar| scenario.rows.iter().any(|row| row.contestant == bar.ours);
    for bar in scenario.bars.iter().filter(has_ours) {
        text += &bar_line(record, scenario, bar);
    }
    text
}

/// Of the column of names.
const NAME: usize = 26;

fn label(unit: Unit) -> &'static str {
    match unit {
        Unit::Connection => "CPU us/connection",
        Unit::RoundTrip => "CPU us/round trip",
        Unit::Gigabyte => "CPU ms/GB",
        Unit::BytesPerTunnel => "bytes/tunnel",
        Unit::Latency => "median us",
    }
}

fn table_row(scenario: &Scenario, row: &Row) -> String {
    let name = &row.contestant;
    if let Some(failure) = &row.failure {
        return format!("  {name:<NAME$}FAILED: {failure}\n{}", paths_line(row));
    }
    let Some(figure) = compare::summary(row, |round| round.figure) else { return String::new() };
    let reference = compare::row(scenario, &scenario.reference);
    let ratio = reference.and_then(|other| compare::ratio(row, other, Measure::Figure));
    let spread =
        ratio.map_or("-".into(), |r| format!("{:.2} ({:.2}..{:.2})", r.median, r.min, r.max));
    let verdict = ratio.map_or("", |r| match r.against(1.0) {
        _ if *name == scenario.reference => "",
        Verdict::Below => "cheaper",
        Verdict::Above => "dearer",
        Verdict::Unclear => "unclear",
    });
    let mut line = format!(
        "  {name:<NAME$}{:>18.1}  {spread:<31}{verdict:<9}{:>12}",
        figure.median,
        rate(row, scenario.unit)
    );
    for nanos in [|round: &Round| round.p50_ns, |round: &Round| round.p99_ns] {
        line += &format!("{:>10}", latency(row, nanos));
    }
    let resident = median(row, |round| round.resident_bytes as f64 / f64::from(1 << 20));
    line += &format!("{resident:>9.1}\n");
    if let Some(offered) = scenario.offered.filter(|_| compare::fell_short(scenario, row)) {
        line += &format!("  {:<NAME$}  SHORT of {:.2} GB/s: no rival\n", "", offered / 1e9);
    }
    line + &paths_line(row)
}

fn paths_line(row: &Row) -> String {
    let Some(paths) = &row.paths else { return String::new() };
    let entry = |(title, value): (&String, &f64)| match title.strip_suffix(" bytes") {
        Some(title) => format!("{title} {:.2} MB", value / 1e6),
        None => format!("{title} {value}"),
    };
    let entries: Vec<String> = paths.iter().map(entry).collect();
    format!("  {:<NAME$}  {}\n", "", entries.join(", "))
}

fn bar_line(record: &Record, scenario: &Scenario, bar: &Bar) -> String {
    let subject = subject(scenario, bar);
    let Some((rival, measured)) = compare::bar(record, scenario, bar) else {
        return format!("  bar: {subject}: not measured\n");
    };
    let verdict = compare::bar_verdict(&measured, bar);
    let result = match rival {
        None => amount(bar.measure, scenario.unit, measured.median),
        Some(rival) => format!("{:.2} x {}", measured.median, rival_name(rival)),
    };
    format!("  bar: {subject}: {result}, {verdict}\n")
}

fn subject(scenario: &Scenario, bar: &Bar) -> String {
    let measure = match bar.measure {
        Measure::Figure | Measure::Absolute => label(scenario.unit),
        Measure::Cpu => "CPU",
        Measure::P50 => "p50",
        Measure::P99 => "p99",
        Measure::CoreShare => "CPU",
    };
    let start = format!("{} {measure} <=", bar.ours);
    if bar.rivals.is_empty() {
        return format!("{start} {}", amount(bar.measure, scenario.unit, bar.limit));
    }
    let best_of = if bar.rivals.len() > 1 { "best of " } else { "" };
    let rivals: Vec<String> = bar.rivals.iter().map(rival_name).collect();
    format!("{start} {:.2} x {best_of}{}", bar.limit, rivals.join(", "))
}

fn rival_name(rival: &Rival) -> String {
    match &rival.scenario {
        None => rival.contestant.clone(),
        Some(scenario) => format!("{} in {scenario}", rival.contestant),
    }
}

fn amount(measure: Measure, unit: Unit, value: f64) -> String {
    match measure {
        Measure::CoreShare => format!("{:.2} % of a core", value * 100.0),
        _ => format!("{value:.0} {}", label(unit)),
    }
}

fn rate(row: &Row, unit: Unit) -> String {
    let seconds = |round: &Round| round.elapsed_ns as f64 / 1e9;
    match unit {
        Unit::Gigabyte => {
            format!("{:.2} GB/s", median(row, |r| r.bytes as f64 / 1e9 / seconds(r)))
        }
        Unit::BytesPerTunnel => String::new(),
        _ => format!("{:.0} /s", median(row, |r| r.operations as f64 / seconds(r))),
    }
}

/// Microseconds; the median over the rounds of each round's quantile.
fn latency(row: &Row, nanos: fn(&Round) -> u64) -> String {
    if row.latencies.is_empty() {
        return "-".into();
    }
    format!("{:.0}", median(row, |round| nanos(round) as f64 / 1e3))
}

fn median(row: &Row, value: impl Fn(&Round) -> f64) -> f64 {
    compare::summary(row, value).map_or(0.0, |summary: Summary| summary.median)
}
