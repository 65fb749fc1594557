//! The table for people at a terminal. Says how far the rounds spread, and no more than they carry.

use crate::compare::{Entry, Standing, Trouble};
use crate::record::{Bar, Machine, Measure, Network, Record, Rival, Round, Row, Scenario, Unit};
use crate::stats::Verdict;

/// What is measured, on what, and by whom.
pub(crate) fn heading(record: &Record) -> String {
    let Machine { kernel, processor, cores, load_average, network, .. } = &record.machine;
    let mut text = format!(
        "{kernel}, {cores} cores, {processor}; load average before the run {load_average}\n{}; {} rounds of {} ms, longer where many tunnels take turns\n{}\n",
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
    text += "verdicts: cheaper or dearer only where the rounds agree; by chance at most one of sixteen equals is called so, too\n";
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
    for entry in scenario.entries() {
        text += &table_row(entry);
    }
    for bar in scenario.bars.iter().filter(|bar| scenario.entry(&bar.ours).is_some()) {
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

fn table_row(entry: Entry<'_>) -> String {
    let Entry { scenario, row } = entry;
    let name = entry.name();
    if let Some(failure) = &row.failure {
        return format!("  {name:<NAME$}FAILED: {failure}\n{}", paths_line(row));
    }
    let Some(figure) = entry.figure() else { return String::new() };
    let ratio = scenario.reference().and_then(|other| entry.against(other, Measure::Figure));
    let spread =
        ratio.map_or("-".into(), |r| format!("{:.2} ({:.2}..{:.2})", r.median, r.min, r.max));
    let verdict = ratio.map_or("", |r| match r.against(1.0) {
        _ if name == scenario.reference => "",
        Verdict::Below => "cheaper",
        Verdict::Above => "dearer",
        Verdict::Unclear => "unclear",
        Verdict::TooFewRounds => "too few",
    });
    let mut line = format!(
        "  {name:<NAME$}{:>18.1}  {spread:<31}{verdict:<9}{:>12}",
        figure.median,
        rate(entry)
    );
    for measure in [Measure::P50, Measure::P99] {
        let micros = entry.median(measure).map(|nanos| format!("{:.0}", nanos / 1e3));
        line += &format!("{:>10}", micros.unwrap_or("-".into()));
    }
    let resident = median(entry, |round| round.resident_bytes as f64 / f64::from(1 << 20));
    line += &format!("{resident:>9.1}\n");
    line + &remarks(entry) + &paths_line(row)
}

/// What keeps a row's figures from being its own.
fn remarks(entry: Entry<'_>) -> String {
    let short = match entry.trouble() {
        Some(short @ Trouble::Short { .. }) => {
            Some(format!("{}: compares with none", short.detail()))
        }
        _ => None,
    };
    let limited = entry.load_was_limit().then(|| "limited by the load generator".to_owned());
    let disturbed = entry.disturbed().map(|share| {
        format!("interrupts, waking up and others took {:.0} % of its core", share * 100.0)
    });
    let remarks = [short, limited, disturbed].into_iter().flatten();
    remarks.map(|remark| format!("  {:<NAME$}  {remark}\n", "")).collect()
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
    let finding = record.finding(scenario, bar);
    let result = match &finding.standing {
        Standing::Open(reason) => format!("not measured: {}", reason.text()),
        Standing::Beaten(trouble) => format!("{}: {}, MISSED", trouble.brief(), trouble.detail()),
        Standing::Measured(comparison) => {
            let median = comparison.measured.median;
            let result = match comparison.rival {
                None => amount(bar.measure, scenario.unit, median),
                Some(rival) => format!("{median:.2} x {}", entry_name(scenario, rival)),
            };
            format!("{result}, {}", bar_verdict(comparison.verdict))
        }
    };
    let fallen = finding
        .fallen
        .iter()
        .map(|(rival, trouble)| format!(" ({} {})", entry_name(scenario, *rival), trouble.brief()));
    format!("  bar: {}: {result}{}\n", subject(scenario, bar), fallen.collect::<String>())
}

fn bar_verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Below => "met",
        Verdict::Above => "MISSED",
        Verdict::Unclear => "unclear: the rounds disagree",
        Verdict::TooFewRounds => "unclear: too few rounds",
    }
}

fn entry_name(here: &Scenario, entry: Entry<'_>) -> String {
    match entry.scenario.name == here.name {
        true => entry.name().to_owned(),
        false => format!("{} in {}", entry.name(), entry.scenario.name),
    }
}

fn subject(scenario: &Scenario, bar: &Bar) -> String {
    let measure = match bar.measure {
        Measure::Figure | Measure::FigureToMean | Measure::Absolute => label(scenario.unit),
        Measure::P50 => "p50",
        Measure::P99 => "p99",
        Measure::CoreShare => "CPU",
    };
    let start = format!("{} {measure} <=", bar.ours);
    if bar.rivals.is_empty() {
        return format!("{start} {}", amount(bar.measure, scenario.unit, bar.limit));
    }
    let best_of = match bar.measure {
        Measure::FigureToMean => "mean of ",
        _ if bar.rivals.len() > 1 => "best of ",
        _ => "",
    };
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

fn rate(entry: Entry<'_>) -> String {
    let seconds = |round: &Round| round.elapsed_ns as f64 / 1e9;
    match entry.scenario.unit {
        Unit::Gigabyte => {
            format!("{:.2} GB/s", median(entry, |r| r.bytes as f64 / 1e9 / seconds(r)))
        }
        Unit::BytesPerTunnel => String::new(),
        _ => format!("{:.0} /s", median(entry, |r| r.operations as f64 / seconds(r))),
    }
}

fn median(entry: Entry<'_>, value: impl Fn(&Round) -> f64) -> f64 {
    entry.summary(|round| Some(value(round))).map_or(0.0, |summary| summary.median)
}
