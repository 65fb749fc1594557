//! The same of consoles.

use std::ops::Range;

use toml::Spanned;

use super::token_timeout;
use crate::console::heartbeat;
use crate::error::Fault;
use crate::file::Listen;
use crate::listener::is_set;
use crate::value::Place;

pub(super) fn judge(listen: &Listen) -> Result<(), Fault> {
    ends_whole(listen)?;
    match &listen.tokens {
        None => without_tokens(listen)?,
        Some(_) => tokens_come_once(listen)?,
    }
    has_addresses(listen)?;
    silence(listen)?;
    asked_and_not(listen)
}

/// WebSocket knows no stream of which one direction has ended.
fn ends_whole(listen: &Listen) -> Result<(), Fault> {
    match &listen.half_close {
        Some(asked) => {
            let message = "a WebSocket ends both ways at once: leave `half_close` out";
            Err(Fault::at(asked.span(), message))
        }
        None => Ok(()),
    }
}

/// Where there is one target, nobody is asked for a token.
fn without_tokens(listen: &Listen) -> Result<(), Fault> {
    let keys = [
        ("host_token", set(listen.host_token.as_ref())),
        ("websockify_compat", set(listen.websockify_compat.as_ref())),
        ("timeouts.token", token_timeout(listen)),
    ];
    refuse_first(keys, |key| {
        format!("`{key}` is about tokens: leave it out, or write `tokens` in the place of `target`")
    })
}

/// A host's name comes again and again, from everybody.
fn tokens_come_once(listen: &Listen) -> Result<(), Fault> {
    let Some(tokens) = listen.tokens.as_ref().filter(|_| is_set(listen.host_token.as_ref())) else {
        return Ok(());
    };
    let tokens = tokens.get_ref();
    let keys = [
        ("single_use", set(tokens.single_use.as_ref())),
        ("bind_client", set(tokens.bind_client.as_ref())),
        ("expiry", tokens.expiry.as_ref().map(Spanned::span)),
    ];
    refuse_first(keys, |key| {
        format!(
            "with `host_token` the token is the name of a host, which `{key}` would take away after its first use: leave one of them out"
        )
    })
}

/// Who connects to a UNIX socket has no address.
fn has_addresses(listen: &Listen) -> Result<(), Fault> {
    let is_port = |place: &Place| matches!(place, Place::Tcp(_));
    // Of sockets that the host hands over, nothing is known.
    if listen.address.is_none() || listen.places().iter().any(is_port) {
        return Ok(());
    }
    let proxies = listen.trusted_proxies.as_ref().filter(|list| !list.get_ref().is_empty());
    let tokens = listen.tokens.as_ref().map(Spanned::get_ref);
    let keys = [
        ("trusted_proxies", proxies.map(Spanned::span)),
        ("bind_client", set(tokens.and_then(|tokens| tokens.bind_client.as_ref()))),
    ];
    refuse_first(keys, |key| {
        format!(
            "who connects to a UNIX socket has no address, so that `{key}` has no effect: leave it out, or listen on a port"
        )
    })
}

/// Only who is asked can be taken for dead.
fn silence(listen: &Listen) -> Result<(), Fault> {
    let Some(given) = &listen.timeouts.dead_peer else { return Ok(()) };
    match (given.get_ref().0, heartbeat(listen)) {
        (Some(_), None) => {
            let message = "nobody is asked with `heartbeat = \"off\"`, and nobody taken for dead: leave `dead_peer` out";
            Err(Fault::at(given.span(), message))
        }
        (Some(patience), Some(interval)) if patience <= interval => {
            let message = format!(
                "a browser that is asked every {interval:?} would be taken for dead before: expected more than that, or a shorter `heartbeat`"
            );
            Err(Fault::at(given.span(), message))
        }
        _ => Ok(()),
    }
}

/// Who is asked is no stranger.
fn asked_and_not(listen: &Listen) -> Result<(), Fault> {
    let asks = listen.auth.as_ref().is_some_and(|auth| auth.get_ref().tells_who());
    match set(listen.unauthenticated.as_ref()).filter(|_| asks) {
        Some(span) => {
            let message =
                "`auth` lets nobody in who is unauthenticated: leave `unauthenticated` out";
            Err(Fault::at(span, message))
        }
        None => Ok(()),
    }
}

fn set(switch: Option<&Spanned<bool>>) -> Option<Range<usize>> {
    switch.filter(|switch| *switch.get_ref()).map(Spanned::span)
}

fn refuse_first<const N: usize>(
    keys: [(&str, Option<Range<usize>>); N],
    message: impl Fn(&str) -> String,
) -> Result<(), Fault> {
    match keys.into_iter().find_map(|(key, span)| Some((key, span?))) {
        Some((key, span)) => Err(Fault::at(span, message(key))),
        None => Ok(()),
    }
}
