//! Threads on which one may wait: for files, names and devices.
//!
//! In: work that may hang. Out: its result. Each user has so many threads and no more, perhaps as a part of what several have together: what hangs keeps
//! its thread, and holds up only those with whom it shares the number.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// So many threads at a time.
#[derive(Clone)]
pub(crate) struct Threads {
    own: Arc<Semaphore>,
    /// What these are a part of.
    whole: Option<Arc<Semaphore>>,
}

impl Threads {
    pub(crate) fn new(most: usize) -> Threads {
        Threads { own: Arc::new(Semaphore::new(most)), whole: None }
    }

    /// So many of these, for one of those who have them together.
    pub(crate) fn part(&self, most: usize) -> Threads {
        Threads { whole: Some(self.own.clone()), ..Threads::new(most) }
    }

    /// Does `work` once there is a thread for it. None: it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        // Never closed. Permits stay with the thread, which outlives whoever loses patience.
        let own = self.own.clone().acquire_owned().await.ok()?;
        let whole = match self.whole.clone() {
            Some(whole) => Some(whole.acquire_owned().await.ok()?),
            None => None,
        };
        let work = spawn_blocking(move || {
            let _permits = (own, whole);
            work()
        });
        work.await.ok()
    }

    /// Does `work`, and waits for it so long. None: not in time, or it panicked.
    pub(crate) async fn run_within<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        timeout(patience, self.run(work)).await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(50);

    /// Work that hangs until the sender is dropped.
    fn hanging() -> (Sender<()>, impl FnOnce() + Send + 'static) {
        let (hang, release) = channel();
        (hang, move || release.recv().unwrap_or_default())
    }

    #[tokio::test]
    async fn what_hangs_keeps_its_thread_after_patience_has_ended() {
        let threads = Threads::new(1);
        let (hang, work) = hanging();
        assert_eq!(threads.run_within(SHORT, work).await, None);
        assert_eq!(threads.run_within(SHORT, || 1).await, None, "there is but one");
        drop(hang);
        assert_eq!(threads.run_within(LIMIT, || 1).await, Some(1));
    }

    #[tokio::test]
    async fn one_part_that_hangs_holds_up_no_other_and_all_together_are_bounded() {
        let whole = Threads::new(3);
        let [one, another, third] = [2, 2, 2].map(|most| whole.part(most));
        let (hangs, work): (Vec<_>, Vec<_>) = (0..3).map(|_| hanging()).unzip();
        let mut work = work.into_iter();
        for threads in [&one, &one] {
            let hangs = work.next().expect("three");
            assert_eq!(threads.run_within(SHORT, hangs).await, None);
        }
        assert_eq!(one.run_within(SHORT, || 1).await, None, "it has no other");
        assert_eq!(another.run_within(LIMIT, || 1).await, Some(1));
        assert_eq!(another.run_within(SHORT, work.next().expect("three")).await, None);
        assert_eq!(third.run_within(SHORT, || 1).await, None, "together they have no other");
        drop(hangs);
        assert_eq!(third.run_within(LIMIT, || 1).await, Some(1));
    }

    #[tokio::test]
    async fn work_that_panics_has_no_result_and_gives_its_thread_back() {
        let threads = Threads::new(1);
        assert_eq!(threads.run(|| panic!("on purpose")).await, None::<()>);
        assert_eq!(threads.run_within(LIMIT, || 1).await, Some(1));
    }
}
