//! Threads that may wait for files and names, so many for each source and so many for all.

use std::sync::Arc;

use penstock_core::control::TokenRefusal;
use tokio::sync::Semaphore;

use super::unavailable;

/// Threads that all sources may keep waiting at the same time.
pub(crate) const THREADS: usize = 128;
/// Those of one source: it takes many that hang to hold up one that does not.
const OF_ONE: usize = 8;

/// One source's threads.
#[derive(Clone)]
pub(super) struct Threads {
    all: Arc<Semaphore>,
    own: Arc<Semaphore>,
}

impl Threads {
    pub(super) fn new() -> Threads {
        let [all, own] = [THREADS, OF_ONE].map(|threads| Arc::new(Semaphore::new(threads)));
        Threads { all, own }
    }

    /// Those of another source.
    pub(super) fn of_another(&self) -> Threads {
        Threads { all: self.all.clone(), ..Threads::new() }
    }

    /// Does `work` where it may wait. The permits stay with the thread, which outlives whoever lost patience.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, TokenRefusal> + Send + 'static,
    ) -> Result<T, TokenRefusal> {
        let lost = |_| unavailable("the look-up ended without a result: a fault of Penstock's");
        let (own, all) = (self.own.clone(), self.all.clone());
        let own = own.acquire_owned().await.map_err(|_| lost(()))?;
        let all = all.acquire_owned().await.map_err(|_| lost(()))?;
        let work = tokio::task::spawn_blocking(move || {
            let _permits = (own, all);
            work()
        });
        work.await.map_err(|_| lost(()))?
    }
}
