//! Cost against the number of tunnels: scenarios that differ in nothing else.

use super::curve_colour;
use crate::record::{Family, Measure, Record, Scenario};
use crate::report::document::{Block, Line, Table};
use crate::report::plot::{Curve, Kind, Lines, Plot, Scale};
use crate::report::words;

type Members<'a> = Vec<(u32, &'a Scenario)>;

pub(super) fn compose(record: &Record) -> Vec<Block> {
    let series: Vec<(&str, Members<'_>)> =
        record.series().into_iter().filter(|(_, members)| members.len() > 1).collect();
    if series.is_empty() {
        return Vec::new();
    }
    let mut blocks = vec![Block::heading(2, "Does it cost more when there are more of them?")];
    for (name, members) in &series {
        if series.len() > 1 {
            blocks.push(Block::heading(3, *name));
        }
        blocks.push(Block::paragraph(
            "The same work on more and more tunnels. A flat line means that the price of one does not depend on how many there are.",
        ));
        blocks.push(Block::Plot(plot(record, members)));
        blocks.push(Block::Table(table(record, members)));
        blocks.push(Block::paragraph("In brackets: against the smallest number, round by round."));
    }
    blocks
}

/// Everybody who takes part at any size, in the order of the run.
fn contestants<'a>(record: &'a Record, members: &Members<'_>) -> Vec<&'a str> {
    let takes_part =
        |name: &str| members.iter().any(|(_, scenario)| scenario.entry(name).is_some());
    let names = record.contestants.iter().map(|contestant| contestant.name.as_str());
    names.filter(|name| takes_part(name)).collect()
}

fn plot(record: &Record, members: &Members<'_>) -> Plot {
    let unit = members[0].1.unit;
    let curve = |name: &str| {
        let entries = members.iter().filter_map(|(n, scenario)| Some((*n, scenario.entry(name)?)));
        let mut points = Vec::new();
        let mut colour = None;
        for (tunnels, entry) in entries {
            colour.get_or_insert(curve_colour(record, entry));
            points.extend(entry.median(Measure::Figure).map(|figure| (f64::from(tunnels), figure)));
        }
        Some(Curve {
            label: words::readable(name),
            colour: colour?,
            is_ours: record.default_name() == Some(name),
            points,
            has_dots: true,
        })
    };
    let curves =
        contestants(record, members).into_iter().filter_map(curve).filter(|c| !c.points.is_empty());
    let marks = members
        .iter()
        .map(|(tunnels, _)| (f64::from(*tunnels), words::thousands((*tunnels).into())));
    let noun = words::capitalized(unit.noun());
    Plot {
        caption: format!(
            "{noun}, {}, against the number of tunnels: lower is better, and flat.",
            unit.per()
        ),
        kind: Kind::Lines(Lines {
            marks: marks.collect(),
            scale: Scale::FromZero,
            curves: curves.collect(),
        }),
    }
}

fn table(record: &Record, members: &Members<'_>) -> Table {
    let heads: Vec<String> = members
        .iter()
        .map(|(tunnels, _)| format!("#{} tunnels", words::thousands((*tunnels).into())))
        .collect();
    let unit = members[0].1.unit;
    let first = format!("{}, {}", words::capitalized(unit.noun()), unit.per());
    let heads: Vec<&str> =
        std::iter::once(first.as_str()).chain(heads.iter().map(String::as_str)).collect();
    let mut table = Table::new(&heads);
    for name in contestants(record, members) {
        let smallest = members[0].1.entry(name);
        let cell = |(place, (_, scenario)): (usize, &(u32, &Scenario))| -> Line {
            let Some(entry) = scenario.entry(name) else { return "–".into() };
            let Some(figure) = entry.median(Measure::Figure) else { return "failed".into() };
            let growth = smallest.filter(|_| place > 0);
            match growth.and_then(|smallest| entry.against(smallest, Measure::Figure)) {
                Some(growth) => {
                    format!("{} ({} ×)", words::number(figure), words::ratio(growth.median)).into()
                }
                None => words::number(figure).into(),
            }
        };
        let cells = members.iter().enumerate().map(cell);
        let is_ours = record.contestant(name).is_some_and(|c| c.family == Family::Penstock);
        table.row(is_ours, std::iter::once(words::readable(name).into()).chain(cells).collect());
    }
    table
}
