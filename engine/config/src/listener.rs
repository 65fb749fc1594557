//! One listener: what its keys must be beside one another, and what the engine is told.

use std::time::Duration;

use nix::unistd::{Group, User};
use penstock_core::config::{
    self, Address, Door, Listener, ListenerTls, Reach, UnixSocket, UpstreamTls,
};
use penstock_core::policy::{AccessLists, Rules};
use toml::Spanned;

use crate::error::Fault;
use crate::file::{self, Listen, Service};
use crate::tls::{self, Provider};
use crate::value::{Mode, NumberOrOff, Place};
use crate::vnc;
use crate::{access, console, forward, host, record, together};

/// How long a console may be open, if nothing else is said.
const CONSOLE_LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// Bytes of a UNIX socket's path (unix(7)).
const SOCKET_PATH: usize = 107;
/// Permissions of a UNIX socket that are not given: for its owner and group.
const MODE: u32 = 0o660;

pub(crate) fn listener(
    listen: &Listen,
    lists: &AccessLists,
    provider: Provider,
) -> Result<Listener, Fault> {
    together::judge(listen)?;
    let vnc = vnc::of(listen)?;
    let (service, upstream_tls) = service(listen, provider)?;
    let connects = service == config::Service::Connect;
    let has_consoles = matches!(service, config::Service::Console(_));
    let half_close = half_close(listen, &service)?;
    let defaults = config::Timeouts::default();
    Ok(Listener {
        name: listen.name.get_ref().as_str().into(),
        addresses: addresses(listen)?,
        tls: tls(listen, provider)?,
        upstream_tls,
        vnc,
        max_sessions: listen.max_sessions.and_then(|NumberOrOff(number)| number),
        proxy_protocol: proxy_protocol(listen)?,
        proxy_from: access::addresses(listen.proxy_from.as_ref())?,
        trusted_proxies: access::addresses(listen.trusted_proxies.as_ref())?,
        send_proxy: match listen.send_proxy.as_ref().map(Spanned::get_ref) {
            None | Some(file::SendProxy::Off) => config::SendProxy::Off,
            Some(file::SendProxy::V1) => config::SendProxy::V1,
            Some(file::SendProxy::V2) => config::SendProxy::V2,
        },
        record: listen.record.as_ref().map(recording).transpose()?,
        rules: rules(listen, lists)?,
        asks_host: host::policy(listen),
        half_close,
        idle_scope: match listen.idle_scope {
            file::IdleScope::Tunnel => config::IdleScope::Tunnel,
            file::IdleScope::ClientAndTarget => config::IdleScope::ClientAndTarget,
        },
        timeouts: config::Timeouts {
            handshake: listen.timeouts.handshake.0,
            connect: listen.timeouts.connect.0,
            idle: match listen.timeouts.idle {
                Some(idle) => idle.0,
                // A serial line, or a client that waits for events, may be silent for days.
                None if !connects => None,
                None => defaults.idle,
            },
            lifetime: match listen.timeouts.lifetime {
                Some(lifetime) => lifetime.0,
                None if has_consoles => Some(CONSOLE_LIFETIME),
                None => defaults.lifetime,
            },
            user_idle: listen.timeouts.user_idle.as_ref().and_then(|span| span.get_ref().0),
            dead_peer: console::dead_peer(listen),
        },
        connect_timeout_status: connect_timeout_status(listen.connect_timeout_status.as_ref())?,
        strict_target: is_set(listen.strict_connect_target.as_ref()),
        service,
    })
}

fn service(
    listen: &Listen,
    provider: Provider,
) -> Result<(config::Service, Option<UpstreamTls>), Fault> {
    match (listen.service.get_ref(), &listen.target) {
        (Service::Forward, _) if host::names_target(listen) => {
            let (destination, upstream) = host::destination(listen, provider)?;
            Ok((config::Service::Forward(destination), upstream))
        }
        (Service::Forward, Some(target)) => {
            let (destination, upstream) = forward::destination(listen, target, provider)?;
            Ok((config::Service::Forward(destination), upstream))
        }
        (Service::Forward, None) => {
            let message = "`service = \"forward\"` needs `target`: such as \"tcp://10.0.0.7:5900\", \"unix:/run/x.sock\" or \"qemu+tls://host/system\"";
            Err(Fault::at(listen.service.span(), message))
        }
        (Service::Console, _) => {
            let (console, upstream) = console::consoles(listen, provider)?;
            Ok((config::Service::Console(Box::new(console)), upstream))
        }
        (Service::Connect, Some(target)) => {
            let message = "the client of a CONNECT proxy names the target: leave `target` out, or write `service = \"forward\"`";
            Err(Fault::at(target.span(), message))
        }
        (Service::Connect, None) => {
            let upstream = listen.upstream_tls.as_ref();
            let upstream = upstream
                .map(|table| tls::upstream(table.get_ref(), table.span(), provider))
                .transpose()?;
            forward::judge_safety(listen, forward::shown(upstream.as_ref()))?;
            Ok((config::Service::Connect, upstream))
        }
    }
}

/// A switch that is not off because nobody touched it.
pub(crate) fn is_set(value: Option<&Spanned<bool>>) -> bool {
    value.is_some_and(|value| *value.get_ref())
}

fn half_close(listen: &Listen, service: &config::Service) -> Result<config::HalfClose, Fault> {
    let asked = listen.half_close.as_ref().map(|asked| (*asked.get_ref(), asked.span()));
    let door = match service {
        config::Service::Forward(to) => match &to.reach {
            Reach::Door(door) => Some(&**door),
            Reach::Network(_) | Reach::HandedOver => None,
        },
        config::Service::Connect | config::Service::Console(_) => None,
    };
    let is_line = matches!(door, Some(Door::Terminal(_)));
    // A program that ignores the end of its input would outlive its client for ever.
    let closes = !matches!(service, config::Service::Forward(_))
        || matches!(door, Some(Door::Terminal(_) | Door::Command(_)));
    match asked {
        Some((file::HalfClose::Forward, span)) if is_line => {
            let message = "a serial line can't be told that its user has gone: expected `half_close = \"close\"`, which it is without a word";
            Err(Fault::at(span, message))
        }
        Some((file::HalfClose::Forward, _)) => Ok(config::HalfClose::Forward),
        None if !closes => Ok(config::HalfClose::Forward),
        Some((file::HalfClose::Close, _)) | None => Ok(config::HalfClose::Close),
    }
}

fn tls(listen: &Listen, provider: Provider) -> Result<Option<ListenerTls>, Fault> {
    let only = listen.tls_only.as_ref().is_none_or(|value| *value.get_ref());
    let libvirt = is_set(listen.libvirt.as_ref());
    match &listen.tls {
        Some(table) => tls::of_listener(table, provider, only, libvirt).map(Some),
        None => match listen.tls_only.as_ref().or(listen.libvirt.as_ref()) {
            Some(key) => {
                Err(Fault::at(key.span(), "this is about clients on TLS: expected `tls` beside it"))
            }
            None => Ok(None),
        },
    }
}

/// A listener that forwards has one target, and lets everybody go there whom nobody forbids it. So does one that asks the host.
fn rules(listen: &Listen, lists: &AccessLists) -> Result<Rules, Fault> {
    match (&listen.access, listen.service.get_ref()) {
        (Some(lines), _) => access::rules(lines, lists),
        (None, Service::Connect) if host::is_asked(listen) => Ok(access::everybody()),
        (None, Service::Forward) => Ok(access::everybody()),
        (None, Service::Console) => Ok(access::but_neighbours()),
        (None, Service::Connect) => {
            let message =
                "missing field `access`: who may reach what, such as [\"allow lan\", \"deny all\"]";
            Err(Fault::at(listen.service.span(), message))
        }
    }
}

fn addresses(listen: &Listen) -> Result<Vec<Address>, Fault> {
    let places = listen.places();
    let unix = places.iter().any(|place| matches!(place, Place::Unix(_)));
    let mode = listen.mode.as_ref().map(Spanned::span);
    let others = [&listen.owner, &listen.group].map(|name| name.as_ref().map(Spanned::span));
    if let Some(span) = mode.into_iter().chain(others.into_iter().flatten()).next()
        && !unix
    {
        return Err(Fault::at(span, "this is about UNIX sockets: expected one in `address`"));
    }
    let (owner, group) = (owner(listen)?, group(listen)?);
    let mode = listen.mode.as_ref().map_or(MODE, |mode| {
        let Mode(mode) = *mode.get_ref();
        mode
    });
    let too_long =
        |place: &&Place| matches!(place, Place::Unix(path) if path.as_os_str().len() > SOCKET_PATH);
    if let Some(place) = places.iter().find(too_long) {
        let message = format!(
            "expected the path of a UNIX socket in at most {SOCKET_PATH} bytes, got {place}"
        );
        return Err(Fault::at(listen.places_at(), message));
    }
    let address = |place: &Place| match place {
        Place::Tcp(address) => Address::Tcp(*address),
        Place::Unix(path) => Address::Unix(UnixSocket { path: path.clone(), mode, owner, group }),
    };
    Ok(places.iter().map(address).collect())
}

fn owner(listen: &Listen) -> Result<Option<u32>, Fault> {
    let Some(name) = &listen.owner else { return Ok(None) };
    let text = name.get_ref().0.as_str();
    let known = User::from_name(text).ok().flatten().map(|user| user.uid.as_raw());
    let unknown = || Fault::at(name.span(), format!("there is no user `{text}`"));
    text.parse().ok().or(known).map(Some).ok_or_else(unknown)
}

fn group(listen: &Listen) -> Result<Option<u32>, Fault> {
    let Some(name) = &listen.group else { return Ok(None) };
    let text = name.get_ref().0.as_str();
    let known = Group::from_name(text).ok().flatten().map(|group| group.gid.as_raw());
    let unknown = || Fault::at(name.span(), format!("there is no group `{text}`"));
    text.parse().ok().or(known).map(Some).ok_or_else(unknown)
}

fn recording(table: &file::Record) -> Result<config::Recording, Fault> {
    let path = table.path.get_ref();
    record::judge(path).map_err(|message| Fault::at(table.path.span(), message))?;
    let format = match table.format {
        file::RecordFormat::Websockify => config::RecordFormat::Websockify,
        file::RecordFormat::Asciicast => config::RecordFormat::Asciicast,
    };
    Ok(config::Recording { path: path.clone(), format })
}

fn proxy_protocol(listen: &Listen) -> Result<config::ProxyProtocol, Fault> {
    match &listen.proxy_protocol {
        Some(value) if *value.get_ref() == file::ProxyProtocol::Required => {
            if listen.proxy_from.as_ref().is_none_or(|values| values.get_ref().is_empty()) {
                let message =
                    "a required PROXY header needs `proxy_from`: the addresses that may send it";
                return Err(Fault::at(value.span(), message));
            }
            Ok(config::ProxyProtocol::Required)
        }
        _ => Ok(config::ProxyProtocol::Off),
    }
}

fn connect_timeout_status(value: Option<&Spanned<u16>>) -> Result<u16, Fault> {
    match value.map(|status| (*status.get_ref(), status.span())) {
        None => Ok(503),
        Some((status @ (503 | 504), _)) => Ok(status),
        Some((other, span)) => Err(Fault::at(span, format!("expected 503 or 504, got {other}"))),
    }
}
