//! Long messages towards QEMU, which leaves what is behind the first few KiB of a record in its TLS library, unnoticed.

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use penstock_tests::connect;
use penstock_tests::peers::{VncGuest, VncSetup};
use penstock_tests::pki::{Authority, Wanted};
use penstock_tests::tls::TlsClient;
use penstock_tests::vnc::client::{Console, Login};
use penstock_tests::vnc::wire::{Faults, Wire};
use penstock_tests::vnc::{security, subtype};
use penstock_tests::{Driver, both_drivers, process};

use crate::rig::{Front, Plan};

both_drivers! {
    a_long_message_reaches_qemu_through_us,
}

/// A clipboard of so many bytes, and a wish for one pixel behind it.
fn message(length: u32) -> Vec<u8> {
    let head = [&[6, 0, 0, 0][..], &length.to_be_bytes()].concat();
    let wish = [3, 0, 0, 0, 0, 0, 0, 1, 0, 1];
    [head, vec![b'x'; length as usize], wish.to_vec()].concat()
}

/// Whether an update of the screen comes in answer.
fn is_answered(console: &mut Console, length: u32) -> io::Result<bool> {
    console.wire.write_all(&message(length))?;
    match read_update(&mut console.wire) {
        Ok(()) => Ok(true),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Rectangles of pixels as they are: no other encoding was asked for.
fn read_update(wire: &mut Wire) -> io::Result<()> {
    let [kind, _, high, low] = wire.array()?;
    assert_eq!(kind, 0, "not an update");
    for _ in 0..u16::from_be_bytes([high, low]) {
        let [_place, size, encoding] = [wire.word()?, wire.word()?, wire.word()?];
        assert_eq!(encoding, 0, "not raw");
        for _row in 0..size & 0xffff {
            wire.many((size >> 16) * 4)?;
        }
    }
    Ok(())
}

fn qemu(authority: &Authority, dir: &std::path::Path) -> VncGuest {
    let setup = VncSetup::new();
    let identity = authority.issue(&Wanted::server(setup.address().ip()));
    authority.qemu_server(dir, &identity);
    setup.certificates(dir).start()
}

#[test]
fn qemu_forgets_what_is_behind_the_first_bytes_of_a_record() {
    let (authority, dir) = (Authority::new("records"), process::directory());
    let guest = qemu(&authority, dir.path());
    let tls = TlsClient::new(&authority, None);
    let login = Login::vencrypt(subtype::X509_NONE, &tls, guest.address());
    for (length, expected) in [(2_000, true), (12_000, false)] {
        let socket = connect::dial(guest.address()).expect("it listens");
        let login_and_answer = if expected { connect::PATIENCE } else { Duration::from_secs(4) };
        socket.set_read_timeout(Some(login_and_answer)).expect("a span");
        let wire = Wire::new(socket, Faults::default());
        let mut console = login.over(wire).expect("a console");
        assert_eq!(
            is_answered(&mut console, length).expect("an open stream"),
            expected,
            "{length}"
        );
    }
}

fn a_long_message_reaches_qemu_through_us(driver: Driver) {
    let plan = Plan::new(driver);
    let guest = qemu(&plan.pki.authority, &plan.pki.path("qemu"));
    let more = plan.vnc("", "mode = \"authenticate\"");
    let target = format!("tcp://{}", guest.address());
    // Of a browser with TLS, a long message comes in one piece.
    let house = plan
        .listener("clear", Front::Console, &target, &more)
        .listener("secure", Front::SecureConsole, &target, &more)
        .start();
    for name in ["clear", "secure"] {
        let mut console = house.open(name, &Login::new(security::NONE)).expect("a console");
        for length in [2_000, 5_000, 12_000, 100_000, 12_000, 12_000] {
            assert!(is_answered(&mut console, length).expect("an open stream"), "{name} {length}");
        }
    }
    house.is_empty();
}
