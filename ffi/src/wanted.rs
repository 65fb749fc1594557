//! What a tunnel is to be: options of the host's in, values of the engine's out, or which of them is wrong.

use std::os::fd::OwnedFd;
use std::time::Duration;

use penstock_core::config::{Config, HalfClose};
use penstock_core::intake::{HandOver, OwnTerms, Timer, Why};
use penstock_core::target::Target;
use penstock_core::websocket::Payload;

use crate::descriptors::is_terminal;
use crate::edge::{self, Answer, Refusal};
use crate::running::Running;
use crate::status::penstock_status::{self, *};
use crate::tunnel::{penstock_half_close, penstock_tunnel_options, penstock_web_socket};
use crate::version::PENSTOCK_NEVER;

/// Bytes that were read ahead, at most.
pub(crate) const EARLY: usize = 64 << 10;
/// Longer than any process lives.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// What a tunnel is to be, but for its descriptors.
pub(crate) struct Wanted {
    terms: u16,
    web_socket: Option<Payload>,
    from_client: Vec<u8>,
    from_target: Vec<u8>,
    heartbeat: Option<Duration>,
    target_name: Option<Box<str>>,
    own: OwnTerms,
    cookie: u64,
}

impl Wanted {
    /// As the options say; none: plain streams.
    ///
    /// # Safety
    /// Their pointers are what the header says.
    pub(crate) unsafe fn of(
        options: Option<&penstock_tunnel_options>,
        running: &Running,
    ) -> Answer<Wanted> {
        let Some(options) = options else { return Ok(Wanted::plain(running)) };
        edge::ensure_reserved(options.reserved, "options")?;
        // SAFETY: the caller's promise.
        let (terms, name, from_client, from_target) = unsafe {
            (
                edge::text(options.terms, "options->terms")?,
                edge::text(options.target_name, "options->target_name")?,
                edge::bytes(
                    options.client_early,
                    options.client_early_length,
                    EARLY,
                    "options->client_early",
                )?,
                edge::bytes(
                    options.target_early,
                    options.target_early_length,
                    EARLY,
                    "options->target_early",
                )?,
            )
        };
        let terms = terms.map(|name| index_of(&running.config, &name)).transpose()?;
        let wanted = Wanted {
            terms: terms.unwrap_or(running.plain_terms),
            web_socket: web_socket(options.web_socket)?,
            from_client,
            from_target,
            heartbeat: (options.heartbeat_ms > 0).then(|| span(options.heartbeat_ms)),
            target_name: name.map(Into::into),
            own: OwnTerms {
                idle: timer(options.idle_ms),
                lifetime: timer(options.lifetime_ms),
                half_close: half_close(options.half_close)?,
            },
            cookie: options.user_data as u64,
        };
        wanted.ensure_provable(&running.config)?;
        Ok(wanted)
    }

    fn plain(running: &Running) -> Wanted {
        Wanted {
            terms: running.plain_terms,
            web_socket: None,
            from_client: Vec::new(),
            from_target: Vec::new(),
            heartbeat: None,
            target_name: None,
            own: OwnTerms::default(),
            cookie: 0,
        }
    }

    /// That TLS with the target, if the terms have it from the first byte on, can come to something.
    fn ensure_provable(&self, config: &Config) -> Answer {
        let terms =
            config.listeners.get(usize::from(self.terms)).filter(|terms| terms.vnc.is_none());
        let Some(tls) = terms.and_then(|terms| terms.upstream_tls.as_ref()) else { return Ok(()) };
        if tls.not_to_sockets {
            return Ok(());
        }
        if !self.from_target.is_empty() {
            let words = "the terms have `upstream_tls`: what was read of the target before its TLS (`target_early`) would be somebody's between";
            return Err(Refusal::new(PENSTOCK_TERMS, words));
        }
        let is_reached_by_name = self.target_name.as_ref().is_some_and(|name| {
            matches!(Target::parse(&format!("tcp://{name}")), Ok(Target::Tcp(_)))
        });
        if tls.server_name.is_none() && !is_reached_by_name {
            let words = "the terms have `upstream_tls` without `server_name`, and `options->target_name` is no host:port: nobody could be proven";
            return Err(Refusal::new(PENSTOCK_TERMS, words));
        }
        Ok(())
    }

    pub(crate) fn with(self, [client, target]: [OwnedFd; 2], running: &Running) -> HandOver {
        let Wanted { mut own, .. } = self;
        // A terminal has no end that could be passed on: then the usual is the other one.
        if self.terms == running.plain_terms && own.half_close.is_none() && is_terminal(&target) {
            own.half_close = Some(HalfClose::Close);
        }
        HandOver {
            listener: self.terms,
            client,
            target,
            from_client: self.from_client,
            from_target: self.from_target,
            web_socket: self.web_socket,
            heartbeat: self.heartbeat,
            target_name: self.target_name,
            own,
            cookie: self.cookie,
        }
    }
}

/// The listener of a name.
pub(crate) fn index_of(config: &Config, name: &str) -> Answer<u16> {
    let index = config.listeners.iter().position(|listener| *listener.name == *name);
    index.map(|index| index as u16).ok_or_else(|| {
        Refusal::new(PENSTOCK_NO_LISTENER, format!("the configuration has no listener `{name}`"))
    })
}

fn invalid<T>(field: &str, number: u32, of: &str) -> Answer<T> {
    let words = format!("`options->{field}` is {number}: expected one of {of}");
    Err(Refusal::new(PENSTOCK_INVALID, words))
}

fn web_socket(number: u32) -> Answer<Option<Payload>> {
    const NONE: u32 = penstock_web_socket::None as u32;
    const BINARY: u32 = penstock_web_socket::Binary as u32;
    const BASE64: u32 = penstock_web_socket::Base64 as u32;
    match number {
        NONE => Ok(None),
        BINARY => Ok(Some(Payload::Binary)),
        BASE64 => Ok(Some(Payload::Base64)),
        other => invalid("web_socket", other, "penstock_web_socket"),
    }
}

fn half_close(number: u32) -> Answer<Option<HalfClose>> {
    const DEFAULT: u32 = penstock_half_close::Default as u32;
    const CLOSE: u32 = penstock_half_close::Close as u32;
    const FORWARD: u32 = penstock_half_close::Forward as u32;
    match number {
        DEFAULT => Ok(None),
        CLOSE => Ok(Some(HalfClose::Close)),
        FORWARD => Ok(Some(HalfClose::Forward)),
        other => invalid("half_close", other, "penstock_half_close"),
    }
}

fn span(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds).min(LONGEST)
}

fn timer(milliseconds: u64) -> Timer {
    match milliseconds {
        0 => Timer::Terms,
        PENSTOCK_NEVER => Timer::Never,
        other => Timer::After(span(other)),
    }
}

/// What a refusal of the engine's is called.
pub(crate) fn status_of(why: Why) -> penstock_status {
    match why {
        Why::NoSuchTerms => PENSTOCK_NO_LISTENER,
        Why::NoStream => PENSTOCK_NO_STREAM,
        Why::TooLate | Why::NeverEnds => PENSTOCK_TERMS,
        Why::Full => PENSTOCK_FULL,
        Why::Busy => PENSTOCK_BUSY,
        Why::Stopped => PENSTOCK_STOPPED,
    }
}
