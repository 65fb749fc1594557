//! VNC's challenge: a password that is cut or filled up to eight bytes, each with its bits in reverse, is the key of DES for both halves of it.

use des::Des;
use des::cipher::{Array, BlockCipherEncrypt, KeyInit};

/// The answer to a challenge.
pub fn respond(password: &str, challenge: [u8; 16]) -> [u8; 16] {
    let mut key = [0_u8; 8];
    for (bits, byte) in key.iter_mut().zip(password.bytes()) {
        *bits = byte.reverse_bits();
    }
    let cipher = Des::new(&Array(key));
    let mut answer = challenge;
    for half in answer.chunks_mut(8) {
        let mut block = Array::try_from(&*half).expect("eight bytes");
        cipher.encrypt_block(&mut block);
        half.copy_from_slice(&block);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTOR: [u8; 8] = [0xff, 0x97, 0x50, 0x2e, 0x94, 0x22, 0xf0, 0x89];

    /// As `openssl enc -des-ecb -nopad -provider legacy -K 0e86ceceeef64e26` has it.
    #[test]
    fn openssl_has_the_same_answer() {
        let known = [VECTOR, VECTOR].concat();
        assert_eq!(respond("password", [0; 16])[..], known);
        assert_eq!(respond("password and more", [0; 16])[..], known);
        assert_ne!(respond("passwor", [0; 16])[..], known);
    }
}
