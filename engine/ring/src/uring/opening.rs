//! Where legs come from: listening, accepting, adopting, connecting.
//!
//! Accepting is multishot. It goes on by itself after the errors of a single connection, and stops on those of the
//! process (descriptors, memory), which the caller has to mend first.

use std::net::SocketAddr;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};

use io_uring::opcode;
use nix::errno::Errno;

use super::Uring;
use super::tag::Operation;
use super::tenant::{Receive, Repeat, Tenant};
use crate::op::{Event, Leg, Outcome, Owner};
use crate::options::Feature;
use crate::sockets::{self, Kind};

impl Uring {
    pub(super) fn start_listening(
        &mut self,
        descriptor: OwnedFd,
        owner: Owner,
    ) -> Result<Leg, (Errno, OwnedFd)> {
        let tuned = sockets::take_over(descriptor.as_fd()).and_then(|kind| match kind {
            // What it accepts inherits the options.
            Kind::Tcp => sockets::tune(descriptor.as_fd(), &self.options.socket).map(|()| kind),
            Kind::Socket => Ok(kind),
            Kind::Plain => Err(Errno::ENOTSOCK),
        });
        match tuned {
            Ok(kind) => {
                let leg = self.admit(Tenant::new(descriptor, owner, kind));
                self.turn_accept(leg, true);
                Ok(leg)
            }
            Err(errno) => Err((errno, descriptor)),
        }
    }

    pub(super) fn take_over(
        &mut self,
        descriptor: OwnedFd,
        owner: Owner,
    ) -> Result<Leg, (Errno, OwnedFd)> {
        match sockets::take_over(descriptor.as_fd()) {
            Ok(kind) => {
                let mut tenant = Tenant::new(descriptor, owner, kind);
                tenant.adopted = true;
                Ok(self.admit(tenant))
            }
            Err(errno) => Err((errno, descriptor)),
        }
    }

    pub(super) fn start_connecting(
        &mut self,
        address: SocketAddr,
        owner: Owner,
    ) -> Result<Leg, Errno> {
        let socket = sockets::stream_for(address, &self.options.socket)?;
        let mut tenant = Tenant::new(socket, owner, Kind::Tcp);
        tenant.connecting = true;
        let fd = tenant.fd();
        let leg = self.admit(tenant);
        let (address, len) = self.ring.scratch.address(address.into());
        self.start(leg, Operation::Connect, opcode::Connect::new(fd, address, len).build());
        Ok(leg)
    }

    fn admit(&mut self, tenant: Tenant) -> Leg {
        self.stats.legs.add(1);
        self.plain_legs += u32::from(!tenant.is_socket());
        self.legs.insert(tenant)
    }

    pub(super) fn turn_accept(&mut self, listener: Leg, on: bool) {
        let Some(tenant) = self.open_mut(listener) else { return };
        match (tenant.accept, on) {
            (Repeat::Off, true) => self.arm_accept(listener),
            (Repeat::On, false) => {
                tenant.accept = Repeat::Leaving { again: false };
                self.cancel(listener, Operation::Accept);
            }
            (Repeat::Leaving { .. }, again) => tenant.accept = Repeat::Leaving { again },
            (Repeat::On, true) | (Repeat::Off, false) => {}
        }
    }

    fn arm_accept(&mut self, listener: Leg) {
        let Some(tenant) = self.legs.get_mut(listener) else { return };
        tenant.accept = Repeat::On;
        let (fd, flags) = (tenant.fd(), libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC);
        let entry = if self.options.mask.hides(Feature::MultishotAccept) {
            let nowhere = std::ptr::null_mut();
            opcode::Accept::new(fd, nowhere, nowhere.cast()).flags(flags).build()
        } else {
            opcode::AcceptMulti::new(fd).flags(flags).build()
        };
        self.start(listener, Operation::Accept, entry);
    }

    /// A connection, or the end of accepting.
    pub(super) fn file_accept(
        &mut self,
        listener: Leg,
        result: Result<usize, Errno>,
        more: bool,
        events: &mut Vec<Event>,
    ) {
        // SAFETY: the kernel has just made this descriptor for us; nobody else knows it.
        let accepted = result.map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) });
        let failure = accepted.as_ref().err().copied();
        let Some(tenant) = self.legs.get_mut(listener) else { return };
        let (owner, kind, state) = (tenant.owner, tenant.kind, tenant.accept);
        if !more {
            tenant.accept = Repeat::Off;
        }
        if tenant.closing {
            // Nobody will ask for this connection: dropping it closes it.
            return;
        }
        if let Ok(socket) = accepted {
            let leg = self.admit(Tenant::new(socket, owner, kind));
            self.tell(listener, Outcome::Accepted(leg), events);
        }
        if !more {
            self.end_accept(listener, state, failure, events);
        }
    }

    fn end_accept(
        &mut self,
        listener: Leg,
        state: Repeat,
        failure: Option<Errno>,
        events: &mut Vec<Event>,
    ) {
        match (state, failure) {
            (Repeat::Leaving { again: false }, _) => {}
            (Repeat::On, Some(errno)) if !concerns_one_connection(errno) => {
                self.stats.accept_failed.add(1);
                self.tell(listener, Outcome::AcceptFailed(errno), events);
            }
            _ => {
                if !self.options.mask.hides(Feature::MultishotAccept) {
                    self.stats.multishot_rearmed.add(1);
                }
                self.arm_accept(listener);
            }
        }
    }

    pub(super) fn file_connect(
        &mut self,
        leg: Leg,
        result: Result<(), Errno>,
        events: &mut Vec<Event>,
    ) {
        let Some(tenant) = self.legs.get_mut(leg) else { return };
        tenant.connecting = false;
        if tenant.closing {
            return;
        }
        let receives = std::mem::replace(&mut tenant.receive, Receive::Off) == Receive::Connection;
        if let Err(errno) = result {
            tenant.queue.clear(&mut self.pool);
            tenant.broken = Some(errno);
        }
        self.tell(leg, Outcome::Connected(result), events);
        if result.is_ok() {
            if receives {
                self.arm_in_turn(leg);
            }
            self.queue_turn(leg);
        }
    }
}

/// accept(2): errors already pending on the new socket are to be taken like EAGAIN. ECANCELED: a cancellation that was
/// taken back came through all the same.
fn concerns_one_connection(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::EAGAIN
            | Errno::EINTR
            | Errno::ECANCELED
            | Errno::ECONNABORTED
            | Errno::EPROTO
            | Errno::ENETDOWN
            | Errno::ENETUNREACH
            | Errno::EHOSTDOWN
            | Errno::EHOSTUNREACH
            | Errno::ENONET
            | Errno::ENOPROTOOPT
            | Errno::EOPNOTSUPP
    )
}
