//! Listeners that forward: from a target's text to how it is reached, and what must not be joined without a word.
//!
//! In: `target` and the keys beside it. Out: a destination, TLS towards it, or what is wrong and what to write. Files of certificates are
//! looked for as libvirt's client does; nothing is connected to.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::geteuid;
use penstock_core::config::{Destination, Door, Reach, UpstreamTls};
use penstock_core::libvirt::certificates::Places;
use penstock_core::libvirt::{Surroundings, Transport, Uri, Way};
use penstock_core::target::Target;
use penstock_core::tls::MinVersion;
use toml::Spanned;

use crate::error::Fault;
use crate::file::Listen;
use crate::host;
use crate::listener::is_set;
use crate::tls::{self, Provider, Upstream, VerifyWord, VersionWord};
use crate::value::Place;
use crate::vnc;

/// Where a listener forwards to, and how.
pub(crate) fn destination(
    listen: &Listen,
    text: &Spanned<String>,
    provider: Provider,
) -> Result<(Destination, Option<UpstreamTls>), Fault> {
    let at_text = |message: String| Fault::at(text.span(), message);
    let target = Target::parse(text.get_ref()).map_err(|error| at_text(error.to_string()))?;
    let configured = listen.upstream_tls.as_ref();
    if let (Some(readonly), false) = (&listen.readonly, matches!(target, Target::Libvirt(_))) {
        let message =
            "`readonly` is about libvirt's daemons: expected `target` to be one of their URIs";
        return Err(Fault::at(readonly.span(), message));
    }
    let spoken = vnc::is_spoken(listen);
    let (reach, upstream) = match target {
        Target::Tcp(target) if spoken => {
            (Reach::Network(target), vnc::upstream(listen, text.span(), provider)?)
        }
        Target::Tls(_) if spoken => {
            let message = "VNC begins TLS by itself: write the target as `tcp://HOST:PORT`";
            return Err(at_text(message.to_owned()));
        }
        Target::Serial(_) | Target::Libvirt(_) if spoken => {
            return Err(at_text("`vnc` is about VNC servers, which this is none".to_owned()));
        }
        Target::Unix(path) if spoken => {
            let upstream = vnc::upstream(listen, text.span(), provider)?;
            if upstream.as_ref().is_some_and(|upstream| upstream.server_name.is_none()) {
                let message = "a UNIX socket has no name to verify: expected `server_name` in `upstream_tls`, or `schemes` without \"vencrypt\"";
                return Err(at_text(message.to_owned()));
            }
            (door(Door::Unix(vec![path.into()])), upstream)
        }
        Target::Tcp(target) => (Reach::Network(target), refused_tls(listen, "tcp://", "tls://")?),
        Target::Tls(target) => {
            (Reach::Network(target), Some(configured_tls(configured, text.span(), provider)?))
        }
        Target::Unix(path) => {
            let upstream = configured.map(|table| unix_tls(table, provider)).transpose()?;
            (door(Door::Unix(vec![path.into()])), upstream)
        }
        Target::Serial(serial) => {
            (door(Door::Terminal(serial)), refused_tls(listen, "serial:", "tls://")?)
        }
        Target::Libvirt(uri) => libvirt(listen, &uri, text.span(), provider)?,
    };
    let readonly = is_set(listen.readonly.as_ref());
    let destination = Destination { text: text.get_ref().as_str().into(), readonly, reach };
    judge_safety(listen, vnc::held(listen).or(held(&destination, upstream.as_ref())))?;
    Ok((destination, upstream))
}

/// Who we are, as libvirt's client would ask.
pub(crate) fn surroundings() -> Surroundings {
    Surroundings::of(geteuid().is_root(), |name| std::env::var(name).ok())
}

fn door(door: Door) -> Reach {
    Reach::Door(Arc::new(door))
}

fn refused_tls(listen: &Listen, scheme: &str, instead: &str) -> Result<Option<UpstreamTls>, Fault> {
    match &listen.upstream_tls {
        None => Ok(None),
        Some(table) => {
            let message = format!(
                "`{scheme}` is no TLS: leave `upstream_tls` out, or write the target as `{instead}HOST:PORT`"
            );
            Err(Fault::at(table.span(), message))
        }
    }
}

fn configured_tls(
    table: Option<&Spanned<Upstream>>,
    whole: Range<usize>,
    provider: Provider,
) -> Result<UpstreamTls, Fault> {
    match table {
        Some(table) => tls::upstream(table.get_ref(), table.span(), provider),
        None => tls::upstream(&Upstream::default(), whole, provider),
    }
}

fn unix_tls(table: &Spanned<Upstream>, provider: Provider) -> Result<UpstreamTls, Fault> {
    let upstream = tls::upstream(table.get_ref(), table.span(), provider)?;
    if upstream.server_name.is_none() {
        let message = "a UNIX socket has no name to verify: expected `server_name`";
        return Err(Fault::at(table.span(), message));
    }
    Ok(upstream)
}

fn libvirt(
    listen: &Listen,
    uri: &Uri,
    span: Range<usize>,
    provider: Provider,
) -> Result<(Reach, Option<UpstreamTls>), Fault> {
    let readonly = is_set(listen.readonly.as_ref());
    let way = uri.way(&surroundings(), readonly);
    let network = |host, port| Reach::Network(penstock_core::http::Target { host, port });
    let other = |name: &str| refused_tls(listen, name, "qemu+tls://");
    Ok(match way.map_err(|error| Fault::at(span.clone(), error.to_string()))? {
        Way::Tls { host, port, files, verify, priority } => {
            let configured = listen.upstream_tls.as_ref();
            let whole = configured.map_or(span.clone(), Spanned::span);
            let mut table = configured.map(|table| table.get_ref().clone()).unwrap_or_default();
            complete(&mut table, &files, &span)?;
            if !verify {
                table.verify.get_or_insert(Spanned::new(span.clone(), VerifyWord::Off));
            }
            if let Some(text) = priority {
                table.min_version.get_or_insert(oldest(&text, &span)?);
            }
            let upstream = tls::upstream(&table, whole, provider)?;
            (network(host, port), Some(UpstreamTls { libvirt: true, ..upstream }))
        }
        Way::Tcp { host, port } => (network(host, port), other("qemu+tcp")?),
        Way::Unix(sockets) => {
            let paths = sockets.candidates().map(PathBuf::from).collect();
            (door(Door::Unix(paths)), other("qemu+unix")?)
        }
        Way::Command(command) => {
            let name = if uri.transport == Transport::Ssh { "qemu+ssh" } else { "qemu+ext" };
            (door(Door::Command(command)), other(name)?)
        }
    })
}

/// What GnuTLS' priority string says of versions.
fn oldest(priority: &str, span: &Range<usize>) -> Result<VersionWord, Fault> {
    match MinVersion::from_priority(priority) {
        Ok(MinVersion::Tls12) => Ok(VersionWord::Tls12),
        Ok(MinVersion::Tls13) => Ok(VersionWord::Tls13),
        Err(error) => Err(Fault::at(span.clone(), error.to_string())),
    }
}

/// Takes what the table leaves out from where libvirt's client has its files.
pub(crate) fn complete(
    table: &mut Upstream,
    places: &Places,
    span: &Range<usize>,
) -> Result<(), Fault> {
    let named = table.cert.is_some() || table.key.is_some();
    if table.ca.is_some() && named {
        return Ok(());
    }
    let given = table.ca.as_ref().map(|ca| ca.get_ref().clone());
    let places = Places {
        ca: given.map_or(places.ca.clone(), |ca| vec![ca]),
        identity: if named { Vec::new() } else { places.identity.clone() },
        ..places.clone()
    };
    let exists = |path: &str| path == "system" || Path::new(path).exists();
    let files = places.find(exists);
    let files = files.map_err(|missing| Fault::at(span.clone(), missing.to_string()))?;
    let at = |path: String| Spanned::new(span.clone(), PathBuf::from(path));
    if table.ca.is_none() {
        table.ca = Some(Spanned::new(span.clone(), files.ca));
        table.crl = table.crl.take().or(files.crl.map(at));
    }
    if let Some(pair) = files.identity {
        (table.cert, table.key) = (Some(at(pair.certificate)), Some(at(pair.key)));
    }
    Ok(())
}

/// What only we may use, of what is behind a listener that forwards.
fn held(destination: &Destination, upstream: Option<&UpstreamTls>) -> Option<&'static str> {
    match &destination.reach {
        Reach::Door(door) => match &**door {
            Door::Unix(_) | Door::Within { .. } => {
                Some("a UNIX socket, which lets us in for who we are")
            }
            Door::Command(_) => Some("a program that runs as us, with our keys"),
            Door::Terminal(_) | Door::Web { .. } | Door::Demo | Door::KubeVirt(_) => None,
        },
        Reach::Network(_) => shown(upstream),
        // Whoever hands it over decides who may use it.
        Reach::HandedOver => None,
    }
}

/// The same of what targets are shown.
pub(crate) fn shown(upstream: Option<&UpstreamTls>) -> Option<&'static str> {
    upstream.and_then(|upstream| upstream.files.cert.as_ref()).map(|_| "our client certificate")
}

/// Whoever reaches an open port must not be handed what only we may use, unless that is said.
pub(crate) fn judge_safety(listen: &Listen, holds: Option<&str>) -> Result<(), Fault> {
    let open = listen.places().iter().any(|address| matches!(address, Place::Tcp(_)));
    let asks = host::is_asked(listen)
        || listen.auth.as_ref().is_some_and(|auth| auth.get_ref().tells_who())
        || listen.tls.as_ref().is_some_and(|tls| tls.get_ref().requires_certificates());
    let said = is_set(listen.unauthenticated.as_ref());
    match (holds, open && !asks && !said) {
        (Some(what), true) => Err(Fault::at(
            listen.places_at(),
            format!(
                "whoever reaches this port would be given {what}: expected `tls` with `client_auth = \"require\"`, a UNIX socket to listen on, or `unauthenticated = true` if that is what you want"
            ),
        )),
        _ => Ok(()),
    }
}
