//! What a configuration means, in words, for `penstock check`.

use std::fmt::{self, Write};
use std::time::Duration;

use penstock_core::config::{
    Address, Config, Engine, HalfClose, HostPolicy, IdleScope, Listener, ProxyProtocol,
    RecordFormat, Recording, SendProxy,
};
use penstock_core::ring::{Driver, PoolSizes, SpliceMode};

use crate::{AccessFormat, Settings};

mod console;
mod reach;
mod vnc;

/// Describes what would be served, with every default filled in.
pub fn explain(settings: &Settings) -> String {
    let mut text = String::new();
    // Writing into a String can't fail.
    let _ = write_settings(&mut text, settings);
    text
}

fn write_settings(to: &mut String, settings: &Settings) -> fmt::Result {
    let Settings { config: Config { engine, listeners }, log, admin, needs_host: _ } = settings;
    write_engine(to, engine)?;
    writeln!(to, "log\n  messages: {:?} and worse, to standard error", log.level)?;
    match &log.access {
        None => writeln!(to, "  access log: none")?,
        Some(access) => {
            let format = match access.format {
                AccessFormat::Squid => "Squid's native format",
                AccessFormat::Json => "JSON",
            };
            let to_where = match access.path.to_str() {
                Some("-") => "standard output".to_owned(),
                _ => access.path.display().to_string(),
            };
            writeln!(to, "  access log: {to_where}, in {format}")?;
        }
    }
    match admin {
        None => writeln!(to, "admin\n  none: no metrics are shown")?,
        Some(address) => {
            writeln!(to, "admin\n  http://{address}/ (metrics, health, ready, tunnels)")?
        }
    }
    listeners.iter().try_for_each(|listener| write_listener(to, listener))
}

fn write_engine(to: &mut String, engine: &Engine) -> fmt::Result {
    let workers = engine.workers.map_or("one per core".to_owned(), |n| n.to_string());
    let driver = match engine.driver {
        None => "io_uring where the kernel allows it, otherwise epoll",
        Some(Driver::Uring) => "io_uring, or no start",
        Some(Driver::Epoll) => "epoll",
    };
    let splice = match engine.splice {
        SpliceMode::Inline => "on the worker, after readiness",
        SpliceMode::Ring => "by IORING_OP_SPLICE where the driver is io_uring",
        SpliceMode::Off => "never: every byte is copied",
    };
    let tunnels =
        engine.max_tunnels.map_or("from the descriptor limit".to_owned(), |n| n.to_string());
    writeln!(to, "engine\n  workers: {workers}\n  driver: {driver}\n  splice: {splice}")?;
    let (memory, per_direction) = (bytes(engine.memory), bytes(engine.per_direction));
    writeln!(to, "  memory: {memory} a worker, {per_direction} a direction")?;
    let PoolSizes { reserve, small, record, bulk } = PoolSizes::of_memory(engine.memory);
    writeln!(
        to,
        "  buffers of a worker: {small} of 4KiB, {record} of 18KiB and {bulk} of 256KiB, {reserve} for requests"
    )?;
    writeln!(to, "  tunnels at most: {tunnels}")?;
    let whether = |span_given: Duration| match span_given.is_zero() {
        true => "off".to_owned(),
        false => span(span_given),
    };
    let (gather, busy_poll) = (whether(engine.gather), whether(engine.busy_poll));
    writeln!(
        to,
        "  bulk is gathered for at most: {gather}; busy polling before sleep: {busy_poll}"
    )?;
    writeln!(to, "  after SIGTERM tunnels live on for {}", span(engine.drain_timeout))?;
    writeln!(
        to,
        "  TCP keepalive: {}; unacknowledged bytes: {}",
        span_or(engine.socket.keepalive, "off"),
        span_or(engine.socket.user_timeout, "the system's limit"),
    )
}

fn write_listener(to: &mut String, listener: &Listener) -> fmt::Result {
    writeln!(to, "listen `{}`\n  service: {}", listener.name, listener.service)?;
    for address in &listener.addresses {
        write_address(to, address)?;
    }
    reach::write(to, listener)?;
    if listener.proxy_protocol == ProxyProtocol::Required {
        writeln!(to, "  clients must send a PROXY header, and only those in proxy_from may")?;
    }
    match listener.send_proxy {
        SendProxy::Off => {}
        SendProxy::V1 => writeln!(to, "  targets get a PROXY header, version 1")?,
        SendProxy::V2 => writeln!(to, "  targets get a PROXY header, version 2")?,
    }
    if let Some(Recording { path, format }) = &listener.record {
        let format = match format {
            RecordFormat::Websockify => "websockify's format",
            RecordFormat::Asciicast => "asciicast v2",
        };
        writeln!(to, "  recorded: to {}.NUMBER, in {format}", path.display())?;
    }
    let half_close = match listener.half_close {
        HalfClose::Close => "the end of one direction ends the tunnel, after a flush",
        HalfClose::Forward => "the end of one direction is passed on, the other lives",
    };
    let scope = match listener.idle_scope {
        IdleScope::Tunnel => "by its own traffic",
        IdleScope::ClientAndTarget => "by traffic between the same client and target",
    };
    let timeouts = &listener.timeouts;
    writeln!(to, "  half close: {half_close}")?;
    writeln!(
        to,
        "  time-outs: request {}, connect {} (status {}), idle {} (kept alive {scope}), lifetime {}",
        span(timeouts.handshake),
        span(timeouts.connect),
        listener.connect_timeout_status,
        span_or(timeouts.idle, "off"),
        span_or(timeouts.lifetime, "off"),
    )?;
    if let Some(HostPolicy { timeout }) = listener.asks_host {
        writeln!(to, "  the host is asked about each client, and has {} to answer", span(timeout))?;
    }
    if listener.strict_target {
        writeln!(to, "  unbracketed IPv6 targets are refused")?;
    }
    writeln!(to, "  access, the first line that matches decides:")?;
    listener.rules.explain().iter().try_for_each(|line| writeln!(to, "    {line}"))
}

fn write_address(to: &mut String, address: &Address) -> fmt::Result {
    let Address::Unix(socket) = address else { return writeln!(to, "  address: {address}") };
    let whose = |id: Option<u32>| id.map_or("ours".to_owned(), |id| id.to_string());
    let (owner, group) = (whose(socket.owner), whose(socket.group));
    writeln!(to, "  address: {address}, mode {:04o}, owner {owner}, group {group}", socket.mode)
}

fn span_or(span_given: Option<Duration>, otherwise: &str) -> String {
    span_given.map_or(otherwise.to_owned(), span)
}

fn span(span: Duration) -> String {
    let microseconds = span.as_micros();
    let seconds = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let seconds = seconds.map(|(seconds, name)| (seconds * 1_000_000, name));
    let whole = seconds
        .into_iter()
        .chain([(1000, "ms")])
        .find(|(unit, _)| microseconds.is_multiple_of(*unit) && microseconds > 0);
    whole.map_or(format!("{microseconds}us"), |(unit, name)| {
        format!("{}{name}", microseconds / unit)
    })
}

fn bytes(bytes: usize) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let whole = units.into_iter().find(|(unit, _)| bytes.is_multiple_of(*unit) && bytes > 0);
    whole.map_or(format!("{bytes} bytes"), |(unit, name)| format!("{}{name}", bytes / unit))
}
