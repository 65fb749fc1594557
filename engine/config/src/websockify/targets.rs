//! What a command line says about tokens, people and pages.

use std::path::Path;
use std::sync::Arc;

use penstock_core::config::{Auth, TokenSource, Tokens, Web};
use penstock_core::console::{Basic, Origins};

use super::Refusal;
use super::options::Given;
use super::places::absolute;
use crate::tokens::{self, Problem};

/// Who knows tokens, if it is tokens that name the target.
pub(super) fn tokens(given: &Given) -> Result<Option<Arc<Tokens>>, Refusal> {
    let (plugin, source) = match (given.text("target-config"), given.text("token-plugin")) {
        (Some(path), _) => ("TokenFile", Some(path.to_owned())),
        (None, None) => return Ok(None),
        (None, Some(plugin)) => (plugin, source(given, "token-source")?),
    };
    if plugin.contains('.') {
        return Err(foreign("token", plugin));
    }
    let found = tokens::source(plugin, source.as_deref()).map_err(|problem| match problem {
        Problem::Plugin(message) => Refusal::unusable(format!("--token-plugin: {message}")),
        Problem::Source(message) => Refusal::unusable(format!("--token-source: {message}")),
    })?;
    Ok(Some(Arc::new(Tokens {
        source: from_anywhere(found),
        timeout: Tokens::TIMEOUT,
        single_use: false,
        bind_client: false,
        expiry: None,
    })))
}

fn foreign(kind: &str, plugin: &str) -> Refusal {
    Refusal::usage(format!(
        "--{kind}-plugin: `{plugin}` is a class of a Python program, which is not supported: use one of those in --help; whatever has to be asked elsewhere can be asked by JSONTokenApi"
    ))
}

/// A daemon goes to another folder.
fn from_anywhere(source: TokenSource) -> TokenSource {
    let path = |path: &Path| absolute(&path.to_string_lossy());
    match source {
        TokenSource::File { path: file, read_only } => {
            TokenSource::File { path: path(&file), read_only }
        }
        TokenSource::FileName(folder) => TokenSource::FileName(path(&folder)),
        TokenSource::UnixDirectory(folder) => TokenSource::UnixDirectory(path(&folder)),
        TokenSource::Jwt(key) => TokenSource::Jwt(path(&key)),
        other => other,
    }
}

/// The value of an option, or of the first line of a file.
pub(super) fn source(given: &Given, option: &str) -> Result<Option<String>, Refusal> {
    let file = format!("{option}-file");
    match given.text(&file) {
        None => Ok(given.text(option).map(str::to_owned)),
        Some(path) => std::fs::read_to_string(path)
            .map(|text| text.lines().next().map(str::to_owned))
            .map_err(|error| Refusal::unusable(format!("--{file}: can't read {path}: {error}"))),
    }
}

/// Who may have a console, and from whose pages: of those there are none that may not, unless they are listed.
pub(super) fn people(given: &Given) -> Result<(Option<Auth>, Origins), Refusal> {
    let everybody = || Origins::listed(["*"]).unwrap_or_default();
    let Some(plugin) = given.text("auth-plugin") else { return Ok((None, everybody())) };
    if plugin.contains('.') {
        return Err(foreign("auth", plugin));
    }
    let unusable = |what: String| Refusal::unusable(format!("--auth-source: {what}"));
    let source = source(given, "auth-source")?.unwrap_or_default();
    let words: Vec<&str> = source.split_whitespace().collect();
    match plugin {
        "BasicHTTPAuth" => {
            let basic = Basic::new(&source);
            let basic = basic.ok_or_else(|| unusable("expected `user:password`".to_owned()))?;
            Ok((Some(Auth::Basic(basic)), everybody()))
        }
        "ExpectOrigin" if given.flag("web-auth") => Err(Refusal::unusable(
            "--web-auth: who opens a page sends no Origin, so that ExpectOrigin would show it to nobody: leave --web-auth out, or use BasicHTTPAuth",
        )),
        "ExpectOrigin" if words.contains(&"*") => Err(unusable(
            "`*` would let in whoever sends any Origin, which any program can: expected origins such as https://portal.example".to_owned(),
        )),
        "ExpectOrigin" | "ClientCertCNAuth" if words.is_empty() => {
            Err(unusable("nobody is in it: expected one name at least".to_owned()))
        }
        "ExpectOrigin" => {
            let listed = Origins::listed(&words).map_err(|error| {
                let example = "expected origins such as https://portal.example";
                unusable(format!("{example}, got `{}`", error.0))
            })?;
            Ok((None, listed.required()))
        }
        "ClientCertCNAuth" if !given.flag("verify-client") => Err(Refusal::unusable(
            "--auth-plugin: ClientCertCNAuth judges certificates, and nobody is asked for one: add --verify-client and --cafile",
        )),
        "ClientCertCNAuth" => {
            let names = words.into_iter().map(Into::into).collect();
            Ok((Some(Auth::CommonName(names)), everybody()))
        }
        other => Err(Refusal::unusable(format!(
            "--auth-plugin: expected BasicHTTPAuth, ExpectOrigin or ClientCertCNAuth, got `{other}`"
        ))),
    }
}

pub(super) fn web(given: &Given) -> Result<Option<Arc<Web>>, Refusal> {
    let Some(path) = given.text("web").map(absolute) else { return Ok(None) };
    match path.is_dir() {
        true => Ok(Some(Arc::new(Web::Directory(path)))),
        false => Err(Refusal::unusable(format!(
            "--web: expected a folder of pages, {} is none",
            path.display()
        ))),
    }
}
