//! Listeners of consoles for browsers: from their keys to what the engine is told.
//!
//! In: one listener as it is written. Out: its consoles, and TLS towards their targets, or what is wrong and what to write. Tokens and
//! pages are looked for when somebody asks; that their folders are there is seen to at once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use penstock_core::config::{
    Auth, Console, ConsoleTarget, Destination, Door, Reach, TokenSource, Tokens, UpstreamTls, Web,
};
use penstock_core::console::{Basic, Origins};
use penstock_core::target::Target;
use serde::Deserialize;
use toml::Spanned;

use crate::error::Fault;
use crate::file::Listen;
use crate::listener::is_set;
use crate::ovirt::Replay;
use crate::tls::{self, Provider};
use crate::value::{Span, SpanOrOff};
use crate::{forward, host, nova, ovirt, tokens, vnc};

/// What stands for a path or a target where the one that is built in is meant.
pub(crate) const DEMO: &str = "demo:";
/// Between two pings, if nothing else is said.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// Unanswered pings, after which a browser is gone.
const QUESTIONS: u32 = 3;

/// How a person shows who it is, as websockify's plugins of these names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuthTable {
    plugin: Spanned<AuthPlugin>,
    source: Option<Spanned<String>>,
    source_file: Option<Spanned<PathBuf>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
enum AuthPlugin {
    BasicHTTPAuth,
    ExpectOrigin,
    ClientCertCNAuth,
}

/// Where tokens are known.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokensTable {
    pub(crate) plugin: Spanned<String>,
    pub(crate) source: Option<Spanned<String>>,
    pub(crate) single_use: Option<Spanned<bool>>,
    pub(crate) bind_client: Option<Spanned<bool>>,
    pub(crate) expiry: Option<Spanned<Span>>,
    pub(crate) cert: Option<Spanned<PathBuf>>,
    pub(crate) replay: Option<Spanned<Replay>>,
    pub(crate) skew: Option<Spanned<SpanOrOff>>,
    pub(crate) url: Option<Spanned<String>>,
    pub(crate) url_file: Option<Spanned<PathBuf>>,
    pub(crate) console_type: Option<Spanned<String>>,
    pub(crate) instance_name_template: Option<Spanned<String>>,
    pub(crate) enforce_session_timeout: Option<Spanned<bool>>,
    pub(crate) auth_url: Option<Spanned<String>>,
    pub(crate) username: Option<Spanned<String>>,
    pub(crate) user_domain: Option<Spanned<String>>,
    pub(crate) project: Option<Spanned<String>>,
    pub(crate) project_domain: Option<Spanned<String>>,
    pub(crate) password_file: Option<Spanned<PathBuf>>,
    pub(crate) application_credential_id: Option<Spanned<String>>,
    pub(crate) application_credential_secret_file: Option<Spanned<PathBuf>>,
    pub(crate) endpoint: Option<Spanned<String>>,
    pub(crate) interface: Option<Spanned<String>>,
    pub(crate) region: Option<Spanned<String>>,
    pub(crate) ca: Option<Spanned<PathBuf>>,
    pub(crate) expected_origin_schemes: Option<Spanned<Vec<String>>>,
    pub(crate) max_session: Option<Spanned<Span>>,
}

impl AuthTable {
    /// Nobody comes in who is not known. Any program can send any Origin.
    pub(crate) fn tells_who(&self) -> bool {
        *self.plugin.get_ref() != AuthPlugin::ExpectOrigin
    }
}

pub(crate) fn consoles(
    listen: &Listen,
    provider: Provider,
) -> Result<(Console, Option<UpstreamTls>), Fault> {
    let (to, upstream) = target(listen, provider)?;
    let (auth, expected) = auth(listen)?;
    Ok((
        Console {
            web: web(listen)?,
            heartbeat: heartbeat(listen),
            origins: origins(listen, expected)?,
            web_auth: web_auth(listen)?,
            auth,
            host_token: is_set(listen.host_token.as_ref()),
            silent: is_set(listen.websockify_compat.as_ref()),
            ..Console::new(to)
        },
        upstream,
    ))
}

/// How often a browser is asked whether it is there.
pub(crate) fn heartbeat(listen: &Listen) -> Option<Duration> {
    listen.heartbeat.as_ref().map_or(Some(HEARTBEAT), |span| span.get_ref().0)
}

/// How long a browser may be silent: for some questions, if nothing else is said.
pub(crate) fn dead_peer(listen: &Listen) -> Option<Duration> {
    match &listen.timeouts.dead_peer {
        Some(span) => span.get_ref().0,
        None => heartbeat(listen).map(|interval| interval.saturating_mul(QUESTIONS)),
    }
}

fn target(
    listen: &Listen,
    provider: Provider,
) -> Result<(ConsoleTarget, Option<UpstreamTls>), Fault> {
    match (&listen.target, &listen.tokens) {
        (_, None) if host::names_target(listen) => {
            let (destination, upstream) = host::destination(listen, provider)?;
            Ok((ConsoleTarget::Fixed(destination), upstream))
        }
        (Some(text), None) if text.get_ref() == DEMO => {
            if let Some(table) = &listen.upstream_tls {
                let message =
                    "the console that is built in speaks no TLS: leave `upstream_tls` out";
                return Err(Fault::at(table.span(), message));
            }
            let reach = Reach::Door(Arc::new(Door::Demo));
            let destination = Destination { text: DEMO.into(), readonly: false, reach };
            Ok((ConsoleTarget::Fixed(destination), None))
        }
        (Some(text), None) => {
            if let Ok(Target::Libvirt(_)) = Target::parse(text.get_ref()) {
                let message = "a console is a stream of VNC, SPICE or a serial line: expected `tcp://`, `tls://`, `unix:` or `serial:`";
                return Err(Fault::at(text.span(), message));
            }
            let (destination, upstream) = forward::destination(listen, text, provider)?;
            Ok((ConsoleTarget::Fixed(destination), upstream))
        }
        (None, Some(table)) => {
            let upstream = match &listen.upstream_tls {
                _ if vnc::is_spoken(listen) => vnc::upstream(listen, table.span(), provider)?,
                Some(table) if ovirt::is_plugin(listen) => {
                    Some(vnc::in_short_records(table.get_ref().clone(), table.span(), provider)?)
                }
                Some(table) => Some(tls::upstream(table.get_ref(), table.span(), provider)?),
                None => None,
            };
            let tokens = of_table(listen, table)?;
            judge_tokens(listen, &tokens, upstream.as_ref())?;
            Ok((ConsoleTarget::Tokens(Arc::new(tokens)), upstream))
        }
        (Some(text), Some(_)) => {
            let message = "a token names the target: leave `target` or `tokens` out";
            Err(Fault::at(text.span(), message))
        }
        (None, None) => {
            let message = "`service = \"console\"` needs `target`, such as \"tcp://10.0.0.7:5900\", or `tokens`, such as { plugin = \"TokenFile\", source = \"/etc/penstock/tokens\" }";
            Err(Fault::at(listen.service.span(), message))
        }
    }
}

/// What the targets of these tokens are shown, and whom.
fn judge_tokens(
    listen: &Listen,
    tokens: &Tokens,
    upstream: Option<&UpstreamTls>,
) -> Result<(), Fault> {
    let to_sockets = matches!(tokens.source, TokenSource::UnixDirectory(_));
    if let (Some(table), true) = (&listen.upstream_tls, to_sockets)
        && upstream.is_some_and(|upstream| upstream.server_name.is_none())
    {
        let message = "a UNIX socket has no name to verify: expected `server_name`";
        return Err(Fault::at(table.span(), message));
    }
    if !is_set(listen.host_token.as_ref()) {
        return Ok(());
    }
    // Who has a token was given it. The name of a host is known to everybody.
    let socket = to_sockets.then_some("a UNIX socket, which lets us in for who we are");
    forward::judge_safety(listen, socket.or(vnc::held(listen)).or(forward::shown(upstream)))
}

fn of_table(listen: &Listen, table: &Spanned<TokensTable>) -> Result<Tokens, Fault> {
    let TokensTable { plugin, source, single_use, bind_client, expiry, .. } = table.get_ref();
    let place = source.as_ref().map_or(plugin.span(), Spanned::span);
    let of_plugin = || {
        nova::judge_absent(table.get_ref())?;
        let text = source.as_ref().map(|source| source.get_ref().as_str());
        tokens::source(plugin.get_ref(), text).map_err(|problem| match problem {
            tokens::Problem::Plugin(message) => Fault::at(plugin.span(), message),
            tokens::Problem::Source(message) => Fault::at(place, message),
        })
    };
    let tickets = ovirt::tickets(listen, table.get_ref())?.map(Ok);
    let named = tickets.or_else(|| nova::source(table.get_ref()));
    Ok(Tokens {
        source: named.unwrap_or_else(of_plugin)?,
        timeout: listen.timeouts.token.as_ref().map_or(Tokens::TIMEOUT, |span| span.get_ref().0),
        single_use: is_set(single_use.as_ref()),
        bind_client: is_set(bind_client.as_ref()),
        expiry: expiry.as_ref().map(|span| span.get_ref().0),
    })
}

fn web(listen: &Listen) -> Result<Option<Arc<Web>>, Fault> {
    let Some(web) = &listen.web else { return Ok(None) };
    if web.get_ref() == DEMO {
        return Ok(Some(Arc::new(Web::Demo)));
    }
    let path = Path::new(web.get_ref());
    match path.is_dir() {
        true => Ok(Some(Arc::new(Web::Directory(path.to_owned())))),
        false => {
            let message = format!("expected a folder of pages, {} is none", path.display());
            Err(Fault::at(web.span(), message))
        }
    }
}

/// Who may have a console, and the pages that are expected if that is what is meant.
fn auth(listen: &Listen) -> Result<(Option<Auth>, Option<Vec<String>>), Fault> {
    let Some(table) = &listen.auth else { return Ok((None, None)) };
    let AuthTable { plugin, source, source_file } = table.get_ref();
    let at_plugin = |message: &str| Fault::at(plugin.span(), message);
    let source = match (source, source_file) {
        (Some(source), None) => source.get_ref().clone(),
        (None, Some(file)) => {
            let read = std::fs::read_to_string(file.get_ref());
            let unreadable = |error| Fault::at(file.span(), format!("can't read it: {error}"));
            read.map_err(unreadable)?.trim_end_matches(['\r', '\n']).to_owned()
        }
        _ => return Err(at_plugin("expected either `source` or `source_file` beside it")),
    };
    let words = || source.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    match plugin.get_ref() {
        AuthPlugin::BasicHTTPAuth => match Basic::new(&source) {
            Some(basic) => Ok((Some(Auth::Basic(basic)), None)),
            None => Err(at_plugin("expected its source to be `user:password`")),
        },
        _ if words().is_empty() => {
            Err(at_plugin("nobody is in its source: expected one name at least"))
        }
        AuthPlugin::ExpectOrigin if words().iter().any(|word| word == "*") => Err(at_plugin(
            "`*` would let in whoever sends any Origin, which any program can: expected origins such as https://portal.example",
        )),
        AuthPlugin::ExpectOrigin => Ok((None, Some(words()))),
        AuthPlugin::ClientCertCNAuth => {
            if !listen.tls.as_ref().is_some_and(|tls| tls.get_ref().asks_for_certificates()) {
                return Err(at_plugin(
                    "nobody shows a certificate here: expected `tls` with `client_ca` and `client_auth` beside it",
                ));
            }
            Ok((Some(Auth::CommonName(words().into_iter().map(Into::into).collect())), None))
        }
    }
}

fn origins(listen: &Listen, expected: Option<Vec<String>>) -> Result<Origins, Fault> {
    if let (Some(hosts), true) =
        (&listen.allowed_origins, listen.origins.is_some() || expected.is_some())
    {
        let message = "`allowed_origins` has hosts as nova has them, and other keys say otherwise: leave it out, or `origins` and ExpectOrigin";
        return Err(Fault::at(hosts.span(), message));
    }
    let (list, span, required) = match (&listen.origins, expected) {
        (Some(origins), None) => (origins.get_ref().clone(), origins.span(), false),
        (None, Some(list)) => {
            (list, listen.auth.as_ref().map_or(0..0, |table| table.get_ref().plugin.span()), true)
        }
        (Some(origins), Some(_)) => {
            let message = "ExpectOrigin says which pages may ask: leave `origins` or `auth` out";
            return Err(Fault::at(origins.span(), message));
        }
        (None, None) => return nova::origins(listen),
    };
    if list.len() > 1 && list.iter().any(|origin| origin == "*") {
        let message = "`*` stands for all pages there are: leave the others out, or `*`";
        return Err(Fault::at(span, message));
    }
    let origins = Origins::listed(&list).map_err(|error| {
        let message =
            format!("expected origins such as \"https://portal.example\", got `{}`", error.0);
        Fault::at(span, message)
    })?;
    Ok(if required { origins.required() } else { origins })
}

fn web_auth(listen: &Listen) -> Result<bool, Fault> {
    let Some(asked) = listen.web_auth.as_ref().filter(|asked| *asked.get_ref()) else {
        return Ok(false);
    };
    match (&listen.auth, &listen.web) {
        (Some(auth), Some(_)) if auth.get_ref().tells_who() => Ok(true),
        (Some(_), Some(_)) => {
            let message = "who opens a page sends no Origin, and ExpectOrigin asks for nothing else: leave `web_auth` out, or write `auth` with BasicHTTPAuth or ClientCertCNAuth";
            Err(Fault::at(asked.span(), message))
        }
        _ => {
            let message = "`web_auth` asks for `auth` before pages of `web` are served: expected both beside it";
            Err(Fault::at(asked.span(), message))
        }
    }
}
