//! Doors opened for workers: what may wait a little, and what needs another process.
//!
//! In: questions of workers. Out: descriptors in their mailboxes, or why there is none. It keeps nothing of what it opened.

use std::os::fd::OwnedFd;

use penstock_core::config::Door;
use penstock_core::control::{Command, Mailbox, OpenError, SessionId};
use penstock_core::ring::unix::connect_unix;

use crate::mailman::deliver;

/// Opens a door and posts the answer.
pub(crate) fn open(id: SessionId, door: &Door, mailbox: Mailbox) {
    let result = opened(door);
    if let Err(refused) = mailbox.post(Command::Opened { id, result }) {
        tokio::spawn(async move { deliver(&mailbox, refused).await });
    }
}

fn opened(door: &Door) -> Result<OwnedFd, OpenError> {
    match door {
        Door::Unix(paths) => {
            let there = paths.iter().find(|path| path.exists()).or(paths.last());
            let path = there.map_or("".as_ref(), |path| path.as_path());
            connect_unix(path).map_err(|errno| OpenError {
                errno,
                detail: format!("can't connect to {}", path.display()).into(),
            })
        }
        Door::Terminal(serial) => Err(OpenError {
            errno: penstock_core::ring::Errno::ENOSYS,
            detail: format!("can't open {}", serial.device).into(),
        }),
        Door::Command(_) => Err(OpenError {
            errno: penstock_core::ring::Errno::ENOSYS,
            detail: "can't run programs".into(),
        }),
    }
}
