//! Threads that may wait for files and names, so many for each source and so many for all.

use penstock_core::control::TokenRefusal;

use super::unavailable;
use crate::waiting;

/// Threads that all sources may keep waiting at the same time.
pub(crate) const THREADS: usize = 128;
/// Those of one source: it takes many that hang to hold up one that does not.
const OF_ONE: usize = 8;

/// One source's threads.
#[derive(Clone)]
pub(super) struct Threads(waiting::Threads);

impl Threads {
    /// Of one more source, of all these.
    pub(super) fn of_one(all: &waiting::Threads) -> Threads {
        Threads(all.part(OF_ONE))
    }

    /// Does `work` where it may wait.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, TokenRefusal> + Send + 'static,
    ) -> Result<T, TokenRefusal> {
        let lost = || unavailable("the look-up ended without a result: a fault of Penstock's");
        self.0.run(work).await.unwrap_or_else(|| Err(lost()))
    }
}
