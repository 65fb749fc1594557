//! What layers tell of what they received, and how they are told to end.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use penstock_proto::websocket;
use penstock_tls::{Agreed, Error};

use crate::close::Cause;

/// What came of bytes that were received.
#[derive(Debug, Default)]
pub(crate) struct Opened<P> {
    /// Plain bytes.
    pub plain: P,
    /// To be sent on the same leg, as it is.
    pub reply: Bytes,
    /// Something was agreed on just now.
    pub agreed: Option<Box<Agreed>>,
    /// The peer said that it sends no more.
    pub ended: bool,
    /// Nothing more comes, for that reason; the reply is the peer's last word from us. The plain bytes came before it.
    pub broken: Option<Fault>,
}

/// Why nothing more comes of a leg.
#[derive(Debug)]
pub(crate) struct Broken {
    /// What is wrong.
    pub fault: Fault,
    /// The peer's last words from us, to be sent as they are.
    pub reply: Bytes,
}

/// What is wrong with what a peer sends.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It breaks TLS.
    Tls(Error),
    /// It breaks the rules of WebSocket.
    WebSocket(websocket::Error),
    /// A message of that type, of somebody who may only look: it might change something.
    UnknownMessage(u8),
    /// More than so many frames without payload in a second.
    Flood(u32),
}

/// How a stream to a peer ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Parting<'w> {
    /// In order: it has all there was.
    Done,
    /// Something may be missing.
    Lost,
    /// We end it, for a reason that WebSocket has a code for.
    Dismissed(u16, &'w str),
}

impl Broken {
    /// Nothing can be said about it.
    pub(crate) fn silent(error: Error) -> Broken {
        Broken { fault: Fault::Tls(error), reply: Bytes::new() }
    }
}

impl<P> Opened<P> {
    pub(super) fn of(plain: P) -> Opened<P> {
        Opened { plain, reply: Bytes::new(), agreed: None, ended: false, broken: None }
    }

    pub(super) fn map<Q>(self, change: impl FnOnce(P) -> Q) -> Opened<Q> {
        let Opened { plain, reply, agreed, ended, broken } = self;
        Opened { plain: change(plain), reply, agreed, ended, broken }
    }
}

impl Fault {
    /// How it is told in logs and metrics.
    pub(crate) fn cause(&self) -> Cause {
        match self {
            Fault::Tls(Error::Certificate { .. }) => Cause::CertificateRefused,
            Fault::Tls(_) => Cause::TlsFailed,
            Fault::WebSocket(_) | Fault::Flood(_) => Cause::BadFrame,
            Fault::UnknownMessage(_) => Cause::UnknownMessage,
        }
    }

    /// How it is told to who speaks WebSocket.
    pub(super) fn close(&self) -> (u16, Cow<'static, str>) {
        match self {
            Fault::Tls(_) => (1002, Cow::Borrowed("TLS is broken")),
            Fault::WebSocket(error) => (error.close_code(), error.to_string().into()),
            Fault::Flood(_) => (1008, Cow::Borrowed("Too many frames without payload")),
            Fault::UnknownMessage(_) => {
                (1008, Cow::Borrowed("This console may be looked at, and no more"))
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Tls(error) => error.fmt(f),
            Fault::WebSocket(error) => write!(f, "WebSocket: {error}"),
            Fault::UnknownMessage(kind) => write!(
                f,
                "RFB: expected messages that only look, since `view_only` is set, came one of type {kind}, which might change something"
            ),
            Fault::Flood(most) => write!(
                f,
                "WebSocket: expected at most {most} frames without payload in a second, came more"
            ),
        }
    }
}
