//! What a session may use while it takes one step.

use std::ops::ControlFlow;
use std::sync::Arc;

use penstock_ring::{Kernel, Time};

use crate::close::CloseReason;
use crate::control::Outside;
use crate::metrics::Counters;
use crate::relay::Way;
use crate::sessions::Handle;
use crate::shared::Shared;

/// Whether a session goes on, or why it ends.
pub(crate) type Step = ControlFlow<CloseReason>;

/// A direction that has splicing to do in the next turn.
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
    /// Directions that want another go.
    pub runnable: Vec<Runnable>,
    /// Index of the worker.
    pub worker: u8,
    /// The time of this turn.
    pub now: Time,
    /// Number of this turn; wraps.
    pub number: u32,
}
