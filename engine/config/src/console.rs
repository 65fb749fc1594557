//! Listeners of consoles for browsers: from their keys to what the engine is told.
//!
//! In: one listener as it is written. Out: its consoles, and TLS towards their targets, or what is wrong and what to write. Tokens and
//! pages are looked for when somebody asks; that their folders are there is seen to at once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use penstock_core::config::{
    Auth, Console, ConsoleTarget, Destination, Door, Reach, Tokens, UpstreamTls, Web,
};
use penstock_core::console::{Basic, Origins};
use penstock_core::target::Target;
use serde::Deserialize;
use toml::Spanned;

use crate::error::Fault;
use crate::file::Listen;
use crate::listener::is_set;
use crate::tls::{self, Provider};
use crate::value::Span;
use crate::{forward, tokens};

/// What stands for a path or a target where the one that is built in is meant.
const DEMO: &str = "demo:";
/// Between two pings, if nothing else is said.
const HEARTBEAT: Duration = Duration::from_secs(30);

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
    #[serde(default)]
    single_use: bool,
    #[serde(default)]
    bind_client: bool,
    expiry: Option<Span>,
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
            heartbeat: listen.heartbeat.as_ref().map_or(Some(HEARTBEAT), |span| span.get_ref().0),
            origins: origins(listen, expected)?,
            web_auth: web_auth(listen, auth.is_some())?,
            auth,
            host_token: is_set(listen.host_token.as_ref()),
            silent: is_set(listen.websockify_compat.as_ref()),
            ..Console::new(to)
        },
        upstream,
    ))
}

fn target(
    listen: &Listen,
    provider: Provider,
) -> Result<(ConsoleTarget, Option<UpstreamTls>), Fault> {
    match (&listen.target, &listen.tokens) {
        (Some(text), None) if text.get_ref() == DEMO => {
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
            let upstream = listen.upstream_tls.as_ref();
            let upstream = upstream
                .map(|table| tls::upstream(table.get_ref(), table.span(), provider))
                .transpose()?;
            Ok((ConsoleTarget::Tokens(Arc::new(of_table(listen, table)?)), upstream))
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

fn of_table(listen: &Listen, table: &Spanned<TokensTable>) -> Result<Tokens, Fault> {
    let TokensTable { plugin, source, single_use, bind_client, expiry } = table.get_ref();
    let place = source.as_ref().map_or(plugin.span(), Spanned::span);
    let source = tokens::source(plugin.get_ref(), source.as_ref().map(|s| s.get_ref().as_str()));
    Ok(Tokens {
        source: source.map_err(|problem| match problem {
            tokens::Problem::Plugin(message) => Fault::at(plugin.span(), message),
            tokens::Problem::Source(message) => Fault::at(place, message),
        })?,
        timeout: listen.timeouts.token.0,
        single_use: *single_use,
        bind_client: *bind_client,
        expiry: expiry.map(|Span(span)| span),
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
    let (list, span, required) = match (&listen.origins, expected) {
        (Some(origins), None) => (origins.get_ref().clone(), origins.span(), false),
        (None, Some(list)) => {
            (list, listen.auth.as_ref().map_or(0..0, |table| table.get_ref().plugin.span()), true)
        }
        (Some(origins), Some(_)) => {
            let message = "ExpectOrigin says which pages may ask: leave `origins` or `auth` out";
            return Err(Fault::at(origins.span(), message));
        }
        (None, None) => return Ok(Origins::same_host()),
    };
    let origins = Origins::listed(&list).map_err(|error| {
        let message =
            format!("expected origins such as \"https://portal.example\", got `{}`", error.0);
        Fault::at(span, message)
    })?;
    Ok(if required { origins.required() } else { origins })
}

fn web_auth(listen: &Listen, has_auth: bool) -> Result<bool, Fault> {
    match &listen.web_auth {
        Some(value) if *value.get_ref() && !(has_auth && listen.web.is_some()) => {
            let message = "`web_auth` asks for `auth` before pages of `web` are served: expected both beside it";
            Err(Fault::at(value.span(), message))
        }
        value => Ok(is_set(value.as_ref())),
    }
}
