//! A worker's end of the queues towards this crate.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use penstock_core::control::{Mailbox, Outside, Piece, Question, Record, SessionId, WallTime};
use tokio::sync::mpsc::{self, OwnedPermit};

use crate::access_log;
use crate::clock::Clock;
use crate::host::Host;
use crate::opener::{self, Notice};
use crate::recorder::Feed;
use crate::{secrets, tokens};

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
    pub(crate) tokens: mpsc::Sender<tokens::Asked>,
    pub(crate) secrets: mpsc::Sender<secrets::Asked>,
    pub(crate) opener: mpsc::Sender<Notice>,
    /// Connections whose end the opener has to hear of, with its place in the queue.
    pub(crate) awaited: HashMap<SessionId, OwnedPermit<Notice>>,
    pub(crate) access_log: access_log::Sender,
    pub(crate) recorder: Option<Feed>,
    pub(crate) clock: Clock,
    pub(crate) host: Option<Arc<dyn Host>>,
}

impl Outside for WorkerOutside {
    fn wall_time(&self) -> WallTime {
        self.clock.now()
    }

    fn ask(&mut self, question: Question) -> Result<(), Question> {
        match question {
            Question::Token { id, tokens, token, client, page } => {
                let mailbox = self.mailbox.clone();
                let asked = tokens::Asked { id, tokens, token, client, page, mailbox };
                self.tokens.try_send(asked).map_err(|refused| {
                    let tokens::Asked { id, tokens, token, client, page, .. } =
                        refused.into_inner();
                    Question::Token { id, tokens, token, client, page }
                })
            }
            Question::Secrets { id, vnc, target } => {
                let asked = secrets::Asked { id, vnc, target, mailbox: self.mailbox.clone() };
                self.secrets.try_send(asked).map_err(|refused| {
                    let secrets::Asked { id, vnc, target, .. } = refused.into_inner();
                    Question::Secrets { id, vnc, target }
                })
            }
            Question::Authorise { id, asked } => {
                let asked = match &self.host {
                    Some(host) => host.authorise(id, asked, self.mailbox.clone()),
                    None => Err(asked),
                };
                asked.map_err(|asked| Question::Authorise { id, asked })
            }
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
                if !opener::is_kept(&door) {
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

    fn records(&mut self, id: SessionId, listener: u16) {
        if let Some(recorder) = &mut self.recorder {
            recorder.begin(id, listener);
        }
    }

    fn recorded(&mut self, piece: Piece) {
        if let Some(recorder) = &mut self.recorder {
            recorder.record(piece);
        }
    }

    fn finished(&mut self, record: Record) {
        if let Some(recorder) = &mut self.recorder {
            recorder.end(record.id);
        }
        if let Some(host) = &self.host {
            host.finished(&record);
        }
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
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use penstock_core::close::{Cause, CloseReason, Phase, Side};
    use penstock_core::config::{Door, TokenSource, Tokens};
    use penstock_core::console::Token;
    use penstock_core::control::{self, Admitted, Command};
    use penstock_core::libvirt;

    use super::*;
    use crate::access_log::testing::{Records, sender};
    use crate::mailman::testing;

    struct Rig {
        outside: WorkerOutside,
        _questions: mpsc::Receiver<Asked>,
        _tokens: mpsc::Receiver<tokens::Asked>,
        _secrets: mpsc::Receiver<secrets::Asked>,
        notices: mpsc::Receiver<Notice>,
        records: Records,
    }

    fn rig(room: usize) -> Rig {
        let (ask, _questions) = mpsc::channel(1);
        let (tokens, _tokens) = mpsc::channel(1);
        let (secrets, _secrets) = mpsc::channel(1);
        let (opener, notices) = mpsc::channel(room);
        let (access_log, records) = sender();
        let (awaited, clock) = (HashMap::new(), Clock::new());
        let mailbox = testing::mailbox(1);
        let outside = WorkerOutside {
            mailbox,
            ask,
            tokens,
            secrets,
            opener,
            awaited,
            access_log,
            recorder: None,
            clock,
            host: None,
        };
        Rig { outside, _questions, _tokens, _secrets, notices, records }
    }

    fn id(slot: u32) -> SessionId {
        SessionId { worker: 0, slot, generation: 2 }
    }

    fn record(slot: u32) -> Record {
        Record::new(id(slot), 0, CloseReason::new(Side::Client, Phase::Relay, Cause::Finished))
    }

    fn program(slot: u32) -> Question {
        let program =
            libvirt::Command { program: "ssh".to_owned(), arguments: Vec::new(), environment: &[] };
        Question::Open { id: id(slot), door: Arc::new(Door::Command(program)) }
    }

    #[test]
    fn a_question_too_many_comes_back_at_once() {
        let mut rig = rig(1);
        let question = |name: &str| Question::Resolve { id: id(1), name: name.into() };
        assert!(rig.outside.ask(question("a")).is_ok());
        let Err(Question::Resolve { name, .. }) = rig.outside.ask(question("b")) else {
            panic!("the queue holds one");
        };
        assert_eq!(&*name, "b");
    }

    /// Takes one question, and all records.
    #[derive(Default)]
    struct Once(Mutex<(Option<SessionId>, Vec<SessionId>)>);

    impl Host for Once {
        fn authorise(
            &self,
            id: SessionId,
            asked: Box<control::Asked>,
            mailbox: Mailbox,
        ) -> Result<(), Box<control::Asked>> {
            let mut heard = self.0.lock().expect("no panic");
            if heard.0.is_some() {
                return Err(asked);
            }
            heard.0 = Some(id);
            let answer = Command::Authorised { id, result: Ok(Admitted::default()) };
            mailbox.post(answer).expect("room");
            Ok(())
        }

        fn finished(&self, record: &Record) {
            self.0.lock().expect("no panic").1.push(record.id);
        }
    }

    #[test]
    fn the_host_is_asked_and_told_of_every_end() {
        let mut rig = rig(2);
        let question = |listener| {
            let asked = Box::new(control::Asked { listener, ..control::Asked::default() });
            Question::Authorise { id: id(1), asked }
        };
        let back = |question| match question {
            Err(Question::Authorise { asked, .. }) => asked.listener,
            other => panic!("{other:?}"),
        };
        assert_eq!(back(rig.outside.ask(question(3))), 3, "there is none");
        let host = Arc::new(Once::default());
        rig.outside.host = Some(host.clone());
        assert!(rig.outside.ask(question(3)).is_ok());
        assert_eq!(back(rig.outside.ask(question(4))), 4, "it takes no more");
        let answer = rig.outside.mailbox.take().expect("an answer");
        assert!(matches!(answer, Command::Authorised { id: who, result: Ok(_) } if who == id(1)));
        // Also of those whose end others have to hear of first.
        assert!(rig.outside.ask(program(5)).is_ok());
        rig.outside.finished(record(5));
        rig.outside.finished(record(6));
        let heard = host.0.lock().expect("no panic");
        assert_eq!((heard.0, &heard.1[..]), (Some(id(1)), &[id(5), id(6)][..]));
    }

    #[test]
    fn a_token_too_many_comes_back_with_all_that_was_asked() {
        let mut rig = rig(1);
        let tokens = Arc::new(Tokens {
            source: TokenSource::Jwt(PathBuf::new()),
            timeout: Duration::from_secs(3),
            single_use: false,
            bind_client: false,
            expiry: None,
        });
        let client = Some(std::net::IpAddr::from([10, 0, 0, 1]));
        let question = |token: &str| {
            let (tokens, token) = (tokens.clone(), Token::from(token.to_owned()));
            Question::Token { id: id(1), tokens, token, client, page: None }
        };
        assert!(rig.outside.ask(question("a")).is_ok());
        let Err(Question::Token { id: who, tokens: of, token, client: from, .. }) =
            rig.outside.ask(question("b"))
        else {
            panic!("the queue holds one");
        };
        assert_eq!((who, of, token.secret(), from), (id(1), tokens.clone(), "b", client));
    }

    #[test]
    fn who_needs_a_program_has_a_place_for_its_end_or_none_at_all() {
        let mut rig = rig(3);
        assert!(rig.outside.ask(program(1)).is_ok());
        assert!(matches!(rig.outside.ask(program(2)), Err(Question::Open { .. })), "one place");
        assert!(matches!(rig.notices.try_recv(), Ok(Notice::Asked { .. })));
        let socket = Question::Open { id: id(3), door: Arc::new(Door::Unix(Vec::new())) };
        assert!(rig.outside.ask(socket).is_ok());
        rig.outside.finished(record(2));
        rig.outside.finished(record(3));
        assert!(rig.records.next().is_some() && rig.records.next().is_some());
        // However full the queue is by now.
        let another = Question::Open { id: id(4), door: Arc::new(Door::Unix(Vec::new())) };
        assert!(rig.outside.ask(another).is_ok());
        rig.outside.finished(record(1));
        assert!(rig.records.next().is_none(), "the opener has it");
        for _ in 0..2 {
            assert!(matches!(rig.notices.try_recv(), Ok(Notice::Asked { .. })));
        }
        assert!(
            matches!(rig.notices.try_recv(), Ok(Notice::Ended(record, _)) if record.id == id(1))
        );
    }
}
