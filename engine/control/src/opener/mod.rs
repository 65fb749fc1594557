//! Doors opened for workers: what may wait a little, and what needs another process.
//!
//! ```text
//!  worker ── Asked ──▶ opener ──▶ UNIX socket │ terminal │ program (spawner) │ pages │ demo console │ KubeVirt
//!         ◀─ Opened ─────────────────┘
//!         ── Ended, with the record ──▶ what is left of terminals and programs is put away ──▶ access log
//! ```
//!
//! In: questions of workers, and records of those connections for which something is kept here. Out: descriptors in workers' mailboxes,
//! or why there is none, and what to do; records with what a program said. A worker's place in the queue is reserved before it asks, so that
//! no end is ever lost.

mod errors;
mod hub;
mod kube_virt;
mod program;
mod terminal;
mod unix;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use penstock_core::config::{Config, Door};
use penstock_core::control::{Command, Mailbox, OpenError, Record, SessionId};
use penstock_core::ring::Errno;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::access_log;
use crate::demo::Consoles;
use crate::demo::page::Page;
use crate::mailman::post;
use crate::spawner::Spawner;
use crate::state::OpenerCounts;
use crate::waiting::Threads;
use crate::web::Sites;
use hub::Hub;
use kube_virt::KubeVirt;

/// Doors asked for and those that are looked after, together. Whoever comes beyond that is refused by the queue.
pub(crate) const DOORS_MAX: usize = 4096;
/// Threads that wait for the file system and for devices.
const OPENINGS_AT_ONCE: usize = 16;
/// Threads that wait for devices that are closed. The others wait with their devices open.
const CLOSINGS_AT_ONCE: usize = 16;
/// Those two, and one for the end of who starts programs.
pub(crate) const THREADS: usize = OPENINGS_AT_ONCE + CLOSINGS_AT_ONCE + 1;
/// Programs whose last words are waited for after their tunnels have ended: what is left of each holds a descriptor that is no tunnel's.
const LEAVING: usize = 128;
/// How long an opening may take. Below the default connect time-out, so that the client learns what was slow.
const PATIENCE: Duration = Duration::from_secs(9);
/// How long the last lines may take to be complete, at the end of the daemon: programs have their time, and some more.
const LAST_LINES: Duration = Duration::from_millis(1500);

/// What a worker tells.
#[derive(Debug)]
pub(crate) enum Notice {
    /// It needs a descriptor.
    Asked { id: SessionId, door: Arc<Door>, mailbox: Mailbox },
    /// A connection has ended for which something is kept here.
    Ended(Box<Record>, SystemTime),
}

/// A record, and the time of the end.
type Ended = (Box<Record>, SystemTime);
type Opened = Result<OwnedFd, OpenError>;

/// What every opening needs.
#[derive(Clone)]
struct Tools {
    openings: Threads,
    closings: Threads,
    leaving: Arc<Semaphore>,
    /// How long a record waits for those of a program whose input has ended.
    last_words: Duration,
    /// None: no program was configured.
    hub: Option<Arc<Hub>>,
    access_log: access_log::Sender,
    counts: Arc<OpenerCounts>,
    sites: Arc<Sites>,
    consoles: Arc<Consoles>,
    kube_virt: Arc<KubeVirt>,
}

pub(crate) struct Opener {
    tools: Tools,
    /// Connections that something is kept for.
    kept: HashMap<SessionId, oneshot::Sender<Ended>>,
    tasks: JoinSet<()>,
}

impl Opener {
    /// One whose programs are started by `spawner`, and whose page shows what `config` serves. To be called on the event loop.
    pub(crate) fn new(
        spawner: Option<Spawner>,
        access_log: access_log::Sender,
        counts: Arc<OpenerCounts>,
        config: &Config,
    ) -> std::io::Result<Opener> {
        let hub = spawner.map(|spawner| Hub::new(spawner, counts.clone())).transpose()?;
        let [openings, closings] = [OPENINGS_AT_ONCE, CLOSINGS_AT_ONCE].map(Threads::new);
        let leaving = Arc::new(Semaphore::new(LEAVING));
        let (sites, consoles) = (Sites::new(Page::new(config)), Arc::new(Consoles::new()));
        let kube_virt = Arc::new(KubeVirt::new());
        let tools = Tools {
            openings,
            closings,
            leaving,
            last_words: program::LAST_WORDS,
            hub,
            access_log,
            counts,
            sites,
            consoles,
            kube_virt,
        };
        Ok(Opener { tools, kept: HashMap::new(), tasks: JoinSet::new() })
    }

    /// Opens until it is told to finish; then it sees to what has ended, and to nothing new.
    pub(crate) async fn run(
        mut self,
        mut notices: mpsc::Receiver<Notice>,
        mut finish: oneshot::Receiver<()>,
    ) {
        loop {
            tokio::select! {
                notice = notices.recv() => match notice {
                    Some(notice) => self.take(notice),
                    None => break,
                },
                Some(_) = self.tasks.join_next() => {}
                _ = &mut finish, if !notices.is_closed() => notices.close(),
            }
        }
        // Whoever still waits for an end hears of none.
        self.kept.clear();
        while self.tasks.join_next().await.is_some() {}
    }

    fn take(&mut self, notice: Notice) {
        match notice {
            Notice::Asked { id, door, mailbox } => {
                let (end, ended) = oneshot::channel();
                let tools = self.tools.clone();
                if is_kept(&door) {
                    self.kept.insert(id, end);
                }
                self.tasks.spawn(async move {
                    match &*door {
                        Door::Unix(paths) => {
                            let opened = unix::connect(paths, &tools).await;
                            tools.answer(&mailbox, id, opened);
                        }
                        Door::Within { folder, name } => {
                            let opened = unix::connect_within(folder, name, &tools).await;
                            tools.answer(&mailbox, id, opened);
                        }
                        Door::Terminal(serial) => {
                            terminal::serve(id, serial, &mailbox, ended, &tools).await;
                        }
                        Door::Command(command) => {
                            program::serve(id, command, &mailbox, ended, &tools).await;
                        }
                        Door::Web { web, cut } => {
                            tools.answer(&mailbox, id, tools.sites.open(web, cut.clone()));
                        }
                        Door::Demo => tools.answer(&mailbox, id, tools.consoles.open(id)),
                        Door::KubeVirt(console) => {
                            tools.answer(&mailbox, id, tools.kube_virt.open(console).await);
                        }
                    }
                });
            }
            Notice::Ended(record, at) => {
                let waiting = self.kept.remove(&record.id);
                let ended = (record, at);
                let refused = match waiting {
                    Some(waiting) => waiting.send(ended).err(),
                    None => Some(ended),
                };
                if let Some((record, at)) = refused {
                    self.tools.access_log.record(*record, at);
                }
            }
        }
    }
}

/// Whether something is left of a door after its connection, for which somebody has to hear of the end.
pub(crate) fn is_kept(door: &Door) -> bool {
    matches!(door, Door::Terminal(_) | Door::Command(_))
}

/// Tells the opener that all workers have ended, and waits for what is still to be said.
pub(crate) async fn finish(finish: oneshot::Sender<()>, opener: tokio::task::JoinHandle<()>) {
    let _ = finish.send(());
    let _ = timeout(LAST_LINES, opener).await;
}

impl Tools {
    /// Posts the answer.
    fn answer(&self, mailbox: &Mailbox, id: SessionId, result: Opened) {
        self.counts.opened[usize::from(result.is_err())].fetch_add(1, Relaxed);
        post(mailbox, Command::Opened { id, result });
    }

    /// Does `work` on a thread that may wait.
    async fn blocking<T: Send + 'static>(
        &self,
        what: &str,
        work: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
    ) -> Result<T, OpenError> {
        let late = || {
            let detail = format!("{what} can't be opened in time");
            OpenError { errno: Errno::ETIMEDOUT, detail: detail.into() }
        };
        self.openings.run_within(PATIENCE, work).await.unwrap_or_else(|| Err(late()))
    }
}

#[cfg(test)]
mod tests;
