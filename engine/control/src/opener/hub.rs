//! The daemon's end of the channel to its spawner: requests go out in order, each answer goes to whoever waits for it.
//!
//! In: command lines. Out: descriptors of programs that run, and in the end how each ended. Once the spawner is gone, everybody hears so.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Child;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use penstock_core::control::SessionId;
use penstock_core::libvirt::Command;
use penstock_core::ring::{Errno, processes};
use tokio::io::Interest;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::oneshot;

use super::errors::Errors;
use crate::spawner::Spawner;
use crate::spawner::message::{Answer, End, MESSAGE_MAX, Request};
use crate::state::OpenerCounts;

pub(super) struct Hub {
    /// tokio has no name for sockets that keep messages whole and know their end. To poll them, that of others will do.
    socket: tokio::net::UnixDatagram,
    /// Programs that are to be started, and those that run. None: the spawner is gone.
    waiting: Mutex<Option<HashMap<SessionId, Waiting>>>,
    /// Held by who hands descriptors over.
    turn: tokio::sync::Mutex<()>,
    counts: Arc<OpenerCounts>,
}

/// Who waits for news of a program.
struct Waiting {
    /// None once it runs.
    started: Option<oneshot::Sender<Result<(), Errno>>>,
    ended: oneshot::Sender<End>,
}

/// What is to be heard of a program.
struct News {
    started: oneshot::Receiver<Result<(), Errno>>,
    ended: oneshot::Receiver<End>,
}

/// A program that runs.
pub(super) struct Program {
    /// Our end of its standard input and output.
    pub(super) leg: OwnedFd,
    /// What it says.
    pub(super) errors: Errors,
    /// How it ended, once it has. Fails if the spawner is gone.
    pub(super) ended: oneshot::Receiver<End>,
}

/// The spawner is gone.
const GONE: Errno = Errno::ESRCH;

impl Hub {
    /// To be called on the event loop.
    pub(super) fn new(spawner: Spawner, counts: Arc<OpenerCounts>) -> io::Result<Arc<Hub>> {
        let Spawner { process, socket } = spawner;
        let socket = UnixDatagram::from(socket);
        socket.set_nonblocking(true)?;
        let socket = tokio::net::UnixDatagram::from_std(socket)?;
        let waiting = Mutex::new(Some(HashMap::new()));
        counts.spawner.store(1, Relaxed);
        let hub = Arc::new(Hub { socket, waiting, turn: tokio::sync::Mutex::default(), counts });
        tokio::spawn(hub.clone().listen(process));
        Ok(hub)
    }

    /// Has a program started.
    ///
    /// # Errors
    /// Of fork(2) and execve(2); ESRCH if nobody is there to do it.
    pub(super) async fn start(&self, id: SessionId, command: &Command) -> Result<Program, Errno> {
        let line = [std::slice::from_ref(&command.program), &command.arguments].concat();
        let environment = command.environment.iter().map(|name| (*name).to_owned()).collect();
        let request = Request::Run { id, line, environment }.encode();
        if request.len() > MESSAGE_MAX {
            return Err(Errno::E2BIG);
        }
        // One at a time holds what will be the program's.
        let turn = self.turn.lock().await;
        let (leg, theirs) = UnixStream::pair().map_err(errno)?;
        leg.set_nonblocking(true).map_err(errno)?;
        let (errors, their_errors) = io::pipe().map_err(errno)?;
        let errors = Errors::new(Receiver::from_owned_fd(errors.into()).map_err(errno)?);
        let News { started, ended } = self.expect(id)?;
        let sent = self.send(&request, &[theirs.as_fd(), their_errors.as_fd()]).await;
        // With them here, their end would never be one.
        drop((theirs, their_errors));
        drop(turn);
        if sent.is_err() {
            self.forget(id);
        }
        sent?;
        started.await.map_err(|_| GONE)??;
        Ok(Program { leg: leg.into(), errors, ended })
    }

    /// Nobody needs it any more, or not yet.
    pub(super) async fn end(&self, id: SessionId) {
        self.forget(id);
        // Without a spawner, its programs end with their input.
        let _ = self.send(&Request::End { id }.encode(), &[]).await;
    }

    fn expect(&self, id: SessionId) -> Result<News, Errno> {
        let (starts, started) = oneshot::channel();
        let (ends, ended) = oneshot::channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let all = waiting.as_mut().ok_or(GONE)?;
        all.insert(id, Waiting { started: Some(starts), ended: ends });
        Ok(News { started, ended })
    }

    /// Whoever has not heard of a start does not wait for it any more.
    fn forget(&self, id: SessionId) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(all) = waiting.as_mut()
            && all.get(&id).is_some_and(|waiting| waiting.started.is_some())
        {
            all.remove(&id);
        }
    }

    async fn send(&self, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        let sent = self.socket.async_io(Interest::WRITABLE, || {
            Ok(processes::send(self.socket.as_fd(), message, descriptors)?)
        });
        sent.await.map_err(|error| match errno(error) {
            Errno::EPIPE | Errno::ECONNRESET => GONE,
            errno => errno,
        })
    }

    /// Hands out answers until the spawner is gone.
    async fn listen(self: Arc<Self>, mut process: Child) {
        let mut memory = [0; 64];
        loop {
            let received = self.socket.async_io(Interest::READABLE, || {
                Ok(processes::receive(self.socket.as_fd(), &mut memory)?.0)
            });
            match received.await {
                Ok(length @ 1..) => {
                    if let Some(answer) = Answer::decode(&memory[..length]) {
                        self.hand_out(answer);
                    }
                }
                Ok(0) | Err(_) => break,
            }
        }
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.counts.spawner.store(0, Relaxed);
        self.counts.running.store(0, Relaxed);
        let ended = tokio::task::spawn_blocking(move || process.wait()).await;
        let how = ended.map_or(String::new(), |ended| {
            ended.map_or_else(|error| error.to_string(), |status| status.to_string())
        });
        tracing::error!(
            how,
            "the process that starts programs has ended; those that run keep their tunnels, but no other can be started until \
             Penstock is restarted"
        );
    }

    fn hand_out(&self, answer: Answer) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(all) = waiting.as_mut() else { return };
        // Whoever does not wait any more has ended: nobody needs to know.
        match answer {
            Answer::Started { id } => {
                self.counts.running.fetch_add(1, Relaxed);
                let started = all.get_mut(&id).and_then(|waiting| waiting.started.take());
                let _ = started.map(|started| started.send(Ok(())));
            }
            Answer::Failed { id, errno } => {
                let started = all.remove(&id).and_then(|waiting| waiting.started);
                let _ = started.map(|started| started.send(Err(errno)));
            }
            Answer::Ended { id, end } => {
                self.counts.running.fetch_sub(1, Relaxed);
                let _ = all.remove(&id).map(|waiting| waiting.ended.send(end));
            }
        }
    }
}

fn errno(error: io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
