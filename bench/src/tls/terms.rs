//! What the harness offers, and what it accepts: the same of everybody.
//!
//! TLS 1.3 with AES-256-GCM, which GnuTLS and OpenSSL, and so the clients of consoles, ask for first, and X25519, since no post-quantum
//! group is known to all programs that are compared.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, NamedGroup, ServerConfig,
    SignatureScheme,
};

use super::Keys;

/// For the clients of one contestant.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// Each connection is the first.
    pub(super) fresh: Arc<ClientConfig>,
    /// Each takes up a session of before, if there is one.
    pub(super) resuming: Arc<ClientConfig>,
}

impl Client {
    pub(crate) fn new(keys: &Keys) -> Result<Client> {
        let verifier =
            Arc::new(Expects { certificate: keys.certificate()?, signatures: AtomicU32::new(0) });
        let config = |resumption| -> Result<Arc<ClientConfig>> {
            let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
                .with_protocol_versions(&[&TLS13])?
                .dangerous()
                .with_custom_certificate_verifier(verifier.clone())
                .with_no_client_auth();
            config.resumption = resumption;
            config.enable_secret_extraction = true;
            Ok(Arc::new(config))
        };
        Ok(Client {
            fresh: config(Resumption::disabled())?,
            resuming: config(Resumption::store(Arc::new(Tickets::default())))?,
        })
    }
}

/// For the origin behind one contestant.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// It gives no tickets, so that nobody can take up a session again.
    pub(super) fresh: Arc<ServerConfig>,
    pub(super) resuming: Arc<ServerConfig>,
}

impl Server {
    pub(crate) fn new(keys: &Keys) -> Result<Server> {
        let config = |tickets| -> Result<Arc<ServerConfig>> {
            let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
                .with_protocol_versions(&[&TLS13])?
                .with_no_client_auth()
                .with_single_cert(vec![keys.certificate()?], keys.key()?)?;
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = tickets;
            if tickets > 0 {
                config.ticketer = aws_lc_rs::Ticketer::new()?;
            }
            config.enable_secret_extraction = true;
            Ok(Arc::new(config))
        };
        Ok(Server { fresh: config(0)?, resuming: config(TICKETS)? })
    }
}

/// As many as OpenSSL gives.
const TICKETS: usize = 2;

fn provider() -> CryptoProvider {
    let all = aws_lc_rs::default_provider();
    let suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384];
    CryptoProvider { cipher_suites: suites, kx_groups: vec![aws_lc_rs::kx_group::X25519], ..all }
}

/// One certificate, known beforehand: no chain is looked at, and few of the signatures that are made with its key, lest the load be busier
/// with checking them than any contestant with making them.
#[derive(Debug)]
struct Expects {
    certificate: CertificateDer<'static>,
    /// That came so far.
    signatures: AtomicU32,
}

/// Of so many signatures one is checked, beginning with the first.
const SIGNATURES: u32 = 16;

impl ServerCertVerifier for Expects {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match *shown == self.certificate {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 was not offered".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if !self.signatures.fetch_add(1, Ordering::Relaxed).is_multiple_of(SIGNATURES) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

/// Tickets of one contestant, each good for one connection; the newest goes first, since old ones lose their validity.
#[derive(Default)]
struct Tickets(Mutex<Vec<Tls13ClientSessionValue>>);

/// So many clients may be under way at once, and as many tickets be gone for a moment.
const TICKETS_KEPT: usize = 256;

impl Tickets {
    fn with<R>(&self, act: impl FnOnce(&mut Vec<Tls13ClientSessionValue>) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tickets", self.with(|tickets| tickets.len()))
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.with(|tickets| {
            if tickets.len() == TICKETS_KEPT {
                tickets.drain(..TICKETS_KEPT / 2);
            }
            tickets.push(ticket);
        });
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.with(Vec::pop)
    }
}
