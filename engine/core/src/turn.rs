//! What a session may use while it takes one step.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use penstock_ring::{Kernel, Time};

use crate::close::CloseReason;
use crate::control::Outside;
use crate::gathering::Gathering;
use crate::metrics::Counters;
use crate::relay::Way;
use crate::sessions::Handle;
use crate::shared::Shared;

/// Whether a session goes on, or why it ends.
pub(crate) type Step = ControlFlow<CloseReason>;

/// A direction that has splicing to do.
pub(crate) type Runnable = (Handle, Way);

/// The worker, as a session sees it during one step.
pub(crate) struct Turn<K: Kernel> {
    /// The operating system.
    pub kernel: K,
    /// The worker's counters.
    pub counters: Arc<Counters>,
    /// What all workers share, touched at set-up and end only.
    pub shared: Arc<Shared>,
    /// Where questions and records go.
    pub outside: Box<dyn Outside>,
    /// Directions that wait for a run, in order.
    pub runnable: VecDeque<Runnable>,
    /// Bytes that went into pipes in this turn.
    pub spliced: usize,
    /// Directions between two runs.
    pub gathering: Gathering,
    /// Index of the worker.
    pub worker: u8,
    /// The time of this turn.
    pub now: Time,
    /// Number of this turn; wraps.
    pub number: u32,
}
