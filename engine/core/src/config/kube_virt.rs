//! A console of KubeVirt's: a WebSocket of the API of its Kubernetes.

use std::fmt;
use std::net::SocketAddr;

use penstock_proto::Secret;
use penstock_proto::http::Target;
use penstock_tls::Client;

/// Where it is, and how it is asked for. Whether the API is the one that is meant, TLS decides.
#[derive(Clone)]
pub struct KubeVirt {
    /// The API, by the name that its certificate has.
    pub target: Target,
    /// Its addresses that the rules allow, best first.
    pub addresses: Vec<SocketAddr>,
    /// What is asked for.
    pub path: Box<str>,
    /// Who asks.
    pub token: Secret,
    /// Our side of TLS.
    pub tls: Client,
}

impl fmt::Debug for KubeVirt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KubeVirt({})", self.target)
    }
}

impl PartialEq for KubeVirt {
    /// Of the same console; whom we trust is no part of it.
    fn eq(&self, other: &KubeVirt) -> bool {
        let key = |one: &KubeVirt| (one.target.clone(), one.addresses.clone(), one.path.clone());
        key(self) == key(other) && self.token == other.token
    }
}

impl Eq for KubeVirt {}
