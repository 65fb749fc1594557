//! Serial lines of real guests behind Penstock: every byte comes back, and a line belongs to one user at a time.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};

use penstock_tests::connect::be_patient;
use penstock_tests::echo::echo;
use penstock_tests::peers::{Line, SerialGuest};
use penstock_tests::pki::{Folder, Wanted};
use penstock_tests::{Driver, Penstock, Setup, both_drivers, loopback, names};

both_drivers! {
    a_line_by_tcp_echoes_a_mebibyte,
    a_line_by_a_unix_socket_echoes_a_mebibyte,
    a_terminal_echoes_a_mebibyte,
    a_line_by_tls_echoes_in_records_of_one_byte,
    a_line_has_one_user_at_a_time,
}

const MIB: u64 = 1 << 20;

/// A gateway from a TCP port to one target.
fn gateway(driver: Driver, target: &str, more: &str) -> (Penstock, SocketAddr) {
    let setup = Setup::without_listeners(driver);
    let address = SocketAddr::new(setup.address(), 7000);
    let lines = format!(
        "name = \"line\"\naddress = \"{address}\"\nservice = \"forward\"\ntarget = \"{target}\"\n{more}"
    );
    (setup.listener(&lines).start(), address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a listener");
    be_patient(&stream).expect("a socket");
    stream
}

/// Echoes that much, and looks at what was counted.
fn assert_echoes(driver: Driver, target: &str, more: &str, len: u64) -> Penstock {
    let (penstock, address) = gateway(driver, target, more);
    let before = penstock.holdings();
    let stream = connect(address);
    echo(&stream, &stream, len, len);
    for direction in ["client_to_target", "target_to_client"] {
        // What was sent last may be read before it is counted.
        penstock.wait_for_metric(names::BYTES, &[("direction", direction)], len as f64);
    }
    drop(stream);
    penstock.assert_holds(&before);
    assert_eq!(penstock.records(1)[0]["listener"], "line");
    penstock
}

fn a_line_by_tcp_echoes_a_mebibyte(driver: Driver) {
    let guest = SerialGuest::start(Line::Tcp);
    assert_echoes(driver, &format!("tcp://{}", guest.address()), "", MIB);
}

fn a_line_by_a_unix_socket_echoes_a_mebibyte(driver: Driver) {
    let guest = SerialGuest::start(Line::Unix);
    let target = format!("unix:{}", guest.socket().display());
    assert_echoes(driver, &target, "unauthenticated = true", MIB);
}

fn a_terminal_echoes_a_mebibyte(driver: Driver) {
    let guest = SerialGuest::start(Line::Terminal);
    let target = format!("serial:{}?baud=115200", guest.terminal().display());
    assert_echoes(driver, &target, "max_sessions = 1", MIB);
}

fn a_line_by_tls_echoes_in_records_of_one_byte(driver: Driver) {
    let (pki, address) = (Folder::new(), SocketAddr::from((loopback::address(), 4555)));
    let identity = pki.authority.issue(&Wanted::server(address.ip()));
    pki.authority.qemu_server(&pki.path("qemu"), &identity);
    let guest = SerialGuest::start(Line::Tls(address, &pki.path("qemu")));
    let pair = pki.pair("us", &Wanted::client(&[("CN", "us")]));
    let more = format!(
        "unauthenticated = true\nupstream_tls = {{ ca = \"{}\", {pair}, max_record = 1 }}",
        pki.authority_file().display()
    );
    let penstock = assert_echoes(driver, &format!("tls://{}", guest.address()), &more, 16 << 10);
    assert_eq!(penstock.handshakes("target"), 1.0);
}

fn a_line_has_one_user_at_a_time(driver: Driver) {
    let guest = SerialGuest::start(Line::Terminal);
    let target = format!("serial:{}?baud=115200", guest.terminal().display());
    let (penstock, address) = gateway(driver, &target, "max_sessions = 1");
    let first = connect(address);
    echo(&first, &first, 1, 1000);

    let mut said = String::new();
    let end = connect(address).read_to_string(&mut said);
    assert!(end.is_ok() && said.contains("in use"), "{end:?}: {said:?}");
    let record = penstock.records(1).remove(0);
    assert_eq!(record["cause"], "in_use", "{record}");
    echo(&first, &first, 2, 1000);

    drop(first);
    // Who comes next must not find it taken by somebody who has left.
    penstock.wait_for_metric(names::SESSIONS_OPEN, &[], 0.0);
    let second = connect(address);
    echo(&second, &second, 3, 1000);
}
