//! The ways that Penstock's bytes took: whether its counters were as they had to be, and those that moved.

use std::collections::BTreeMap;

use crate::record::{Row, Scenario};
use crate::report::document::{Block, Line};
use crate::report::words;

pub(super) fn compose(scenario: &Scenario) -> Option<Block> {
    let counted = scenario.rows.iter().filter_map(|row| Some((row, row.paths.as_ref()?)));
    let items: Vec<Line> = counted.map(|(row, paths)| item(row, paths)).collect();
    let title = "Which way Penstock's bytes went: its counters in the last round".into();
    (!items.is_empty()).then(|| Block::Folded { title, blocks: vec![Block::List(items)] })
}

fn item(row: &Row, paths: &BTreeMap<String, f64>) -> Line {
    let result = if row.failure.is_some() { "the row failed" } else { "path check passed" };
    let share = spliced(paths).map_or_else(String::new, |share| format!(": {share}"));
    let name = words::readable(&row.contestant);
    let line = Line::default().strong(name).text(format!(": {result}{share}"));
    let moved = paths.iter().filter(|(_, value)| **value != 0.0);
    moved.enumerate().fold(line, |line, (place, (name, value))| {
        let before = if place > 0 { ", " } else { "; " };
        line.text(before).code(name).text(format!(" {}", words::number(*value)))
    })
}

/// The larger part of the bytes; None where there were none.
fn spliced(paths: &BTreeMap<String, f64>) -> Option<String> {
    let [spliced, copied] = [paths.get(SPLICED)?, paths.get(COPIED)?];
    let all = spliced + copied;
    let (part, way) = if spliced > copied { (spliced, "spliced") } else { (copied, "copied") };
    (all > 0.0).then(|| format!("{:.1} % {way}", part / all * 100.0))
}

/// Names of counters, as `run` writes them.
const SPLICED: &str = "spliced bytes";
const COPIED: &str = "copied bytes";
