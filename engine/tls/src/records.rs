//! An established session: records opened and sealed where they lie, and what may come between them.
//!
//! In: bytes with whole and broken-off records, plaintext to be sealed. Out: plaintext, sealed records, and now and then records of
//! the protocol's own for the peer. It never renegotiates; it lets keys follow one another (RFC 8446 §4.6.3, §5.5) and takes
//! tickets (§4.6.1).

use std::ops::Range;

use rustls::ContentType;

use crate::aead::{Cipher, HEADER, PLAIN_MAX};
use crate::error::{Alert, Error};
use crate::handshake::{Agreed, Keeper, Outcome};
use crate::provider::Implementation;

/// A handshake message after the handshake, at most: a ticket with its extensions.
const MESSAGE_MAX: usize = 1 << 16;
/// Records that bring no data, and messages in them, in a row, at most: each costs work, and nothing comes of it.
const BARREN_MAX: u32 = 64;
/// Blocks of a full record: limits of use are told in records of that size.
const BLOCKS: u64 = PLAIN_MAX as u64 / 16;

/// See the module.
pub(crate) struct Records {
    implementation: Implementation,
    opener: Cipher,
    sealer: Cipher,
    keeper: Keeper,
    tls13: bool,
    /// Blocks that may still be sealed under this key, and of any key.
    left: u64,
    limit: u64,
    /// The beginning of a handshake message whose rest has not come.
    message: Vec<u8>,
    /// Records that brought no data, and messages in them, in a row.
    barren: u32,
    /// The peer changed its key and wants us to change ours, before we send more.
    answer_due: bool,
    /// The peer sends no more.
    pub(crate) peer_closed: bool,
    /// We said that we send no more.
    pub(crate) closed: bool,
}

/// What a stretch of bytes brought.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Opened {
    /// Where the plaintext is.
    pub(crate) plain: Range<usize>,
    /// Bytes of whole records; those behind are the beginning of one.
    pub(crate) taken: usize,
    /// Why nothing more comes. What came before that is good.
    pub(crate) broken: Option<Error>,
}

impl Records {
    pub(crate) fn new(implementation: Implementation, outcome: Outcome) -> (Records, Agreed) {
        let Outcome { opener, sealer, keeper, limit, agreed, .. } = outcome;
        let limit = limit.saturating_mul(BLOCKS);
        let left = limit.saturating_sub(sealer.sequence());
        let records = Records {
            implementation,
            opener,
            sealer,
            keeper,
            tls13: agreed.tls13,
            left,
            limit,
            message: Vec::new(),
            barren: 0,
            answer_due: false,
            peer_closed: false,
            closed: false,
        };
        (records, agreed)
    }

    /// Opens all whole records of `data`, up to one that is wrong; their plaintext moves together, in order.
    pub(crate) fn open(&mut self, data: &mut [u8]) -> Opened {
        let mut opened = Opened::default();
        opened.broken = self.open_into(&mut opened, data).err();
        if self.peer_closed || opened.broken.is_some() {
            // Whatever follows is nobody's.
            opened.taken = data.len();
        }
        opened
    }

    fn open_into(&mut self, opened: &mut Opened, data: &mut [u8]) -> Result<(), Error> {
        while !self.peer_closed
            && let Some(length) = record_length(&data[opened.taken..])?
        {
            let start = opened.taken;
            let record = &mut data[start..start + length];
            let (kind, plain) = self.opener.open(record)?;
            opened.taken += length;
            self.expect(kind, plain.is_empty())?;
            match kind {
                ContentType::ApplicationData => {
                    let plain = start + plain.start..start + plain.end;
                    if opened.plain.is_empty() {
                        opened.plain = plain;
                    } else {
                        let end = opened.plain.end;
                        opened.plain.end += plain.len();
                        data.copy_within(plain, end);
                    }
                }
                ContentType::Alert => self.alerted(&record[plain])?,
                _ => self.told(&record[plain])?,
            }
        }
        Ok(())
    }

    /// Whether a record of that kind may come now.
    fn expect(&mut self, kind: ContentType, is_empty: bool) -> Result<(), Error> {
        let refused = |what| Err(Error::broken(Alert::UnexpectedMessage, what));
        let (is_data, is_message) =
            (kind == ContentType::ApplicationData, kind == ContentType::Handshake);
        if !(is_data || is_message || kind == ContentType::Alert) {
            return refused("a record of a kind that has no place after the handshake");
        }
        // RFC 8446 §5.1.
        if !is_message && !self.message.is_empty() {
            return refused("another record in the middle of a handshake message");
        }
        match is_data && !is_empty {
            true => self.barren = 0,
            false => self.tire()?,
        }
        Ok(())
    }

    fn tire(&mut self) -> Result<(), Error> {
        self.barren += 1;
        match self.barren > BARREN_MAX {
            true => {
                Err(Error::broken(Alert::UnexpectedMessage, "too much in a row that is no data"))
            }
            false => Ok(()),
        }
    }

    /// Bytes of a message that is not whole.
    pub(crate) fn held(&self) -> usize {
        self.message.len()
    }

    /// How many bytes of the buffer's memory sealing `length` bytes takes in front of them, and in all.
    pub(crate) fn room(&self, length: usize, slice: usize) -> (usize, usize) {
        let form = self.sealer.form();
        let records = length.div_ceil(slice.clamp(1, PLAIN_MAX));
        (form.front(), length + records * (form.front() + form.back()))
    }

    /// Seals the plaintext at `plain` of `memory`, in records of at most `slice` bytes, and says where they are. What is put into
    /// `output` comes before them. The caller has seen to the [`room`](Self::room).
    pub(crate) fn seal(
        &mut self,
        memory: &mut [u8],
        plain: Range<usize>,
        slice: usize,
        output: &mut Vec<u8>,
    ) -> Result<Range<usize>, Error> {
        let slice = slice.clamp(1, PLAIN_MAX);
        let (front, total) = self.room(plain.len(), slice);
        self.spend(total, plain.len().div_ceil(slice), output)?;
        let begin = plain.start - front;
        let each = front + self.sealer.form().back();
        let records = plain.len().div_ceil(slice);
        let number = self.sealer.reserve(records)?;
        // From the last one on: each makes room for the overhead of those before it, and is sealed while the cache holds it.
        for index in (0..records).rev() {
            let from = plain.start + index * slice;
            let until = plain.end.min(from + slice);
            if index > 0 {
                memory.copy_within(from..until, from + index * each);
            }
            let start = begin + index * (slice + each);
            let record = &mut memory[start..start + (until - from) + each];
            self.sealer.seal(number + index as u64, ContentType::ApplicationData, record)?;
        }
        Ok(begin..begin + total)
    }

    /// Says that nothing more follows.
    pub(crate) fn close(&mut self, output: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.closed, true) {
            self.alert(WARNING, Alert::CloseNotify, output);
        }
    }

    /// Says why nothing more follows, unless it was said that nothing does.
    pub(crate) fn give_up(&mut self, alert: Alert, output: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.closed, true) {
            self.alert(FATAL, alert, output);
        }
    }

    fn alert(&mut self, level: u8, alert: Alert, output: &mut Vec<u8>) {
        // The session is over in any case.
        let _ = self.say(ContentType::Alert, &[level, alert.into()], output);
    }

    fn say(&mut self, kind: ContentType, bytes: &[u8], output: &mut Vec<u8>) -> Result<(), Error> {
        let form = self.sealer.form();
        let start = output.len();
        output.resize(start + form.front(), 0);
        output.extend_from_slice(bytes);
        output.resize(output.len() + form.back(), 0);
        let number = self.sealer.reserve(1)?;
        self.sealer.seal(number, kind, &mut output[start..])
    }

    /// Takes so many bytes in so many records off what the key may still seal. All of them come under one key, the next one if need be:
    /// what tells the peer of it goes out before them.
    fn spend(&mut self, bytes: usize, records: usize, output: &mut Vec<u8>) -> Result<(), Error> {
        let blocks = (bytes / 16 + records) as u64;
        if self.left < blocks && !self.tls13 {
            return Err(Error::internal("a TLS 1.2 key has sealed all that it may"));
        }
        if records > 0 && (self.left < blocks || std::mem::take(&mut self.answer_due)) {
            self.change_key(output)?;
        }
        self.left = self.left.saturating_sub(blocks);
        Ok(())
    }

    /// Tells the peer that our next record comes under another key.
    fn change_key(&mut self, output: &mut Vec<u8>) -> Result<(), Error> {
        self.say(ContentType::Handshake, &[KEY_UPDATE, 0, 0, 1, 0], output)?;
        let secrets = match &mut self.keeper {
            Keeper::Server(keeper) => keeper.update_tx_secret(),
            Keeper::Client(keeper) => keeper.update_tx_secret(),
        };
        self.sealer = Cipher::new(self.implementation, self.tls13, secrets?)?;
        self.left = self.limit;
        Ok(())
    }

    fn alerted(&mut self, alert: &[u8]) -> Result<(), Error> {
        let [level, code] = *alert else {
            return Err(Error::broken(Alert::DecodeError, "an alert of another length"));
        };
        match Alert::from(code) {
            Alert::CloseNotify => self.peer_closed = true,
            Alert::UserCanceled => {}
            _ if level == WARNING && !self.tls13 => {}
            alert => return Err(Error::Told(alert)),
        }
        Ok(())
    }

    /// Takes a part of a handshake message, or several.
    fn told(&mut self, part: &[u8]) -> Result<(), Error> {
        if !self.tls13 {
            return Err(Error::broken(Alert::NoRenegotiation, "it wants to renegotiate"));
        }
        if part.is_empty() || self.message.len() + part.len() > MESSAGE_MAX {
            return Err(Error::broken(Alert::UnexpectedMessage, "a message of no use in length"));
        }
        let mut messages = std::mem::take(&mut self.message);
        messages.extend_from_slice(part);
        let mut rest = messages.as_slice();
        while let Some((kind, body, behind)) = message(rest) {
            rest = behind;
            self.tire()?;
            match (kind, &mut self.keeper) {
                (KEY_UPDATE, _) => self.peer_changed_key(body, rest)?,
                (NEW_SESSION_TICKET, Keeper::Client(keeper)) => {
                    keeper.handle_new_session_ticket(body)?
                }
                _ => return Err(Error::broken(Alert::UnexpectedMessage, "another message")),
            }
        }
        self.message = rest.to_vec();
        Ok(())
    }

    /// What follows comes under the next key; nothing may follow in the same record.
    fn peer_changed_key(&mut self, body: &[u8], rest: &[u8]) -> Result<(), Error> {
        let refused = |alert| Error::broken(alert, "a key update that is none");
        match (body, rest) {
            ([request @ (0 | 1)], []) => self.answer_due |= *request == 1,
            ([_], []) => return Err(refused(Alert::IllegalParameter)),
            ([_], _) => return Err(refused(Alert::UnexpectedMessage)),
            _ => return Err(refused(Alert::DecodeError)),
        }
        let secrets = match &mut self.keeper {
            Keeper::Server(keeper) => keeper.update_rx_secret(),
            Keeper::Client(keeper) => keeper.update_rx_secret(),
        };
        self.opener = Cipher::new(self.implementation, self.tls13, secrets?)?;
        Ok(())
    }
}

const WARNING: u8 = 1;
const FATAL: u8 = 2;
const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;

/// The first handshake message of `bytes`, if it is whole: its type, its body, and what is behind it.
fn message(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, a, b, c], rest) = bytes.split_first_chunk::<4>()?;
    let (body, behind) = rest.split_at_checked(u32::from_be_bytes([0, a, b, c]) as usize)?;
    Some((kind, body, behind))
}

/// The bytes of the first record of `data`, header and all, if it is whole.
pub(crate) fn record_length(data: &[u8]) -> Result<Option<usize>, Error> {
    let Some(header) = data.first_chunk() else { return Ok(None) };
    let length = length_after(header)?;
    Ok((data.len() >= length).then_some(length))
}

/// How many bytes a record has that begins with `begun` and goes on with `more`. None if its header is not whole; nothing if it can't
/// be one.
pub(crate) fn length_of(begun: &[u8], more: &[u8]) -> Option<usize> {
    let mut header = [0; HEADER];
    if begun.len() + more.len() < HEADER {
        return None;
    }
    for (place, byte) in header.iter_mut().zip(begun.iter().chain(more)) {
        *place = *byte;
    }
    Some(length_after(&header).unwrap_or(0))
}

/// The bytes of a record that begins like that.
fn length_after(&[kind, major, _, high, low]: &[u8; HEADER]) -> Result<usize, Error> {
    let length = usize::from(u16::from_be_bytes([high, low]));
    if !(20..=23).contains(&kind) || major != 3 {
        return Err(Error::broken(
            Alert::UnexpectedMessage,
            "expected a record, got something else",
        ));
    }
    if length > SEALED_MAX {
        return Err(Error::broken(Alert::RecordOverflow, "a record larger than allowed"));
    }
    Ok(HEADER + length)
}

/// RFC 5246 §6.2.3 allows most.
const SEALED_MAX: usize = PLAIN_MAX + 2048;
