//! A VNC server's part of a login, as it should be or not.
//!
//! In: what comes of the proxy, without TLS. Out: what is said, and whether TLS, the next message or payload follows. It takes nothing that
//! has no place there: no byte too many, no security that nobody may choose, no secret in the clear.

use penstock_tests::vnc::{respond, security, subtype};

use crate::sim::vnc_wire::{Next, SERVER_INIT, Wire, put_text};

/// Whoever challenges says this.
const CHALLENGE: [u8; 16] = *b"sixteen letters!";

/// What is decided about a server before anybody comes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// What it says first.
    pub version: &'static [u8; 12],
    /// Its security types; of RFB 3.3 the first decides; none: it lets nobody in.
    pub types: Vec<u8>,
    /// Its version of VeNCrypt, and whether it takes the same from others.
    pub vencrypt: ([u8; 2], bool),
    /// What it offers within that.
    pub subtypes: Vec<u32>,
    /// What was chosen may be used.
    pub goes: bool,
    /// In one breath with the last word before TLS, something else is said.
    pub injects: bool,
    /// What it offers of SASL, and how often it wants to hear more.
    pub sasl: (&'static str, usize),
    /// What clients have to know.
    pub password: &'static str,
    /// What it says whatever they know.
    pub verdict: Option<u32>,
}

impl Server {
    /// RFB's minor number, of those that differ.
    pub fn minor(&self) -> u8 {
        match &self.version[8..11] {
            b"003" | b"005" => 3,
            b"007" => 7,
            _ => 8,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    AwaitVersion,
    AwaitType,
    AwaitVencrypt,
    AwaitSubtype,
    AwaitTls(u32),
    AwaitResponse,
    AwaitNames,
    AwaitMechanism,
    /// So many rounds are left, and what was said first was right.
    AwaitData(usize, bool),
    AwaitInit,
    Over,
}

/// One conversation.
#[derive(Clone, Debug)]
pub struct Host {
    server: Server,
    stage: Stage,
    /// It has let somebody in, or has agreed on what is to be proven, as far as that is all there is to wait for.
    pub has_agreed: bool,
    /// How it lets in.
    pub chosen: Option<(bool, u32)>,
    /// ClientInit.
    pub shared: Option<u8>,
}

impl Host {
    pub fn new(server: Server, out: &mut Vec<u8>) -> Host {
        out.extend(server.version);
        Host { server, stage: Stage::AwaitVersion, has_agreed: false, chosen: None, shared: None }
    }

    /// Whether it says nothing of those whom it asks for nothing.
    pub fn has_no_verdict(&self) -> bool {
        self.server.minor() < 8 && self.chosen == Some((false, subtype::X509_NONE))
    }

    /// Takes one message; what comes next.
    pub fn step(&mut self, wire: &mut Wire) -> Next {
        let Some(next) = self.take(wire) else { return Next::Wait };
        next
    }

    fn take(&mut self, wire: &mut Wire) -> Option<Next> {
        match self.stage {
            Stage::AwaitVersion => {
                let version = wire.take(12)?;
                let expected = format!("RFB 003.00{}\n", self.server.minor());
                assert_eq!(version, expected.as_bytes(), "to {:?}", self.server);
                self.offer(wire)
            }
            Stage::AwaitType => {
                let chosen = wire.take(1)?[0];
                assert!(self.server.types.contains(&chosen), "{chosen} of {:?}", self.server);
                self.chosen(chosen, wire)
            }
            Stage::AwaitVencrypt => {
                assert_eq!(wire.take(2)?, [0, 2]);
                if !self.server.vencrypt.1 {
                    return self.close(&[1], wire);
                }
                wire.say(&[0, self.server.subtypes.len() as u8]);
                self.server.subtypes.iter().for_each(|one| wire.say(&one.to_be_bytes()));
                self.go_on(Stage::AwaitSubtype)
            }
            Stage::AwaitSubtype => {
                let chosen = wire.word()?;
                let right = self.server.subtypes.contains(&chosen);
                assert!(right && subtype::within(chosen).is_some(), "{chosen}: {:?}", self.server);
                if !self.server.goes {
                    return self.close(&[0], wire);
                }
                wire.say(if self.server.injects { &[1, 22] } else { &[1] });
                assert!(wire.is_empty(), "bytes before TLS");
                self.stage = Stage::AwaitTls(chosen);
                Some(Next::Secure)
            }
            Stage::AwaitInit => {
                self.shared = Some(wire.take(1)?[0]);
                wire.say(SERVER_INIT);
                self.stage = Stage::Over;
                Some(Next::Through)
            }
            Stage::Over => None,
            _ => self.take_proof(wire),
        }
    }

    /// What the client proves itself by.
    fn take_proof(&mut self, wire: &mut Wire) -> Option<Next> {
        match self.stage {
            Stage::AwaitTls(chosen) => {
                self.chosen = Some((true, chosen));
                match chosen {
                    subtype::X509_NONE => self.judge(true, wire),
                    subtype::X509_VNC => self.challenge(wire),
                    subtype::X509_SASL => {
                        let mut list = Vec::new();
                        put_text(self.server.sasl.0, &mut list);
                        wire.say(&list);
                        self.go_on(Stage::AwaitMechanism)
                    }
                    _ => self.go_on(Stage::AwaitNames),
                }
            }
            Stage::AwaitResponse => {
                let response = wire.take(16)?;
                self.judge(response == respond(self.server.password, CHALLENGE), wire)
            }
            Stage::AwaitNames => {
                let names = wire.names()?;
                self.judge(names == ("sim".to_owned(), self.server.password.to_owned()), wire)
            }
            Stage::AwaitMechanism => {
                let (name, data) = wire.two_texts()?;
                let listed = self.server.sasl.0.split(',').any(|one| one == name);
                let right = listed && data == format!("\0sim\0{}\0", self.server.password);
                self.ask_more(self.server.sasl.1, right, wire)
            }
            Stage::AwaitData(left, is_right) => {
                wire.text()?;
                self.ask_more(left, is_right, wire)
            }
            _ => None,
        }
    }

    fn go_on(&mut self, stage: Stage) -> Option<Next> {
        self.stage = stage;
        Some(Next::More)
    }

    fn close(&mut self, word: &[u8], wire: &mut Wire) -> Option<Next> {
        wire.say(word);
        self.stage = Stage::Over;
        Some(Next::Refused)
    }

    fn offer(&mut self, wire: &mut Wire) -> Option<Next> {
        let types = self.server.types.clone();
        let (is_old, first) = (self.server.minor() == 3, types.first().copied().unwrap_or(0));
        match is_old {
            true => wire.say(&[0, 0, 0, first]),
            false => wire.say(&[&[types.len() as u8], &types[..]].concat()),
        }
        match first {
            0 => {
                let mut reason = Vec::new();
                put_text("Too many", &mut reason);
                self.close(&reason, wire)
            }
            _ if is_old => self.chosen(first, wire),
            _ => self.go_on(Stage::AwaitType),
        }
    }

    fn chosen(&mut self, chosen: u8, wire: &mut Wire) -> Option<Next> {
        match chosen {
            security::NONE => {
                self.chosen = Some((false, subtype::X509_NONE));
                match self.server.minor() {
                    8 => self.judge(true, wire),
                    _ => {
                        self.has_agreed = true;
                        self.go_on(Stage::AwaitInit)
                    }
                }
            }
            security::VNC => {
                self.chosen = Some((false, subtype::X509_VNC));
                self.challenge(wire)
            }
            security::VENCRYPT if self.server.minor() > 3 => {
                wire.say(&self.server.vencrypt.0);
                self.go_on(Stage::AwaitVencrypt)
            }
            // Of RFB 3.3, whoever is not pleased leaves.
            _ if self.server.minor() == 3 => {
                self.stage = Stage::Over;
                None
            }
            other => panic!("{other} was chosen of {:?}", self.server),
        }
    }

    fn ask_more(&mut self, left: usize, is_right: bool, wire: &mut Wire) -> Option<Next> {
        match left.checked_sub(1) {
            Some(left) => {
                wire.say(b"\0\0\0\x02x\0\0");
                self.go_on(Stage::AwaitData(left, is_right))
            }
            None => {
                wire.say(&[0, 0, 0, 0, 1]);
                self.judge(is_right, wire)
            }
        }
    }

    fn challenge(&mut self, wire: &mut Wire) -> Option<Next> {
        wire.say(&CHALLENGE);
        self.go_on(Stage::AwaitResponse)
    }

    fn judge(&mut self, is_right: bool, wire: &mut Wire) -> Option<Next> {
        let verdict = self.server.verdict.unwrap_or(u32::from(!is_right));
        wire.say(&verdict.to_be_bytes());
        if verdict == 0 {
            self.has_agreed = true;
            return self.go_on(Stage::AwaitInit);
        }
        let mut reason = Vec::new();
        if self.server.minor() == 8 {
            put_text("Authentication failed", &mut reason);
        }
        self.close(&reason, wire)
    }
}
