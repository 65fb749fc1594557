//! What waits outside of the worker: names that are resolved in time, late, never, or for somebody who never asked; and the
//! records of what ended.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use penstock_core::config::Door;
use penstock_core::console::Token;
use penstock_core::control::{
    Command, Mailbox, Outside, Piece, Question, Record, ResolveError, SessionId, WallTime,
};
use penstock_ring::Time;

use crate::sim::random::Random;
use crate::sim::tally::{Fault, count};
use crate::sim::world::World;

/// The desk between the worker and the world, shared by both.
#[derive(Clone, Default)]
pub struct Desk(Arc<Mutex<Papers>>);

#[derive(Default)]
struct Papers {
    asked: Vec<(SessionId, Box<str>)>,
    doors: Vec<(SessionId, Arc<Door>)>,
    tokens: Vec<(SessionId, Token)>,
    secrets: Vec<SessionId>,
    records: Vec<Record>,
    /// No question is taken while this is set.
    closed: bool,
}

impl Desk {
    /// Takes the records that came in.
    pub fn records(&self) -> Vec<Record> {
        std::mem::take(&mut self.papers().records)
    }

    /// Takes the questions for doors that came in.
    pub fn take_doors(&self) -> Vec<(SessionId, Arc<Door>)> {
        std::mem::take(&mut self.papers().doors)
    }

    /// Takes the questions about tokens that came in.
    pub fn take_tokens(&self) -> Vec<(SessionId, Token)> {
        std::mem::take(&mut self.papers().tokens)
    }

    /// Takes the questions for secrets that came in.
    pub fn take_secrets(&self) -> Vec<SessionId> {
        std::mem::take(&mut self.papers().secrets)
    }

    fn papers(&self) -> std::sync::MutexGuard<'_, Papers> {
        self.0.lock().expect("one thread only")
    }
}

impl Outside for Desk {
    fn wall_time(&self) -> WallTime {
        WallTime { unix: 1_800_000_000, weekday: 5, minute: 601 }
    }

    fn ask(&mut self, question: Question) -> Result<(), Question> {
        let mut papers = self.papers();
        if papers.closed {
            count(Fault::QuestionRefused);
            return Err(question);
        }
        match question {
            Question::Resolve { id, name } => papers.asked.push((id, name)),
            Question::Open { id, door } => papers.doors.push((id, door)),
            Question::Token { id, token, .. } => papers.tokens.push((id, token)),
            Question::Secrets { id, vnc, .. } => {
                assert!(vnc.credentials.has_files(), "there is nothing to be read");
                papers.secrets.push(id);
            }
        }
        Ok(())
    }

    fn records(&mut self, _id: SessionId, _listener: u16) {}

    fn recorded(&mut self, _piece: Piece) {}

    fn finished(&mut self, record: Record) {
        self.papers().records.push(record);
    }
}

/// A name's addresses, and how its answer comes.
#[derive(Clone, Debug)]
pub struct Entry {
    /// None: it doesn't exist, or can't be told now.
    pub addresses: Result<Vec<IpAddr>, ResolveError>,
    /// How long it takes.
    pub delay: Duration,
    /// It never comes.
    pub lost: bool,
}

/// The host that answers.
pub struct Resolver {
    /// Its number as a host.
    pub host: usize,
    /// All names.
    pub names: HashMap<Box<str>, Entry>,
    /// Answers for nobody, in percent of all answers.
    pub confused: u32,
    /// Questions refused, in percent of all turns.
    pub busy: u32,
    /// The mailbox was too full for an answer.
    pub lost: bool,
    desk: Desk,
    mailbox: Option<Mailbox>,
    answers: Vec<(Time, SessionId, Result<Vec<IpAddr>, ResolveError>)>,
}

impl Resolver {
    /// A resolver at a desk.
    pub fn new(host: usize, desk: Desk) -> Resolver {
        Resolver {
            host,
            names: HashMap::new(),
            confused: 0,
            busy: 0,
            lost: false,
            desk,
            mailbox: None,
            answers: Vec::new(),
        }
    }

    /// Where answers go.
    pub fn answer_to(&mut self, mailbox: Mailbox) {
        self.mailbox = Some(mailbox);
    }

    /// Looks at what was asked since the last turn.
    pub fn turn(&mut self, world: &mut World) {
        let asked = std::mem::take(&mut self.desk.papers().asked);
        for (id, name) in asked {
            let entry = self.names.get(&name).cloned();
            let entry = entry.unwrap_or_else(|| panic!("nobody would ask for {name:?}"));
            self.answer_later(id, entry, world);
        }
        self.desk.papers().closed = world.random.percent(self.busy);
    }

    /// Posts the answers whose time has come.
    pub fn step(&mut self, world: &mut World) {
        let mailbox = self.mailbox.as_ref().expect("set at the start");
        for (_, id, result) in self.answers.extract_if(.., |(time, ..)| *time <= world.now) {
            count(if result.is_ok() { Fault::Answered } else { Fault::AnswerNone });
            // A full mailbox loses an answer; the session must live with that.
            self.lost |= mailbox.post(Command::Resolved { id, result }).is_err();
        }
    }

    fn answer_later(&mut self, id: SessionId, entry: Entry, world: &mut World) {
        if entry.lost {
            return count(Fault::AnswerLost);
        }
        if entry.delay > Duration::from_secs(1) {
            count(Fault::AnswerLate);
        }
        if world.random.percent(self.confused) {
            count(Fault::AnswerForNobody);
            let other = confuse(id, &mut world.random);
            self.answers.push((world.now, other, entry.addresses.clone()));
        }
        self.answers.push((world.now + entry.delay, id, entry.addresses));
        world.wake_host(self.host, Duration::ZERO);
        world.wake_host(self.host, entry.delay);
    }
}

/// An id that looks like one that asked: of one before it, or of one that there will not be for long, lest it ask by then.
pub fn confuse(id: SessionId, random: &mut Random) -> SessionId {
    match random.below(3) {
        0 => SessionId { generation: id.generation.wrapping_sub(1) & 0xff_ffff, ..id },
        1 => SessionId { generation: (id.generation + 0x40_0000) & 0xff_ffff, ..id },
        _ => SessionId { slot: id.slot + 1_000_000, ..id },
    }
}
