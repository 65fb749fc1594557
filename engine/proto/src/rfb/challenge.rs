//! VNC authentication: a challenge that is encrypted by the password.
//!
//! DES with eight letters of a password protects nothing: whoever hears both can find the password in a day. It is here because servers ask
//! for it.

use des::Des;
use des::cipher::{Array, BlockCipherEncrypt, KeyInit};

/// Bytes of a challenge, and of the answer.
pub(super) const LENGTH: usize = 16;

/// Answers a challenge: DES in two blocks, the key being the first eight bytes of the password with the bits of each reversed.
pub(super) fn answer(challenge: &[u8; LENGTH], password: &str) -> [u8; LENGTH] {
    let mut key = [0; 8];
    for (key, byte) in key.iter_mut().zip(password.bytes()) {
        *key = byte.reverse_bits();
    }
    let cipher = Des::new(&Array(key));
    let mut answer = *challenge;
    for block in answer.as_chunks_mut().0 {
        let mut bytes = Array(*block);
        cipher.encrypt_block(&mut bytes);
        *block = bytes.0;
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From OpenSSL: `openssl enc -des-ecb -nopad -provider legacy -provider default -K ...`, the key's bits reversed by hand.
    #[test]
    fn the_answer_is_that_of_another_des() {
        let hex = |bytes: [u8; LENGTH]| {
            bytes.iter().map(|byte| std::format!("{byte:02x}")).collect::<std::string::String>()
        };
        let zeros = [0; LENGTH];
        let counted = core::array::from_fn(|i| i as u8);
        assert_eq!(hex(answer(&zeros, "password")), PASSWORD_ZEROS);
        assert_eq!(hex(answer(&zeros, "password and more")), PASSWORD_ZEROS, "eight letters count");
        assert_eq!(hex(answer(&counted, "abc")), ABC_COUNTED);
    }

    const PASSWORD_ZEROS: &str = "ff97502e9422f089ff97502e9422f089";
    const ABC_COUNTED: &str = "9c22b4f2088c3465a1562c4b9d6edb04";
}
