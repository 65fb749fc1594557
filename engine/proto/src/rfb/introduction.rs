//! ClientInit and ServerInit: who shares a console with whom, and what it is called.
//!
//! ```text
//! AwaitClient ──1 byte──▶ (to the server) AwaitServer ──24 bytes, a name──▶ (to the client) done
//!                              └── nobody wants to know the name ──▶ done
//! ```

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::error::Error;
use super::wire::{peek_u32, printable, take, take_array};
use crate::Progress::{self, Done, Wait};

/// Bytes before a console's name: its size, its pixels, and the name's length.
const BEFORE_NAME: usize = 24;
/// Bytes of a name at most.
const NAME_MAX: u32 = 4096;

/// See the module.
#[derive(Debug)]
pub struct Introduction {
    force_shared: bool,
    name: Option<Box<str>>,
    has_client: bool,
}

impl Introduction {
    /// `force_shared`: the client throws nobody out, whatever it says. `name`: a part of what the console has to call itself.
    pub fn new(force_shared: bool, name: Option<Box<str>>) -> Self {
        Self { force_shared, name, has_client: false }
    }

    /// Whether anything is wanted of it.
    pub fn is_needed(&self) -> bool {
        self.force_shared || self.name.is_some()
    }

    /// Whether the client has said its part.
    pub fn has_client(&self) -> bool {
        self.has_client
    }

    /// Takes what the client says. Where it is not known yet whose console this is, nobody is thrown out of it.
    pub fn client(&mut self, input: &mut &[u8], to_server: &mut Vec<u8>) -> Progress<()> {
        if !self.has_client {
            let Some([shared]) = take_array(input) else { return Wait };
            let force_shared = self.force_shared || self.name.is_some();
            to_server.push(if force_shared { 1 } else { shared });
            self.has_client = true;
        }
        if self.name.is_none() { Done(()) } else { Wait }
    }

    /// Takes what the server says.
    ///
    /// # Errors
    /// The console has another name; the client has heard nothing of it.
    pub fn server(
        &mut self,
        input: &mut &[u8],
        to_client: &mut Vec<u8>,
    ) -> Result<Progress<()>, Error> {
        let Some(expected) = &self.name else { return Ok(Wait) };
        let Some(length) = input.get(BEFORE_NAME - 4..).and_then(peek_u32) else { return Ok(Wait) };
        if length > NAME_MAX {
            return Err(Error::TooLong { what: "a console's name", length });
        }
        let Some(message) = take(input, BEFORE_NAME + length as usize) else { return Ok(Wait) };
        let name = printable(&message[BEFORE_NAME..]);
        if !contains_word(&name, expected) {
            return Err(Error::OtherConsole { expected: expected.clone(), came: name });
        }
        to_client.extend(message);
        Ok(Done(()))
    }
}

/// Whether `word` is in `text`, and not as a part of a longer word: `instance-1` is not `instance-10`.
fn contains_word(text: &str, word: &str) -> bool {
    let is_letter = |letter: char| letter.is_alphanumeric() || letter == '-' || letter == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_letter) && !text[at + word.len()..].starts_with(is_letter)
    })
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::testing::any_split;

    const INIT: &[u8] = b"\0\x10\0\x10pixels of 16 byt\0\0\0\x16QEMU (instance-000001)";

    fn judged(name: &str, server: &[u8]) -> (Result<Progress<()>, Error>, Vec<u8>) {
        let new = || Introduction::new(false, Some(name.into()));
        let fed = any_split(server, new, |machine, input, output| machine.server(input, output));
        (fed.verdict, fed.output)
    }

    #[test]
    fn a_console_has_the_name_that_was_looked_up_or_nobody_sees_it() {
        assert_eq!(judged("instance-000001", INIT), (Ok(Done(())), INIT.to_vec()));
        for other in ["instance-00000", "nstance-000001", "instance-000002"] {
            let (verdict, shown) = judged(other, INIT);
            let came = "QEMU (instance-000001)".into();
            assert_eq!(verdict, Err(Error::OtherConsole { expected: other.into(), came }));
            assert_eq!(shown, vec![]);
        }
        let (verdict, _) = judged("x", b"\0\x10\0\x10pixels of 16 byt\0\x01\0\0");
        assert_eq!(verdict, Err(Error::TooLong { what: "a console's name", length: 1 << 16 }));
    }

    #[test]
    fn nobody_is_thrown_out_if_that_is_wanted() {
        let mut output = Vec::new();
        let mut forced = Introduction::new(true, None);
        assert_eq!(forced.client(&mut &[][..], &mut output), Wait);
        assert_eq!(forced.client(&mut &[0][..], &mut output), Done(()));
        let mut free = Introduction::new(false, Some("x".into()));
        assert_eq!(free.client(&mut &[0][..], &mut output), Wait, "the name is still to come");
        assert_eq!(output, [1, 1], "nor out of a console of which it is not known whose it is");
        assert!(forced.is_needed() && free.is_needed());
        assert!(!Introduction::new(false, None).is_needed());
    }
}
