//! Listeners on which the program around the engine has a word: it is asked about clients, or hands connections over.
//!
//! In: `policy`, and what stands beside it. Out: how long that program may think, and what it alone knows; or what is wrong. The daemon has
//! no such program, and is told where the file first needs one.

use std::ops::Range;
use std::time::Duration;

use penstock_core::config::{Destination, HostPolicy, Reach, UpstreamTls};
use toml::Spanned;

use crate::error::Fault;
use crate::file::Listen;
use crate::tls::{self, Provider};
use crate::vnc;

/// What stands for a target that comes with its client.
const HANDED_OVER: &str = "handed-over";
/// How long the host may think, if nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Whether the host is asked about clients.
pub(crate) fn is_asked(listen: &Listen) -> bool {
    listen.policy.is_some()
}

pub(crate) fn policy(listen: &Listen) -> Option<HostPolicy> {
    let given = listen.timeouts.token.as_ref().map(|span| span.get_ref().0);
    is_asked(listen).then(|| HostPolicy { timeout: given.unwrap_or(TIMEOUT) })
}

/// Whether nobody but the host knows where to.
pub(crate) fn names_target(listen: &Listen) -> bool {
    match &listen.target {
        Some(target) => target.get_ref() == HANDED_OVER,
        None => is_asked(listen),
    }
}

/// Where to, if only the host knows, and on which terms.
pub(crate) fn destination(
    listen: &Listen,
    provider: Provider,
) -> Result<(Destination, Option<UpstreamTls>), Fault> {
    if let Some(readonly) = &listen.readonly {
        let message =
            "`readonly` is about libvirt's daemons: expected `target` to be one of their URIs";
        return Err(Fault::at(readonly.span(), message));
    }
    let whole = listen.target.as_ref().map_or(listen.service.span(), Spanned::span);
    let upstream = match &listen.upstream_tls {
        _ if vnc::is_spoken(listen) => vnc::upstream(listen, whole, provider)?,
        Some(table) => Some(tls::upstream(table.get_ref(), table.span(), provider)?),
        None => None,
    };
    let text = match is_asked(listen) {
        true => "what the host names",
        false => "what is handed over",
    };
    let reach = Reach::HandedOver;
    Ok((Destination { text: text.into(), readonly: false, reach }, upstream))
}

/// Whether what is configured can be meant.
pub(crate) fn judge(listen: &Listen) -> Result<(), Fault> {
    if let (Some(_), Some(tokens)) = (&listen.policy, &listen.tokens) {
        let message = "the host judges tokens and names the target: leave `tokens` or `policy` out";
        return Err(Fault::at(tokens.span(), message));
    }
    let comes_by_itself = is_asked(listen) || names_target(listen);
    if listen.address.is_none() && !comes_by_itself {
        let message = "missing field `address`: where to listen, such as \"127.0.0.1:3128\" or \"unix:/run/x.sock\"";
        return Err(Fault::at(listen.name.span(), message));
    }
    Ok(())
}

/// The first place that nobody can serve but a program around the engine.
pub(crate) fn needed(listen: &[Listen]) -> Option<Fault> {
    let asked = |one: &Listen| -> Option<(Range<usize>, &str)> {
        Some((one.policy.as_ref()?.span(), "answer"))
    };
    let handed = |one: &Listen| -> Option<(Range<usize>, &str)> {
        let target = one.target.as_ref().filter(|_| names_target(one))?;
        Some((target.span(), "hand connections over"))
    };
    let (range, what) = listen.iter().find_map(|one| asked(one).or_else(|| handed(one)))?;
    let message = format!("only a program that embeds the engine can {what}: see penstock.h");
    Some(Fault::at(range, message))
}
