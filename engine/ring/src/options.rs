//! What a driver is made with: limits, socket options, and the features it may use.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Stats;
use crate::buffers::PoolSizes;

/// Which driver carries a worker.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Driver {
    /// io_uring, from Linux 6.1.
    Uring,
    /// epoll(7), everywhere.
    Epoll,
}

/// How splices are made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SpliceMode {
    /// splice(2) on the worker, after readiness. What `auto` means: it was measured to cost half of `Ring`.
    Inline,
    /// `IORING_OP_SPLICE`, after readiness. On epoll the same as `Inline`.
    Ring,
    /// Never: every byte is copied.
    Off,
}

/// TCP options of every leg that is accepted or connected. `TCP_NODELAY` is always set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SocketOptions {
    /// Idle time before the first keepalive probe, and between probes; none: no keepalive.
    pub keepalive: Option<Duration>,
    /// `TCP_USER_TIMEOUT`: how long sent bytes may stay unacknowledged; none: the system's limit. Linux counts the time
    /// that a living peer's window stays closed as well, so a short one cuts off slow readers.
    pub user_timeout: Option<Duration>,
}

impl Default for SocketOptions {
    fn default() -> Self {
        SocketOptions { keepalive: Some(Duration::from_secs(30)), user_timeout: None }
    }
}

/// Everything a driver must know before it starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// Buffers of the pool, a hard limit.
    pub buffers: PoolSizes,
    /// Pipes alive at once, a hard limit.
    pub pipes: usize,
    /// Size asked of a new pipe, in bytes.
    pub pipe_size: usize,
    /// A pipe whose true size came out smaller than this is given up: the user's quota is used up.
    pub pipe_size_min: usize,
    /// How splices are made.
    pub splice: SpliceMode,
    /// Options of TCP legs.
    pub socket: SocketOptions,
    /// How long a wait looks for outcomes again and again before it sleeps; zero: it sleeps at once.
    pub busy_poll: Duration,
    /// Features hidden from the driver.
    pub mask: Mask,
    /// From when on [`Time`](crate::Time) counts: the same for all workers that compare times.
    pub epoch: Instant,
    /// Where the driver counts.
    pub stats: Arc<Stats>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            buffers: PoolSizes::of_memory(64 << 20),
            pipes: 64,
            pipe_size: 1 << 20,
            pipe_size_min: 64 << 10,
            splice: SpliceMode::Inline,
            socket: SocketOptions::default(),
            busy_poll: Duration::ZERO,
            mask: Mask::default(),
            epoch: Instant::now(),
            stats: Arc::default(),
        }
    }
}

macro_rules! features {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Something of the operating system that a driver can do without. Each has a fallback.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Feature { $($(#[$doc])* $name,)* }

        impl Feature {
            /// All features.
            pub const ALL: &'static [Feature] = &[$(Feature::$name,)*];

            /// Its name in `PENSTOCK_MASK`, logs and metrics.
            pub fn name(self) -> &'static str {
                match self { $(Feature::$name => $text,)* }
            }
        }
    };
}

features! {
    /// io_uring as a whole; without it, epoll.
    Uring = "uring",
    /// `IORING_SETUP_DEFER_TASKRUN`; without it, completions that come meanwhile cut a splice(2) short.
    DeferTaskrun = "defer-taskrun",
    /// The ring's own descriptor registered; without it, looked up at each system call.
    RegisteredRing = "registered-ring",
    /// Multishot receive; without it, one receive per buffer.
    MultishotReceive = "multishot-receive",
    /// Multishot accept; without it, one accept per connection.
    MultishotAccept = "multishot-accept",
    /// Waking a ring by a message (`IORING_REGISTER_SEND_MSG_RING`, 6.13); without it, an eventfd.
    RingMessage = "ring-message",
    /// splice(2); without it, every byte is copied.
    Splice = "splice",
}

/// A set of hidden features.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Mask(u32);

impl Mask {
    /// Reads `feature,feature,…`; empty text hides nothing.
    ///
    /// # Errors
    /// The first name that is no feature.
    pub fn parse(text: &str) -> Result<Mask, String> {
        let mut mask = Mask::default();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let feature =
                Feature::ALL.iter().find(|f| f.name() == name).ok_or_else(|| name.to_owned())?;
            mask = mask.hide(*feature);
        }
        Ok(mask)
    }

    /// The same set with one feature more.
    #[must_use]
    pub fn hide(self, feature: Feature) -> Mask {
        Mask(self.0 | 1 << feature as u32)
    }

    /// Whether a feature is hidden.
    pub fn hides(self, feature: Feature) -> bool {
        self.0 & 1 << feature as u32 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_names_features_and_refuses_others() {
        let mask = Mask::parse("uring, splice").expect("both exist");
        assert!(
            mask.hides(Feature::Uring)
                && mask.hides(Feature::Splice)
                && !mask.hides(Feature::RingMessage)
        );
        assert_eq!(Mask::parse("uring,sendfile"), Err("sendfile".to_owned()));
        assert_eq!(Mask::parse(""), Ok(Mask::default()));
    }
}
