//! Sources of tokens, in websockify's words.
//!
//! In: the name of a plugin and its source, from a file or a command line. Out: what they mean, or what was expected. Nothing is read.

use std::path::Path;

use penstock_core::config::TokenSource;

/// What is wrong, and with which of the two.
#[derive(Debug)]
pub(crate) enum Problem {
    Plugin(String),
    Source(String),
}

const NAMES: &str = "ReadOnlyTokenFile, TokenFile, TokenFileName, UnixDomainSocketDirectory, BaseTokenAPI, JSONTokenApi, JWTTokenApi, TokenRedis, nova or nova-db";
const REDIS_PORT: u16 = 6379;

/// What a plugin of websockify's with that source looks tokens up in.
pub(crate) fn source(plugin: &str, source: Option<&str>) -> Result<TokenSource, Problem> {
    let given = || source.ok_or(Problem::Plugin(format!("`{plugin}` needs a `source` beside it")));
    match plugin {
        "TokenFile" => Ok(TokenSource::File { path: given()?.into(), read_only: false }),
        "ReadOnlyTokenFile" => Ok(TokenSource::File { path: given()?.into(), read_only: true }),
        "TokenFileName" => folder(given()?).map(|path| TokenSource::FileName(path.into())),
        "UnixDomainSocketDirectory" => {
            folder(given()?).map(|path| TokenSource::UnixDirectory(path.into()))
        }
        "BaseTokenAPI" => {
            url(given()?).map(|url| TokenSource::Api { url: url.into(), json: false })
        }
        "JSONTokenApi" => url(given()?).map(|url| TokenSource::Api { url: url.into(), json: true }),
        "JWTTokenApi" => Ok(TokenSource::Jwt(given()?.into())),
        "TokenRedis" => redis(given()?),
        _ if plugin.contains('.') => Err(Problem::Plugin(format!(
            "`{plugin}` would be a class of a Python program: expected {NAMES}"
        ))),
        _ => Err(Problem::Plugin(format!("expected {NAMES}, got `{plugin}`"))),
    }
}

fn folder(path: &str) -> Result<&str, Problem> {
    match Path::new(path).is_dir() {
        true => Ok(path),
        false => Err(Problem::Source(format!("expected a folder, {path} is none"))),
    }
}

fn url(url: &str) -> Result<&str, Problem> {
    let is_web = url.starts_with("http://") || url.starts_with("https://");
    match is_web && url.matches("%s").count() == 1 {
        true => Ok(url),
        false => Err(Problem::Source(
            "expected a URL of http or https with one `%s` in the token's place".to_owned(),
        )),
    }
}

/// `host[:port[:db[:password[:namespace]]]]`; what is in double quotes may have colons.
fn redis(text: &str) -> Result<TokenSource, Problem> {
    let wrong = |what: &str| {
        let form = "host[:port[:db[:password[:namespace]]]]";
        Problem::Source(format!("expected `{form}`, each perhaps in double quotes: {what}"))
    };
    let fields = fields(text).ok_or_else(|| wrong("a quotation mark has no other"))?;
    let field =
        |index: usize| fields.get(index).map(String::as_str).filter(|text| !text.is_empty());
    if fields.len() > 5 {
        return Err(wrong("there are more than five parts"));
    }
    let port = field(1).map_or(Ok(REDIS_PORT), str::parse).map_err(|_| wrong("no port"))?;
    Ok(TokenSource::Redis {
        host: field(0).ok_or_else(|| wrong("no host"))?.into(),
        port,
        database: field(2)
            .map_or(Ok(0), str::parse)
            .map_err(|_| wrong("no number of a database"))?,
        password: field(3).map(Into::into),
        namespace: field(4).map(Into::into),
    })
}

/// Parts between colons, without the double quotes around them.
fn fields(text: &str) -> Option<Vec<String>> {
    let (mut fields, mut quoted) = (vec![String::new()], false);
    for letter in text.chars() {
        match letter {
            '"' => quoted = !quoted,
            ':' if !quoted => fields.push(String::new()),
            other => fields.last_mut()?.push(other),
        }
    }
    (!quoted).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_source_has_five_parts_of_which_one_is_enough() {
        let parsed = |text: &str| match source("TokenRedis", Some(text)) {
            Ok(TokenSource::Redis { host, port, database, password, namespace }) => {
                let part = |text: Option<Box<str>>| text.unwrap_or_default().into_string();
                format!("{host} {port} {database} {} {}", part(password), part(namespace))
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(parsed("localhost"), "localhost 6379 0  ");
        assert_eq!(parsed("r:7000:2:secret:ns"), "r 7000 2 secret ns");
        assert_eq!(parsed("r::::ns"), "r 6379 0  ns");
        assert_eq!(parsed("\"::1\":6380::\"a:b\""), "::1 6380 0 a:b ");
        for wrong in ["", ":1", "r:x", "r:70000", "r:1:-1", "r:1:2:3:4:5", "\"r"] {
            assert!(source("TokenRedis", Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_plugin_of_ours_is_refused_by_name() {
        let message = |plugin: &str, given| match source(plugin, given) {
            Err(Problem::Plugin(message) | Problem::Source(message)) => message,
            Ok(source) => panic!("{source:?}"),
        };
        assert!(message("my.own.Plugin", Some("x")).contains("class of a Python program"));
        assert!(message("Hub", Some("x")).contains("got `Hub`"));
        assert!(message("TokenFile", None).contains("needs a `source`"));
        assert!(message("BaseTokenAPI", Some("http://host/")).contains("`%s`"));
        assert!(message("JSONTokenApi", Some("ftp://host/%s")).contains("http"));
        assert!(message("TokenFileName", Some("/nowhere")).contains("/nowhere is none"));
    }
}
