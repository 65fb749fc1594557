//! A client of VNC that reads all that it was told, as RFC 6143 and rfbproto have it. It knows nothing of the engine's machines.

use penstock_proto::rfb::Version;

use super::rfb::VERSION;

/// What a client makes of all that it was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Understood {
    /// There is more to come.
    Nothing,
    /// All that is to come is whether it is let in.
    Judged,
    /// It is let in.
    LetIn,
    /// It is not.
    Refused,
}

/// A client that reads what it was told.
pub(super) struct Viewer<'b> {
    /// What it said itself.
    pub(super) said: &'b [u8],
    /// What it was told, as far as it is not understood yet.
    pub(super) told: &'b [u8],
}

impl<'b> Viewer<'b> {
    /// Panics if it makes no sense, or breaks off in the middle of a message.
    pub(super) fn understand(mut self) -> Understood {
        let understood = self.read().unwrap_or(Understood::Nothing);
        if understood == Understood::LetIn && !self.told.is_empty() {
            // ServerInit, of which the name was looked at.
            self.take(20).expect("size and pixels");
            self.text();
        }
        assert!(self.told.is_empty(), "{understood:?}, and {}", self.told.escape_ascii());
        understood
    }

    /// The next bytes of a message; none, if it is yet to come.
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        if self.told.is_empty() && length > 0 {
            return None;
        }
        let taken = self.told.split_at_checked(length);
        let (taken, rest) = taken.unwrap_or_else(|| panic!("{}", self.told.escape_ascii()));
        self.told = rest;
        Some(taken)
    }

    fn word(&mut self) -> Option<u32> {
        self.take(4).map(|bytes| u32::from_be_bytes(bytes.try_into().expect("four")))
    }

    fn text(&mut self) -> Option<Understood> {
        let length = self.word().expect("a refusal has a reason");
        self.take(length as usize).expect("the whole reason");
        Some(Understood::Refused)
    }

    fn read(&mut self) -> Option<Understood> {
        assert_eq!(self.take(VERSION), Some(&b"RFB 003.008\n"[..]));
        if self.told.is_empty() {
            return None;
        }
        let version = Version::read(&self.said[..VERSION]).expect("it has said its version");
        let decides = version == Version::V3_3;
        let kind = match decides {
            true => self.word()? as u8,
            false => match self.take(1)?[0] {
                0 => 0,
                1 => self.take(1).expect("the type")[0],
                more => panic!("{more} types"),
            },
        };
        let chosen = self.said.get(VERSION).copied().filter(|_| !decides).unwrap_or(kind);
        match kind {
            0 => self.text(),
            _ if chosen != kind => self.refused_result(version),
            1 if version < Version::V3_8 => Some(Understood::LetIn),
            1 => self.result(version),
            2 => self.take(16).and_then(|_| self.result(version)),
            20 => self.sasl(version),
            19 => self.vencrypt(version),
            other => panic!("type {other}"),
        }
    }

    fn vencrypt(&mut self, version: Version) -> Option<Understood> {
        assert_eq!(self.take(2)?, [0, 2]);
        match self.take(1)?[0] {
            0 => assert_eq!(self.take(1), Some(&[1][..])),
            _ => return Some(Understood::Refused),
        }
        let subtype = self.word().expect("the subtype");
        if subtype != 256 && self.take(1)?[0] == 0 {
            return Some(Understood::Refused);
        }
        match subtype {
            // Another one was chosen.
            256 if self.told == [0] => self.take(1).map(|_| Understood::Refused),
            256 | 260 | 262 => self.result(version),
            261 => self.take(16).and_then(|_| self.result(version)),
            263 => self.sasl(version),
            other => panic!("subtype {other}"),
        }
    }

    fn sasl(&mut self, version: Version) -> Option<Understood> {
        let list = self.word()?;
        self.take(list as usize)?;
        loop {
            let data = self.word()?;
            self.take(data as usize).expect("the data");
            if self.take(1).expect("whether that is all") != [0] {
                return self.result(version);
            }
        }
    }

    fn result(&mut self, version: Version) -> Option<Understood> {
        match self.word() {
            None => Some(Understood::Judged),
            Some(0) => Some(Understood::LetIn),
            Some(1) if version == Version::V3_8 => self.text(),
            Some(1) => Some(Understood::Refused),
            Some(other) => panic!("result {other}"),
        }
    }

    fn refused_result(&mut self, version: Version) -> Option<Understood> {
        let understood = self.result(version)?;
        assert_ne!(understood, Understood::LetIn, "let in by what was not offered");
        Some(understood)
    }
}
