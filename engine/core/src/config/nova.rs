//! The database of OpenStack's compute service, which knows its consoles.

use std::fmt;
use std::path::PathBuf;

use penstock_proto::Secret;

/// The database of a cell, which has a row for each token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NovaDatabase {
    /// Where it is.
    pub database: Database,
    /// The only type of consoles that tokens may be for, as nova calls it.
    pub console_type: Box<str>,
    /// What instances are called where they run.
    pub names: NameTemplate,
    /// The session ends when the token does.
    pub enforce_session_timeout: bool,
}

/// A database.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// A file.
    Sqlite(PathBuf),
    /// A server.
    Server(Box<DatabaseServer>),
}

/// A server of databases, and how to come in.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseServer {
    /// What it speaks.
    pub kind: DatabaseKind,
    /// Where it listens.
    pub at: DatabasePlace,
    /// Our name; none: that of the user we run as.
    pub user: Option<Box<str>>,
    /// Our password.
    pub password: Option<Secret>,
    /// The database there.
    pub name: Box<str>,
    /// TLS with it.
    pub tls: DatabaseTls,
}

/// What a server of databases speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DatabaseKind {
    /// MySQL and MariaDB.
    MySql,
    /// PostgreSQL.
    Postgres,
}

/// Where a server of databases listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DatabasePlace {
    /// Name or address, and port.
    Network(Box<str>, u16),
    /// MySQL's socket; PostgreSQL's folder of sockets, and the port in its name.
    Unix(PathBuf, u16),
}

/// TLS with a server of databases.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DatabaseTls {
    /// Whether, and what the server has to show.
    pub mode: DatabaseTlsMode,
    /// Who may have signed its certificate; none: public authorities.
    pub ca: Option<PathBuf>,
    /// What we show, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// How much TLS a server of databases is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DatabaseTlsMode {
    /// None.
    #[default]
    Off,
    /// If it has it, whoever it is.
    IfOffered,
    /// Always, whoever it is.
    Required,
    /// Its certificate is of one of the authorities, and for the name by which it is reached.
    Verified,
}

/// What instances are called where they run: pieces, from what the database knows of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameTemplate(pub Vec<NamePiece>);

/// A piece of a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NamePiece {
    /// As it stands.
    Text(Box<str>),
    /// The number of the instance, in decimal, with so many digits at least.
    Decimal(usize),
    /// The same in hexadecimal.
    Hexadecimal(usize),
    /// Its UUID.
    Uuid,
}

impl NameTemplate {
    /// A name.
    pub fn name(&self, id: i64, uuid: &str) -> Box<str> {
        let pieces = self.0.iter().map(|piece| match piece {
            NamePiece::Text(text) => text.to_string(),
            NamePiece::Decimal(width) => format!("{id:0width$}"),
            NamePiece::Hexadecimal(width) => format!("{id:0width$x}"),
            NamePiece::Uuid => uuid.to_owned(),
        });
        pieces.collect::<String>().into()
    }
}

impl Default for NameTemplate {
    /// nova's own: `instance-%08x`.
    fn default() -> NameTemplate {
        NameTemplate(vec![NamePiece::Text("instance-".into()), NamePiece::Hexadecimal(8)])
    }
}

impl fmt::Debug for Database {
    /// For the log: without users and passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Database::Sqlite(path) => write!(f, "{}", path.display()),
            Database::Server(server) => server.fmt(f),
        }
    }
}

impl fmt::Debug for DatabaseServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            DatabaseKind::MySql => "mysql",
            DatabaseKind::Postgres => "postgresql",
        };
        match &self.at {
            DatabasePlace::Network(host, port) => write!(f, "{kind} {host}:{port}/{}", self.name),
            DatabasePlace::Unix(path, _) => write!(f, "{kind} {} {}", path.display(), self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_are_called_as_the_template_says() {
        assert_eq!(&*NameTemplate::default().name(0x1f, "u"), "instance-0000001f");
        let pieces = vec![NamePiece::Decimal(3), NamePiece::Text("-".into()), NamePiece::Uuid];
        assert_eq!(&*NameTemplate(pieces).name(7, "u"), "007-u");
    }

    #[test]
    fn credentials_of_databases_are_not_shown() {
        let server = DatabaseServer {
            kind: DatabaseKind::MySql,
            at: DatabasePlace::Network("db".into(), 3306),
            user: Some("canary".into()),
            password: Some("canary".into()),
            name: "nova_cell1".into(),
            tls: DatabaseTls::default(),
        };
        let shown = format!("{:?}", Database::Server(Box::new(server)));
        assert_eq!(shown, "mysql db:3306/nova_cell1");
    }
}
