//! One contestant in one scenario, round by round, until it becomes a row of the record.

use std::collections::BTreeMap;

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::contestant::Recipe;
use crate::load::Sample;
use crate::record::{self, Round, Unit};
use crate::scenario;

pub(crate) struct Row<'r> {
    pub(crate) recipe: &'r Recipe,
    unit: Unit,
    rounds: Vec<Round>,
    /// Of all rounds.
    latency: Option<Histogram<u64>>,
    /// Growth of Penstock's counters in the last round.
    pub(crate) paths: Option<BTreeMap<String, f64>>,
    /// Why the row does not count.
    pub(crate) failure: Option<String>,
}

impl<'r> Row<'r> {
    pub(crate) fn new(recipe: &'r Recipe, unit: Unit) -> Self {
        Row { recipe, unit, rounds: Vec::new(), latency: None, paths: None, failure: None }
    }

    /// # Errors
    /// When the histograms of two rounds can't be added.
    pub(crate) fn add(&mut self, sample: &Sample) -> Result<()> {
        self.rounds.push(round(self.unit, sample));
        match &mut self.latency {
            None => self.latency = Some(sample.latency.clone()),
            Some(sum) => sum.add(&sample.latency)?,
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> record::Row {
        let latency = self.latency.filter(|latency| !latency.is_empty());
        let quantile = |latency: &Histogram<u64>, q: f64| (q, latency.value_at_quantile(q));
        record::Row {
            contestant: self.recipe.name.clone(),
            failure: self.failure,
            rounds: self.rounds,
            latencies: latency.map_or(Vec::new(), |latency| {
                QUANTILES.iter().map(|q| quantile(&latency, *q)).collect()
            }),
            paths: self.paths,
        }
    }
}

fn round(unit: Unit, sample: &Sample) -> Round {
    Round {
        figure: scenario::figure(unit, sample),
        cpu_ns: sample.used.cpu.as_nanos() as u64,
        elapsed_ns: sample.used.elapsed.as_nanos() as u64,
        bytes: sample.bytes,
        operations: sample.operations,
        timed: sample.latency.len(),
        p50_ns: sample.latency.value_at_quantile(0.5),
        p99_ns: sample.latency.value_at_quantile(0.99),
        resident_bytes: sample.memory.resident,
        switches: sample.used.switches,
        load_ns: sample.used.load_cpu.as_nanos() as u64,
        disturbed_ns: sample.used.disturbed.as_nanos() as u64,
    }
}

const QUANTILES: &[f64] =
    &[0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 1.0];
