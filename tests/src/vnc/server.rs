//! A VNC server that says what it is told to, and tells what it was told.
//!
//! In: a [`Script`], and [`Faults`] for connections to come. Out: a [`Visit`] for each connection that has ended. Whoever comes in is
//! greeted with a name and given back what it sends.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};

use super::subtype::{self, Inner};
use super::wire::{Counts, Faults, Wire};
use super::{Account, V33, V38, respond, sasl, security};
use crate::connect::{PATIENCE, be_patient};
use crate::loopback;
use crate::pki::{Authority, Issued};

/// How large it says that its screen is.
pub const SIZE: (u16, u16) = (640, 480);

/// What it asks who has to know a password: always the same, so that somebody may answer before being asked.
pub const CHALLENGE: [u8; 16] =
    *b"\x5a\x45\x64\x07\x26\xc1\xe0\x83\xa2\x4d\x6c\x0f\x2e\xc9\xe8\x8b";

/// What a server says, and what it asks for.
#[derive(Clone, Debug)]
pub struct Script {
    /// What it begins with.
    pub version: Vec<u8>,
    /// Its list of security types; none: it refuses everybody.
    pub types: Vec<u8>,
    /// Its version of VeNCrypt.
    pub vencrypt: [u8; 2],
    /// Whether it takes the client's version of VeNCrypt.
    pub takes_version: bool,
    /// Its list of subtypes.
    pub subtypes: Vec<u32>,
    /// Whether it lets those who chose a subtype begin with TLS.
    pub goes_on: bool,
    /// What it speaks TLS with.
    pub tls: Option<Arc<ServerConfig>>,
    /// What a challenge is to be answered by.
    pub password: String,
    /// Who may come in by name.
    pub account: Account,
    /// SASL's mechanisms, of which it knows PLAIN.
    pub mechanisms: String,
    /// What it says at the end, whatever happened.
    pub verdict: Option<u32>,
    /// Why somebody is refused, to who hears it.
    pub reason: String,
    /// What it calls its screen.
    pub name: String,
}

impl Script {
    /// RFB 3.8 with these types, and nothing within VeNCrypt yet.
    pub fn new(types: &[u8]) -> Script {
        Script {
            version: V38.to_vec(),
            types: types.to_vec(),
            vencrypt: [0, 2],
            takes_version: true,
            subtypes: Vec::new(),
            goes_on: true,
            tls: None,
            password: "secret".to_owned(),
            account: Account::new("lab", "secret"),
            mechanisms: sasl::PLAIN.to_owned(),
            verdict: None,
            reason: "Authentication failed".to_owned(),
            name: "stand-in".to_owned(),
        }
    }

    /// VeNCrypt alone, with these subtypes.
    pub fn vencrypt(subtypes: &[u32], tls: Arc<ServerConfig>) -> Script {
        let subtypes = subtypes.to_vec();
        Script { subtypes, tls: Some(tls), ..Script::new(&[security::VENCRYPT]) }
    }

    /// Begins with another version.
    #[must_use]
    pub fn version(self, version: &[u8]) -> Script {
        Script { version: version.to_vec(), ..self }
    }
}

/// What a server of TLS shows, and whether it wants to be shown something of that authority.
///
/// # Panics
/// When they are not what the rig made.
pub fn config(identity: &Issued, clients: Option<&Authority>) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().expect("TLS 1.2 and 1.3");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            let root = CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("PEM");
            roots.add(root).expect("an authority");
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    let chain = vec![CertificateDer::from(identity.der.clone())];
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("PEM");
    Arc::new(builder.with_single_cert(chain, key).expect("an identity"))
}

/// What a client did.
#[derive(Debug, Default)]
pub struct Visit {
    /// Its version.
    pub version: Vec<u8>,
    /// The security type that it chose.
    pub security: Option<u8>,
    /// The subtype that it chose.
    pub subtype: Option<u32>,
    /// Its certificate, DER.
    pub certificate: Option<Vec<u8>>,
    /// Who it says that it is.
    pub account: Option<Account>,
    /// Whether it was let in.
    pub admitted: bool,
    /// The first byte behind the security: whether others may stay.
    pub shared: Option<u8>,
    /// What it said when it was in.
    pub said: u64,
    /// Bytes received and sent below TLS.
    pub counts: [u64; 2],
    /// What broke it off; nothing when the client ended it.
    pub error: Option<io::Error>,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    faults: Arc<Mutex<VecDeque<Faults>>>,
    visits: Receiver<Visit>,
}

impl Server {
    /// Starts it on an address of its own, where it serves until the process ends.
    ///
    /// # Panics
    /// When no port is free.
    pub fn start(script: Script) -> Server {
        Server::start_at(loopback::address().into(), script)
    }

    /// The same on an address that is known before: certificates are for one.
    ///
    /// # Panics
    /// When its port isn't free.
    pub fn start_at(address: IpAddr, script: Script) -> Server {
        let listener = TcpListener::bind((address, 5900)).expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let (tell, visits) = mpsc::channel();
        let faults = Arc::new(Mutex::new(VecDeque::new()));
        let next = Arc::clone(&faults);
        thread::spawn(move || serve(&listener, &Arc::new(script), &next, &tell));
        Server { address, faults, visits }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections to come have these faults, one each.
    ///
    /// # Panics
    /// Never: nobody holds the list for long.
    pub fn have_faults(&self, faults: impl IntoIterator<Item = Faults>) {
        self.faults.lock().expect("a list").extend(faults);
    }

    /// What the client did whose connection ended next.
    ///
    /// # Panics
    /// When none does for long.
    pub fn visit(&self) -> Visit {
        self.visits.recv_timeout(PATIENCE).expect("a visit that has ended")
    }

    /// What a client did that was not broken off by us, of those whose connections end next.
    ///
    /// # Panics
    /// As [`Server::visit`].
    pub fn whole_visit(&self) -> Visit {
        let is_ours = |error: &io::Error| error.kind() == ErrorKind::ConnectionAborted;
        loop {
            let visit = self.visit();
            if visit.shared.is_some() && !visit.error.as_ref().is_some_and(is_ours) {
                return visit;
            }
        }
    }
}

fn serve(
    listener: &TcpListener,
    script: &Arc<Script>,
    faults: &Mutex<VecDeque<Faults>>,
    tell: &Sender<Visit>,
) {
    for stream in listener.incoming().filter_map(Result::ok) {
        let faults = faults.lock().expect("a list").pop_front().unwrap_or_default();
        let (script, tell) = (Arc::clone(script), tell.clone());
        // Hundreds of these threads must fit.
        let thread = thread::Builder::new().stack_size(512 << 10);
        thread.spawn(move || drop(tell.send(receive(stream, faults, &script)))).expect("a thread");
    }
}

fn receive(stream: TcpStream, faults: Faults, script: &Script) -> Visit {
    let mut visit = Visit::default();
    // One that has gone already is told by the first word.
    let _ = be_patient(&stream);
    let wire = Wire::new(stream, faults);
    let counts: Counts = wire.counts();
    visit.error = Host { script, wire, visit: &mut visit }.talk().err();
    visit.counts = counts.get();
    visit
}

/// One conversation.
struct Host<'s> {
    script: &'s Script,
    wire: Wire,
    visit: &'s mut Visit,
}

impl Host<'_> {
    fn talk(&mut self) -> io::Result<()> {
        self.wire.write_all(&self.script.version)?;
        self.visit.version = self.wire.array::<12>()?.to_vec();
        let Some(kind) = self.security()? else { return Ok(()) };
        self.visit.security = Some(kind);
        let verdict = match kind {
            security::NONE => self.tells_of_none().then_some(true),
            security::VNC => Some(self.challenge()?),
            security::VENCRYPT => Some(self.vencrypt()?),
            security::SASL => Some(self.sasl()?),
            other => return Err(unexpected(format!("security type {other}"))),
        };
        if !self.judge(verdict)? {
            return Ok(());
        }
        self.visit.admitted = true;
        self.visit.shared = Some(self.wire.byte()?);
        self.greet()?;
        self.echo()
    }

    /// Old versions leave out what is not in doubt.
    fn tells_of_none(&self) -> bool {
        self.visit.version > b"RFB 003.007\n".to_vec() || self.script.verdict.is_some()
    }

    /// What the client has chosen, or is told to take.
    fn security(&mut self) -> io::Result<Option<u8>> {
        let is_old = self.visit.version < b"RFB 003.007\n".to_vec();
        debug_assert!(is_old || self.script.version != V33);
        let Some(first) = self.script.types.first() else {
            let none: &[u8] = if is_old { &[0; 4] } else { &[0] };
            self.wire.write_all(&[none, &text(&self.script.reason)].concat())?;
            return Ok(None);
        };
        if is_old {
            self.wire.write_all(&[0, 0, 0, *first])?;
            return Ok(Some(*first));
        }
        let types = &self.script.types;
        self.wire.write_all(&[&[types.len() as u8], types.as_slice()].concat())?;
        let chosen = self.wire.byte()?;
        match types.contains(&chosen) {
            true => Ok(Some(chosen)),
            false => Err(unexpected(format!("security type {chosen}"))),
        }
    }

    /// Whether the client knows the password.
    fn challenge(&mut self) -> io::Result<bool> {
        self.wire.ask(&CHALLENGE)?;
        let answer = self.wire.array::<16>()?;
        Ok(answer == respond(&self.script.password, CHALLENGE))
    }

    fn vencrypt(&mut self) -> io::Result<bool> {
        self.wire.write_all(&self.script.vencrypt)?;
        let version = self.wire.array::<2>()?;
        if !self.script.takes_version || version != self.script.vencrypt {
            self.wire.write_all(&[1])?;
            return Err(unexpected(format!("VeNCrypt {version:?}")));
        }
        let subtypes = &self.script.subtypes;
        let list = subtypes.iter().flat_map(|subtype| subtype.to_be_bytes());
        let list: Vec<u8> = [0, subtypes.len() as u8].into_iter().chain(list).collect();
        self.wire.write_all(&list)?;
        let chosen = self.wire.word()?;
        self.visit.subtype = Some(chosen);
        if !subtypes.contains(&chosen) {
            return Err(unexpected(format!("subtype {chosen}")));
        }
        let inner = match subtype::within(chosen) {
            None if chosen == subtype::PLAIN => return self.plain(),
            None => return Err(unexpected(format!("subtype {chosen}"))),
            Some(inner) => inner,
        };
        if !self.script.goes_on {
            self.wire.write_all(&[0])?;
            return Err(unexpected("no TLS today".to_owned()));
        }
        self.wire.say_last(&[1])?;
        let config = self.script.tls.clone().expect("a script with TLS");
        self.wire.take_up(ServerConnection::new(config).map_err(io::Error::other)?)?;
        self.visit.certificate = self.wire.shown();
        match inner {
            Inner::None => Ok(true),
            Inner::Vnc => self.challenge(),
            Inner::Plain => self.plain(),
            Inner::Sasl => self.sasl(),
        }
    }

    fn plain(&mut self) -> io::Result<bool> {
        let (user, password) = (self.wire.word()?, self.wire.word()?);
        let [user, password] = [self.wire.many(user)?, self.wire.many(password)?]
            .map(|word| String::from_utf8_lossy(&word).into_owned());
        Ok(self.knows(Account { user, password }))
    }

    fn sasl(&mut self) -> io::Result<bool> {
        let account = sasl::answer(&mut self.wire, &self.script.mechanisms)?;
        Ok(self.knows(account))
    }

    fn knows(&mut self, account: Account) -> bool {
        let knows = account == self.script.account;
        self.visit.account = Some(account);
        knows
    }

    /// Tells what came of it, where that is told at all; whether the client is in.
    fn judge(&mut self, verdict: Option<bool>) -> io::Result<bool> {
        let Some(is_right) = verdict else { return Ok(true) };
        let result = self.script.verdict.unwrap_or(u32::from(!is_right));
        let mut words = result.to_be_bytes().to_vec();
        if result != 0 && self.visit.version >= V38.to_vec() {
            words.extend(text(&self.script.reason));
        }
        self.wire.write_all(&words)?;
        Ok(result == 0)
    }

    /// Size, pixels of 32 bits, name.
    fn greet(&mut self) -> io::Result<()> {
        let [width, height] = [SIZE.0, SIZE.1].map(u16::to_be_bytes);
        let pixels = [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];
        let name = text(&self.script.name);
        self.wire.write_all(&[&width[..], &height, &pixels, &name].concat())
    }

    fn echo(&mut self) -> io::Result<()> {
        let mut piece = [0; 16 << 10];
        loop {
            let count = match self.wire.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(e) => return Err(e),
            };
            self.visit.said += count as u64;
            self.wire.write_all(&piece[..count])?;
        }
    }
}

/// A text with its length before it.
fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_be_bytes(), text.as_bytes()].concat()
}

fn unexpected(what: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}
