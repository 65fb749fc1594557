//! A worker's end of the queues towards this crate.

use std::collections::HashMap;
use std::time::SystemTime;

use penstock_core::config::Door;
use penstock_core::control::{Mailbox, Outside, Question, Record, SessionId, WallTime};
use tokio::sync::mpsc::{self, OwnedPermit};

use crate::access_log;
use crate::clock::Clock;
use crate::opener::Notice;

/// A question for the resolver, and where the answer goes.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) id: SessionId,
    pub(crate) name: Box<str>,
    pub(crate) mailbox: Mailbox,
}

pub(crate) struct WorkerOutside {
    pub(crate) mailbox: Mailbox,
    pub(crate) ask: mpsc::Sender<Asked>,
    pub(crate) opener: mpsc::Sender<Notice>,
    /// Connections whose end the opener has to hear of, with its place in the queue.
    pub(crate) awaited: HashMap<SessionId, OwnedPermit<Notice>>,
    pub(crate) access_log: access_log::Sender,
    pub(crate) clock: Clock,
}

impl Outside for WorkerOutside {
    fn wall_time(&self) -> WallTime {
        self.clock.now()
    }

    fn ask(&mut self, question: Question) -> Result<(), Question> {
        match question {
            Question::Resolve { id, name } => {
                let asked = Asked { id, name, mailbox: self.mailbox.clone() };
                self.ask.try_send(asked).map_err(|refused| {
                    let Asked { id, name, .. } = refused.into_inner();
                    Question::Resolve { id, name }
                })
            }
            Question::Open { id, door } => {
                let refused = Question::Open { id, door: door.clone() };
                let Ok(place) = self.opener.clone().try_reserve_owned() else {
                    return Err(refused);
                };
                if matches!(*door, Door::Unix(_)) {
                    place.send(Notice::Asked { id, door, mailbox: self.mailbox.clone() });
                    return Ok(());
                }
                let Ok(for_its_end) = self.opener.clone().try_reserve_owned() else {
                    return Err(refused);
                };
                place.send(Notice::Asked { id, door, mailbox: self.mailbox.clone() });
                self.awaited.insert(id, for_its_end);
                Ok(())
            }
        }
    }

    fn finished(&mut self, record: Record) {
        let at = SystemTime::now();
        if !self.awaited.is_empty()
            && let Some(place) = self.awaited.remove(&record.id)
        {
            place.send(Notice::Ended(Box::new(record), at));
            return;
        }
        self.access_log.record(record, at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailman::testing;

    #[test]
    fn a_question_too_many_comes_back_at_once() {
        let (ask, _questions) = mpsc::channel(1);
        let mailbox = testing::mailbox(1);
        let access_log = access_log::Sender::to_nobody();
        let (opener, _notices) = mpsc::channel(1);
        let (awaited, clock) = (HashMap::new(), Clock::new());
        let mut outside = WorkerOutside { mailbox, ask, opener, awaited, access_log, clock };
        let id = SessionId { worker: 0, slot: 1, generation: 2 };
        let question = |name: &str| Question::Resolve { id, name: name.into() };
        assert!(outside.ask(question("a")).is_ok());
        let Err(Question::Resolve { name, .. }) = outside.ask(question("b")) else {
            panic!("the queue holds one");
        };
        assert_eq!(&*name, "b");
    }
}
