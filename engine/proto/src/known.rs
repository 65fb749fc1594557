//! The beginning of something that passes in pieces: bytes in, the same bytes side by side out.

/// At most `LIMIT` bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Known<const LIMIT: usize> {
    bytes: [u8; LIMIT],
    length: usize,
}

impl<const LIMIT: usize> Known<LIMIT> {
    /// Takes bytes until `wanted` are known, or as many as fit: how many it took.
    pub(crate) fn fill(&mut self, wanted: usize, bytes: &[u8]) -> usize {
        let taken = wanted.min(LIMIT).saturating_sub(self.length).min(bytes.len());
        self.bytes[self.length..self.length + taken].copy_from_slice(&bytes[..taken]);
        self.length += taken;
        taken
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }
}

impl<const LIMIT: usize> Default for Known<LIMIT> {
    fn default() -> Self {
        Self { bytes: [0; LIMIT], length: 0 }
    }
}
