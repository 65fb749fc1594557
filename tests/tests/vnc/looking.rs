//! Consoles that may only be looked at; and what is kept of a login, which is nothing that anybody else could use.

use std::fs;
use std::io::Write;
use std::time::Duration;

use penstock_tests::vnc::client::Login;
use penstock_tests::vnc::server::{Script, Server};
use penstock_tests::vnc::{security, subtype};
use penstock_tests::{Driver, both_drivers, http, loopback, wait};

use crate::rig::{Front, Plan, told};

both_drivers! {
    who_only_looks_changes_nothing,
    who_changes_something_ahead_is_told_so,
    a_folder_has_a_password_for_each_server,
    passwords_are_shown_nowhere_and_not_written_down,
}

const UPDATE: [u8; 10] = [3, 1, 0, 0, 0, 0, 2, 0, 1, 0];
const KEY: [u8; 8] = [4, 1, 0, 0, 0, 0, 0, 97];
const POINTER: [u8; 6] = [5, 1, 0, 9, 0, 9];
/// Nobody has defined it.
const UNKNOWN: [u8; 4] = [77, 0, 0, 0];

fn server(plan: &Plan, subtype: u32) -> Server {
    let address = loopback::address().into();
    Server::start_at(address, Script::vencrypt(&[subtype], plan.server(address)))
}

fn who_only_looks_changes_nothing(driver: Driver) {
    let plan = Plan::new(driver);
    let server = server(&plan, subtype::X509_NONE);
    let target = format!("tcp://{}", server.address());
    let looks = plan.vnc("", "mode = \"authenticate\", view_only = true");
    let shares = plan.vnc("", "mode = \"authenticate\", view_only = true, force_shared = true");
    let house = plan
        .listener("browser", Front::Console, &target, &looks)
        .listener("native", Front::Forward, &target, &looks)
        .listener("shared", Front::Forward, &target, &shares)
        .start();
    for (index, name) in ["browser", "native", "shared"].into_iter().enumerate() {
        let mut console = house.open(name, &Login::new(security::NONE)).expect("a console");
        // The server sends back whatever reaches it.
        for _ in 0..3 {
            console.wire.write_all(&[&KEY[..], &UPDATE, &POINTER].concat()).expect("sent");
            assert_eq!(console.wire.many(UPDATE.len() as u32).expect("it comes back"), UPDATE);
        }
        for byte in [&POINTER[..], &UPDATE].concat() {
            console.wire.write_all(&[byte]).expect("sent");
        }
        assert_eq!(console.wire.many(UPDATE.len() as u32).expect("it comes back"), UPDATE);
        console.wire.write_all(&[&UPDATE[..], &UNKNOWN, &UPDATE].concat()).expect("sent");
        console.wire.rest();
        if name == "browser" {
            let parting = console.wire.parting().expect("a close frame");
            assert_eq!(parting.0, Some(1008), "{parting:?}");
        }
        drop(console);
        assert_eq!(server.visit().said, 5 * UPDATE.len() as u64, "{name}");
        let (end, detail) = told(&house.record(index + 1));
        assert_eq!(end, "client relay unknown_message", "{detail}");
        assert!(detail.contains("type 77"), "{detail}");
    }
    house.is_empty();
}

/// In one message with the last word of the login.
fn who_changes_something_ahead_is_told_so(driver: Driver) {
    let plan = Plan::new(driver);
    let server = server(&plan, subtype::X509_NONE);
    let looks = plan.vnc("", "mode = \"authenticate\", view_only = true");
    let target = format!("tcp://{}", server.address());
    let house = plan.listener("browser", Front::Console, &target, &looks).start();
    let mut wire = house.browse("browser");
    assert_eq!(wire.array::<12>().expect("a version"), *b"RFB 003.008\n");
    wire.write_all(b"RFB 003.008\n").expect("sent");
    assert_eq!(wire.array::<2>().expect("types"), [1, security::NONE]);
    wire.write_all(&[&[security::NONE, 1], &UNKNOWN[..]].concat()).expect("sent");
    wire.rest();
    assert_eq!(wire.parting().expect("a close frame").0, Some(1008));
    drop(wire);
    let (end, detail) = told(&house.record(1));
    assert_eq!(end, "client login unknown_message", "{detail}");
    assert_eq!(server.visit().said, 0);
    house.is_empty();
}

fn a_folder_has_a_password_for_each_server(driver: Driver) {
    let plan = Plan::new(driver);
    let servers = [(); 2].map(|()| server(&plan, subtype::X509_VNC));
    let [target, other] = [0, 1].map(|index| format!("tcp://{}", servers[index].address()));
    plan.file(&servers[0].address().to_string(), "secret\n");
    let folder = plan.pki.path("").display().to_string();
    let more =
        plan.vnc("", &format!("mode = \"authenticate\", password = {{ dir = \"{folder}\" }}"));
    let house = plan
        .listener("known", Front::Console, &target, &more)
        .listener("unknown", Front::Forward, &other, &more)
        .start();
    house.open("known", &Login::new(security::NONE)).expect("a console").echo(b"x").expect("open");
    assert!(servers[0].visit().admitted);
    assert!(house.open("unknown", &Login::new(security::NONE)).is_err());
    let refused = house.daemon.records(2).into_iter().map(|record| told(&record));
    let refused = refused.filter(|(end, _)| end == "penstock admission secret_missing");
    let details: Vec<_> = refused.map(|(_, detail)| detail).collect();
    assert!(matches!(&details[..], [one] if one.contains(&servers[1].address().to_string())));
    house.is_empty();
}

fn passwords_are_shown_nowhere_and_not_written_down(driver: Driver) {
    let plan = Plan::new(driver);
    let subtypes = [subtype::X509_VNC, subtype::X509_PLAIN, subtype::X509_SASL];
    let servers = subtypes.map(|subtype| server(&plan, subtype));
    let (right, wrong) = (plan.file("right", "secret\n"), plan.file("wrong", "canary77\n"));
    let keys = |file: &str| {
        format!(
            "mode = \"authenticate\", password = {{ file = {file} }}, plain = {{ user = \"lab\", password_file = {file} }}, sasl = {{ user = \"lab\", password_file = {file} }}"
        )
    };
    let record = format!(
        "record = {{ path = \"{}\", format = \"websockify\" }}",
        plan.pki.path("tape").display()
    );
    let [good, bad] = [&right, &wrong].map(|file| plan.vnc("", &keys(file)));
    let bridge = format!("{}\n{record}", plan.vnc("", "mode = \"bridge\""));
    let mut plan = plan.set("log", "level", "\"debug\"");
    for (subtype, server) in subtypes.iter().zip(&servers) {
        let target = format!("tcp://{}", server.address());
        for (name, more) in [("good", &good), ("bad", &bad)] {
            plan = plan.listener(&format!("{name} {subtype}"), Front::Console, &target, more);
        }
    }
    let plain = format!("tcp://{}", servers[1].address());
    let mut house = plan.listener("bridge", Front::SecureConsole, &plain, &bridge).start();
    for subtype in subtypes {
        let none = Login::new(security::NONE);
        house.open(&format!("good {subtype}"), &none).expect("a console").echo(b"x").expect("open");
        assert!(house.open(&format!("bad {subtype}"), &none).is_err());
    }
    let person = Login { subtype: subtype::PLAIN, ..Login::new(security::VENCRYPT) };
    house.open("bridge", &person).expect("a console").echo(b"seen").expect("open");
    assert!(house.open("bridge", &person.password("canary77")).is_err());
    house.daemon.records(8);
    let folder = house.pki.path("");
    let tapes = || {
        let names = fs::read_dir(&folder).expect("our folder").flatten().map(|entry| entry.path());
        let tapes = names.filter(|path| path.to_string_lossy().contains("tape."));
        tapes.map(|path| fs::read_to_string(path).expect("text")).collect::<Vec<_>>()
    };
    wait::until_true("both are recorded", Duration::from_secs(10), || {
        tapes().len() == 2 && tapes().concat().contains("seen")
    });
    let admin = house.daemon.admin();
    let page = |path| http::get(admin, path).expect("the admin page").1;
    let shown = [page("/metrics"), page("/tunnels"), house.daemon.said()];
    let log = house.daemon.process().text("access.log");
    for text in shown.iter().chain([&log]).chain(&tapes()) {
        for secret in ["canary77", "secret\\n", "labsecret", "\"secret\""] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    assert!(tapes().concat().contains("RFB 003.008"), "players want the beginning");
    house.is_empty();
}
