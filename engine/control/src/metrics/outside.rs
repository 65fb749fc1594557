//! Numbers of what is done outside of workers: names, doors, tokens, recordings, logs.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus_client::encoding::NoLabelSet;
use prometheus_client::metrics::MetricType;

use super::{Sheet, counter, gauge};
use crate::tokens::OUTCOMES;

impl Sheet<'_, '_> {
    pub(super) fn outside(&mut self) -> fmt::Result {
        self.doors()?;
        self.tokens()?;
        self.names()?;
        self.recordings()?;
        let state = self.state;
        let help = "Log lines lost, by log";
        let mut family = self.family("log_dropped", help, MetricType::Counter)?;
        counter(&mut family, &[("log", "access")], state.access_log.dropped())?;
        counter(&mut family, &[("log", "main")], state.parts.messages_dropped.count())
    }

    fn doors(&mut self) -> fmt::Result {
        let counts = &*self.state.opener;
        let help = "Sockets, terminals, programs, pages and demo consoles opened for connections";
        let mut family = self.family("doors_opened", help, MetricType::Counter)?;
        for (result, count) in ["ok", "failed"].iter().zip(&counts.opened) {
            counter(&mut family, &[("result", result)], count.load(Relaxed))?;
        }
        self.one("programs_running", "Programs alive", &counts.running)?;
        let help = "Processes that start programs: one, where any is configured";
        self.one("spawners", help, &counts.spawner)
    }

    fn tokens(&mut self) -> fmt::Result {
        let counts = &*self.state.tokens;
        let help = "Tokens looked up, by what became of that";
        let mut family = self.family("token_lookups", help, MetricType::Counter)?;
        for (outcome, count) in OUTCOMES.iter().zip(&counts.outcomes) {
            counter(&mut family, &[("outcome", outcome)], count.load(Relaxed))?;
        }
        let help = "Look-ups of tokens under way";
        self.one("token_lookups_in_flight", help, &counts.in_flight)?;
        self.one("tokens_remembered", "Tokens whose use is remembered", &counts.remembered)
    }

    fn names(&mut self) -> fmt::Result {
        let r = &*self.state.resolver;
        for (name, help, value) in [
            ("resolver_cache_hits", "Questions answered from the cache", &r.hits),
            ("resolver_cache_misses", "Questions that began a look-up", &r.misses),
            ("resolver_joined", "Questions that waited for another's look-up", &r.joined),
            ("resolver_timeouts", "Look-ups given up", &r.timeouts),
            ("resolver_failures", "Look-ups that failed, time-outs included", &r.failures),
            ("resolver_refused", "Names not looked up since too many were pending", &r.refused),
        ] {
            self.total(name, help, value.load(Relaxed))?;
        }
        self.one("resolver_in_flight", "Look-ups under way", &r.in_flight)?;
        self.one("resolver_entries", "Names in the cache", &r.entries)
    }

    fn recordings(&mut self) -> fmt::Result {
        let Some(recorder) = &self.state.recorder else { return Ok(()) };
        let [begun, failed, lost] = recorder.counts();
        self.total("recordings", "Recordings begun", begun)?;
        let help = "Recordings that could not be written, or not to the end";
        self.total("recordings_failed", help, failed)?;
        self.total("recordings_lost_bytes", "Bytes that no recording has", lost)
    }

    fn one(&mut self, name: &str, help: &str, value: &AtomicU64) -> fmt::Result {
        gauge(self.family(name, help, MetricType::Gauge)?, &[], value.load(Relaxed))
    }

    fn total(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut family = self.family(name, help, MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }
}
