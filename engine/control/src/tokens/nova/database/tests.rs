//! Databases as files, and servers that are not there; servers that are, in the end-to-end tests.

use std::os::fd::AsRawFd;
use std::path::Path;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, socket};
use penstock_core::config::{
    DatabaseKind, DatabasePlace, DatabaseServer, DatabaseTls, NameTemplate,
};
use penstock_core::control::{Place, TokenFault};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Executor};

use super::*;

fn of(database: Database) -> NovaDb {
    NovaDb::new(&NovaDatabase {
        database,
        console_type: "novnc".into(),
        names: NameTemplate::default(),
        enforce_session_timeout: true,
    })
}

async fn write(path: &Path, statements: &str) {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.expect("our folder");
    connection.execute(statements).await.expect("right");
}

const TABLES: &str = "CREATE TABLE instances (id INTEGER, uuid TEXT, deleted INTEGER);
    CREATE TABLE console_auth_tokens (token_hash TEXT, console_type TEXT, host TEXT, port INTEGER,
        internal_access_path TEXT, instance_uuid TEXT, expires INTEGER, access_url_base TEXT);";

#[test]
fn tokens_are_looked_for_by_their_hash() {
    assert_eq!(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[tokio::test]
async fn a_row_is_found_by_the_hash_and_while_its_instance_exists() {
    let place = tempfile::tempdir().expect("a folder");
    let path = place.path().join("nova");
    let row = |token: &str, uuid: &str| {
        let hash = hash(token);
        format!(
            "INSERT INTO console_auth_tokens VALUES ('{hash}', 'novnc', 'h', 5900, NULL, '{uuid}', 4000000000, 'http://x/');"
        )
    };
    let rows = [row("live", "a"), row("gone", "b"), row("never", "c")].concat();
    let instances =
        "INSERT INTO instances VALUES (1, 'a', 0); INSERT INTO instances VALUES (2, 'b', 2);";
    write(&path, &format!("{TABLES}{rows}{instances}")).await;
    let nova = of(Database::Sqlite(path));
    let found = nova.look_up("live", None).await.expect("it lives");
    assert!(matches!(&found.place, Place::Network(at) if at.to_string() == "h:5900"));
    let terms = found.terms.expect("some");
    assert_eq!(terms.name.as_deref(), Some("instance-00000001"));
    assert!(terms.lifetime.is_some());
    for token in ["gone", "never", "none", "' OR 1=1 --", &hash("live")] {
        let refused = nova.look_up(token, None).await.expect_err("there is none");
        assert_eq!(refused.why, TokenFault::Unknown, "{token}");
    }
}

#[tokio::test]
async fn what_is_no_database_of_a_cell_is_told_without_what_it_said() {
    let place = tempfile::tempdir().expect("a folder");
    let (empty, missing) = (place.path().join("empty"), place.path().join("canary"));
    write(&empty, "CREATE TABLE canary (a INTEGER);").await;
    let refused = of(Database::Sqlite(empty)).look_up("t", None).await.expect_err("no tables");
    assert_eq!(refused.why, TokenFault::Unavailable);
    assert!(refused.detail.contains("no tables of nova"), "{}", refused.detail);
    let refused = of(Database::Sqlite(missing.clone())).look_up("t", None).await;
    let refused = refused.expect_err("no file");
    assert!(refused.detail.contains("can't be opened"), "{}", refused.detail);
    assert!(!missing.exists(), "it is read, and nothing else");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_of_at_once() {
    // Bound, so that nobody else is given its port.
    let deaf =
        socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).expect("a socket");
    bind(deaf.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).expect("a port");
    let port = getsockname::<SockaddrIn>(deaf.as_raw_fd()).expect("bound").port();
    for kind in [DatabaseKind::MySql, DatabaseKind::Postgres] {
        let server = DatabaseServer {
            kind,
            at: DatabasePlace::Network("127.0.0.1".into(), port),
            user: Some("canary".into()),
            password: Some("canary".into()),
            name: "canary".into(),
            tls: DatabaseTls::default(),
        };
        let begun = Instant::now();
        let refused = of(Database::Server(Box::new(server))).look_up("t", None).await;
        let refused = refused.expect_err("nobody is there");
        assert_eq!(refused.why, TokenFault::Unavailable);
        assert!(refused.detail.contains("refused"), "{}", refused.detail);
        assert!(!refused.detail.contains("canary"), "{}", refused.detail);
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
}
