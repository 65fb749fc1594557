//! The bars: what was to be reached, and what was.

use super::question;
use crate::record::{Bar, Family, Measure, Record, Scenario};
use crate::report::compare::{BarVerdict, Finding};
use crate::report::document::{Block, Line, Table, Tone};
use crate::report::words;

pub(super) fn compose(record: &Record) -> Vec<Block> {
    let heading = Block::Heading { level: 2, text: "Goals".into(), anchor: Some("goals".into()) };
    if record.scenarios.iter().all(|scenario| scenario.bars.is_empty()) {
        return vec![heading, Block::paragraph("None were set for these scenarios.")];
    }
    let mut table = Table::new(&["Question", "Goal", "Measured", "Result"]);
    for scenario in &record.scenarios {
        let mut question = Line::default().link(&scenario.name, question(record, scenario));
        for bar in &scenario.bars {
            // Asked once for all of its goals.
            let question = std::mem::take(&mut question);
            table.row(false, row(record, scenario, bar, question));
        }
    }
    let blocks = vec![
        heading,
        Block::paragraph(
            "They were set before the run. Where several rivals are named, the one that needed least counts. In brackets: the middle half of the rounds.",
        ),
        Block::Table(table),
    ];
    blocks
}

fn row(record: &Record, scenario: &Scenario, bar: &Bar, question: Line) -> Vec<Line> {
    let finding = record.finding(scenario, bar);
    let (tone, word) = match finding.verdict {
        BarVerdict::Met => (Tone::Good, "met"),
        BarVerdict::Missed => (Tone::Bad, "missed"),
        BarVerdict::Unclear => (Tone::Open, "unclear"),
        BarVerdict::NotMeasured => (Tone::Open, "not measured"),
    };
    vec![
        question,
        goal(record, scenario, bar).into(),
        measured(scenario, bar, &finding),
        Line::default().verdict(tone, word),
    ]
}

fn goal(record: &Record, scenario: &Scenario, bar: &Bar) -> String {
    let subject = match record.default_name() {
        Some(name) if name == bar.ours => String::new(),
        _ => format!("{}: ", words::readable(&bar.ours)),
    };
    let noun = bar.measure.noun(scenario.unit);
    match absolute_unit(scenario, bar) {
        Some((unit, factor)) => {
            format!("{subject}{noun} at most {} {unit}", words::exact(bar.limit * factor))
        }
        None => {
            format!("{subject}{noun} at most {:.2} × {}", bar.limit, rivals(record, scenario, bar))
        }
    }
}

/// What an absolute bar is counted in, and what the measured is multiplied by to be that.
fn absolute_unit(scenario: &Scenario, bar: &Bar) -> Option<(&'static str, f64)> {
    match bar.measure {
        Measure::Absolute => Some((scenario.unit.per(), 1.0)),
        Measure::CoreShare => Some(("% of a core", 100.0)),
        Measure::Figure | Measure::Cpu | Measure::P50 | Measure::P99 => None,
    }
}

fn rivals(record: &Record, scenario: &Scenario, bar: &Bar) -> String {
    let is_rival = |name: &str| bar.rivals.iter().any(|rival| rival.contestant == name);
    let mut peers = scenario.entries().filter(|e| record.is(*e, Family::Peer)).peekable();
    if bar.rivals.len() > 1 && peers.peek().is_some() && peers.all(|peer| is_rival(peer.name())) {
        return "the best other program".into();
    }
    let (elsewhere, here): (Vec<_>, Vec<_>) =
        bar.rivals.iter().partition(|rival| rival.scenario.is_some());
    let here: Vec<String> = here.iter().map(|rival| words::readable(&rival.contestant)).collect();
    let mut rivals: Vec<String> =
        (!here.is_empty()).then(|| words::group(&here)).into_iter().collect();
    rivals.extend(elsewhere.iter().filter_map(|rival| {
        // "its own" is shorter than a name twice in one line.
        let name = match rival.contestant == bar.ours {
            true => "its own".to_owned(),
            false => words::readable(&rival.contestant),
        };
        Some(format!("{name} in {}", rival.scenario.as_ref()?))
    }));
    let best = if bar.rivals.len() > 1 { "the best of " } else { "" };
    format!("{best}{}", rivals.join("; "))
}

fn measured(scenario: &Scenario, bar: &Bar, finding: &Finding<'_>) -> Line {
    let Some(measured) = &finding.measured else {
        return reason(scenario, bar).into();
    };
    if let Some((unit, factor)) = absolute_unit(scenario, bar) {
        return format!("{} {unit}", words::number_and_spread(measured, factor)).into();
    }
    let ratio = words::ratio_and_spread(measured);
    match finding.rival.filter(|_| bar.rivals.len() > 1) {
        Some(rival) => format!("{ratio} × {}", words::readable(rival.name())).into(),
        None => format!("{ratio} ×").into(),
    }
}

/// Why a bar was not measured.
fn reason(scenario: &Scenario, bar: &Bar) -> String {
    let name = words::readable(&bar.ours);
    match scenario.entry(&bar.ours) {
        None => format!("{name} did not take part"),
        Some(ours) if ours.row.failure.is_some() => format!("{name} failed"),
        Some(ours) if ours.fell_short() => format!("{name} fell short of the load"),
        Some(_) if bar.measure.is_absolute() => "no rounds".into(),
        Some(_) => "none of its rivals was measured".into(),
    }
}
