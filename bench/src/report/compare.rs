//! What a record allows to conclude: ratios of rounds that belong together, the best of the others, bars met and missed.
//!
//! A row that failed takes part in nothing. No conclusion is drawn from rounds that spread further than they differ.

use crate::compare;
use crate::record::{
    Bar, Contestant, DEFAULT, Family, Measure, Record, Rival, Round, Row, Scenario, Unit,
};
use crate::stats::{Summary, Verdict};

/// One contestant in one scenario.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) row: &'a Row,
}

/// How one contestant stands to another: below 1 it needs less.
pub(super) struct Comparison<'a> {
    pub(super) other: Entry<'a>,
    pub(super) ratio: Summary,
}

/// What became of a bar.
pub(super) struct Finding<'a> {
    /// None where the bar is absolute, or where nobody could be compared with.
    pub(super) rival: Option<Entry<'a>>,
    /// The ratio, or the figure itself where the bar is absolute.
    pub(super) measured: Option<Summary>,
    pub(super) verdict: BarVerdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BarVerdict {
    Met,
    Missed,
    Unclear,
    NotMeasured,
}

impl Measure {
    /// Held against the limit itself, and against nobody.
    pub(super) fn is_absolute(self) -> bool {
        matches!(self, Measure::Absolute | Measure::CoreShare)
    }

    /// None where the round does not tell.
    pub(super) fn of(self, round: &Round) -> Option<f64> {
        let value = compare::value(self, round);
        // No latency of zero is a latency that was not taken.
        let is_taken = !matches!(self, Measure::P50 | Measure::P99) || value > 0.0;
        (value.is_finite() && is_taken).then_some(value)
    }
}

impl<'a> Entry<'a> {
    pub(super) fn name(self) -> &'a str {
        &self.row.contestant
    }

    /// Its load was another than the others'.
    pub(super) fn fell_short(self) -> bool {
        compare::fell_short(self.scenario, self.row)
    }

    /// Over all rounds; None if the row failed or a round does not tell.
    pub(super) fn summary(self, value: impl Fn(&Round) -> Option<f64>) -> Option<Summary> {
        if self.row.failure.is_some() {
            return None;
        }
        Summary::of(self.row.rounds.iter().map(value).collect::<Option<Vec<f64>>>()?)
    }

    pub(super) fn median(self, measure: Measure) -> Option<f64> {
        self.summary(|round| measure.of(round)).map(|summary| summary.median)
    }

    pub(super) fn figure(self) -> Option<Summary> {
        self.summary(|round| Measure::Figure.of(round))
    }

    /// This one against another, round by round.
    pub(super) fn against(self, other: Entry<'_>, measure: Measure) -> Option<Summary> {
        if self.row.failure.is_some() || other.row.failure.is_some() {
            return None;
        }
        let quotient = |(ours, theirs)| {
            let quotient: f64 = measure.of(ours)? / measure.of(theirs)?;
            quotient.is_finite().then_some(quotient)
        };
        let pairs = self.row.rounds.iter().zip(&other.row.rounds);
        Summary::of(pairs.map(quotient).collect::<Option<Vec<f64>>>()?)
    }
}

impl Scenario {
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.rows.iter().map(|row| Entry { scenario: self, row })
    }

    pub(super) fn entry(&self, name: &str) -> Option<Entry<'_>> {
        self.entries().find(|entry| entry.name() == name)
    }

    /// The one whose figure is 1, if it can be.
    pub(super) fn reference(&self) -> Option<Entry<'_>> {
        self.entry(&self.reference).filter(|entry| entry.figure().is_some())
    }

    /// The reference where ratios say most. Memory does not depend on the speed of the hour: there, bytes do.
    pub(super) fn yardstick(&self) -> Option<Entry<'_>> {
        self.reference().filter(|_| self.unit != Unit::BytesPerTunnel)
    }

    /// The ratio to the yardstick, or the figure itself.
    pub(super) fn cost(&self, entry: Entry<'_>) -> Option<Summary> {
        match self.yardstick() {
            Some(yardstick) => entry.against(yardstick, Measure::Figure),
            None => entry.figure(),
        }
    }

    /// From the least to the most; what failed comes last.
    pub(super) fn ranking(&self) -> Vec<Entry<'_>> {
        let mut entries: Vec<_> = self.entries().collect();
        let key = |e: &Entry<'_>| self.cost(*e).map_or(f64::INFINITY, |cost| cost.median);
        entries.sort_by(|a, b| key(a).total_cmp(&key(b)));
        entries
    }
}

impl Record {
    pub(super) fn contestant(&self, name: &str) -> Option<&Contestant> {
        self.contestants.iter().find(|contestant| contestant.name == name)
    }

    pub(super) fn is(&self, entry: Entry<'_>, family: Family) -> bool {
        self.contestant(entry.name()).is_some_and(|contestant| contestant.family == family)
    }

    /// Penstock as its users get it.
    pub(super) fn default_name(&self) -> Option<&str> {
        self.contestant(DEFAULT).map(|contestant| contestant.name.as_str())
    }

    /// The one of ours that a scenario is about: the default, unless its bars name another; whoever is there, if that is not.
    pub(super) fn lead<'a>(&self, scenario: &'a Scenario) -> Option<Entry<'a>> {
        let named = scenario.bars.iter().map(|bar| bar.ours.as_str());
        let chosen = match named.clone().any(|name| name == DEFAULT) {
            true => DEFAULT,
            false => named.clone().next().unwrap_or(DEFAULT),
        };
        let ours = || scenario.entries().find(|entry| self.is(*entry, Family::Penstock));
        scenario.entry(chosen).or_else(ours)
    }

    /// The lead against the peer that needs least.
    pub(super) fn against_best_peer<'a>(
        &self,
        scenario: &'a Scenario,
        measure: Measure,
    ) -> Option<Comparison<'a>> {
        let lead = self.lead(scenario).filter(|lead| !lead.fell_short())?;
        let is_rival = |e: &Entry<'_>| self.is(*e, Family::Peer) && !e.fell_short();
        let other = lowest(scenario.entries().filter(is_rival), measure)?;
        Some(Comparison { other, ratio: lead.against(other, measure)? })
    }

    pub(super) fn finding<'a>(&'a self, scenario: &'a Scenario, bar: &Bar) -> Finding<'a> {
        let ours = scenario.entry(&bar.ours).filter(|ours| !ours.fell_short());
        let rivals = bar.rivals.iter().filter_map(|rival| self.rival(scenario, rival));
        let rival = lowest(rivals, bar.measure);
        let measured = if bar.measure.is_absolute() {
            ours.and_then(|ours| ours.summary(|round| bar.measure.of(round)))
        } else {
            ours.zip(rival).and_then(|(ours, rival)| ours.against(rival, bar.measure))
        };
        let verdict = match measured.map(|summary| summary.against(bar.limit)) {
            None => BarVerdict::NotMeasured,
            Some(Verdict::Below) => BarVerdict::Met,
            Some(Verdict::Above) => BarVerdict::Missed,
            Some(Verdict::Unclear) => BarVerdict::Unclear,
        };
        Finding { rival, measured, verdict }
    }

    fn rival<'a>(&'a self, here: &'a Scenario, rival: &Rival) -> Option<Entry<'a>> {
        let scenario = match &rival.scenario {
            None => here,
            Some(name) => self.scenarios.iter().find(|scenario| scenario.name == *name)?,
        };
        scenario.entry(&rival.contestant).filter(|rival| !rival.fell_short())
    }

    /// Groups of scenarios that differ only in the number of tunnels, each in the order of that number.
    pub(super) fn series(&self) -> Vec<(&str, Vec<(u32, &Scenario)>)> {
        let mut groups: Vec<(&str, Vec<(u32, &Scenario)>)> = Vec::new();
        for scenario in &self.scenarios {
            let Some((name, tunnels)) = &scenario.series else { continue };
            match groups.iter_mut().find(|(known, _)| known == name) {
                Some((_, members)) => members.push((*tunnels, scenario)),
                None => groups.push((name, vec![(*tunnels, scenario)])),
            }
        }
        for (_, members) in &mut groups {
            members.sort_by_key(|(tunnels, _)| *tunnels);
        }
        groups
    }
}

fn lowest<'a>(entries: impl Iterator<Item = Entry<'a>>, measure: Measure) -> Option<Entry<'a>> {
    let medians = entries.filter_map(|entry| Some((entry.median(measure)?, entry)));
    medians.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, entry)| entry)
}
