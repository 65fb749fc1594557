//! The peers of TLS, libvirt and serial lines among themselves, without Penstock: when these fail, no other failure means anything.

use std::fs;
use std::fs::File;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;

use penstock_tests::connect::be_patient;
use penstock_tests::echo::{echo, echo_in_turns};
use penstock_tests::peers::{
    Guest, Libvirtd, LibvirtdSetup, Line, SerialGuest, Spicy, Squid, VOLUME, Virsh, run_errands,
};
use penstock_tests::pki::{Authority, Folder, Wanted};
use penstock_tests::tls::TlsClient;
use penstock_tests::{loopback, process};

/// A libvirtd with a guest and a volume.
fn with_guest(setup: LibvirtdSetup) -> Libvirtd {
    let libvirtd = setup.start();
    libvirtd.start_guest();
    libvirtd.make_volume(VOLUME);
    libvirtd
}

#[test]
fn errands_can_be_run_by_unix_and_tcp() {
    let libvirtd = with_guest(LibvirtdSetup::new());
    run_errands(&Virsh::new(libvirtd.by_unix()), &libvirtd);
    run_errands(&Virsh::new(libvirtd.by_tcp()), &libvirtd);
}

#[test]
fn errands_can_be_run_by_ssh() {
    let libvirtd = with_guest(LibvirtdSetup::new().ssh());
    run_errands(&Virsh::new(libvirtd.by_ssh()), &libvirtd);
    let socket = "&proxy=netcat&netcat=nc&socket=/run/libvirt/libvirt-sock";
    run_errands(&Virsh::new(libvirtd.by_ssh() + socket), &libvirtd);
}

#[test]
fn errands_can_be_run_by_tls() {
    let (authority, dir) = (Authority::new("CA"), process::directory());
    let setup = LibvirtdSetup::new();
    let server = authority.issue(&Wanted::server(setup.address()));
    let libvirtd = with_guest(setup.tls(&authority, &server).allow(&["O=Penstock,CN=*"]));
    let client = authority.issue(&Wanted::client(&[("O", "Penstock"), ("CN", "somebody")]));
    authority.libvirt_client(dir.path(), Some(&client), None);
    run_errands(&Virsh::new(libvirtd.by_tls(dir.path())), &libvirtd);
}

#[test]
fn sasl_lets_in_who_knows_the_password() {
    let (authority, dir) = (Authority::new("CA"), process::directory());
    let setup = LibvirtdSetup::new();
    let server = authority.issue(&Wanted::server(setup.address()));
    let libvirtd = setup.tls(&authority, &server).sasl().start();
    let client = authority.issue(&Wanted::client(&[("CN", "somebody")]));
    authority.libvirt_client(dir.path(), Some(&client), None);
    for uri in [libvirtd.by_tcp(), libvirtd.by_tls(dir.path())] {
        let virsh = Virsh::new(uri);
        let refused = virsh.list().expect_err("a password is wanted");
        assert!(refused.contains("authentication failed"), "{refused}");
        assert_eq!(virsh.with_password(&libvirtd.password()).list(), Ok(Vec::new()));
    }
}

#[test]
fn guests_give_back_what_their_lines_get() {
    let guest = SerialGuest::start(Line::Tcp);
    let stream = TcpStream::connect(guest.address()).expect("QEMU listens");
    be_patient(&stream).expect("a socket");
    echo(&stream, &stream, 1, 100_000);

    let guest = SerialGuest::start(Line::Unix);
    let stream = UnixStream::connect(guest.socket()).expect("QEMU listens");
    echo(&stream, &stream, 2, 100_000);

    let guest = SerialGuest::start(Line::Terminal);
    let open = || File::options().read(true).write(true).open(guest.terminal());
    echo(open().expect("a terminal"), open().expect("a terminal"), 3, 100_000);
}

#[test]
fn a_line_with_tls_gives_back_records_of_one_byte() {
    let (authority, dir) = (Authority::new("CA"), process::directory());
    let address = SocketAddr::from((loopback::address(), 4555));
    let identity = authority.issue(&Wanted::server(address.ip()));
    authority.qemu_server(dir.path(), &identity);
    let guest = SerialGuest::start(Line::Tls(address, dir.path()));
    let client = authority.issue(&Wanted::client(&[("CN", "somebody")]));
    let client = TlsClient::new(&authority, Some(&client));
    let mut stream = client.connect(guest.address()).expect("a handshake");
    echo_in_turns(&mut stream, 4, 4096, 64);
}

#[test]
fn spicy_draws_through_an_https_proxy() {
    let (authority, dir) = (Authority::new("CA"), process::directory());
    let address = loopback::address().into();
    let identity = authority.issue(&Wanted::server(address));
    let file = dir.path().join("ca.pem");
    fs::write(&file, authority.pem()).expect("our directory");
    let squid = Squid::start_https(address, &identity);
    let guest = Guest::start();
    let spicy = Spicy::through(squid.address(), guest.spice()).https(file);
    assert_eq!(spicy.screenshot().line(0), Guest::TEXT.replace(|c| c != ' ', "#"));
}

#[test]
fn spicy_draws_over_tls() {
    let (authority, dir) = (Authority::new("CA"), process::directory());
    let address = loopback::address().into();
    let identity = authority.issue(&Wanted::server(address));
    authority.qemu_server(dir.path(), &identity);
    let (squid, guest) = (Squid::start(), Guest::start_with_tls(address, dir.path()));
    let authority = dir.path().join("ca-cert.pem");
    let spicy = Spicy::with_tls_through(squid.address(), guest.spice_tls(), authority);
    assert_eq!(spicy.screenshot().line(0), Guest::TEXT.replace(|c| c != ' ', "#"));
}

/// What virsh says of a libvirtd whose certificate is signed by its own authority or another one, as wanted, and revoked or not.
fn verdict_on_server(is_ours: bool, wanted: impl Fn(IpAddr) -> Wanted, is_revoked: bool) -> String {
    let (pki, others, setup) = (Folder::new(), Authority::new("Others"), LibvirtdSetup::new());
    let signer = if is_ours { &pki.authority } else { &others };
    let server = signer.issue(&wanted(setup.address()));
    let client = pki.authority.issue(&Wanted::client(&[("CN", "somebody")]));
    let list = pki.authority.revoke(&[&server]);
    let files = pki.path("client");
    pki.authority.libvirt_client(&files, Some(&client), is_revoked.then_some(&list));
    let libvirtd = setup.tls(&pki.authority, &server).start();
    let list = Virsh::new(libvirtd.by_tls(&files)).list();
    list.map_or_else(|said| said, |_| "welcome".to_owned())
}

#[test]
fn virsh_judges_servers() {
    let other = |_| Wanted::named_server("other.invalid");
    let cases = [
        (verdict_on_server(true, Wanted::server, false), "welcome"),
        (verdict_on_server(false, Wanted::server, false), "hasn't got a known issuer"),
        (verdict_on_server(true, other, false), "owner does not match the hostname"),
        // Which is all that it says about time.
        (verdict_on_server(true, |ip| Wanted::server(ip).expired(), false), "is not trusted"),
        (verdict_on_server(true, Wanted::server, true), "has been revoked"),
    ];
    for (said, expected) in cases {
        assert!(said.contains(expected), "{expected:?} is not in: {said}");
    }
}

#[test]
fn virsh_takes_a_common_name_for_a_name() {
    let (pki, setup) = (Folder::new(), LibvirtdSetup::on_localhost());
    let server = pki.authority.issue(&Wanted::server_by_common_name("localhost"));
    let libvirtd = setup.tls(&pki.authority, &server).start();
    let files = pki.pkipath("client", &Wanted::client(&[("CN", "somebody")]));
    let by_name = libvirtd.by_tls(&files).replace("127.0.0.1", "localhost");
    assert_eq!(Virsh::new(by_name).list(), Ok(Vec::new()));
}

/// What virsh hears from a libvirtd that wants certificates of its authority and subjects `O=Penstock,CN=some*`, and what
/// libvirtd itself says of it; signed by another authority, if one is given.
fn verdict_on_client(other: Option<Authority>, wanted: &Wanted, is_revoked: bool) -> String {
    let (pki, setup) = (Folder::new(), LibvirtdSetup::new());
    let server = pki.authority.issue(&Wanted::server(setup.address()));
    let client = other.as_ref().unwrap_or(&pki.authority).issue(wanted);
    let files = pki.path("client");
    pki.authority.libvirt_client(&files, Some(&client), None);
    let mut setup = setup.tls(&pki.authority, &server).allow(&["O=Penstock,CN=some*"]);
    if is_revoked {
        setup = setup.revocation_list(&pki.authority.revoke(&[&client]));
    }
    let libvirtd = setup.start();
    // Without its own checks, or virsh would not even try.
    let list = Virsh::new(libvirtd.by_tls(&files) + "&no_sanity=1").list();
    list.map_or_else(|said| said + "\n" + &libvirtd.said(), |_| "welcome".to_owned())
}

#[test]
fn libvirtd_judges_clients() {
    let wanted = |name| Wanted::client(&[("O", "Penstock"), ("CN", name)]);
    let (stranger, namesake) = (Authority::new("Others"), Authority::new(Folder::AUTHORITY));
    let cases = [
        (verdict_on_client(None, &wanted("somebody"), false), "welcome"),
        // virsh keeps a certificate to itself that is of none of the authorities whose names it hears.
        (verdict_on_client(Some(stranger), &wanted("somebody"), false), "No certificate was found"),
        (verdict_on_client(Some(namesake), &wanted("somebody"), false), "known issuer"),
        (verdict_on_client(None, &wanted("other"), false), "not on the list of allowed clients"),
        (verdict_on_client(None, &wanted("somebody").expired(), false), "is not trusted"),
        (verdict_on_client(None, &wanted("somebody"), true), "has been revoked"),
    ];
    for (said, expected) in cases {
        assert!(said.contains(expected), "{expected:?} is not in: {said}");
        // The client is not told why.
        let heard = "Unable to read TLS confirmation";
        assert_eq!(said.contains(heard), expected != "welcome", "{said}");
    }
}
