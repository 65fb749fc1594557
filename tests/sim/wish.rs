//! What the clients of a run ask for: requests of every sort, through TLS or not, and how they and their targets behave.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use penstock_core::close::Cause;
use penstock_core::config::{ProxyProtocol, SendProxy, Service};
use penstock_proto::proxy_protocol::{Endpoints, HeaderV2, encode_v1};

use crate::sim::client::{Client, Leave, Pieces, Wish};
use crate::sim::kit::{ClientKind, ServerKind};
use crate::sim::listeners;
use crate::sim::manner::SLOW;
use crate::sim::origin::Origin;
use crate::sim::population::Population;
use crate::sim::random::Random;
use crate::sim::scenario::Choices;
use crate::sim::secure::Word;
use crate::sim::secured;
use crate::sim::talker::{Burst, Ending, Plan};
use crate::sim::targets::{self, Target};
use crate::sim::world::World;

/// The port that our rules refuse.
pub const CLOSED_PORT: u16 = 25;
/// The client network whose PROXY headers are trusted begins so.
pub const TRUSTED: &str = "10.0.0.0/9";

/// Adds one client, and all that belongs to it.
pub fn add(number: usize, choices: &Choices, population: &mut Population, world: &mut World) {
    let mut random = world.random.clone();
    let listener = random.below(choices.config.listeners.len());
    let settings = &choices.config.listeners[listener];
    let keys = secured::keys(settings, &mut random);
    let address = client_address(number, random.percent(5));
    let told =
        SocketAddr::from(([172, 16, (number >> 8) as u8, number as u8], 30_000 + number as u16));
    let has_header = settings.proxy_protocol == ProxyProtocol::Required;
    let (mut request, mut explains) = match settings.service {
        Service::Connect => {
            let target = targets::asked_for(number, population, world, &mut random);
            let (bytes, explains) = request(target, &mut random);
            (Some(bytes), explains)
        }
        Service::Forward(_) => {
            let of_listener = choices.forwarding[listener].clone();
            let own = targets::behind_door(number, settings, population, &mut random);
            (None, [of_listener, own].concat())
        }
    };
    let client = secured::client(listener, choices, &mut explains, &mut random);
    let target = secured::target(listener, choices, &mut explains, &mut random);
    let mut header = Vec::new();
    if has_header {
        header = self::header(told, &mut random);
        if random.percent(8) {
            header = b"PROXY TCP4 nonsense\r\n".to_vec();
        }
        if header.starts_with(b"PROXY TCP4 n") || !is_trusted(address) {
            explains = vec![Cause::BadProxyHeader];
        }
    }
    let stops = random.percent(5) && stop(&mut header, &mut request, &mut explains, &mut random);
    let ways = Ways { listener, address, has_header, told, client, target, keys, stops };
    let bytes = (header, request);
    let (origin, wish) = ways.plan(number, choices, explains, bytes, &mut random);
    world.random = random;
    population.origins.push(origin);
    population.clients.push(Client::new(2 * number, wish, keys, world));
}

/// It stops in mid-request, and says no more. False if there is nothing to stop in.
fn stop(
    header: &mut Vec<u8>,
    request: &mut Option<Vec<u8>>,
    explains: &mut Vec<Cause>,
    random: &mut Random,
) -> bool {
    let whole = header.len() + request.as_ref().map_or(0, Vec::len);
    if whole == 0 {
        return false;
    }
    let at = random.below(whole);
    let in_header = at < header.len();
    if let Some(request) = request {
        request.truncate(at.saturating_sub(header.len()));
    }
    header.truncate(at);
    explains.extend([
        Cause::HandshakeTimeout,
        Cause::BadProxyHeader,
        Cause::BadRequest,
        Cause::TooLarge,
    ]);
    in_header
}

/// What is known of a client before its plan is made.
struct Ways {
    listener: usize,
    address: SocketAddr,
    has_header: bool,
    told: SocketAddr,
    client: Option<ClientKind>,
    target: Option<(ServerKind, Word)>,
    keys: [u64; 2],
    stops: bool,
}

impl Ways {
    fn plan(
        &self,
        number: usize,
        choices: &Choices,
        explains: Vec<Cause>,
        (header, request): (Vec<u8>, Option<Vec<u8>>),
        random: &mut Random,
    ) -> (Origin, Wish) {
        let (listener, keys) = (self.listener, self.keys);
        let settings = &choices.config.listeners[listener];
        let client_first = random.percent(50);
        let origin_first = !client_first || random.percent(20);
        let fair = random.percent(50) && explains.is_empty();
        // Payload behind half a head would be taken for the rest of it.
        let whole = !explains.contains(&Cause::HandshakeTimeout);
        let leaves = !fair && random.percent(25);
        let leave = [Leave::Finish, Leave::Close, Leave::Reset, Leave::Vanish];
        let longest = Duration::from_millis(random.pick(&[2, 2, 50, 3_000]));
        let (header, request) =
            (pieces(header, random), request.map(|bytes| pieces(bytes, random)));
        let asked: Vec<_> = header.iter().chain(request.iter().flatten()).collect();
        let gaps: Duration = asked.iter().map(|(gap, _)| *gap + choices.temper.turn).sum();
        let asked = asked.iter().map(|(_, bytes)| bytes.len()).sum();
        let latest = Duration::from_millis(random.pick(&[10, 2_000, 20_000]));
        let mut plans = [client_first, origin_first].map(|first| Plan::of(random, first, fair));
        let deaf = random.percent(choices.deaf);
        if deaf {
            fall_deaf(&mut plans, random);
        }
        secured::spare(settings, keys, &mut plans);
        let seat = secured::Seat { listener, choices, keys, fair };
        let client = self.client.map(|kind| seat.client(kind, &plans[0], random));
        let target = self.target.map(|kind| seat.target(kind, &plans[1], random));
        let sealing =
            client.as_ref().map_or(Duration::ZERO, |client| client.manner.time_for(asked));
        let [client_plan, origin_plan] = plans;
        let wish = Wish {
            listener,
            address: self.address,
            start: random.span(latest),
            is_slow: gaps + sealing > SLOW,
            header,
            secure: client,
            request,
            stops: self.stops,
            eager: if whole { random.pick(&[0, 0, 0, 10, 5_000, 70_000, 300_000]) } else { 0 },
            leave: leaves.then(|| (random.span(longest), random.pick(&leave))),
            explains,
            is_told_in_words: listeners::is_terminal(&settings.service),
            plan: client_plan,
        };
        let client = if self.has_header { self.told } else { self.address };
        let origin = Origin {
            host: 2 * number + 1,
            plan: origin_plan,
            keys: [keys[1], keys[0]],
            header_of: (settings.send_proxy != SendProxy::Off).then_some(client),
            secure: target,
            talkers: Vec::new(),
            greeting: Vec::new(),
        };
        (origin, wish)
    }
}

/// An origin that never reads, and a client with much to tell it.
fn fall_deaf([client, origin]: &mut [Plan; 2], random: &mut Random) {
    origin.ending = Ending::Deaf(0);
    // As much as nobody can hold, or just as much as somewhere on the way can be held.
    let bytes = if random.percent(50) { 2_000_000 } else { random.between(8_000, 800_000) };
    client.bursts = vec![Burst { bytes, piece: 1 << 20, ..Burst::default() }];
    client.ending = Ending::FinishFirst;
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
fn request(target: Target, random: &mut Random) -> (Vec<u8>, Vec<Cause>) {
    let version = random.pick(&["1.1", "1.0"]);
    let Target { text, explains } = target;
    let padding = "X-Filler: ".to_owned() + &"x".repeat(random.pick(&[0, 0, 10, 3_000, 20_000]));
    let good = format!("CONNECT {text} HTTP/{version}\r\nHost: {text}\r\n{padding}\r\n\r\n");
    match random.below(30) {
        0 => (
            good.replace("CONNECT", "GET").into_bytes(),
            vec![Cause::MethodRefused, Cause::BadRequest],
        ),
        1 => (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 no TLS here\r\n\r\n".to_vec(),
            // Where TLS is expected, a part of a record.
            vec![Cause::BadRequest, Cause::TlsFailed, Cause::HandshakeTimeout],
        ),
        2 => (good.replace(':', "").into_bytes(), vec![Cause::BadRequest]),
        3 => (
            good.replace("Host", &"H".repeat(70_000)).into_bytes(),
            vec![Cause::TooLarge, Cause::BadRequest],
        ),
        4 => (
            good.replace("Host", &"A: b\r\n".repeat(120)).into_bytes(),
            vec![Cause::TooLarge, Cause::BadRequest],
        ),
        5 => (Vec::from([b'\n']), vec![Cause::HandshakeTimeout]),
        _ => (good.into_bytes(), explains),
    }
}

fn pieces(bytes: Vec<u8>, random: &mut Random) -> Pieces {
    let size = random.pick(&[usize::MAX, usize::MAX, 1, 40, 1_000]);
    let size = size.max(bytes.len() / 50).max(1);
    let most = Duration::from_millis(random.pick(&[0, 1, 20, 400]));
    bytes.chunks(size).map(|piece| (random.span(most), piece.to_vec())).collect()
}
