//! What a listener shows to its clients and asks of them, and what we ask of targets: made once, shared by all sessions.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use rustls::client::{Resumption, UnbufferedClientConnection, WebPkiServerVerifier};
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::ServerName;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, UnbufferedServerConnection,
    WebPkiClientVerifier,
};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use crate::error::Error;
use crate::handshake::{Connection, Handshake};
use crate::identity::{Authorities, Identity, Revoked};
use crate::provider::Implementation;
use crate::remembered::Remembered;
use crate::session::Session;
use crate::subject::Allowed;
use crate::verify::{ClientVerifier, NoVerifier, ServerVerifier, Verify};

/// The oldest version that is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MinVersion {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl MinVersion {
    fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        static BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
        match self {
            MinVersion::Tls12 => &BOTH,
            MinVersion::Tls13 => &BOTH[..1],
        }
    }
}

/// Whether clients show a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ClientAuth {
    /// None is asked for.
    #[default]
    Off,
    /// One that is shown has to be sound.
    Optional,
    /// One has to be shown.
    Require,
}

/// What a listener does.
#[derive(Debug)]
pub struct ServerOptions {
    /// At least one: a client gets the first that is for the name it asks for, or the first of all.
    pub identities: Vec<Identity>,
    /// Whether clients show a certificate.
    pub client_auth: ClientAuth,
    /// Who may have signed it.
    pub client_authorities: Option<Authorities>,
    /// What was revoked.
    pub revoked: Revoked,
    /// Subjects that may come in; none: all.
    pub allowed: Option<Allowed>,
    /// The oldest version.
    pub min_version: MinVersion,
    /// Protocols within, by preference; a client that offers some must offer one of these. Empty: none is agreed on.
    pub alpn: Vec<Vec<u8>>,
    /// Whether clients are given tickets, by which they may take a session up again.
    pub tickets: bool,
    /// Whose ciphers.
    pub implementation: Implementation,
}

/// A listener's side, ready for clients.
#[derive(Clone)]
pub struct Server {
    config: Arc<ServerConfig>,
    implementation: Implementation,
    least: MinVersion,
    expires: SystemTime,
    lists_expire: Option<SystemTime>,
}

impl Server {
    /// # Errors
    /// If the options contradict one another, or a revocation list can't be read.
    pub fn new(options: ServerOptions) -> Result<Server, Error> {
        let implementation = options.implementation;
        let lists_expire = options.revoked.expires();
        let builder = ServerConfig::builder_with_provider(implementation.provider())
            .with_protocol_versions(options.min_version.versions())?;
        let builder = match client_verifier(&options)? {
            None => builder.with_no_client_auth(),
            Some(verifier) => builder.with_client_cert_verifier(Arc::new(verifier)),
        };
        let expires = options.identities.iter().map(Identity::expires).min();
        let expires = expires.ok_or(Error::internal("a server without a certificate"))?;
        let mut config = builder.with_cert_resolver(Arc::new(ByName(options.identities)));
        config.alpn_protocols = options.alpn;
        config.enable_secret_extraction = true;
        // A client's own order may put its weakest suite first.
        config.ignore_client_order = true;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // Of its own: whoever was let in under other settings has to show everything again.
        if options.tickets {
            config.ticketer = Ticketer::new()?;
        } else {
            config.send_tls13_tickets = 0;
        }
        let least = options.min_version;
        Ok(Server { config: Arc::new(config), implementation, least, expires, lists_expire })
    }

    /// When the first of its certificates ceases to be valid.
    pub fn expires(&self) -> SystemTime {
        self.expires
    }

    /// When the first of its revocation lists is out of date: from then on nobody of that CA passes. None if it has none.
    pub fn lists_expire(&self) -> Option<SystemTime> {
        self.lists_expire
    }

    /// A session with a client that has just connected.
    ///
    /// # Errors
    /// If there is no memory or no randomness.
    pub fn session(&self) -> Result<Session, Error> {
        let connection = UnbufferedServerConnection::new(Arc::clone(&self.config))?;
        let handshake = Handshake::new(Connection::Server(connection), self.least);
        Ok(Session::new(self.implementation, handshake))
    }
}

fn client_verifier(options: &ServerOptions) -> Result<Option<ClientVerifier>, Error> {
    let authorities = match (options.client_auth, &options.client_authorities) {
        (ClientAuth::Off, _) => return Ok(None),
        (_, None) => return Err(Error::internal("client certificates without an authority")),
        (_, Some(authorities)) => Arc::clone(&authorities.0),
    };
    let builder =
        WebPkiClientVerifier::builder_with_provider(authorities, options.implementation.provider())
            .with_crls(options.revoked.0.iter().cloned())
            .enforce_revocation_expiration();
    let builder = match options.client_auth {
        ClientAuth::Optional => builder.allow_unauthenticated(),
        ClientAuth::Off | ClientAuth::Require => builder,
    };
    let inner = builder.build().map_err(|error| Error::Internal(error.to_string()))?;
    Ok(Some(ClientVerifier { inner, allowed: options.allowed.clone() }))
}

/// The certificate that fits the name asked for.
#[derive(Debug)]
struct ByName(Vec<Identity>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().map(str::to_ascii_lowercase);
        let fits = |identity: &&Identity| {
            let asked = asked.as_deref().unwrap_or_default();
            identity.names.iter().any(|name| covers(name, asked))
        };
        let found = self.0.iter().find(fits).or(self.0.first());
        found.map(|identity| Arc::clone(&identity.key))
    }
}

/// Whether a name of a certificate, which may begin with a star, is that of a host.
fn covers(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(suffix) => host.split_once('.').is_some_and(|(_, rest)| rest == suffix),
        None => name == host,
    }
}

/// What is asked of targets.
#[derive(Debug)]
pub struct ClientOptions {
    /// Who may have signed the target's certificate; none only where nothing is verified.
    pub authorities: Option<Authorities>,
    /// What the certificate is held against.
    pub verify: Verify,
    /// What was revoked.
    pub revoked: Revoked,
    /// What we show if we are asked.
    pub identity: Option<Identity>,
    /// The oldest version.
    pub min_version: MinVersion,
    /// Protocols within, by preference.
    pub alpn: Vec<Vec<u8>>,
    /// Whose ciphers.
    pub implementation: Implementation,
    /// Counts targets that were judged by their common name.
    pub by_common_name: Arc<AtomicU64>,
}

/// Our side towards targets.
#[derive(Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    implementation: Implementation,
    least: MinVersion,
    expires: Option<SystemTime>,
    lists_expire: Option<SystemTime>,
    remembered: Arc<Remembered>,
}

impl Client {
    /// # Errors
    /// If there is nobody to trust, or a revocation list can't be read.
    pub fn new(options: ClientOptions) -> Result<Client, Error> {
        let implementation = options.implementation;
        let lists_expire = options.revoked.expires();
        let provider = implementation.provider();
        let algorithms = provider.signature_verification_algorithms;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(options.min_version.versions())?
            .dangerous();
        let builder = match options.verify {
            Verify::Off => {
                builder.with_custom_certificate_verifier(Arc::new(NoVerifier(algorithms)))
            }
            verify => {
                let roots = options.authorities.map(|authorities| authorities.0);
                let inner = server_verifier(roots, options.revoked, implementation)?;
                let by_common_name = options.by_common_name;
                builder.with_custom_certificate_verifier(Arc::new(ServerVerifier {
                    inner,
                    verify,
                    by_common_name,
                }))
            }
        };
        let expires = options.identity.as_ref().map(Identity::expires);
        let mut config = match options.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let key = CertifiedKey::clone(&identity.key);
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
            }
        };
        config.alpn_protocols = options.alpn;
        config.enable_secret_extraction = true;
        let remembered = Arc::new(Remembered::new());
        config.resumption = Resumption::store(Arc::clone(&remembered) as _);
        let least = options.min_version;
        let config = Arc::new(config);
        Ok(Client { config, implementation, least, expires, lists_expire, remembered })
    }

    /// When the certificate that it shows ceases to be valid, if it has one to show.
    pub fn expires(&self) -> Option<SystemTime> {
        self.expires
    }

    /// When the first of its revocation lists is out of date: from then on nobody of that CA passes. None if it has none.
    pub fn lists_expire(&self) -> Option<SystemTime> {
        self.lists_expire
    }

    /// A session with the target of that name or address; it begins with [`Session::start`].
    ///
    /// # Errors
    /// If the name is none that a certificate could be for.
    pub fn session(&self, name: &str) -> Result<Session, Error> {
        let shown = if name.is_empty() { "nothing" } else { name };
        let name = ServerName::try_from(name.to_owned()).map_err(|_| {
            Error::Internal(format!(
                "expected a name that a certificate could be for, came {shown}: set `server_name`"
            ))
        })?;
        let connection = UnbufferedClientConnection::new(Arc::clone(&self.config), name.clone())?;
        let handshake = Handshake::new(Connection::Client(connection), self.least)
            .remembered(Arc::clone(&self.remembered), name);
        Ok(Session::new(self.implementation, handshake))
    }
}

fn server_verifier(
    roots: Option<Arc<RootCertStore>>,
    revoked: Revoked,
    implementation: Implementation,
) -> Result<Arc<WebPkiServerVerifier>, Error> {
    let roots =
        roots.ok_or(Error::internal("a target is to be verified, and nobody is trusted"))?;
    WebPkiServerVerifier::builder_with_provider(roots, implementation.provider())
        .with_crls(revoked.0)
        .enforce_revocation_expiration()
        .build()
        .map_err(|error| Error::Internal(error.to_string()))
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({:?})", self.config.cert_resolver)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.implementation.label())
    }
}
