//! VNC between clients and servers: the table `vnc`, and TLS within it.
//!
//! In: the table and the keys beside it. Out: what the engine is told, or what is wrong and what to write. Files of certificates are looked
//! for as viewers of libvirt's consoles do; files of passwords have to be there, and are read at each connection.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use penstock_core::config::{
    Account, Credentials, Password, Scheme, SchemeOrder, Subtype, UpstreamTls, Vnc, VncMode,
};
use penstock_core::libvirt::certificates::Places;
use penstock_core::target::Target;
use penstock_core::tls::{Client, ClientFiles, Swap};
use serde::Deserialize;
use toml::Spanned;

use crate::console::DEMO;
use crate::error::Fault;
use crate::file::{Listen, Service};
use crate::forward;
use crate::listener::is_set;
use crate::nova;
use crate::ovirt;
use crate::tls::{self, Provider, Upstream, VerifyWord};
use crate::value::Place;

/// Plaintext bytes of a record towards a server, if nothing else is said: QEMU leaves what is behind that in its TLS library, unnoticed.
const MAX_RECORD: usize = 4096;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VncTable {
    mode: Spanned<Mode>,
    schemes: Option<Spanned<Vec<SchemeWord>>>,
    order: Option<Spanned<Order>>,
    password: Option<Spanned<PasswordWord>>,
    plain: Option<Spanned<AccountTable>>,
    sasl: Option<Spanned<AccountTable>>,
    view_only: Option<Spanned<bool>>,
    force_shared: Option<Spanned<bool>>,
    listen: Option<Spanned<Vec<SubtypeWord>>>,
    unencrypted_clients: Option<Spanned<bool>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Pass,
    Bridge,
    Authenticate,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SchemeWord {
    Vencrypt,
    Vnc,
    None,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Order {
    Strongest,
    Server,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SubtypeWord {
    X509none,
    X509vnc,
    X509plain,
    X509sasl,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected { file = \"...\" }, { dir = \"...\" } or \"token\"")]
enum PasswordWord {
    Where(PasswordTable),
    Token(TokenWord),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PasswordTable {
    File(PathBuf),
    Dir(PathBuf),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TokenWord {
    Token,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountTable {
    user: String,
    password_file: Spanned<PathBuf>,
}

impl From<SchemeWord> for Scheme {
    fn from(word: SchemeWord) -> Scheme {
        match word {
            SchemeWord::Vencrypt => Scheme::VeNCrypt,
            SchemeWord::Vnc => Scheme::Vnc,
            SchemeWord::None => Scheme::None,
        }
    }
}

impl From<SubtypeWord> for Subtype {
    fn from(word: SubtypeWord) -> Subtype {
        match word {
            SubtypeWord::X509none => Subtype::X509None,
            SubtypeWord::X509vnc => Subtype::X509Vnc,
            SubtypeWord::X509plain => Subtype::X509Plain,
            SubtypeWord::X509sasl => Subtype::X509Sasl,
        }
    }
}

/// What a listener does with VNC; none: nothing.
pub(crate) fn of(listen: &Listen) -> Result<Option<Arc<Vnc>>, Fault> {
    let Some(spanned) = &listen.vnc else { return Ok(of_tickets(listen)) };
    let table = spanned.get_ref();
    if *listen.service.get_ref() == Service::Connect {
        let message = "the client of a CONNECT proxy speaks with its target itself: leave `vnc` out, or write `service = \"forward\"` or \"console\"";
        return Err(Fault::at(spanned.span(), message));
    }
    let mode = match table.mode.get_ref() {
        Mode::Pass => return untouched(table).map(|()| None),
        Mode::Bridge => VncMode::Bridge,
        Mode::Authenticate => VncMode::Authenticate,
    };
    judge_consoles(listen, spanned.span())?;
    let vnc = Vnc {
        schemes: schemes(table)?,
        order: match table.order.as_ref().map(Spanned::get_ref) {
            Some(Order::Server) => SchemeOrder::Server,
            Some(Order::Strongest) | None => SchemeOrder::Strongest,
        },
        credentials: credentials(listen, table)?,
        view_only: is_set(table.view_only.as_ref()),
        force_shared: is_set(table.force_shared.as_ref()),
        listen: native(listen, table)?,
        unencrypted_clients: is_set(table.unencrypted_clients.as_ref()),
        or_spice: ovirt::is_plugin(listen),
        ..Vnc::new(mode)
    };
    judge_clients(listen, table, mode)?;
    judge_tickets(listen, table, mode)?;
    Ok(Some(Arc::new(vnc)))
}

/// What speaks no VNC would be waited for until the handshake's time is over. `whole` is where the table stands.
fn judge_consoles(listen: &Listen, whole: Range<usize>) -> Result<(), Fault> {
    if let Some(other) = nova::other_than_vnc(listen) {
        let message = format!(
            "consoles of `console_type = \"{other}\"` speak no VNC, so that there is nobody to log in to and nothing to filter: leave `vnc` out, or write \"novnc\""
        );
        return Err(Fault::at(whole, message));
    }
    if listen.target.as_ref().is_some_and(|target| target.get_ref() == DEMO) {
        let message = "the console that is built in asks for no login: leave `vnc` out";
        return Err(Fault::at(whole, message));
    }
    Ok(())
}

/// Tickets of oVirt's say themselves whether there is TLS; then it is as oVirt's own proxy has it.
fn of_tickets(listen: &Listen) -> Option<Arc<Vnc>> {
    let only = listen.tls_only.as_ref().is_none_or(|only| *only.get_ref());
    let vnc = Vnc {
        or_spice: true,
        unencrypted_clients: listen.tls.is_none() || !only,
        ..Vnc::new(VncMode::Bridge)
    };
    ovirt::is_plugin(listen).then(|| Arc::new(vnc))
}

/// Tickets lead to SPICE and to consoles in the clear as well, where nothing but bytes can pass.
fn judge_tickets(listen: &Listen, table: &VncTable, mode: VncMode) -> Result<(), Fault> {
    if !ovirt::is_plugin(listen) {
        return Ok(());
    }
    if mode == VncMode::Authenticate {
        let message = "tickets of oVirt's lead to consoles in the clear as well, which ask their users themselves: expected \"bridge\"";
        return Err(Fault::at(table.mode.span(), message));
    }
    for (key, value) in [("view_only", &table.view_only), ("force_shared", &table.force_shared)] {
        if let Some(value) = value {
            let message = format!(
                "tickets of oVirt's lead to SPICE and to consoles in the clear as well, of which `{key}` would not hold: leave it out"
            );
            return Err(Fault::at(value.span(), message));
        }
    }
    Ok(())
}

/// Whether VNC is more to us than bytes.
pub(crate) fn is_spoken(listen: &Listen) -> bool {
    mode(listen).is_some_and(|mode| mode != Mode::Pass)
}

/// What we show servers of us, for whoever reaches the listener.
pub(crate) fn held(listen: &Listen) -> Option<&'static str> {
    (mode(listen) == Some(Mode::Authenticate)).then_some("a console into which we log in for it")
}

fn mode(listen: &Listen) -> Option<Mode> {
    listen.vnc.as_ref().map(|table| *table.get_ref().mode.get_ref())
}

/// TLS within VNC towards its servers; none: it is not allowed. `whole` is where the target stands.
pub(crate) fn upstream(
    listen: &Listen,
    whole: Range<usize>,
    provider: Provider,
) -> Result<Option<UpstreamTls>, Fault> {
    let Some(spanned) = &listen.vnc else { return Ok(None) };
    let configured = listen.upstream_tls.as_ref();
    if !schemes(spanned.get_ref())?.contains(&Scheme::VeNCrypt) {
        return match configured {
            Some(table) => {
                let message = "`schemes` has no \"vencrypt\", so that no TLS is spoken: leave `upstream_tls` out";
                Err(Fault::at(table.span(), message))
            }
            None => Ok(None),
        };
    }
    let span = configured.map_or(whole, Spanned::span);
    let mut table = configured.map(|table| table.get_ref().clone()).unwrap_or_default();
    let verified = table.verify.as_ref().is_none_or(|word| *word.get_ref() != VerifyWord::Off);
    if verified {
        forward::complete(&mut table, &Places::of_vnc(&forward::surroundings()), &span)?;
    }
    in_short_records(table, span, provider).map(Some)
}

/// What has been loaded for hypervisors, as QEMU can take it.
pub(crate) fn to_hosts(client: Client, files: ClientFiles) -> UpstreamTls {
    UpstreamTls {
        client: Swap::new(client),
        files,
        server_name: None,
        max_record: MAX_RECORD,
        libvirt: false,
        not_to_sockets: false,
    }
}

/// The same of a table.
pub(crate) fn in_short_records(
    mut table: Upstream,
    span: Range<usize>,
    provider: Provider,
) -> Result<UpstreamTls, Fault> {
    table.max_record.get_or_insert(Spanned::new(span.clone(), MAX_RECORD));
    tls::upstream(&table, span, provider)
}

/// Where bytes pass untouched, nothing else has an effect.
fn untouched(table: &VncTable) -> Result<(), Fault> {
    let keys = [
        ("schemes", table.schemes.as_ref().map(Spanned::span)),
        ("order", table.order.as_ref().map(Spanned::span)),
        ("password", table.password.as_ref().map(Spanned::span)),
        ("plain", table.plain.as_ref().map(Spanned::span)),
        ("sasl", table.sasl.as_ref().map(Spanned::span)),
        ("view_only", table.view_only.as_ref().map(Spanned::span)),
        ("force_shared", table.force_shared.as_ref().map(Spanned::span)),
        ("listen", table.listen.as_ref().map(Spanned::span)),
        ("unencrypted_clients", table.unencrypted_clients.as_ref().map(Spanned::span)),
    ];
    match keys.into_iter().find_map(|(key, span)| Some((key, span?))) {
        Some((key, span)) => {
            let message = format!(
                "`{key}` has no effect with `mode = \"pass\"`: leave it out, or write \"bridge\" or \"authenticate\""
            );
            Err(Fault::at(span, message))
        }
        None => Ok(()),
    }
}

fn schemes(table: &VncTable) -> Result<Vec<Scheme>, Fault> {
    match &table.schemes {
        None => Ok(vec![Scheme::VeNCrypt]),
        Some(words) if words.get_ref().is_empty() => {
            let message = "no server can be spoken to by nothing: expected [\"vencrypt\"], perhaps with \"vnc\" or \"none\"";
            Err(Fault::at(words.span(), message))
        }
        Some(words) => Ok(words.get_ref().iter().map(|word| Scheme::from(*word)).collect()),
    }
}

/// What we prove ourselves by.
fn credentials(listen: &Listen, table: &VncTable) -> Result<Credentials, Fault> {
    if *table.mode.get_ref() == Mode::Bridge {
        return nobodys(table).map(|()| Credentials::default());
    }
    let credentials = Credentials {
        password: table.password.as_ref().map(|word| password(listen, word)).transpose()?,
        plain: table.plain.as_ref().map(account).transpose()?,
        sasl: table.sasl.as_ref().map(account).transpose()?,
    };
    if schemes(table)?.contains(&Scheme::Vnc) && credentials.password.is_none() {
        let span = table.schemes.as_ref().map_or(table.mode.span(), Spanned::span);
        let message = "\"vnc\" is a password's challenge: expected `password` beside it, such as { file = \"/etc/penstock/vnc-password\" }";
        return Err(Fault::at(span, message));
    }
    Ok(credentials)
}

/// In a bridge, people prove themselves.
fn nobodys(table: &VncTable) -> Result<(), Fault> {
    let keys = [
        ("password", table.password.as_ref().map(Spanned::span)),
        ("plain", table.plain.as_ref().map(Spanned::span)),
        ("sasl", table.sasl.as_ref().map(Spanned::span)),
    ];
    match keys.into_iter().find_map(|(key, span)| Some((key, span?))) {
        Some((key, span)) => {
            let message = format!(
                "with `mode = \"bridge\"` it is the client that answers the server: leave `{key}` out, or write \"authenticate\""
            );
            Err(Fault::at(span, message))
        }
        None => Ok(()),
    }
}

fn password(listen: &Listen, word: &Spanned<PasswordWord>) -> Result<Password, Fault> {
    let wrong = |message: String| Err(Fault::at(word.span(), message));
    match word.get_ref() {
        PasswordWord::Where(PasswordTable::File(path)) => match path.is_file() {
            true => Ok(Password::File(path.clone())),
            false => wrong(format!("expected a file with the password, {} is none", path.display())),
        },
        PasswordWord::Where(PasswordTable::Dir(path)) => match (path.is_dir(), &listen.target) {
            (false, _) => {
                wrong(format!("expected a folder of passwords, {} is none", path.display()))
            }
            (true, Some(text)) if !matches!(Target::parse(text.get_ref()), Ok(Target::Tcp(_))) => {
                wrong("its files are named `host:port` after targets, and this one has no such name: expected { file = ... }".to_owned())
            }
            (true, _) => Ok(Password::Folder(path.clone())),
        },
        PasswordWord::Token(TokenWord::Token) if listen.tokens.is_none() => wrong(
            "there are no tokens here that could tell it: expected { file = ... }, or `tokens`"
                .to_owned(),
        ),
        PasswordWord::Token(TokenWord::Token) => match tells_passwords(listen) {
            true => Ok(Password::Token),
            false => wrong(
                "of the sources of tokens, JSONTokenApi alone can tell a password: expected { file = ... } or { dir = ... }"
                    .to_owned(),
            ),
        },
    }
}

fn tells_passwords(listen: &Listen) -> bool {
    let plugin = listen.tokens.as_ref().map(|table| table.get_ref().plugin.get_ref());
    plugin.is_some_and(|plugin| plugin == "JSONTokenApi")
}

fn account(table: &Spanned<AccountTable>) -> Result<Account, Fault> {
    let AccountTable { user, password_file } = table.get_ref();
    let path: &Path = password_file.get_ref();
    if !path.is_file() {
        let message = format!("expected a file with the password, {} is none", path.display());
        return Err(Fault::at(password_file.span(), message));
    }
    Ok(Account { user: user.as_str().into(), password_file: path.to_owned() })
}

/// What native viewers may use towards us.
fn native(listen: &Listen, table: &VncTable) -> Result<Vec<Subtype>, Fault> {
    let Some(words) = table.listen.as_ref().filter(|words| !words.get_ref().is_empty()) else {
        return Ok(Vec::new());
    };
    let wrong = |message: &str| Err(Fault::at(words.span(), message));
    let only_none = words.get_ref().iter().all(|word| *word == SubtypeWord::X509none);
    match (listen.service.get_ref(), table.mode.get_ref()) {
        (Service::Console, _) => wrong(
            "browsers don't speak VeNCrypt: leave `listen` out, or write `service = \"forward\"`",
        ),
        _ if listen.tls.is_none() => {
            wrong("VeNCrypt shows viewers a certificate: expected `tls` with `cert` and `key`")
        }
        (_, Mode::Authenticate) if !only_none => wrong(
            "with `mode = \"authenticate\"` viewers prove themselves by a certificate (`client_auth` in `tls`): expected [\"x509none\"], or \"bridge\", where they prove themselves to the server",
        ),
        _ => Ok(words.get_ref().iter().map(|word| Subtype::from(*word)).collect()),
    }
}

/// What people type has to be encrypted on its whole way.
fn judge_clients(listen: &Listen, table: &VncTable, mode: VncMode) -> Result<(), Fault> {
    let forced = table.unencrypted_clients.as_ref().filter(|word| *word.get_ref());
    if let (Some(word), VncMode::Authenticate) = (forced, mode) {
        let message = "nobody types a password with `mode = \"authenticate\"`: leave it out";
        return Err(Fault::at(word.span(), message));
    }
    let has_ports = listen.places().iter().any(|one| matches!(one, Place::Tcp(_)));
    if mode == VncMode::Bridge && listen.tls.is_none() && has_ports && forced.is_none() {
        let message = "what people type towards the server would come here in the clear: expected `tls` on this listener, or `unencrypted_clients = true` if the way to here is safe";
        return Err(Fault::at(table.mode.span(), message));
    }
    Ok(())
}
