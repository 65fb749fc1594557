//! TLS with the target: begun as soon as the connection stands, before the client is told that it does.
//!
//! In: what the target sends. Out: answers of the handshake's own; in the end the relay, or words for the client and the log on what the
//! target showed. A libvirt server says by one byte more that it lets us in.

use penstock_proto::http::Host;
use penstock_ring::{Errno, Group, Kernel, Leg};
use penstock_tls::{Ca, CertificateFault, Error};

use super::opening::Stage;
use super::secure::LET_IN;
use super::{Session, State};
use crate::close::{Cause, Side};
use crate::config::{Door, UpstreamTls};
use crate::layers::{Broken, Fault, Layers, Opened};
use crate::relay::Left;
use crate::sessions::Role;
use crate::turn::{Step, Turn};

/// A target that does not carry the tunnel's bytes yet.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) leg: Leg,
    pub(super) layers: Layers,
    /// TLS stands; a word that we are let in may still be to come.
    agreed: bool,
    left: Left,
}

impl Session {
    /// The connection to the target stands.
    pub(super) fn target_connected<K: Kernel>(&mut self, leg: Leg, turn: &mut Turn<K>) -> Step {
        let State::AwaitTarget(opening) = &self.state else { return Step::Continue(()) };
        if self.is_kube_virt() {
            // Whoever opened it has spoken TLS.
            return self.begin_relay(leg, Layers::default(), Left::default(), turn);
        }
        turn.counters.setup[2].record(turn.now.since(opening.dial_at));
        let header = self.proxy_header(opening, turn.worker);
        if !header.is_empty() {
            // Of a target that is broken already, the relay hears.
            self.say(Role::Target, leg, header.into(), turn);
        }
        self.ask_for_path(leg, turn)
    }

    /// TLS from the first byte on, or none at all.
    pub(super) fn secure_target<K: Kernel>(
        &mut self,
        leg: Leg,
        left: Left,
        turn: &mut Turn<K>,
    ) -> Step {
        let State::AwaitTarget(opening) = &self.state else { return Step::Continue(()) };
        let to_socket =
            matches!(opening.door.as_deref(), Some(Door::Unix(_) | Door::Within { .. }));
        let upstream = self.listener().upstream_tls.as_ref();
        match upstream.filter(|upstream| !(to_socket && upstream.not_to_sockets)) {
            None if self.must_be_secured() => {
                turn.kernel.close(leg, penstock_ring::Close::Normal);
                self.refuse_clear_target(turn)
            }
            None => self.begin_relay(leg, Layers::default(), left, turn),
            // Who speaks before us speaks no TLS, or somebody between does.
            Some(_) if !left.early.is_empty() => {
                turn.kernel.close(leg, penstock_ring::Close::Normal);
                let detail = "bytes in the clear where TLS begins: somebody between has put them there, or the target speaks no TLS";
                self.facts.detail = Some(detail.into());
                self.refuse(Side::Target, Cause::Injected, None, turn)
            }
            Some(upstream) => match self.session_with(upstream) {
                Ok(layers) => self.begin_target_tls(leg, layers, turn),
                Err(error) => {
                    turn.kernel.close(leg, penstock_ring::Close::Normal);
                    self.refuse_target(&Fault::Tls(error), turn)
                }
            },
        }
    }

    /// Whether the token's source says that nothing goes to the target in the clear.
    fn must_be_secured(&self) -> bool {
        let State::AwaitTarget(opening) = &self.state else { return false };
        opening.terms.as_ref().is_some_and(|terms| terms.secured == Some(true))
    }

    /// TLS is wanted, and it is not known whom to trust.
    pub(super) fn refuse_clear_target<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let detail = "expected TLS with the target, as the token or the server says, and none is configured: write `upstream_tls` with the `ca` that has signed its certificate";
        self.facts.detail = Some(detail.into());
        self.refuse(Side::Penstock, Cause::NoCommonSecurity, None, turn)
    }

    pub(super) fn session_with(&self, upstream: &UpstreamTls) -> Result<Layers, Error> {
        let name = match (&upstream.server_name, &self.state) {
            (Some(name), _) => name.to_string(),
            (None, State::AwaitTarget(opening)) => {
                let connected_to = opening.target.as_ref().map(|target| &target.host);
                let goes_by = || self.facts.unusual.as_ref()?.goes_by.as_ref();
                connected_to.or_else(goes_by).map_or_else(String::new, name_of)
            }
            _ => String::new(),
        };
        let session = upstream.client.get().session(&name)?;
        Ok(Layers::tls(session, upstream.max_record, upstream.libvirt))
    }

    fn begin_target_tls<K: Kernel>(
        &mut self,
        leg: Leg,
        mut layers: Layers,
        turn: &mut Turn<K>,
    ) -> Step {
        let started = layers.start();
        let deadline = turn.now + self.listener().timeouts.handshake;
        let State::AwaitTarget(opening) = &mut self.state else { return Step::Continue(()) };
        opening.stage = Stage::Tls(Handshake { leg, layers, agreed: false, left: Left::default() });
        self.facts.shakes_hands(Side::Target);
        opening.deadline = deadline;
        match started {
            Ok(hello) => {
                self.say(Role::Target, leg, hello, turn);
                self.await_target(turn)
            }
            Err(Broken { fault, .. }) => self.refuse_target(&fault, turn),
        }
    }

    /// The handshake with the target, while it lasts.
    fn handshake(&mut self) -> Option<&mut Handshake> {
        let State::AwaitTarget(opening) = &mut self.state else { return None };
        match &mut opening.stage {
            Stage::Tls(handshake) => Some(handshake),
            _ => None,
        }
    }

    /// Hears on while the handshake lasts: like a prelude, in buffers that relays can't have taken all.
    fn await_target<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        if let Some(handshake) = self.handshake() {
            turn.kernel.receive(handshake.leg, Group::Reserve);
        }
        Step::Continue(())
    }

    pub(super) fn take_from_target<K: Kernel>(
        &mut self,
        leg: Leg,
        opened: Opened<Vec<u8>>,
        turn: &mut Turn<K>,
    ) -> Step {
        let libvirt = self.listener().upstream_tls.as_ref().is_some_and(|tls| tls.libvirt);
        let Opened { plain, reply, agreed, ended, broken } = opened;
        let Some(handshake) = self.handshake() else { return Step::Continue(()) };
        handshake.agreed |= agreed.is_some();
        handshake.left.early.extend_from_slice(&plain);
        handshake.left.ended |= ended;
        let stands = handshake.agreed;
        if let Some(agreed) = agreed {
            self.facts.agreed(Side::Target, agreed, turn);
        }
        self.say(Role::Target, leg, reply, turn);
        match broken {
            Some(fault) => self.target_garbled(libvirt, fault, turn)?,
            None if stands => self.target_speaks(libvirt, turn)?,
            None => {}
        }
        self.await_target(turn)
    }

    /// TLS with the target stands, and where libvirt is spoken its first word counts.
    fn target_speaks<K: Kernel>(&mut self, libvirt: bool, turn: &mut Turn<K>) -> Step {
        let Some(handshake) = self.handshake() else { return Step::Continue(()) };
        match handshake.left.early.first() {
            _ if !libvirt => self.target_agreed(turn),
            Some(&LET_IN) => {
                handshake.left.early.remove(0);
                self.target_agreed(turn)
            }
            None if !handshake.left.ended => Step::Continue(()),
            Some(_) | None => self.not_let_in(turn),
        }
    }

    /// Something came that can't be understood. What the target said before that is for the client, if it was more than that it lets us in.
    fn target_garbled<K: Kernel>(
        &mut self,
        libvirt: bool,
        fault: Fault,
        turn: &mut Turn<K>,
    ) -> Step {
        let Some(handshake) = self.handshake() else { return Step::Continue(()) };
        if handshake.left.early.len() > usize::from(libvirt) {
            handshake.left.broken = Some(fault);
            return self.target_speaks(libvirt, turn);
        }
        self.refuse_target(&fault, turn)
    }

    fn target_agreed<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let State::AwaitTarget(opening) = &mut self.state else { return Step::Continue(()) };
        let Stage::Tls(handshake) = std::mem::replace(&mut opening.stage, Stage::Connection) else {
            return Step::Continue(());
        };
        let Handshake { leg, layers, left, .. } = handshake;
        self.begin_relay(leg, layers, left, turn)
    }

    /// The target left in the middle of its handshake, or before it had let us in.
    pub(super) fn target_left<K: Kernel>(
        &mut self,
        errno: Option<Errno>,
        turn: &mut Turn<K>,
    ) -> Step {
        let State::AwaitTarget(opening) = &self.state else { return Step::Continue(()) };
        match (&opening.stage, errno) {
            (Stage::Tls(Handshake { agreed: true, .. }), _) => self.not_let_in(turn),
            (_, Some(errno)) => self.refuse(Side::Target, Cause::TlsFailed, Some(errno), turn),
            (_, None) => self.refuse_target(&Fault::Tls(Error::Closed), turn),
        }
    }

    fn not_let_in<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        self.facts.detail = Some(
            "the libvirt server closed the connection instead of letting us in: it has to trust our certificate's CA and to allow \
             its subject (tls_allowed_dn_list in libvirtd.conf; its log has the reason)"
                .into(),
        );
        self.refuse(Side::Target, Cause::NotLetIn, None, turn)
    }

    /// TLS with the target has failed.
    pub(super) fn refuse_target<K: Kernel>(&mut self, fault: &Fault, turn: &mut Turn<K>) -> Step {
        let mut detail = fault.to_string();
        let upstream = self.listener().upstream_tls.as_ref();
        if let Fault::Tls(Error::Certificate { fault: CertificateFault::UnknownIssuer, .. }) = fault
            && let Some(Ca::File(path)) = upstream.and_then(|upstream| upstream.files.ca.as_ref())
        {
            // Of a URI's `pkipath`, nobody has written `ca`.
            detail.push_str(&format!("; `ca` is {} here", path.display()));
        }
        self.facts.detail = Some(detail.into());
        self.refuse(Side::Target, fault.cause(), None, turn)
    }
}

/// As certificates have it: without brackets.
fn name_of(host: &Host) -> String {
    match host {
        Host::Name(name) => name.clone(),
        Host::V4(address) => address.to_string(),
        Host::V6(address) => address.to_string(),
    }
}
