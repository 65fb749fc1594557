//! The extras behind the addresses of version 2: type, length, value, checked once when received.

use super::{AUTHORITY, CRC32C, Error, UNIQUE_ID, UNIQUE_ID_LIMIT, crc32c};
use alloc::vec::Vec;

/// All TLVs of one header, as they came. Known to be whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tlvs(Vec<u8>);

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'t> {
    /// Type byte.
    pub kind: u8,
    /// As sent.
    pub value: &'t [u8],
}

impl Tlvs {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut checksums = 0;
        let mut rest = bytes;
        // Each turn takes at least the three bytes of type and length.
        while let Some(&kind) = rest.first() {
            let tlv = take(&mut rest).ok_or(Error::Tlv(kind))?;
            checksums += usize::from(kind == CRC32C);
            let is_sound = match kind {
                CRC32C => tlv.value.len() == 4 && checksums == 1,
                UNIQUE_ID => tlv.value.len() <= UNIQUE_ID_LIMIT,
                AUTHORITY => core::str::from_utf8(tlv.value).is_ok(),
                _ => true,
            };
            if !is_sound {
                return Err(Error::Tlv(kind));
            }
        }
        Ok(Self(bytes.into()))
    }

    /// `header` is the whole header; these TLVs are its end.
    pub(super) fn verify_checksum(&self, header: &[u8]) -> Result<(), Error> {
        let Some(sent) = self.get(CRC32C).and_then(|value| value.first_chunk()) else {
            return Ok(());
        };
        let tail: usize =
            self.iter().skip_while(|tlv| tlv.kind != CRC32C).skip(1).map(Tlv::length).sum();
        let (before, after) = header.split_at(header.len() - tail);
        // The field counts as zero in the sum over all.
        let zeroed = [&before[..before.len() - sent.len()], &[0; 4], after];
        match crc32c::checksum(zeroed) == u32::from_be_bytes(*sent) {
            true => Ok(()),
            false => Err(Error::Checksum),
        }
    }

    /// All of them, in the order of the wire.
    pub fn iter(&self) -> impl Iterator<Item = Tlv<'_>> {
        let mut rest = self.0.as_slice();
        core::iter::from_fn(move || take(&mut rest))
    }

    /// Value of the first TLV of this type.
    pub fn get(&self, kind: u8) -> Option<&[u8]> {
        self.iter().find(|tlv| tlv.kind == kind).map(|tlv| tlv.value)
    }

    /// Host name that the client asked for.
    pub fn authority(&self) -> Option<&str> {
        self.get(AUTHORITY).and_then(|value| core::str::from_utf8(value).ok())
    }
}

impl Tlv<'_> {
    fn length(self) -> usize {
        3 + self.value.len()
    }
}

fn take<'t>(rest: &mut &'t [u8]) -> Option<Tlv<'t>> {
    let (&[kind, high, low], after) = rest.split_first_chunk()?;
    let (value, after) = after.split_at_checked(u16::from_be_bytes([high, low]).into())?;
    *rest = after;
    Some(Tlv { kind, value })
}
