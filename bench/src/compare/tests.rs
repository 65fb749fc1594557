//! Who wins, who loses, and what is not judged.

use super::{Reason, Standing, TIMED_MIN};
use crate::record::{
    Bar, Contestant, FORMAT, Family, Measure, Record, Rival, Round, Row, Scenario, Unit,
};
use crate::stats::Verdict;

fn round(figure: f64) -> Round {
    Round {
        figure,
        cpu_ns: 5,
        elapsed_ns: 1000,
        bytes: 1000,
        operations: 1,
        timed: TIMED_MIN,
        p50_ns: 1,
        p99_ns: (figure * 1e3) as u64,
        resident_bytes: 0,
        switches: 0,
        load_ns: 500,
        disturbed_ns: 0,
    }
}

fn row(name: &str, figures: &[f64]) -> Row {
    Row {
        contestant: name.into(),
        failure: None,
        rounds: figures.iter().map(|figure| round(*figure)).collect(),
        latencies: Vec::new(),
        paths: None,
    }
}

fn with(mut row: Row, change: impl Fn(&mut Round)) -> Row {
    row.rounds.iter_mut().for_each(change);
    row
}

fn broken(name: &str) -> Row {
    Row { failure: Some("wrong path\nand more".into()), ..row(name, &[0.1; 5]) }
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
        flat_out: false,
        offered: None,
        warm_up_ms: 1,
        window_ms: 1,
        absent: Vec::new(),
        rows,
        bars: Vec::new(),
    }
}

fn record(scenarios: Vec<Scenario>) -> Record {
    let contestant = |(name, family): (&str, _)| Contestant {
        name: name.into(),
        family,
        version: String::new(),
        setting: String::new(),
        command: Vec::new(),
        configuration: None,
    };
    let peers = ["them", "others", "broken"].map(|name| (name, Family::Peer));
    let ours = ["us", "us-too"].map(|name| (name, Family::Penstock));
    Record {
        format: FORMAT,
        machine: crate::machine::describe(crate::network::describe(None)),
        command: Vec::new(),
        version: String::new(),
        rounds: 5,
        window_ms: 1,
        seconds: 0.0,
        contestants: peers.into_iter().chain(ours).map(contestant).collect(),
        absent: Vec::new(),
        scenarios,
    }
}

fn rival(contestant: &str, scenario: Option<&str>) -> Rival {
    Rival { contestant: contestant.into(), scenario: scenario.map(Into::into) }
}

fn bar(ours: &str, measure: Measure, rivals: &[&str], limit: f64) -> Bar {
    let rivals = rivals.iter().map(|name| rival(name, None)).collect();
    Bar { ours: ours.into(), measure, rivals, limit }
}

/// Ours against all peers in a scenario of these rows.
fn verdict(rows: Vec<Row>, measure: Measure) -> Result<Option<Verdict>, Reason> {
    let record = record(vec![scenario("here", rows)]);
    match record.against_peers(&record.scenarios[0], measure) {
        Standing::Open(reason) => Err(reason),
        standing => Ok(standing.verdict()),
    }
}

#[test]
fn rounds_of_one_number_are_compared() {
    // The machine slowed down by half in the middle; the ratio did not.
    let rows = vec![row("us", &[1.0, 1.0, 2.0, 2.0, 2.0]), row("them", &[2.0, 2.0, 4.0, 4.0, 4.0])];
    let here = scenario("here", rows);
    let [ours, theirs] = ["us", "them"].map(|name| here.entry(name).unwrap());
    let ratio = ours.against(theirs, Measure::Figure).unwrap();
    assert_eq!((ratio.min, ratio.max), (0.5, 0.5));
}

#[test]
fn the_hardest_rival_is_the_one_of_the_worst_ratio() {
    // Others have the lowest median, and were measured in the quick rounds: beside them ours won every round.
    let ours = row("us", &[1.0, 1.0, 1.0, 4.0, 4.0]);
    let others = row("others", &[1.1, 1.1, 1.1, 4.4, 4.4]);
    let them = row("them", &[2.0, 0.9, 2.0, 3.6, 3.6]);
    let record = record(vec![scenario("here", vec![ours, others, them])]);
    let Standing::Measured(found) = record.against_peers(&record.scenarios[0], Measure::Figure)
    else {
        panic!("not measured")
    };
    assert_eq!(found.rival.unwrap().name(), "them");
    assert_eq!(found.verdict, Verdict::Unclear);
}

#[test]
fn a_clear_loss_is_not_hidden_by_a_larger_ratio_that_is_unclear() {
    let wild = row("others", &[0.5, 0.5, 0.5, 1.1, 1.1]);
    let rows = vec![row("us", &[1.0; 5]), row("them", &[0.9; 5]), wild];
    assert_eq!(verdict(rows, Measure::Figure), Ok(Some(Verdict::Above)));
}

#[test]
fn the_mean_of_rivals_counts_only_if_all_are_there() {
    let rows = |third: Option<Row>| {
        let rows = vec![row("us", &[3.0; 5]), row("them", &[1.0, 1.0, 1.0, 3.0, 3.0])];
        rows.into_iter().chain(third).collect()
    };
    let others = row("others", &[5.0, 5.0, 5.0, 3.0, 3.0]);
    let found = |third, limit| {
        let record = record(vec![scenario("here", rows(third))]);
        let bar = bar("us", Measure::FigureToMean, &["them", "others"], limit);
        record.finding(&record.scenarios[0], &bar).standing.verdict()
    };
    assert_eq!(found(Some(others.clone()), 1.1), Some(Verdict::Below), "3 in each round");
    assert_eq!(found(Some(others.clone()), 0.9), Some(Verdict::Above));
    let failed = Row { failure: Some("gone".into()), ..others };
    assert_eq!((found(Some(failed), 1.1), found(None, 1.1)), (None, None));
}

#[test]
fn a_rival_counts_also_from_elsewhere_and_a_fallen_one_is_named() {
    let here = vec![row("us", &[1.0; 5]), row("them", &[4.0; 5]), broken("broken")];
    let there = scenario("there", vec![row("them", &[2.0; 5])]);
    let record = record(vec![scenario("here", here), there]);
    let subject = Bar {
        rivals: vec![rival("broken", None), rival("them", None), rival("them", Some("there"))],
        ..bar("us", Measure::Figure, &[], 0.4)
    };
    let finding = record.finding(&record.scenarios[0], &subject);
    let fallen: Vec<_> = finding.fallen.iter().map(|(e, why)| (e.name(), why.detail())).collect();
    assert_eq!(fallen, [("broken", "wrong path".to_owned())]);
    let Standing::Measured(found) = finding.standing else { panic!("not measured") };
    assert_eq!(found.rival.unwrap().scenario.name, "there");
    assert_eq!((found.measured.median, found.verdict), (0.5, Verdict::Above));
    let nobody = bar("us", Measure::Figure, &["broken"], 0.4);
    let standing = record.finding(&record.scenarios[0], &nobody).standing;
    assert!(matches!(standing, Standing::Open(Reason::NoRival)));
}

#[test]
fn who_fails_where_another_does_the_work_loses() {
    let lost = Ok(Some(Verdict::Above));
    for measure in [Measure::Figure, Measure::P99] {
        assert_eq!(verdict(vec![broken("us"), row("them", &[9.0; 5])], measure), lost);
        let nobody = verdict(vec![broken("us"), broken("them")], measure);
        assert_eq!(nobody, Err(Reason::NoRival));
    }
    // Where nobody's latencies are known, none is lost.
    let untimed = with(row("them", &[9.0; 5]), |round| round.timed = 0);
    assert_eq!(verdict(vec![broken("us"), untimed], Measure::P99), Err(Reason::NoRival));
    let record = record(vec![scenario("here", vec![broken("us")])]);
    let absolute = bar("us", Measure::Absolute, &[], 1024.0);
    let finding = record.finding(&record.scenarios[0], &absolute);
    assert_eq!(finding.standing.verdict(), Some(Verdict::Above));
}

#[test]
fn who_carries_less_than_it_was_offered_is_no_rival_and_loses_to_one() {
    let carrying = |name, bytes| with(row(name, &[1.0; 5]), move |round| round.bytes = bytes);
    // In a microsecond.
    let rows = vec![carrying("us", 1000), carrying("others", 960), carrying("them", 980)];
    let mut here = scenario("here", rows);
    here.offered = Some(1e9);
    let record = record(vec![here]);
    let best = |ours: &str, rivals: &[&str]| {
        let subject = bar(ours, Measure::Figure, rivals, 2.0);
        let finding = record.finding(&record.scenarios[0], &subject);
        let fallen = finding.fallen.len();
        match finding.standing {
            Standing::Measured(found) => format!("{} {fallen}", found.rival.unwrap().name()),
            Standing::Beaten(trouble) => format!("beaten: {}", trouble.detail()),
            Standing::Open(reason) => reason.text().into(),
        }
    };
    assert_eq!(best("us", &["others", "them"]), "them 1");
    assert_eq!(best("us", &["others"]), "no rival was measured");
    assert_eq!(best("others", &["them"]), "beaten: carried 0.96 of 1.00 GB/s");
}

#[test]
fn a_p99_of_few_answers_is_not_compared() {
    let few = |name, timed| with(row(name, &[1.0; 5]), move |round| round.timed = timed);
    let plenty = || row("them", &[9.0; 5]);
    assert_eq!(verdict(vec![few("us", 1000), plenty()], Measure::P99), Ok(Some(Verdict::Below)));
    assert_eq!(verdict(vec![few("us", 999), plenty()], Measure::P99), Err(Reason::FewTimed));
    assert_eq!(verdict(vec![few("us", 0), plenty()], Measure::P99), Err(Reason::NoFigure));
    let rival = vec![row("us", &[1.0; 5]), few("them", 999)];
    assert_eq!(verdict(rival, Measure::P99), Err(Reason::NoRival));
}

#[test]
fn waits_for_the_load_generator_are_nobodys() {
    let busy = |name| with(row(name, &[1.0; 5]), |round| round.load_ns = 960);
    let free = |name| row(name, &[2.0; 5]);
    for rows in [vec![busy("us"), free("them")], vec![free("us"), busy("them")]] {
        assert_eq!(verdict(rows, Measure::P99), Err(Reason::LoadWasLimit));
    }
    let cost = verdict(vec![busy("us"), free("them")], Measure::Figure);
    assert_eq!(cost, Ok(Some(Verdict::Below)));
    // A load that never sleeps is always busy.
    let mut lone = scenario("lone", vec![busy("us"), free("them")]);
    lone.unit = Unit::Latency;
    assert!(!lone.entry("us").unwrap().load_was_limit());
}

#[test]
fn a_disturbance_counts_where_most_rounds_have_it() {
    let mut disturbed = with(row("us", &[1.0; 5]), |round| round.disturbed_ns = 40);
    disturbed.rounds[0].disturbed_ns = 0;
    let calm = {
        let mut calm = row("them", &[1.0; 5]);
        calm.rounds[0].disturbed_ns = 1000;
        calm
    };
    let here = scenario("here", vec![disturbed, calm]);
    assert_eq!(here.entry("us").unwrap().disturbed(), Some(0.04));
    assert_eq!(here.entry("them").unwrap().disturbed(), None);
}

#[test]
fn the_scenario_names_its_lead_and_no_bar_does() {
    let mut here = scenario("here", vec![row("us-too", &[1.0; 5]), row("us", &[1.0; 5])]);
    here.bars = vec![bar("us-too", Measure::Figure, &["us"], 1.25)];
    let mut record = record(vec![here]);
    assert_eq!(record.lead(&record.scenarios[0]).unwrap().name(), "us");
    record.scenarios[0].rows.pop();
    assert_eq!(record.lead(&record.scenarios[0]).unwrap().name(), "us-too");
}

#[test]
fn an_absolute_bar_needs_no_rival() {
    let here = record(vec![scenario("here", vec![row("us", &[900.0; 5])])]);
    for (measure, limit, verdict) in [
        (Measure::Absolute, 1024.0, Verdict::Below),
        (Measure::Absolute, 800.0, Verdict::Above),
        (Measure::CoreShare, 0.006, Verdict::Below),
        (Measure::CoreShare, 0.004, Verdict::Above),
    ] {
        let finding = here.finding(&here.scenarios[0], &bar("us", measure, &[], limit));
        let Standing::Measured(found) = finding.standing else { panic!("not measured") };
        assert_eq!((found.rival.is_none(), found.verdict), (true, verdict));
    }
}

#[test]
fn goals_against_other_programs_are_told_from_the_rest() {
    let record = record(Vec::new());
    let against = |rivals| record.is_against_peers(&bar("us", Measure::Figure, rivals, 1.0));
    assert!(against(&["us-too", "them"]));
    assert!(!against(&["us-too"]) && !against(&[]));
}
