//! The program around the engine, where it has a word in who gets what, or wants to know what became of it.

use penstock_core::control::{Asked, Mailbox, Record, SessionId};

/// What such a program does. It is called on the threads that carry bytes: no call may wait.
pub trait Host: Send + Sync {
    /// Is asked about a client. The answer goes to the mailbox, as [`Command::Authorised`](penstock_core::control::Command::Authorised) with
    /// the same id, now or later; it may find nobody.
    ///
    /// # Errors
    /// Gives the question back if there are too many already.
    fn authorise(
        &self,
        id: SessionId,
        asked: Box<Asked>,
        mailbox: Mailbox,
    ) -> Result<(), Box<Asked>>;

    /// Is told of every end: of what was handed over, and of what came to the listeners, asked about or not.
    fn finished(&self, record: &Record);
}
