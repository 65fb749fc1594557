//! The desk with a file as its source; the test is the worker.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use penstock_core::config::TokenSource;

use super::*;
use crate::mailman::testing;

struct Rig {
    ask: mpsc::Sender<Asked>,
    mailbox: Mailbox,
    counts: Arc<TokenCounts>,
}

fn rig() -> Rig {
    let (ask, questions) = mpsc::channel(8);
    let counts = Arc::new(TokenCounts::default());
    tokio::spawn(Desk::new(counts.clone(), None).run(questions));
    Rig { ask, mailbox: testing::mailbox(1), counts }
}

fn of(path: &Path, single_use: bool) -> Arc<Tokens> {
    let source = TokenSource::File { path: path.to_owned(), read_only: false };
    let timeout = Duration::from_secs(60);
    Arc::new(Tokens { source, timeout, single_use, bind_client: false, expiry: None })
}

impl Rig {
    async fn ask(&self, slot: u32, tokens: &Arc<Tokens>, token: &str) {
        let id = SessionId { worker: 0, slot, generation: 5 };
        let (tokens, token) = (tokens.clone(), Token::from(token.to_owned()));
        let client = Some([10, 0, 0, slot as u8].into());
        let asked = Asked { id, tokens, token, client, page: None, mailbox: self.mailbox.clone() };
        self.ask.send(asked).await.expect("the desk lives");
    }

    async fn next(&self) -> (u32, Answer) {
        let taken = async {
            loop {
                match self.mailbox.take() {
                    Some(Command::Judged { id, result }) => return (id.slot, result),
                    Some(other) => panic!("{other:?}"),
                    None => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        };
        timeout(Duration::from_secs(60), taken).await.expect("an answer in time")
    }
}

#[tokio::test]
async fn every_question_has_one_answer_that_names_its_source_and_not_the_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tokens");
    fs::write(&path, "good: h:1\ncanary: canary://x\n: h:2\n").expect("written");
    let (rig, tokens) = (rig(), of(&path, false));
    // A mailbox for one: the others are delivered as room appears.
    for (slot, token) in [(1, "good"), (2, "canary"), (3, "canary-3"), (4, "")] {
        rig.ask(slot, &tokens, token).await;
    }
    let mut answers = [rig.next().await, rig.next().await, rig.next().await, rig.next().await];
    answers.sort_by_key(|(slot, _)| *slot);
    let [(1, Ok(found)), (2, Err(no_place)), (3, Err(unknown)), (4, Err(empty))] = answers else {
        panic!("{answers:?}");
    };
    assert!(matches!(&found.place, Place::Network(target) if target.to_string() == "h:1"));
    let why = [no_place.why, unknown.why, empty.why];
    assert_eq!(why, [TokenFault::NoPlace, TokenFault::Unknown, TokenFault::Unknown]);
    for refused in [no_place, unknown] {
        let expected = format!("TokenFile {path:?}: ");
        assert!(refused.detail.starts_with(&expected), "{}", refused.detail);
        assert!(!refused.detail.contains("canary"), "{}", refused.detail);
    }
    let counted = rig.counts.outcomes.each_ref().map(|count| count.load(Relaxed));
    assert_eq!(counted, [1, 2, 0, 0, 0, 1, 0, 0, 0]);
}

#[tokio::test]
async fn a_source_that_is_silent_is_asked_so_often_at_once_and_no_more_may_wait() {
    let service = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/%s", service.local_addr().expect("bound")).into();
    let source = TokenSource::Api { url, json: false };
    // Nobody is to be late before it was seen who is asked.
    let (timeout, expiry) = (Duration::from_secs(10), None);
    let tokens = Tokens { source, timeout, single_use: false, bind_client: false, expiry };
    let (rig, tokens) = (rig(), Arc::new(tokens));
    for slot in 0..PENDING_MAX as u32 + 3 {
        rig.ask(slot, &tokens, "token").await;
    }
    let counted = || {
        let of = |name| OUTCOMES.iter().position(|outcome| *outcome == name).expect("one of them");
        ["refused", "late"].map(|name| rig.counts.outcomes[of(name)].load(Relaxed))
    };
    let unavailable = async || {
        let (_, judged) = rig.next().await;
        assert_eq!(judged.map_err(|refused| refused.why), Err(TokenFault::Unavailable));
    };
    for _ in 0..3 {
        unavailable().await;
    }
    assert_eq!(counted(), [3, 0], "those beyond the limit hear at once");
    service.set_nonblocking(true).expect("ours");
    let mut asked = Vec::new();
    for _ in 0..50 {
        asked.extend(std::iter::from_fn(|| service.accept().ok()));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(asked.len(), LOOKUPS_AT_ONCE);
    for _ in 0..PENDING_MAX {
        unavailable().await;
    }
    assert_eq!(counted(), [3, PENDING_MAX as u64]);
}

#[tokio::test]
async fn equal_sources_share_what_is_remembered_and_others_do_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tokens");
    fs::write(&path, "a: h:1\n").expect("written");
    let rig = rig();
    for (slot, tokens, expected) in [
        (1, of(&path, true), None),
        (2, of(&path, true), Some(TokenFault::Used)),
        (3, of(&path, false), None),
        (4, of(&path.join("../tokens"), true), Some(TokenFault::Unavailable)),
    ] {
        rig.ask(slot, &tokens, "a").await;
        let (_, judged) = rig.next().await;
        assert_eq!(judged.err().map(|refused| refused.why), expected, "{slot}");
    }
    assert_eq!(rig.counts.remembered.load(Relaxed), 1);
}
