//! All that the engine ever asks of an operating system: verbs on legs, and the outcomes they have.
//!
//! A verb may finish at once (its return value says so) or later (an [`Event`] says so), so that a readiness driver
//! pays no queue. Nothing here blocks but [`Kernel::wait`]. A caller that closed a leg may still be handed an outcome
//! of it: outcomes carry the [`Owner`] given to the leg, and the owner's generation tells the stale ones apart.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::{Add, Sub};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nix::errno::Errno;

use crate::buffers::{Buffer, Group};
use crate::stats::Stats;

/// A stream descriptor (or a listening one) that the kernel crate owns: a slot and the generation of its tenant.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Leg {
    /// Index into the driver's table of legs.
    pub slot: u32,
    /// Counts the tenants of the slot, so that an old handle never reaches a new descriptor.
    pub generation: u32,
}

impl fmt::Debug for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "leg {}.{}", self.slot, self.generation)
    }
}

/// Whom the outcomes of a leg are for. The kernel crate carries it and never looks inside.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Owner(pub u64);

/// Nanoseconds since [`Options::epoch`](crate::Options::epoch): monotonic, virtual under simulation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(pub u64);

impl Time {
    /// What has passed since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, span: Duration) -> Time {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Time(self.0.saturating_add(nanos))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;

    fn sub(self, span: Duration) -> Time {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Time(self.0.saturating_sub(nanos))
    }
}

/// A leg's receiving side, as far as the kernel can tell; of what isn't TCP it tells nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Intake {
    /// About how many bytes are there already.
    pub unread: u32,
    /// About how many bytes come in while nobody reads. It grows while the leg is read from quickly.
    pub window: u32,
}

/// Bytes handed over for sending. The kernel crate keeps them until the last byte is accepted or the leg is closed.
#[derive(Debug)]
pub enum Chunk {
    /// A pooled buffer; it goes back to the pool by itself.
    Pool(Buffer),
    /// Bytes outside the pool: replies, heads, early bytes.
    Bytes(Bytes),
}

/// What became of [`Kernel::send`] at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// The socket has accepted all of the chunk; no outcome follows.
    Done,
    /// The chunk is queued. [`Outcome::Sent`] tells of each part accepted, [`Outcome::SendFailed`] of the end.
    Queued,
    /// The leg can't send any more. The chunk is gone; no outcome follows.
    Failed(Errno),
}

/// What became of [`Kernel::receive_stop`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// Nothing is in flight: no [`Outcome::Received`] follows.
    Done,
    /// Bytes may still arrive; [`Arrival::Stopped`] (or another end) is the last word.
    Later,
}

/// Why no more buffers arrive from a leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// The peer has finished sending: FIN, or a hang-up of a terminal.
    Ended,
    /// [`Kernel::receive_stop`] took effect. Receiving can be started again. It may follow another end, one that lay
    /// unread when the stop was asked for, and says nothing then.
    Stopped,
    /// No buffer of [`Group::Bulk`] is left: they are too few, and held too long, to wait for. Receiving can be started again, in
    /// another group.
    Short,
    /// The leg is broken.
    Failed(Errno),
}

/// The result of one splice step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Splice {
    /// So many bytes went from leg to pipe, or from pipe to leg. Never zero.
    Moved(usize),
    /// Nothing could move. Into the pipe: the leg has no bytes, **or** the pipe is full (two causes of one errno; empty
    /// the pipe, then try again). Out of the pipe: the leg accepts none. Wait for [`Outcome::Ready`].
    Blocked,
    /// The source has finished sending.
    Ended,
    /// Handed to the ring; [`Outcome::SplicedIn`] or [`Outcome::SplicedOut`] brings the result.
    Later,
    /// The leg is broken.
    Failed(Errno),
}

/// Why a direction got no pipe. Each one means copy, and is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoPipe {
    /// Splicing is switched off, or hidden by the mask, or the leg's kind can't splice.
    Off,
    /// The worker's bounded pool has none left.
    PoolEmpty,
    /// The user's pipe quota is used up: a new pipe came out too small to be worth it.
    Quota,
    /// pipe2(2) failed, for want of descriptors or memory.
    Failed(Errno),
}

/// What to be told of by [`Outcome::Ready`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interest {
    /// Bytes or an end can be read (for splicing in).
    Readable,
    /// Bytes are accepted again (for splicing out).
    Writable,
    /// The peer hung up or broke the connection, while nothing is read.
    HangUp,
}

/// A hint: it may be spurious, it is never withheld.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Readiness {
    /// Reading is worth a try (bytes, FIN or an error).
    pub readable: bool,
    /// Writing is worth a try.
    pub writable: bool,
    /// The connection is gone both ways (HUP or ERR, not a mere FIN).
    pub hang_up: bool,
}

/// How [`Kernel::close`] ends a leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Close {
    /// close(2): the peer sees FIN, or RST if it sent bytes that nobody read. Of a leg that was adopted, also if somebody holds a duplicate.
    Normal,
    /// RST at once (SO_LINGER 0).
    Reset,
}

/// One thing that happened to a leg.
#[derive(Debug)]
pub enum Outcome {
    /// A listening leg has accepted `leg`; its owner is the listener's until [`Kernel::set_owner`].
    Accepted(Leg),
    /// Accepting stopped by itself (EMFILE, ENFILE, ENOBUFS, ENOMEM …). [`Kernel::accept`] starts it again; the
    /// kernel crate never retries by itself, so that it can't spin.
    AcceptFailed(Errno),
    /// [`Kernel::connect`] has ended.
    Connected(Result<(), Errno>),
    /// Bytes have arrived; the caller releases the buffer or sends it on. Never empty.
    Received(Buffer),
    /// No more bytes will arrive.
    ReceiveEnded(Arrival),
    /// The socket has accepted so many more of the queued bytes.
    Sent(usize),
    /// The leg can't send any more; what was queued is gone.
    SendFailed(Errno),
    /// See [`Interest`].
    Ready(Readiness),
    /// A ring splice into the pipe of this leg has ended.
    SplicedIn(Splice),
    /// A ring splice out of the pipe of this leg (the direction's source) has ended.
    SplicedOut(Splice),
}

/// An outcome, the leg that had it, and whom it is for.
#[derive(Debug)]
pub struct Event {
    /// As set when the leg was made, or by [`Kernel::set_owner`].
    pub owner: Owner,
    /// The leg; for a splice, the source of the direction.
    pub leg: Leg,
    /// What happened.
    pub outcome: Outcome,
}

/// Ends a driver's [`Kernel::wait`] from any thread.
pub trait Wake: Send + Sync {
    /// Cheap and idempotent; may be called after the driver is gone.
    fn wake(&self);
}

/// A shared [`Wake`].
pub type Waker = Arc<dyn Wake>;

/// What waits to be sent on a leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Queued {
    /// Bytes handed over that no outcome has told of yet.
    pub bytes: usize,
    /// Memory that they hold: a pooled buffer counts whole.
    pub memory: usize,
}

/// An operating system, as one worker sees it. Implemented on io_uring, on epoll, and by a simulation.
///
/// Every verb on a leg that was closed (or a slot's former tenant) does nothing and answers as the trait says for a
/// broken leg; it never touches the present tenant.
pub trait Kernel {
    /// The time of the last [`wait`](Self::wait) or [`refresh`](Self::refresh).
    fn now(&self) -> Time;

    /// Reads the clock again, for work that measures itself.
    fn refresh(&mut self) -> Time;

    /// Takes a listening socket and starts accepting on it.
    ///
    /// # Errors
    /// Gives the descriptor back if it can't be driven.
    fn listen(&mut self, descriptor: OwnedFd, owner: Owner) -> Result<Leg, (Errno, OwnedFd)>;

    /// Starts or stops accepting. After a stop, connections already accepted may still be told of.
    fn accept(&mut self, listener: Leg, on: bool);

    /// Takes a connected stream descriptor: socket, socketpair, pty, tty.
    ///
    /// # Errors
    /// Gives the descriptor back if it can't be driven.
    fn adopt(&mut self, descriptor: OwnedFd, owner: Owner) -> Result<Leg, (Errno, OwnedFd)>;

    /// Opens a TCP socket with the worker's socket options and starts connecting it; [`Outcome::Connected`] ends that.
    ///
    /// # Errors
    /// The errno of socket(2), or of a connect(2) that failed at once.
    fn connect(&mut self, address: SocketAddr, owner: Owner) -> Result<Leg, Errno>;

    /// Gives the leg's outcomes to somebody else, from the next one on.
    fn set_owner(&mut self, leg: Leg, owner: Owner);

    /// The peer's address; none for what isn't TCP.
    fn peer(&self, leg: Leg) -> Option<SocketAddr>;

    /// Our own address on this leg; none for what isn't TCP.
    fn local(&self, leg: Leg) -> Option<SocketAddr>;

    /// Starts receiving into buffers of `group`, until an [`Arrival`]. Receiving that is on stays as it is. When the pool
    /// is empty the leg waits its turn and is served, in order, as buffers come back; of [`Group::Bulk`], it hears
    /// [`Arrival::Short`].
    ///
    /// Of a single group ([`Group::is_single`]) a leg gets one buffer: after it, receiving is off without further word, so that
    /// a prelude can go on in another group, and bulk can wait until more has come, with nothing to cancel. In one turn, one leg
    /// at most gets a buffer of bulk.
    fn receive(&mut self, leg: Leg, group: Group);

    /// Stops receiving. After [`Stop::Later`] one end follows, and what was asked by [`receive`](Self::receive) meanwhile
    /// goes on after [`Arrival::Stopped`].
    fn receive_stop(&mut self, leg: Leg) -> Stop;

    /// The bytes in a buffer.
    fn bytes<'k>(&'k self, buffer: &'k Buffer) -> &'k [u8];

    /// The whole place of a buffer, [`Group::stride`] bytes, for work on its bytes where they are; [`Buffer::set`] says
    /// where they are then.
    fn memory<'k>(&'k mut self, buffer: &'k Buffer) -> &'k mut [u8];

    /// Gives a buffer back unsent.
    fn release(&mut self, buffer: Buffer);

    /// Sends after all that is queued. Chunks handed over between two waits leave together where the driver can.
    fn send(&mut self, leg: Leg, chunk: Chunk) -> Sent;

    /// Sends, on the worker, the few bytes that go in front of what is spliced into the leg next; the kernel may hold them
    /// back until that follows. As [`send`](Self::send) where bytes are queued.
    fn send_ahead(&mut self, leg: Leg, bytes: Bytes) -> Sent;

    /// What is queued for sending on the leg.
    fn queued(&self, leg: Leg) -> Queued;

    /// Asks for one [`Outcome::Ready`]: in the next turn if the leg is ready already, else once it is. Who wants another one
    /// asks again. `on = false` takes it back (a hint may still be on its way).
    fn watch(&mut self, leg: Leg, interest: Interest, on: bool);

    /// Bytes that the leg would accept now, as far as the system tells: a splice of no more leaves nothing in its pipe. None:
    /// too few to be woken for; wait for [`Interest::Writable`]. What is broken, or can't say, accepts anything.
    fn room(&mut self, leg: Leg) -> Option<NonZeroUsize>;

    /// Takes a pipe from the pool for the direction that starts at `source`, unless it has one.
    ///
    /// # Errors
    /// Why there is none; each kind is counted in [`Stats`].
    fn pipe_open(&mut self, source: Leg) -> Result<(), NoPipe>;

    /// Moves up to `limit` bytes from `source` into its pipe.
    fn splice_in(&mut self, source: Leg, limit: usize) -> Splice;

    /// Moves bytes from the pipe of `source` to `sink`.
    fn splice_out(&mut self, source: Leg, sink: Leg) -> Splice;

    /// Bytes in the pipe of `source`; the pipe's nominal size is no bound on it.
    fn pipe_level(&self, source: Leg) -> usize;

    /// Takes all bytes out of the pipe of `source` into pool buffers, in order, so that the pipe can be given back although
    /// its sink is stuck. None, with nothing taken: it is empty, or the ring uses it, or the pool can't spare the buffers.
    fn pipe_take(&mut self, source: Leg) -> Option<Vec<Buffer>>;

    /// What the kernel holds unread for a leg, and how much it would take in.
    fn intake(&self, leg: Leg) -> Intake;

    /// Whether less than a quarter of the pipe pool is left, so that who is stuck should give its pipe back.
    fn pipes_scarce(&self) -> bool;

    /// Gives the pipe of `source` back, if it has one. A pipe that isn't empty, or that the ring still uses, is destroyed instead of reused.
    fn pipe_close(&mut self, source: Leg);

    /// shutdown(2) of the sending side; the caller has waited until nothing is queued.
    fn shutdown(&mut self, leg: Leg);

    /// Ends the leg. What is queued is dropped. The descriptor, its buffers and its pipe are freed after the last outcome.
    fn close(&mut self, leg: Leg, how: Close);

    /// Hands what was asked to the kernel, waits for the first outcome, a wake-up or `until` (none: no limit), and appends
    /// outcomes to `events`. With an `until` that has passed, it doesn't sleep. It may return early, with nothing.
    fn wait(&mut self, until: Option<Time>, events: &mut Vec<Event>);

    /// Wakes this driver from other threads.
    fn waker(&self) -> Waker;

    /// Pool buffers of `group` that nobody holds. What is queued in [`Chunk::Bytes`] counts as if it were held in them, in each
    /// group, so that who shares out the pool bounds both together.
    fn spare(&self, group: Group) -> usize;

    /// Since when some leg waits for a buffer, if one does.
    fn starved_since(&self) -> Option<Time>;

    /// The group of which it waits for one.
    fn starved_group(&self) -> Option<Group>;

    /// Buffers of `group` that wait to be sent on the leg.
    fn pinned(&self, leg: Leg, group: Group) -> usize;

    /// Gauges and counters of this driver, readable from any thread.
    fn stats(&self) -> &Arc<Stats>;
}
