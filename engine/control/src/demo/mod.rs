//! A console to try things out with, and the page that shows it: what newcomers see first.
//!
//! ```text
//!  browser ── page, script ──▶ Web::Demo        ── WebSocket ──▶ worker ──▶ Door::Demo ──▶ shell
//! ```
//!
//! In: keys, over a socketpair. Out: what a serial console would show. It runs nothing, reads no files and changes nothing. It never holds more than some
//! 10 KiB: while its output is not taken, it reads no keys, but for the one that interrupts. Whoever takes nothing for a minute is left, and all consoles
//! together move no more than 25 MB/s, so that nobody else on this thread is kept waiting.

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
use tokio::time::{Instant as Moment, sleep, sleep_until, timeout};

use crate::pair::{full, leave, pair};
use shell::Shell;

/// Consoles at once.
const CONSOLES_MAX: usize = 64;
/// How long somebody may take nothing of what is shown.
const STALLED: Duration = Duration::from_secs(60);
/// Bytes, read or written, after which a console pauses; and how long, for each console that there is.
const BURST: usize = 256 << 10;
const PAUSE: Duration = Duration::from_millis(10);
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
        let (shell, places) = (Shell::new(id, self.started), self.places.clone());
        tokio::spawn(async move {
            let _place = place;
            serve(&ours, shell, &places).await;
            leave(&ours).await;
        });
        Ok(theirs)
    }
}

async fn serve(stream: &UnixStream, mut shell: Shell, places: &Semaphore) {
    let (mut taken_at, mut moved) = (Moment::now(), 0);
    while !shell.is_over() {
        if moved >= BURST {
            let consoles = CONSOLES_MAX - places.available_permits();
            sleep(PAUSE * consoles as u32).await;
            moved = 0;
        }
        let was_shown = shell.output().is_empty();
        let result = tokio::select! {
            result = stream.readable(), if shell.takes_input() => {
                result.and_then(|()| hear(stream, &mut shell)).map(|heard| (heard, was_shown))
            }
            result = stream.writable(), if !was_shown => {
                result.and_then(|()| speak(stream, &mut shell)).map(|said| (said, said > 0))
            }
            () = sleep_until(taken_at + STALLED), if !was_shown => return,
        };
        let Ok((length, is_taken)) = result else { return };
        moved += length;
        if is_taken {
            taken_at = Moment::now();
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

/// How many bytes came.
fn hear(stream: &UnixStream, shell: &mut Shell) -> io::Result<usize> {
    let mut input = [0; 512];
    match stream.try_read(&mut input) {
        Ok(0) => shell.end(),
        Ok(length) => {
            shell.hear(&input[..length]);
            return Ok(length);
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => return Err(error),
    }
    Ok(0)
}

/// How many bytes were taken.
fn speak(stream: &UnixStream, shell: &mut Shell) -> io::Result<usize> {
    match stream.try_write(shell.output()) {
        Ok(length) => {
            shell.spoken(length);
            Ok(length)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
