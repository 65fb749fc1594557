//! What waits outside of the worker: names that are resolved in time, late, never, or for somebody who never asked; and the
//! records of what ended.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use penstock_core::config::Door;
use penstock_core::console::Token;
use penstock_core::control::{
    Asked, Command, Outside, Piece, Question, Record, ResolveError, SessionId, TunnelInfo, WallTime,
};
use penstock_core::intake::Tag;

use crate::sim::answers::{Answers, Manner};
use crate::sim::around::Described;
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
    hosts: Vec<(SessionId, Box<Asked>)>,
    records: Vec<Record>,
    /// Numbers of those that were handed over and are over.
    told: HashSet<Tag>,
    described: Vec<Described>,
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

    /// Takes the questions for the host that came in.
    pub fn take_asked(&self) -> Vec<(SessionId, Box<Asked>)> {
        std::mem::take(&mut self.papers().hosts)
    }

    /// Whether the record of that number has come.
    pub fn is_told(&self, tag: Tag) -> bool {
        self.papers().told.contains(&tag)
    }

    /// The worker answers what it knows of that number.
    pub fn described(&self, tag: Tag, info: Option<TunnelInfo>) {
        let is_over = self.is_told(tag);
        self.papers().described.push((tag, is_over, info));
    }

    /// Takes those answers.
    pub fn take_described(&self) -> Vec<Described> {
        std::mem::take(&mut self.papers().described)
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
            Question::Authorise { id, asked } => papers.hosts.push((id, asked)),
        }
        Ok(())
    }

    fn records(&mut self, _id: SessionId, _listener: u16) {}

    fn recorded(&mut self, _piece: Piece) {}

    fn finished(&mut self, record: Record) {
        let mut papers = self.papers();
        if let Some(tag) = record.tag {
            assert!(papers.told.insert(tag), "{tag} was told of before: {record:?}");
        }
        papers.records.push(record);
    }
}

/// A name's addresses, and how its answer comes.
#[derive(Clone, Debug)]
pub struct Entry {
    /// None: it doesn't exist, or can't be told now.
    pub addresses: Result<Vec<IpAddr>, ResolveError>,
    /// How it comes.
    pub manner: Manner,
}

/// The host that answers.
pub struct Resolver {
    /// All names.
    pub names: HashMap<Box<str>, Entry>,
    /// Questions refused, in percent of all turns.
    pub busy: u32,
    /// Their addresses.
    pub answers: Answers<Result<Vec<IpAddr>, ResolveError>>,
    desk: Desk,
}

impl Resolver {
    /// A resolver at a desk.
    pub fn new(host: usize, desk: Desk) -> Resolver {
        Resolver { names: HashMap::new(), busy: 0, answers: Answers::new(host), desk }
    }

    /// Looks at what was asked since the last turn.
    pub fn turn(&mut self, world: &mut World) {
        let asked = std::mem::take(&mut self.desk.papers().asked);
        for (id, name) in asked {
            let entry = self.names.get(&name).cloned();
            let Entry { addresses, manner } =
                entry.unwrap_or_else(|| panic!("nobody would ask for {name:?}"));
            let missed = [Fault::AnswerLost, Fault::AnswerLate];
            if self.answers.give(id, addresses, manner, missed, world) {
                count(Fault::AnswerForNobody);
            }
        }
        self.desk.papers().closed = world.random.percent(self.busy);
    }

    /// Posts the answers whose time has come.
    pub fn step(&mut self, world: &mut World) {
        for (id, result) in self.answers.due(world.now) {
            count(if result.is_ok() { Fault::Answered } else { Fault::AnswerNone });
            self.answers.post(Command::Resolved { id, result });
        }
    }
}
