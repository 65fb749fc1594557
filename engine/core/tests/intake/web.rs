//! Browsers that are handed over: with pages before their console, refused behind a 101 of somebody else's, and silent.

use penstock_core::config::{Console, ConsoleTarget, Timeouts, Web};

use super::*;

/// Consoles whose target is handed over, and pages.
fn console() -> Listener {
    let Service::Forward(destination) = Service::handed_over() else { panic!("it is one") };
    let console = Console {
        web: Some(Arc::new(Web::Directory("/nobody/looks/there".into()))),
        ..Console::new(ConsoleTarget::Fixed(destination))
    };
    Listener { service: Service::Console(Box::new(console)), ..terms() }
}

const PAGE: &str = "GET /page HTTP/1.1\r\nHost: console\r\n\r\n";
const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: console\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// The target is there all the while, and hears of nothing but its console.
pub(crate) fn pages_are_not_asked_of_the_console(driver: Driver) {
    let (engine, intake, records) = start_on(driver, console());
    let ((mut client, one), (other, mut target)) = (unix_pair(), unix_pair());
    let said = [PAGE.as_bytes(), UPGRADE.as_bytes(), &frame(2, b"hello")].concat();
    let handed = HandOver { from_client: said, ..HandOver::new(0, one.into(), other.into()) };
    intake.hand_over(handed).expect("room");
    let (mut server, web) = unix_pair();
    let id = tunnels(&engine)[0].id;
    engine.mailboxes()[0].post(Command::Opened { id, result: Ok(web.into()) }).expect("room");
    let mut asked = String::new();
    server.read_to_string(&mut asked).expect("an end");
    assert!(asked.starts_with("GET /page HTTP/1.1\r\n") && !asked.contains("Upgrade"), "{asked}");
    server.write_all(ANSWER.as_bytes()).expect("written");
    drop(server);
    assert_eq!(hear(&mut client, ANSWER.len()), ANSWER.as_bytes());
    assert_eq!(hear(&mut client, 12), b"HTTP/1.1 101");
    assert_eq!(hear(&mut target, 5), b"hello");
    drop((client, target));
    assert_eq!(ended(&records).reason.phase, Phase::Relay);
    stop(engine);
}

/// It got a 101, if not from us: only a close frame can say that nothing comes of it.
pub(crate) fn who_is_refused_behind_its_101_is_told_why(driver: Driver) {
    let rules = Rules::parse(&["deny all"], &AccessLists::new()).expect("a rule");
    let (engine, intake, records) = start_on(driver, Listener { rules, ..terms() });
    let ((mut client, one), (other, _target)) = (unix_pair(), unix_pair());
    let web_socket = Some(Payload::Binary);
    let handed = HandOver { web_socket, ..HandOver::new(0, one.into(), other.into()) };
    intake.hand_over(handed).expect("room");
    let close = hear(&mut client, 4);
    assert_eq!((close[0], &close[2..]), (0x88, &1008_u16.to_be_bytes()[..]));
    drop(client);
    assert_eq!(ended(&records).reason.cause, Cause::AccessDenied);
    stop(engine);
}

/// How often is the host's word, how long the listener's: they need not fit.
pub(crate) fn nobody_is_dead_who_was_not_asked(driver: Driver) {
    let dead_peer = Some(Duration::from_millis(200));
    let timeouts = Timeouts { dead_peer, ..Timeouts::default() };
    let (engine, intake, records) = start_on(driver, Listener { timeouts, ..terms() });
    let ((mut client, one), (other, _target)) = (unix_pair(), unix_pair());
    let handed = HandOver {
        web_socket: Some(Payload::Binary),
        heartbeat: Some(Duration::from_millis(600)),
        ..HandOver::new(0, one.into(), other.into())
    };
    intake.hand_over(handed).expect("room");
    assert_eq!(hear(&mut client, 2), [0x89, 0]);
    let record = ended(&records);
    assert_eq!(record.reason.cause, Cause::DeadPeer);
    assert!(record.elapsed >= Duration::from_millis(800), "{record:?}");
    stop(engine);
}
