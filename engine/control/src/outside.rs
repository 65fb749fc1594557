//! A worker's end of the queues towards this crate.

use std::time::SystemTime;

use penstock_core::control::{Mailbox, Outside, Question, Record, WallTime};
use tokio::sync::mpsc;

use crate::access_log;
use crate::clock::Clock;

/// A question, and where the answer goes.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) question: Question,
    pub(crate) mailbox: Mailbox,
}

pub(crate) struct WorkerOutside {
    pub(crate) mailbox: Mailbox,
    pub(crate) ask: mpsc::Sender<Asked>,
    pub(crate) access_log: access_log::Sender,
    pub(crate) clock: Clock,
}

impl Outside for WorkerOutside {
    fn wall_time(&self) -> WallTime {
        self.clock.now()
    }

    fn ask(&mut self, question: Question) -> Result<(), Question> {
        let asked = Asked { question, mailbox: self.mailbox.clone() };
        self.ask.try_send(asked).map_err(|refused| refused.into_inner().question)
    }

    fn finished(&mut self, record: Record) {
        self.access_log.record(record, SystemTime::now());
    }
}

#[cfg(test)]
mod tests {
    use penstock_core::control::SessionId;

    use super::*;
    use crate::mailman::testing;

    #[test]
    fn a_question_too_many_comes_back_at_once() {
        let (ask, _questions) = mpsc::channel(1);
        let mailbox = testing::mailbox(1);
        let access_log = access_log::Sender::to_nobody();
        let mut outside = WorkerOutside { mailbox, ask, access_log, clock: Clock::new() };
        let id = SessionId { worker: 0, slot: 1, generation: 2 };
        let question = |name: &str| Question::Resolve { id, name: name.into() };
        assert!(outside.ask(question("a")).is_ok());
        let Err(Question::Resolve { name, .. }) = outside.ask(question("b")) else {
            panic!("the queue holds one");
        };
        assert_eq!(&*name, "b");
    }
}
