//! The system calls of io_uring that the bindings don't offer in the form needed here.

use std::os::fd::RawFd;
use std::time::Duration;

use io_uring::{opcode, types};
use nix::errno::Errno;

const ENTER_GETEVENTS: u32 = 1;
const ENTER_EXT_ARG: u32 = 1 << 3;
const ENTER_REGISTERED_RING: u32 = 1 << 4;

const REGISTER_RING_FDS: u32 = 20;
const UNREGISTER_RING_FDS: u32 = 21;
const REGISTER_SEND_MSG_RING: u32 = 31;

/// How a ring is named to the kernel.
#[derive(Clone, Copy)]
pub(super) enum Name {
    Descriptor(RawFd),
    /// Registered by this thread.
    Registered(u32),
}

/// `struct io_uring_getevents_arg`
#[repr(C)]
struct Arguments {
    signals: u64,
    signals_size: u32,
    reserved: u32,
    limit: u64,
}

/// `struct io_uring_rsrc_update`
#[repr(C)]
struct Update {
    offset: u32,
    reserved: u32,
    data: u64,
}

/// What [`enter`] waits for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Want {
    /// Completions.
    pub(super) completions: u32,
    /// After so long, none will do.
    pub(super) at_most: Option<Duration>,
}

/// Submits `count` entries, runs what the kernel has deferred to this thread, and waits.
///
/// # Errors
/// Of io_uring_enter(2), unless entries were consumed.
pub(super) fn enter(ring: Name, count: u32, want: Want) -> Result<(), Errno> {
    let limit = want
        .at_most
        .map(|limit| types::Timespec::new().sec(limit.as_secs()).nsec(limit.subsec_nanos()));
    let arguments = Arguments {
        signals: 0,
        signals_size: 0,
        reserved: 0,
        limit: limit.as_ref().map_or(0, |limit| std::ptr::from_ref(limit) as u64),
    };
    let (descriptor, named) = match ring {
        Name::Descriptor(descriptor) => (descriptor as i64, 0),
        Name::Registered(index) => (i64::from(index), ENTER_REGISTERED_RING),
    };
    let flags = ENTER_GETEVENTS | ENTER_EXT_ARG | named;
    // SAFETY: `arguments` and `limit` live until the call has returned; the kernel keeps neither.
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_enter,
            descriptor,
            i64::from(count),
            i64::from(want.completions),
            i64::from(flags),
            &raw const arguments,
            size_of::<Arguments>(),
        )
    };
    Errno::result(result).map(drop)
}

/// Registers the ring's descriptor for this thread; the index it is named by from now on.
///
/// # Errors
/// Of io_uring_register(2).
pub(super) fn register_ring(descriptor: RawFd) -> Result<u32, Errno> {
    let mut update = Update { offset: u32::MAX, reserved: 0, data: descriptor as u64 };
    // SAFETY: `update` outlives the call, which writes the index into it.
    unsafe { register(descriptor, REGISTER_RING_FDS, (&raw mut update).cast())? };
    Ok(update.offset)
}

/// Takes [`register_ring`] back.
pub(super) fn unregister_ring(descriptor: RawFd, index: u32) {
    let mut update = Update { offset: index, reserved: 0, data: 0 };
    // SAFETY: `update` outlives the call.
    let result = unsafe { register(descriptor, UNREGISTER_RING_FDS, (&raw mut update).cast()) };
    debug_assert!(result.is_ok(), "{result:?}");
}

/// Puts a completion with `user_data` into the queue of the ring with this descriptor, from any thread.
///
/// # Errors
/// EINVAL before Linux 6.13; EBADF or EBADFD if it is no ring; EOVERFLOW or ENOMEM if the ring can't take it.
pub(super) fn send_message(ring: RawFd, user_data: u64) -> Result<(), Errno> {
    let mut entry = opcode::MsgRingData::new(types::Fd(ring), 0, user_data, None).build();
    // SAFETY: the entry outlives the call, and the message carries no memory.
    unsafe { register(-1, REGISTER_SEND_MSG_RING, (&raw mut entry).cast()) }
}

/// # Safety
/// `argument` points to what `opcode` reads and writes, once.
unsafe fn register(
    descriptor: RawFd,
    opcode: u32,
    argument: *mut libc::c_void,
) -> Result<(), Errno> {
    // SAFETY: the caller's promise.
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            i64::from(descriptor),
            i64::from(opcode),
            argument,
            1i64,
        )
    };
    Errno::result(result).map(drop)
}
