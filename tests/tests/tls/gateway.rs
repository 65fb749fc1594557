//! A daemon that joins one kind of leg to another, and the two ends of tunnels through it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use penstock_tests::pki::{Authority, Folder, Issued, Wanted};
use penstock_tests::{Driver, Penstock, Setup, wait};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    SupportedProtocolVersion,
};

use crate::end::{End, Socket};

/// What the daemon speaks on one side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Leg {
    Tcp,
    Unix,
    Tls,
}

/// What is to be started.
pub(crate) struct Plan {
    pub(crate) setup: Setup,
    pub(crate) pki: Folder,
    pub(crate) legs: [Leg; 2],
    /// More keys of the tables `tls` and `upstream_tls`, each behind a comma.
    pub(crate) more: [String; 2],
    /// The keys `cert` and `key` of the listener, if they are not for its address.
    pub(crate) identity: Option<String>,
    /// More lines of the listener.
    pub(crate) lines: String,
    pub(crate) versions: &'static [&'static SupportedProtocolVersion],
}

/// See the module.
pub(crate) struct Gateway {
    pub(crate) penstock: Penstock,
    pub(crate) pki: Folder,
    legs: [Leg; 2],
    target: TcpListener,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Plan {
    pub(crate) fn new(driver: Driver, legs: [Leg; 2]) -> Plan {
        Plan {
            setup: Setup::without_listeners(driver),
            pki: Folder::new(),
            legs,
            more: Default::default(),
            identity: None,
            lines: String::new(),
            versions: rustls::ALL_VERSIONS,
        }
    }

    /// Adds lines to the listener.
    pub(crate) fn line(mut self, lines: &str) -> Plan {
        self.lines += lines;
        self.lines += "\n";
        self
    }

    /// Adds a key of the table `tls`.
    pub(crate) fn tls(mut self, key: &str) -> Plan {
        self.more[0] += &format!(", {key}");
        self
    }

    /// Sets the keys `cert` and `key` of the table `tls`, and others.
    pub(crate) fn identity(mut self, keys: &str) -> Plan {
        self.identity = Some(keys.to_owned());
        self
    }

    /// Adds a key of the table `upstream_tls`.
    pub(crate) fn upstream(mut self, key: &str) -> Plan {
        self.more[1] += &format!(", {key}");
        self
    }

    /// Adds a key of the table `engine`.
    pub(crate) fn engine(mut self, key: &str, value: &str) -> Plan {
        self.setup = self.setup.set("engine", key, value);
        self
    }

    pub(crate) fn start(self) -> Gateway {
        let Plan { setup, pki, legs, more, identity, lines, versions } = self;
        let target = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = target.local_addr().expect("bound").port();
        let address = match legs[0] {
            Leg::Unix => format!("unix:{}", pki.path("socket").display()),
            Leg::Tcp | Leg::Tls => format!("{}:3128", setup.address()),
        };
        let scheme = if legs[1] == Leg::Tls { "tls" } else { "tcp" };
        let mut listener = format!(
            "name = \"gateway\"\naddress = \"{address}\"\nservice = \"forward\"\ntarget = \"{scheme}://127.0.0.1:{port}\"\n{lines}"
        );
        if legs[0] == Leg::Tls {
            let own = || pki.pair("listener", &Wanted::server(setup.address()));
            let pair = identity.unwrap_or_else(own);
            listener += &format!("tls = {{ {pair}{} }}\n", more[0]);
        }
        if legs[1] == Leg::Tls {
            let ca = pki.authority_file();
            listener += &format!("upstream_tls = {{ ca = \"{}\"{} }}\n", ca.display(), more[1]);
        }
        let identity = pki.authority.issue(&Wanted::server(Ipv4Addr::LOCALHOST));
        Gateway {
            penstock: setup.listener(&listener).start(),
            client: client_config(&pki.authority, versions),
            server: server_config(&identity, versions),
            pki,
            legs,
            target,
        }
    }
}

impl Gateway {
    /// The two ends of a new tunnel: the client's and the target's.
    pub(crate) fn ends(&self) -> (End, End) {
        thread::scope(|scope| {
            let target = scope.spawn(|| self.accept());
            let client = self.connect();
            (client, target.join().expect("a target"))
        })
    }

    /// A client whose handshake, if there is one, has ended.
    pub(crate) fn connect(&self) -> End {
        self.try_connect().expect("the gateway lets us in")
    }

    pub(crate) fn try_connect(&self) -> io::Result<End> {
        match self.legs[0] {
            Leg::Unix => {
                Ok(End::plain(Socket::Unix(UnixStream::connect(self.pki.path("socket"))?)))
            }
            Leg::Tcp => Ok(End::plain(Socket::Tcp(self.dial()?))),
            Leg::Tls => End::tls(Socket::Tcp(self.dial()?), self.session()),
        }
    }

    /// A connection to the listener, on which nothing was said.
    pub(crate) fn dial(&self) -> io::Result<TcpStream> {
        TcpStream::connect(self.address())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.penstock.proxy()
    }

    /// A client's side of TLS that has not begun.
    pub(crate) fn session(&self) -> ClientConnection {
        let name = ServerName::from(self.address().ip());
        ClientConnection::new(Arc::clone(&self.client), name).expect("a client")
    }

    /// A target's side of TLS that has not begun.
    pub(crate) fn server_session(&self) -> ServerConnection {
        ServerConnection::new(Arc::clone(&self.server)).expect("a server")
    }

    /// A target whose handshake, if there is one, has ended.
    pub(crate) fn accept(&self) -> End {
        let socket = self.accept_silently();
        match self.legs[1] {
            Leg::Tls => {
                End::tls(Socket::Tcp(socket), self.server_session()).expect("the gateway trusts us")
            }
            Leg::Tcp | Leg::Unix => End::plain(Socket::Tcp(socket)),
        }
    }

    /// The daemon's connection to the target, on which nothing was said.
    pub(crate) fn accept_silently(&self) -> TcpStream {
        self.target.set_nonblocking(true).expect("a socket");
        let accepted = wait::until("the gateway connects", Duration::from_secs(10), || {
            self.target.accept().ok().map(|(socket, _)| socket)
        });
        accepted.set_nonblocking(false).expect("a socket");
        accepted
    }

    /// A target in the clear, if the daemon has connected by now.
    pub(crate) fn try_accept(&self) -> Option<End> {
        self.target.set_nonblocking(true).expect("a socket");
        let (socket, _) = self.target.accept().ok()?;
        socket.set_nonblocking(false).expect("a socket");
        Some(End::plain(Socket::Tcp(socket)))
    }
}

/// A client that trusts this authority, and takes up no session.
pub(crate) fn client_config(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut config = builder_of_client(authority, versions).with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

/// What becomes a client that trusts this authority.
pub(crate) fn builder_of_client(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate_of(authority.pem())).expect("an authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
}

/// A server that shows this certificate, and wants none.
pub(crate) fn server_config(
    identity: &Issued,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate_of(&identity.certificate)], key_of(identity));
    Arc::new(config.expect("an identity"))
}

pub(crate) fn certificate_of(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM")
}

pub(crate) fn key_of(identity: &Issued) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("PEM")
}
