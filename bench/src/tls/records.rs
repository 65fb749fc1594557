//! One direction of an established session: records of TLS 1.3 (RFC 8446, section 5.2), sealed and opened where they lie.

use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::ConnectionTrafficSecrets;

/// Of a record: type, version, length.
pub(super) const HEADER: usize = 5;
/// Plaintext of a full record.
pub(super) const PLAIN_MAX: usize = 1 << 14;
/// The type that is sealed with the plaintext, and the tag.
pub(super) const BACK: usize = 1 + TAG;
const TAG: usize = 16;
/// What a record adds to its plaintext.
pub(super) const OVERHEAD: usize = HEADER + BACK;

pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const DATA: u8 = 23;

pub(super) struct Cipher {
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

impl Cipher {
    pub(super) fn new((sequence, secrets): (u64, ConnectionTrafficSecrets)) -> Result<Cipher> {
        let ConnectionTrafficSecrets::Aes256Gcm { key, iv } = secrets else {
            bail!("another suite was agreed on than was offered");
        };
        let key = UnboundKey::new(&AES_256_GCM, key.as_ref()).ok().context("a key of AES-256")?;
        let iv = iv.as_ref().try_into()?;
        Ok(Cipher { key: LessSafeKey::new(key), iv, sequence })
    }

    /// `record` has room for [`HEADER`], then holds the plaintext, then has room for the rest.
    pub(super) fn seal(&mut self, kind: u8, record: &mut [u8]) -> Result<()> {
        let (header, body) = record.split_at_mut(HEADER);
        header.copy_from_slice(&head(body.len()));
        let (plain, tag) = body.split_at_mut(body.len() - TAG);
        plain[plain.len() - 1] = kind;
        let aad = Aad::from(&*header);
        let sealed = self.key.seal_in_place_separate_tag(nonce(self.iv, self.sequence), aad, plain);
        tag.copy_from_slice(sealed.ok().context("a record that can't be sealed")?.as_ref());
        self.sequence += 1;
        Ok(())
    }

    /// The type of a whole record, and where its plaintext is now.
    pub(super) fn open(&mut self, record: &mut [u8]) -> Result<(u8, Range<usize>)> {
        ensure!(record[0] == DATA, "a record of type {} that is not sealed", record[0]);
        let (header, body) = record.split_at_mut(HEADER);
        let opened =
            self.key.open_in_place(nonce(self.iv, self.sequence), Aad::from(&*header), body);
        let plain = opened.ok().context("a record was altered on its way")?;
        self.sequence += 1;
        let last = plain.iter().rposition(|byte| *byte != 0).context("a record of no type")?;
        Ok((plain[last], HEADER..HEADER + last))
    }
}

impl Cipher {
    /// Whether the next record, of so many bytes, may go by unopened: of bulk all but one in [`OPENED`] may. Since they are counted, that
    /// one proves that none was lost, doubled or swapped before it.
    pub(super) fn may_skip(&self, length: usize) -> bool {
        // Where a session begins there are tickets, and what is short may be an alert.
        self.sequence > OPENED && !self.sequence.is_multiple_of(OPENED) && length > SHORT
    }

    pub(super) fn skip(&mut self) {
        self.sequence += 1;
    }
}

const OPENED: u64 = 64;
const SHORT: usize = 64;

/// Of a record with so many bytes behind the header.
fn head(length: usize) -> [u8; HEADER] {
    let [.., high, low] = length.to_be_bytes();
    [DATA, 3, 3, high, low]
}

fn nonce(mut iv: [u8; 12], sequence: u64) -> Nonce {
    for (byte, digit) in iv[4..].iter_mut().zip(sequence.to_be_bytes()) {
        *byte ^= digit;
    }
    Nonce::assume_unique_for_key(iv)
}

/// How long the record at the front of `data` is; None: not even that has come.
pub(super) fn announced(data: &[u8]) -> Result<Option<usize>> {
    let length = match data {
        [] => return Ok(None),
        [_, _, _, high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    };
    ensure!(
        (ALERT - 1..=DATA).contains(&data[0]) && length <= PLAIN_MAX + 256,
        "that is no TLS: {:?}",
        String::from_utf8_lossy(&data[..data.len().min(40)])
    );
    Ok((data.len() >= HEADER).then_some(HEADER + length))
}

/// How long the record at the front of `data` is; None: more of it has to come.
pub(super) fn length(data: &[u8]) -> Result<Option<usize>> {
    Ok(announced(data)?.filter(|length| *length <= data.len()))
}
