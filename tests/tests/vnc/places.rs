//! Servers where no address is: at UNIX sockets, whose certificate has a name that was configured, and behind tokens, whose source tells the
//! password as well.

use penstock_tests::pki::Wanted;
use penstock_tests::service::{self, answer};
use penstock_tests::vnc::client::Login;
use penstock_tests::vnc::server::{self, Script, Server};
use penstock_tests::vnc::wire::Faults;
use penstock_tests::vnc::{security, subtype};
use penstock_tests::{Driver, both_drivers, loopback};

use crate::rig::{Front, Plan, told};

both_drivers! {
    a_server_at_a_socket_proves_the_name_that_is_configured,
    a_password_comes_with_its_token,
}

fn a_server_at_a_socket_proves_the_name_that_is_configured(driver: Driver) {
    let plan = Plan::new(driver);
    let identity = plan.pki.authority.issue(&Wanted::named_server("guest.example"));
    let script = Script::vencrypt(&[subtype::X509_VNC], server::config(&identity, None));
    let path = plan.pki.path("vnc.sock");
    let server = Server::start_unix(&path, script);
    let (target, file) = (format!("unix:{}", path.display()), plan.file("secret", "secret\n"));
    let keys = format!("mode = \"authenticate\", password = {{ file = {file} }}");
    let [right, wrong] = ["guest.example", "other.example"]
        .map(|name| plan.vnc(&format!("server_name = \"{name}\""), &keys));
    let bridge = plan.vnc("server_name = \"guest.example\"", "mode = \"bridge\"");
    let bridge = format!("{bridge}\nunauthenticated = true");
    let house = plan
        .listener("right", Front::Console, &target, &right)
        .listener("bridge", Front::SecureConsole, &target, &bridge)
        .listener("wrong", Front::Console, &target, &wrong)
        .start();
    for (name, security) in [("right", security::NONE), ("bridge", security::VNC)] {
        let mut console = house.open(name, &Login::new(security)).expect("a console");
        console.echo(&[7; 9000]).expect("an open stream");
        drop(console);
        let visit = server.visit();
        assert_eq!((visit.subtype, visit.said), (Some(subtype::X509_VNC), 9000), "{name}");
    }
    house.open("wrong", &Login::new(security::NONE)).expect_err("it is somebody else");
    let (end, detail) = told(&house.record(3));
    assert_eq!(end, "target tls certificate_refused", "{detail}");
    assert!(detail.contains("other.example"), "{detail}");
    assert!(!server.visit().admitted);
    house.is_empty();
}

fn a_password_comes_with_its_token(driver: Driver) {
    let plan = Plan::new(driver);
    let address = loopback::address().into();
    let script = Script::vencrypt(&[subtype::X509_VNC], plan.server(address));
    let server = Server::start_at(address, script);
    let at = server.address();
    let source = service::start(move |head, stream| {
        let password = match head.split_whitespace().nth(1) {
            Some("/right") => ",\"password\":\"secret\"",
            Some("/wrong") => ",\"password\":\"canary77\"",
            _ => "",
        };
        let body = format!("{{\"host\":\"{}\",\"port\":{}{password}}}", at.ip(), at.port());
        answer(stream, "200 OK", &body);
    });
    let tokens =
        format!("tokens = {{ plugin = \"JSONTokenApi\", source = \"http://{source}/%s\" }}");
    let vnc = plan.vnc("", "mode = \"authenticate\", password = \"token\"");
    let plan = plan.set("log", "level", "\"debug\"");
    let mut house = plan.leading("tokens", Front::Console, &format!("{tokens}\n{vnc}")).start();
    let open = |token: &str| {
        let path = format!("/websockify?token={token}");
        Login::new(security::NONE).browse(house.at("tokens"), None, &path, Faults::default())
    };
    // The viewer goes without a close frame.
    for (ended, (token, expected)) in [
        ("right", "client relay truncated"),
        ("wrong", "target login not_let_in"),
        ("none", "target login no_common_security"),
    ]
    .into_iter()
    .enumerate()
    {
        match open(token) {
            Ok(mut console) => console.echo(&[7; 9000]).expect("an open stream"),
            Err(failure) => assert_ne!(token, "right", "{failure:?}"),
        }
        let (end, detail) = told(&house.record(ended + 1));
        assert_eq!(end, expected, "{token}: {detail}");
        let visit = server.visit();
        assert_eq!((visit.admitted, visit.said > 0), (token == "right", token == "right"));
    }
    let log = house.daemon.process().text("access.log");
    for text in [house.daemon.said(), log] {
        assert!(!text.contains("canary77"), "{text}");
    }
    house.is_empty();
}
