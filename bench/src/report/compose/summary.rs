//! The first minute: what was compared, and who won.

use super::{question, tone};
use crate::compare::{Comparison, Entry, Reason, Standing, Trouble};
use crate::record::{Bar, Family, Measure, Record, Scenario};
use crate::report::document::{Block, Line, Table, Tone};
use crate::report::words;
use crate::stats::Verdict;

/// With fewer, one round astray takes the verdict with it.
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
            goals(record, true),
            goals(record, false),
        ]));
        blocks.push(Block::paragraph(
            "Each row below sets Penstock against its hardest rival there: of all other programs that took part, at each of their settings, the one beside which it looks worst.",
        ));
    }
    blocks.push(Block::Table(table(record)));
    blocks.push(Block::paragraph(
        "0.80 × means: four fifths of what the other needs. There is no clear difference where the rounds disagree. Flat out: every client sends as soon as it has its answer, and waits in the queue that this makes.",
    ));
    blocks
}

fn compared(record: &Record) -> Block {
    let peers = record.contestants.iter().filter(|c| c.family == Family::Peer);
    let peers: Vec<String> = peers.map(|peer| words::readable(&peer.name)).collect();
    let programs: Vec<String> = words::programs(&peers).into_iter().map(str::to_owned).collect();
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

/// How often ours came out how, against its hardest rival.
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
            match record.against_peers(scenario, measure).verdict() {
                Some(Verdict::Below) => score.wins += 1,
                Some(Verdict::Above) => score.losses += 1,
                Some(Verdict::Unclear | Verdict::TooFewRounds) => score.open += 1,
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

/// Those against other programs, or all the others: they are easier to set so that they are met.
fn goals(record: &Record, is_against_peers: bool) -> Line {
    let bars = record.scenarios.iter().flat_map(|s| s.bars.iter().map(move |bar| (s, bar)));
    let chosen = bars.filter(|(_, bar)| record.is_against_peers(bar) == is_against_peers);
    let verdict = |(scenario, bar): (_, &Bar)| record.finding(scenario, bar).standing.verdict();
    let verdicts: Vec<Option<Verdict>> = chosen.map(verdict).collect();
    let count = |wanted: &[Option<Verdict>]| {
        verdicts.iter().filter(|verdict| wanted.contains(verdict)).count()
    };
    let title = match is_against_peers {
        true => "Goals against other programs:",
        false => "Goals against itself, plain loops and fixed limits:",
    };
    let line = Line::default()
        .strong(title)
        .text(format!(" of {} set in advance, ", verdicts.len()))
        .verdict(Tone::Good, count(&[Some(Verdict::Below)]).to_string())
        .text(" are met, ")
        .verdict(Tone::Bad, count(&[Some(Verdict::Above)]).to_string())
        .text(" missed, ")
        .verdict(
            Tone::Open,
            count(&[Some(Verdict::Unclear), Some(Verdict::TooFewRounds)]).to_string(),
        )
        .text(" unclear");
    let line = match count(&[None]) {
        0 => line,
        some => line.text(format!(", {some} not measured")),
    };
    line.text(" (").link("goals", "the list").text(").")
}

fn table(record: &Record) -> Table {
    let mut table = Table::new(&["Question", "Cost", "Longest waits (p99)"]);
    for scenario in &record.scenarios {
        let question = Line::default().link(&scenario.name, question(record, scenario));
        let mut cells = vec![question];
        match obstacle(record, scenario) {
            Some(reason) => cells.push(reason),
            None => {
                cells.extend([Measure::Figure, Measure::P99].map(|m| cell(record, scenario, m)));
            }
        }
        table.row(false, cells);
    }
    table
}

/// Why nothing can be said of a scenario.
fn obstacle(record: &Record, scenario: &Scenario) -> Option<Line> {
    if record.lead(scenario).is_none() {
        let line = Line::default().verdict(Tone::Open, "not measured");
        return Some(line.text(" Penstock did not take part"));
    }
    let has_peers = scenario.entries().any(|e| record.is(e, Family::Peer));
    (!has_peers).then(|| "no other program took part".into())
}

fn cell(record: &Record, scenario: &Scenario, measure: Measure) -> Line {
    let line = match record.against_peers(scenario, measure) {
        Standing::Open(Reason::NoFigure) => return "–".into(),
        Standing::Open(reason) => return format!("not judged: {}", reason.text()).into(),
        Standing::Beaten(trouble) => match trouble {
            Trouble::Failed(_) => Line::default().verdict(Tone::Bad, "Penstock failed"),
            Trouble::Short { .. } => Line::default().verdict(Tone::Bad, "Penstock loses"),
        }
        .text(format!(": {}", trouble.detail())),
        Standing::Measured(comparison) => beside(record, scenario, measure, &comparison),
    };
    let lead = record.lead(scenario).filter(|lead| Some(lead.name()) != record.default_name());
    match lead {
        Some(lead) => line.text(format!("; by {}", words::readable(lead.name()))),
        None => line,
    }
}

fn beside(
    record: &Record,
    scenario: &Scenario,
    measure: Measure,
    comparison: &Comparison<'_>,
) -> Line {
    let Comparison { rival, measured, verdict } = comparison;
    let ratio = match verdict {
        Verdict::Below | Verdict::Above => words::ratio(measured.median),
        Verdict::Unclear | Verdict::TooFewRounds => words::ratio_and_spread(measured),
    };
    let noun = match measure {
        Measure::Figure => format!("the {}", scenario.unit.noun()),
        _ => "that".to_owned(),
    };
    let rival = rival.map_or_else(String::new, |rival| words::readable(rival.name()));
    let field = match others(record, scenario, measure) {
        1 => "the only other program here".to_owned(),
        count => format!("hardest of {count} programs"),
    };
    let queue = if measure == Measure::P99 && scenario.flat_out { "; flat out" } else { "" };
    Line::default()
        .verdict(tone(*verdict), words::result(*verdict))
        .text(format!(" {ratio} × {noun} of {rival}, {field}{queue}"))
}

/// How many other programs were compared with, however many settings each had.
fn others(record: &Record, scenario: &Scenario, measure: Measure) -> usize {
    let is_other = |e: &Entry<'_>| {
        record.is(*e, Family::Peer) && e.trouble().is_none() && e.of(measure).is_some()
    };
    let names = scenario.entries().filter(is_other).map(|e| words::readable(e.name()));
    words::programs(&names.collect::<Vec<_>>()).len()
}
