//! What the clients of a run ask for, and what stands behind it: requests of every sort, addresses, names and doors.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use penstock_core::close::Cause;
use penstock_core::config::{ProxyProtocol, SendProxy};
use penstock_core::control::ResolveError;
use penstock_proto::proxy_protocol::{Endpoints, HeaderV2, encode_v1};

use crate::sim::client::{Client, Leave, Wish};
use crate::sim::origin::Origin;
use crate::sim::outside::Entry;
use crate::sim::population::Population;
use crate::sim::random::Random;
use crate::sim::scenario::Choices;
use crate::sim::talker::{Burst, Ending, Plan};
use crate::sim::tally::{Fault, count};
use crate::sim::world::{Address, Door, World};

/// The port that our rules refuse.
pub const CLOSED_PORT: u16 = 25;
/// The client network whose PROXY headers are trusted begins so.
pub const TRUSTED: &str = "10.0.0.0/9";

/// What a client's target is.
struct Target {
    text: String,
    explains: &'static [Cause],
}

/// Adds one client, and all that belongs to it.
pub fn add(number: usize, choices: &Choices, population: &mut Population, world: &mut World) {
    let mut random = world.random.clone();
    let listener = random.below(choices.config.listeners.len());
    let keys = [random.bits(), random.bits()];
    let fair = random.percent(50);
    let client_first = random.percent(50);
    let address = client_address(number, random.percent(5));
    let told =
        SocketAddr::from(([172, 16, (number >> 8) as u8, number as u8], 30_000 + number as u16));
    let settings = &choices.config.listeners[listener];
    let has_header = settings.proxy_protocol == ProxyProtocol::Required;
    let target = target(number, population, world, &mut random);
    let (mut bytes, mut explains) = request(&target, &mut random);
    if has_header {
        let mut header = header(told, &mut random);
        if random.percent(8) {
            header = b"PROXY TCP4 nonsense\r\n".to_vec();
            explains = &[Cause::BadProxyHeader];
        }
        bytes.splice(..0, header);
        if !is_trusted(address) {
            explains = &[Cause::BadProxyHeader];
        }
    }
    if random.percent(5) {
        // It stops in mid-request, and says no more.
        bytes.truncate(random.below(bytes.len()));
        explains =
            &[Cause::HandshakeTimeout, Cause::BadProxyHeader, Cause::BadRequest, Cause::TooLarge];
    }
    // Payload behind half a head would be taken for the rest of it.
    let whole = !explains.contains(&Cause::HandshakeTimeout);
    let fair = fair && explains.is_empty();
    let leaves = !fair && random.percent(25);
    let leave = [Leave::Finish, Leave::Close, Leave::Reset, Leave::Vanish];
    let longest = Duration::from_millis(random.pick(&[2, 2, 50, 3_000]));
    let pieces = pieces(bytes, &mut random);
    let latest = Duration::from_millis(random.pick(&[10, 2_000, 20_000]));
    let origin_first = !client_first || random.percent(20);
    let mut wish = Wish {
        listener,
        address,
        start: random.span(latest),
        is_slow: pieces.iter().map(|(gap, _)| *gap).sum::<Duration>() > Duration::from_millis(800),
        pieces,
        eager: if whole { random.pick(&[0, 0, 0, 10, 5_000, 70_000, 300_000]) } else { 0 },
        leave: leaves.then(|| (random.span(longest), random.pick(&leave))),
        explains,
        plan: Plan::of(&mut random, client_first, fair),
    };
    let mut origin = Origin {
        host: 2 * number + 1,
        plan: Plan::of(&mut random, origin_first, fair),
        keys: [keys[1], keys[0]],
        header_of: (settings.send_proxy != SendProxy::Off).then_some(if has_header {
            told
        } else {
            address
        }),
        talkers: Vec::new(),
        greeting: Vec::new(),
    };
    if random.percent(choices.deaf) {
        fall_deaf(&mut origin, &mut wish, &mut random);
    }
    world.random = random;
    population.origins.push(origin);
    population.clients.push(Client::new(2 * number, wish, keys, world));
}

/// An origin that never reads, and a client with much to tell it.
fn fall_deaf(origin: &mut Origin, wish: &mut Wish, random: &mut Random) {
    origin.plan.ending = Ending::Deaf(0);
    // As much as nobody can hold, or just as much as somewhere on the way can be held.
    let bytes = if random.percent(50) { 2_000_000 } else { random.between(8_000, 800_000) };
    wish.plan.bursts = vec![Burst { bytes, piece: 1 << 20, ..Burst::default() }];
    wish.plan.ending = Ending::FinishFirst;
}

/// The client that an address belongs to: its own, or the one its PROXY header tells of.
pub fn number_of(address: SocketAddr) -> Option<usize> {
    match address.port() {
        port @ 20_000..30_000 => Some(usize::from(port) - 20_000),
        port @ 30_000..40_000 => Some(usize::from(port) - 30_000),
        _ => None,
    }
}

fn client_address(number: usize, stranger: bool) -> SocketAddr {
    let second = if stranger { 222 } else { 1 };
    SocketAddr::from(([10, second, (number >> 8) as u8, number as u8], 20_000 + number as u16))
}

fn is_trusted(address: SocketAddr) -> bool {
    matches!(address.ip(), IpAddr::V4(ip) if ip.octets()[1] < 128)
}

fn header(told: SocketAddr, random: &mut Random) -> Vec<u8> {
    let endpoints =
        Some(Endpoints { source: told, destination: SocketAddr::from(([10, 9, 9, 9], 3128)) });
    let mut header = Vec::new();
    if random.percent(50) {
        encode_v1(endpoints, &mut header);
    } else {
        let v2 = HeaderV2 { endpoints, authority: None, unique_id: Some(b"sim"), checksum: true };
        v2.encode(&mut header).expect("it is short");
    }
    header
}

/// The request, and what it explains besides what its target does.
fn request(target: &Target, random: &mut Random) -> (Vec<u8>, &'static [Cause]) {
    let version = random.pick(&["1.1", "1.0"]);
    let Target { text, explains } = target;
    let padding = "X-Filler: ".to_owned() + &"x".repeat(random.pick(&[0, 0, 10, 3_000, 20_000]));
    let good = format!("CONNECT {text} HTTP/{version}\r\nHost: {text}\r\n{padding}\r\n\r\n");
    match random.below(30) {
        0 => (
            good.replace("CONNECT", "GET").into_bytes(),
            &[Cause::MethodRefused, Cause::BadRequest],
        ),
        1 => (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 no TLS here\r\n\r\n".to_vec(),
            &[Cause::BadRequest],
        ),
        2 => (good.replace(':', "").into_bytes(), &[Cause::BadRequest]),
        3 => (
            good.replace("Host", &"H".repeat(70_000)).into_bytes(),
            &[Cause::TooLarge, Cause::BadRequest],
        ),
        4 => (
            good.replace("Host", &"A: b\r\n".repeat(120)).into_bytes(),
            &[Cause::TooLarge, Cause::BadRequest],
        ),
        5 => (Vec::from([b'\n']), &[Cause::HandshakeTimeout]),
        _ => (good.into_bytes(), explains),
    }
}

fn pieces(bytes: Vec<u8>, random: &mut Random) -> VecDeque<(Duration, Vec<u8>)> {
    let size = random.pick(&[usize::MAX, usize::MAX, 1, 40, 1_000]);
    let size = size.max(bytes.len() / 50).max(1);
    let most = Duration::from_millis(random.pick(&[0, 1, 20, 400]));
    bytes.chunks(size).map(|piece| (random.span(most), piece.to_vec())).collect()
}

fn target(
    number: usize,
    population: &mut Population,
    world: &mut World,
    random: &mut Random,
) -> Target {
    let host = 2 * number + 1;
    let port = 5_900 + random.below(10) as u16;
    let v4 = IpAddr::from([10, 200, (number >> 8) as u8, number as u8]);
    let v6 = IpAddr::from(Ipv6Addr::from([0xfd00, 0, 0, 0, 0, 0, 0, number as u16 + 1]));
    let mut open = |ip: IpAddr, door: Door| {
        world.addresses.insert(SocketAddr::new(ip, port), Address { host, door });
    };
    let plain = |text: String| Target { text, explains: &[] };
    match random.below(17) {
        0..4 => {
            open(v4, Door::Open(slowness(random)));
            plain(format!("{v4}:{port}"))
        }
        4 => {
            open(v6, Door::Open(slowness(random)));
            plain(format!("[{v6}]:{port}"))
        }
        5 => {
            open(v6, Door::Open(slowness(random)));
            plain(format!("{v6}:{port}"))
        }
        6 | 7 => {
            let door = bad_door(random);
            open(v4, door);
            Target { text: format!("{v4}:{port}"), explains: explained_by(door) }
        }
        8 => Target { text: format!("10.210.0.1:{port}"), explains: &[Cause::Unreachable] },
        9 => forbidden(port, random),
        _ => named(number, port, [v4, v6], host, population, world, random),
    }
}

fn forbidden(port: u16, random: &mut Random) -> Target {
    let (text, explains): (String, &'static [Cause]) = match random.below(4) {
        0 => (format!("127.0.0.1:{port}"), &[Cause::LocalTarget]),
        1 => ("127.0.0.1:3128".to_owned(), &[Cause::Loop]),
        2 => (format!("10.200.0.1:{CLOSED_PORT}"), &[Cause::AccessDenied]),
        _ => (format!("192.168.7.7:{port}"), &[Cause::AccessDenied]),
    };
    Target { text, explains }
}

/// A name with up to six addresses, of which some are no good, or with none.
fn named(
    number: usize,
    port: u16,
    good: [IpAddr; 2],
    host: usize,
    population: &mut Population,
    world: &mut World,
    random: &mut Random,
) -> Target {
    let name = format!("h{number}.test");
    let delay =
        Duration::from_micros(random.pick(&[10, 2_000, 400_000, 400_000, 5_000_000, 20_000_000]));
    let mut entry = Entry { addresses: Ok(Vec::new()), delay, lost: random.percent(5) };
    let slow = entry.lost || delay > Duration::from_secs(1);
    let late: &'static [Cause] = &[Cause::NameLookupFailed, Cause::ConnectTimeout];
    let mut explains: &'static [Cause] = if slow { late } else { &[] };
    match random.below(8) {
        0 => {
            entry.addresses = Err(random.pick(&[ResolveError::NotFound, ResolveError::Failed]));
            explains = &[Cause::NameNotFound, Cause::NameLookupFailed];
        }
        1 => {
            entry.addresses = Ok(vec![IpAddr::from([127, 0, 0, 1])]);
            explains = &[Cause::LocalTarget, Cause::NameLookupFailed];
        }
        _ => {
            let mut addresses = Vec::new();
            for last in 0..random.below(4) as u8 {
                let bad = IpAddr::from([10, 201, number as u8, last]);
                let door = bad_door(random);
                world.addresses.insert(SocketAddr::new(bad, port), Address { host, door });
                addresses.push(bad);
            }
            // Bad addresses may use up the time to connect.
            if !addresses.is_empty() {
                explains = late;
            }
            for ip in good {
                let door = Door::Open(slowness(random));
                world.addresses.insert(SocketAddr::new(ip, port), Address { host, door });
                let at = random.below(addresses.len() + 1);
                addresses.insert(at, ip);
            }
            entry.addresses = Ok(addresses);
        }
    }
    population.resolver.names.insert(name.clone().into(), entry);
    Target { text: format!("{name}:{port}"), explains }
}

fn slowness(random: &mut Random) -> Duration {
    let slow = random.percent(20);
    if slow {
        count(Fault::ConnectSlow);
    }
    random.span(Duration::from_millis(if slow { 600 } else { 5 }))
}

fn bad_door(random: &mut Random) -> Door {
    let span = random.span(Duration::from_millis(300));
    random.pick(&[Door::Refuse(span), Door::Unreachable(span), Door::NoRoute, Door::Lost])
}

fn explained_by(door: Door) -> &'static [Cause] {
    match door {
        Door::Open(_) => &[],
        Door::Refuse(_) => &[Cause::ConnectRefused],
        Door::NoRoute | Door::Unreachable(_) => &[Cause::Unreachable],
        Door::Lost => &[Cause::ConnectTimeout],
    }
}
