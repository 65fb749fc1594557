//! A VNC client's part of a login: whatever it is told has to be RFB of its own version, whole, and nothing more.

use penstock_tests::vnc::{respond, security, subtype};

use crate::sim::vnc_wire::{Next, SERVER_INIT, Wire, put_names, put_text};

/// What is decided about a client before it begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Viewer {
    /// RFB's minor number.
    pub minor: u8,
    /// It chooses this, whatever is offered.
    pub chooses: Option<u8>,
    /// What it knows, if it is asked.
    pub password: &'static str,
    /// Whether others may stay.
    pub shared: u8,
    /// In one breath with the last word before TLS, it says something else.
    pub injects: bool,
    /// It does not wait for the console's name before it talks.
    pub hasty: bool,
}

/// What it was told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// That it is in.
    LetIn,
    /// That it is not, and why, where there is a place for that.
    Refused(Option<String>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    AwaitVersion,
    AwaitTypes,
    AwaitReason,
    AwaitVencrypt,
    AwaitSubtypes,
    AwaitGo(u32),
    AwaitTls(u32),
    AwaitChallenge,
    AwaitMechanisms,
    AwaitStep,
    AwaitResult,
    AwaitInit,
    Over,
}

/// One conversation.
#[derive(Clone, Debug)]
pub struct Guest {
    viewer: Viewer,
    stage: Stage,
    /// What has come of it.
    pub told: Option<Told>,
    /// It has heard of more than a version, and of no refusal.
    pub is_offered: bool,
    /// What it will hear first of the console, if it did not wait for it.
    pub foretold: &'static [u8],
}

impl Guest {
    pub fn new(viewer: Viewer) -> Guest {
        let stage = Stage::AwaitVersion;
        Guest { viewer, stage, told: None, is_offered: false, foretold: &[] }
    }

    /// Takes one message; what comes next.
    pub fn step(&mut self, wire: &mut Wire) -> Next {
        let Some(next) = self.take(wire) else { return Next::Wait };
        next
    }

    /// Whether it could be told now that it is refused.
    pub fn awaits_verdict(&self) -> bool {
        matches!(self.stage, Stage::AwaitTypes | Stage::AwaitResult)
    }

    fn take(&mut self, wire: &mut Wire) -> Option<Next> {
        match self.stage {
            Stage::AwaitVersion => {
                assert_eq!(wire.take(12)?, b"RFB 003.008\n");
                wire.say(format!("RFB 003.00{}\n", self.viewer.minor).as_bytes());
                self.go_on(Stage::AwaitTypes)
            }
            Stage::AwaitTypes => self.types(wire),
            Stage::AwaitReason => {
                let reason = wire.text()?;
                self.refused(Some(reason), wire)
            }
            Stage::AwaitVencrypt => {
                assert_eq!(wire.take(2)?, [0, 2]);
                wire.say(&[0, 2]);
                self.go_on(Stage::AwaitSubtypes)
            }
            Stage::AwaitSubtypes => self.subtypes(wire),
            Stage::AwaitGo(chosen) => match wire.take(1)?[0] {
                1 => {
                    assert!(wire.is_empty(), "the server speaks first in TLS");
                    self.stage = Stage::AwaitTls(chosen);
                    Some(Next::Secure)
                }
                0 => self.refused(None, wire),
                other => panic!("{other} before TLS"),
            },
            Stage::AwaitResult => match wire.word()? {
                0 => self.let_in(wire),
                1 if self.viewer.minor == 8 => self.go_on(Stage::AwaitReason),
                1 => self.refused(None, wire),
                other => panic!("result {other}"),
            },
            Stage::AwaitInit => {
                assert_eq!(wire.take(SERVER_INIT.len())?, SERVER_INIT);
                self.stage = Stage::Over;
                Some(Next::Through)
            }
            Stage::Over => {
                let rest = &wire.inbox;
                assert!(rest.is_empty(), "behind a refusal: {}", rest.escape_ascii());
                None
            }
            _ => self.prove(wire),
        }
    }

    /// What it proves itself by.
    fn prove(&mut self, wire: &mut Wire) -> Option<Next> {
        match self.stage {
            Stage::AwaitTls(chosen) => match chosen {
                subtype::X509_NONE => self.go_on(Stage::AwaitResult),
                subtype::X509_VNC => self.go_on(Stage::AwaitChallenge),
                subtype::X509_SASL => self.go_on(Stage::AwaitMechanisms),
                _ => self.say_names(wire),
            },
            Stage::AwaitChallenge => {
                let challenge = wire.take(16)?.try_into().expect("sixteen bytes");
                wire.say(&respond(self.viewer.password, challenge));
                self.go_on(Stage::AwaitResult)
            }
            Stage::AwaitMechanisms => {
                let list = wire.text()?;
                let data = format!("\0sim\0{}\0", self.viewer.password);
                let mut said = Vec::new();
                put_text(if list.contains("PLAIN") { "PLAIN" } else { "OTHER" }, &mut said);
                put_text(&data, &mut said);
                wire.say(&said);
                self.go_on(Stage::AwaitStep)
            }
            Stage::AwaitStep => {
                let mut ahead = wire.clone();
                ahead.text()?;
                let complete = ahead.take(1)?[0];
                *wire = ahead;
                if complete == 0 {
                    wire.say(&[0; 4]);
                    return self.go_on(Stage::AwaitStep);
                }
                self.go_on(Stage::AwaitResult)
            }
            _ => None,
        }
    }

    fn types(&mut self, wire: &mut Wire) -> Option<Next> {
        let is_old = self.viewer.minor == 3;
        let offered = match is_old {
            true => wire.word()?,
            false if wire.inbox.first() == Some(&0) => wire.take(1)?[0].into(),
            false => {
                let [count, offered] = wire.take(2)?[..] else { return None };
                assert_eq!(count, 1, "one type is offered");
                offered.into()
            }
        };
        if offered == 0 {
            return self.go_on(Stage::AwaitReason);
        }
        self.is_offered = true;
        if is_old {
            return self.chosen(offered as u8, wire);
        }
        let chosen = self.viewer.chooses.unwrap_or(offered as u8);
        wire.say(&[chosen]);
        match u32::from(chosen) == offered {
            true => self.chosen(chosen, wire),
            false => self.go_on(Stage::AwaitResult),
        }
    }

    fn chosen(&mut self, chosen: u8, wire: &mut Wire) -> Option<Next> {
        match chosen {
            security::NONE if self.viewer.minor == 8 => self.go_on(Stage::AwaitResult),
            security::NONE => self.let_in(wire),
            security::VNC => self.go_on(Stage::AwaitChallenge),
            security::SASL => self.go_on(Stage::AwaitMechanisms),
            security::VENCRYPT => self.go_on(Stage::AwaitVencrypt),
            other => panic!("{other} is offered"),
        }
    }

    fn subtypes(&mut self, wire: &mut Wire) -> Option<Next> {
        let offer = wire.take(6)?;
        assert_eq!(offer[..2], [0, 1], "one subtype is offered");
        let chosen = u32::from_be_bytes(offer[2..].try_into().expect("four bytes"));
        wire.say(&offer[2..]);
        if chosen == subtype::PLAIN {
            return self.say_names(wire);
        }
        assert!(subtype::within(chosen).is_some(), "{chosen} is offered");
        if self.viewer.injects {
            wire.say(&[22]);
        }
        self.go_on(Stage::AwaitGo(chosen))
    }

    fn say_names(&mut self, wire: &mut Wire) -> Option<Next> {
        wire.say(&put_names("sim", self.viewer.password));
        self.go_on(Stage::AwaitResult)
    }

    fn let_in(&mut self, wire: &mut Wire) -> Option<Next> {
        self.told = Some(Told::LetIn);
        wire.say(&[self.viewer.shared]);
        if self.viewer.hasty {
            (self.foretold, self.stage) = (SERVER_INIT, Stage::Over);
            return Some(Next::Through);
        }
        self.go_on(Stage::AwaitInit)
    }

    fn refused(&mut self, reason: Option<String>, wire: &Wire) -> Option<Next> {
        assert!(wire.is_empty(), "behind a refusal: {}", wire.inbox.escape_ascii());
        self.told = Some(Told::Refused(reason));
        self.stage = Stage::Over;
        Some(Next::Refused)
    }

    fn go_on(&mut self, stage: Stage) -> Option<Next> {
        self.stage = stage;
        Some(Next::More)
    }
}
