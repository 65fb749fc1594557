//! Consoles of a run: what listeners serve, and what stands behind each browser's token.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use penstock_core::close::Cause;
use penstock_core::config::{
    Console, ConsoleTarget, Destination, Door, Listener, Service, TokenSource, Tokens, Web,
};
use penstock_core::console::{Origins, Token};
use penstock_core::control::{Place, TokenFault};
use penstock_core::http::Target;
use penstock_core::policy::{AccessLists, Kind, ListBuilder, Rules};

use crate::sim::answers::Manner;
use crate::sim::browser::{PORTAL, auth};
use crate::sim::doors::Opening;
use crate::sim::population::Population;
use crate::sim::random::Random;
use crate::sim::targets;
use crate::sim::tokens::Judgement;
use crate::sim::wish::CLOSED_PORT;
use crate::sim::world::World;

/// A listener's consoles, of that target or by token.
pub fn choose(fixed: Destination, random: &mut Random) -> Service {
    let tokens = Tokens {
        source: TokenSource::FileName(PathBuf::from("/sim/tokens")),
        timeout: Duration::from_secs(random.pick(&[1, 3])),
        single_use: false,
        bind_client: false,
        expiry: None,
    };
    let to = match random.percent(60) {
        true => ConsoleTarget::Tokens(Arc::new(tokens)),
        false => ConsoleTarget::Fixed(fixed),
    };
    let by_token = matches!(to, ConsoleTarget::Tokens(_));
    let asks = random.percent(20);
    Service::Console(Box::new(Console {
        web: random.percent(50).then(|| Arc::new(Web::Directory(PathBuf::from("/sim/web")))),
        heartbeat: random
            .pick(&[None, Some(1), Some(1), Some(5), Some(30)])
            .map(Duration::from_secs),
        origins: Origins::listed([PORTAL]).expect("it is an origin"),
        auth: asks.then(auth),
        web_auth: asks && random.percent(50),
        host_token: by_token && random.percent(20),
        silent: by_token && random.percent(15),
        ..Console::new(to)
    }))
}

/// The same, of targets that are handed over.
pub fn handed_over(random: &mut Random) -> Service {
    let Service::Forward(destination) = Service::handed_over() else {
        unreachable!("what is handed over is forwarded");
    };
    let Service::Console(mut console) = choose(destination.clone(), random) else {
        unreachable!("consoles were chosen");
    };
    (console.host_token, console.silent) = (false, false);
    console.to = ConsoleTarget::Fixed(destination);
    Service::Console(console)
}

/// The consoles that a listener serves.
pub fn of(listener: &Listener) -> Option<&Console> {
    match &listener.service {
        Service::Console(console) => Some(console),
        Service::Connect | Service::Forward(_) => None,
    }
}

/// Whether tokens say where to.
pub fn by_token(service: &Service) -> bool {
    matches!(service, Service::Console(console) if matches!(console.to, ConsoleTarget::Tokens(_)))
}

/// How long a token may take, with the moment that control has to say that it took longer; or the host, which is asked in its place.
pub fn token_time(listener: &Listener) -> Duration {
    if let Some(policy) = listener.asks_host {
        return policy.timeout;
    }
    match &listener.service {
        Service::Console(console) => match &console.to {
            ConsoleTarget::Tokens(tokens) => tokens.timeout + Duration::from_secs(1),
            ConsoleTarget::Fixed(_) => Duration::ZERO,
        },
        Service::Connect | Service::Forward(_) => Duration::ZERO,
    }
}

/// What tokens may name.
pub fn rules() -> Rules {
    let mut lists = AccessLists::new();
    let mut add = |name: &str, kind: Kind, value: &str| {
        let mut list = ListBuilder::new();
        list.add(kind, &[value]).expect("it is right");
        lists.insert(name, list.build().expect("it has values")).expect("the name is free");
    };
    add("far", Kind::Dst, "192.168.0.0/16");
    add("closed", Kind::Port, &CLOSED_PORT.to_string());
    Rules::parse(&["deny closed", "deny far", "allow all"], &lists).expect("they are rules")
}

/// The token of a client: what it names, and what that explains.
pub fn token(
    number: usize,
    population: &mut Population,
    world: &mut World,
    random: &mut Random,
) -> (String, Vec<Cause>) {
    let token = format!("t{number}.token.sim");
    let delay = Duration::from_micros(random.pick(&[10, 10, 2_000, 400_000, 2_000_000, 9_000_000]));
    let lost = random.percent(5);
    let (result, mut explains) = match random.below(8) {
        0 => refused(random),
        1 | 2 => behind_door(number, &token, population, random),
        _ => {
            let target = targets::asked_for(number, population, world, random);
            let mut explains = target.explains;
            // What is on this host may be meant; there is nothing.
            if explains.contains(&Cause::LocalTarget) {
                explains.extend([Cause::Unreachable, Cause::Exhausted]);
            }
            let target = Target::parse(&target.text, false).expect("it is a target");
            (Ok(Place::Network(target)), explains)
        }
    };
    let manner = Manner { delay, lost };
    if manner.is_slow() {
        explains.push(Cause::TokenLookupFailed);
    }
    population.tokens.known.insert(token.clone(), Judgement { result, manner });
    (token, explains)
}

fn refused(random: &mut Random) -> (Result<Place, TokenFault>, Vec<Cause>) {
    let why = random.pick(&[
        TokenFault::Unknown,
        TokenFault::Expired,
        TokenFault::Used,
        TokenFault::OtherPage,
        TokenFault::NoPlace,
        TokenFault::Unavailable,
    ]);
    let cause = match why {
        TokenFault::Unavailable => Cause::TokenLookupFailed,
        TokenFault::OtherPage => Cause::OriginRefused,
        _ => Cause::TokenRefused,
    };
    (Err(why), vec![cause])
}

fn behind_door(
    number: usize,
    token: &str,
    population: &mut Population,
    random: &mut Random,
) -> (Result<Place, TokenFault>, Vec<Cause>) {
    let folder = PathBuf::from("/sim/sockets");
    let (place, door) = match random.percent(50) {
        true => {
            let path = folder.join(token);
            (Place::Unix(path.clone()), Door::Unix(vec![path]))
        }
        false => {
            let name = Token(token.to_owned());
            let door = Door::Within { folder: folder.clone(), name: name.clone() };
            (Place::Within { folder, name }, door)
        }
    };
    let (opening, explains) = targets::opening(random);
    population.doors.plans.insert(2 * number, (Arc::new(door), opening));
    (Ok(place), explains)
}

/// What will come of a browser's question for pages, if it has one; what that explains.
pub fn pages(number: usize, population: &mut Population, random: &mut Random) -> Vec<Cause> {
    let (opening, explains): (Opening, _) = targets::opening(random);
    population.doors.webs.insert(2 * number, opening);
    explains
}
