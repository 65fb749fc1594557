//! Ends of tunnels, as the host hears of them: by a callback, or by a descriptor that it polls.

use std::ffi::{c_char, c_int, c_void};
use std::mem::size_of;

use penstock_core::control::Record;

use crate::courier::{Callback, Context};
use crate::edge::{self, Refusal, Structure, array, guard};
use crate::engine::penstock_engine;
use crate::numbers;
use crate::reason::{penstock_cause, penstock_phase, penstock_side};
use crate::registry::find;
use crate::status::penstock_status::{self, PENSTOCK_NULL};
use crate::tunnel::penstock_id;

/// How a tunnel or a connection ended.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct penstock_completion {
    /// sizeof(penstock_completion), as PENSTOCK_INIT() sets it.
    pub size: u32,
    /// One of penstock_side: who brought it about.
    pub side: u32,
    /// One of penstock_phase: how far it had come.
    pub phase: u32,
    /// One of penstock_cause: what it was.
    pub cause: u32,
    /// Its number: from penstock_tunnel(), or from penstock_request.
    pub id: penstock_id,
    /// The host's own, from penstock_tunnel_options or penstock_decision; NULL: none.
    pub user_data: *mut c_void,
    /// Payload that was delivered to the target, in bytes.
    pub bytes_to_target: u64,
    /// Bytes that were delivered to the client: payload, and answers of the engine's.
    pub bytes_to_client: u64,
    /// How many of both passed by splice(2), past user space.
    pub bytes_spliced: u64,
    /// From its beginning to its end.
    pub duration_us: u64,
    /// 1: the host handed it over by penstock_tunnel(); 0: a listener accepted it.
    pub handed_over: u32,
    /// The HTTP status that the client was sent; 0: none.
    pub http_status: u32,
    /// The listener on whose terms it was carried.
    pub listener: [c_char; 64],
    /// The client's address and port; empty: it had none.
    pub client: [c_char; 64],
    /// Where to, as far as it was understood.
    pub target: [c_char; 256],
    /// For the operator: names and errnos, if there is more to say than the cause.
    pub detail: [c_char; 256],
}

// SAFETY: numbers, a pointer and arrays of numbers, in C's layout, the size first.
unsafe impl Structure for penstock_completion {}
// SAFETY: `user_data` is only carried; the header says on which thread the host gets it back.
unsafe impl Send for penstock_completion {}

/// A record in C's words.
pub(crate) fn completion_of(record: &Record, listener: &str) -> penstock_completion {
    let client = record.client.map(|client| client.to_string());
    penstock_completion {
        size: size_of::<penstock_completion>() as u32,
        side: penstock_side::from(record.reason.side) as u32,
        phase: penstock_phase::from(record.reason.phase) as u32,
        cause: penstock_cause::from(record.reason.cause) as u32,
        id: numbers::of_record(record),
        user_data: record.cookie as usize as *mut c_void,
        bytes_to_target: record.bytes_to_target,
        bytes_to_client: record.bytes_to_client,
        bytes_spliced: record.bytes_spliced,
        duration_us: record.elapsed.as_micros() as u64,
        handed_over: u32::from(record.tag.is_some()),
        http_status: u32::from(record.status),
        listener: array(listener),
        client: array(client.as_deref().unwrap_or_default()),
        target: array(record.target.as_deref().unwrap_or_default()),
        detail: array(record.detail.as_deref().unwrap_or_default()),
    }
}

/// Tells the host of an end. `completion` is gone when it returns.
pub type penstock_completed = Option<
    unsafe extern "C" fn(
        engine: penstock_engine,
        completion: *const penstock_completion,
        context: *mut c_void,
    ),
>;

/// Has the host told of each end by a callback, instead of whatever was set before. NULL: it is told of none. Each tunnel that was handed over
/// and each connection that a listener let in has exactly one completion; all of them were told when penstock_stop() answers. Of those that are
/// turned away while the limits are reached, only some have one.
///
/// Ownership: `context` stays the host's, and has to live until penstock_stop() has answered. Threads: any; the callback comes on the engine's
/// own. Errors: PENSTOCK_STARTED, if the engine runs; PENSTOCK_INVALID, if penstock_completion_fd() was called.
///
/// # Safety
/// `completed` and `context` stand until the engine has been stopped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penstock_on_completion(
    engine: penstock_engine,
    completed: penstock_completed,
    context: *mut c_void,
) -> penstock_status {
    guard(|| {
        let engine = find(engine)?;
        let callback = completed.map(|function| Callback { function, context: Context(context) });
        engine.change(|_| engine.courier.complete_by(callback))
    })
}

/// Has ends wait for penstock_next_completion(), and gives a descriptor that polls readable (POLLIN, EPOLLIN; edge-triggered or not) as long as
/// some do. Only to be called before penstock_start(); once, since each call gives the same descriptor.
///
/// Ownership: the descriptor stays the engine's and closes with penstock_free(): neither read nor close it. Ends that nobody takes stay in
/// memory until then. Threads: any. Errors: PENSTOCK_STARTED, if the engine runs; PENSTOCK_INVALID, if there is a callback; PENSTOCK_SYSTEM, if
/// there are no descriptors left.
///
/// # Safety
/// `descriptor` is NULL or points to an int.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penstock_completion_fd(
    engine: penstock_engine,
    descriptor: *mut c_int,
) -> penstock_status {
    guard(|| {
        let engine = find(engine)?;
        if descriptor.is_null() {
            return Err(Refusal::new(PENSTOCK_NULL, "`descriptor` is NULL"));
        }
        let may_make = engine.ensure_new().is_ok();
        let number = engine.courier.descriptor(may_make)?;
        // SAFETY: what the caller promises of `descriptor`.
        unsafe { edge::put(descriptor, "descriptor", number) }
    })
}

/// Takes the next end that waits; never waits itself. After an edge of the descriptor, call it until it answers PENSTOCK_EMPTY. Those that wait
/// can be taken until penstock_free().
///
/// Ownership: `completion` is filled, and stays the host's. Threads: any. Errors: PENSTOCK_EMPTY: none waits; PENSTOCK_INVALID: its size is not
/// set, or penstock_completion_fd() was not called.
///
/// # Safety
/// `completion` is NULL or points to a structure with its own size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penstock_next_completion(
    engine: penstock_engine,
    completion: *mut penstock_completion,
) -> penstock_status {
    guard(|| {
        let engine = find(engine)?;
        // Before anything is taken that there might be no room for.
        edge::ensure_room(completion, "completion")?;
        let next = engine.courier.next()?;
        // SAFETY: what the caller promises of `completion`.
        unsafe { edge::write(completion, "completion", &next) }
    })
}
