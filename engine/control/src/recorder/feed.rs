//! A worker's end: which of its connections are recorded, and of which of them something was lost on the way.

use std::collections::HashMap;
use std::time::Instant;

use penstock_core::control::{Piece, SessionId};

use super::{Sender, Told};

/// No call waits.
pub(crate) struct Feed {
    sender: Sender,
    sessions: HashMap<SessionId, Followed>,
}

struct Followed {
    listener: u16,
    /// Its first piece is on its way.
    is_begun: bool,
    /// Bytes were lost since the last piece.
    gap: bool,
}

impl Feed {
    pub(super) fn new(sender: Sender) -> Feed {
        Feed { sender, sessions: HashMap::new() }
    }

    /// What passes through a connection of this listener will come.
    pub(crate) fn begin(&mut self, id: SessionId, listener: u16) {
        self.sessions.insert(id, Followed { listener, is_begun: false, gap: false });
    }

    /// Hands over a piece of a stream, or remembers where it is missing.
    pub(crate) fn record(&mut self, piece: Piece) {
        let Some(followed) = self.sessions.get_mut(&piece.id) else { return };
        let first = (!followed.is_begun).then_some(followed.listener);
        let told = Told { at: Instant::now(), gap: followed.gap };
        let is_sent = self.sender.piece(piece, told, first);
        followed.is_begun |= is_sent;
        followed.gap = !is_sent;
    }

    /// A connection has ended, which need not be one that is recorded.
    pub(crate) fn end(&mut self, id: SessionId) {
        // Of a connection whose pieces were all lost, nobody has heard.
        if let Some(followed) = self.sessions.remove(&id).filter(|followed| followed.is_begun) {
            let told = Told { at: Instant::now(), gap: followed.gap };
            self.sender.ended(id, told);
        }
    }
}
