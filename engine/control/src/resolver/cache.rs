//! What was answered lately, and who waits for what. Pure: time comes as an argument.

use std::collections::HashMap;
use std::time::Duration;

use penstock_core::control::{Mailbox, SessionId};
use tokio::time::Instant;

use super::Answer;

/// How long addresses are believed. getaddrinfo(3) hides the record's own time to live.
const GOOD_FOR: Duration = Duration::from_secs(60);
/// How long a failure is believed.
const BAD_FOR: Duration = Duration::from_secs(5);
/// Answers kept.
const ENTRIES_MAX: usize = 4096;

/// A session that wants to know.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) id: SessionId,
    pub(crate) mailbox: Mailbox,
}

/// What follows from a question.
#[derive(Debug)]
pub(crate) enum Step {
    /// The answer is known.
    Answer(Waiter, Answer),
    /// Somebody else's look-up will answer it too.
    Wait,
    /// A look-up must begin; [`Cache::answered`] ends it.
    LookUp,
    /// A look-up would have to begin, and may not.
    Refuse(Waiter),
}

#[derive(Debug)]
enum Entry {
    Asked(Vec<Waiter>),
    Known { answer: Answer, until: Instant },
}

/// Each name that is being asked for or was answered lately. How many are being asked for is the resolver's to limit.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    entries: HashMap<Box<str>, Entry>,
}

impl Cache {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn ask(
        &mut self,
        name: &str,
        waiter: Waiter,
        may_begin: bool,
        now: Instant,
    ) -> Step {
        match self.entries.get_mut(name) {
            Some(Entry::Asked(waiters)) => {
                waiters.push(waiter);
                Step::Wait
            }
            Some(Entry::Known { answer, until }) if *until > now => {
                Step::Answer(waiter, answer.clone())
            }
            _ if !may_begin => Step::Refuse(waiter),
            _ => {
                self.entries.insert(name.into(), Entry::Asked(vec![waiter]));
                Step::LookUp
            }
        }
    }

    /// Keeps an answer; returns those who wait for it.
    pub(crate) fn answered(&mut self, name: &str, answer: Answer, now: Instant) -> Vec<Waiter> {
        let until = now + if answer.is_ok() { GOOD_FOR } else { BAD_FOR };
        let waiters = match self.entries.remove(name) {
            Some(Entry::Asked(waiters)) => waiters,
            _ => Vec::new(),
        };
        self.make_room(now);
        self.entries.insert(name.into(), Entry::Known { answer, until });
        waiters
    }

    /// When full, what is out of date goes; if nothing is, any answer. Who is asked for stays.
    fn make_room(&mut self, now: Instant) {
        if self.entries.len() < ENTRIES_MAX {
            return;
        }
        self.entries
            .retain(|_, entry| !matches!(entry, Entry::Known { until, .. } if *until <= now));
        if self.entries.len() < ENTRIES_MAX {
            return;
        }
        let known = self.entries.iter().find(|(_, entry)| matches!(entry, Entry::Known { .. }));
        if let Some(name) = known.map(|(name, _)| name.clone()) {
            self.entries.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use penstock_core::control::ResolveError;

    use super::*;
    use crate::mailman::testing;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn waiter(slot: u32) -> Waiter {
        Waiter { id: SessionId { worker: 0, slot, generation: 0 }, mailbox: testing::mailbox(1) }
    }

    fn known(cache: &mut Cache, name: &str, now: Instant) -> Option<Answer> {
        match cache.ask(name, waiter(0), true, now) {
            Step::Answer(_, answer) => Some(answer),
            Step::Wait | Step::LookUp | Step::Refuse(_) => None,
        }
    }

    #[test]
    fn equal_questions_wait_for_one_look_up() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        assert!(matches!(cache.ask("a", waiter(1), true, now), Step::LookUp));
        assert!(matches!(cache.ask("a", waiter(2), false, now), Step::Wait));
        assert!(matches!(cache.ask("b", waiter(3), false, now), Step::Refuse(_)));
        assert!(matches!(cache.ask("b", waiter(3), true, now), Step::LookUp));
        let told = cache.answered("a", Ok(vec![HOME]), now);
        assert_eq!(told.iter().map(|waiter| waiter.id.slot).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(known(&mut cache, "a", now), Some(Ok(vec![HOME])));
    }

    #[test]
    fn answers_are_believed_for_a_minute_and_failures_for_five_seconds() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let no = Err(ResolveError::NotFound);
        let just_before = |span: Duration| now + span - Duration::from_millis(1);
        for (name, answer, span) in [("good", Ok(vec![HOME]), GOOD_FOR), ("bad", no, BAD_FOR)] {
            cache.answered(name, answer.clone(), now);
            assert_eq!(known(&mut cache, name, just_before(span)), Some(answer));
            assert!(matches!(cache.ask(name, waiter(0), true, now + span), Step::LookUp));
        }
    }

    #[test]
    fn the_cache_is_bounded_and_forgets_no_question() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        assert!(matches!(cache.ask("open", waiter(7), true, now), Step::LookUp));
        for i in 0..2 * ENTRIES_MAX {
            cache.answered(&i.to_string(), Ok(vec![HOME]), now);
            assert!(cache.len() <= ENTRIES_MAX);
        }
        assert_eq!(cache.answered("open", Ok(vec![HOME]), now).len(), 1);
        let later = now + GOOD_FOR;
        cache.answered("late", Ok(vec![HOME]), later);
        assert_eq!(cache.len(), 1, "all others are out of date");
    }
}
