//! All numbers as Prometheus reads them (OpenMetrics text), gathered when asked for.
//!
//! Workers own their counters; a scrape only reads them. Numbers of one worker carry its index; what would have too many
//! series by worker is summed.

mod outside;
mod tls;

use std::fmt::{self, Debug};
use std::sync::Arc;

use penstock_core::close::{Cause, CloseReason, Phase};
use penstock_core::metrics::{
    Counters, DIRECTIONS, Histogram, MOVERS, SETUP_PHASES, VNC_ROLES, VNC_SECURITY,
};
use penstock_core::ring::Count;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::state::State;

/// What the text is, for `Content-Type`.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The whole page.
pub(crate) fn page(state: &Arc<State>) -> String {
    let mut registry = Registry::with_prefix("penstock");
    registry.register_collector(Box::new(Page(state.clone())));
    let mut text = String::new();
    // Writing into a String can't fail.
    let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
    text
}

#[derive(Debug)]
struct Page(Arc<State>);

type Labels<'l> = &'l [(&'l str, &'l str)];

impl Collector for Page {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut sheet = Sheet { state: &self.0, encoder };
        sheet.about()?;
        sheet.sessions()?;
        sheet.ends()?;
        sheet.movers()?;
        sheet.setup()?;
        sheet.rings()?;
        sheet.tls()?;
        sheet.outside()
    }
}

struct Sheet<'s, 'e> {
    state: &'s State,
    encoder: DescriptorEncoder<'e>,
}

/// Whether the connection got what it had asked for.
fn is_served(phase: Phase) -> bool {
    matches!(phase, Phase::Relay | Phase::Page)
}

impl Sheet<'_, '_> {
    fn about(&mut self) -> fmt::Result {
        let driver = &self.state.parts.driver;
        let version: Labels<'_> = &[("version", env!("CARGO_PKG_VERSION"))];
        gauge(self.family("build_info", "This program", MetricType::Gauge)?, version, 1)?;
        let labels: Labels<'_> = &[
            ("driver", &driver.driver),
            ("kernel", &driver.kernel),
            ("masked", &driver.masked),
            ("missing", &driver.missing),
        ];
        let help =
            "The driver in use, the features hidden from it, and those that the kernel lacks";
        gauge(self.family("driver_info", help, MetricType::Gauge)?, labels, 1)?;
        let most = self.state.parts.max_tunnels as u64;
        gauge(self.family("max_tunnels", "Tunnels admitted at once", MetricType::Gauge)?, &[], most)
    }

    fn sessions(&mut self) -> fmt::Result {
        self.gauges("sessions_open", "Connections alive, in whatever phase", |c| &c.sessions)?;
        self.gauges("tunnels_open", "Connections that carry bytes", |c| &c.tunnels)?;
        self.counters("tunnels", "Tunnels that ever stood", |c| &c.tunnels_total)?;
        self.counters("connections_accepted", "Connections accepted", |c| &c.accepted)?;
        self.counters("shed", "Connections turned away at the limit", |c| &c.shed)?;
        let help = "Pauses of accepting for want of descriptors";
        self.counters("accept_pauses", help, |c| &c.accept_pauses)?;
        let help = "Questions that could not be asked";
        self.counters("questions_refused", help, |c| &c.questions_refused)?;
        let help = "Times that a direction stopped reading because its sink was slow";
        self.counters("backpressure", help, |c| &c.backpressure)?;
        let help = "Tunnels that were handed over by the program around the engine";
        self.counters("handed_over", help, |c| &c.handed_over)?;
        let help = "Idle time-outs put off because a sibling tunnel was busy";
        self.counters("idle_spared", help, |c| &c.idle_spared)?;
        self.consoles()
    }

    fn consoles(&mut self) -> fmt::Result {
        let workers = self.state;
        let help = "WebSockets that were agreed on, by what their messages carry";
        let mut family = self.family("websockets", help, MetricType::Counter)?;
        for (index, payload) in ["binary", "base64"].iter().enumerate() {
            each(&mut family, workers, &[("payload", payload)], |c| &c.upgrades[index])?;
        }
        let help = "Logins at VNC servers that went well, by who proved what";
        let mut family = self.family("vnc_logins", help, MetricType::Counter)?;
        for (role, name) in VNC_ROLES.iter().enumerate() {
            for (index, security) in VNC_SECURITY.iter().enumerate() {
                let labels: Labels<'_> = &[("mode", name), ("security", security)];
                each(&mut family, workers, labels, |c| &c.vnc_logins[role][index])?;
            }
        }
        let help = "Messages that were put together apart from the buffers of their payload";
        self.counters("frames_apart", help, |c| &c.frames_apart)?;
        let help = "Browsers that were asked whether they are still there";
        self.counters("pings", help, |c| &c.pings)?;
        let help = "Requests for pages that went on to the web server";
        self.counters("page_requests", help, |c| &c.page_requests)
    }

    /// Ends by reason, as far as they occurred, and those before the relay by cause alone.
    fn ends(&mut self) -> fmt::Result {
        let state = self.state;
        let sum = |reason: CloseReason| -> u64 {
            state.parts.workers.iter().map(|w| w.counters.closed[reason.index()].get()).sum()
        };
        let all = || (0..CloseReason::COUNT).filter_map(CloseReason::of_index);
        let mut family =
            self.family("closed", "Connections ended, by reason", MetricType::Counter)?;
        for reason in all().filter(|reason| sum(*reason) > 0) {
            let labels: Labels<'_> = &[
                ("side", reason.side.label()),
                ("phase", reason.phase.label()),
                ("cause", reason.cause.label()),
            ];
            counter(&mut family, labels, sum(reason))?;
        }
        let help = "Connections that ended before they were tunnels, by cause";
        let mut family = self.family("refused", help, MetricType::Counter)?;
        for cause in Cause::ALL {
            let before = |reason: &CloseReason| reason.cause == *cause && !is_served(reason.phase);
            counter(&mut family, &[("cause", cause.label())], all().filter(before).map(sum).sum())?;
        }
        Ok(())
    }

    fn movers(&mut self) -> fmt::Result {
        let workers = self.state;
        let bytes = DIRECTIONS.iter().enumerate().flat_map(|(d, direction)| {
            MOVERS.iter().enumerate().map(move |(m, mover)| (d, m, direction, mover))
        });
        let mut family =
            self.family("bytes", "Payload accepted by the sink, in bytes", MetricType::Counter)?;
        for (d, m, direction, mover) in bytes {
            let labels: Labels<'_> = &[("direction", direction), ("mover", mover)];
            each(&mut family, workers, labels, |c| &c.bytes[d][m])?;
        }
        let help = "Changes of the mover of a direction, by the new mover";
        let mut family = self.family("switches", help, MetricType::Counter)?;
        for (m, mover) in MOVERS.iter().enumerate() {
            each(&mut family, workers, &[("to", mover)], |c| &c.switches[m])?;
        }
        let help = "Directions that began to quiesce, and that became quiet";
        let mut family = self.family("quiesce", help, MetricType::Counter)?;
        for (s, state) in ["begun", "quiet"].iter().enumerate() {
            each(&mut family, workers, &[("state", state)], |c| &c.quiesce[s])?;
        }
        let help = "Answers, outcomes and cancellations whose session was gone";
        let mut family = self.family("stale", help, MetricType::Counter)?;
        each(&mut family, workers, &[("kind", "answer")], |c| &c.answers_stale)?;
        each(&mut family, workers, &[("kind", "outcome")], |c| &c.outcomes_stale)?;
        let help = "Promotions to splice given up for want of a pipe";
        self.counters("splice_refused", help, |c| &c.splice_refused)?;
        let help = "Stuck directions that gave their pipe back because pipes were scarce";
        self.counters("pipes_relieved", help, |c| &c.pipes_relieved)?;
        let help = "Directions that changed between small and large buffers";
        self.counters("refits", help, |c| &c.refits)?;
        let help = "Runs of splicing that were put off so that more gathers";
        self.counters("gathered", help, |c| &c.gathered)
    }

    fn setup(&mut self) -> fmt::Result {
        let help = "Time from accept to tunnel, by phase";
        let state = self.state;
        let mut family = self.family("setup_seconds", help, MetricType::Histogram)?;
        for (w, worker) in state.parts.workers.iter().enumerate() {
            let worker_label = w.to_string();
            for (phase, histogram) in SETUP_PHASES.iter().zip(&worker.counters.setup) {
                let labels: Labels<'_> = &[("worker", &worker_label), ("phase", phase)];
                let bound = |i| Histogram::bound(i).unwrap_or(f64::INFINITY);
                let buckets = histogram.buckets.iter().enumerate();
                let buckets: Vec<(f64, u64)> = buckets.map(|(i, n)| (bound(i), n.get())).collect();
                let count = buckets.iter().map(|(_, n)| n).sum();
                let sum = histogram.sum.get() as f64 / 1e9;
                family
                    .encode_family(&labels)?
                    .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
            }
        }
        Ok(())
    }

    fn rings(&mut self) -> fmt::Result {
        let state = self.state;
        // By name, since one family must stand together: name, whether it is a gauge, values by worker.
        let mut rows: Vec<(&'static str, bool, Vec<u64>)> = Vec::new();
        for worker in &state.parts.workers {
            let mut row = 0;
            worker.stats.each(|name, is_gauge, value| {
                if row == rows.len() {
                    rows.push((name, is_gauge, Vec::new()));
                }
                rows[row].2.push(value);
                row += 1;
            });
        }
        for (name, is_gauge, values) in rows {
            let kind = if is_gauge { MetricType::Gauge } else { MetricType::Counter };
            let name = format!("ring_{name}");
            let mut family = self.family(&name, "Of a worker's driver", kind)?;
            for (worker, value) in values.into_iter().enumerate() {
                let labels: Labels<'_> = &[("worker", &worker.to_string())];
                if is_gauge {
                    family.encode_family(&labels)?.encode_gauge(&value)?;
                } else {
                    counter(&mut family, labels, value)?;
                }
            }
        }
        Ok(())
    }

    fn gauges(&mut self, name: &str, help: &str, of: impl Fn(&Counters) -> &Count) -> fmt::Result {
        let state = self.state;
        let mut family = self.family(name, help, MetricType::Gauge)?;
        for (w, worker) in state.parts.workers.iter().enumerate() {
            let labels: Labels<'_> = &[("worker", &w.to_string())];
            family.encode_family(&labels)?.encode_gauge(&of(&worker.counters).get())?;
        }
        Ok(())
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        of: impl Fn(&Counters) -> &Count,
    ) -> fmt::Result {
        let state = self.state;
        let mut family = self.family(name, help, MetricType::Counter)?;
        each(&mut family, state, &[], of)
    }

    fn family<'m>(
        &'m mut self,
        name: &'m str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'m>, fmt::Error> {
        self.encoder.encode_descriptor(name, help, None, kind)
    }
}

/// One counter of every worker.
fn each(
    family: &mut MetricEncoder<'_>,
    state: &State,
    labels: Labels<'_>,
    of: impl Fn(&Counters) -> &Count,
) -> fmt::Result {
    for (index, worker) in state.parts.workers.iter().enumerate() {
        let index = index.to_string();
        let all: Vec<(&str, &str)> =
            [("worker", &*index)].into_iter().chain(labels.iter().copied()).collect();
        counter(family, &all, of(&worker.counters).get())?;
    }
    Ok(())
}

fn counter(family: &mut MetricEncoder<'_>, labels: Labels<'_>, value: u64) -> fmt::Result {
    family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)
}

fn gauge(mut family: MetricEncoder<'_>, labels: Labels<'_>, value: u64) -> fmt::Result {
    if labels.is_empty() {
        return family.encode_gauge(&value);
    }
    family.encode_family(&labels)?.encode_gauge(&value)
}

#[cfg(test)]
mod tests;
