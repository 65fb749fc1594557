//! The shape of the TOML file, key by key, with the defaults of what is left out.
//!
//! Values that mean something only beside others keep their place in the text, for the checks that come later.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use crate::console::{AuthTable, TokensTable};
use crate::tls::{Provider, Tls, Upstream};
use crate::value::{
    Address, Addresses, Auto, Mode, Name, NumberOrOff, Place, Size, Span, SpanOrOff, Word,
};
use crate::vnc::VncTable;
use crate::{AccessFormat, Level};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    #[serde(default)]
    pub(crate) engine: Engine,
    #[serde(default)]
    pub(crate) log: Log,
    pub(crate) admin: Option<Admin>,
    #[serde(default)]
    pub(crate) acl: BTreeMap<Spanned<String>, Acl>,
    #[serde(default)]
    pub(crate) listen: Vec<Listen>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Engine {
    pub(crate) workers: Spanned<Auto>,
    pub(crate) driver: Driver,
    pub(crate) splice: Splice,
    pub(crate) memory: Spanned<Size>,
    pub(crate) per_direction: Spanned<Size>,
    pub(crate) max_tunnels: Auto,
    pub(crate) drain_timeout: Span,
    pub(crate) gather: Spanned<SpanOrOff>,
    pub(crate) busy_poll: Spanned<SpanOrOff>,
    pub(crate) tls_provider: Provider,
    pub(crate) keepalive: Spanned<SpanOrOff>,
    pub(crate) user_timeout: SpanOrOff,
}

impl Default for Engine {
    fn default() -> Self {
        let half_minute = Duration::from_secs(30);
        Engine {
            workers: nowhere(Auto(None)),
            driver: Driver::Auto,
            splice: Splice::Auto,
            memory: nowhere(Size(64 << 20)),
            per_direction: nowhere(Size(64 << 10)),
            max_tunnels: Auto(None),
            drain_timeout: Span(half_minute),
            gather: nowhere(SpanOrOff(Some(Duration::from_millis(1)))),
            busy_poll: nowhere(SpanOrOff(None)),
            tls_provider: Provider::Auto,
            keepalive: nowhere(SpanOrOff(Some(half_minute))),
            user_timeout: SpanOrOff(None),
        }
    }
}

fn nowhere<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Driver {
    Auto,
    Uring,
    Epoll,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Splice {
    Auto,
    Inline,
    Ring,
    Off,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    pub(crate) level: Level,
    pub(crate) access: Option<Access>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Access {
    pub(crate) path: PathBuf,
    #[serde(default)]
    pub(crate) format: AccessFormat,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Admin {
    pub(crate) listen: Spanned<Address>,
}

/// Values by kind. Values of one kind are alternatives; all kinds named must match.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Acl {
    pub(crate) src: Option<Values>,
    pub(crate) dst: Option<Values>,
    pub(crate) dstdomain: Option<Values>,
    pub(crate) port: Option<Values>,
    pub(crate) localport: Option<Values>,
    pub(crate) method: Option<Values>,
    pub(crate) time: Option<Values>,
}

pub(crate) type Values = Spanned<Vec<Spanned<Word>>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listen {
    pub(crate) name: Spanned<String>,
    pub(crate) address: Option<Spanned<Addresses>>,
    pub(crate) mode: Option<Spanned<Mode>>,
    pub(crate) owner: Option<Spanned<Name>>,
    pub(crate) group: Option<Spanned<Name>>,
    pub(crate) service: Spanned<Service>,
    pub(crate) policy: Option<Spanned<Policy>>,
    pub(crate) target: Option<Spanned<String>>,
    pub(crate) readonly: Option<Spanned<bool>>,
    pub(crate) unauthenticated: Option<Spanned<bool>>,
    pub(crate) tls: Option<Spanned<Tls>>,
    pub(crate) tls_only: Option<Spanned<bool>>,
    pub(crate) libvirt: Option<Spanned<bool>>,
    pub(crate) upstream_tls: Option<Spanned<Upstream>>,
    pub(crate) vnc: Option<Spanned<VncTable>>,
    pub(crate) max_sessions: Option<NumberOrOff>,
    pub(crate) tokens: Option<Spanned<TokensTable>>,
    pub(crate) web: Option<Spanned<String>>,
    pub(crate) auth: Option<Spanned<AuthTable>>,
    pub(crate) web_auth: Option<Spanned<bool>>,
    pub(crate) origins: Option<Spanned<Vec<String>>>,
    pub(crate) allowed_origins: Option<Spanned<Vec<String>>>,
    pub(crate) trusted_proxies: Option<Values>,
    pub(crate) host_token: Option<Spanned<bool>>,
    pub(crate) heartbeat: Option<Spanned<SpanOrOff>>,
    pub(crate) websockify_compat: Option<Spanned<bool>>,
    pub(crate) proxy_protocol: Option<Spanned<ProxyProtocol>>,
    pub(crate) proxy_from: Option<Values>,
    pub(crate) send_proxy: Option<Spanned<SendProxy>>,
    pub(crate) record: Option<Record>,
    pub(crate) access: Option<Vec<Spanned<String>>>,
    pub(crate) half_close: Option<Spanned<HalfClose>>,
    #[serde(default)]
    pub(crate) idle_scope: IdleScope,
    #[serde(default)]
    pub(crate) timeouts: Timeouts,
    pub(crate) connect_timeout_status: Option<Spanned<u16>>,
    pub(crate) strict_connect_target: Option<Spanned<bool>>,
}

impl Listen {
    /// Where it listens.
    pub(crate) fn places(&self) -> &[Place] {
        self.address.as_ref().map_or(&[], |address| &address.get_ref().0)
    }

    /// Where that is written, or its name, if it is nowhere.
    pub(crate) fn places_at(&self) -> Range<usize> {
        self.address.as_ref().map_or(self.name.span(), Spanned::span)
    }
}

/// Who is asked about clients, beside the access rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Policy {
    Host,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Service {
    Connect,
    Forward,
    Console,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) path: Spanned<PathBuf>,
    pub(crate) format: RecordFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RecordFormat {
    Websockify,
    Asciicast,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ProxyProtocol {
    Off,
    Required,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SendProxy {
    Off,
    V1,
    V2,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HalfClose {
    Close,
    Forward,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) enum IdleScope {
    #[serde(rename = "tunnel")]
    Tunnel,
    #[default]
    #[serde(rename = "client+target")]
    ClientAndTarget,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Timeouts {
    pub(crate) handshake: Span,
    pub(crate) connect: Span,
    pub(crate) token: Option<Spanned<Span>>,
    pub(crate) idle: Option<SpanOrOff>,
    pub(crate) user_idle: Option<Spanned<SpanOrOff>>,
    pub(crate) lifetime: Option<SpanOrOff>,
    pub(crate) dead_peer: Option<Spanned<SpanOrOff>>,
}

impl Default for Timeouts {
    fn default() -> Self {
        let core = penstock_core::config::Timeouts::default();
        Timeouts {
            handshake: Span(core.handshake),
            connect: Span(core.connect),
            token: None,
            idle: None,
            user_idle: None,
            lifetime: None,
            dead_peer: None,
        }
    }
}
