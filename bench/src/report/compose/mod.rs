//! What the report says, in which order: the answer first, then the goals, the method, each scenario, every setting.

mod appendix;
mod goals;
mod method;
mod paths;
mod scenario;
mod series;
mod summary;

use super::document::{Block, Line, Tone};
use super::plot::{Colour, OURS, OURS_TOO, PEER, PLAIN, SOFT, peer_colour};
use super::words;
use crate::compare::Entry;
use crate::record::{Family, Record, Scenario};
use crate::stats::Verdict;

pub(super) const TITLE: &str = "Penstock beside other programs: what the same work costs";

pub(super) fn compose(record: &Record) -> Vec<Block> {
    let mut blocks = vec![Block::heading(1, TITLE)];
    blocks.extend(summary::compose(record));
    blocks.extend(goals::compose(record));
    blocks.extend(method::compose(record));
    blocks.push(Block::heading(2, "Question by question"));
    for scenario in &record.scenarios {
        blocks.extend(scenario::compose(record, scenario));
    }
    blocks.extend(series::compose(record));
    blocks.extend(appendix::compose(record));
    blocks
}

/// The scenario's question; where several ask the same, with what they differ in.
fn question(record: &Record, scenario: &Scenario) -> String {
    let asking = record.scenarios.iter().filter(|other| other.question == scenario.question);
    match (asking.count(), &scenario.series) {
        (1, _) => scenario.question.clone(),
        (_, Some((_, tunnels))) => {
            format!("{} ({} tunnels)", scenario.question, words::thousands((*tunnels).into()))
        }
        (_, None) => format!("{} ({})", scenario.question, scenario.title),
    }
}

fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Below => Tone::Good,
        Verdict::Above => Tone::Bad,
        Verdict::Unclear | Verdict::TooFewRounds => Tone::Open,
    }
}

/// Says why there is no figure, in one line; the appendix has the rest.
fn failure(entry: Entry<'_>) -> Line {
    let reason = entry.row.failure.as_deref().unwrap_or("no round was measured");
    let reason = reason.lines().next().unwrap_or_default();
    Line::default().verdict(Tone::Bad, "failed").text(format!(" {reason}"))
}

fn bar_colour(record: &Record, entry: Entry<'_>) -> Colour {
    match record.contestant(entry.name()).map(|contestant| contestant.family) {
        Some(Family::Penstock) => our_colour(record, entry),
        Some(Family::Plain) => PLAIN,
        _ => PEER,
    }
}

/// The same in all plots of a run.
fn curve_colour(record: &Record, entry: Entry<'_>) -> Colour {
    let peers = record.contestants.iter().filter(|contestant| contestant.family == Family::Peer);
    match peers.map(|contestant| &contestant.name).position(|name| name == entry.name()) {
        Some(place) => peer_colour(place),
        None if record.is(entry, Family::Plain) => SOFT,
        None => bar_colour(record, entry),
    }
}

fn our_colour(record: &Record, entry: Entry<'_>) -> Colour {
    let is_lead = record.lead(entry.scenario).is_some_and(|lead| lead.name() == entry.name());
    if is_lead { OURS } else { OURS_TOO }
}
