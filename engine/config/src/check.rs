//! What the values of a file must be beside one another, and what the engine is told.

use std::net::SocketAddr;
use std::time::Duration;

use penstock_core::config::{self, Address, Config, Door, Listener, Reach};
use penstock_core::ring::{Driver, SocketOptions, SpliceMode};
use toml::Spanned;

use crate::access;
use crate::error::Fault;
use crate::file::{self, Engine, File, Listen};
use crate::listener::listener;
use crate::value::{Place, Size, SpanOrOff};
use crate::{AccessLog, Log, Settings};

/// A pool has four buffers of each kind at least. Those that are touched, where there are so few, are a little more than this.
const MEMORY_MIN: usize = 32 << 10;
/// One small buffer.
const PER_DIRECTION_MIN: usize = 4 << 10;
/// For what delays bulk, or keeps a core from its sleep.
const SHORT_MAX: Duration = Duration::from_millis(10);
/// The worker's number in a tunnel's id has 8 bits.
const WORKERS_MAX: usize = 256;

/// Checks everything, in the order of the file.
pub(crate) fn settings(file: File) -> Result<Settings, Fault> {
    let admin = file.admin.map(|admin| admin.listen);
    let engine = engine(&file.engine)?;
    let lists = access::lists(&file.acl)?;
    distinct(&file.listen, admin.as_ref().map(|address| (address.span(), address.get_ref().0)))?;
    let listeners =
        file.listen.iter().map(|listen| listener(listen, &lists, file.engine.tls_provider));
    let listeners = listeners.collect::<Result<Vec<_>, _>>()?;
    ends_elsewhere(&file.listen, &listeners)?;
    if listeners.is_empty() {
        let message = "nothing to serve: expected at least one [[listen]]".to_owned();
        return Err(Fault { range: None, message });
    }
    let access =
        file.log.access.map(|access| AccessLog { path: access.path, format: access.format });
    Ok(Settings {
        config: Config { engine, listeners },
        log: Log { level: file.log.level, access },
        admin: admin.map(|address| address.get_ref().0),
        needs_host: None,
    })
}

fn engine(table: &Engine) -> Result<config::Engine, Fault> {
    let Size(memory) = *table.memory.get_ref();
    let Size(per_direction) = *table.per_direction.get_ref();
    if memory < MEMORY_MIN {
        let message = format!("expected at least 32KiB for a worker's pool, got {memory} bytes");
        return Err(Fault::at(table.memory.span(), message));
    }
    if !(PER_DIRECTION_MIN..=memory).contains(&per_direction) {
        let message = format!(
            "expected `per_direction` of 4KiB or more and no more than `memory` ({memory} bytes), got {per_direction} bytes"
        );
        // A default stands nowhere in the file: then it is `memory` that was set too small.
        let is_default = table.per_direction.span().is_empty();
        let culprit = if is_default { &table.memory } else { &table.per_direction };
        return Err(Fault::at(culprit.span(), message));
    }
    let workers = table.workers.get_ref().0;
    if workers.is_some_and(|number| number > WORKERS_MAX) {
        let message = format!("expected at most {WORKERS_MAX} workers");
        return Err(Fault::at(table.workers.span(), message));
    }
    Ok(config::Engine {
        workers,
        driver: match table.driver {
            file::Driver::Auto => None,
            file::Driver::Uring => Some(Driver::Uring),
            file::Driver::Epoll => Some(Driver::Epoll),
        },
        splice: match table.splice {
            file::Splice::Auto | file::Splice::Inline => SpliceMode::Inline,
            file::Splice::Ring => SpliceMode::Ring,
            file::Splice::Off => SpliceMode::Off,
        },
        memory,
        per_direction,
        max_tunnels: table.max_tunnels.0,
        drain_timeout: table.drain_timeout.0,
        gather: short(&table.gather)?,
        busy_poll: short(&table.busy_poll)?,
        tls: table.tls_provider.chosen(),
        socket: socket(table)?,
    })
}

/// A wait that nobody should notice; `off` is zero.
fn short(value: &Spanned<SpanOrOff>) -> Result<Duration, Fault> {
    let span = value.get_ref().0.unwrap_or_default();
    if span > SHORT_MAX {
        return Err(Fault::at(value.span(), r#"expected at most "10ms", or "off""#));
    }
    Ok(span)
}

fn socket(table: &Engine) -> Result<SocketOptions, Fault> {
    let keepalive = table.keepalive.get_ref().0;
    // TCP_KEEPIDLE counts whole seconds up to 32767.
    if keepalive.is_some_and(|span| span.subsec_nanos() != 0 || span.as_secs() > 32_767) {
        let message = r#"expected whole seconds up to 32767 ("9h"), or "off""#;
        return Err(Fault::at(table.keepalive.span(), message));
    }
    Ok(SocketOptions { keepalive, user_timeout: table.user_timeout.0 })
}

/// Nobody forwards to one of these listeners: each connection would make another one.
fn ends_elsewhere(listen: &[Listen], listeners: &[Listener]) -> Result<(), Fault> {
    let own: Vec<&Address> = listeners.iter().flat_map(|listener| &listener.addresses).collect();
    for (listen, listener) in listen.iter().zip(listeners) {
        let Some(destination) = listener.service.destination() else { continue };
        let is_own = |address: &&&Address| match &destination.reach {
            Reach::Network(target) => address.tcp().is_some_and(|tcp| {
                (target.host.address(), target.port) == (Some(tcp.ip()), tcp.port())
            }),
            Reach::Door(door) => match &**door {
                Door::Unix(paths) => {
                    address.unix().is_some_and(|own| paths.iter().any(|path| path == own))
                }
                Door::Within { .. }
                | Door::Terminal(_)
                | Door::Command(_)
                | Door::Web { .. }
                | Door::Demo
                | Door::KubeVirt(_) => false,
            },
            Reach::HandedOver => false,
        };
        if let (Some(address), Some(target)) = (own.iter().find(is_own), &listen.target) {
            let message = format!(
                "{address} is listened on in this file: a connection would come back to us"
            );
            return Err(Fault::at(target.span(), message));
        }
    }
    Ok(())
}

/// Names and addresses must not occur twice.
fn distinct(
    listen: &[Listen],
    admin: Option<(std::ops::Range<usize>, SocketAddr)>,
) -> Result<(), Fault> {
    let mut names: Vec<&str> = Vec::new();
    let mut addresses: Vec<Place> = admin.iter().map(|(_, address)| Place::Tcp(*address)).collect();
    for one in listen {
        let name = one.name.get_ref().as_str();
        if name.is_empty() || names.contains(&name) {
            let message = format!("expected a name of its own for each [[listen]], got `{name}`");
            return Err(Fault::at(one.name.span(), message));
        }
        names.push(name);
        for address in one.places() {
            if addresses.contains(address) {
                let message = format!("{address} is listened on twice in this file");
                return Err(Fault::at(one.places_at(), message));
            }
            addresses.push(address.clone());
        }
    }
    Ok(())
}
