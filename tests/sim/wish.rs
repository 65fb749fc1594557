//! What the clients of a run ask for: requests of every sort, through TLS or not, and how they and their targets behave.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use penstock_core::close::Cause;
use penstock_core::config::{Console, ConsoleTarget, Listener, ProxyProtocol, SendProxy, Service};
use penstock_proto::proxy_protocol::{Endpoints, HeaderV2, encode_v1};

use crate::sim::browser::{self, Browser};
use crate::sim::client::{Client, Leave, Wish};
use crate::sim::consoles;
use crate::sim::errands::{self, Errand};
use crate::sim::framing::Framing;
use crate::sim::kit::{ClientKind, Recipe, ServerKind};
use crate::sim::listeners;
use crate::sim::login::{Pace, Part};
use crate::sim::looks::Looks;
use crate::sim::manner::SLOW;
use crate::sim::origin::Origin;
use crate::sim::pieces::Pieces;
use crate::sim::plan::{Burst, Ending, Plan};
use crate::sim::policy;
use crate::sim::population::Population;
use crate::sim::random::Random;
use crate::sim::scenario::Choices;
use crate::sim::secure::Word;
use crate::sim::secured;
use crate::sim::targets::{self, Target};
use crate::sim::vnc::{self, Meeting};
use crate::sim::web::Serving;
use crate::sim::world::World;

/// The port that our rules refuse.
pub const CLOSED_PORT: u16 = 25;
/// The client network whose PROXY headers are trusted begins so.
pub const TRUSTED: &str = "10.0.0.0/9";

/// Adds one client, and all that belongs to it.
pub fn add(number: usize, choices: &Choices, population: &mut Population, world: &mut World) {
    let mut random = world.random.clone();
    let is_handed = number >= choices.callers;
    let asking = Asking::of(number, choices, population, world, &mut random);
    let keys = asking.keys;
    let (origin, mut wish) = asking.plan(number, choices, &mut random);
    if is_handed {
        let settings = &choices.config.listeners[wish.listener];
        let errand = Errand::of(number, &mut wish, settings, &mut random);
        wish.handed_by = Some((population.around.host, !errand.is_unnamed));
        wish.explains.extend(errand.injects.then_some(Cause::Injected));
        population.around.errands.push(errand);
    }
    world.random = random;
    population.origins.push(origin);
    population.clients.push(Client::new(2 * number, wish, keys, world));
}

/// Who a client is and what it says until its tunnel stands, before anything is known of what it does then.
struct Asking {
    listener: usize,
    address: SocketAddr,
    /// The address that its PROXY header tells of.
    told: SocketAddr,
    header: Vec<u8>,
    request: Option<Vec<u8>>,
    browser: Option<Browser>,
    client: Option<ClientKind>,
    target: Option<(ServerKind, Word)>,
    meeting: Option<Meeting>,
    /// Of the client's stream, and of the target's.
    keys: [u64; 2],
    explains: Vec<Cause>,
    stops: bool,
}

impl Asking {
    fn of(
        number: usize,
        choices: &Choices,
        population: &mut Population,
        world: &mut World,
        random: &mut Random,
    ) -> Asking {
        let is_handed = number >= choices.callers;
        let listener = match is_handed {
            true => listeners::HANDED + random.below(listeners::COUNT - listeners::HANDED),
            false => random.below(listeners::HANDED),
        };
        let settings = &choices.config.listeners[listener];
        let keys = secured::keys(settings, random);
        let address = client_address(number, random.percent(5));
        let told = [172, 16, (number >> 8) as u8, number as u8];
        let told = SocketAddr::from((told, 30_000 + number as u16));
        let (request, mut explains) = match settings.service {
            Service::Connect => {
                let target = targets::asked_for(number, population, world, random);
                request(target, random)
            }
            Service::Forward(_) => {
                let own = targets::behind_door(number, settings, population, random);
                (Vec::new(), [choices.forwarding[listener].clone(), own].concat())
            }
            Service::Console(_) => (Vec::new(), choices.forwarding[listener].clone()),
        };
        explains.extend(policy::decide(number, settings, population, random));
        let browser = consoles::of(settings).map(|console| {
            browse(number, console, settings, &mut explains, population, world, random)
        });
        let (request, browser) = match browser {
            Some(browser::Asking { bytes, browser, .. }) => (bytes, Some(browser)),
            None if is_handed => (request, errands::upgraded(settings, random)),
            None => (request, None),
        };
        let client = secured::client(listener, choices, &mut explains, random);
        let meeting = vnc::meet(number, settings, client.is_some(), population, random);
        explains.extend(meeting.iter().flat_map(|meeting| &meeting.explains));
        let mut asking = Asking {
            listener,
            address,
            told,
            header: Vec::new(),
            request: (!matches!(settings.service, Service::Forward(_))).then_some(request),
            browser,
            client,
            meeting,
            target: secured::target(listener, choices, &mut explains, random),
            keys,
            explains,
            stops: false,
        };
        if settings.proxy_protocol == ProxyProtocol::Required {
            asking.introduce(random);
        }
        asking.stops = random.percent(5) && asking.stop(random);
        asking
    }

    /// The PROXY header, or nonsense.
    fn introduce(&mut self, random: &mut Random) {
        self.header = header(self.told, random);
        let nonsense = random.percent(8);
        if nonsense {
            self.header = b"PROXY TCP4 nonsense\r\n".to_vec();
        }
        if nonsense || !is_trusted(self.address) {
            self.explains = vec![Cause::BadProxyHeader];
        }
    }

    /// It stops in mid-request, and says no more. False if it does not stop in the header.
    fn stop(&mut self, random: &mut Random) -> bool {
        let whole = self.header.len() + self.request.as_ref().map_or(0, Vec::len);
        if whole == 0 {
            return false;
        }
        let at = random.below(whole);
        let in_header = at < self.header.len();
        if let Some(request) = &mut self.request {
            request.truncate(at.saturating_sub(self.header.len()));
        }
        self.header.truncate(at);
        // Frames behind half a head would be taken for the rest of it.
        self.browser.iter_mut().for_each(|browser| browser.console = false);
        self.explains.extend([
            Cause::HandshakeTimeout,
            Cause::BadProxyHeader,
            Cause::BadRequest,
            Cause::TooLarge,
        ]);
        in_header
    }

    /// What the client does, and the target that belongs to it.
    fn plan(mut self, number: usize, choices: &Choices, random: &mut Random) -> (Origin, Wish) {
        let Asking { listener, keys, .. } = self;
        let meeting = self.meeting.take();
        let settings = &choices.config.listeners[listener];
        let client_first = random.percent(50);
        let origin_first = !client_first || random.percent(20);
        let fair = random.percent(50) && self.explains.is_empty();
        let leaves = !fair && random.percent(25);
        let longest = Duration::from_millis(random.pick(&[2, 2, 50, 3_000]));
        let said = Said {
            header: pieces(&self.header, random),
            request: self.request.as_ref().map(|bytes| pieces(bytes, random)),
            latest: Duration::from_millis(random.pick(&[10, 2_000, 20_000])),
            leaves_after: leaves.then_some(longest),
        };
        let mut plans = [client_first, origin_first].map(|first| Plan::of(random, first, fair));
        if random.percent(choices.deaf) {
            fall_deaf(&mut plans, random);
        }
        secured::spare(settings, keys, &mut plans);
        let seat = secured::Seat { listener, choices, keys, fair };
        let client = self.client.map(|kind| seat.client(kind, &plans[0], random));
        let target = self.target.map(|kind| seat.target(kind, &plans[1], random));
        let framing = self.browser.map(|browser| {
            let framing = Framing::of(random, plans[0].total(), browser.base64, fair);
            (browser, framing)
        });
        let [client_plan, origin_plan] = plans;
        let serving = Serving::of(random, fair);
        let mut origin = self.origin(number, settings, (origin_plan, serving), target);
        let mut wish = self.wish(choices, said, client_plan, client, random);
        wish.browser = framing;
        if let Some(meeting) = meeting {
            log_in(meeting, settings, (&mut wish, &mut origin), (fair, choices), random);
        }
        (origin, wish)
    }

    fn origin(
        &self,
        number: usize,
        settings: &Listener,
        (plan, serving): (Plan, Serving),
        secure: Option<Recipe>,
    ) -> Origin {
        let has_header = settings.proxy_protocol == ProxyProtocol::Required;
        let client = if has_header { self.told } else { self.address };
        Origin {
            host: 2 * number + 1,
            plan,
            keys: [self.keys[1], self.keys[0]],
            header_of: (settings.send_proxy != SendProxy::Off).then_some(client),
            secure,
            vnc: None,
            looks: None,
            talkers: Vec::new(),
            web: Vec::new(),
            serving,
            greeting: Vec::new(),
        }
    }

    fn wish(
        self,
        choices: &Choices,
        said: Said,
        plan: Plan,
        secure: Option<Recipe>,
        random: &mut Random,
    ) -> Wish {
        // Payload behind half a head would be taken for the rest of it.
        let whole = !self.explains.contains(&Cause::HandshakeTimeout);
        let leave = [Leave::Finish, Leave::Close, Leave::Reset, Leave::Vanish];
        let service = &choices.config.listeners[self.listener].service;
        Wish {
            listener: self.listener,
            handed_by: None,
            address: self.address,
            start: random.span(said.latest),
            is_slow: said.time(choices.temper.turn, secure.as_ref()) > SLOW,
            header: said.header,
            secure,
            vnc: None,
            looks: None,
            login_fails: Vec::new(),
            request: said.request,
            browser: None,
            stops: self.stops,
            eager: if whole { random.pick(&[0, 0, 0, 10, 5_000, 70_000, 300_000]) } else { 0 },
            leave: said.leaves_after.map(|most| (random.span(most), random.pick(&leave))),
            explains: self.explains,
            is_told_in_words: listeners::is_terminal(service),
            plan,
        }
    }
}

/// Both sides log in before anything else, and speak TLS within that, if at all.
fn log_in(
    meeting: Meeting,
    settings: &Listener,
    (wish, origin): (&mut Wish, &mut Origin),
    (fair, choices): (bool, &Choices),
    random: &mut Random,
) {
    let paces = [Pace::of(random, fair), Pace::of(random, fair)];
    if paces.iter().any(|pace| pace.time(choices.temper.turn) > SLOW) {
        wish.explains.push(Cause::HandshakeTimeout);
    }
    let [pace, of_server] = paces;
    if settings.vnc.as_ref().is_some_and(|vnc| vnc.view_only) {
        for burst in &mut wish.plan.bursts {
            burst.bytes = burst.bytes.min(20_000);
        }
        let looks = Looks::of(wish.plan.total() as usize, fair, random);
        wish.explains.extend(looks.unknown.map(|_| Cause::UnknownMessage));
        (wish.looks, origin.looks) = (Some(Arc::clone(&looks)), Some(looks));
    }
    let within = wish.secure.take_if(|_| vnc::has_tls_within(settings));
    wish.vnc = Some(Part { party: meeting.viewer, pace, within });
    (wish.login_fails, wish.eager) = (meeting.fails, 0);
    let within = origin.secure.take();
    origin.vnc = Some(Part { party: meeting.server, pace: of_server, within });
}

/// What a browser asks for, where it is led then, and what that explains.
fn browse(
    number: usize,
    console: &Console,
    settings: &Listener,
    explains: &mut Vec<Cause>,
    population: &mut Population,
    world: &mut World,
    random: &mut Random,
) -> browser::Asking {
    let (token, of_target) = match console.to {
        ConsoleTarget::Tokens(_) => consoles::token(number, population, world, random),
        ConsoleTarget::Fixed(_) => {
            (String::new(), targets::behind_door(number, settings, population, random))
        }
    };
    let asking = browser::ask(console, &token, random);
    if asking.browser.pages > 0 {
        explains.extend(consoles::pages(number, population, random));
    }
    explains.extend(of_target);
    explains.extend_from_slice(&asking.explains);
    asking
}

/// What a client says until its tunnel stands, piece by piece.
struct Said {
    header: Pieces,
    request: Option<Pieces>,
    /// When it begins, at the latest.
    latest: Duration,
    /// It does not wait for the tunnel longer than this.
    leaves_after: Option<Duration>,
}

impl Said {
    /// How long all of it may take, where each piece may have to wait for a turn of the world.
    fn time(&self, turn: Duration, secure: Option<&Recipe>) -> Duration {
        let pieces = self.header.iter().chain(self.request.iter().flatten());
        let piece = |(gap, bytes): &(Duration, Vec<u8>)| {
            let sealing = secure.map(|recipe| recipe.manner.time_to_seal(bytes.len()));
            *gap + turn + sealing.unwrap_or_default()
        };
        let agreeing = secure.map(|recipe| recipe.manner.time_to_agree());
        pieces.map(piece).sum::<Duration>() + agreeing.unwrap_or_default()
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

fn pieces(bytes: &[u8], random: &mut Random) -> Pieces {
    let size = random.pick(&[usize::MAX, usize::MAX, 1, 40, 1_000]);
    let size = size.max(bytes.len() / 50).max(1);
    let most = Duration::from_millis(random.pick(&[0, 1, 20, 400]));
    bytes.chunks(size).map(|piece| (random.span(most), piece.to_vec())).collect()
}
