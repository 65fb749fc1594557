//! Tunnels of a host's own: two descriptors in, a number out; ended, asked about and listed by that number.

use std::ffi::{c_char, c_int, c_void};
use std::mem::size_of;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use penstock_core::control::{Command, Mailbox, TunnelInfo};
use penstock_core::intake::{HandOver, Tag};

use crate::descriptors::{claim, release};
use crate::edge::{self, Answer, Refusal, Structure, array, guard};
use crate::engine::penstock_engine;
use crate::numbers;
use crate::reason::penstock_phase;
use crate::registry::find;
use crate::running::Running;
use crate::status::penstock_status::{self, *};
use crate::wanted::{Wanted, status_of};

/// For a worker's answer to a question about its tunnels.
const PATIENCE: Duration = Duration::from_secs(1);

/// A tunnel or a connection of one engine, by a number: never 0. That of a tunnel which was handed over is never used again as long as the engine is there, that
/// of a connection which a listener accepted not before some 16 million others.
pub type penstock_id = u64;

/// What the client of a tunnel speaks.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum penstock_web_socket {
    /// No WebSocket: its bytes are the payload.
    None = 0,
    /// WebSocket, payload in binary messages. The host has answered its request with 101 already, without extensions.
    Binary = 1,
    /// The same with the subprotocol `base64`: payload as Base64 in text messages.
    Base64 = 2,
}

/// What the end of one direction means for the other.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum penstock_half_close {
    /// As the terms say. Plain streams (no terms): PENSTOCK_HALF_CLOSE_FORWARD, or PENSTOCK_HALF_CLOSE_CLOSE if the target is a terminal,
    /// which has no end that could be passed on.
    Default = 0,
    /// The end is passed on, and what comes the other way from then on is thrown away: the tunnel ends as soon as the other side does,
    /// too, and after two seconds at the latest (a terminal: at once).
    Close = 1,
    /// The end is passed on, and the other direction goes on until it ends, too.
    Forward = 2,
}

/// How a tunnel is made. All zero: two plain streams of which nothing was read, joined until both have ended.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct penstock_tunnel_options {
    /// sizeof(penstock_tunnel_options), as PENSTOCK_INIT() sets it.
    pub size: u32,
    /// One of penstock_web_socket.
    pub web_socket: u32,
    /// One of penstock_half_close.
    pub half_close: u32,
    /// Reserved: 0.
    pub reserved: u32,
    /// The listener of the configuration on whose terms the two are joined: TLS with either side, the answer to a WebSocket request, a login,
    /// timers. One with `target = "handed-over"`, or which asks the host (`policy = "host"`) without a target of its own. NULL: plain streams,
    /// no timers.
    pub terms: *const c_char,
    /// What the target is called in logs, lists and completions; NULL: nothing. As `host:port` it is also whom TLS with it has to prove, where
    /// the terms have `upstream_tls` without `server_name` (PENSTOCK_TERMS, if it is not of that form).
    pub target_name: *const c_char,
    /// What the host has read of the client already, client_early_length bytes: delivered before all that the client still sends. Where the
    /// terms have `tls`, these are bytes of TLS. NULL with length 0: nothing.
    pub client_early: *const c_void,
    /// Bytes at client_early; 65536 at most.
    pub client_early_length: usize,
    /// The same of the target. Where the terms have `upstream_tls`, there may be none (PENSTOCK_TERMS): they would be somebody's between.
    pub target_early: *const c_void,
    /// Bytes at target_early; 65536 at most.
    pub target_early_length: usize,
    /// Milliseconds without payload either way, after which the tunnel ends; 0: as the terms say; PENSTOCK_NEVER: none.
    pub idle_ms: u64,
    /// Milliseconds from now on, after which the tunnel ends whatever happens; 0: as the terms say; PENSTOCK_NEVER: none.
    pub lifetime_ms: u64,
    /// Milliseconds between two pings to a client that speaks WebSocket, 100 or more; 0: as the terms say, and none where they answer no
    /// requests of browsers. Who then says nothing for 90 seconds, or what the terms' `timeouts.dead_peer` says, is taken for dead; of
    /// pings that come less often than that, so long after the first.
    pub heartbeat_ms: u64,
    /// Whatever the host likes: comes back with the completion. The engine never looks at what it points to.
    pub user_data: *mut c_void,
}

/// A live tunnel or connection.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct penstock_tunnel_info {
    /// sizeof(penstock_tunnel_info), as PENSTOCK_INIT() sets it.
    pub size: u32,
    /// One of penstock_phase: how far it has come.
    pub phase: u32,
    /// Its number.
    pub id: penstock_id,
    /// The host's own, from penstock_tunnel_options or penstock_decision.
    pub user_data: *mut c_void,
    /// Payload from the client that the target's socket has accepted, in bytes.
    pub bytes_to_target: u64,
    /// The other way.
    pub bytes_to_client: u64,
    /// Since it began.
    pub age_ms: u64,
    /// Since the last payload either way.
    pub idle_ms: u64,
    /// One of penstock_strategy, for each direction: to the target, to the client.
    pub strategy: [u32; 2],
    /// The listener on whose terms it is carried.
    pub listener: [c_char; 64],
    /// The client's address and port; empty: it has none.
    pub client: [c_char; 64],
    /// What the target is called.
    pub target: [c_char; 256],
}

/// How a direction is moved.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum penstock_strategy {
    /// Through the engine's buffers.
    Copy = 0,
    /// By splice(2), past user space.
    Splice = 1,
}

// SAFETY: numbers, pointers and arrays of numbers, in C's layout, the size first.
unsafe impl Structure for penstock_tunnel_options {}
// SAFETY: as above.
unsafe impl Structure for penstock_tunnel_info {}

impl penstock_tunnel_info {
    fn of(info: &TunnelInfo, running: &Running) -> penstock_tunnel_info {
        let listener = running.config.listeners.get(usize::from(info.listener));
        let client = info.client.map(|client| client.to_string());
        let strategy = info.mover.map(|mover| match mover {
            "splice" => penstock_strategy::Splice as u32,
            _ => penstock_strategy::Copy as u32,
        });
        let [bytes_to_target, bytes_to_client] = info.bytes;
        penstock_tunnel_info {
            size: size_of::<penstock_tunnel_info>() as u32,
            phase: penstock_phase::from(info.phase) as u32,
            id: numbers::of_info(info),
            user_data: info.cookie as usize as *mut c_void,
            bytes_to_target,
            bytes_to_client,
            age_ms: info.age.as_millis() as u64,
            idle_ms: info.idle.as_millis() as u64,
            strategy,
            listener: array(listener.map_or("", |listener| &listener.name)),
            client: array(client.as_deref().unwrap_or_default()),
            target: array(info.target.as_deref().unwrap_or_default()),
        }
    }
}

/// Asks a worker, and waits for what it says.
fn ask<T: Send + 'static>(
    mailbox: &Mailbox,
    question: impl FnOnce(Box<dyn FnOnce(T) + Send>) -> Command,
) -> Answer<T> {
    let (tell, told) = channel();
    let command = question(Box::new(move |answer| {
        // Nobody may be waiting any more.
        let _ = tell.send(answer);
    }));
    if mailbox.is_closed() {
        return Err(PENSTOCK_NO_TUNNEL.into());
    }
    mailbox.post(command).map_err(|_| PENSTOCK_BUSY)?;
    told.recv_timeout(PATIENCE).map_err(|error| match error {
        RecvTimeoutError::Timeout => PENSTOCK_TIMED_OUT.into(),
        RecvTimeoutError::Disconnected => PENSTOCK_NO_TUNNEL.into(),
    })
}

/// Is told of one live tunnel; it is gone when the callback returns. 0 goes on, anything else ends the listing.
pub type penstock_told = Option<
    unsafe extern "C" fn(
        engine: penstock_engine,
        tunnel: *const penstock_tunnel_info,
        context: *mut c_void,
    ) -> c_int,
>;

/// Joins two connected descriptors: stream sockets (TCP, UNIX) or terminals. The host has taken them out of its poller, and neither reads nor
/// writes them from now on. What becomes of the tunnel is told by one completion, also if the engine is stopped meanwhile.
///
/// `options` may be NULL: two plain streams. `id` may be NULL: the host does not want to know. It is set before the completion is told.
///
/// Ownership: both descriptors pass to the engine with PENSTOCK_OK, and only then. Threads: any; never waits. Errors: PENSTOCK_NOT_STARTED,
/// PENSTOCK_STOPPED; PENSTOCK_NO_STREAM: one of them is none, or both are one; PENSTOCK_NO_LISTENER: no such `terms`; PENSTOCK_TERMS: not
/// possible on these terms, such as PENSTOCK_HALF_CLOSE_FORWARD to a terminal; PENSTOCK_INVALID: a value is wrong; PENSTOCK_FULL, PENSTOCK_BUSY.
///
/// # Safety
/// `options` is NULL or points to a structure with its own size, and its pointers to what they say; `id` is NULL or points to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penstock_tunnel(
    engine: penstock_engine,
    client: c_int,
    target: c_int,
    options: *const penstock_tunnel_options,
    id: *mut penstock_id,
) -> penstock_status {
    guard(|| {
        let engine = find(engine)?;
        let running = engine.running()?;
        // SAFETY: what the caller promises of `options`.
        let options = unsafe { edge::read_or_none(options, "options") }?;
        // SAFETY: the same of its pointers.
        let wanted = unsafe { Wanted::of(options.as_ref(), &running) }?;
        if client == target {
            let words = format!("client and target are both {client}: expected two connections");
            return Err(Refusal::new(PENSTOCK_NO_STREAM, words));
        }
        let client = claim(client, "client")?;
        let target = match claim(target, "target") {
            Ok(target) => target,
            Err(refusal) => {
                release(client);
                return Err(refusal);
            }
        };
        let handed = wanted.with([client, target], &running);
        // Whoever is told of the end at once knows the number already.
        let told = |tag: Tag| {
            if !id.is_null() {
                // SAFETY: the caller promises that it points to a number, and has it until the call ends.
                unsafe { id.write(tag.number()) };
            }
        };
        running.intake.hand_over_as(handed, told).map(|_| ()).map_err(|refused| {
            let words = refused.to_string();
            let status = status_of(refused.why);
            let HandOver { client, target, .. } = *refused.handed;
            release(client);
            release(target);
            Refusal::new(status, words)
        })
    })
}

/// Ends a tunnel or a connection, soon: its completion has the cause PENSTOCK_CAUSE_CANCELLED, unless it ended for another reason first. Of one
/// that has ended already, nothing comes of it.
///
/// Threads: any; never waits. Errors: PENSTOCK_NOT_STARTED; PENSTOCK_BUSY: the worker has too much to do to hear of it, try again.
#[unsafe(no_mangle)]
pub extern "C" fn penstock_cancel(engine: penstock_engine, id: penstock_id) -> penstock_status {
    guard(|| {
        let running = find(engine)?.carrying()?;
        let which = numbers::which(id);
        let Some(mailbox) = running.mailboxes.get(which.worker()) else {
            // No tunnel ever had this number.
            return Ok(());
        };
        match mailbox.post(Command::Cancel(which)) {
            Err(_) if !mailbox.is_closed() => Err(PENSTOCK_BUSY.into()),
            _ => Ok(()),
        }
    })
}

/// Looks at one live tunnel or connection.
///
/// Ownership: `info` is filled, and stays the host's. Threads: any; waits for the worker that carries it, usually microseconds, a second at
/// most. Errors: PENSTOCK_NO_TUNNEL: it has ended, or there never was one; PENSTOCK_NOT_STARTED; PENSTOCK_TIMED_OUT; PENSTOCK_INVALID: the size is not
/// set.
///
/// # Safety
/// `info` is NULL or points to a structure with its own size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penstock_query(
    engine: penstock_engine,
    id: penstock_id,
    info: *mut penstock_tunnel_info,
) -> penstock_status {
    guard(|| {
        let running = find(engine)?.carrying()?;
        edge::ensure_room(info, "info")?;
        let which = numbers::which(id);
        let mailbox = running.mailboxes.get(which.worker()).ok_or(PENSTOCK_NO_TUNNEL)?;
        let found = ask(mailbox, |reply| Command::Describe { which, reply })?;
        let found = found.ok_or(PENSTOCK_NO_TUNNEL)?;
        // SAFETY: what the caller promises of `info`.
        unsafe { edge::write(info, "info", &penstock_tunnel_info::of(&found, &running)) }
    })
}

/// Tells of every live tunnel and connection, one after the other, by calls of `told` on the calling thread. Those that begin or end meanwhile may be
/// among them or not.
///
/// Ownership: `context` stays the host's. Threads: any; waits for the workers, a second at most for each 256 of their slots. Within `told`
/// everything may be called. Errors: PENSTOCK_NOT_STARTED; PENSTOCK_TIMED_OUT: some were told of, the others not.
///
/// # Safety
/// `told` is NULL or a function that can be called with `context`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penstock_for_each(
    engine: penstock_engine,
    told: penstock_told,
    context: *mut c_void,
) -> penstock_status {
    guard(|| {
        let running = find(engine)?.carrying()?;
        let told = told.ok_or_else(|| Refusal::new(PENSTOCK_NULL, "`told` is NULL"))?;
        for mailbox in &running.mailboxes {
            let mut from = Some(0);
            while let Some(slot) = from {
                let page = match ask(mailbox, |reply| Command::List { from: slot, reply }) {
                    Ok(page) => page,
                    // The worker has ended: it carries nothing any more.
                    Err(Refusal { status: PENSTOCK_NO_TUNNEL, .. }) => break,
                    Err(refusal) => return Err(refusal),
                };
                for tunnel in &page.tunnels {
                    let info = penstock_tunnel_info::of(tunnel, &running);
                    // SAFETY: the host has promised a function that can be called with this context; the structure is ours until it returns.
                    if unsafe { told(engine, &info, context) } != 0 {
                        return Ok(());
                    }
                }
                from = page.next;
            }
        }
        Ok(())
    })
}
