//! Tokens in each of the databases that nova has, and databases that are gone for a while.

use std::time::Duration;

use penstock_tests::pki::Folder;
use penstock_tests::{Stopwatch, wait};

use crate::cell::{Became, Cell, LIMIT, Proxy, Whose, Wish, echo};
use crate::servers::{Database, Kind};

/// A database that is down says so, or nobody does.
const QUICK: Duration = Duration::from_secs(2);

fn tokens_are_found_in(kind: Kind) {
    let mut database = Database::start(kind, None);
    // Nor do libraries tell passwords, however much they tell.
    let cell = Cell::new(Some(&database.url()), "[DEFAULT]\ndebug = true\n");
    let wish = Wish::new("serial", echo());
    let made = cell.authorize(&[
        wish.clone(),
        Wish { ttl: -10, ..wish.clone() },
        Wish { deleted: true, ..wish.clone() },
        Wish { console_type: "novnc", ..wish.clone() },
        Wish { base: "wss://gate.example/", ..wish },
    ]);
    let server = cell.serve(Whose::Penstock, Proxy::Serial);
    let path = |index: usize| format!("/?token={}", made[index].token);
    let page = "Origin: http://gate.example\r\n";
    assert_eq!(server.ask(&path(0), page), Became::Served, "{}", server.said());
    for index in 1..5 {
        assert_eq!(server.ask(&path(index), page), Became::Told(403), "{index}: {}", server.said());
    }
    database.pause();
    let watch = Stopwatch::start();
    assert_eq!(server.ask(&path(0), ""), Became::Told(503), "{}", server.said());
    assert!(watch.elapsed() < QUICK, "{:?}", watch.real());
    wait::until_true("it is told", LIMIT, || server.said().contains("can't reach the database"));
    database.resume();
    assert_eq!(server.ask(&path(0), ""), Became::Served, "it is used again: {}", server.said());
    // By now there is a connection again, which is not what it was.
    database.pause();
    database.resume();
    assert_eq!(server.ask(&path(0), ""), Became::Served, "nobody is sent away: {}", server.said());
    assert!(!server.said().contains("w%rd") && !server.said().contains("%25rd"), "a password");
}

#[test]
fn tokens_are_found_in_mariadb() {
    tokens_are_found_in(Kind::MariaDb);
}

#[test]
fn tokens_are_found_in_postgresql() {
    tokens_are_found_in(Kind::Postgres);
}

/// Both servers let nobody in without TLS, so that nova's own library has come in by it, too.
fn the_database_has_to_prove_its_name(kind: Kind) {
    let database = Database::start(kind, Some(Folder::new()));
    let cell = Cell::new(Some(&database.url()), "");
    let made = cell.authorize(&[Wish::new("serial", echo())]);
    let path = format!("/?token={}", made[0].token);
    let server = cell.serve(Whose::Penstock, Proxy::Serial);
    assert_eq!(server.ask(&path, ""), Became::Served, "{}", server.said());
    let stranger = Folder::new();
    let ca = |folder: &Folder| folder.authority_file().display().to_string();
    cell.rewrite(&ca(database.authority()), &ca(&stranger));
    let server = cell.serve(Whose::Penstock, Proxy::Serial);
    assert_eq!(server.ask(&path, ""), Became::Told(503), "{}", server.said());
    wait::until_true("it is told", LIMIT, || {
        server.said().contains("TLS with the database failed")
    });
}

#[test]
fn mariadb_has_to_prove_its_name() {
    the_database_has_to_prove_its_name(Kind::MariaDb);
}

#[test]
fn postgresql_has_to_prove_its_name() {
    the_database_has_to_prove_its_name(Kind::Postgres);
}
