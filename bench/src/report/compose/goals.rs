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
    let mut table =
        Table::new(&["Question", "Goal", "Measured (middle half of the rounds)", "Result"]);
    for scenario in &record.scenarios {
        let mut question = Line::default().link(&scenario.name, question(record, scenario));
        for bar in &scenario.bars {
            // Asked once for all of its goals.
            let question = std::mem::take(&mut question);
            table.row(false, row(record, scenario, bar, question));
        }
    }
    let mut blocks = vec![
        heading,
        Block::paragraph(
            "They were set before the run. Where several rivals are named, the one that needed least counts.",
        ),
        Block::Table(table),
    ];
    if record.scenarios.iter().any(|s| s.bars.iter().any(is_across)) {
        blocks.push(Block::paragraph(
            "† against another scenario, measured at another time of the run: how the machine's speed drifted in between is part of the figure.",
        ));
    }
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
        measured(record, scenario, bar, &finding),
        Line::default().verdict(tone, word),
    ]
}

fn goal(record: &Record, scenario: &Scenario, bar: &Bar) -> String {
    let subject = match record.default_name() {
        Some(name) if name == bar.ours => String::new(),
        _ => format!("{}: ", words::readable(&bar.ours)),
    };
    let noun = bar.measure.noun(scenario.unit);
    match bar.measure {
        Measure::Absolute => {
            format!("{subject}{noun} at most {} {}", words::limit(bar.limit), scenario.unit.per())
        }
        _ => {
            format!("{subject}{noun} at most {:.2} × {}", bar.limit, rivals(record, scenario, bar))
        }
    }
}

fn rivals(record: &Record, scenario: &Scenario, bar: &Bar) -> String {
    let is_rival = |name: &str| bar.rivals.iter().any(|rival| rival.contestant == name);
    let mut peers = scenario.entries().filter(|e| record.is(*e, Family::Peer)).peekable();
    if bar.rivals.len() > 1 && peers.peek().is_some() && peers.all(|peer| is_rival(peer.name())) {
        return "the best other program".into();
    }
    let rivals: Vec<String> = bar
        .rivals
        .iter()
        .map(|rival| {
            let name = words::readable(&rival.contestant);
            match &rival.scenario {
                // "its own" is shorter than a name twice in one line.
                Some(other) if rival.contestant == bar.ours => format!("its own in {other} †"),
                Some(other) => format!("{name} in {other} †"),
                None => name,
            }
        })
        .collect();
    let best = if rivals.len() > 1 { "the best of " } else { "" };
    format!("{best}{}", words::enumerate(&rivals, "and"))
}

fn measured(record: &Record, scenario: &Scenario, bar: &Bar, finding: &Finding<'_>) -> Line {
    match (&finding.measured, &finding.rival) {
        (Some(figure), _) if bar.measure == Measure::Absolute => {
            format!("{} {}", words::number_and_spread(figure), scenario.unit.per()).into()
        }
        (Some(ratio), Some(rival)) if bar.rivals.len() > 1 => {
            format!("{} × {}", words::ratio_and_spread(ratio), words::readable(rival.name())).into()
        }
        (Some(ratio), _) => format!("{} ×", words::ratio_and_spread(ratio)).into(),
        (None, _) => reason(record, scenario, bar).into(),
    }
}

/// Why a bar was not measured.
fn reason(record: &Record, scenario: &Scenario, bar: &Bar) -> String {
    let name = words::readable(&bar.ours);
    match scenario.entry(&bar.ours) {
        None => format!("{name} did not take part"),
        Some(ours) if ours.row.failure.is_some() => format!("{name} failed"),
        Some(_) if record.contestants.is_empty() || bar.measure == Measure::Absolute => {
            "no rounds".into()
        }
        Some(_) => "none of its rivals was measured".into(),
    }
}

fn is_across(bar: &Bar) -> bool {
    bar.rivals.iter().any(|rival| rival.scenario.is_some())
}
