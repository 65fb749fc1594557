//! What a record allows to conclude, for the table and the report alike: who stands how to whom, round by round.
//!
//! Ratios are made of rounds of the same number. A row that failed takes part in nothing; what a round does not tell is not made up.

mod standing;
#[cfg(test)]
mod tests;

pub(crate) use standing::{Comparison, Finding, Reason, Standing};

use crate::record::{Contestant, Family, Measure, Record, Round, Row, Scenario, Unit};
use crate::stats::Summary;

/// One contestant in one scenario.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) row: &'a Row,
}

/// Why a row compares with none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Trouble<'a> {
    Failed(&'a str),
    /// It carried less than it was offered, another load than the others had. Bytes per second.
    Short {
        carried: f64,
        offered: f64,
    },
}

/// Less is missing at the ends of a window.
const CARRIED_MIN: f64 = 0.97;
/// With fewer, ten answers decide what a round's p99 is.
const TIMED_MIN: u64 = 1000;
/// The load generator's share of its core from which on it was the limit.
const LOAD_MAX: f64 = 0.95;
/// The share of the contestants' core that others may take unmentioned.
const DISTURBED_MAX: f64 = 0.03;

impl Measure {
    /// Held against the limit itself, and against nobody.
    pub(crate) fn is_absolute(self) -> bool {
        matches!(self, Measure::Absolute | Measure::CoreShare)
    }

    fn is_latency(self) -> bool {
        matches!(self, Measure::P50 | Measure::P99)
    }

    /// None where the round does not tell.
    fn of(self, round: &Round) -> Option<f64> {
        let value = match self {
            Measure::Figure | Measure::FigureToMean | Measure::Absolute => round.figure,
            Measure::P50 => round.p50_ns as f64,
            Measure::P99 => round.p99_ns as f64,
            Measure::CoreShare => round.cpu_ns as f64 / round.elapsed_ns as f64,
        };
        // No latency of zero is a latency that was not taken.
        let is_taken = !self.is_latency() || value > 0.0;
        (value.is_finite() && is_taken).then_some(value)
    }
}

impl<'a> Entry<'a> {
    pub(crate) fn name(self) -> &'a str {
        &self.row.contestant
    }

    /// Over all rounds; None if the row failed or a round does not tell.
    pub(crate) fn summary(self, value: impl Fn(&Round) -> Option<f64>) -> Option<Summary> {
        if self.row.failure.is_some() {
            return None;
        }
        Summary::of(self.row.rounds.iter().map(value).collect::<Option<Vec<f64>>>()?)
    }

    pub(crate) fn of(self, measure: Measure) -> Option<Summary> {
        if measure == Measure::P99 && self.timed() < TIMED_MIN as f64 {
            return None;
        }
        self.summary(|round| measure.of(round))
    }

    pub(crate) fn median(self, measure: Measure) -> Option<f64> {
        self.of(measure).map(|summary| summary.median)
    }

    pub(crate) fn figure(self) -> Option<Summary> {
        self.of(Measure::Figure)
    }

    /// Latencies that a round took.
    pub(crate) fn timed(self) -> f64 {
        self.summary(|round| Some(round.timed as f64)).map_or(0.0, |timed| timed.median)
    }

    /// This one against another, round by round: below 1 it needs less.
    pub(crate) fn against(self, other: Entry<'_>, measure: Measure) -> Option<Summary> {
        let _both_tell = (self.of(measure)?, other.of(measure)?);
        let quotient = |(ours, theirs)| {
            let quotient: f64 = measure.of(ours)? / measure.of(theirs)?;
            quotient.is_finite().then_some(quotient)
        };
        let pairs = self.row.rounds.iter().zip(&other.row.rounds);
        Summary::of(pairs.map(quotient).collect::<Option<Vec<f64>>>()?)
    }

    /// This one against the mean of others, round by round. None unless all of them tell.
    pub(crate) fn against_mean(self, others: &[Entry<'_>], measure: Measure) -> Option<Summary> {
        let quotient = |(index, ours): (usize, &Round)| {
            let theirs = others.iter().map(|other| measure.of(other.row.rounds.get(index)?));
            let theirs = theirs.collect::<Option<Vec<f64>>>()?;
            let mean = theirs.iter().sum::<f64>() / theirs.len() as f64;
            Some(measure.of(ours)? / mean).filter(|quotient| quotient.is_finite())
        };
        let rounds = self.row.rounds.iter().enumerate();
        Summary::of(rounds.map(quotient).collect::<Option<Vec<f64>>>()?)
    }

    pub(crate) fn trouble(self) -> Option<Trouble<'a>> {
        if let Some(reason) = &self.row.failure {
            return Some(Trouble::Failed(reason));
        }
        if self.row.rounds.is_empty() {
            return Some(Trouble::Failed("no round was measured"));
        }
        let offered = self.scenario.offered?;
        let carried = self.summary(|r| Some(r.bytes as f64 * 1e9 / r.elapsed_ns as f64))?.median;
        (carried < CARRIED_MIN * offered).then_some(Trouble::Short { carried, offered })
    }

    /// Its throughput is then no property of its own, and its latencies are the load generator's.
    pub(crate) fn load_was_limit(self) -> bool {
        // There the load never sleeps, and is busy however little it has to do.
        self.scenario.unit != Unit::Latency && self.share(|round| round.load_ns) > LOAD_MAX
    }

    /// How much of its core others took, where that is much.
    pub(crate) fn disturbed(self) -> Option<f64> {
        Some(self.share(|round| round.disturbed_ns)).filter(|share| *share > DISTURBED_MAX)
    }

    fn share(self, nanos: impl Fn(&Round) -> u64) -> f64 {
        let share = |round: &Round| Some(nanos(round) as f64 / round.elapsed_ns as f64);
        self.summary(share).map_or(0.0, |share| share.median)
    }
}

impl Trouble<'_> {
    /// For brackets behind a name.
    pub(crate) fn brief(self) -> &'static str {
        match self {
            Trouble::Failed(_) => "failed",
            Trouble::Short { .. } => "fell short",
        }
    }

    /// In one line, without that word.
    pub(crate) fn detail(self) -> String {
        match self {
            Trouble::Failed(reason) => reason.lines().next().unwrap_or_default().to_owned(),
            Trouble::Short { carried, offered } => {
                format!("carried {:.2} of {:.2} GB/s", carried / 1e9, offered / 1e9)
            }
        }
    }
}

impl Scenario {
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.rows.iter().map(|row| Entry { scenario: self, row })
    }

    pub(crate) fn entry(&self, name: &str) -> Option<Entry<'_>> {
        self.entries().find(|entry| entry.name() == name)
    }

    /// The one whose figure is 1, if it can be.
    pub(crate) fn reference(&self) -> Option<Entry<'_>> {
        self.entry(&self.reference).filter(|entry| entry.figure().is_some())
    }
}

impl Record {
    pub(crate) fn contestant(&self, name: &str) -> Option<&Contestant> {
        self.contestants.iter().find(|contestant| contestant.name == name)
    }

    pub(crate) fn is(&self, entry: Entry<'_>, family: Family) -> bool {
        self.contestant(entry.name()).is_some_and(|contestant| contestant.family == family)
    }

    /// The one of ours that a scenario is about; whoever of ours is there, if that is not.
    pub(crate) fn lead<'a>(&self, scenario: &'a Scenario) -> Option<Entry<'a>> {
        let ours = || scenario.entries().find(|entry| self.is(*entry, Family::Penstock));
        scenario.entry(&scenario.lead).or_else(ours)
    }
}
