//! One direction's cipher: records sealed and opened where they lie.
//!
//! In: a whole record in one slice. Out: the same slice, sealed or opened. It knows nonces, additional data and limits of
//! TLS 1.3 (RFC 8446 §5.2 and §5.3) and of the AEAD suites of TLS 1.2 (RFC 5288, RFC 7905), and nothing of what records mean.

use rustls::crypto::cipher::AeadKey;
use rustls::{ConnectionTrafficSecrets, ContentType};

use crate::error::{Alert, Error};
use crate::provider::Implementation;

/// Bytes of a record's header.
pub(crate) const HEADER: usize = 5;
/// Plaintext that one record may carry at most.
pub(crate) const PLAIN_MAX: usize = 1 << 14;
/// What a record of ours adds at most: header, explicit nonce, type, tag.
pub const OVERHEAD_MAX: usize = HEADER + EXPLICIT + TAG;
/// Bytes that a record of ours has in front of its plaintext at most.
pub const FRONT_MAX: usize = HEADER + EXPLICIT;
const EXPLICIT: usize = 8;
const TAG: usize = 16;

/// How records of a suite look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// TLS 1.3: the type is sealed with the plaintext.
    Tls13,
    /// TLS 1.2, AES-GCM: half of the nonce is in the record.
    Tls12Explicit,
    /// TLS 1.2, ChaCha20-Poly1305.
    Tls12,
}

impl Form {
    /// Bytes before the plaintext.
    pub(crate) fn front(self) -> usize {
        match self {
            Form::Tls12Explicit => HEADER + EXPLICIT,
            Form::Tls13 | Form::Tls12 => HEADER,
        }
    }

    /// Bytes behind it.
    pub(crate) fn back(self) -> usize {
        TAG + usize::from(self == Form::Tls13)
    }
}

/// A key of either implementation.
enum Key {
    AwsLc(aws_lc_rs::aead::LessSafeKey),
    Ring(Box<ring::aead::LessSafeKey>),
}

/// The cipher of one direction.
pub(crate) struct Cipher {
    key: Key,
    iv: [u8; 12],
    sequence: u64,
    form: Form,
}

impl Cipher {
    /// From what a handshake or a key update yields.
    pub(crate) fn new(
        implementation: Implementation,
        tls13: bool,
        (sequence, secrets): (u64, ConnectionTrafficSecrets),
    ) -> Result<Cipher, Error> {
        let (algorithm, key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (Algorithm::Aes128Gcm, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (Algorithm::Aes256Gcm, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (Algorithm::Chacha, key, iv),
            _ => return Err(Error::internal("a suite that is not ours")),
        };
        let form = match (tls13, algorithm) {
            (true, _) => Form::Tls13,
            (false, Algorithm::Chacha) => Form::Tls12,
            (false, _) => Form::Tls12Explicit,
        };
        let iv = iv.as_ref().try_into().map_err(|_| Error::internal("a nonce of another size"))?;
        Ok(Cipher { key: Key::new(implementation, algorithm, &key)?, iv, sequence, form })
    }

    /// How its records look.
    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// Records so far under this key.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Takes the numbers of the next `records` records; the first one.
    pub(crate) fn reserve(&mut self, records: usize) -> Result<u64, Error> {
        let first = self.sequence;
        let next = first.checked_add(records as u64);
        self.sequence = next.ok_or(Error::internal("a key is worn out"))?;
        Ok(first)
    }

    /// Seals the record of `kind` that fills `record`: [`Form::front`] bytes, the plaintext, [`Form::back`] bytes. Each
    /// of the [reserved](Self::reserve) numbers is for one record.
    pub(crate) fn seal(
        &self,
        number: u64,
        kind: ContentType,
        record: &mut [u8],
    ) -> Result<(), Error> {
        let (front, back) = (self.form.front(), self.form.back());
        let (head, body) = record.split_at_mut(front);
        let (body, tail) = body.split_at_mut(body.len() - TAG);
        let sealed = match self.form {
            Form::Tls13 => ContentType::ApplicationData,
            _ => kind,
        };
        let length = (front - HEADER + body.len() + TAG) as u16;
        head[..HEADER].copy_from_slice(&header(sealed, length));
        if self.form == Form::Tls13 {
            let last = body.len() + TAG - back;
            body[last] = kind.into();
        }
        let nonce = self.nonce(number);
        if self.form == Form::Tls12Explicit {
            head[HEADER..].copy_from_slice(&nonce[4..]);
        }
        let (aad, aad_length) = self.additional(number, sealed, length, body.len());
        self.key.seal(nonce, &aad[..aad_length], body, tail)
    }

    /// Opens the whole record in `record`: its type, and where in it the plaintext is.
    pub(crate) fn open(
        &mut self,
        record: &mut [u8],
    ) -> Result<(ContentType, std::ops::Range<usize>), Error> {
        let (front, back) = (self.form.front(), self.form.back());
        let outer = ContentType::from(record[0]);
        if self.form == Form::Tls13 && outer != ContentType::ApplicationData {
            return Err(Error::broken(Alert::UnexpectedMessage, "a record that is not sealed"));
        }
        if record.len() < front + back {
            return Err(Error::broken(Alert::BadRecordMac, "a record too short for its seal"));
        }
        let plain = record.len() - front - TAG;
        let mut nonce = self.nonce(self.sequence);
        if self.form == Form::Tls12Explicit {
            nonce[..4].copy_from_slice(&self.iv[..4]);
            nonce[4..].copy_from_slice(&record[HEADER..front]);
        }
        let length = (record.len() - HEADER) as u16;
        let (mut aad, aad_length) = self.additional(self.sequence, outer, length, plain);
        // The version says nothing, and is authenticated as it came.
        let version = aad_length - 4;
        aad[version..version + 2].copy_from_slice(&record[1..3]);
        self.key.open(nonce, &aad[..aad_length], &mut record[front..])?;
        self.reserve(1)?;
        if plain > PLAIN_MAX + usize::from(self.form == Form::Tls13) {
            return Err(Error::broken(Alert::RecordOverflow, "a record larger than allowed"));
        }
        if self.form != Form::Tls13 {
            return Ok((outer, front..front + plain));
        }
        let inner = &record[front..front + plain];
        let Some(last) = inner.iter().rposition(|byte| *byte != 0) else {
            return Err(Error::broken(Alert::UnexpectedMessage, "a record of padding"));
        };
        Ok((ContentType::from(inner[last]), front..front + last))
    }

    /// The number of the record, in the nonce.
    fn nonce(&self, number: u64) -> [u8; 12] {
        let mut nonce = self.iv;
        for (byte, digit) in nonce[4..].iter_mut().zip(number.to_be_bytes()) {
            *byte ^= digit;
        }
        nonce
    }

    /// What is authenticated beside the content: in TLS 1.3 the header, in TLS 1.2 also the number.
    fn additional(
        &self,
        number: u64,
        kind: ContentType,
        length: u16,
        plain: usize,
    ) -> ([u8; 13], usize) {
        let mut aad = [0; 13];
        if self.form == Form::Tls13 {
            aad[..HEADER].copy_from_slice(&header(kind, length));
            return (aad, HEADER);
        }
        aad[..8].copy_from_slice(&number.to_be_bytes());
        aad[8..].copy_from_slice(&header(kind, plain as u16));
        (aad, 13)
    }
}

/// All records after the first flight call themselves TLS 1.2.
fn header(kind: ContentType, length: u16) -> [u8; HEADER] {
    let [high, low] = length.to_be_bytes();
    [kind.into(), 3, 3, high, low]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Aes128Gcm,
    Aes256Gcm,
    Chacha,
}

macro_rules! key_of {
    ($library:ident, $algorithm:expr, $key:expr) => {{
        use $library::aead;
        let algorithm = match $algorithm {
            Algorithm::Aes128Gcm => &aead::AES_128_GCM,
            Algorithm::Aes256Gcm => &aead::AES_256_GCM,
            Algorithm::Chacha => &aead::CHACHA20_POLY1305,
        };
        let key = aead::UnboundKey::new(algorithm, $key.as_ref());
        aead::LessSafeKey::new(key.map_err(|_| Error::internal("a key of another size"))?)
    }};
}

macro_rules! seal_with {
    ($library:ident, $key:expr, $nonce:expr, $aad:expr, $body:expr, $tail:expr) => {{
        use $library::aead::{Aad, Nonce};
        let nonce = Nonce::assume_unique_for_key($nonce);
        let tag = $key.seal_in_place_separate_tag(nonce, Aad::from($aad), $body);
        $tail.copy_from_slice(tag.map_err(|_| Error::internal("sealing failed"))?.as_ref());
    }};
}

macro_rules! open_with {
    ($library:ident, $key:expr, $nonce:expr, $aad:expr, $sealed:expr) => {{
        use $library::aead::{Aad, Nonce};
        let nonce = Nonce::assume_unique_for_key($nonce);
        let opened = $key.open_in_place(nonce, Aad::from($aad), $sealed);
        let broken = |_| Error::broken(Alert::BadRecordMac, "a record was changed on its way");
        opened.map_err(broken)?;
    }};
}

impl Key {
    fn new(
        implementation: Implementation,
        algorithm: Algorithm,
        key: &AeadKey,
    ) -> Result<Key, Error> {
        Ok(match implementation {
            Implementation::AwsLc => Key::AwsLc(key_of!(aws_lc_rs, algorithm, key)),
            Implementation::Ring => Key::Ring(Box::new(key_of!(ring, algorithm, key))),
        })
    }

    fn seal(
        &self,
        nonce: [u8; 12],
        aad: &[u8],
        body: &mut [u8],
        tail: &mut [u8],
    ) -> Result<(), Error> {
        match self {
            Key::AwsLc(key) => seal_with!(aws_lc_rs, key, nonce, aad, body, tail),
            Key::Ring(key) => seal_with!(ring, key, nonce, aad, body, tail),
        }
        Ok(())
    }

    fn open(&self, nonce: [u8; 12], aad: &[u8], sealed: &mut [u8]) -> Result<(), Error> {
        match self {
            Key::AwsLc(key) => open_with!(aws_lc_rs, key, nonce, aad, sealed),
            Key::Ring(key) => open_with!(ring, key, nonce, aad, sealed),
        }
        Ok(())
    }
}

impl std::fmt::Debug for Cipher {
    /// Says nothing of the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cipher({:?}, {} records)", self.form, self.sequence)
    }
}
