//! One side of a TLS connection, as a host lives it: what it reads and writes is plain, what passes is records.
//!
//! In: bytes of a socket, and payload. Out: payload, and bytes for the socket, spoiled where its [`Manner`] says so. It also looks
//! at each record that comes: none may be larger than agreed, nor reach from one message of libvirt's into the next, and nothing
//! may follow the last word. It touches no socket.

use std::collections::VecDeque;

use crate::sim::crypt::Crypt;
use crate::sim::kit::Recipe;
use crate::sim::manner::{Early, Last, Late, Manner, Mischief};
use crate::sim::random::Random;
use crate::sim::tally::{Fault, count};

/// What passes once the handshake has ended, before all payload, where libvirt is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Word {
    /// Nothing.
    None,
    /// The other side says that it lets us in.
    Awaited,
    /// We say so.
    Yes,
    /// We say something else.
    No(u8),
    /// We say nothing, ever.
    Never,
    /// We leave.
    Leave,
}

/// What records must be like that come from the proxy.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Plaintext bytes of a record at most.
    pub max_record: usize,
    /// Length of a message, if none may share a record with another.
    pub message: Option<u64>,
}

/// How the other side has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It has not.
    No,
    /// With its last word.
    Cleanly,
    /// Without.
    Cut,
}

/// See the module.
pub struct Secure {
    crypt: Crypt,
    manner: Manner,
    word: Word,
    expected: Expected,
    random: Random,
    /// Of records that have not come whole.
    raw: Vec<u8>,
    /// For the socket.
    pub out: VecDeque<u8>,
    /// FIN follows, once all of that is written.
    pub fin_due: bool,
    /// Payload that nobody has read yet.
    pub inbox: Vec<u8>,
    /// How the other side has ended.
    pub ended: Ended,
    /// What is wrong with what came.
    pub error: Option<String>,
    /// What it was to do against the protocol, it has done.
    pub spoiled: bool,
    /// Nothing more is said.
    mute: bool,
    heard: bool,
    flights: u8,
    /// Payload, sealed and opened.
    sealed: u64,
    opened: u64,
    last_record: Vec<u8>,
}

impl Secure {
    /// A side that has said nothing.
    pub fn new(crypt: Crypt, recipe: &Recipe, random: Random) -> Secure {
        Secure {
            crypt,
            manner: recipe.manner.clone(),
            word: recipe.word,
            expected: recipe.expected,
            random,
            raw: Vec::new(),
            out: VecDeque::new(),
            fin_due: false,
            inbox: Vec::new(),
            ended: Ended::No,
            error: None,
            spoiled: false,
            mute: false,
            heard: false,
            flights: 0,
            sealed: 0,
            opened: 0,
            last_record: Vec::new(),
        }
    }

    /// How it behaves.
    pub fn manner(&self) -> &Manner {
        &self.manner
    }

    /// Says what comes first.
    pub fn start(&mut self) {
        let mut output = Vec::new();
        self.crypt.start(&mut output);
        self.emit(output);
    }

    /// Whether payload can be written.
    pub fn is_ready(&self) -> bool {
        matches!(self.word, Word::None | Word::Yes) && self.crypt.is_established()
    }

    /// Whether a record has come.
    pub fn is_heard(&self) -> bool {
        self.heard
    }

    /// Takes bytes of the socket.
    pub fn feed(&mut self, bytes: &[u8]) {
        assert_eq!(self.ended, Ended::No, "{} bytes behind the last word", bytes.len());
        let mut raw = std::mem::take(&mut self.raw);
        raw.extend_from_slice(bytes);
        let mut taken = 0;
        while let Some(length) = first_record(&raw[taken..]).filter(|_| self.error.is_none()) {
            self.take(&raw[taken..taken + length]);
            taken += length;
        }
        raw.drain(..taken);
        self.raw = raw;
    }

    fn take(&mut self, record: &[u8]) {
        assert_eq!(self.ended, Ended::No, "a record behind the last word");
        self.heard = true;
        let was_established = self.crypt.is_established();
        let mut output = Vec::new();
        let taken = self.crypt.take(record, self.manner.headroom, &mut output);
        self.emit(output);
        match taken {
            Ok(plain) => self.take_plain(plain),
            Err(error) => {
                count(Fault::TlsAlert);
                self.error = Some(error);
            }
        }
        if !was_established && self.crypt.is_established() {
            self.say_word();
        }
        if self.error.is_none() && self.crypt.peer_closed() {
            self.ended = Ended::Cleanly;
        }
    }

    fn take_plain(&mut self, mut plain: Vec<u8>) {
        if self.word == Word::Awaited && !plain.is_empty() {
            assert_eq!(plain.remove(0), 1, "the word that lets us in is another one");
            assert!(plain.is_empty(), "payload in the record of the word that lets us in");
            self.word = Word::None;
        }
        if plain.is_empty() {
            return;
        }
        let (start, Expected { max_record, message }) = (self.opened, self.expected);
        self.opened += plain.len() as u64;
        assert!(plain.len() <= max_record, "a record of {}, not {max_record}", plain.len());
        let first = |length| (self.opened - 1) / length == start / length;
        assert!(
            message.is_none_or(first),
            "the record from {start} on reaches into the next message of {message:?}: {self:?}"
        );
        self.inbox.append(&mut plain);
    }

    fn say_word(&mut self) {
        let said = match self.word {
            Word::Yes => 1,
            Word::No(other) => other,
            Word::Leave => {
                (self.spoiled, self.fin_due) = (true, true);
                let mut output = Vec::new();
                self.close(&mut output);
                return self.emit(output);
            }
            Word::None | Word::Awaited | Word::Never => return,
        };
        let mut output = Vec::new();
        self.crypt.seal(&[said], 1, &mut output);
        self.emit(output);
    }

    /// Seals payload, once all that was sealed before is written; how many bytes.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let mut n = bytes.len();
        if let Mischief::Late(at, _) = self.manner.mischief {
            n = n.min((at - self.sealed) as usize);
        }
        if n > 0 {
            self.seal(&bytes[..n]);
            self.sealed += n as u64;
        }
        match self.manner.mischief {
            Mischief::Late(at, how) if at == self.sealed => self.misbehave(how),
            _ => {}
        }
        n
    }

    fn seal(&mut self, bytes: &[u8]) {
        let mut output = Vec::new();
        if self.random.percent(self.manner.key_changes) && self.crypt.change_key() {
            count(Fault::TlsKeyChanged);
        }
        if self.manner.slice <= 100 {
            count(Fault::TlsTinyRecords);
        }
        self.crypt.seal(bytes, self.manner.slice, &mut output);
        self.last_record.clone_from(&output);
        self.emit(output);
    }

    /// Says that nothing more follows, or does what it does instead.
    pub fn finish(&mut self) {
        let mischief = self.manner.mischief;
        if mischief == Mischief::Last(Last::FinishOnly) {
            count(Fault::TlsFinishOnly);
            (self.spoiled, self.mute, self.fin_due) = (true, true, true);
            return;
        }
        let mut output = Vec::new();
        self.close(&mut output);
        let stays = self.manner.stays && !output.is_empty() && mischief == Mischief::None;
        if stays {
            count(Fault::TlsStays);
        }
        self.fin_due = !stays;
        if mischief == Mischief::Last(Last::TalksOn) && self.crypt.is_established() {
            count(Fault::TlsTalksOn);
            let noise = self.noise(1, 3000);
            output.extend(noise);
        }
        self.emit(output);
        self.mute = true;
    }

    /// Who has told an alert says nothing after it, and who is in the middle of a handshake can't.
    fn close(&mut self, output: &mut Vec<u8>) {
        if self.error.is_none() && self.crypt.is_established() {
            self.crypt.close(output);
        }
    }

    /// Whether the end that it has told is one in order.
    pub fn ends_cleanly(&self) -> bool {
        !self.spoiled && self.crypt.is_established()
    }

    /// Whether it has said something that can't be understood, after payload that can.
    pub fn is_garbled(&self) -> bool {
        let cut = matches!(self.manner.mischief, Mischief::Late(_, Late::Cut | Late::CutRecord));
        self.spoiled
            && self.sealed > 0
            && matches!(self.manner.mischief, Mischief::Late(..))
            && !cut
    }

    /// Whether it has said all but its last word, and then FIN.
    pub fn lacks_last_word_only(&self) -> bool {
        let only = [Mischief::Last(Last::FinishOnly)].contains(&self.manner.mischief)
            || matches!(self.manner.mischief, Mischief::Late(_, Late::Cut));
        self.spoiled && only && self.crypt.is_established() && self.error.is_none()
    }

    /// What it says goes out, whole, or spoiled, or not at all.
    fn emit(&mut self, mut output: Vec<u8>) {
        if output.is_empty() || self.mute {
            return;
        }
        self.flights = self.flights.saturating_add(1);
        match self.manner.mischief {
            Mischief::Early(flight, part, how) if flight == self.flights => {
                self.spoil(&mut output, part, how);
            }
            _ => {}
        }
        self.out.extend(output);
    }

    fn spoil(&mut self, flight: &mut Vec<u8>, part: u16, how: Early) {
        // The first byte says that it is TLS.
        let whole = (flight.len() * usize::from(part) / 1000).max(1);
        let rest = flight.len() - whole;
        flight.truncate(whole);
        (self.spoiled, self.mute) = (true, true);
        match how {
            Early::Stops => count(Fault::TlsStops),
            Early::Finishes => {
                count(Fault::TlsCutEarly);
                self.fin_due = true;
            }
            Early::Babbles => {
                count(Fault::TlsBabbles);
                let noise = self.noise(rest + 64, rest + 64);
                flight.extend(noise);
            }
        }
    }

    fn misbehave(&mut self, how: Late) {
        let noise = self.noise(5, 3000);
        let mut sealed = Vec::new();
        self.crypt.seal(&noise, 1 << 14, &mut sealed);
        match how {
            Late::Cut | Late::CutRecord => {
                count(if how == Late::Cut { Fault::TlsCut } else { Fault::TlsCutRecord });
                let left = self.random.between(1, sealed.len() - 1);
                sealed.truncate(if how == Late::Cut { 0 } else { left });
                self.fin_due = true;
            }
            _ => count(Fault::TlsGarbage),
        }
        let length = (noise.len() as u16).to_be_bytes();
        let output = match how {
            Late::Cut | Late::CutRecord => sealed,
            Late::Noise => noise,
            Late::Forged => [&[23, 3, 3][..], &length, &noise].concat(),
            Late::Oversized => [&[23, 3, 3, 0xff, 0xff][..], &noise].concat(),
            Late::Repeated if !self.last_record.is_empty() => self.last_record.clone(),
            Late::ClearAlert => vec![21, 3, 3, 0, 2, 2, 40],
            Late::Changed | Late::Repeated => {
                let at = self.random.between(5, sealed.len() - 1);
                sealed[at] ^= 1 << self.random.below(8);
                sealed
            }
        };
        self.emit(output);
        (self.spoiled, self.mute) = (true, true);
    }

    fn noise(&mut self, least: usize, most: usize) -> Vec<u8> {
        let length = self.random.between(least, most);
        (0..length).map(|_| self.random.bits() as u8).collect()
    }
}

impl std::fmt::Debug for Secure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Secure { crypt, manner, word, ended, error, spoiled, sealed, opened, .. } = self;
        let waiting = (self.raw.len(), self.inbox.len(), self.out.len());
        write!(
            f,
            "TLS of {crypt:?}, {manner:?}, {word:?}, ready {}, ended {ended:?}, ",
            self.is_ready()
        )?;
        write!(
            f,
            "{error:?}, spoiled {spoiled}, {sealed} sealed, {opened} opened, {waiting:?} wait"
        )
    }
}

/// Bytes of the first record, if it is whole; all, if it is none.
fn first_record(raw: &[u8]) -> Option<usize> {
    let [kind, major, _, high, low] = *raw.first_chunk()?;
    if !(20..=23).contains(&kind) || major != 3 {
        return Some(raw.len());
    }
    let length = 5 + usize::from(u16::from_be_bytes([high, low]));
    (raw.len() >= length).then_some(length)
}
