//! The bars: what was to be reached, and what was.

use super::question;
use crate::compare::{Finding, Standing};
use crate::record::{Bar, Family, Measure, Record, Scenario};
use crate::report::document::{Block, Line, Table, Tone};
use crate::report::words;
use crate::stats::Verdict;

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
            "They were set before the run. Where several rivals are named, the hardest counts. The numbers in brackets are the interval that the verdict is made from; names in brackets are rivals that could not be compared with.",
        ),
        Block::Table(table),
    ];
    blocks
}

fn row(record: &Record, scenario: &Scenario, bar: &Bar, question: Line) -> Vec<Line> {
    let finding = record.finding(scenario, bar);
    let (tone, word) = match finding.standing.verdict() {
        Some(Verdict::Below) => (Tone::Good, "met"),
        Some(Verdict::Above) => (Tone::Bad, "missed"),
        Some(Verdict::Unclear) => (Tone::Open, "unclear"),
        Some(Verdict::TooFewRounds) => (Tone::Open, "too few rounds"),
        None => (Tone::Open, "not measured"),
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
        Measure::Figure | Measure::FigureToMean | Measure::P50 | Measure::P99 => None,
    }
}

fn rivals(record: &Record, scenario: &Scenario, bar: &Bar) -> String {
    let is_rival = |name: &str| bar.rivals.iter().any(|rival| rival.contestant == name);
    let peers: Vec<_> = scenario.entries().filter(|e| record.is(*e, Family::Peer)).collect();
    if bar.rivals.len() > 1 && !peers.is_empty() && peers.iter().all(|p| is_rival(p.name())) {
        return best_program(record, bar);
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
    let best = match bar.measure {
        Measure::FigureToMean => "the mean of ",
        _ if bar.rivals.len() > 1 => "the best of ",
        _ => "",
    };
    format!("{best}{}", rivals.join("; "))
}

/// All programs that took part, and by name whoever else is a rival.
fn best_program(record: &Record, bar: &Bar) -> String {
    let is_other = |name: &str| {
        record.contestant(name).is_some_and(|contestant| contestant.family != Family::Peer)
    };
    let names = bar.rivals.iter().map(|rival| rival.contestant.as_str());
    let others = names.filter(|name| is_other(name)).map(words::readable);
    let others: String = others.map(|name| format!(" or the {name}")).collect();
    format!("the best other program{others}")
}

fn measured(scenario: &Scenario, bar: &Bar, finding: &Finding<'_>) -> Line {
    let text = match &finding.standing {
        Standing::Open(reason) => reason.text().to_owned(),
        Standing::Beaten(trouble) => {
            format!("{} {}: {}", words::readable(&bar.ours), trouble.brief(), trouble.detail())
        }
        Standing::Measured(comparison) => {
            let measured = &comparison.measured;
            let rival = comparison.rival.filter(|_| bar.rivals.len() > 1);
            match (absolute_unit(scenario, bar), rival) {
                (Some((unit, factor)), _) => {
                    format!("{} {unit}", words::number_and_spread(measured, factor))
                }
                (None, Some(rival)) => {
                    let name = words::readable(rival.name());
                    format!("{} × {name}", words::ratio_and_spread(measured))
                }
                (None, None) => format!("{} ×", words::ratio_and_spread(measured)),
            }
        }
    };
    let fallen = finding.fallen.iter().map(|(rival, trouble)| {
        format!(" ({} {})", words::readable(rival.name()), trouble.brief())
    });
    (text + &fallen.collect::<String>()).into()
}
