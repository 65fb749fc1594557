//! The one listener that the files mean: its tickets, and TLS on both sides.
//!
//! In: values. Out: a listener, with files of certificates read, or what is wrong with them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use penstock_core::config::{
    Address, Console, ConsoleTarget, Listener, ListenerTls, RecordFormat, Recording, Service,
    Timeouts, TokenSource, Tokens, UpstreamTls, Vnc, VncMode,
};
use penstock_core::console::Origins;
use penstock_core::tls::{
    Ca, ClientAuth, ClientFiles, FileError, MinVersion, ServerFiles, Swap, Verify,
};

use super::values::Values;
use super::{Options, Refusal, ciphers};
use crate::tls::Provider;
use crate::websockify::{Resolve, bound};
use crate::{access, ovirt, record};

/// Who has signed the certificates of an engine's hosts.
const CA: &str = "/etc/pki/ovirt-engine/ca.pem";
/// Unanswered pings, after which a browser is gone.
const PINGS: u32 = 3;

type Warnings = Vec<String>;

pub(super) fn of(
    values: &Values,
    options: &Options,
    resolve: Resolve<'_>,
) -> Result<(Listener, Warnings), Refusal> {
    let mut warnings = Warnings::new();
    let tls = tls(values, &mut warnings)?;
    let addresses = addresses(values, resolve)?;
    let tokens = ConsoleTarget::Tokens(Arc::new(tokens(values, options)?));
    let upstream_tls = Some(upstream(options, &mut warnings)?);
    let console = Console { origins: origins(options, &mut warnings)?, ..Console::new(tokens) };
    let dead_peer = console.heartbeat.map(|interval| PINGS * interval);
    let service = Service::Console(Box::new(console));
    let vnc = Vnc {
        or_spice: true,
        // As there: who may come in the clear has its consoles in the clear.
        unencrypted_clients: tls.as_ref().is_none_or(|tls| !tls.only),
        ..Vnc::new(VncMode::Bridge)
    };
    let listener = Listener {
        tls,
        upstream_tls,
        vnc: Some(Arc::new(vnc)),
        record: recording(values)?,
        timeouts: Timeouts { idle: None, dead_peer, ..Timeouts::default() },
        // What the engine names may be on this host, but none of those neighbours who tell a cloud's machines their secrets.
        ..Listener::new("ovirt-websocket-proxy", addresses, service, access::but_neighbours())
    };
    Ok((listener, warnings))
}

fn addresses(values: &Values, resolve: Resolve<'_>) -> Result<Vec<Address>, Refusal> {
    let text = values.text("PROXY_PORT").unwrap_or_default();
    let port = text
        .parse()
        .map_err(|_| Refusal(format!("PROXY_PORT: expected a port such as 6100, got `{text}`")))?;
    let host = values.text("PROXY_HOST").filter(|host| *host != "*").unwrap_or_default();
    let found = bound(host, port, values.flag("SOURCE_IS_IPV6"), resolve);
    found.map_err(|refusal| Refusal(format!("PROXY_HOST: {}", refusal.message())))
}

fn tokens(values: &Values, options: &Options) -> Result<Tokens, Refusal> {
    let named = |message: String| Refusal(format!("CERT_FOR_DATA_VERIFICATION: {message}"));
    let cert = values.text("CERT_FOR_DATA_VERIFICATION").ok_or_else(|| {
        named(
            "expected the engine's certificate, such as /etc/pki/ovirt-engine/certs/engine.cer"
                .to_owned(),
        )
    })?;
    let cert = absolute(cert);
    ovirt::judge_certificate(&cert).map_err(named)?;
    let source = TokenSource::Ovirt { cert, replay: !options.deny_replay, skew: options.skew };
    let (single_use, bind_client, expiry) = (false, false, None);
    Ok(Tokens { source, timeout: Tokens::TIMEOUT, single_use, bind_client, expiry })
}

/// TLS with browsers, if there is a certificate.
fn tls(values: &Values, warnings: &mut Warnings) -> Result<Option<ListenerTls>, Refusal> {
    let path = |name| values.text(name).map(absolute);
    let (cert, key) = (path("SSL_CERTIFICATE"), path("SSL_KEY"));
    let only = values.flag("SSL_ONLY");
    let is_there = |path: &Option<PathBuf>| path.as_ref().is_some_and(|path| path.exists());
    if only && !(is_there(&cert) && is_there(&key)) {
        return Err(Refusal(
            "SSL_ONLY is set but SSL_CERTIFICATE or SSL_KEY file not found".to_owned(),
        ));
    }
    let Some(cert) = cert.filter(|path| path.exists()) else {
        warnings.push(
            "SSL_CERTIFICATE: there is none, so that tickets and consoles pass in the clear"
                .to_owned(),
        );
        return Ok(None);
    };
    let files = ServerFiles {
        key: vec![key.unwrap_or_else(|| cert.clone())],
        cert: vec![cert],
        key_password_file: None,
        client_ca: None,
        crl: None,
        client_auth: ClientAuth::Off,
        allowed: None,
        min_version: version(values, warnings),
        alpn: Vec::new(),
        tickets: true,
        implementation: Provider::default().implementation(),
    };
    let unheeded = ciphers::unheeded(values.text("SSL_CIPHERS").unwrap_or_default());
    warnings.extend(unheeded.into_iter().map(|what| format!("SSL_CIPHERS: {what}")));
    let server = files.load().map_err(|error| unusable(&error))?;
    Ok(Some(ListenerTls { server: Swap::new(server), files, only, libvirt: false }))
}

fn version(values: &Values, warnings: &mut Warnings) -> MinVersion {
    match values.text("SSL_MIN_VERSION") {
        Some("TLSv1.3") => MinVersion::Tls13,
        Some("TLSv1.2") | None => MinVersion::Tls12,
        Some(other) => {
            warnings
                .push(format!("SSL_MIN_VERSION: {other} not supported, falling back to TLSv1.2"));
            MinVersion::Tls12
        }
    }
}

/// A file's fault, under the name of its key.
fn unusable(error: &FileError) -> Refusal {
    let key = if error.key == "key" { "SSL_KEY" } else { "SSL_CERTIFICATE" };
    let path = error.path.as_deref().map(|path| format!("{}: ", path.display()));
    Refusal(format!("{key}: {}{}", path.unwrap_or_default(), error.fault))
}

/// TLS with those targets whose tickets say so.
fn upstream(options: &Options, warnings: &mut Warnings) -> Result<UpstreamTls, Refusal> {
    let system = ClientFiles::of_the_system(Provider::default().implementation());
    let named =
        options.ca.clone().or_else(|| Some(CA.into()).filter(|path: &PathBuf| path.exists()));
    let (ca, verify) = match named {
        _ if options.insecure_target => {
            warnings.push(
                "--insecure-target: certificates of targets are not looked at: whoever is in between can read along".to_owned(),
            );
            (None, Verify::Off)
        }
        Some(path) if options.verify_names => (Some(Ca::File(path)), Verify::Name),
        Some(path) => (Some(Ca::File(path)), Verify::Authority),
        // Of these anybody has a certificate. The name is what tells one from the other.
        None => {
            warnings.push(format!(
                "{CA} is not there: targets on TLS need a certificate of one of the system's authorities, for their name; --ca says who has signed them"
            ));
            (system.ca.clone(), Verify::Name)
        }
    };
    let files = ClientFiles { ca, verify, ..system };
    let client = files.load().map_err(|error| Refusal(format!("--ca: {error}")))?;
    Ok(crate::vnc::to_hosts(client, files))
}

fn origins(options: &Options, warnings: &mut Warnings) -> Result<Origins, Refusal> {
    if options.origins.is_empty() {
        warnings.push(
            "pages of all origins may open consoles, as with oVirt's proxy: --origin https://engine.example names the one that may".to_owned(),
        );
        return Ok(Origins::listed(["*"]).unwrap_or_default());
    }
    Origins::listed(&options.origins).map_err(|error| {
        Refusal(format!("--origin: expected one such as https://engine.example, got `{}`", error.0))
    })
}

fn recording(values: &Values) -> Result<Option<Recording>, Refusal> {
    if !values.flag("TRACE_ENABLE") {
        return Ok(None);
    }
    let named = |message: String| Refusal(format!("TRACE_FILE: {message}"));
    let path = values.text("TRACE_FILE").map(absolute);
    let path = path.ok_or_else(|| named("TRACE_ENABLE needs one".to_owned()))?;
    record::judge(&path).map_err(named)?;
    Ok(Some(Recording { path, format: RecordFormat::Websockify }))
}

/// A path that stays the same wherever the process goes.
fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| Path::new(path).to_owned())
}

/// What is served, a line each.
pub(super) fn shown(listener: &Listener) -> Vec<String> {
    let from: Vec<String> = listener.addresses.iter().map(Address::to_string).collect();
    let mut lines = vec![format!("tickets of oVirt's on {}", from.join(", "))];
    lines.push(match &listener.tls {
        Some(tls) if tls.only => "TLS; connections in the clear are denied".to_owned(),
        Some(_) => "TLS and connections in the clear".to_owned(),
        None => "no TLS (no certificate)".to_owned(),
    });
    let trust = listener.upstream_tls.as_ref().map(|tls| (&tls.files.ca, &tls.files.verify));
    lines.extend(trust.map(|(ca, verify)| match (ca, verify) {
        (_, Verify::Off) | (None, _) => "targets on TLS: whoever they are".to_owned(),
        (Some(Ca::File(path)), Verify::Name) => {
            format!("targets on TLS: with a certificate of {}, for their name", path.display())
        }
        (Some(Ca::File(path)), _) => {
            format!("targets on TLS: with a certificate of {}", path.display())
        }
        (Some(Ca::Native), _) => "targets on TLS: with a certificate of the system's".to_owned(),
    }));
    if let Some(record) = &listener.record {
        lines.push(format!("recording to {}.*", record.path.display()));
    }
    lines
}
