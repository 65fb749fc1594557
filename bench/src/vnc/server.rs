//! The origin's end.

use anyhow::{Result, bail, ensure};

use super::{NONE, OK, Step, VENCRYPT, VENCRYPT_VERSION, VERSION, X509_NONE, server_init};

/// Its first word is [`VERSION`], which is said as soon as somebody has come.
#[derive(Debug)]
pub(crate) struct Server {
    awaits: Awaits,
    by_tls: bool,
    /// The beginning of what it waits for.
    partial: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Awaits {
    Version,
    Type,
    VencryptVersion,
    Subtype,
    ClientInit,
}

impl Server {
    pub(crate) fn new(by_tls: bool) -> Server {
        Server { awaits: Awaits::Version, by_tls, partial: Vec::new() }
    }

    /// Takes what came. `reply` is to be sent, before TLS if that comes next.
    pub(crate) fn take(&mut self, bytes: &[u8], reply: &mut Vec<u8>) -> Result<Step> {
        self.partial.extend(bytes);
        if self.partial.len() < self.awaits.length() {
            return Ok(Step::Waiting);
        }
        // Whoever speaks after the server has nothing to say ahead.
        ensure!(self.partial.len() == self.awaits.length(), "more than {:?}", self.awaits);
        let word = std::mem::take(&mut self.partial);
        self.hear(&word, reply)
    }

    fn hear(&mut self, word: &[u8], reply: &mut Vec<u8>) -> Result<Step> {
        match (self.awaits, word) {
            (Awaits::Version, word) if word == VERSION => {
                reply.extend([1, if self.by_tls { VENCRYPT } else { NONE }]);
                self.awaits = Awaits::Type;
            }
            (Awaits::Type, [NONE]) if !self.by_tls => {
                reply.extend(OK.to_be_bytes());
                self.awaits = Awaits::ClientInit;
            }
            (Awaits::Type, [VENCRYPT]) if self.by_tls => {
                reply.extend(VENCRYPT_VERSION);
                self.awaits = Awaits::VencryptVersion;
            }
            (Awaits::VencryptVersion, word) if word == VENCRYPT_VERSION => {
                reply.extend([0, 1]);
                reply.extend(X509_NONE.to_be_bytes());
                self.awaits = Awaits::Subtype;
            }
            (Awaits::Subtype, word) if word == X509_NONE.to_be_bytes() => {
                reply.push(1);
                self.awaits = Awaits::ClientInit;
                return Ok(Step::Tls);
            }
            (Awaits::ClientInit, [0 | 1]) => {
                reply.extend(server_init());
                return Ok(Step::Done);
            }
            (awaits, word) => bail!("{word:?} in place of {awaits:?}"),
        }
        Ok(Step::Waiting)
    }

    /// What is to be said once TLS has been agreed on: nothing more is asked for.
    pub(crate) fn secured(&self) -> [u8; 4] {
        OK.to_be_bytes()
    }
}

impl Awaits {
    /// In bytes.
    fn length(self) -> usize {
        match self {
            Awaits::Version => VERSION.len(),
            Awaits::VencryptVersion => VENCRYPT_VERSION.len(),
            Awaits::Subtype => 4,
            Awaits::Type | Awaits::ClientInit => 1,
        }
    }
}
