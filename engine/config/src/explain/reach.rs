//! What a listener asks of its clients by TLS, where it forwards to, and what the other side will want, in words.

use std::fmt::{self, Write};
use std::path::Path;

use penstock_core::config::{
    Address, Destination, Listener, ListenerTls, Reach, Service, UpstreamTls,
};
use penstock_core::libvirt::{self, ClientLeg};
use penstock_core::target::Target;
use penstock_core::tls::{Ca, ClientAuth, MinVersion, Verify};

use super::{console, vnc};
use crate::forward::surroundings;

pub(super) fn write(to: &mut String, listener: &Listener) -> fmt::Result {
    if let Some(tls) = &listener.tls {
        write_tls(to, tls)?;
    }
    if let Some(most) = listener.max_sessions {
        writeln!(to, "  sessions at a time: {most}, the next one is refused")?;
    }
    match &listener.service {
        Service::Connect => {}
        Service::Forward(destination) => write_target(to, listener, destination)?,
        Service::Console(console) => console::write(to, listener, console)?,
    }
    if let Some(vnc) = &listener.vnc {
        vnc::write(to, vnc)?;
    }
    match &listener.upstream_tls {
        Some(upstream) => write_upstream(to, upstream),
        None => Ok(()),
    }
}

fn write_tls(to: &mut String, tls: &ListenerTls) -> fmt::Result {
    let files = &tls.files;
    let only =
        if tls.only { "nothing else is served" } else { "clients in the clear are served, too" };
    writeln!(to, "  TLS from {} on: {only}", version(files.min_version))?;
    for (certificate, key) in files.cert.iter().zip(&files.key) {
        writeln!(to, "    certificate {}, key {}", certificate.display(), key.display())?;
    }
    let ca = files.client_ca.as_deref().map(Path::display);
    match (files.client_auth, ca) {
        (ClientAuth::Optional, Some(ca)) => {
            writeln!(to, "    clients may show a certificate of {ca}")?
        }
        (ClientAuth::Require, Some(ca)) => {
            writeln!(to, "    clients have to show a certificate of {ca}")?
        }
        _ => writeln!(to, "    clients show no certificate")?,
    }
    if files.allowed.is_some() {
        writeln!(to, "    only those subjects are let in that `allowed_dn` names")?;
    }
    if tls.libvirt {
        writeln!(to, "    who is let in is told so by a byte, as libvirt's clients expect")?;
    }
    Ok(())
}

fn version(oldest: MinVersion) -> &'static str {
    match oldest {
        MinVersion::Tls12 => "1.2",
        MinVersion::Tls13 => "1.3",
    }
}

fn write_upstream(to: &mut String, upstream: &UpstreamTls) -> fmt::Result {
    let files = &upstream.files;
    let ca = match &files.ca {
        Some(Ca::File(path)) => path.display().to_string(),
        Some(Ca::Native) => "the system".to_owned(),
        None => "nobody".to_owned(),
    };
    let name = upstream.server_name.as_deref().unwrap_or("the name it is reached by");
    writeln!(
        to,
        "  TLS with the target, from {} on, records of at most {} bytes",
        version(files.min_version),
        upstream.max_record
    )?;
    match &files.verify {
        Verify::Name => writeln!(
            to,
            "    its certificate has to be signed by {ca}, for {name} (warning: one without subject alternative names is judged by its common name)"
        )?,
        Verify::Authority => {
            writeln!(to, "    its certificate has to be signed by {ca}, for whatever name")?
        }
        Verify::Subject(_) => writeln!(
            to,
            "    its certificate has to be signed by {ca}, for a subject that `allowed_dn` names"
        )?,
        Verify::Off => writeln!(
            to,
            "    warning: its certificate is not verified: whoever is in between can read and change everything"
        )?,
    }
    match &files.cert {
        Some(path) => writeln!(to, "    it is shown our certificate {}", path.display()),
        None => writeln!(to, "    it is shown no certificate"),
    }
}

fn write_target(to: &mut String, listener: &Listener, destination: &Destination) -> fmt::Result {
    if destination.reach == Reach::HandedOver {
        return writeln!(to, "  target: {}", destination.text);
    }
    // What can't be is refused before anything is explained.
    let Ok(target) = Target::parse(&destination.text) else { return Ok(()) };
    let exists = |path: &str| Path::new(path).exists();
    let lines = target.explain(&surroundings(), destination.readonly, &exists).unwrap_or_default();
    writeln!(to, "  target:")?;
    lines.iter().try_for_each(|line| writeln!(to, "    {line}"))?;
    match target {
        Target::Libvirt(uri) => match libvirt::sasl_conflict(client_leg(listener), uri.transport) {
            Some(conflict) => writeln!(to, "    note: {conflict}"),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

fn client_leg(listener: &Listener) -> ClientLeg {
    let unix = listener.addresses.iter().all(|address| matches!(address, Address::Unix(_)));
    match (&listener.tls, unix) {
        (Some(_), _) => ClientLeg::Tls,
        (None, true) => ClientLeg::Unix,
        (None, false) => ClientLeg::Tcp,
    }
}
