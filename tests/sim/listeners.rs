//! The listeners of a run, as the seed configures them: three that serve CONNECT, two that forward, two with consoles, each with TLS or
//! without on either side; one of each of the latter that logs in at VNC servers; and one of each for what is handed over.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use penstock_core::config::{
    Address, Destination, Door, HalfClose, HostPolicy, IdleScope, Listener, ListenerTls,
    ProxyProtocol, Reach, SendProxy, Service, Timeouts, UpstreamTls,
};
use penstock_core::http::{Host, Target};
use penstock_core::libvirt::Command;
use penstock_core::policy::{AccessLists, AddressSet, Kind, ListBuilder, Rules};
use penstock_core::target::{Flow, Parity, Serial};
use penstock_tls::{
    Allowed, Client, ClientAuth, ClientFiles, ClientOptions, Implementation, MinVersion, Revoked,
    Server, ServerFiles, ServerOptions, Swap, Verify,
};

use crate::sim::certificates::{LISTED, Shown, TARGET, trusted};
use crate::sim::random::Random;
use crate::sim::{consoles, vnc, wish};

/// Listeners of a run.
pub const COUNT: usize = 11;
/// The first of those that forward.
pub const FORWARDING: usize = 3;
/// The first of those with consoles.
pub const CONSOLES: usize = 5;
/// The first of those that log in: one that forwards, one with consoles.
pub const LOGINS: usize = 7;
/// The first of those that listen nowhere, and take what is handed over: one that forwards, one with consoles.
pub const HANDED: usize = 9;
/// Plaintext that a record may carry.
const RECORD_MAX: usize = 1 << 14;

/// What is asked of clients in TLS.
#[derive(Clone, Copy, Debug)]
pub struct ClientTerms {
    /// Whether they show a certificate.
    pub auth: ClientAuth,
    /// Its subject has to be in a list.
    pub listed: bool,
    /// TLS 1.2 is refused.
    pub new_only: bool,
}

/// What is asked of targets in TLS, and shown to them.
#[derive(Clone, Copy, Debug)]
pub struct TargetTerms {
    /// Their certificate is looked at.
    pub verified: bool,
    /// It has to be the target's, by its name or its subject.
    pub named: bool,
    /// We have one to show.
    pub shows: bool,
    /// TLS 1.2 is refused.
    pub new_only: bool,
}

/// A listener, and what its configuration doesn't tell.
pub struct Chosen {
    /// Itself.
    pub listener: Listener,
    /// Where it speaks TLS with clients.
    pub clients: Option<ClientTerms>,
    /// Where it speaks TLS with targets.
    pub targets: Option<TargetTerms>,
}

/// The seed's choice; `plain`: nobody speaks TLS.
pub fn choose(index: u16, plain: bool, random: &mut Random) -> Chosen {
    let forwards = usize::from(index) >= FORWARDING;
    let seconds = |values: &[u64], random: &mut Random| Duration::from_secs(random.pick(values));
    let idle = random.percent(50).then(|| seconds(&[1, 5, 60], random));
    let lifetime = random.percent(25).then(|| seconds(&[1, 2, 20, 200], random));
    let (mut tls, clients) = client_side(random).filter(|_| !plain).unzip();
    let is_handed = usize::from(index) >= HANDED;
    let logs_in = usize::from(index) >= LOGINS && !is_handed;
    let is_console =
        usize::from(index) >= CONSOLES && ![LOGINS, HANDED].contains(&usize::from(index));
    let service = service(index, [is_handed, logs_in, is_console], random);
    // A program is a way to its target, TLS or not; it speaks none itself, nor does a terminal.
    let silent = is_program(&service) || is_terminal(&service);
    let secure = if logs_in { 100 } else { 45 };
    let target_side = target_side(secure, forwards, random).filter(|_| !plain && !silent);
    let half_close = random.pick(&[HalfClose::Close, HalfClose::Forward]);
    let (mut upstream_tls, targets) = target_side.unzip();
    if is_console || logs_in {
        tls.iter_mut().for_each(|tls: &mut ListenerTls| tls.libvirt = false);
        upstream_tls.iter_mut().for_each(|tls: &mut UpstreamTls| tls.libvirt = false);
    }
    let heartbeat = match &service {
        Service::Console(console) => console.heartbeat,
        Service::Connect | Service::Forward(_) => None,
    };
    let dead_peer = random.percent(75).then(|| 3 * heartbeat.unwrap_or(Duration::from_secs(1)));
    let has_header = if forwards { random.percent(30) } else { index == 1 };
    let few = random.percent(if forwards { 40 } else { 10 });
    let within = tls.is_some() && !is_console;
    let vnc = logs_in.then(|| vnc::choose(plain, within, random));
    let listener = Listener {
        name: format!("l{index}").into(),
        addresses: if is_handed { Vec::new() } else { address(index) },
        tls,
        upstream_tls,
        vnc,
        max_sessions: few.then(|| random.pick(&[1, 1, 3])),
        proxy_protocol: if has_header { ProxyProtocol::Required } else { ProxyProtocol::Off },
        proxy_from: AddressSet::parse(&[wish::TRUSTED]).expect("it is a network"),
        trusted_proxies: AddressSet::default(),
        record: None,
        send_proxy: random.pick(&[SendProxy::Off, SendProxy::Off, SendProxy::V1, SendProxy::V2]),
        rules: match forwards {
            true if consoles::by_token(&service) => consoles::rules(),
            true => all(),
            false => some(),
        },
        asks_host: (!is_handed && !consoles::by_token(&service) && random.percent(30))
            .then(|| HostPolicy { timeout: seconds(&[1, 3], random) }),
        // A terminal has no end that could be passed on.
        half_close: if is_terminal(&service) { HalfClose::Close } else { half_close },
        service,
        idle_scope: random.pick(&[IdleScope::Tunnel, IdleScope::ClientAndTarget]),
        timeouts: Timeouts {
            handshake: seconds(&[1, 10], random),
            connect: seconds(&[1, 10], random),
            idle,
            user_idle: (is_console && random.percent(15)).then(|| seconds(&[1, 5], random)),
            lifetime,
            dead_peer,
        },
        connect_timeout_status: random.pick(&[503, 504]),
        strict_target: false,
    };
    Chosen { listener, clients, targets }
}

fn address(index: u16) -> Vec<Address> {
    vec![Address::Tcp(([127, 0, 0, 1], 3128 + index).into())]
}

fn service(
    index: u16,
    [is_handed, logs_in, is_console]: [bool; 3],
    random: &mut Random,
) -> Service {
    match usize::from(index) >= FORWARDING {
        true if is_handed && !is_console => Service::handed_over(),
        true if is_handed => consoles::handed_over(random),
        true if logs_in && !is_console => Service::Forward(destination(index, 4, random)),
        true if is_console => consoles::choose(destination(index, 4, random), random),
        true => Service::Forward(destination(index, 6, random)),
        false => Service::Connect,
    }
}

/// Whether the target is a program, which has to say something soon.
pub fn is_program(service: &Service) -> bool {
    let Service::Forward(Destination { reach: Reach::Door(door), .. }) = service else {
        return false;
    };
    matches!(**door, Door::Command(_))
}

/// Whether the target is a terminal, whose users are told in words.
pub fn is_terminal(service: &Service) -> bool {
    let Service::Forward(Destination { reach: Reach::Door(door), .. }) = service else {
        return false;
    };
    matches!(**door, Door::Terminal(_))
}

/// The name by which TLS clients know a listener.
pub fn name(index: usize) -> String {
    format!("l{index}.listener.sim")
}

fn some() -> Rules {
    let mut lists = AccessLists::new();
    let mut add = |name: &str, kind: Kind, values: &[&str]| {
        let mut list = ListBuilder::new();
        list.add(kind, values).expect("they are right");
        lists.insert(name, list.build().expect("it has values")).expect("the name is free");
    };
    add("targets", Kind::Dst, &["10.0.0.0/8", "fd00::/8"]);
    add("loose", Kind::Dst, &["127.0.0.0/9"]);
    add("closed", Kind::Port, &[&wish::CLOSED_PORT.to_string()]);
    // The last line would allow the proxy's own host, if an address of it were named.
    let lines = ["deny closed", "allow targets", "deny !to_localhost", "allow CONNECT"];
    Rules::parse(&lines, &lists).expect("they are rules")
}

fn all() -> Rules {
    Rules::parse(&["allow all"], &AccessLists::new()).expect("it is a rule")
}

fn client_side(random: &mut Random) -> Option<(ListenerTls, ClientTerms)> {
    let terms = ClientTerms {
        auth: random.pick(&[
            ClientAuth::Off,
            ClientAuth::Off,
            ClientAuth::Optional,
            ClientAuth::Require,
        ]),
        listed: random.percent(50),
        new_only: random.percent(15),
    };
    let asks = terms.auth != ClientAuth::Off;
    let files = ServerFiles {
        cert: Vec::new(),
        key: Vec::new(),
        key_password_file: None,
        client_ca: None,
        crl: None,
        client_auth: terms.auth,
        allowed: (asks && terms.listed).then(|| Allowed::new([LISTED])),
        min_version: least(terms.new_only),
        alpn: Vec::new(),
        tickets: random.percent(80),
        implementation: random.pick(&[Implementation::AwsLc, Implementation::Ring]),
    };
    let (only, libvirt) = (random.percent(60), random.percent(25));
    random.percent(50).then(|| {
        let server = Swap::new(server(&files));
        (ListenerTls { server, files, only, libvirt }, terms)
    })
}

fn server(files: &ServerFiles) -> Server {
    let options = ServerOptions {
        identities: vec![Shown::Good.paper().identity()],
        client_auth: files.client_auth,
        client_authorities: (files.client_auth != ClientAuth::Off).then(trusted),
        revoked: Revoked::default(),
        allowed: files.allowed.clone(),
        min_version: files.min_version,
        alpn: Vec::new(),
        tickets: files.tickets,
        implementation: files.implementation,
    };
    Server::new(options).expect("the options are right")
}

fn target_side(
    secure: u32,
    forwards: bool,
    random: &mut Random,
) -> Option<(UpstreamTls, TargetTerms)> {
    let verify = match random.below(4) {
        0 => Verify::Off,
        1 => Verify::Authority,
        2 => Verify::Subject(Allowed::new([LISTED])),
        _ => Verify::Name,
    };
    let terms = TargetTerms {
        verified: !matches!(verify, Verify::Off),
        named: matches!(verify, Verify::Name | Verify::Subject(_)),
        shows: random.percent(60),
        new_only: random.percent(15),
    };
    let files = ClientFiles {
        ca: None,
        cert: None,
        key: None,
        key_password_file: None,
        crl: None,
        verify,
        min_version: least(terms.new_only),
        alpn: Vec::new(),
        implementation: random.pick(&[Implementation::AwsLc, Implementation::Ring]),
        by_common_name: Arc::default(),
    };
    let needs_name = forwards || matches!(files.verify, Verify::Name);
    let server_name = (random.percent(50) || needs_name).then(|| TARGET.into());
    let max_record = random.pick(&[RECORD_MAX, RECORD_MAX, 4096, 500, 1]);
    let libvirt = random.percent(25);
    random.percent(secure).then(|| {
        let client = Swap::new(client(&files, terms));
        let not_to_sockets = false;
        (UpstreamTls { client, files, server_name, max_record, libvirt, not_to_sockets }, terms)
    })
}

fn client(files: &ClientFiles, terms: TargetTerms) -> Client {
    let options = ClientOptions {
        authorities: terms.verified.then(trusted),
        verify: files.verify.clone(),
        revoked: Revoked::default(),
        identity: terms.shows.then(|| Shown::Good.paper().identity()),
        min_version: files.min_version,
        alpn: Vec::new(),
        implementation: files.implementation,
        by_common_name: Arc::default(),
    };
    Client::new(options).expect("the options are right")
}

fn least(new_only: bool) -> MinVersion {
    if new_only { MinVersion::Tls13 } else { MinVersion::Tls12 }
}

/// By an address, by a name, or behind a door: one of so many kinds.
fn destination(index: u16, kinds: usize, random: &mut Random) -> Destination {
    let port = 7_000 + index;
    let network = |host| Reach::Network(Target { host, port });
    let reach = match random.below(kinds) {
        0 | 1 => network(Host::V4([10, 203, 0, index as u8].into())),
        2 => network(Host::Name(format!("f{index}.test"))),
        3 => Reach::Door(Arc::new(Door::Unix(vec![PathBuf::from(format!("/sim/{index}"))]))),
        4 => Reach::Door(Arc::new(Door::Terminal(Serial {
            device: format!("/sim/tty{index}"),
            baud: 115_200,
            bits: 8,
            parity: Parity::None,
            stop: 1,
            flow: Flow::None,
        }))),
        _ => Reach::Door(Arc::new(Door::Command(Command {
            program: format!("sim{index}"),
            arguments: Vec::new(),
            environment: &[],
        }))),
    };
    Destination { text: format!("target {index}").into(), readonly: false, reach }
}
