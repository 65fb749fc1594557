//! Who did not take part, and exactly how everybody else was set.

use crate::record::{Absent, Contestant, Record};
use crate::report::document::{Block, Line};
use crate::report::words;

pub(super) fn compose(record: &Record) -> Vec<Block> {
    let mut blocks = Vec::new();
    let failures = record.scenarios.iter().flat_map(|scenario| {
        scenario.rows.iter().filter_map(move |row| Some((scenario, row, row.failure.as_ref()?)))
    });
    let failures = failures.map(|(scenario, row, reason)| {
        Line::default()
            .strong(words::readable(&row.contestant))
            .text(" failed in ")
            .link(&scenario.name, &scenario.name)
            .text(format!(": {}", reason.split_whitespace().collect::<Vec<_>>().join(" ")))
    });
    let absent = record.absent.iter().map(|absent| left_out(record, absent));
    let missing: Vec<Line> = absent.chain(failures).collect();
    if !missing.is_empty() {
        blocks.push(Block::heading(2, "Left out, and failed"));
        blocks.push(Block::List(missing));
    }
    blocks.push(Block::heading(2, "Settings of everybody"));
    blocks.push(Block::paragraph("Paths and ports are those of this run."));
    blocks.extend(record.contestants.iter().flat_map(settings));
    blocks
}

/// A reason that begins with a scenario's name holds for that one.
fn left_out(record: &Record, absent: &Absent) -> Line {
    let line = Line::default().strong(words::readable(&absent.name)).text(" was left out");
    let scenario = record.scenarios.iter().find_map(|scenario| {
        let reason = absent.reason.strip_prefix(&scenario.name)?.strip_prefix(": ")?;
        Some((&scenario.name, reason))
    });
    match scenario {
        Some((name, reason)) => line.text(" of ").link(name, name).text(format!(": {reason}")),
        None => line.text(format!(": {}", absent.reason)),
    }
}

fn settings(contestant: &Contestant) -> Vec<Block> {
    let mut details = vec![Block::Code(words::command_line(&contestant.command))];
    if let Some(text) = &contestant.configuration {
        details.push(Block::paragraph("with this configuration:"));
        details.push(Block::Code(text.clone()));
    }
    vec![
        Block::heading(3, words::readable(&contestant.name)),
        Block::Paragraph(
            Line::default()
                .code(&contestant.name)
                .text(format!(", {}: {}", contestant.version, contestant.setting)),
        ),
        Block::Folded { title: "Started as".into(), blocks: details },
    ]
}
