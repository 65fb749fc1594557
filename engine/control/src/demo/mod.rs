//! A console to try things out with, and the page that shows it: what newcomers see first.
//!
//! ```text
//!  browser ── page, script ──▶ Web::Demo        ── WebSocket ──▶ worker ──▶ Door::Demo ──▶ shell
//! ```
//!
//! In: keys, over a socketpair. Out: what a serial console would show. It runs nothing, reads no files and changes nothing. It never holds more than a
//! few KiB: while its output is not taken, it reads no keys, but for the one that interrupts.

mod commands;
pub(crate) mod page;
mod served;
mod shell;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use penstock_core::control::{OpenError, SessionId};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::pair::{full, leave, pair};
use shell::Shell;

/// Consoles at once.
const CONSOLES_MAX: usize = 64;
/// For the last words, once somebody has gone.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The consoles of this process.
pub(crate) struct Consoles {
    started: Instant,
    places: Arc<Semaphore>,
}

impl Consoles {
    /// Those of a process that has just started.
    pub(crate) fn new() -> Consoles {
        Consoles { started: Instant::now(), places: Arc::new(Semaphore::new(CONSOLES_MAX)) }
    }

    /// A console for the connection `id`; needs the event loop.
    pub(crate) fn open(&self, id: SessionId) -> Result<OwnedFd, OpenError> {
        let place = self.places.clone().try_acquire_owned();
        let place = place.map_err(|_| full("the demo console", CONSOLES_MAX))?;
        let (theirs, ours) = pair()?;
        let shell = Shell::new(id, self.started);
        tokio::spawn(async move {
            let _place = place;
            serve(&ours, shell).await;
            leave(&ours).await;
        });
        Ok(theirs)
    }
}

async fn serve(stream: &UnixStream, mut shell: Shell) {
    while !shell.is_over() {
        let result = tokio::select! {
            result = stream.readable(), if shell.takes_input() => {
                result.and_then(|()| hear(stream, &mut shell))
            }
            result = stream.writable(), if !shell.output().is_empty() => {
                result.and_then(|()| speak(stream, &mut shell))
            }
        };
        if result.is_err() {
            return;
        }
    }
    let last_words = async {
        while !shell.output().is_empty() {
            stream.writable().await?;
            speak(stream, &mut shell)?;
        }
        io::Result::Ok(())
    };
    let _ = timeout(LAST_WORDS, last_words).await;
}

fn hear(stream: &UnixStream, shell: &mut Shell) -> io::Result<()> {
    let mut input = [0; 512];
    match stream.try_read(&mut input) {
        Ok(0) => shell.end(),
        Ok(length) => shell.hear(&input[..length]),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

fn speak(stream: &UnixStream, shell: &mut Shell) -> io::Result<()> {
    match stream.try_write(shell.output()) {
        Ok(length) => shell.spoken(length),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
