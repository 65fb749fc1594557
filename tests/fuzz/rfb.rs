//! What must hold of a login between both sides of RFB, for any bytes.
//!
//! In: bytes that choose a plan, and what either side says, in turn. However the turns are cut, the end is the same; no client hears more
//! than the version before the server has agreed; no secret passes in the clear; and a client understands whatever it is told.

use std::fmt;
use std::mem::take;

use penstock_proto::rfb::{
    Allowed, Both, Error, Failure, Gateway, Introduction, Keys, Mode, Next, Plan, Prover,
    SaslError, Scheme, SchemeOrder, Subtype, Version,
};

use super::viewer::{Understood, Viewer};
use super::{Ending, same_in_pieces};

/// Bytes of a version.
pub(super) const VERSION: usize = 12;
/// More than any message of a login has.
const WAITING_MAX: usize = 36 << 10;
/// What we know, and no server hears in the clear.
const SECRETS: [&str; 3] = ["vnc-secret", "plain-secret", "sasl-secret"];
/// A length that stands for more than fits into a byte.
const LONG: u8 = 0x7f;

/// Two bytes say what is configured. Then come turns: one byte says whose it is (128: the client's) and how long, what is said follows.
pub(super) fn gateway(data: &[u8]) -> Ending {
    let [plan, keys, script @ ..] = data else { return Ending::Waiting };
    let turns = turns(script);
    let seen = same_in_pieces(data, |piece| {
        let mut run = Run::new(*plan, *keys);
        run.play(&turns, piece);
        run.seen
    });
    match seen.end {
        Ok(Next::Done) => Ending::Accepted,
        Ok(_) => Ending::Waiting,
        Err(_) => Ending::Refused,
    }
}

fn turns(mut script: &[u8]) -> Vec<(bool, Vec<u8>)> {
    let mut turns = Vec::new();
    while let Some((head, rest)) = script.split_first() {
        let (is_client, length) = (head & 0x80 != 0, head & 0x7f);
        let said = match rest.split_first() {
            Some((byte, rest)) if length == LONG => {
                script = rest;
                vec![*byte; 3 << 14]
            }
            _ => {
                let (said, rest) = rest.split_at(rest.len().min(length.into()));
                script = rest;
                said.to_vec()
            }
        };
        turns.push((is_client, said));
    }
    turns
}

/// All that can be seen of a login. First the server's, then the client's.
#[derive(PartialEq)]
struct Seen {
    end: Result<Next, Failure>,
    secured: Vec<Next>,
    said: [Vec<u8>; 2],
    heard: [Vec<u8>; 2],
    rest: [Vec<u8>; 2],
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some = |bytes: &Vec<u8>| bytes[..bytes.len().min(200)].escape_ascii().to_string();
        let [said, heard, rest] =
            [&self.said, &self.heard, &self.rest].map(|both| both.each_ref().map(some));
        write!(f, "{:?} {:?} said {said:?} heard {heard:?} rest {rest:?}", self.end, self.secured)
    }
}

struct Run {
    gateway: Gateway,
    is_bridge: bool,
    /// ServerInit may have been heard in the same breath as the verdict.
    is_named: bool,
    seen: Seen,
    /// What the server was told before TLS.
    in_the_clear: Option<usize>,
}

impl Run {
    fn new(plan: u8, keys: u8) -> Run {
        let is_bridge = plan & 1 == 0;
        let mut said = [Vec::new(), Vec::new()];
        let gateway = Gateway::new(configured(plan, keys), &mut said[1]);
        let (heard, rest) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        let seen = Seen { end: Ok(Next::Wait), secured: Vec::new(), said, heard, rest };
        Run { gateway, is_bridge, is_named: plan >> 6 & 1 != 0, seen, in_the_clear: None }
    }

    fn play(&mut self, turns: &[(bool, Vec<u8>)], piece: usize) {
        self.go_on(false);
        for (is_client, said) in turns {
            let mut left = said.len();
            // What is long need not come byte by byte.
            for bytes in said.chunks(piece.max(said.len() >> 3)) {
                self.seen.rest[usize::from(*is_client)].extend(bytes);
                left -= bytes.len();
                if self.seen.end == Ok(Next::Wait) {
                    self.go_on(false);
                    self.secure(*is_client, left);
                }
            }
        }
        self.check_end();
    }

    /// Puts TLS wherever it is wanted. What is left of the turn would be in the clear.
    fn secure(&mut self, is_client: bool, left: usize) {
        while let Ok(next @ (Next::SecureClient | Next::SecureServer)) = self.seen.end {
            let with_client = next == Next::SecureClient;
            assert!(self.gateway.is_securing());
            assert!(self.seen.rest[usize::from(with_client)].is_empty(), "bytes before TLS");
            self.check_rest(next);
            if with_client == is_client && left > 0 {
                if with_client {
                    assert_eq!(self.seen.said[1].pop(), Some(1), "it may go");
                }
                let error = Error::PlaintextBeforeTls;
                self.seen.end = Err(Failure { by_client: with_client, error });
                return;
            }
            if !with_client {
                self.in_the_clear = Some(self.seen.said[0].len());
            }
            self.seen.secured.push(next);
            self.go_on(true);
        }
    }

    fn go_on(&mut self, secured: bool) {
        let had_said = self.seen.said[1].len() > VERSION;
        self.seen.end = self.step(secured);
        if let Err(Failure { error: Error::NotRfb(came), .. }) = &mut self.seen.end {
            // As much as had come is told, and taken if it was as long as a version.
            *came = "".into();
            let [heard, rest] = [&mut self.seen.heard[0], &mut self.seen.rest[0]];
            rest.splice(..0, heard.drain(..));
        }
        let says_more = self.seen.said[1].len() > VERSION;
        assert!(had_said || !says_more || self.has_agreed(), "too early: {:?}", self.seen);
        if self.seen.end == Ok(Next::Wait) {
            let (awaits_server, _) = self.gateway.awaits();
            let waiting = self.seen.rest[usize::from(!awaits_server)].len();
            assert!(waiting < WAITING_MAX, "{waiting} bytes are no message");
        }
    }

    fn step(&mut self, secured: bool) -> Result<Next, Failure> {
        let Seen { said: [to_server, to_client], heard, rest, .. } = &mut self.seen;
        let [of_server, of_client] = [take(&mut rest[0]), take(&mut rest[1])];
        let (mut from_server, mut from_client) = (&of_server[..], &of_client[..]);
        let mut both = Both {
            from_client: &mut from_client,
            from_server: &mut from_server,
            to_client,
            to_server,
        };
        let next = match secured {
            true => self.gateway.secured(&mut both),
            false => self.gateway.step(&mut both),
        };
        heard[0].extend(&of_server[..of_server.len() - from_server.len()]);
        heard[1].extend(&of_client[..of_client.len() - from_client.len()]);
        *rest = [from_server.to_vec(), from_client.to_vec()];
        next
    }

    /// Whether the server has agreed to whatever the client may hear of.
    fn has_agreed(&self) -> bool {
        let heard = &self.seen.heard[0];
        let is_secured = self.seen.secured.contains(&Next::SecureServer);
        match self.gateway.used() {
            None => false,
            Some(_) if self.is_bridge => true,
            Some((false, Subtype::X509None)) if Version::read(&heard[..12]) < V3_8 => true,
            Some(_) if self.is_named => contains(heard, &[0; 4]),
            Some((in_tls, _)) => in_tls == is_secured && heard.ends_with(&[0; 4]),
        }
    }

    fn check_end(&mut self) {
        if let Ok(end) = self.seen.end {
            self.check_rest(end);
        }
        if self.seen.end != Ok(Next::Done) {
            // It may have taken too long, or somebody has left.
            self.gateway.refuse("sorry", &mut self.seen.said[1]);
        }
        let Seen { said: [to_server, to_client], heard: [of_server, of_client], .. } = &self.seen;
        let understood = Viewer { said: of_client, told: to_client }.understand();
        match self.seen.end {
            Ok(Next::Done) => assert_eq!(understood, Understood::LetIn),
            // What it awaits in the middle of a login is no verdict, and nothing else would be understood.
            Err(Failure { by_client: false, .. }) => {
                let is_told = match self.is_bridge {
                    true => to_client.len() > VERSION && understood != Understood::Judged,
                    false => matches!(understood, Understood::Refused | Understood::LetIn),
                };
                assert!(is_told, "not told: {:?}", self.seen);
            }
            _ => {}
        }
        let heard = of_server.len() + of_client.len();
        assert!(to_server.len() + to_client.len() < 2 * heard + 400, "more said than heard");
        let clear = &to_server[..self.in_the_clear.unwrap_or(to_server.len())];
        for secret in SECRETS {
            assert!(!contains(clear, secret.as_bytes()), "in the clear: {}", clear.escape_ascii());
        }
        // A version, a type; then VeNCrypt's version and subtype, or a response and ClientInit.
        let most = if self.in_the_clear.is_some() { 19 } else { 30 };
        assert!(clear.len() <= most, "in the clear: {}", clear.escape_ascii());
    }

    /// Nothing more is taken or said.
    fn check_rest(&mut self, end: Next) {
        let before = (self.seen.said.clone(), self.seen.rest.clone());
        let next = self.step(false);
        let waits = if end == Next::Done { Next::Done } else { Next::Wait };
        assert_eq!(next, Ok(waits));
        assert_eq!(before, (self.seen.said.clone(), self.seen.rest.clone()));
    }
}

const V3_8: Option<Version> = Some(Version::V3_8);

fn configured(plan: u8, keys: u8) -> Plan {
    let has = |bit: u8| plan >> bit & 1 != 0;
    // Nobody is to be challenged who has no answer.
    let answers = !has(0) || keys & 1 != 0;
    let schemes =
        [(true, Scheme::VeNCrypt), (has(1) && answers, Scheme::Vnc), (has(2), Scheme::None)];
    let schemes = schemes.into_iter().filter_map(|(has, scheme)| has.then_some(scheme)).collect();
    let order = if has(3) { SchemeOrder::Server } else { SchemeOrder::Strongest };
    let all = [Subtype::X509Sasl, Subtype::X509Plain, Subtype::X509Vnc, Subtype::X509None];
    let [vnc, plain, sasl] = SECRETS;
    let (mode, subtypes) = match has(0) {
        false => (Mode::Bridge, all.to_vec()),
        true => {
            let has = |bit: u8| keys >> bit & 1 != 0;
            let prover = || Box::new(Sasl(sasl, false)) as Box<dyn Prover>;
            let ours = Keys {
                password: has(0).then(|| vnc.into()),
                plain: has(1).then(|| ("fuzz".into(), plain.into())),
                sasl: has(2).then(prover),
            };
            let subtypes = ours.subtypes();
            (Mode::Authenticate(ours), subtypes)
        }
    };
    let listen = match (has(4), has(0)) {
        (false, _) => Vec::new(),
        (true, true) => vec![Subtype::X509None],
        (true, false) => all.to_vec(),
    };
    let introduction = Introduction::new(has(5), has(6).then(|| "fuzz".into()));
    Plan { allowed: Allowed { schemes, subtypes, order }, mode, listen, introduction }
}

/// Says its password in any mechanism; the server has to say something back.
#[derive(Debug)]
struct Sasl(&'static str, bool);

impl Prover for Sasl {
    fn begin(&mut self, offered: &[&str]) -> Result<(String, Option<Vec<u8>>), SaslError> {
        let name = offered.first().ok_or_else(|| SaslError::NoMechanism("".into()))?;
        Ok((name.chars().take(20).collect(), Some(self.0.into())))
    }

    fn answer(&mut self, challenge: Option<&[u8]>) -> Result<Option<Vec<u8>>, SaslError> {
        self.1 |= challenge.is_some();
        Ok(challenge.map(|challenge| challenge.to_vec()))
    }

    fn is_content(&self) -> bool {
        self.1
    }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}
