//! Keys of a listener that make no sense beside one another: what would be without effect, and what would open a door that another key
//! seems to shut.
//!
//! In: a listener as it is written. Out: the first contradiction, at the key that is to be changed, with what to write instead.

mod console;

use std::ops::Range;

use penstock_core::target::Target;
use toml::Spanned;

use crate::console::DEMO;
use crate::error::Fault;
use crate::file::{Listen, ProxyProtocol, SendProxy, Service};
use crate::host;
use crate::tls::{Upstream, VerifyWord};
use crate::value::Place;

/// Whether what is configured can be meant.
pub(crate) fn judge(listen: &Listen) -> Result<(), Fault> {
    host::judge(listen)?;
    match listen.service.get_ref() {
        Service::Connect => {
            of_forward_only(listen)?;
            of_console_only(listen)?;
        }
        Service::Forward => {
            of_connect_only(listen)?;
            of_console_only(listen)?;
        }
        Service::Console => {
            of_forward_only(listen)?;
            of_connect_only(listen)?;
            console::judge(listen)?;
        }
    }
    clear_text(listen)?;
    proxy_headers(listen)?;
    listen.upstream_tls.as_ref().map_or(Ok(()), |table| upstream(table.get_ref()))
}

fn of_forward_only(listen: &Listen) -> Result<(), Fault> {
    let keys = [("readonly", &listen.readonly), ("libvirt", &listen.libvirt)];
    for (key, value) in keys {
        if let Some(value) = value {
            let message =
                format!("`{key}` is about libvirt: leave it out, or write `service = \"forward\"`");
            return Err(Fault::at(value.span(), message));
        }
    }
    Ok(())
}

fn of_console_only(listen: &Listen) -> Result<(), Fault> {
    let keys = [
        ("tokens", listen.tokens.as_ref().map(Spanned::span)),
        ("web", listen.web.as_ref().map(Spanned::span)),
        ("auth", listen.auth.as_ref().map(Spanned::span)),
        ("web_auth", listen.web_auth.as_ref().map(Spanned::span)),
        ("origins", listen.origins.as_ref().map(Spanned::span)),
        ("allowed_origins", listen.allowed_origins.as_ref().map(Spanned::span)),
        ("trusted_proxies", listen.trusted_proxies.as_ref().map(Spanned::span)),
        ("host_token", listen.host_token.as_ref().map(Spanned::span)),
        ("timeouts.token", token_timeout(listen)),
        ("timeouts.user_idle", listen.timeouts.user_idle.as_ref().map(Spanned::span)),
        ("timeouts.dead_peer", listen.timeouts.dead_peer.as_ref().map(Spanned::span)),
        ("heartbeat", listen.heartbeat.as_ref().map(Spanned::span)),
        ("websockify_compat", listen.websockify_compat.as_ref().map(Spanned::span)),
    ];
    match keys.into_iter().find_map(|(key, span)| Some((key, span?))) {
        Some((key, span)) => {
            let message = format!(
                "`{key}` is about consoles in browsers: leave it out, or write `service = \"console\"`"
            );
            Err(Fault::at(span, message))
        }
        None => Ok(()),
    }
}

/// The time to judge a token, where the host is not asked, who takes the same time.
fn token_timeout(listen: &Listen) -> Option<Range<usize>> {
    listen.timeouts.token.as_ref().filter(|_| !host::is_asked(listen)).map(Spanned::span)
}

fn of_connect_only(listen: &Listen) -> Result<(), Fault> {
    let status = listen.connect_timeout_status.as_ref().map(Spanned::span);
    let strict = listen.strict_connect_target.as_ref().map(Spanned::span);
    for (key, span) in [("connect_timeout_status", status), ("strict_connect_target", strict)] {
        if let Some(span) = span {
            let message = format!(
                "`{key}` is about CONNECT, which nobody says here: leave it out, or write `service = \"connect\"`"
            );
            return Err(Fault::at(span, message));
        }
    }
    Ok(())
}

/// Who may come in the clear shows no certificate.
fn clear_text(listen: &Listen) -> Result<(), Fault> {
    let requires = listen.tls.as_ref().is_some_and(|tls| tls.get_ref().requires_certificates());
    match (&listen.tls_only, &listen.unauthenticated) {
        (Some(only), _) if requires && !*only.get_ref() => {
            let message = "who comes in the clear shows no certificate: leave `tls_only` out, or write `client_auth = \"optional\"`";
            Err(Fault::at(only.span(), message))
        }
        (_, Some(open)) if requires && *open.get_ref() => {
            let message = "`client_auth = \"require\"` lets nobody in who is unauthenticated: leave `unauthenticated` out";
            Err(Fault::at(open.span(), message))
        }
        _ => Ok(()),
    }
}

fn proxy_headers(listen: &Listen) -> Result<(), Fault> {
    let required = listen.proxy_protocol.as_ref();
    let required = required.filter(|value| *value.get_ref() == ProxyProtocol::Required);
    let is_unix = |place: &Place| matches!(place, Place::Unix(_));
    match (required, &listen.proxy_from) {
        (Some(value), _) if listen.places().iter().any(is_unix) => {
            let message = "who connects to a UNIX socket has no address that `proxy_from` could name: give that socket a [[listen]] of its own, without `proxy_protocol`";
            return Err(Fault::at(value.span(), message));
        }
        (None, Some(from)) if !from.get_ref().is_empty() => {
            let message = "`proxy_from` has no effect without `proxy_protocol = \"required\"`";
            return Err(Fault::at(from.span(), message));
        }
        _ => {}
    }
    let Some(sent) = listen.send_proxy.as_ref().filter(|sent| *sent.get_ref() != SendProxy::Off)
    else {
        return Ok(());
    };
    let what = match listen.target.as_ref().map(|target| Target::parse(target.get_ref())) {
        Some(Ok(Target::Serial(_))) => "a serial line",
        Some(Ok(Target::Libvirt(_))) => "libvirt",
        _ if listen.target.as_ref().is_some_and(|target| target.get_ref() == DEMO) => {
            "the console that is built in"
        }
        _ => return Ok(()),
    };
    let message =
        format!("{what} knows no PROXY header and would take it for payload: leave it out");
    Err(Fault::at(sent.span(), message))
}

fn upstream(table: &Upstream) -> Result<(), Fault> {
    if let (Some(file), None) = (&table.key_password_file, &table.key) {
        let message = "`key_password_file` opens a key: expected `cert` and `key` beside it";
        return Err(Fault::at(file.span(), message));
    }
    let alone = match (&table.cert, &table.key) {
        (Some(cert), None) => Some((cert.span(), "`cert` needs its `key` beside it")),
        (None, Some(key)) => Some((key.span(), "`key` needs its `cert` beside it")),
        _ => None,
    };
    if let Some((span, message)) = alone {
        return Err(Fault::at(span, message));
    }
    let off = table.verify.as_ref().is_some_and(|word| *word.get_ref() == VerifyWord::Off);
    let ca = table.ca.as_ref().map(Spanned::span);
    let crl = table.crl.as_ref().map(Spanned::span);
    for (key, span) in [("ca", ca), ("crl", crl)] {
        if let (true, Some(span)) = (off, span) {
            let message =
                format!("`{key}` has no effect with `verify = \"off\"`: leave one of them out");
            return Err(Fault::at(span, message));
        }
    }
    Ok(())
}
