//! What must hold for any bytes: one function per fuzz target, shared with the replay on stable.
//!
//! Each compares the verdict on the whole with the verdicts on pieces, and what was accepted with
//! what it becomes when it is written and read again.

#![allow(dead_code, reason = "each fuzz target uses one function")]

#[path = "rfb.rs"]
mod rfb;
#[path = "view_only.rs"]
mod view_only;
#[path = "viewer.rs"]
mod viewer;

use penstock_proto::Progress::{Done, Wait};
use penstock_proto::console::{Choice, Origins, token_of};
use penstock_proto::http::request::RequestHead;
use penstock_proto::http::{Head, Options, Target};
use penstock_proto::proxy_protocol::{Origin, Receiver, encode_v1};
use penstock_proto::testing::{Fed, feed};
use penstock_proto::websocket::{self, Payload, Upgrade};
use std::fmt::Debug;

/// How a run ended, so that a replay can tell whether its corpus reaches all ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Accepted,
    Refused,
    Waiting,
}

pub(crate) fn http_head(data: &[u8]) -> Ending {
    let (fed, seen) = same_in_pieces(data, |piece| {
        let mut machine = Head::new(Options::default());
        let fed = feed(data.chunks(piece), |input, output| machine.receive(input, output));
        (fed, machine.seen().clone())
    });
    assert!(fed.output.is_empty());
    if let Ok(Done(request)) = &fed.verdict {
        let skipped = data.len() - request.length - fed.rest.len();
        assert!(data[..skipped].iter().all(|byte| b"\r\n".contains(byte)));
        let text = request.target.to_string();
        assert_eq!(Target::parse(&text, true).as_ref(), Ok(&request.target));
        assert_eq!(seen.method.as_deref(), Some("CONNECT"));
    }
    ending(&fed)
}

pub(crate) fn proxy_header(data: &[u8]) -> Ending {
    let fed = same_in_pieces(data, |piece| {
        let mut machine = Receiver::new();
        feed(data.chunks(piece), |input, output| machine.receive(input, output))
    });
    assert!(fed.output.is_empty());
    if let Ok(Done(header)) = &fed.verdict {
        assert!(data.ends_with(&fed.rest));
        let listed: usize = header.tlvs.iter().map(|tlv| 3 + tlv.value.len()).sum();
        assert!(listed <= data.len() - fed.rest.len());
        if let Origin::Stream(endpoints) = header.origin {
            let mut line = Vec::new();
            encode_v1(Some(endpoints), &mut line);
            let mut again = line.as_slice();
            let read = Receiver::new().receive(&mut again, &mut Vec::new());
            let Ok(Done(read)) = read else { panic!("{read:?} for {line:?}") };
            let Origin::Stream(read) = read.origin else { panic!("{read:?}") };
            let meaning = |end: std::net::SocketAddr| (end.ip().to_canonical(), end.port());
            assert_eq!(meaning(read.source), meaning(endpoints.source));
            assert_eq!(meaning(read.destination), meaning(endpoints.destination));
        }
    }
    ending(&fed)
}

/// Whatever is made of a request has to be made without a panic, and nothing of its query may be shown.
pub(crate) fn request_head(data: &[u8]) -> Ending {
    let (fed, seen) = same_in_pieces(data, |piece| {
        let mut machine = RequestHead::new();
        let fed = feed(data.chunks(piece), |input, output| machine.receive(input, output));
        (fed, machine.seen().clone())
    });
    assert!(fed.output.is_empty());
    if let Ok(Done(request)) = &fed.verdict {
        let whole = [request.bytes(), &fed.rest].concat();
        assert!(data.ends_with(&whole));
        assert!(request.path() == "*" || request.path().starts_with('/'));
        assert!(request.path().starts_with(request.shown()) && !request.shown().contains('?'));
        assert_eq!(seen.target.as_deref(), Some(request.shown()));
        assert_eq!(seen.method.as_deref(), Some(request.method()));
        let _ = Origins::same_host().judge_request(request, true);
        for choice in [Choice::First, Choice::Last] {
            assert!(token_of(request, choice).is_none_or(|token| !token.0.is_empty()));
        }
        if let Ok(upgrade) = Upgrade::of(request) {
            let mut reply = Vec::new();
            upgrade.reply(&mut reply);
            assert!(reply.ends_with(b"\r\n\r\n"));
        }
    }
    ending(&fed)
}

/// The first byte says whether the payload is Base64; frames follow.
pub(crate) fn websocket(data: &[u8]) -> Ending {
    let Some((kind, frames)) = data.split_first() else { return Ending::Waiting };
    let payload = if kind % 2 == 0 { Payload::Binary } else { Payload::Base64 };
    let (plain, output, ending) = same_in_pieces(frames, |piece| {
        let mut receiver = websocket::Receiver::new(payload);
        let (mut plain, mut output, mut ending) = (Vec::new(), Vec::new(), Ending::Waiting);
        for bytes in frames.chunks(piece) {
            let mut memory = bytes.to_vec();
            let received = receiver.receive(&mut memory, 0..bytes.len(), &mut output);
            plain.extend_from_slice(&memory[received.plain]);
            match (received.close, received.broken) {
                (Some(_), None) => ending = Ending::Accepted,
                (None, Some(_)) => ending = Ending::Refused,
                (None, None) => {}
                both => panic!("{both:?}"),
            }
        }
        assert_eq!(receiver.is_over(), ending != Ending::Waiting);
        (plain, output, ending)
    });
    assert!(plain.len() + output.len() <= frames.len());
    ending
}

pub(crate) fn rfb_gateway(data: &[u8]) -> Ending {
    rfb::gateway(data)
}

pub(crate) fn rfb_view_only(data: &[u8]) -> Ending {
    view_only::passes(data)
}

/// `run` feeds `data` in pieces of the given size; all sizes must agree.
fn same_in_pieces<R: Debug + PartialEq>(data: &[u8], run: impl Fn(usize) -> R) -> R {
    let whole = run(data.len().max(1));
    for piece in [1, 2, 3, 7, 64, data.len() / 2 + 1] {
        assert_eq!(run(piece), whole, "in pieces of {piece}");
    }
    whole
}

fn ending<T, E>(fed: &Fed<T, E>) -> Ending {
    match &fed.verdict {
        Ok(Done(_)) => Ending::Accepted,
        Ok(Wait) => Ending::Waiting,
        Err(_) => Ending::Refused,
    }
}
