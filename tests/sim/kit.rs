//! What the hosts of a run need for TLS: settings of clients and servers, made when they are first asked for and shared after
//! that, so that sessions can be taken up again.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use penstock_tls::{
    Client, ClientAuth, ClientOptions, Implementation, MinVersion, Revoked, Server, ServerOptions,
    Verify,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion,
};

use crate::sim::certificates::{Shown, TARGET, roots, trusted};
use crate::sim::crypt::Crypt;
use crate::sim::manner::Manner;
use crate::sim::random::Random;
use crate::sim::secure::{Expected, Secure, Word};

/// Whose TLS a host speaks, and which version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Make {
    /// Sessions of penstock-tls: TLS 1.3.
    Ours,
    /// rustls, TLS 1.2.
    Rustls12,
    /// The same with ChaCha20-Poly1305 only, whose records have another form.
    Rustls12Chacha,
    /// rustls, TLS 1.3.
    Rustls13,
    /// The same with ChaCha20-Poly1305 only.
    Rustls13Chacha,
}

impl Make {
    /// All of them, ours as often as others.
    pub const CHOICES: [Make; 8] = [
        Make::Ours,
        Make::Ours,
        Make::Ours,
        Make::Ours,
        Make::Rustls12,
        Make::Rustls12Chacha,
        Make::Rustls13,
        Make::Rustls13Chacha,
    ];

    /// Whether it is the old version that it speaks.
    pub fn is_old(self) -> bool {
        matches!(self, Make::Rustls12 | Make::Rustls12Chacha)
    }

    fn provider(self) -> Arc<CryptoProvider> {
        let mut provider = aws_lc_rs::default_provider();
        if matches!(self, Make::Rustls12Chacha | Make::Rustls13Chacha) {
            let is_chacha =
                |suite: &SupportedCipherSuite| format!("{:?}", suite.suite()).contains("CHACHA20");
            provider.cipher_suites.retain(is_chacha);
        }
        provider.into()
    }

    fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        static BOTH: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];
        if self.is_old() { &BOTH[..1] } else { &BOTH[1..] }
    }
}

/// What a client is like.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClientKind {
    /// Whose TLS.
    pub make: Make,
    /// Its certificate.
    pub shown: Option<Shown>,
    /// It trusts nobody whom it will meet.
    pub wary: bool,
}

/// What a server is like.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ServerKind {
    /// Whose TLS.
    pub make: Make,
    /// Its certificate.
    pub shown: Shown,
    /// Clients have to show one.
    pub demands: bool,
}

/// See the module.
#[derive(Default)]
pub struct Kit {
    made: RefCell<Made>,
}

#[derive(Default)]
struct Made {
    clients: HashMap<ClientKind, Side>,
    servers: HashMap<ServerKind, Side>,
}

#[derive(Clone)]
enum Side {
    OurClient(Client),
    OurServer(Server),
    Client(Arc<ClientConfig>),
    Server(Arc<ServerConfig>),
}

/// How to make a side of a connection.
#[derive(Clone)]
pub struct Recipe {
    side: Side,
    /// The server that a client looks for.
    name: String,
    /// How it behaves.
    pub manner: Manner,
    /// What passes before payload.
    pub word: Word,
    /// What records are to be like.
    pub expected: Expected,
}

impl std::fmt::Debug for Recipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?}", self.manner, self.word)
    }
}

impl Recipe {
    /// A new connection's side.
    pub fn make(&self, random: &mut Random) -> Secure {
        let crypt = match &self.side {
            Side::OurClient(client) => {
                Crypt::Ours(client.session(&self.name).expect("it is a name"))
            }
            Side::OurServer(server) => Crypt::Ours(server.session().expect("there is memory")),
            Side::Client(config) => Crypt::rustls_client(Arc::clone(config), &self.name),
            Side::Server(config) => Crypt::rustls_server(Arc::clone(config)),
        };
        Secure::new(crypt, self, Random::new(random.bits()))
    }
}

impl Kit {
    /// A client that looks for the listener of that name.
    pub fn client(&self, kind: ClientKind, name: &str, manner: Manner, word: Word) -> Recipe {
        let mut made = self.made.borrow_mut();
        let side = made.clients.entry(kind).or_insert_with(|| client(kind)).clone();
        let expected = Expected { max_record: 1 << 14, message: None };
        Recipe { side, name: name.to_owned(), manner, word, expected }
    }

    /// A target.
    pub fn server(&self, kind: ServerKind, manner: Manner, word: Word) -> Recipe {
        let mut made = self.made.borrow_mut();
        let side = made.servers.entry(kind).or_insert_with(|| server(kind)).clone();
        let expected = Expected { max_record: 1 << 14, message: None };
        Recipe { side, name: TARGET.to_owned(), manner, word, expected }
    }
}

fn client(ClientKind { make, shown, wary }: ClientKind) -> Side {
    if make == Make::Ours {
        let options = ClientOptions {
            authorities: Some(trusted()),
            verify: Verify::Name,
            revoked: Revoked::default(),
            identity: shown.map(|shown| shown.paper().identity()),
            min_version: MinVersion::Tls12,
            alpn: Vec::new(),
            implementation: Implementation::AwsLc,
            by_common_name: Arc::default(),
        };
        return Side::OurClient(Client::new(options).expect("the options are right"));
    }
    let roots = if wary { RootCertStore::empty() } else { roots() };
    let builder = ClientConfig::builder_with_provider(make.provider())
        .with_protocol_versions(make.versions())
        .expect("the provider has suites for it")
        .with_root_certificates(roots);
    let config = match shown {
        None => builder.with_no_client_auth(),
        Some(shown) => {
            let (chain, key) = shown.paper().pair();
            builder.with_client_auth_cert(chain, key).expect("they belong together")
        }
    };
    Side::Client(Arc::new(config))
}

fn server(ServerKind { make, shown, demands }: ServerKind) -> Side {
    if make == Make::Ours {
        let options = ServerOptions {
            identities: vec![shown.paper().identity()],
            client_auth: if demands { ClientAuth::Require } else { ClientAuth::Off },
            client_authorities: demands.then(trusted),
            revoked: Revoked::default(),
            allowed: None,
            min_version: MinVersion::Tls12,
            alpn: Vec::new(),
            tickets: true,
            implementation: Implementation::AwsLc,
        };
        return Side::OurServer(Server::new(options).expect("the options are right"));
    }
    let provider = make.provider();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(make.versions())
        .expect("the provider has suites for it");
    let builder = match demands {
        false => builder.with_no_client_auth(),
        true => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(roots().into(), provider)
                .build()
                .expect("there is somebody to trust"),
        ),
    };
    let (chain, key) = shown.paper().pair();
    Side::Server(Arc::new(builder.with_single_cert(chain, key).expect("they belong together")))
}
