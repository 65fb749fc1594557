//! Puts commands into workers' mailboxes, also into full ones.

use std::time::Duration;

use penstock_core::control::{Command, Mailbox};

/// Between two tries at a full mailbox.
const PAUSE: Duration = Duration::from_millis(2);
/// A worker that takes nothing for so long (10 s) is taken for dead.
const TRIES: usize = 5000;

/// Posts a command now, or as soon as there is room: nobody waits for it. Needs the event loop.
pub(crate) fn post(mailbox: &Mailbox, command: Command) {
    if let Err(refused) = mailbox.post(command) {
        let mailbox = mailbox.clone();
        tokio::spawn(async move { deliver(&mailbox, refused).await });
    }
}

/// Posts a command, again and again while the mailbox is full. False: the worker takes none any more.
pub(crate) async fn deliver(mailbox: &Mailbox, mut command: Command) -> bool {
    for _ in 0..TRIES {
        match mailbox.post(command) {
            Ok(()) => return true,
            Err(refused) => command = refused,
        }
        tokio::time::sleep(PAUSE).await;
    }
    tracing::error!(?command, "a worker takes no commands");
    false
}

#[cfg(test)]
pub(crate) mod testing {
    use std::sync::Arc;

    use penstock_core::control::Mailbox;
    use penstock_core::ring::Wake;

    /// Wakes nobody: the test looks by itself.
    struct Nobody;

    impl Wake for Nobody {
        fn wake(&self) {}
    }

    /// A mailbox whose worker is the test.
    pub(crate) fn mailbox(capacity: usize) -> Mailbox {
        Mailbox::new(capacity, Arc::new(Nobody))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_full_mailbox_is_tried_until_it_has_room() {
        let mailbox = testing::mailbox(1);
        assert!(deliver(&mailbox, Command::Stop).await);
        let (posted, taken) = tokio::join!(deliver(&mailbox, Command::Stop), async {
            tokio::time::sleep(PAUSE * 3).await;
            mailbox.take().is_some()
        });
        assert!(posted && taken && mailbox.take().is_some() && mailbox.take().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_what_is_posted_and_nothing_of_it_is_lost() {
        let mailbox = testing::mailbox(1);
        (0..3).for_each(|_| post(&mailbox, Command::Stop));
        for _ in 0..3 {
            assert!(mailbox.take().is_some());
            tokio::time::sleep(PAUSE * 3).await;
        }
        assert!(mailbox.take().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_worker_is_given_up() {
        let mailbox = testing::mailbox(1);
        assert!(deliver(&mailbox, Command::Stop).await);
        assert!(!deliver(&mailbox, Command::Stop).await);
    }
}
