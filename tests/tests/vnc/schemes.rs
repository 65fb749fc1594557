//! What a listener makes of a server's security, in every mode, between stand-ins.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;

use penstock_tests::pki::Wanted;
use penstock_tests::vnc::client::{Failure, Login};
use penstock_tests::vnc::server::{Script, Server, config};
use penstock_tests::vnc::wire::Faults;
use penstock_tests::vnc::{Account, V33, V37, V38, security, subtype};
use penstock_tests::{Driver, both_drivers, loopback};

use crate::rig::{Front, Plan, told};

both_drivers! {
    a_client_that_is_let_in_by_us_is_asked_for_nothing,
    a_bridge_hands_on_what_is_asked_within_tls,
    the_scheme_that_is_taken_is_allowed_and_chosen_as_configured,
    native_clients_have_tls_of_their_own,
    nobody_is_thrown_out_by_who_comes_later,
    behind_a_unix_socket_the_name_that_is_configured_counts,
    a_token_may_bring_the_password_along,
}

/// The four subtypes, and who may come in.
const SUBTYPES: [u32; 4] =
    [subtype::X509_NONE, subtype::X509_VNC, subtype::X509_PLAIN, subtype::X509_SASL];

/// A server of one subtype, whose certificate is of the plan's authority.
fn server(plan: &Plan, subtype: u32) -> Server {
    let address = loopback::address().into();
    Server::start_at(address, Script::vencrypt(&[subtype], plan.server(address)))
}

/// All that one can log in by.
fn keys(plan: &Plan) -> String {
    let file = plan.file("secret", "secret\n");
    format!(
        "password = {{ file = {file} }}, plain = {{ user = \"lab\", password_file = {file} }}, sasl = {{ user = \"lab\", password_file = {file} }}"
    )
}

fn a_client_that_is_let_in_by_us_is_asked_for_nothing(driver: Driver) {
    let mut plan = Plan::new(driver);
    let servers = SUBTYPES.map(|subtype| server(&plan, subtype));
    let more = plan.vnc("", &format!("mode = \"authenticate\", {}", keys(&plan)));
    for (subtype, server) in SUBTYPES.iter().zip(&servers) {
        let target = format!("tcp://{}", server.address());
        plan = plan.listener(&subtype.to_string(), Front::Console, &target, &more);
    }
    let house = plan.start();
    for (subtype, server) in SUBTYPES.iter().zip(&servers) {
        for version in [V33, V37, V38] {
            let login = Login::new(security::NONE).version(version);
            let mut console = house.open(&subtype.to_string(), &login).expect("a console");
            assert_eq!(console.name, "stand-in");
            assert_eq!(console.offers.version, V38);
            console.echo(&[subtype.to_be_bytes()[3]; 20_000]).expect("an open stream");
            drop(console);
            let visit = server.visit();
            assert_eq!((visit.subtype, visit.shared), (Some(*subtype), Some(1)), "{visit:?}");
            // Towards the server we speak as well as we can, whatever the client does.
            assert_eq!(visit.version, V38);
            let named = [subtype::X509_PLAIN, subtype::X509_SASL].contains(subtype);
            assert_eq!(visit.account, named.then(|| Account::new("lab", "secret")));
        }
    }
    house.is_empty();
}

fn a_bridge_hands_on_what_is_asked_within_tls(driver: Driver) {
    let mut plan = Plan::new(driver);
    let servers = SUBTYPES.map(|subtype| server(&plan, subtype));
    let more = plan.vnc("", "mode = \"bridge\"");
    for (subtype, server) in SUBTYPES.iter().zip(&servers) {
        let target = format!("tcp://{}", server.address());
        plan = plan.listener(&subtype.to_string(), Front::SecureConsole, &target, &more);
    }
    let house = plan.start();
    let inner = [security::NONE, security::VNC, security::VENCRYPT, security::SASL];
    for ((subtype, server), kind) in SUBTYPES.iter().zip(&servers).zip(inner) {
        let login = Login { subtype: subtype::PLAIN, ..Login::new(kind) };
        let mut console = house.open(&subtype.to_string(), &login).expect("a console");
        assert_eq!(console.offers.types, [kind]);
        console.echo(b"hello").expect("an open stream");
        drop(console);
        assert!(server.visit().admitted);
        if kind == security::NONE {
            continue;
        }
        let failure = house.open(&subtype.to_string(), &login.password("wrong"));
        let Err(Failure::Refused(1, Some(words))) = failure else { panic!("{failure:?}") };
        assert_eq!(words, "Authentication failed");
        assert!(!server.visit().admitted);
    }
    house.is_empty();
}

fn the_scheme_that_is_taken_is_allowed_and_chosen_as_configured(driver: Driver) {
    const NONE: u8 = security::NONE;
    const VNC: u8 = security::VNC;
    const VENCRYPT: u8 = security::VENCRYPT;
    let cases: [(&str, &[u8], Option<u8>); 7] = [
        ("", &[NONE, VNC, VENCRYPT], Some(VENCRYPT)),
        ("", &[NONE, VNC], None),
        ("schemes = [\"vencrypt\", \"vnc\"]", &[NONE, VNC], Some(VNC)),
        ("schemes = [\"none\", \"vnc\"]", &[NONE, VNC, VENCRYPT], Some(VNC)),
        ("schemes = [\"vencrypt\", \"none\"]", &[NONE, VNC], Some(NONE)),
        (
            "schemes = [\"vencrypt\", \"vnc\", \"none\"], order = \"server\"",
            &[VNC, NONE, VENCRYPT],
            Some(VNC),
        ),
        ("schemes = [\"vencrypt\", \"none\"], order = \"server\"", &[16, VNC, NONE], Some(NONE)),
    ];
    let mut plan = Plan::new(driver);
    let mut servers = Vec::new();
    for (n, (keys_of_vnc, types, _)) in cases.iter().enumerate() {
        let address = loopback::address().into();
        let mut script = Script::vencrypt(&[subtype::X509_VNC], plan.server(address));
        script.types = types.to_vec();
        servers.push(Server::start_at(address, script));
        let comma = if keys_of_vnc.is_empty() { "" } else { ", " };
        let more =
            plan.vnc("", &format!("mode = \"authenticate\", {}{comma}{keys_of_vnc}", keys(&plan)));
        plan =
            plan.listener(&n.to_string(), Front::Console, &format!("tcp://{address}:5900"), &more);
    }
    let house = plan.start();
    for (n, (keys_of_vnc, types, expected)) in cases.iter().enumerate() {
        let opened = house.open(&n.to_string(), &Login::new(security::NONE));
        assert_eq!(opened.is_ok(), expected.is_some(), "{keys_of_vnc} {types:?}: {opened:?}");
        drop(opened);
        let visit = servers[n].visit();
        assert_eq!(visit.security, *expected, "{keys_of_vnc} {types:?}");
    }
    house.is_empty();
}

fn native_clients_have_tls_of_their_own(driver: Driver) {
    let plan = Plan::new(driver);
    let server = server(&plan, subtype::X509_VNC);
    let target = format!("tcp://{}", server.address());
    let authenticate =
        plan.vnc("", &format!("mode = \"authenticate\", {}, listen = [\"x509none\"]", keys(&plan)));
    let bridge = plan.vnc("", "mode = \"bridge\", listen = [\"x509vnc\"]");
    let house = plan
        .listener("authenticate", Front::Native, &target, &authenticate)
        .listener("bridge", Front::Native, &target, &bridge)
        .start();
    for (name, subtype) in [("authenticate", subtype::X509_NONE), ("bridge", subtype::X509_VNC)] {
        for faults in [Faults::default(), Faults { piece: Some(1), ..Faults::default() }] {
            server.have_faults([faults.clone()]);
            let login = house.vencrypt(name, subtype);
            let mut console = house.open_with(name, &login, faults).expect("a console");
            assert_eq!(console.offers.subtypes, [subtype]);
            assert!(console.wire.has_tls());
            console.echo(&[9; 5000]).expect("an open stream");
            drop(console);
            assert_eq!(server.visit().subtype, Some(subtype::X509_VNC));
        }
        // In the clear nobody comes in.
        for kind in [security::NONE, security::VNC] {
            let failure = house.open(name, &Login::new(kind)).expect_err("TLS is wanted");
            let Failure::NotOffered(offers) = failure else { panic!("{failure:?}") };
            assert_eq!(offers.types, [security::VENCRYPT]);
            server.visit();
        }
    }
    house.is_empty();
}

fn nobody_is_thrown_out_by_who_comes_later(driver: Driver) {
    let plan = Plan::new(driver);
    let server = server(&plan, subtype::X509_NONE);
    let target = format!("tcp://{}", server.address());
    let [forced, free] = ["true", "false"]
        .map(|force| plan.vnc("", &format!("mode = \"authenticate\", force_shared = {force}")));
    let house = plan
        .listener("forced", Front::Console, &target, &forced)
        .listener("free", Front::Console, &target, &free)
        .start();
    for (name, shared, expected) in [("forced", 0, 1), ("free", 0, 0), ("free", 1, 1)] {
        let login = Login { shared, ..Login::new(security::NONE) };
        drop(house.open(name, &login).expect("a console"));
        assert_eq!(server.visit().shared, Some(expected), "{name} {shared}");
    }
    house.is_empty();
}

/// Joins whoever connects to a UNIX socket with a server of TCP, for as long as the test lives.
fn behind_a_socket(path: &Path, server: SocketAddr) {
    let listener = UnixListener::bind(path).expect("our folder");
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let far = TcpStream::connect(server).expect("a server");
            let ends = (near.try_clone().expect("a socket"), far.try_clone().expect("a socket"));
            thread::spawn(move || copy(near, far, |far| far.shutdown(Shutdown::Write)));
            thread::spawn(move || copy(ends.1, ends.0, |near| near.shutdown(Shutdown::Write)));
        }
    });
}

fn copy<W: Write>(mut from: impl Read, mut to: W, end: impl Fn(&W) -> io::Result<()>) {
    let _ = io::copy(&mut from, &mut to);
    let _ = end(&to);
}

fn behind_a_unix_socket_the_name_that_is_configured_counts(driver: Driver) {
    let plan = Plan::new(driver);
    let identity = plan.pki.authority.issue(&Wanted::named_server("node1.example"));
    let script = Script::vencrypt(&[subtype::X509_NONE], config(&identity, None));
    let server = Server::start(script);
    let socket = plan.pki.path("guest.vnc");
    behind_a_socket(&socket, server.address());
    let target = format!("unix:{}", socket.display());
    let named =
        |name: &str| plan.vnc(&format!("server_name = \"{name}\""), "mode = \"authenticate\"");
    let (right, wrong) = (named("node1.example"), named("node2.example"));
    let house = plan
        .listener("right", Front::Console, &target, &right)
        .listener("wrong", Front::Console, &target, &wrong)
        .start();
    let login = Login::new(security::NONE);
    let mut console = house.open("right", &login).expect("a console");
    console.echo(&[7; 20_000]).expect("an open stream");
    drop(console);
    assert_eq!(server.visit().subtype, Some(subtype::X509_NONE));
    house.open("wrong", &login).expect_err("it is another one");
    assert!(!server.visit().admitted);
    let (reason, detail) = told(&house.record(2));
    assert_eq!(reason, "target tls certificate_refused", "{detail}");
    house.is_empty();
}

/// Tells everybody the same, whatever is asked for.
fn api(answer: String) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for mut asked in listener.incoming().map_while(Result::ok) {
            let _ = asked.read(&mut [0; 4096]);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
            let _ = write!(asked, "{head}\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
        }
    });
    address
}

fn a_token_may_bring_the_password_along(driver: Driver) {
    let plan = Plan::new(driver);
    let server = server(&plan, subtype::X509_VNC);
    let (host, port) = (server.address().ip(), server.address().port());
    let knows = |more: &str| {
        let answer = format!("{{\"host\": \"{host}\", \"port\": {port}{more}}}");
        format!("{{ plugin = \"JSONTokenApi\", source = \"http://{}/%s\" }}", api(answer))
    };
    let vnc = plan.vnc("", "mode = \"authenticate\", password = \"token\"");
    let vnc = vnc.replace("unauthenticated = true", "");
    let house = plan
        .listener("right", Front::Console, &knows(", \"password\": \"secret\""), &vnc)
        .listener("wrong", Front::Console, &knows(", \"password\": \"other\""), &vnc)
        .listener("none", Front::Console, &knows(""), &vnc)
        .start();
    let login = Login::new(security::NONE);
    let open =
        |name: &str| login.browse(house.at(name), None, "/websockify?token=abc", Faults::default());
    let mut console = open("right").expect("a console");
    console.echo(b"hello").expect("an open stream");
    drop(console);
    assert!(server.visit().admitted);
    for (count, name, end) in
        [(2, "wrong", "target login not_let_in"), (3, "none", "target login no_common_security")]
    {
        open(name).expect_err("without the right one nobody comes in");
        assert!(!server.visit().admitted, "{name}");
        let (reason, detail) = told(&house.record(count));
        assert_eq!(reason, end, "{detail}");
        assert!(!detail.contains("other"), "{detail}");
    }
    house.is_empty();
}
