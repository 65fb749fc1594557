//! PROXY headers of connections that are handed over: to the target, which learns where the client's connection came from, and from a client,
//! whose connection is a proxy's.

use std::net::SocketAddr;

use penstock_core::config::SendProxy;
use penstock_core::policy::AddressSet;
use penstock_proto::Progress;
use penstock_proto::proxy_protocol::{Endpoints, Origin, Receiver};

use super::*;

/// What the target hears first, and who it says the client is.
fn header_of(target: &mut impl Read) -> (Vec<u8>, Origin) {
    let mut bytes = Vec::new();
    loop {
        bytes.extend(hear(target, 1));
        let header = Receiver::new().receive(&mut bytes.as_slice(), &mut Vec::new());
        match header.expect("it is well-formed") {
            Progress::Wait => {}
            Progress::Done(header) => return (bytes, header.origin),
        }
    }
}

fn is_begun_by(version: SendProxy, header: &[u8]) -> bool {
    match version {
        SendProxy::V1 => header.starts_with(b"PROXY "),
        _ => header.starts_with(b"\r\n\r\n\0\r\nQUIT\n"),
    }
}

pub(crate) fn a_target_learns_where_its_client_came_from(driver: Driver) {
    for send_proxy in [SendProxy::V1, SendProxy::V2] {
        let (engine, intake, records) = start_on(driver, Listener { send_proxy, ..terms() });
        let ((mut client, one), (other, mut target)) = (pair(), unix_pair());
        let source = client.local_addr().expect("a socket");
        let destination = client.peer_addr().expect("it is connected");
        let from_client = b"hel".to_vec();
        let handed = HandOver { from_client, ..HandOver::new(0, one.into(), other.into()) };
        intake.hand_over(handed).expect("room");
        client.write_all(b"lo").expect("written");
        let (header, origin) = header_of(&mut target);
        assert!(is_begun_by(send_proxy, &header), "{header:?}");
        assert_eq!(origin, Origin::Stream(Endpoints { source, destination }));
        assert_eq!(hear(&mut target, 5), b"hello");
        drop((client, target));
        let record = ended(&records);
        assert_eq!((record.client, record.bytes_to_target), (Some(source), 5));
        stop(engine);
    }
}

/// A UNIX socket has no address, and none is made up.
pub(crate) fn who_has_no_address_is_introduced_as_nobody(driver: Driver) {
    for send_proxy in [SendProxy::V1, SendProxy::V2] {
        let (engine, intake, records) = start_on(driver, Listener { send_proxy, ..terms() });
        let ((mut client, one), (other, mut target)) = (unix_pair(), unix_pair());
        intake.hand_over(HandOver::new(0, one.into(), other.into())).expect("room");
        client.write_all(b"hello").expect("written");
        let (header, origin) = header_of(&mut target);
        assert!(is_begun_by(send_proxy, &header), "{header:?}");
        assert!(!matches!(origin, Origin::Stream(_)), "{origin:?}");
        assert_eq!(hear(&mut target, 5), b"hello");
        drop((client, target));
        assert_eq!(ended(&records).client, None);
        stop(engine);
    }
}

/// Terms on which a header comes first.
fn behind_proxies() -> Listener {
    Listener {
        proxy_protocol: ProxyProtocol::Required,
        proxy_from: AddressSet::parse(&["127.0.0.0/8"]).expect("a network"),
        send_proxy: SendProxy::V1,
        ..terms()
    }
}

const TOLD: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.9 4711 5900\r\n";

/// The host may have read it, half of it, or none. Any of several workers believes it, and tells the target.
pub(crate) fn who_comes_through_a_proxy_is_whom_that_tells_of(driver: Driver) {
    let config = Config { engine: config::Engine::default(), listeners: vec![behind_proxies()] };
    let plan = Plan { workers: 3, config: Arc::new(config), ..plan(driver) };
    let (engine, _, records) = start_plan(plan);
    let intake = engine.intake();
    let said = [TOLD, b"hello"].concat();
    for read in [0, 1, 9, TOLD.len(), said.len()] {
        let ((mut client, one), (other, mut target)) = (pair(), unix_pair());
        let from_client = said[..read].to_vec();
        let handed = HandOver { from_client, ..HandOver::new(0, one.into(), other.into()) };
        intake.hand_over(handed).expect("room");
        client.write_all(&said[read..]).expect("written");
        let source: SocketAddr = ([192, 0, 2, 7], 4711).into();
        let (_, origin) = header_of(&mut target);
        assert!(matches!(origin, Origin::Stream(ends) if ends.source == source), "{origin:?}");
        assert_eq!(hear(&mut target, 5), b"hello");
        drop((client, target));
        assert_eq!(ended(&records).client, Some(source));
    }
    for mailbox in engine.mailboxes() {
        mailbox.post(Command::Stop).expect("room");
    }
    engine.join();
}

/// Of a client without an address nobody knows whether it is a proxy; what is no header is none.
pub(crate) fn who_is_no_proxy_is_not_believed(driver: Driver) {
    let (engine, intake, records) = start_on(driver, behind_proxies());
    let refused = |one: OwnedFd, said: &[u8]| {
        let (other, mut target) = unix_pair();
        let from_client = said.to_vec();
        intake
            .hand_over(HandOver { from_client, ..HandOver::new(0, one, other.into()) })
            .expect("room");
        assert_eq!(target.read(&mut [0; 1]).expect("an end"), 0, "it heard of that");
        let record = ended(&records);
        let (phase, cause) = (record.reason.phase, record.reason.cause);
        assert_eq!((phase, cause), (Phase::ProxyHeader, Cause::BadProxyHeader));
        record.detail.expect("it is said why")
    };
    let (_near, one) = unix_pair();
    assert_eq!(&*refused(one.into(), TOLD), "its address is not in proxy_from");
    let (_near, one) = pair();
    refused(one.into(), b"RFB 003.008\n");
    stop(engine);
}
