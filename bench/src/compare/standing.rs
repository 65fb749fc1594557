//! How one of ours stands to its rivals, or to a limit: measured, beaten without a measurement, or open.

use std::cmp::Ordering;

use super::{Entry, Trouble};
use crate::record::{Bar, Family, Measure, Record, Rival, Scenario};
use crate::stats::{Summary, Verdict};

pub(crate) enum Standing<'a> {
    Measured(Comparison<'a>),
    /// Ours did not do the work, and a rival did.
    Beaten(Trouble<'a>),
    Open(Reason),
}

pub(crate) struct Comparison<'a> {
    /// The hardest of the rivals; none where the limit is absolute, or their mean counts.
    pub(crate) rival: Option<Entry<'a>>,
    /// Ours over the rival's, or over the mean, round by round; where the limit is absolute, ours.
    pub(crate) measured: Summary,
    pub(crate) verdict: Verdict,
}

/// Why there is nothing to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    OursAbsent,
    NoRival,
    /// Nothing was timed, or nothing was done.
    NoFigure,
    FewTimed,
    LoadWasLimit,
}

/// What became of a bar.
pub(crate) struct Finding<'a> {
    pub(crate) standing: Standing<'a>,
    /// Rivals that could not be compared with.
    pub(crate) fallen: Vec<(Entry<'a>, Trouble<'a>)>,
}

impl<'a> Standing<'a> {
    /// Below is ours: it needs less than the limit says.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        match self {
            Standing::Measured(comparison) => Some(comparison.verdict),
            Standing::Beaten(_) => Some(Verdict::Above),
            Standing::Open(_) => None,
        }
    }

    /// One against another.
    pub(crate) fn between(ours: Entry<'a>, other: Entry<'a>, measure: Measure) -> Standing<'a> {
        judge(Some(ours), &[other], measure, 1.0)
    }
}

impl Reason {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Reason::OursAbsent => "it did not take part",
            Reason::NoRival => "no rival was measured",
            Reason::NoFigure => "there is no figure",
            Reason::FewTimed => "fewer than 1,000 answers a round",
            Reason::LoadWasLimit => "the load generator was the limit",
        }
    }
}

impl Record {
    /// The lead against whichever other program is its hardest rival.
    pub(crate) fn against_peers<'a>(
        &self,
        scenario: &'a Scenario,
        measure: Measure,
    ) -> Standing<'a> {
        let peers: Vec<_> = scenario.entries().filter(|e| self.is(*e, Family::Peer)).collect();
        judge(self.lead(scenario), &peers, measure, 1.0)
    }

    pub(crate) fn finding<'a>(&'a self, scenario: &'a Scenario, bar: &Bar) -> Finding<'a> {
        let rivals = bar.rivals.iter().filter_map(|rival| self.rival(scenario, rival));
        let mut rivals: Vec<Entry<'a>> = rivals.collect();
        // The mean of some is not the mean of all.
        if bar.measure == Measure::FigureToMean && rivals.len() < bar.rivals.len() {
            rivals.clear();
        }
        let fallen = rivals.iter().filter_map(|rival| Some((*rival, rival.trouble()?)));
        Finding {
            standing: judge(scenario.entry(&bar.ours), &rivals, bar.measure, bar.limit),
            fallen: fallen.collect(),
        }
    }

    /// Whether other programs are among those that a bar compares with.
    pub(crate) fn is_against_peers(&self, bar: &Bar) -> bool {
        let families = bar.rivals.iter().filter_map(|rival| self.contestant(&rival.contestant));
        families.map(|contestant| contestant.family).any(|family| family == Family::Peer)
    }

    fn rival<'a>(&'a self, here: &'a Scenario, rival: &Rival) -> Option<Entry<'a>> {
        let scenario = match &rival.scenario {
            None => here,
            Some(name) => self.scenarios.iter().find(|scenario| scenario.name == *name)?,
        };
        scenario.entry(&rival.contestant)
    }
}

fn judge<'a>(
    ours: Option<Entry<'a>>,
    rivals: &[Entry<'a>],
    measure: Measure,
    limit: f64,
) -> Standing<'a> {
    let Some(ours) = ours else { return Standing::Open(Reason::OursAbsent) };
    let sound: Vec<_> = rivals.iter().filter(|rival| rival.trouble().is_none()).collect();
    if let Some(trouble) = ours.trouble() {
        let is_measured = sound.iter().any(|rival| rival.of(measure).is_some());
        return match is_measured || measure.is_absolute() {
            true => Standing::Beaten(trouble),
            false => Standing::Open(Reason::NoRival),
        };
    }
    let Some(own) = ours.of(measure) else { return Standing::Open(why_untold(ours, measure)) };
    let compared = |rival: Option<Entry<'a>>, measured: Summary| {
        let verdict = measured.against(limit);
        Standing::Measured(Comparison { rival, measured, verdict })
    };
    if measure.is_absolute() {
        return compared(None, own);
    }
    if measure == Measure::FigureToMean {
        let all = sound.len() == rivals.len() && !rivals.is_empty();
        let ratio = all.then(|| ours.against_mean(rivals, measure)).flatten();
        return ratio.map_or(Standing::Open(Reason::NoRival), |ratio| compared(None, ratio));
    }
    let ratios = sound.iter().filter_map(|rival| Some((**rival, ours.against(**rival, measure)?)));
    let hardest = ratios.max_by(|a, b| by_hardness(&a.1, &b.1, limit));
    let Some((rival, ratio)) = hardest else { return Standing::Open(Reason::NoRival) };
    if measure.is_latency() && (ours.load_was_limit() || rival.load_was_limit()) {
        return Standing::Open(Reason::LoadWasLimit);
    }
    compared(Some(rival), ratio)
}

/// In the same rounds: the lowest median may only have had the quicker hours. A clear loss comes before a larger ratio of which nothing
/// is clear, or it would not be seen.
fn by_hardness(a: &Summary, b: &Summary, limit: f64) -> Ordering {
    let is_lost = |ratio: &Summary| ratio.against(limit) == Verdict::Above;
    is_lost(a).cmp(&is_lost(b)).then(a.median.total_cmp(&b.median))
}

fn why_untold(ours: Entry<'_>, measure: Measure) -> Reason {
    match measure {
        Measure::P99 if ours.timed() > 0.0 => Reason::FewTimed,
        _ => Reason::NoFigure,
    }
}
