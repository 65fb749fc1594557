//! CRC32C, reflected, as RFC 3720 appendix B.4 defines it: parts of a message in, its sum out.

/// Castagnoli's polynomial, bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            let carry = if remainder & 1 == 1 { POLYNOMIAL } else { 0 };
            remainder = (remainder >> 1) ^ carry;
            bit += 1;
        }
        table[byte] = remainder;
        byte += 1;
    }
    table
};

pub(super) fn checksum<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> u32 {
    !parts.into_iter().flatten().fold(!0, |sum, byte| {
        let [low, ..] = sum.to_le_bytes();
        (sum >> 8) ^ TABLE[usize::from(low ^ byte)]
    })
}

#[cfg(test)]
mod tests {
    use super::checksum;

    #[test]
    fn agrees_with_the_vectors_of_rfc_3720() {
        let rising: [u8; 32] = core::array::from_fn(|i| i as u8);
        assert_eq!(checksum([[0; 32].as_slice()]), 0x8a91_36aa);
        assert_eq!(checksum([[0xff; 32].as_slice()]), 0x62a8_ab43);
        assert_eq!(checksum([rising.as_slice()]), 0x46dd_794e);
        assert_eq!(checksum([b"1234".as_slice(), b"56789"]), 0xe306_9283);
    }
}
