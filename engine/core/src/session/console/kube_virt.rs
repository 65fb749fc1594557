//! Consoles behind the API of Kubernetes: judged as any other target, and then opened by somebody who may wait.

use std::sync::Arc;

use penstock_proto::Secret;
use penstock_proto::http::Target;
use penstock_ring::Kernel;

use crate::close::{Cause, Side};
use crate::config::{Door, KubeVirt};
use crate::session::{Session, State};
use crate::turn::{Step, Turn};

impl Session {
    /// The door to what a token names, without addresses yet. None: there is no TLS towards targets.
    pub(super) fn kube_virt(
        &self,
        target: Target,
        path: Box<str>,
        token: Secret,
    ) -> Option<Arc<Door>> {
        let tls = self.listener().upstream_tls.as_ref()?.client.get();
        let addresses = Vec::new();
        Some(Arc::new(Door::KubeVirt(KubeVirt { target, addresses, path, token, tls })))
    }

    pub(super) fn refuse_kube_virt<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        self.facts.detail = Some(
            "a console of KubeVirt's is reached through TLS, and nothing is said of that: add `upstream_tls`"
                .into(),
        );
        self.refuse(Side::Penstock, Cause::TokenRefused, None, turn)
    }

    /// Whether the target's addresses are for somebody else to connect to.
    pub(in crate::session) fn is_kube_virt(&self) -> bool {
        let State::AwaitTarget(opening) = &self.state else { return false };
        matches!(opening.door.as_deref(), Some(Door::KubeVirt(_)))
    }

    /// The addresses are known that the rules allow.
    pub(in crate::session) fn ask_kube_virt<K: Kernel>(&mut self, turn: &mut Turn<K>) -> Step {
        let State::AwaitTarget(opening) = &mut self.state else { return Step::Continue(()) };
        let Some(Door::KubeVirt(one)) = opening.door.as_deref() else {
            return Step::Continue(());
        };
        let addresses = opening.candidates.drain(..).collect();
        opening.door = Some(Arc::new(Door::KubeVirt(KubeVirt { addresses, ..one.clone() })));
        self.ask_for_door(turn)
    }
}
