//! A connection to a database, and the one question that is asked there.
//!
//! In: a token's hash. Out: its row, if it has one, or why that can't be known: by the database's own number for it, since its words may
//! have anything in them.

use penstock_core::config::{
    Database, DatabaseKind, DatabasePlace, DatabaseServer, DatabaseTlsMode,
};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ColumnIndex, ConnectOptions, Decode, Error, Type};

use super::row::{COLUMNS, Row};

/// How to come to a database.
pub(super) enum Way {
    MySql(Box<MySqlConnectOptions>),
    Postgres(Box<PgConnectOptions>),
    Sqlite(Box<SqliteConnectOptions>),
}

/// One connection.
pub(super) enum Link {
    MySql(Box<MySqlConnection>),
    Postgres(Box<PgConnection>),
    Sqlite(Box<SqliteConnection>),
}

impl Way {
    pub(super) fn to(database: &Database) -> Way {
        match database {
            Database::Sqlite(path) => {
                let options = SqliteConnectOptions::new().filename(path).read_only(true);
                Way::Sqlite(Box::new(options.disable_statement_logging()))
            }
            Database::Server(server) => match server.kind {
                DatabaseKind::MySql => Way::MySql(Box::new(mysql(server))),
                DatabaseKind::Postgres => Way::Postgres(Box::new(postgres(server))),
            },
        }
    }

    pub(super) async fn connect(&self) -> Result<Link, Error> {
        match self {
            Way::MySql(options) => Ok(Link::MySql(Box::new(options.connect().await?))),
            Way::Postgres(options) => Ok(Link::Postgres(Box::new(options.connect().await?))),
            Way::Sqlite(options) => Ok(Link::Sqlite(Box::new(options.connect().await?))),
        }
    }
}

/// Nothing is set on the far side but what has to be: others' proxies may be between.
fn mysql(server: &DatabaseServer) -> MySqlConnectOptions {
    let mut options = MySqlConnectOptions::new()
        .database(&server.name)
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None)
        .set_names(false)
        .disable_statement_logging();
    options = match &server.at {
        DatabasePlace::Network(host, port) => options.host(host).port(*port),
        DatabasePlace::Unix(path, _) => options.socket(path),
    };
    if let Some(user) = &server.user {
        options = options.username(user);
    }
    if let Some(password) = &server.password {
        options = options.password(password.reveal());
    }
    if let Some(ca) = &server.tls.ca {
        options = options.ssl_ca(ca);
    }
    if let Some((cert, key)) = &server.tls.identity {
        options = options.ssl_client_cert(cert).ssl_client_key(key);
    }
    options.ssl_mode(match server.tls.mode {
        DatabaseTlsMode::Off => MySqlSslMode::Disabled,
        DatabaseTlsMode::IfOffered => MySqlSslMode::Preferred,
        DatabaseTlsMode::Required => MySqlSslMode::Required,
        DatabaseTlsMode::Verified => MySqlSslMode::VerifyIdentity,
    })
}

fn postgres(server: &DatabaseServer) -> PgConnectOptions {
    let mut options = PgConnectOptions::new_without_pgpass()
        .database(&server.name)
        .application_name("penstock")
        .disable_statement_logging();
    options = match &server.at {
        DatabasePlace::Network(host, port) => options.host(host).port(*port),
        DatabasePlace::Unix(folder, port) => options.socket(folder).port(*port),
    };
    if let Some(user) = &server.user {
        options = options.username(user);
    }
    if let Some(password) = &server.password {
        options = options.password(password.reveal());
    }
    if let Some(ca) = &server.tls.ca {
        options = options.ssl_root_cert(ca);
    }
    if let Some((cert, key)) = &server.tls.identity {
        options = options.ssl_client_cert(cert).ssl_client_key(key);
    }
    options.ssl_mode(match server.tls.mode {
        DatabaseTlsMode::Off => PgSslMode::Disable,
        DatabaseTlsMode::IfOffered => PgSslMode::Prefer,
        DatabaseTlsMode::Required => PgSslMode::Require,
        DatabaseTlsMode::Verified => PgSslMode::VerifyFull,
    })
}

impl Link {
    /// The row of a token with that hash. Statements are not kept: what is between may give each of them to another server.
    pub(super) async fn ask(&mut self, hash: &str) -> Result<Option<Row>, Error> {
        match self {
            Link::MySql(link) => {
                let question = format!("{COLUMNS}?");
                let asked = sqlx::query(&question).bind(hash).persistent(false);
                asked.fetch_optional(&mut **link).await?.as_ref().map(read).transpose()
            }
            Link::Postgres(link) => {
                let question = format!("{COLUMNS}$1");
                let asked = sqlx::query(&question).bind(hash).persistent(false);
                asked.fetch_optional(&mut **link).await?.as_ref().map(read).transpose()
            }
            Link::Sqlite(link) => {
                let question = format!("{COLUMNS}?");
                let asked = sqlx::query(&question).bind(hash).persistent(false);
                asked.fetch_optional(&mut **link).await?.as_ref().map(read).transpose()
            }
        }
    }
}

/// By the place of each column. Types are not compared: texts and numbers have several in each database.
fn read<'r, R>(row: &'r R) -> Result<Row, Error>
where
    R: sqlx::Row,
    usize: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    Ok(Row {
        console_type: row.try_get_unchecked(0)?,
        host: row.try_get_unchecked(1)?,
        port: row.try_get_unchecked(2)?,
        internal_access_path: row.try_get_unchecked(3)?,
        instance_uuid: row.try_get_unchecked(4)?,
        expires: row.try_get_unchecked(5)?,
        access_url_base: row.try_get_unchecked(6)?,
        instance_id: row.try_get_unchecked(7)?,
    })
}
