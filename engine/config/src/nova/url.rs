//! URLs of databases as SQLAlchemy has them: `mysql+pymysql://user:password@host/nova_cell1?charset=utf8`.
//!
//! In: the text. Out: the database it means, or what is wrong with it, without a word of it but the names of schemes and arguments.

use std::path::{Path, PathBuf};

use penstock_core::config::{
    Database, DatabaseKind, DatabasePlace, DatabaseServer, DatabaseTls, DatabaseTlsMode,
};
use penstock_core::percent::decode_leniently;

const MYSQL_PORT: u16 = 3306;
const POSTGRES_PORT: u16 = 5432;
/// Where PostgreSQL has its sockets in Debian and Red Hat's systems.
const POSTGRES_SOCKETS: &str = "/var/run/postgresql";
const KNOWN: &str = "mysql+pymysql://, postgresql+psycopg2:// or sqlite:///";

/// What stands in a URL.
struct Parts {
    kind: String,
    user: Option<String>,
    password: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    database: Option<String>,
    arguments: Vec<(String, String)>,
}

/// # Errors
/// What is wrong with it.
pub(crate) fn parse(url: &str) -> Result<Database, String> {
    let parts = Parts::of(url.trim())?;
    match parts.kind.as_str() {
        "mysql" | "mariadb" => mysql(parts),
        "postgresql" => postgres(parts),
        "sqlite" => sqlite(&parts),
        _ => Err(format!("expected {KNOWN}, came another scheme")),
    }
}

impl Parts {
    fn of(url: &str) -> Result<Parts, String> {
        let (scheme, rest) = url.split_once("://").ok_or(format!("expected {KNOWN}"))?;
        // What is behind the plus is a library of Python's.
        let kind = scheme.split('+').next().unwrap_or_default().to_owned();
        let (rest, query) = split(rest, '?');
        // A password may have slashes in it, and no `@`; what is decoded is decoded afterwards.
        let (login, rest) = match rest.split_once('@') {
            Some((login, rest)) if login.contains(':') || !login.contains('/') => {
                (Some(login), rest)
            }
            _ => (None, rest),
        };
        let (user, password) = login.map_or((None, None), |login| {
            let (user, password) = split(login, ':');
            (Some(decoded(user)).filter(|user| !user.is_empty()), password.map(decoded))
        });
        let (place, database) = split(rest, '/');
        let (host, port) = place_of(place)?;
        Ok(Parts {
            kind,
            user,
            password,
            host,
            port,
            database: database.map(str::to_owned).filter(|name| !name.is_empty()),
            arguments: arguments(query.unwrap_or_default()),
        })
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.arguments.iter().position(|(known, _)| known == name)?;
        Some(self.arguments.remove(at).1)
    }

    fn server(
        self,
        kind: DatabaseKind,
        at: DatabasePlace,
        tls: DatabaseTls,
    ) -> Result<Database, String> {
        if let Some((name, _)) = self.arguments.first() {
            return Err(format!(
                "its argument `{name}` is not supported: leave it out, if it does no more than tune Python's library"
            ));
        }
        let name = self.database.ok_or("expected the name of a database behind the host")?;
        Ok(Database::Server(Box::new(DatabaseServer {
            kind,
            at,
            user: self.user.map(Into::into),
            password: self.password.map(Into::into),
            name: name.into(),
            tls,
        })))
    }
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, behind)| (before, Some(behind)))
}

fn decoded(text: &str) -> String {
    String::from_utf8_lossy(&decode_leniently(text.as_bytes())).into_owned()
}

fn place_of(place: &str) -> Result<(Option<String>, Option<u16>), String> {
    let wrong = "expected a host, and perhaps a port, in front of the name of the database";
    let (host, port) = match place.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']').ok_or(wrong)?;
            (host, rest.strip_prefix(':'))
        }
        None => split(place, ':'),
    };
    let port = port.filter(|port| !port.is_empty());
    let port = port.map(|port| port.parse().map_err(|_| wrong.to_owned())).transpose()?;
    if host.contains(['@', ',', '%']) {
        let hint = "characters such as @ : / in a user or a password are written as %40 %3A %2F";
        return Err(format!("{wrong}: {hint}"));
    }
    Ok((Some(host.to_owned()).filter(|host| !host.is_empty()), port))
}

fn arguments(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let of_form = |text: &str| decoded(&text.replace('+', " "));
    pairs
        .map(|pair| split(pair, '='))
        .map(|(k, v)| (of_form(k), of_form(v.unwrap_or(""))))
        .collect()
}

fn is_true(text: &str) -> bool {
    ["1", "true", "yes", "on"].contains(&text.to_ascii_lowercase().as_str())
}

fn mysql(mut parts: Parts) -> Result<Database, String> {
    // Hashes, numbers and names of hosts are the same in every character set; time-outs are those of the look-up.
    let tunes = [
        "charset",
        "use_unicode",
        "binary_prefix",
        "connect_timeout",
        "read_timeout",
        "write_timeout",
        "plugin",
    ];
    for name in tunes {
        parts.take(name);
    }
    let ca = parts.take("ssl_ca").map(PathBuf::from);
    let identity = pair(parts.take("ssl_cert"), parts.take("ssl_key"), "ssl_cert", "ssl_key")?;
    if parts.take("ssl_check_hostname").is_some_and(|text| !is_true(&text)) {
        return Err(
            "`ssl_check_hostname=false` is not supported: whoever has a certificate could be the database. Give the server one for its name".to_owned(),
        );
    }
    let mode = match (&ca, &identity) {
        (Some(_), _) => DatabaseTlsMode::Verified,
        (None, Some(_)) => DatabaseTlsMode::Required,
        (None, None) => DatabaseTlsMode::Off,
    };
    let port = parts.port.unwrap_or(MYSQL_PORT);
    let at = match parts.take("unix_socket") {
        Some(path) => DatabasePlace::Unix(path.into(), port),
        None => DatabasePlace::Network(host(&parts), port),
    };
    parts.server(DatabaseKind::MySql, at, DatabaseTls { mode, ca, identity })
}

fn postgres(mut parts: Parts) -> Result<Database, String> {
    for name in ["client_encoding", "application_name", "connect_timeout", "plugin"] {
        parts.take(name);
    }
    let ca = parts.take("sslrootcert").map(PathBuf::from);
    let identity = pair(parts.take("sslcert"), parts.take("sslkey"), "sslcert", "sslkey")?;
    let mode = match (parts.take("sslmode").as_deref(), &ca) {
        (Some("disable"), _) => DatabaseTlsMode::Off,
        (None | Some("allow" | "prefer"), _) => DatabaseTlsMode::IfOffered,
        (Some("require"), None) => DatabaseTlsMode::Required,
        (Some("verify-full"), Some(_)) => DatabaseTlsMode::Verified,
        (Some("verify-full"), None) => {
            return Err("`sslmode=verify-full` needs `sslrootcert` beside it".to_owned());
        }
        (Some("require" | "verify-ca"), _) => {
            return Err(
                "authorities without names are not supported (`sslmode=verify-ca`, or `require` with `sslrootcert`): whoever has a certificate of theirs could be the database. Write `sslmode=verify-full`".to_owned(),
            );
        }
        (Some(_), _) => {
            return Err(
                "expected `sslmode` to be disable, prefer, require or verify-full".to_owned()
            );
        }
    };
    let port =
        parts.take("port").map(|port| port.parse().map_err(|_| "expected a number for `port`"));
    let port = port.transpose()?.or(parts.port).unwrap_or(POSTGRES_PORT);
    let host = parts.take("host").or_else(|| parts.host.clone());
    let at = match host {
        None => DatabasePlace::Unix(POSTGRES_SOCKETS.into(), port),
        Some(folder) if folder.starts_with('/') => DatabasePlace::Unix(folder.into(), port),
        Some(host) => DatabasePlace::Network(host.into(), port),
    };
    parts.server(DatabaseKind::Postgres, at, DatabaseTls { mode, ca, identity })
}

fn host(parts: &Parts) -> Box<str> {
    parts.host.as_deref().unwrap_or("localhost").into()
}

fn pair(
    cert: Option<String>,
    key: Option<String>,
    cert_name: &str,
    key_name: &str,
) -> Result<Option<(PathBuf, PathBuf)>, String> {
    match (cert, key) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some((cert.into(), key.into()))),
        _ => Err(format!("expected `{cert_name}` and `{key_name}` together")),
    }
}

fn sqlite(parts: &Parts) -> Result<Database, String> {
    match &parts.database {
        Some(path) if !path.starts_with("file:") && parts.host.is_none() => {
            let path = Path::new(path);
            Ok(Database::Sqlite(std::path::absolute(path).unwrap_or_else(|_| path.to_owned())))
        }
        _ => Err("expected a file, as sqlite:////var/lib/nova/nova.sqlite".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> DatabaseServer {
        match parse(url) {
            Ok(Database::Server(server)) => *server,
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn urls_are_read_as_sqlalchemy_reads_them() {
        let login = |url: &str| {
            let DatabaseServer { user, password, .. } = server(url);
            let text = |part: Option<Box<str>>| part.unwrap_or_default().into_string();
            let password = password.map(|password| password.reveal().to_owned());
            (text(user), password.unwrap_or_default())
        };
        let pair = |user: &str, password: &str| (user.to_owned(), password.to_owned());
        assert_eq!(login("mysql+pymysql://nova:secret@h/n"), pair("nova", "secret"));
        assert_eq!(login("mysql://n%40va:p%40s%2Fs%25:x@h/n"), pair("n@va", "p@s/s%:x"));
        assert_eq!(login("mysql://nova:a/b+c@h/n"), pair("nova", "a/b+c"));
        assert_eq!(login("mysql://nova@h/n"), pair("nova", ""));
        assert_eq!(login("postgresql+psycopg2:///n"), pair("", ""));
        let at = |url: &str| server(url).at;
        let network = |host: &str, port| DatabasePlace::Network(host.into(), port);
        assert_eq!(at("mariadb+pymysql://u:p@db.example/n"), network("db.example", 3306));
        assert_eq!(at("mysql://u:p@[::1]:3307/n"), network("::1", 3307));
        assert_eq!(at("mysql://u:p@/n"), network("localhost", 3306));
        assert_eq!(at("postgresql://u:p@h/n"), network("h", 5432));
        assert_eq!(at("postgresql:///n"), DatabasePlace::Unix(POSTGRES_SOCKETS.into(), 5432));
        let folder = "postgresql://u@/n?host=/tmp/x&port=5433";
        assert_eq!(at(folder), DatabasePlace::Unix("/tmp/x".into(), 5433));
        let socket = "mysql://u@/n?unix_socket=/run/m.sock&charset=utf8";
        assert_eq!(at(socket), DatabasePlace::Unix("/run/m.sock".into(), 3306));
        assert_eq!(&*server("mysql://u@h/nova_cell1?charset=utf8").name, "nova_cell1");
        assert_eq!(parse("sqlite:////a/b.db"), Ok(Database::Sqlite("/a/b.db".into())));
        assert!(
            matches!(parse("sqlite:///b.db"), Ok(Database::Sqlite(path)) if path.is_absolute())
        );
    }

    #[test]
    fn tls_is_what_the_arguments_say() {
        let mode = |url: &str| server(url).tls.mode;
        assert_eq!(mode("mysql://u@h/n"), DatabaseTlsMode::Off);
        assert_eq!(mode("mysql://u@h/n?ssl_ca=/ca"), DatabaseTlsMode::Verified);
        assert_eq!(
            mode("mysql://u@h/n?ssl_ca=/ca&ssl_check_hostname=true"),
            DatabaseTlsMode::Verified
        );
        assert_eq!(mode("mysql://u@h/n?ssl_cert=/c&ssl_key=/k"), DatabaseTlsMode::Required);
        assert_eq!(mode("postgresql://u@h/n"), DatabaseTlsMode::IfOffered);
        assert_eq!(mode("postgresql://u@h/n?sslmode=require"), DatabaseTlsMode::Required);
        let full = server("postgresql://u@h/n?sslmode=verify-full&sslrootcert=/ca%20x");
        assert_eq!((full.tls.mode, full.tls.ca), (DatabaseTlsMode::Verified, Some("/ca x".into())));
    }

    #[test]
    fn what_can_t_be_meant_is_refused_and_not_repeated() {
        for (url, says) in [
            ("canary", "expected mysql"),
            ("oracle://u:canary@h/n", "another scheme"),
            ("mysql://u:canary@h", "name of a database"),
            ("mysql://u:can@ary@h/n", "%40"),
            ("mysql://u:canary@h:port/n", "a host, and perhaps a port"),
            ("mysql://u:canary@a,b/n", "a host"),
            ("mysql://u:canary@h/n?read_default_file=/x", "`read_default_file`"),
            ("mysql://u:canary@h/n?ssl_cert=/x", "together"),
            ("mysql://u:canary@h/n?ssl_ca=/x&ssl_check_hostname=false", "ssl_check_hostname"),
            ("postgresql://u:canary@h/n?sslmode=verify-ca&sslrootcert=/x", "verify-full"),
            ("postgresql://u:canary@h/n?sslmode=verify-full", "sslrootcert"),
            ("postgresql://u:canary@h/n?sslmode=canary", "sslmode"),
            ("postgresql://u:canary@h/n?service=canary", "`service`"),
            ("sqlite://", "a file"),
            ("sqlite:///file:canary?uri=true", "a file"),
        ] {
            let message = parse(url).expect_err(url);
            assert!(message.contains(says) && !message.contains("canary"), "{url}: {message}");
            assert!(!message.contains("ary@"), "{message}");
        }
    }
}
