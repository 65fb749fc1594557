//! What clients want to reach, and what stands behind it: addresses, names and doors, good and bad.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use penstock_core::close::Cause;
use penstock_core::config::{Destination, Listener, Reach};
use penstock_core::control::ResolveError;
use penstock_core::http::{Host, Target as Network};
use penstock_ring::Errno;

use crate::sim::answers::Manner;
use crate::sim::doors::Opening;
use crate::sim::outside::Entry;
use crate::sim::population::Population;
use crate::sim::random::Random;
use crate::sim::tally::{Fault, count};
use crate::sim::wish::CLOSED_PORT;
use crate::sim::world::{Address, Door, World};

/// What a client's target is.
pub struct Target {
    /// As it is asked for; empty if it is not.
    pub text: String,
    /// Causes that it explains.
    pub explains: Vec<Cause>,
}

/// The target of a client that asks for one.
pub fn asked_for(
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
        world.addresses.insert(SocketAddr::new(ip, port), Address { host: Some(host), door });
    };
    let plain = |text: String| Target { text, explains: Vec::new() };
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
            Target { text: format!("{v4}:{port}"), explains: explained_by(door).to_vec() }
        }
        8 => Target { text: format!("10.210.0.1:{port}"), explains: vec![Cause::Unreachable] },
        9 => forbidden(port, random),
        _ => named(number, port, [v4, v6], host, population, world, random),
    }
}

fn forbidden(port: u16, random: &mut Random) -> Target {
    let (text, explains) = match random.below(4) {
        0 => (format!("127.0.0.1:{port}"), Cause::LocalTarget),
        1 => ("127.0.0.1:3128".to_owned(), Cause::Loop),
        2 => (format!("10.200.0.1:{CLOSED_PORT}"), Cause::AccessDenied),
        _ => (format!("192.168.7.7:{port}"), Cause::AccessDenied),
    };
    Target { text, explains: vec![explains] }
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
    let manner = Manner { delay, lost: random.percent(5) };
    let mut entry = Entry { addresses: Ok(Vec::new()), manner };
    let slow = manner.is_slow();
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
            let addresses = mixed(number, port, good, host, world, random);
            // Bad addresses may use up the time to connect.
            if addresses.len() > good.len() {
                explains = late;
            }
            entry.addresses = Ok(addresses);
        }
    }
    population.resolver.names.insert(name.clone().into(), entry);
    Target { text: format!("{name}:{port}"), explains: explains.to_vec() }
}

/// Up to three addresses that are no good, and among them those that are.
fn mixed(
    number: usize,
    port: u16,
    good: [IpAddr; 2],
    host: usize,
    world: &mut World,
    random: &mut Random,
) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    let mut stand = |ip: IpAddr, door: Door| {
        world.addresses.insert(SocketAddr::new(ip, port), Address { host: Some(host), door });
    };
    for last in 0..random.below(4) as u8 {
        let bad = IpAddr::from([10, 201, number as u8, last]);
        stand(bad, bad_door(random));
        addresses.push(bad);
    }
    for ip in good {
        stand(ip, Door::Open(slowness(random)));
        addresses.insert(random.below(addresses.len() + 1), ip);
    }
    addresses
}

/// Sets up the one target of a listener, if it is none that its clients name, which belongs to whoever called: what it explains.
pub fn of_listener(
    listener: &Listener,
    population: &mut Population,
    world: &mut World,
) -> Vec<Cause> {
    let Some(Destination { reach: Reach::Network(target), .. }) = listener.service.destination()
    else {
        return Vec::new();
    };
    let mut random = world.random.clone();
    let good = random.percent(85);
    let door = if good { Door::Open(slowness(&mut random)) } else { bad_door(&mut random) };
    let Network { host, port } = target;
    let mut explains = explained_by(door).to_vec();
    let ip = match host {
        Host::Name(name) => {
            let delay = Duration::from_micros(random.pick(&[10, 2_000, 400_000, 5_000_000]));
            let ip = IpAddr::from([10, 203, 1, *port as u8]);
            let manner = Manner { delay, lost: random.percent(5) };
            let entry = Entry { addresses: Ok(vec![ip]), manner };
            if manner.is_slow() {
                explains.extend([Cause::NameLookupFailed, Cause::ConnectTimeout]);
            }
            population.resolver.names.insert(name.as_str().into(), entry);
            ip
        }
        Host::V4(ip) => (*ip).into(),
        Host::V6(ip) => (*ip).into(),
    };
    world.addresses.insert(SocketAddr::new(ip, *port), Address { host: None, door });
    world.random = random;
    explains
}

/// What will come of a client's question for the door of its listener, if there is one; what that explains.
pub fn behind_door(
    number: usize,
    listener: &Listener,
    population: &mut Population,
    random: &mut Random,
) -> Vec<Cause> {
    let Some(Destination { reach: Reach::Door(door), .. }) = listener.service.destination() else {
        return Vec::new();
    };
    let (opening, explains) = opening(random);
    population.doors.plans.insert(2 * number, (Arc::clone(door), opening));
    explains
}

/// What comes of a question for a door, and what that explains.
pub fn opening(random: &mut Random) -> (Opening, Vec<Cause>) {
    let shut = random.percent(15).then(|| {
        random.pick(&[
            (Errno::ECONNREFUSED, Cause::ConnectRefused),
            (Errno::ENOENT, Cause::Unreachable),
            (Errno::EBUSY, Cause::InUse),
            (Errno::EMFILE, Cause::Exhausted),
        ])
    });
    let delay =
        Duration::from_micros(random.pick(&[10, 10, 2_000, 400_000, 5_000_000, 20_000_000]));
    let manner = Manner { delay, lost: random.percent(5) };
    let opening = Opening { shut: shut.map(|(errno, _)| errno), manner };
    let mut explains: Vec<Cause> = shut.map(|(_, cause)| cause).into_iter().collect();
    if manner.is_slow() {
        explains.push(Cause::ConnectTimeout);
    }
    (opening, explains)
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
