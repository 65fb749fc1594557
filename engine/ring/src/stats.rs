//! What a driver counts: one writer (its worker), any number of readers, no locked instruction on the way.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number with a single writer. Readers may be a moment behind; they never see a torn value.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds; only the owning worker may call this.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Subtracts; only the owning worker may call this.
    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(n), Relaxed);
    }

    /// Sets; only the owning worker may call this.
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident: $kind:ident,)*) => {
        /// Gauges and counters of one driver. Aligned so that no two workers write one cache line.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct Stats { $($(#[$doc])* pub $name: Count,)* }

        impl Stats {
            /// Each number's name, whether it is a gauge (else a counter), and its value.
            pub fn each(&self, mut visit: impl FnMut(&'static str, bool, u64)) {
                $(visit(stringify!($name), stringify!($kind) == "gauge", self.$name.get());)*
            }
        }
    };
}

stats! {
    /// Legs open, listeners included, also those that wait for their last outcome.
    legs: gauge,
    /// Operations the kernel has not answered yet.
    in_flight: gauge,
    /// Pool buffers of all groups.
    buffers_total: gauge,
    /// Pool buffers that nobody holds (those posted to the kernel count as free).
    buffers_free: gauge,
    /// Legs that wait for a buffer.
    receivers_waiting: gauge,
    /// Pipes made and alive.
    pipes: gauge,
    /// Pipes that a direction holds.
    pipes_in_use: gauge,
    /// Times that the kernel found no buffer and a receive had to wait or start again.
    buffers_exhausted: counter,
    /// Multishot receives or accepts that ended by themselves and were started again.
    multishot_rearmed: counter,
    /// Pipes refused because splicing is off, or the leg is no socket.
    pipe_off: counter,
    /// Pipes refused because the pool is bounded.
    pipe_pool_empty: counter,
    /// Pipes that came out too small: the user's quota is used up.
    pipe_quota: counter,
    /// pipe2(2) failures.
    pipe_failed: counter,
    /// Pipes destroyed because bytes were left in them.
    pipe_destroyed: counter,
    /// Splices handed to the ring.
    splice_ring: counter,
    /// Splices made on the worker.
    splice_inline: counter,
    /// Outcomes of a slot's former tenant, dropped.
    stale: counter,
    /// Completions that did not fit the completion queue at once.
    overflow: counter,
    /// Times that the submission queue was full and had to be flushed early.
    submission_full: counter,
    /// Wake-ups from other threads.
    wakes: counter,
    /// Wake-ups sent as a ring message.
    wakes_by_message: counter,
    /// Accepts that failed.
    accept_failed: counter,
    /// Bytes received into pool buffers.
    received_bytes: counter,
    /// Calls of `wait`.
    turns: counter,
    /// Of these, the ones that were spared a sleep by looking again and again.
    busy_polled: counter,
}
