//! A program whose standard input and output are a target.
//!
//! ```text
//!  starting ──▶ running ── its tunnel has ended ──▶ ending ── a second at most ──▶ record written
//!     └─ refused, with what to do
//! ```
//!
//! In: a command line, later the record of its connection. Out: the leg, and the record with what the program said last and how it
//! ended, if that was not well; where many end at once, without that. That it ends at all is the spawner's care.

use std::path::Path;
use std::time::Duration;

use penstock_core::control::{Mailbox, OpenError, SessionId};
use penstock_core::libvirt::Command;
use penstock_core::ring::Errno;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::errors::Errors;
use super::hub::Program;
use super::{Ended, Tools};
use crate::spawner::message::End;

/// How long a record waits for the last words of a program whose input has ended, unless a test has it otherwise.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(1);

pub(super) async fn serve(
    id: SessionId,
    command: &Command,
    mailbox: &Mailbox,
    mut ended: oneshot::Receiver<Ended>,
    tools: &Tools,
) {
    let started = async {
        let hub = tools.hub.as_ref().ok_or(Errno::ESRCH)?;
        hub.start(id, command).await
    };
    let started = tokio::select! {
        started = started => started,
        ended = &mut ended => {
            // Its time is over before it runs.
            end(id, tools);
            return log(ended, tools, |_| {});
        }
    };
    let Program { leg, errors, ended: exit } = match started {
        Ok(program) => program,
        Err(errno) => {
            let detail = format!("can't run {} ({})", command.program, remedy(errno));
            tools.answer(mailbox, id, Err(OpenError { errno, detail: detail.into() }));
            return log(ended.await, tools, |_| {});
        }
    };
    tools.answer(mailbox, id, Ok(leg));
    let mut words = LastWords { errors, exit, end: None };
    let ended = tokio::select! {
        ended = &mut ended => ended,
        () = words.listen() => ended.await,
    };
    end(id, tools);
    if let Ok(_permit) = tools.leaving.try_acquire() {
        let _ = timeout(tools.last_words, words.listen()).await;
    }
    let name = Path::new(&command.program).file_name().unwrap_or_default().to_string_lossy();
    log(ended, tools, |detail| words.add_to(detail, &name));
}

/// Tells the spawner that nobody needs the program any more, without waiting for it.
fn end(id: SessionId, tools: &Tools) {
    if let Some(hub) = tools.hub.clone() {
        tokio::spawn(async move { hub.end(id).await });
    }
}

fn log(
    ended: Result<Ended, oneshot::error::RecvError>,
    tools: &Tools,
    add: impl FnOnce(&mut Option<Box<str>>),
) {
    // At the end of the daemon, there may be none.
    if let Ok((mut record, at)) = ended {
        add(&mut record.detail);
        tools.access_log.record(*record, at);
    }
}

struct LastWords {
    errors: Errors,
    exit: oneshot::Receiver<End>,
    /// Some once nothing more is to be heard; of what happened, if that is known.
    end: Option<Option<End>>,
}

impl LastWords {
    /// Listens until the program has ended and nobody writes in its name. May be dropped and called again.
    async fn listen(&mut self) {
        while self.end.is_none() || !self.errors.is_over() {
            let is_over = self.errors.is_over();
            tokio::select! {
                end = &mut self.exit, if self.end.is_none() => self.end = Some(end.ok()),
                () = self.errors.read_to_end(), if !is_over => {}
            }
        }
    }

    fn add_to(&self, detail: &mut Option<Box<str>>, name: &str) {
        let end = self.end.flatten().filter(|end| *end != End::Exit(0));
        let text = self.errors.text();
        let said = match (end, text.as_str()) {
            (None, "") => return,
            (None, text) => format!("{name}: {text}"),
            (Some(end), "") => format!("{name} {end}"),
            (Some(end), text) => format!("{name} {end}: {text}"),
        };
        *detail = Some(match detail.take() {
            Some(before) => format!("{before}; {said}").into(),
            None => said.into(),
        });
    }
}

fn remedy(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOENT => {
            "install it, or name it by its path in `command=`; of a script, the interpreter may be missing"
        }
        Errno::EACCES | Errno::EPERM => {
            "let the user that Penstock runs as execute it, and enter its folders"
        }
        Errno::ENOEXEC => "it is no program of this machine, or a script without its first line",
        Errno::E2BIG => "its command line is too long",
        Errno::EAGAIN | Errno::ENOMEM => {
            "too many processes, or too little memory: see ulimit -u, TasksMax, max_sessions"
        }
        Errno::EMFILE | Errno::ENFILE => "too many open files: see LimitNOFILE, max_sessions",
        Errno::ESRCH => {
            "the process that starts programs has ended, as the log says: restart Penstock"
        }
        _ => "execve(2) has the reason",
    }
}
