//! The one listener that a command line means: its consoles, its limits, and TLS on both sides.
//!
//! In: options. Out: a listener, with files of certificates read, or what is wrong with them.

use std::path::PathBuf;
use std::time::Duration;

use penstock_core::config::{
    Console, ConsoleTarget, Listener, ListenerTls, Reach, RecordFormat, Recording, Service,
    Timeouts, TokenSource, UpstreamTls,
};
use penstock_core::tls::{Ca, ClientAuth, ClientFiles, FileError, MinVersion, ServerFiles, Swap};

use super::options::Given;
use super::places::{self, absolute};
use super::{Refusal, Resolve, targets};
use crate::tls::Provider;
use crate::{access, record};

/// The certificate that is looked for where none is named.
const CERTIFICATE: &str = "self.pem";
/// Unanswered pings, after which a browser is gone.
const PINGS: u32 = 3;
/// Plaintext that a record may carry (RFC 8446 §5.1).
const RECORD_MAX: usize = 1 << 14;

pub(super) fn of(given: &Given, resolve: Resolve<'_>) -> Result<Listener, Refusal> {
    // In websockify's order, so that of several faults the same one is told.
    let tls = tls(given)?;
    let mut words = given.words();
    let addresses = places::listening(given, &mut words, resolve)?;
    let to = match targets::tokens(given)? {
        Some(tokens) => ConsoleTarget::Tokens(tokens),
        None => ConsoleTarget::Fixed(places::target(given, &mut words)?),
    };
    if let Some(word) = words.next() {
        return Err(Refusal::usage(format!("Too many arguments: {word}")));
    }
    // What a command line names is its operator's own word. A token's source may be somebody else's.
    let rules = match &to {
        ConsoleTarget::Fixed(_) => access::everybody(),
        ConsoleTarget::Tokens(_) => access::but_neighbours(),
    };
    let upstream_tls = upstream(given, &to)?;
    let heartbeat = given.seconds("heartbeat")?.map(Duration::from_secs);
    let (auth, origins) = targets::people(given)?;
    let console = Console {
        web: targets::web(given)?,
        heartbeat,
        origins,
        auth,
        web_auth: given.flag("web-auth"),
        host_token: given.flag("host-token"),
        silent: true,
        ..Console::new(to)
    };
    let service = Service::Console(Box::new(console));
    Ok(Listener {
        tls,
        upstream_tls,
        max_sessions: given.flag("run-once").then_some(1),
        record: given.text("record").map(recording).transpose()?,
        timeouts: Timeouts {
            idle: None,
            dead_peer: heartbeat.map(|interval| PINGS * interval),
            ..Timeouts::default()
        },
        ..Listener::new("websockify", addresses, service, rules)
    })
}

fn recording(path: &str) -> Result<Recording, Refusal> {
    let path = absolute(path);
    let judged = record::judge(&path);
    judged.map_err(|message| Refusal::unusable(format!("--record: {message}")))?;
    Ok(Recording { path, format: RecordFormat::Websockify })
}

/// TLS with browsers, if there is a certificate.
fn tls(given: &Given) -> Result<Option<ListenerTls>, Refusal> {
    let only = given.flag("ssl-only");
    let name = given.text("cert").unwrap_or(CERTIFICATE);
    let cert = absolute(name);
    match (cert.exists(), only) {
        (true, _) => {}
        (false, true) => return Err(Refusal::usage(format!("SSL only and {name} not found"))),
        (false, false) => return Ok(None),
    }
    let asks = given.flag("verify-client");
    let files = ServerFiles {
        key: vec![given.text("key").map_or_else(|| cert.clone(), absolute)],
        cert: vec![cert],
        key_password_file: key_password(given)?,
        client_ca: if asks { Some(authorities(given)?) } else { None },
        crl: None,
        client_auth: if asks { ClientAuth::Require } else { ClientAuth::Off },
        allowed: None,
        min_version: version(given),
        alpn: Vec::new(),
        tickets: true,
        implementation: Provider::default().implementation(),
    };
    let server = files.load().map_err(|error| unusable(&error))?;
    Ok(Some(ListenerTls { server: Swap::new(server), files, only, libvirt: false }))
}

/// A password is only taken out of a file. Who runs this command line has put it into one.
fn key_password(given: &Given) -> Result<Option<PathBuf>, Refusal> {
    match (given.text("key-password"), given.text("key-password-file")) {
        (None, file) => Ok(file.map(absolute)),
        (Some(_), _) => Err(Refusal::unusable(
            "--key-password: everybody on this host can read it here: use --key-password-file",
        )),
    }
}

fn authorities(given: &Given) -> Result<PathBuf, Refusal> {
    let system = || Ca::system_file().map(ToOwned::to_owned);
    given.text("cafile").map(absolute).or_else(system).ok_or_else(|| {
        Refusal::unusable(
            "--verify-client: this system has no file of authorities: name one by --cafile",
        )
    })
}

fn version(given: &Given) -> MinVersion {
    match given.text("ssl-version") {
        Some("tlsv1_3") => MinVersion::Tls13,
        _ => MinVersion::Tls12,
    }
}

/// TLS with targets: of the system's authorities, for the name that is connected to. There is none to UNIX sockets.
fn upstream(given: &Given, to: &ConsoleTarget) -> Result<Option<UpstreamTls>, Refusal> {
    let network = match to {
        ConsoleTarget::Fixed(destination) => matches!(destination.reach, Reach::Network(_)),
        ConsoleTarget::Tokens(tokens) => !matches!(tokens.source, TokenSource::UnixDirectory(_)),
    };
    if !given.flag("ssl-target") || !network {
        return Ok(None);
    }
    let files = ClientFiles::of_the_system(Provider::default().implementation());
    let client = files.load().map_err(|error| {
        Refusal::unusable(format!("--ssl-target: the authorities of this system: {error}"))
    })?;
    let (server_name, max_record) = (None, RECORD_MAX);
    Ok(Some(UpstreamTls {
        client: Swap::new(client),
        files,
        server_name,
        max_record,
        libvirt: false,
        not_to_sockets: true,
    }))
}

/// A file's fault, under the name of its option.
fn unusable(error: &FileError) -> Refusal {
    let option = match error.key {
        "client_ca" => "cafile",
        "key_password_file" => "key-password-file",
        key => key,
    };
    let path = error.path.as_deref().map(|path| format!("{}: ", path.display()));
    Refusal::unusable(format!("--{option}: {}{}", path.unwrap_or_default(), error.fault))
}
