//! Tickets of oVirt's engine as a source of tokens.
//!
//! In: the keys beside `plugin = "ovirt"`. Out: what is held against tickets, or what can't be meant. Of the certificate it is seen to at once that
//! it is there.

use std::ops::Range;
use std::path::Path;

use penstock_core::config::TokenSource;
use serde::Deserialize;
use toml::Spanned;

use crate::console::TokensTable;
use crate::error::Fault;
use crate::file::Listen;
use crate::listener::is_set;

/// Its name.
const PLUGIN: &str = "ovirt";

/// What becomes of a ticket that is shown again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Replay {
    /// It is as good as at first, until its time is over.
    Allow,
    /// It is refused, but to the viewer who showed it first.
    Deny,
}

/// None: it is another plugin.
pub(crate) fn tickets(listen: &Listen, table: &TokensTable) -> Result<Option<TokenSource>, Fault> {
    let is_ours = table.plugin.get_ref() == PLUGIN;
    judge_keys(table, is_ours)?;
    if !is_ours {
        return Ok(None);
    }
    judge_listener(listen, table)?;
    let cert = table.cert.as_ref().ok_or_else(|| {
        let message = "`ovirt` needs `cert` beside it: the engine's certificate, /etc/pki/ovirt-engine/certs/engine.cer there";
        Fault::at(table.plugin.span(), message)
    })?;
    judge_certificate(cert.get_ref()).map_err(|message| Fault::at(cert.span(), message))?;
    let denies = table.replay.as_ref().is_some_and(|word| *word.get_ref() == Replay::Deny);
    Ok(Some(TokenSource::Ovirt {
        cert: cert.get_ref().clone(),
        replay: !denies,
        skew: table.skew.as_ref().and_then(|span| span.get_ref().0).unwrap_or_default(),
    }))
}

/// That it is a certificate is seen when the first ticket comes: it may be replaced before.
pub(crate) fn judge_certificate(path: &Path) -> Result<(), String> {
    let read = std::fs::read_to_string(path);
    let text = read.map_err(|error| format!("can't read {}: {error}", path.display()))?;
    match text.contains("-----BEGIN CERTIFICATE-----") {
        true => Ok(()),
        false => Err(format!("expected a certificate in PEM, {} is none", path.display())),
    }
}

/// A ticket can be written in many ways, of which each would count as another token.
fn judge_keys(table: &TokensTable, is_ours: bool) -> Result<(), Fault> {
    let TokensTable { source, single_use, bind_client, expiry, cert, replay, skew, .. } = table;
    let set = |switch: &Option<Spanned<bool>>| switch.as_ref().map(Spanned::span);
    let (others, what) = match is_ours {
        true => (
            vec![
                ("source", source.as_ref().map(Spanned::span)),
                ("single_use", set(single_use)),
                ("bind_client", set(bind_client)),
                ("expiry", expiry.as_ref().map(Spanned::span)),
            ],
            "is not for tickets of oVirt's, which say themselves where they lead and for how long: leave it out; `replay = \"deny\"` makes each one for one viewer",
        ),
        false => (
            vec![
                ("cert", cert.as_ref().map(Spanned::span)),
                ("replay", replay.as_ref().map(Spanned::span)),
                ("skew", skew.as_ref().map(Spanned::span)),
            ],
            "is about tickets of oVirt's: leave it out, or write `plugin = \"ovirt\"`",
        ),
    };
    refuse_first(others, |key| format!("`{key}` {what}"))
}

/// What a path is that is a ticket, it can't be beside that.
fn judge_listener(listen: &Listen, table: &TokensTable) -> Result<(), Fault> {
    let web = listen.web.as_ref().map(Spanned::span);
    let host = listen.host_token.as_ref().filter(|_| is_set(listen.host_token.as_ref()));
    let keys = vec![("web", web), ("host_token", host.map(Spanned::span))];
    refuse_first(keys, |key| {
        format!("with `plugin = \"ovirt\"` every path is a ticket: leave `{key}` out")
    })?;
    match &listen.upstream_tls {
        Some(_) => Ok(()),
        None => {
            let message = "tickets say which consoles want TLS: write whom you trust there, upstream_tls = { ca = \"/etc/pki/ovirt-engine/ca.pem\" }";
            Err(Fault::at(table.plugin.span(), message))
        }
    }
}

fn refuse_first(
    keys: Vec<(&str, Option<Range<usize>>)>,
    message: impl Fn(&str) -> String,
) -> Result<(), Fault> {
    match keys.into_iter().find_map(|(key, span)| Some((key, span?))) {
        Some((key, span)) => Err(Fault::at(span, message(key))),
        None => Ok(()),
    }
}
