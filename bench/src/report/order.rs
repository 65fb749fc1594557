//! In which order a report shows what was measured, and what it holds figures against.

use crate::compare::Entry;
use crate::record::{DEFAULT, Measure, Record, Scenario, Unit};
use crate::stats::Summary;

impl Scenario {
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
    /// Penstock as its users get it.
    pub(super) fn default_name(&self) -> Option<&str> {
        self.contestant(DEFAULT).map(|contestant| contestant.name.as_str())
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
