//! Everything Penstock asks of an operating system, and the only engine crate where unsafe is legal.
//!
//! In: verbs on legs ([`Kernel`]). Out: outcomes ([`Event`]), and bytes in pooled buffers. This crate owns every
//! descriptor, buffer and pipe from the moment it is handed over until the kernel's final word about it; callers
//! hold typed indices. It knows nothing of sessions, protocols, policy or configuration files.
//!
//! Reading order: [`op`] (all that can be asked), [`buffers`], [`pipes`], then the two drivers.

pub mod buffers;
pub mod epoll;
mod groups;
pub mod op;
pub mod options;
pub mod pipes;
pub mod probe;
pub mod processes;
pub mod queue;
mod room;
pub mod sockets;
pub mod splice;
pub mod stats;
pub mod table;
pub mod unix;
pub mod uring;
pub mod waiting;
mod warmth;

pub use buffers::{Buffer, Group, PoolSizes};
pub use epoll::Epoll;
pub use nix::errno::Errno;
pub use op::{
    Arrival, Chunk, Close, Event, Intake, Interest, Kernel, Leg, NoPipe, Outcome, Owner, Queued,
    Readiness, Sent, Splice, Stop, Time, Wake, Waker,
};
pub use options::{Driver, Feature, Mask, Options, SocketOptions, SpliceMode};
pub use stats::{Count, Stats};
pub use uring::Uring;
