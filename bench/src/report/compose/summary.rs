//! The first minute: what was compared, and who won.

use super::{question, tone};
use crate::record::{Family, Measure, Record, Scenario};
use crate::report::compare::BarVerdict;
use crate::report::document::{Block, Line, Table, Tone};
use crate::report::words;
use crate::stats::Verdict;

/// With fewer, the quartiles themselves are guesses.
const ROUNDS_OF_A_FULL_RUN: usize = 9;

pub(super) fn compose(record: &Record) -> Vec<Block> {
    let mut blocks = vec![Block::heading(2, "In one minute"), compared(record)];
    blocks.extend(cautions(record).map(|caution| Block::Paragraph(caution.into())));
    let costs = Score::of(record, Measure::Figure);
    let waits = Score::of(record, Measure::P99);
    if costs.total() > 0 {
        blocks.push(Block::List(vec![
            costs.line("Cost", "needed less than", "needed more"),
            waits.line("Longest waits (p99)", "had shorter ones than", "longer"),
            goals(record),
        ]));
        blocks.push(Block::paragraph(
            "Each row below sets Penstock against the one of the other programs that did best in it, at the best of its settings.",
        ));
    }
    blocks.push(Block::Table(table(record)));
    blocks.push(Block::paragraph(
        "0.80 × means: four fifths of what the other needs. There is no clear difference where the rounds spread further than the two programs differ, or were too few.",
    ));
    blocks
}

fn compared(record: &Record) -> Block {
    // Several settings of one program are one program.
    let mut programs: Vec<String> = Vec::new();
    for peer in record.contestants.iter().filter(|c| c.family == Family::Peer) {
        let name = words::readable(&peer.name);
        let program = name.split(" (").next().unwrap_or(&name);
        if !programs.iter().any(|known| known == program) {
            programs.push(program.to_owned());
        }
    }
    let mut line = Line::default().text(
        "Penstock forwards the console streams of virtual machines. Here it does the same work as ",
    );
    line = match programs.as_slice() {
        [] => line.text("nobody else: no other program took part in this run."),
        some => line.text(format!(
            "programs that people use for that today, or could: {}, some of them in several settings.",
            words::enumerate(some, "and")
        )),
    };
    let machine = &record.machine;
    let network = machine.network.sentence();
    let (cores, kernel) = (words::count(machine.cores, "core"), machine.kernel_name());
    Block::Paragraph(line.text(format!(
        " All ran in turns on the same machine ({}, {cores}, {kernel}). What counts is what each of them spends on the same work, mostly CPU time: less is better. {network}",
        machine.processor
    )))
}

/// What makes this run weaker than it could be.
fn cautions(record: &Record) -> impl Iterator<Item = String> {
    let rounds = (record.rounds < ROUNDS_OF_A_FULL_RUN).then(|| {
        format!(
            "This was a short run. {} rounds show the direction; a full run has {ROUNDS_OF_A_FULL_RUN} or more.",
            record.rounds
        )
    });
    let is_busy = record.machine.load_average > 0.5 * record.machine.cores as f64;
    let load = is_busy
        .then(|| "The machine was busy before the run began: expect wider spreads.".to_owned());
    rounds.into_iter().chain(load)
}

/// How often ours came out how, against the best peer.
#[derive(Default)]
struct Score {
    wins: usize,
    losses: usize,
    open: usize,
}

impl Score {
    fn of(record: &Record, measure: Measure) -> Score {
        let mut score = Score::default();
        for scenario in &record.scenarios {
            match record.against_best_peer(scenario, measure).map(|c| c.ratio.against(1.0)) {
                Some(Verdict::Below) => score.wins += 1,
                Some(Verdict::Above) => score.losses += 1,
                Some(Verdict::Unclear) => score.open += 1,
                None => {}
            }
        }
        score
    }

    fn total(&self) -> usize {
        self.wins + self.losses + self.open
    }

    fn line(&self, what: &str, better: &str, worse: &str) -> Line {
        let Score { wins, losses, open } = self;
        Line::default()
            .strong(format!("{what}:"))
            .text(format!(" Penstock {better} the best other program in "))
            .verdict(Tone::Good, wins.to_string())
            .text(format!(" of {}, {worse} in ", words::count(self.total(), "scenario")))
            .verdict(Tone::Bad, losses.to_string())
            .text(", without a clear difference in ")
            .verdict(Tone::Open, open.to_string())
            .text(".")
    }
}

fn goals(record: &Record) -> Line {
    let all: Vec<BarVerdict> = record
        .scenarios
        .iter()
        .flat_map(|s| s.bars.iter().map(|bar| record.finding(s, bar).verdict))
        .collect();
    let count = |verdict| all.iter().filter(|found| **found == verdict).count();
    let line = Line::default()
        .strong("Goals:")
        .text(format!(" of {} set in advance, ", all.len()))
        .verdict(Tone::Good, count(BarVerdict::Met).to_string())
        .text(" are met, ")
        .verdict(Tone::Bad, count(BarVerdict::Missed).to_string())
        .text(" missed, ")
        .verdict(Tone::Open, count(BarVerdict::Unclear).to_string())
        .text(" unclear");
    let line = match count(BarVerdict::NotMeasured) {
        0 => line,
        some => line.text(format!(", {some} not measured")),
    };
    line.text(" (").link("goals", "the list").text(").")
}

fn table(record: &Record) -> Table {
    let mut table = Table::new(&["Question", "Cost", "Longest waits (p99)"]);
    for scenario in &record.scenarios {
        let mut cells = vec![Line::default().link(&scenario.name, question(record, scenario))];
        match obstacle(record, scenario) {
            Some(reason) => cells.push(reason),
            None => {
                cells.push(cell(record, scenario, Measure::Figure));
                cells.push(cell(record, scenario, Measure::P99));
            }
        }
        table.row(false, cells);
    }
    table
}

/// Why nothing can be said of a scenario.
fn obstacle(record: &Record, scenario: &Scenario) -> Option<Line> {
    let Some(lead) = record.lead(scenario) else {
        return Some(
            Line::default().verdict(Tone::Open, "not measured").text(" Penstock did not take part"),
        );
    };
    if lead.row.failure.is_some() {
        return Some(
            Line::default()
                .text(format!("{} ", words::readable(lead.name())))
                .then(super::failure(lead)),
        );
    }
    let has_peers =
        scenario.entries().any(|e| record.is(e, Family::Peer) && e.row.failure.is_none());
    (!has_peers).then(|| "no other program took part".into())
}

fn cell(record: &Record, scenario: &Scenario, measure: Measure) -> Line {
    let Some(comparison) = record.against_best_peer(scenario, measure) else {
        return "–".into();
    };
    let verdict = comparison.ratio.against(1.0);
    let word = match verdict {
        Verdict::Below => "Penstock wins",
        Verdict::Above => "Penstock loses",
        Verdict::Unclear => "no clear difference",
    };
    let ratio = match verdict {
        Verdict::Unclear => words::ratio_and_spread(&comparison.ratio),
        _ => words::ratio(comparison.ratio.median),
    };
    let mut line = Line::default().verdict(tone(verdict), word).text(format!(
        " {ratio} × {} of {}",
        match measure {
            Measure::Figure => format!("the {}", scenario.unit.noun()),
            _ => "that".to_owned(),
        },
        words::readable(comparison.other.name())
    ));
    let lead = record.lead(scenario).filter(|lead| Some(lead.name()) != record.default_name());
    if let Some(lead) = lead {
        line = line.text(format!("; by {}", words::readable(lead.name())));
    }
    line
}
