//! libvirt's own client and daemon with Penstock between them: every pair of transports carries all that an administrator does,
//! what may only be looked at stays so, and SASL passes untouched.

use std::path::PathBuf;

use penstock_tests::peers::{
    CONNECTIONS, Libvirtd, LibvirtdSetup, READONLY_REFUSAL, VOLUME, Virsh, run_errands,
};
use penstock_tests::pki::{Folder, Wanted};
use penstock_tests::{Driver, Penstock, Setup, both_drivers, names};

both_drivers! {
    from_a_unix_socket_to_tls,
    from_tls_to_tls,
    from_tls_to_a_unix_socket,
    from_a_unix_socket_to_ssh,
    from_tcp_to_tcp,
    the_port_may_be_left_out,
    who_may_only_look_comes_by_the_other_socket,
    who_may_only_look_by_ssh_is_told_so_by_the_helper,
    sasl_passes_from_tcp_to_tcp,
    sasl_passes_from_tls_to_tls,
    sasl_passes_from_a_unix_socket_to_tls,
}

/// Penstock's own identity towards libvirtd, and the only one that libvirtd lets in.
const GATEWAY: &[(&str, &str)] = &[("O", "Penstock"), ("CN", "gateway")];
/// An administrator's towards Penstock, and the only one that Penstock lets in.
const ADMINISTRATOR: &[(&str, &str)] = &[("O", "Consoles"), ("CN", "somebody")];

/// A libvirtd with a guest and a volume.
fn with_guest(setup: LibvirtdSetup) -> Libvirtd {
    let libvirtd = setup.start();
    libvirtd.start_guest();
    libvirtd.make_volume(VOLUME);
    libvirtd
}

/// Lets a libvirtd listen for TLS, and let in nobody but Penstock.
fn for_the_gateway(setup: LibvirtdSetup, pki: &Folder) -> LibvirtdSetup {
    let identity = pki.authority.issue(&Wanted::server(setup.address()));
    setup.tls(&pki.authority, &identity).allow(&["O=Penstock,CN=gateway"])
}

/// A listener on a UNIX socket, as its lines say, and who asks there.
fn on_unix(pki: &Folder, target: &str) -> (String, Virsh) {
    let socket: PathBuf = pki.path("gateway");
    let lines = format!(
        "name = \"gateway\"\naddress = \"unix:{}\"\nmode = \"0600\"\nservice = \"forward\"\ntarget = \"{target}\"",
        socket.display()
    );
    (lines, Virsh::new(format!("qemu+unix:///system?socket={}", socket.display())))
}

/// A listener for TLS that wants certificates, as its lines say, and who asks there.
fn on_tls(setup: &Setup, pki: &Folder, target: &str) -> (String, Virsh) {
    let address = format!("{}:16514", setup.address());
    let pair = pki.pair("penstock", &Wanted::server(setup.address()));
    let lines = format!(
        "name = \"gateway\"\naddress = \"{address}\"\nservice = \"forward\"\ntarget = \"{target}\"\nlibvirt = true
tls = {{ {pair}, client_ca = \"{}\", client_auth = \"require\", allowed_dn = [\"O=Consoles,CN=some*\"] }}",
        pki.authority_file().display()
    );
    let files = pki.pkipath("administrator", &Wanted::client(ADMINISTRATOR));
    (lines, Virsh::new(format!("qemu+tls://{address}/system?pkipath={}", files.display())))
}

/// Runs all errands through a daemon and looks at what it counted: handshakes by side, and who came.
fn assert_errands(penstock: &Penstock, virsh: &Virsh, libvirtd: &Libvirtd, tls: [bool; 2]) {
    let before = penstock.holdings();
    run_errands(virsh, libvirtd);
    penstock.assert_holds(&before);
    let expected = CONNECTIONS as f64;
    assert_eq!(penstock.metric(names::TUNNELS, &[]), expected);
    for (side, has_tls) in ["client", "target"].into_iter().zip(tls) {
        let handshakes = if has_tls { expected } else { 0.0 };
        assert_eq!(penstock.handshakes(side), handshakes, "handshakes with the {side}");
    }
    for direction in ["client_to_target", "target_to_client"] {
        let carried = penstock.metric(names::BYTES, &[("direction", direction)]);
        assert!(carried > VOLUME as f64, "{carried} bytes {direction}");
    }
    for record in penstock.records(CONNECTIONS) {
        assert_eq!((&record["listener"], &record["phase"]), (&"gateway".into(), &"relay".into()));
        // Nobody says so in TLS, but no message is cut.
        assert_eq!(record["cause"], "finished", "{record}");
        let subjects = [&record["client_tls"]["subject"], &record["target_tls"]["subject"]];
        let expected =
            [tls[0].then_some("O=Consoles,CN=somebody"), tls[1].then_some("O=Penstock,CN=server")];
        assert_eq!(subjects.map(serde_json::Value::as_str), expected, "{record}");
    }
}

fn from_a_unix_socket_to_tls(driver: Driver) {
    let pki = Folder::new();
    let libvirtd = with_guest(for_the_gateway(LibvirtdSetup::new(), &pki));
    let files = pki.pkipath("gateway-files", &Wanted::client(GATEWAY));
    let (lines, virsh) = on_unix(&pki, &libvirtd.by_tls(&files));
    let penstock = Setup::without_listeners(driver).listener(&lines).start();
    assert_errands(&penstock, &virsh, &libvirtd, [false, true]);
}

fn from_tls_to_tls(driver: Driver) {
    let (pki, setup) = (Folder::new(), Setup::without_listeners(driver));
    let libvirtd = with_guest(for_the_gateway(LibvirtdSetup::new(), &pki));
    let files = pki.pkipath("gateway-files", &Wanted::client(GATEWAY));
    let (lines, virsh) = on_tls(&setup, &pki, &libvirtd.by_tls(&files));
    let penstock = setup.listener(&lines).start();
    assert_errands(&penstock, &virsh, &libvirtd, [true, true]);
}

fn from_tls_to_a_unix_socket(driver: Driver) {
    let (pki, setup) = (Folder::new(), Setup::without_listeners(driver));
    let libvirtd = with_guest(LibvirtdSetup::new());
    let (lines, virsh) = on_tls(&setup, &pki, &libvirtd.by_unix());
    let penstock = setup.listener(&lines).start();
    assert_errands(&penstock, &virsh, &libvirtd, [true, false]);
}

fn from_a_unix_socket_to_ssh(driver: Driver) {
    let pki = Folder::new();
    let libvirtd = with_guest(LibvirtdSetup::new().ssh());
    let (lines, virsh) = on_unix(&pki, &libvirtd.by_ssh());
    let penstock = Setup::without_listeners(driver).listener(&lines).start();
    assert_errands(&penstock, &virsh, &libvirtd, [false, false]);
}

fn from_tcp_to_tcp(driver: Driver) {
    let setup = Setup::without_listeners(driver);
    let libvirtd = with_guest(LibvirtdSetup::new());
    let address = format!("{}:16509", setup.address());
    let lines = format!(
        "name = \"gateway\"\naddress = \"{address}\"\nservice = \"forward\"\ntarget = \"{}\"",
        libvirtd.by_tcp()
    );
    let penstock = setup.listener(&lines).start();
    let virsh = Virsh::new(format!("qemu+tcp://{address}/system"));
    assert_errands(&penstock, &virsh, &libvirtd, [false, false]);
    for direction in ["client_to_target", "target_to_client"] {
        let spliced = [("direction", direction), ("mover", "splice")];
        let spliced = penstock.metric(names::BYTES, &spliced);
        assert!(spliced > 0.5 * VOLUME as f64, "{spliced} bytes spliced {direction}");
    }
}

fn the_port_may_be_left_out(driver: Driver) {
    let pki = Folder::new();
    let libvirtd = for_the_gateway(LibvirtdSetup::new(), &pki).start();
    let files = pki.pkipath("gateway-files", &Wanted::client(GATEWAY));
    for uri in
        [libvirtd.by_tls(&files).replace(":16514", ""), libvirtd.by_tcp().replace(":16509", "")]
    {
        let place = Folder::new();
        let (lines, virsh) = on_unix(&place, &uri);
        let _penstock = Setup::without_listeners(driver).listener(&lines).start();
        assert_eq!(virsh.list(), Ok(Vec::new()), "{uri}");
    }
}

/// Asks through a gateway that is for looking only, without a word of that in the client's own URI.
fn assert_only_looks(virsh: &Virsh) {
    assert_eq!(virsh.list().as_deref(), Ok(&["guest".to_owned()][..]));
    let said = virsh.try_run(&["destroy", "guest"]).expect_err("only looking is allowed");
    assert!(said.contains(READONLY_REFUSAL), "{said}");
    assert_eq!(virsh.clone().readonly().list().as_deref(), Ok(&["guest".to_owned()][..]));
}

fn who_may_only_look_comes_by_the_other_socket(driver: Driver) {
    let pki = Folder::new();
    let libvirtd = with_guest(LibvirtdSetup::new());
    let (lines, virsh) = on_unix(&pki, "qemu:///system");
    let setup = Setup::without_listeners(driver).listener(&(lines + "\nreadonly = true"));
    let _penstock = setup.seeing(&libvirtd.run(), "/run").start();
    assert_only_looks(&virsh);
}

fn who_may_only_look_by_ssh_is_told_so_by_the_helper(driver: Driver) {
    let libvirtd = with_guest(LibvirtdSetup::new().ssh());
    for proxy in ["native", "netcat"] {
        let place = Folder::new();
        let (lines, virsh) = on_unix(&place, &format!("{}&proxy={proxy}", libvirtd.by_ssh()));
        let setup = Setup::without_listeners(driver).listener(&(lines + "\nreadonly = true"));
        let _penstock = setup.start();
        assert_only_looks(&virsh);
    }
}

/// Asks with a password, and without one.
fn assert_wants_password(virsh: &Virsh, libvirtd: &Libvirtd) {
    let said = virsh.list().expect_err("a password is wanted");
    assert!(said.contains("authentication failed"), "{said}");
    assert_eq!(virsh.clone().with_password(&libvirtd.password()).list(), Ok(Vec::new()));
}

fn sasl_passes_from_tcp_to_tcp(driver: Driver) {
    let setup = Setup::without_listeners(driver);
    let libvirtd = LibvirtdSetup::new().sasl().start();
    let address = format!("{}:16509", setup.address());
    let lines = format!(
        "name = \"gateway\"\naddress = \"{address}\"\nservice = \"forward\"\ntarget = \"{}\"",
        libvirtd.by_tcp()
    );
    let penstock = setup.listener(&lines).start();
    assert_wants_password(&Virsh::new(format!("qemu+tcp://{address}/system")), &libvirtd);
    assert_eq!(penstock.metric(names::TUNNELS, &[]), 2.0);
}

fn sasl_passes_from_tls_to_tls(driver: Driver) {
    let (pki, setup) = (Folder::new(), Setup::without_listeners(driver));
    let libvirtd = for_the_gateway(LibvirtdSetup::new().sasl(), &pki).start();
    let files = pki.pkipath("gateway-files", &Wanted::client(GATEWAY));
    let (lines, virsh) = on_tls(&setup, &pki, &libvirtd.by_tls(&files));
    let penstock = setup.listener(&lines).start();
    assert_wants_password(&virsh, &libvirtd);
    assert_eq!((penstock.handshakes("client"), penstock.handshakes("target")), (2.0, 2.0));
}

fn sasl_passes_from_a_unix_socket_to_tls(driver: Driver) {
    let pki = Folder::new();
    let libvirtd = for_the_gateway(LibvirtdSetup::new().sasl(), &pki).start();
    let files = pki.pkipath("gateway-files", &Wanted::client(GATEWAY));
    let (lines, virsh) = on_unix(&pki, &libvirtd.by_tls(&files));
    let penstock = Setup::without_listeners(driver).listener(&lines).start();
    assert_wants_password(&virsh, &libvirtd);
    assert_eq!((penstock.handshakes("client"), penstock.handshakes("target")), (0.0, 2.0));
}
