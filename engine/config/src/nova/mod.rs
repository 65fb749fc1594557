//! Tokens of OpenStack's compute service.
//!
//! In: a table of tokens with `plugin = "nova-db"` or `"nova"`. Out: where they are known, or what was expected.

mod api;
pub mod proxy;
pub(crate) mod template;
pub(crate) mod url;

use std::ops::Range;

use penstock_core::config::{Database, NameTemplate, NovaDatabase, TokenSource};
use penstock_core::console::Origins;
use toml::Spanned;

use crate::console::TokensTable;
use crate::error::Fault;
use crate::file::Listen;
use crate::listener::is_set;

/// Types of consoles, as nova calls them.
pub(crate) const CONSOLE_TYPES: [&str; 6] =
    ["novnc", "spice-html5", "spice-direct", "serial", "rdp-html5", "webmks"];

/// The one of them that is VNC.
const VNC: &str = "novnc";

const DATABASE: &str = "nova-db";
const API: &str = "nova";
const PLUGINS: [&str; 2] = [DATABASE, API];

/// What is said of nova's sources, if one of them is meant.
pub(crate) fn source(table: &TokensTable) -> Option<Result<TokenSource, Fault>> {
    let judged = |of_other: Vec<Option<Range<usize>>>| match of_other.into_iter().flatten().next() {
        Some(span) => Err(Fault::at(
            span,
            "this is said of the other one of `nova` and `nova-db`: leave it out",
        )),
        None => Ok(()),
    };
    match table.plugin.get_ref().as_str() {
        DATABASE => Some(judged(of_api(table)).and_then(|()| database(table))),
        API => Some(judged(of_database(table)).and_then(|()| api::source(table))),
        _ => None,
    }
}

/// What is said of nova, where something else is meant.
pub(crate) fn judge_absent(table: &TokensTable) -> Result<(), Fault> {
    let of_both = table.console_type.as_ref().map(Spanned::span);
    let mut of_nova = of_database(table).into_iter().chain(of_api(table)).chain([of_both]);
    match of_nova.find_map(|span| span) {
        None => Ok(()),
        Some(span) => {
            let plugin = table.plugin.get_ref();
            let message =
                format!("this is said of nova's tokens, and `{plugin}` has none: leave it out");
            Err(Fault::at(span, message))
        }
    }
}

fn of_database(table: &TokensTable) -> Vec<Option<Range<usize>>> {
    vec![
        span(&table.url),
        span(&table.url_file),
        span(&table.instance_name_template),
        span(&table.enforce_session_timeout),
    ]
}

fn of_api(table: &TokensTable) -> Vec<Option<Range<usize>>> {
    vec![
        span(&table.auth_url),
        span(&table.username),
        span(&table.user_domain),
        span(&table.project),
        span(&table.project_domain),
        span(&table.password_file),
        span(&table.application_credential_id),
        span(&table.application_credential_secret_file),
        span(&table.endpoint),
        span(&table.interface),
        span(&table.region),
        span(&table.ca),
        span(&table.expected_origin_schemes),
        span(&table.max_session),
    ]
}

fn span<T>(value: &Option<Spanned<T>>) -> Option<Range<usize>> {
    value.as_ref().map(Spanned::span)
}

/// Of which type the consoles of nova's tokens are, if it is a known one and none of VNC.
pub(crate) fn other_than_vnc(listen: &Listen) -> Option<&str> {
    let tokens = listen.tokens.as_ref().map(Spanned::get_ref);
    let tokens = tokens.filter(|table| PLUGINS.contains(&table.plugin.get_ref().as_str()))?;
    let name = tokens.console_type.as_ref()?.get_ref().as_str();
    (CONSOLE_TYPES.contains(&name) && name != VNC).then_some(name)
}

/// Pages that may ask, where no others are named: those of the same host and of `allowed_origins`, as nova has it; which protocol they need, a token
/// itself says.
pub(crate) fn origins(listen: &Listen) -> Result<Origins, Fault> {
    let tokens = listen.tokens.as_ref().map(|table| table.get_ref().plugin.get_ref().as_str());
    let is_nova = tokens.is_some_and(|plugin| PLUGINS.contains(&plugin));
    match &listen.allowed_origins {
        None if !is_nova => Ok(Origins::same_host()),
        None => Ok(Origins::hosts::<&str>([]).unwrap_or_default()),
        Some(hosts) if is_nova => Origins::hosts(hosts.get_ref()).map_err(|error| {
            let message =
                format!("expected names of hosts such as \"portal.example\", got `{}`", error.0);
            Fault::at(hosts.span(), message)
        }),
        Some(hosts) => {
            let message = "`allowed_origins` has hosts in any protocol, which nova's tokens judge: write `origins` here";
            Err(Fault::at(hosts.span(), message))
        }
    }
}

fn database(table: &TokensTable) -> Result<TokenSource, Fault> {
    let names = match &table.instance_name_template {
        None => NameTemplate::default(),
        Some(text) => template::parse(text.get_ref()).map_err(|m| Fault::at(text.span(), m))?,
    };
    Ok(TokenSource::NovaDatabase(Box::new(NovaDatabase {
        database: address(table)?,
        console_type: console_type(table)?.into(),
        names,
        enforce_session_timeout: is_set(table.enforce_session_timeout.as_ref()),
    })))
}

fn address(table: &TokensTable) -> Result<Database, Fault> {
    match (&table.url, &table.url_file) {
        (Some(text), None) => {
            url::parse(text.get_ref()).map_err(|message| Fault::at(text.span(), message))
        }
        (None, Some(file)) => {
            let fault = |message| Fault::at(file.span(), message);
            let text = std::fs::read_to_string(file.get_ref());
            let text = text.map_err(|error| fault(format!("can't read it: {error}")))?;
            url::parse(text.lines().next().unwrap_or_default()).map_err(fault)
        }
        _ => {
            let message = "`nova-db` needs either `url`, as SQLAlchemy writes it, or `url_file` with it in the first line";
            Err(Fault::at(table.plugin.span(), message))
        }
    }
}

fn console_type(table: &TokensTable) -> Result<&str, Fault> {
    let known = CONSOLE_TYPES.join(", ");
    match &table.console_type {
        Some(text) if CONSOLE_TYPES.contains(&text.get_ref().as_str()) => Ok(text.get_ref()),
        Some(text) => {
            let message = format!("expected one of {known}, got `{}`", text.get_ref());
            Err(Fault::at(text.span(), message))
        }
        None => {
            let plugin: &Spanned<String> = &table.plugin;
            let message =
                format!("`{}` needs `console_type` beside it: one of {known}", plugin.get_ref());
            Err(Fault::at(plugin.span(), message))
        }
    }
}
