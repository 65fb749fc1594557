//! What a worker counts about sessions: one writer, any number of readers, summed by whoever reads.

use std::time::Duration;

use penstock_ring::Count;

use crate::close::CloseReason;

/// The two ways of moving bytes, as metric labels.
pub const MOVERS: [&str; 2] = ["copy", "splice"];
/// The two directions, as metric labels.
pub const DIRECTIONS: [&str; 2] = ["client_to_target", "target_to_client"];
/// The phases whose latency is measured, as metric labels.
pub const SETUP_PHASES: [&str; 4] = ["request", "resolve", "connect", "total"];

/// What becomes of handshakes, as metric labels.
pub const HANDSHAKES: [&str; 3] = ["full", "resumed", "failed"];

/// How VNC servers are proven to who comes in, as metric labels: in the clear, and within TLS.
pub const VNC_SECURITY: [&str; 6] = ["none", "vnc", "x509none", "x509vnc", "x509plain", "x509sasl"];
/// Who proves it.
pub const VNC_ROLES: [&str; 2] = ["bridge", "authenticate"];

/// A latency histogram: bucket `i` counts what took less than 2^i · 16 µs, the last one everything else.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Not cumulative.
    pub buckets: [Count; Histogram::BUCKETS],
    /// Nanoseconds in all.
    pub sum: Count,
}

impl Histogram {
    /// Number of buckets, the unbounded one included.
    pub const BUCKETS: usize = 22;

    /// Counts one span.
    pub fn record(&self, span: Duration) {
        let micros = span.as_micros() as u64;
        let index = (u64::BITS - (micros / 16).leading_zeros()) as usize;
        self.buckets[index.min(Self::BUCKETS - 1)].add(1);
        self.sum.add(span.as_nanos() as u64);
    }

    /// The upper bound of a bucket in seconds; none for the last.
    pub fn bound(index: usize) -> Option<f64> {
        (index + 1 < Self::BUCKETS).then(|| (16u64 << index) as f64 / 1e6)
    }
}

/// The counters of one worker. Aligned so that no two workers write one cache line.
#[derive(Debug)]
#[repr(align(128))]
pub struct Counters {
    /// Connections accepted.
    pub accepted: Count,
    /// Sessions alive, in whatever phase.
    pub sessions: Count,
    /// Tunnels alive: sessions that relay.
    pub tunnels: Count,
    /// Tunnels that ever stood.
    pub tunnels_total: Count,
    /// Ends, by [`CloseReason::index`].
    pub closed: Box<[Count]>,
    /// Connections turned away at once because of the limit.
    pub shed: Count,
    /// Times that accepting paused for want of descriptors.
    pub accept_pauses: Count,
    /// Payload bytes by direction and mover.
    pub bytes: [[Count; 2]; 2],
    /// Changes of mover, by the new mover.
    pub switches: [Count; 2],
    /// Directions that began to quiesce, and those that became quiet.
    pub quiesce: [Count; 2],
    /// Promotions given up because there was no pipe.
    pub splice_refused: Count,
    /// Runs of splicing that were put off so that more gathers.
    pub gathered: Count,
    /// Stuck directions that gave their pipe back because pipes were scarce.
    pub pipes_relieved: Count,
    /// Directions that changed between small and large buffers.
    pub refits: Count,
    /// Answers and cancellations that came for a session that was gone or did not wait.
    pub answers_stale: Count,
    /// Outcomes of sessions that were gone.
    pub outcomes_stale: Count,
    /// Questions that could not be asked.
    pub questions_refused: Count,
    /// Tunnels that were handed over.
    pub handed_over: Count,
    /// Handshakes by [`Side`](crate::close::Side) (client, target), as in [`HANDSHAKES`].
    pub handshakes: [[Count; 3]; 2],
    /// Logins at VNC servers that went well, as in [`VNC_ROLES`] and [`VNC_SECURITY`].
    pub vnc_logins: [[Count; 6]; 2],
    /// Records that were opened, and sealed, outside of the buffers that they came in, for want of room.
    pub tls_apart: [Count; 2],
    /// Requests for WebSocket that were answered with 101, by payload: bytes, and Base64.
    pub upgrades: [Count; 2],
    /// Messages that were put together outside of the buffers that their payload came in.
    pub frames_apart: Count,
    /// Requests for pages that went on to the web server.
    pub page_requests: Count,
    /// Times that a client was asked whether it is there.
    pub pings: Count,
    /// Times that a direction stopped reading because its sink was slow.
    pub backpressure: Count,
    /// Idle time-outs put off because a sibling tunnel was busy.
    pub idle_spared: Count,
    /// Set-up latencies, as in [`SETUP_PHASES`].
    pub setup: [Histogram; 4],
}

impl Default for Counters {
    fn default() -> Self {
        Counters {
            accepted: Count::default(),
            sessions: Count::default(),
            tunnels: Count::default(),
            tunnels_total: Count::default(),
            closed: (0..CloseReason::COUNT).map(|_| Count::default()).collect(),
            shed: Count::default(),
            accept_pauses: Count::default(),
            bytes: Default::default(),
            switches: Default::default(),
            quiesce: Default::default(),
            splice_refused: Count::default(),
            gathered: Count::default(),
            pipes_relieved: Count::default(),
            refits: Count::default(),
            answers_stale: Count::default(),
            outcomes_stale: Count::default(),
            questions_refused: Count::default(),
            handshakes: Default::default(),
            handed_over: Count::default(),
            vnc_logins: Default::default(),
            tls_apart: Default::default(),
            upgrades: Default::default(),
            frames_apart: Count::default(),
            page_requests: Count::default(),
            pings: Count::default(),
            backpressure: Count::default(),
            idle_spared: Count::default(),
            setup: Default::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_lands_below_its_bound() {
        let histogram = Histogram::default();
        for micros in [0, 15, 16, 31, 1_000_000, u64::MAX / 2000] {
            histogram.record(Duration::from_micros(micros));
        }
        let counts: Vec<u64> = histogram.buckets.iter().map(Count::get).collect();
        assert_eq!((counts[0], counts[1], counts[16], counts[21]), (2, 2, 1, 1));
        assert_eq!(Histogram::bound(0), Some(16e-6));
        assert_eq!(Histogram::bound(21), None);
    }
}
