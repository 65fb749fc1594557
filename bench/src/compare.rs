//! One contestant against another, round by round: the ratios behind every verdict.

use crate::record::{Bar, Measure, Record, Rival, Round, Row, Scenario};
use crate::stats::{Summary, Verdict};

/// What a measure says of one round.
pub(crate) fn value(measure: Measure, round: &Round) -> f64 {
    match measure {
        Measure::Figure | Measure::Absolute => round.figure,
        Measure::Cpu => round.cpu_ns as f64 / round.operations as f64,
        Measure::P50 => round.p50_ns as f64,
        Measure::P99 => round.p99_ns as f64,
        Measure::CoreShare => round.cpu_ns as f64 / round.elapsed_ns as f64,
    }
}

/// The row of a contestant that did not fail.
pub(crate) fn row<'s>(scenario: &'s Scenario, name: &str) -> Option<&'s Row> {
    scenario.rows.iter().find(|row| row.contestant == name && row.failure.is_none())
}

pub(crate) fn summary(row: &Row, value: impl Fn(&Round) -> f64) -> Option<Summary> {
    Summary::of(row.rounds.iter().map(value))
}

/// Whether a contestant carried less than it was offered. That is another load than the others had, and compares with none.
pub(crate) fn fell_short(scenario: &Scenario, row: &Row) -> bool {
    let Some(offered) = scenario.offered else { return false };
    let carried = summary(row, |round| round.bytes as f64 * 1e9 / round.elapsed_ns as f64);
    carried.is_none_or(|carried| carried.median < CARRIED_MIN * offered)
}

/// Less is missing at the ends of a window.
const CARRIED_MIN: f64 = 0.97;

/// Rounds of the same number belong together. None without rounds, or where the other's value is zero.
pub(crate) fn ratio(ours: &Row, theirs: &Row, measure: Measure) -> Option<Summary> {
    let pairs = ours.rounds.iter().zip(&theirs.rounds);
    let ratios: Vec<f64> = pairs.map(|(a, b)| value(measure, a) / value(measure, b)).collect();
    ratios.iter().all(|ratio| ratio.is_finite()).then(|| Summary::of(ratios)).flatten()
}

/// What a bar's verdict is made from: the best rival, or none where the bar is absolute, and the figure or ratio.
pub(crate) fn bar<'r>(
    record: &'r Record,
    scenario: &'r Scenario,
    bar: &'r Bar,
) -> Option<(Option<&'r Rival>, Summary)> {
    let carried =
        |there: &'r Scenario, name: &str| row(there, name).filter(|row| !fell_short(there, row));
    let ours = carried(scenario, &bar.ours)?;
    if bar.rivals.is_empty() {
        return Some((None, summary(ours, |round| value(bar.measure, round))?));
    }
    let find = |rival: &'r Rival| {
        let there = match &rival.scenario {
            None => scenario,
            Some(name) => record.scenarios.iter().find(|scenario| scenario.name == *name)?,
        };
        let row = carried(there, &rival.contestant)?;
        Some((summary(row, |round| value(bar.measure, round))?.median, rival, row))
    };
    let (_, rival, theirs) =
        bar.rivals.iter().filter_map(find).min_by(|a, b| a.0.total_cmp(&b.0))?;
    Some((Some(rival), ratio(ours, theirs, bar.measure)?))
}

pub(crate) fn bar_verdict(measured: &Summary, bar: &Bar) -> &'static str {
    match measured.against(bar.limit) {
        Verdict::Below => "met",
        Verdict::Above => "MISSED",
        Verdict::Unclear => "unclear: the spread exceeds the difference",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Unit;

    fn round(figure: f64) -> Round {
        Round {
            figure,
            cpu_ns: 5,
            elapsed_ns: 1000,
            bytes: 0,
            operations: 1,
            timed: 1,
            p50_ns: 1,
            p99_ns: 1,
            resident_bytes: 0,
            switches: 0,
            load_ns: 500,
            disturbed_ns: 0,
        }
    }

    fn row_of(name: &str, figures: &[f64]) -> Row {
        Row {
            contestant: name.into(),
            failure: None,
            rounds: figures.iter().map(|figure| round(*figure)).collect(),
            latencies: Vec::new(),
            paths: None,
        }
    }

    fn scenario(name: &str, rows: Vec<Row>) -> Scenario {
        Scenario {
            name: name.into(),
            title: String::new(),
            question: String::new(),
            unit: Unit::RoundTrip,
            lead: "us".into(),
            reference: "them".into(),
            series: None,
            offered: None,
            warm_up_ms: 1,
            window_ms: 1,
            absent: Vec::new(),
            rows,
            bars: Vec::new(),
        }
    }

    fn record(scenarios: Vec<Scenario>) -> Record {
        Record {
            format: 1,
            machine: crate::machine::describe(crate::network::describe(None)),
            command: Vec::new(),
            version: String::new(),
            rounds: 5,
            window_ms: 1,
            seconds: 0.0,
            contestants: Vec::new(),
            absent: Vec::new(),
            scenarios,
        }
    }

    fn rival(contestant: &str, scenario: Option<&str>) -> Rival {
        Rival { contestant: contestant.into(), scenario: scenario.map(Into::into) }
    }

    #[test]
    fn rounds_of_one_number_are_compared() {
        // The machine slowed down by half in the middle; the ratio did not.
        let ours = row_of("us", &[1.0, 1.0, 2.0, 2.0, 2.0]);
        let theirs = row_of("them", &[2.0, 2.0, 4.0, 4.0, 4.0]);
        let ratio = ratio(&ours, &theirs, Measure::Figure).unwrap();
        assert_eq!((ratio.min, ratio.max, ratio.spread()), (0.5, 0.5, 0.0));
    }

    #[test]
    fn the_best_rival_counts_also_from_elsewhere_unless_it_failed() {
        let mut broken = row_of("broken", &[0.1; 5]);
        broken.failure = Some("wrong path".into());
        let here =
            scenario("here", vec![row_of("us", &[1.0; 5]), row_of("them", &[4.0; 5]), broken]);
        let there = scenario("there", vec![row_of("them", &[2.0; 5])]);
        let record = record(vec![here, there]);
        let bar_of =
            |rivals| Bar { ours: "us".into(), measure: Measure::Figure, rivals, limit: 0.4 };
        let rivals = vec![rival("broken", None), rival("them", None), rival("them", Some("there"))];
        let subject = bar_of(rivals);
        let (best, ratio) = bar(&record, &record.scenarios[0], &subject).unwrap();
        assert_eq!((best.unwrap().scenario.as_deref(), ratio.median), (Some("there"), 0.5));
        assert_eq!(bar_verdict(&ratio, &subject), "MISSED");
        let nobody = bar_of(vec![rival("broken", None)]);
        assert!(bar(&record, &record.scenarios[0], &nobody).is_none());
    }

    #[test]
    fn who_carries_less_than_it_was_offered_is_no_rival() {
        let carrying = |name, bytes| {
            let mut row = row_of(name, &[1.0; 5]);
            row.rounds.iter_mut().for_each(|round| round.bytes = bytes);
            row
        };
        // In a microsecond.
        let rows = vec![carrying("us", 1000), carrying("slow", 960), carrying("them", 980)];
        let mut here = scenario("here", rows);
        here.offered = Some(1e9);
        let record = record(vec![here]);
        let best_of = |ours: &str, rivals: &[&str]| {
            let rivals = rivals.iter().map(|name| rival(name, None)).collect();
            let subject = Bar { ours: ours.into(), measure: Measure::Figure, rivals, limit: 1.0 };
            bar(&record, &record.scenarios[0], &subject).map(|(best, _)| best.is_some())
        };
        assert_eq!(best_of("us", &["slow", "them"]), Some(true));
        assert_eq!(best_of("us", &["slow"]), None);
        assert_eq!(best_of("slow", &["them"]), None);
    }

    #[test]
    fn an_absolute_bar_needs_no_rival() {
        let here = record(vec![scenario("here", vec![row_of("us", &[900.0; 5])])]);
        let absolute =
            |measure, limit| Bar { ours: "us".into(), measure, rivals: Vec::new(), limit };
        for (measure, limit, verdict) in [
            (Measure::Absolute, 1024.0, "met"),
            (Measure::Absolute, 800.0, "MISSED"),
            (Measure::CoreShare, 0.006, "met"),
            (Measure::CoreShare, 0.004, "MISSED"),
        ] {
            let subject = absolute(measure, limit);
            let (best, summary) = bar(&here, &here.scenarios[0], &subject).unwrap();
            assert_eq!((best.is_none(), bar_verdict(&summary, &subject)), (true, verdict));
        }
    }
}
