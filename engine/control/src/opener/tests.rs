//! The opener with real sockets, terminals and programs; the test is the worker.

use std::os::unix::net::UnixStream;
use std::time::Instant;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use penstock_core::close::{Cause, CloseReason, Phase, Side};
use penstock_core::libvirt;

use super::*;
use crate::access_log::testing::Records;
use crate::mailman::testing;

mod pages;
mod programs;
mod sockets;
mod terminals;

/// Patience of the tests.
const LIMIT: Duration = Duration::from_secs(60);

struct Rig {
    notices: mpsc::Sender<Notice>,
    mailbox: Mailbox,
    records: Records,
    counts: Arc<OpenerCounts>,
    finish: oneshot::Sender<()>,
    opener: tokio::task::JoinHandle<()>,
}

/// One in which records wait for the last words of programs, however slow the machine.
fn rig(spawner: Option<Spawner>) -> Rig {
    rig_with(spawner, LIMIT)
}

fn rig_with(spawner: Option<Spawner>, last_words: Duration) -> Rig {
    let (notices, from_worker) = mpsc::channel(DOORS_MAX);
    let (access_log, records) = access_log::testing::sender();
    let counts = Arc::new(OpenerCounts::default());
    let config = Config { engine: Default::default(), listeners: Vec::new() };
    let opener = Opener::new(spawner, access_log, counts.clone(), &config);
    let mut opener = opener.expect("an event loop");
    opener.tools.last_words = last_words;
    let (finish, finished) = oneshot::channel();
    let opener = tokio::spawn(opener.run(from_worker, finished));
    Rig { notices, mailbox: testing::mailbox(64), records, counts, finish, opener }
}

fn id(slot: u32) -> SessionId {
    SessionId { worker: 0, slot, generation: 9 }
}

fn record(slot: u32, detail: Option<&str>) -> Record {
    let reason = CloseReason::new(Side::Target, Phase::Relay, Cause::Finished);
    Record { detail: detail.map(Into::into), ..Record::new(id(slot), 0, reason) }
}

impl Rig {
    async fn ask(&self, slot: u32, door: Door) {
        let notice =
            Notice::Asked { id: id(slot), door: Arc::new(door), mailbox: self.mailbox.clone() };
        self.notices.send(notice).await.expect("the opener lives");
    }

    async fn opened(&self) -> (u32, Opened) {
        let end = Instant::now() + LIMIT;
        loop {
            match self.mailbox.take() {
                Some(Command::Opened { id, result }) => return (id.slot, result),
                Some(other) => panic!("{other:?}"),
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
            assert!(Instant::now() < end, "no answer");
        }
    }

    async fn open(&self, slot: u32, door: Door) -> OwnedFd {
        self.ask(slot, door).await;
        let (answered, opened) = self.opened().await;
        assert_eq!(answered, slot);
        opened.expect("it opens")
    }

    async fn refused(&self, slot: u32, door: Door) -> OpenError {
        self.ask(slot, door).await;
        let (answered, opened) = self.opened().await;
        assert_eq!(answered, slot);
        opened.expect_err("it stays shut")
    }

    async fn ended(&self, record: Record) {
        let notice = Notice::Ended(Box::new(record), SystemTime::now());
        self.notices.send(notice).await.expect("the opener lives");
    }

    /// The detail of the next record in the log.
    async fn logged(&self) -> (u32, Option<String>) {
        let end = Instant::now() + LIMIT;
        loop {
            if let Some(record) = self.records.next() {
                return (record.id.slot, record.detail.map(String::from));
            }
            assert!(Instant::now() < end, "no record");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test]
async fn ends_are_awaited_of_those_alone_that_will_be_told() {
    let (access_log, _records) = access_log::testing::sender();
    let config = Config { engine: Default::default(), listeners: Vec::new() };
    let mut opener =
        Opener::new(None, access_log, Default::default(), &config).expect("an event loop");
    let mailbox = testing::mailbox(4);
    let mut take = |slot, door| {
        let (id, mailbox) = (id(slot), mailbox.clone());
        opener.take(Notice::Asked { id, door: Arc::new(door), mailbox });
        opener.kept.len()
    };
    assert_eq!(take(1, Door::Unix(Vec::new())), 0);
    assert_eq!(take(2, Door::Demo), 0);
    let program = libvirt::Command { program: "ssh".into(), arguments: vec![], environment: &[] };
    assert_eq!(take(3, Door::Command(program)), 1);
    opener.take(Notice::Ended(Box::new(record(3, None)), SystemTime::now()));
    assert!(opener.kept.is_empty());
}

fn stream(descriptor: OwnedFd) -> UnixStream {
    let flags = fcntl(&descriptor, FcntlArg::F_GETFL).expect("open");
    assert!(OFlag::from_bits_retain(flags).contains(OFlag::O_NONBLOCK), "a leg never waits");
    let flags = fcntl(&descriptor, FcntlArg::F_GETFD).expect("open");
    assert!(FdFlag::from_bits_retain(flags).contains(FdFlag::FD_CLOEXEC), "it is ours alone");
    let stream = UnixStream::from(descriptor);
    stream.set_nonblocking(false).expect("open");
    stream.set_read_timeout(Some(LIMIT)).expect("a socket");
    stream
}
