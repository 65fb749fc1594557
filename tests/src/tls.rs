//! A client of TLS in this process, for what programs of others can't do: many handshakes a second, records of one byte.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::connect::be_patient;
use crate::pki::{Authority, Issued};

/// An open connection.
pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A client that resumes no session: each handshake is a whole one.
#[derive(Clone, Debug)]
pub struct TlsClient(Arc<ClientConfig>);

impl TlsClient {
    /// One that trusts this authority only, and shows that identity to who asks.
    ///
    /// # Panics
    /// When one of them is not what the rig made.
    pub fn new(authority: &Authority, identity: Option<&Issued>) -> TlsClient {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("PEM");
        roots.add(root).expect("an authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().expect("TLS 1.2 and 1.3");
        let builder = builder.with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = vec![CertificateDer::from(identity.der.clone())];
                let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("PEM");
                builder.with_client_auth_cert(chain, key).expect("an identity")
            }
        };
        config.resumption = rustls::client::Resumption::disabled();
        TlsClient(Arc::new(config))
    }

    /// Connects and shakes hands with a server whose certificate is for its address. No step takes longer than
    /// [`crate::connect::PATIENCE`].
    ///
    /// # Errors
    /// The connection's, and the handshake's as such an error.
    pub fn connect(&self, address: SocketAddr) -> io::Result<Stream> {
        self.shake(TcpStream::connect(address)?, ServerName::from(address.ip()))
    }

    /// The same over a connection that is there.
    ///
    /// # Errors
    /// The connection's, and the handshake's as such an error.
    pub fn shake(&self, mut tcp: TcpStream, name: ServerName<'static>) -> io::Result<Stream> {
        be_patient(&tcp)?;
        let mut tls = self.session(name);
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp)?;
        }
        Ok(StreamOwned::new(tls, tcp))
    }

    /// A session with a server of that name that has yet to begin.
    ///
    /// # Panics
    /// Never: the configuration can begin one.
    pub fn session(&self, name: ServerName<'static>) -> ClientConnection {
        ClientConnection::new(Arc::clone(&self.0), name).expect("a client")
    }
}

/// The certificate that the other side showed, DER.
///
/// # Panics
/// When there is none: no handshake ends so.
pub fn shown(stream: &Stream) -> &[u8] {
    stream.conn.peer_certificates().and_then(|chain| chain.first()).expect("a certificate")
}
