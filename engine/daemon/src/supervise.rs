//! Signals and systemd, from ready to the end.
//!
//! ```text
//! Serving ──SIGTERM/SIGINT──▶ Draining ──SIGTERM/SIGINT──▶ Stopping ──▶ ended
//!    │ └────── workers ended ────┴──────────────────────────────┤
//!    └─ its own end is reached ─▶ Winding up ── nobody left, SIGTERM/SIGINT ─┘
//! ```

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use penstock_config::websockify::Ending;
use penstock_control::Handle;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::ending;

/// How far an orderly end has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Serving,
    WindingUp,
    Draining,
    Stopping,
}

/// The signals that mean something to the daemon.
fn ours() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1].into_iter().collect()
}

/// Holds back our signals in this thread and all that it starts. To be called before any thread is started, so that
/// workers are never interrupted.
pub(crate) fn block_signals() -> io::Result<()> {
    Ok(ours().thread_block()?)
}

/// Says that the engine serves, and obeys signals until it has ended. `moved` is set when somebody has moved files of logs away.
pub(crate) async fn until_ended(
    handle: Handle,
    drain_timeout: Duration,
    own_end: Ending,
    moved: Arc<AtomicBool>,
    mut ended: oneshot::Receiver<()>,
) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut reopen = signal(SignalKind::user_defined1())?;
    // What came while they were held back is delivered now.
    ours().thread_unblock()?;
    tell_systemd(NotifyState::Ready);
    tracing::info!("ready");
    let mut phase = Phase::Serving;
    let mut reached = pin!(ending::reached(own_end, &handle));
    let mut wound_up = pin!(ending::wind_up(&handle));
    loop {
        tokio::select! {
            // The sender goes with the thread that waits for the workers: gone or said, they have ended.
            _ = &mut ended => {
                tracing::info!("ended");
                return Ok(());
            }
            _ = terminate.recv() => phase = advance(phase, &handle, drain_timeout),
            _ = interrupt.recv() => phase = advance(phase, &handle, drain_timeout),
            _ = reopen.recv() => {
                moved.store(true, Relaxed);
                handle.reopen_logs();
            }
            why = &mut reached, if phase == Phase::Serving => {
                tell_systemd(NotifyState::Stopping);
                tracing::info!("{why}");
                phase = Phase::WindingUp;
            }
            () = &mut wound_up, if phase == Phase::WindingUp => {
                phase = advance(phase, &handle, drain_timeout);
            }
        }
    }
}

fn advance(phase: Phase, handle: &Handle, drain_timeout: Duration) -> Phase {
    let tunnels = handle.tunnels();
    match phase {
        Phase::Serving => {
            tell_systemd(NotifyState::Stopping);
            tracing::info!(
                tunnels,
                ?drain_timeout,
                "draining; another signal ends the tunnels now"
            );
            handle.drain(drain_timeout);
            Phase::Draining
        }
        Phase::WindingUp | Phase::Draining | Phase::Stopping => {
            tracing::info!(tunnels, "stopping");
            handle.stop();
            Phase::Stopping
        }
    }
}

fn tell_systemd(state: NotifyState<'_>) {
    // Without NOTIFY_SOCKET this does nothing.
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "can't tell the service manager");
    }
}
