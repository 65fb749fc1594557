//! Who speaks TLS, how, and with which certificate; and what that explains.

use std::cmp::min;

use penstock_core::close::Cause;
use penstock_core::config::{Listener, Service};
use penstock_tls::ClientAuth;

use crate::sim::certificates::Shown;
use crate::sim::kit::{ClientKind, Make, Recipe, ServerKind};
use crate::sim::listeners::{self, ClientTerms, TargetTerms};
use crate::sim::manner::Manner;
use crate::sim::pattern::{key, message};
use crate::sim::plan::Plan;
use crate::sim::random::Random;
use crate::sim::scenario::Choices;
use crate::sim::secure::Word;
use crate::sim::tally::{Fault, count};
use crate::sim::vnc::has_tls_within;

/// Of the client's stream, and of the target's. Where libvirt is spoken, they mostly consist of messages.
pub fn keys(settings: &Listener, random: &mut Random) -> [u64; 2] {
    let to_target = settings.upstream_tls.as_ref().is_some_and(|tls| tls.libvirt);
    let to_client = settings.tls.as_ref().is_some_and(|tls| tls.libvirt);
    [to_target, to_client].map(|libvirt| {
        let framed = random.percent(if libvirt { 80 } else { 10 });
        key(framed, random)
    })
}

/// What a client is like in TLS, if it speaks it.
pub fn client(
    listener: usize,
    choices: &Choices,
    explains: &mut Vec<Cause>,
    random: &mut Random,
) -> Option<ClientKind> {
    let settings = &choices.config.listeners[listener];
    let terms = choices.clients[listener]?;
    if random.percent(10) && !has_tls_within(settings) {
        count(Fault::TlsLeftOut);
        if settings.tls.as_ref().is_some_and(|tls| tls.only) {
            explains.push(Cause::TlsFailed);
        }
        return None;
    }
    let wary = random.percent(4);
    let make = random.pick(&Make::CHOICES);
    let make = if wary { Make::Rustls13 } else { make };
    let shown = match random.below(10) {
        0..3 => None,
        3..8 => Some(Shown::Good),
        _ => Some(random.pick(&[Shown::Expired, Shown::Foreign, Shown::Stranger])),
    };
    if wary || make.is_old() && terms.new_only {
        explains.push(Cause::TlsFailed);
    }
    if is_client_refused(terms, shown) {
        count(Fault::TlsBadPaper);
        explains.push(Cause::CertificateRefused);
    }
    Some(ClientKind { make, shown, wary })
}

fn is_client_refused(terms: ClientTerms, shown: Option<Shown>) -> bool {
    match (terms.auth, shown) {
        (ClientAuth::Off, _) | (ClientAuth::Optional, None) => false,
        (ClientAuth::Require, None) => true,
        (_, Some(Shown::Good)) => false,
        (_, Some(Shown::Stranger)) => terms.listed,
        (_, Some(Shown::Expired | Shown::Foreign)) => true,
    }
}

/// What a target is like in TLS, if it speaks it, and what it says before all payload.
pub fn target(
    listener: usize,
    choices: &Choices,
    explains: &mut Vec<Cause>,
    random: &mut Random,
) -> Option<(ServerKind, Word)> {
    let settings = &choices.config.listeners[listener];
    let terms = choices.targets[listener]?;
    let make = random.pick(&Make::CHOICES);
    let good = random.percent(88);
    let bad = [Shown::Expired, Shown::Foreign, Shown::Stranger];
    let shown = if good { Shown::Good } else { random.pick(&bad) };
    let demands = random.percent(15);
    if !is_target_trusted(terms, shown) {
        count(Fault::TlsBadPaper);
        explains.push(Cause::CertificateRefused);
    }
    let libvirt = settings.upstream_tls.as_ref().is_some_and(|tls| tls.libvirt);
    if make.is_old() && terms.new_only || demands && !terms.shows {
        explains.push(Cause::TlsFailed);
    }
    let word = word(libvirt, explains, random);
    Some((ServerKind { make, shown, demands }, word))
}

fn is_target_trusted(terms: TargetTerms, shown: Shown) -> bool {
    match shown {
        Shown::Good => true,
        Shown::Stranger => !terms.named,
        Shown::Expired | Shown::Foreign => !terms.verified,
    }
}

/// Whether a libvirt server lets us in.
fn word(libvirt: bool, explains: &mut Vec<Cause>, random: &mut Random) -> Word {
    let (word, explained) = match random.below(12) {
        _ if !libvirt => (Word::None, None),
        0 => (Word::No(random.pick(&[0, 2, 255])), Some(Cause::NotLetIn)),
        1 => (Word::Never, Some(Cause::HandshakeTimeout)),
        2 => (Word::Leave, Some(Cause::NotLetIn)),
        _ => (Word::Yes, None),
    };
    explains.extend(explained);
    word
}

/// A record of one byte costs as much as one of a kilobyte: who has to send such sends less.
pub fn spare(settings: &Listener, keys: [u64; 2], plans: &mut [Plan; 2]) {
    let to_target = settings.upstream_tls.as_ref();
    let record = to_target.map_or(1 << 14, |tls| tls.max_record);
    let of = |libvirt: bool, key: u64| match message(key) {
        Some(length) if libvirt => length as usize,
        _ => 1 << 14,
    };
    let records = [
        min(record, of(to_target.is_some_and(|tls| tls.libvirt), keys[0])),
        of(settings.tls.as_ref().is_some_and(|tls| tls.libvirt), keys[1]),
    ];
    for (plan, record) in plans.iter_mut().zip(records) {
        for burst in &mut plan.bursts {
            burst.bytes = burst.bytes.min(record * 3_000);
        }
    }
}

/// One client and its target, of which it is known what they are like.
pub struct Seat<'c> {
    /// The listener between them.
    pub listener: usize,
    /// All that the seed has decided.
    pub choices: &'c Choices,
    /// Of their streams.
    pub keys: [u64; 2],
    /// They play to the end.
    pub fair: bool,
}

impl Seat<'_> {
    fn settings(&self) -> &Listener {
        &self.choices.config.listeners[self.listener]
    }

    fn manner(&self, plan: &Plan, random: &mut Random) -> Manner {
        Manner::of(random, plan.total(), self.fair, self.choices.temper.turn)
    }

    /// How the client makes its side.
    pub fn client(&self, kind: ClientKind, plan: &Plan, random: &mut Random) -> Recipe {
        let libvirt = self.settings().tls.as_ref().is_some_and(|tls| tls.libvirt);
        let word = if libvirt { Word::Awaited } else { Word::None };
        let manner = self.manner(plan, random);
        let name = listeners::name(self.listener);
        let mut recipe = self.choices.kit.client(kind, &name, manner, word);
        // Neither the reply to a request nor what a terminal's user is told are messages.
        let service = &self.settings().service;
        let alone = *service != Service::Connect && !listeners::is_terminal(service);
        recipe.expected.message = message(self.keys[1]).filter(|_| libvirt && alone);
        recipe
    }

    /// How the target makes its side.
    pub fn target(
        &self,
        (kind, word): (ServerKind, Word),
        plan: &Plan,
        random: &mut Random,
    ) -> Recipe {
        let manner = self.manner(plan, random);
        let mut recipe = self.choices.kit.server(kind, manner, word);
        if let Some(tls) = &self.settings().upstream_tls {
            recipe.expected.max_record = tls.max_record;
            recipe.expected.message = message(self.keys[0]).filter(|_| tls.libvirt);
        }
        recipe
    }
}
