//! Percent signs (RFC 3986 §2.1): text in, what it stands for out.
//!
//! Whether a sign without two digits behind it is wrong, or stands for itself, is for callers to say.

use alloc::vec::Vec;

/// What a text stands for, up to the first sign that stands for nothing; and what follows from that sign on.
pub fn decode(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let (mut decoded, mut rest) = (Vec::with_capacity(text.len()), text);
    while let [first, after @ ..] = rest {
        let (byte, behind) = match first {
            b'%' => match byte_of(after) {
                Some(found) => found,
                None => break,
            },
            other => (*other, after),
        };
        decoded.push(byte);
        rest = behind;
    }
    (decoded, rest)
}

/// The same, where a sign that stands for nothing stays as it is.
pub fn decode_leniently(text: &[u8]) -> Vec<u8> {
    let (mut decoded, mut rest) = decode(text);
    while let [sign, after @ ..] = rest {
        decoded.push(*sign);
        let (more, left) = decode(after);
        decoded.extend(more);
        rest = left;
    }
    decoded
}

/// The byte that two digits mean, and what follows them.
fn byte_of(digits: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, behind @ ..] = digits else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = digit(*high)? << 4 | digit(*low)?;
    Some((byte as u8, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_digits_are_a_byte_and_fewer_are_nothing() {
        for (text, decoded, rest) in [
            ("", &b""[..], ""),
            ("a%2Bb%2f", b"a+b/", ""),
            ("%C3%bc%00", b"\xc3\xbc\0", ""),
            ("%252B", b"%2B", ""),
            ("a%", b"a", "%"),
            ("a%4", b"a", "%4"),
            ("a%g0b", b"a", "%g0b"),
            ("a%+1", b"a", "%+1"),
            ("%%41", b"", "%%41"),
        ] {
            assert_eq!(decode(text.as_bytes()), (decoded.to_vec(), rest.as_bytes()), "{text}");
        }
    }

    #[test]
    fn what_stands_for_nothing_may_stand_for_itself() {
        for (text, decoded) in
            [("100%", "100%"), ("%zz%4", "%zz%4"), ("%%41%42%", "%AB%"), ("a%20b", "a b")]
        {
            assert_eq!(decode_leniently(text.as_bytes()), decoded.as_bytes(), "{text}");
        }
    }
}
