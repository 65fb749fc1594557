//! The opener with real sockets, terminals and programs; the test is the worker.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{BaudRate, ControlFlags, LocalFlags, cfgetospeed, tcgetattr};
use nix::unistd::{Pid, ttyname};
use penstock_core::close::{Cause, CloseReason, Phase, Side};
use penstock_core::config::{Cut, Web};
use penstock_core::console::Token;
use penstock_core::libvirt;
use penstock_core::target::{Flow, Parity, Serial};

use super::*;
use crate::access_log::testing::Records;
use crate::mailman::testing;
use crate::spawner::tests::spawner;

/// Patience of the tests.
const LIMIT: Duration = Duration::from_secs(20);

struct Rig {
    notices: mpsc::Sender<Notice>,
    mailbox: Mailbox,
    records: Records,
    counts: Arc<OpenerCounts>,
    finish: oneshot::Sender<()>,
    opener: tokio::task::JoinHandle<()>,
}

fn rig(spawner: Option<Spawner>) -> Rig {
    let (notices, from_worker) = mpsc::channel(DOORS_MAX);
    let (access_log, records) = access_log::testing::sender();
    let counts = Arc::new(OpenerCounts::default());
    let config = Config { engine: Default::default(), listeners: Vec::new() };
    let opener = Opener::new(spawner, access_log, counts.clone(), &config).expect("an event loop");
    let (finish, finished) = oneshot::channel();
    let opener = tokio::spawn(opener.run(from_worker, finished));
    Rig { notices, mailbox: testing::mailbox(64), records, counts, finish, opener }
}

fn id(slot: u32) -> SessionId {
    SessionId { worker: 0, slot, generation: 9 }
}

fn record(slot: u32, detail: Option<&str>) -> Record {
    Record {
        id: id(slot),
        listener: 0,
        client: None,
        method: None,
        target: None,
        status: 0,
        connected: None,
        bytes_to_client: 0,
        bytes_to_target: 0,
        bytes_spliced: 0,
        elapsed: Duration::ZERO,
        reason: CloseReason::new(Side::Target, Phase::Relay, Cause::Finished),
        detail: detail.map(Into::into),
        tls: Default::default(),
    }
}

fn command(line: &[&str]) -> Door {
    let mut line = line.iter().map(|part| (*part).to_owned());
    let program = line.next().expect("a program");
    Door::Command(libvirt::Command { program, arguments: line.collect(), environment: &["PATH"] })
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

/// A listener with a queue for one that accepts nobody, and who fills that queue.
fn stuck(path: &Path) -> (UnixListener, Vec<UnixStream>) {
    let listener = UnixListener::bind(path).expect("bound");
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).expect("a number"))
        .expect("it listens");
    let mut waiting = Vec::new();
    while let Ok(leg) = penstock_core::ring::unix::connect_unix(path) {
        waiting.push(leg.into());
    }
    (listener, waiting)
}

#[tokio::test]
async fn the_first_socket_that_is_there_is_connected_to() {
    let rig = rig(None);
    let folder = tempfile::tempdir().expect("a folder");
    let [missing, there] = ["missing", "there"].map(|name| folder.path().join(name));
    let listener = UnixListener::bind(&there).expect("bound");
    let mut leg = stream(rig.open(1, Door::Unix(vec![missing, there])).await);
    let (mut peer, _) = listener.accept().expect("somebody came");
    peer.write_all(b"x").expect("connected");
    leg.read_exact(&mut [0]).expect("connected");
    assert_eq!(rig.counts.opened[0].load(Relaxed), 1);
}

#[tokio::test]
async fn a_socket_within_a_folder_is_connected_to_and_none_outside_of_it() {
    let rig = rig(None);
    let outside = tempfile::tempdir().expect("a folder");
    let folder = outside.path().join("folder");
    fs::create_dir(&folder).expect("made");
    let listener = UnixListener::bind(folder.join("canary-1")).expect("bound");
    let _other = UnixListener::bind(outside.path().join("canary-2")).expect("bound");
    let door =
        |name: &str| Door::Within { folder: folder.clone(), name: Token::from(name.to_owned()) };
    let _leg = rig.open(1, door("canary-1")).await;
    listener.accept().expect("somebody came");
    let refused = rig.refused(2, door("../canary-2")).await;
    assert_eq!(refused.errno, Errno::EXDEV);
    assert!(refused.detail.contains("a way out of it"), "{}", refused.detail);
    assert!(!refused.detail.contains("canary"), "{}", refused.detail);
}

#[tokio::test]
async fn a_socket_that_stays_shut_says_what_to_do() {
    let rig = rig(None);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let door = || Door::Unix(vec![path.clone()]);
    let refused = rig.refused(1, door()).await;
    assert_eq!(refused.errno, Errno::ENOENT);
    assert!(refused.detail.contains("start what listens there"), "{}", refused.detail);
    drop(UnixListener::bind(&path).expect("bound"));
    let refused = rig.refused(2, door()).await;
    assert_eq!(refused.errno, Errno::ECONNREFUSED);
    let expected = format!(
        "can't connect to {} (nobody listens behind it: start who should, or mend the path)",
        path.display()
    );
    assert_eq!(&*refused.detail, expected);
    assert_eq!(rig.counts.opened[1].load(Relaxed), 2);
}

#[tokio::test]
async fn a_full_queue_is_tried_until_it_has_room() {
    let rig = rig(None);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let (listener, _waiting) = stuck(&path);
    rig.ask(1, Door::Unix(vec![path])).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(rig.mailbox.is_empty(), "it is tried still");
    listener.accept().expect("somebody waits");
    rig.opened().await.1.expect("there is room");
}

#[tokio::test]
async fn a_queue_that_stays_full_is_given_up() {
    let rig = rig(None);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let _stuck = stuck(&path);
    let begun = Instant::now();
    let refused = rig.refused(1, Door::Unix(vec![path])).await;
    let took = begun.elapsed();
    assert_eq!(refused.errno, Errno::EAGAIN);
    assert!((Duration::from_secs(3)..Duration::from_secs(6)).contains(&took), "{took:?}");
    assert!(refused.detail.contains("stuck, or serves somebody else"), "{}", refused.detail);
}

fn line(device: &Path) -> Serial {
    Serial {
        device: device.to_str().expect("text").to_owned(),
        baud: 9600,
        bits: 7,
        parity: Parity::Even,
        stop: 2,
        flow: Flow::RtsCts,
    }
}

/// A pseudo-terminal: the side that plays the device, and the path of the other.
fn terminal() -> (fs::File, PathBuf, OwnedFd) {
    let pty = openpty(None, None).expect("the system has some");
    let path = ttyname(&pty.slave).expect("it has a name");
    (pty.master.into(), path, pty.slave)
}

#[tokio::test]
async fn a_terminal_carries_bytes_as_they_are() {
    let rig = rig(None);
    let (mut device, path, slave) = terminal();
    let leg = rig.open(1, Door::Terminal(line(&path))).await;
    let settings = tcgetattr(&slave).expect("a terminal");
    assert_eq!(cfgetospeed(&settings), BaudRate::B9600);
    // Which of the others a pseudo-terminal keeps is its own affair.
    let expected = ControlFlags::CSTOPB | ControlFlags::CRTSCTS | ControlFlags::CLOCAL;
    assert!(settings.control_flags.contains(expected), "{:?}", settings.control_flags);
    let cooked = LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG;
    assert!(!settings.local_flags.intersects(cooked), "{:?}", settings.local_flags);
    let all: Vec<u8> = (0..=255).collect();
    device.write_all(&all).expect("room");
    let mut leg = fs::File::from(leg);
    let mut back = Vec::new();
    let end = Instant::now() + LIMIT;
    while back.len() < all.len() && Instant::now() < end {
        let mut bytes = [0; 256];
        // Without waiting: nothing may be there yet.
        match leg.read(&mut bytes) {
            Ok(length) => back.extend_from_slice(&bytes[..length]),
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
    assert_eq!(back, all);
    leg.write_all(&all).expect("room");
    let mut back = [0; 256];
    device.read_exact(&mut back).expect("all of it");
    assert_eq!(&back[..], all);
}

#[tokio::test]
async fn a_terminal_is_one_tunnels_until_that_has_ended() {
    let rig = rig(None);
    let (_device, path, _slave) = terminal();
    let door = || Door::Terminal(line(&path));
    let leg = rig.open(1, door()).await;
    let refused = rig.refused(2, door()).await;
    assert_eq!(refused.errno, Errno::EBUSY);
    assert!(refused.detail.contains("somebody else has it"), "{}", refused.detail);
    rig.ended(record(2, Some("why"))).await;
    assert_eq!(rig.logged().await, (2, Some("why".to_owned())));
    // The next one comes before the last one has left: it has some patience.
    rig.ask(3, door()).await;
    drop(leg);
    rig.ended(record(1, None)).await;
    assert_eq!(rig.logged().await, (1, None));
    let (slot, opened) = rig.opened().await;
    assert_eq!((slot, opened.map(drop)), (3, Ok(())));
}

#[tokio::test]
async fn the_last_descriptor_of_a_terminal_is_closed_here() {
    let rig = rig(None);
    let (mut device, path, slave) = terminal();
    let leg = rig.open(1, Door::Terminal(line(&path))).await;
    drop(slave);
    let flags = OFlag::from_bits_retain(fcntl(&device, FcntlArg::F_GETFL).expect("open"));
    fcntl(&device, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).expect("open");
    // The other side of a terminal that nobody has open hears an error that is not this one.
    let is_open = |device: &mut fs::File| {
        device.read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    };
    drop(leg);
    assert!(is_open(&mut device), "the worker's close was not the last");
    rig.ended(record(1, None)).await;
    let end = Instant::now() + LIMIT;
    while is_open(&mut device) {
        assert!(Instant::now() < end, "it stays open");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_is_no_terminal_is_refused_with_what_to_do() {
    let rig = rig(None);
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("file"), "text").expect("written");
    nix::unistd::mkfifo(&path("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("made");
    let _listener = UnixListener::bind(path("socket")).expect("bound");
    for (device, errno, remedy) in [
        (path("missing"), Errno::ENOENT, "plug it in"),
        (path("file"), Errno::ENOTTY, "it is a file"),
        (path("pipe"), Errno::ENOTTY, "named pipe"),
        (path(""), Errno::EISDIR, "it is a folder"),
        (path("socket"), Errno::ENXIO, "write unix:"),
    ] {
        let refused = rig.refused(1, Door::Terminal(line(&device))).await;
        assert_eq!(refused.errno, errno, "{}", refused.detail);
        let begins = format!("can't open {} (", device.display());
        let fits = refused.detail.starts_with(&begins) && refused.detail.contains(remedy);
        assert!(fits, "{}", refused.detail);
    }
    // No terminal, but something that bytes go in and out of.
    let leg = rig.open(2, Door::Terminal(line(Path::new("/dev/null")))).await;
    assert!(leg.as_fd().as_raw_fd() > 2);
}

#[tokio::test]
async fn who_may_not_open_a_device_is_told_whose_it_is() {
    let (_device, path, _slave) = terminal();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).expect("ours");
    let whose = terminal::testing::remedy(Errno::EACCES, &path);
    assert!(whose.starts_with("it belongs to ") && whose.contains(", mode 0620: let"), "{whose}");
}

#[tokio::test]
async fn a_program_is_a_leg_and_its_last_words_are_in_the_record() {
    let rig = rig(Some(spawner()));
    let script = "cat; echo 'Permission denied (publickey).' >&2; exit 255";
    let mut leg = stream(rig.open(1, command(&["sh", "-c", script])).await);
    leg.write_all(b"echo").expect("it reads");
    let mut back = [0; 4];
    leg.read_exact(&mut back).expect("it answers");
    assert_eq!(&back, b"echo");
    assert_eq!((rig.counts.running.load(Relaxed), rig.counts.spawner.load(Relaxed)), (1, 1));
    leg.shutdown(std::net::Shutdown::Write).expect("open");
    assert_eq!(leg.read(&mut [0]).expect("an end"), 0);
    rig.ended(record(1, Some("ECONNRESET"))).await;
    let expected = "ECONNRESET; sh exited with 255: Permission denied (publickey).";
    assert_eq!(rig.logged().await, (1, Some(expected.to_owned())));
    assert_eq!(rig.counts.running.load(Relaxed), 0);
}

#[tokio::test]
async fn a_program_that_ended_well_and_said_nothing_adds_nothing() {
    let rig = rig(Some(spawner()));
    for (slot, script, expected) in [
        (1, "exit 0", None),
        (2, "exit 3", Some("sh exited with 3")),
        (3, "echo Welcome >&2", Some("sh: Welcome")),
        (4, "kill -9 $$", Some("sh was killed by SIGKILL")),
    ] {
        drop(rig.open(slot, command(&["/bin/sh", "-c", script])).await);
        rig.ended(record(slot, None)).await;
        assert_eq!(rig.logged().await, (slot, expected.map(str::to_owned)), "{script}");
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_run_says_what_to_do() {
    let rig = rig(Some(spawner()));
    let refused = rig.refused(1, command(&["no-such-program", "x"])).await;
    assert_eq!(refused.errno, Errno::ENOENT);
    let begins = "can't run no-such-program (install it, or name it by its path";
    assert!(refused.detail.starts_with(begins), "{}", refused.detail);
    rig.ended(record(1, Some("as it was"))).await;
    assert_eq!(rig.logged().await, (1, Some("as it was".to_owned())));
    let long = "x".repeat(100 << 10);
    assert_eq!(rig.refused(2, command(&["cat", &long])).await.errno, Errno::E2BIG);
}

#[tokio::test]
async fn a_flood_on_standard_error_holds_up_nobody() {
    let rig = rig(Some(spawner()));
    let _flood = rig.open(1, command(&["sh", "-c", "yes 'all is lost' >&2"])).await;
    let mut leg = stream(rig.open(2, command(&["cat"])).await);
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        leg.write_all(b"x").expect("it reads");
        leg.read_exact(&mut [0]).expect("it answers");
    }
    // It never ends by itself, nor does it fall silent.
    rig.ended(record(1, None)).await;
    let (slot, detail) = rig.logged().await;
    let detail = detail.expect("it said something");
    assert_eq!(slot, 1);
    let (begin, length) = (&detail[..40], detail.len());
    assert!(begin.starts_with("sh: … ") && begin.contains("lost; all is"), "{begin}");
    assert!((4000..5000).contains(&length), "{length}");
}

#[tokio::test]
async fn who_ends_before_its_program_runs_is_in_the_log_all_the_same() {
    let rig = rig(Some(spawner()));
    rig.ask(1, command(&["sh", "-c", "sleep 1000"])).await;
    rig.ended(record(1, Some("hung up"))).await;
    assert_eq!(rig.logged().await, (1, Some("hung up".to_owned())));
}

#[tokio::test]
async fn without_a_spawner_programs_are_refused_and_those_that_run_go_on() {
    let spawner = spawner();
    let process = Pid::from_raw(spawner.process.id().cast_signed());
    let rig = rig(Some(spawner));
    let mut leg = stream(rig.open(1, command(&["cat"])).await);
    // It dies with a request at hand.
    kill(process, Signal::SIGSTOP).expect("it lives");
    rig.ask(2, command(&["cat"])).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    kill(process, Signal::SIGKILL).expect("it lives");
    let (slot, opened) = rig.opened().await;
    assert_eq!((slot, opened.map(drop).map_err(|error| error.errno)), (2, Err(Errno::ESRCH)));
    assert_eq!(rig.counts.spawner.load(Relaxed), 0);
    let refused = rig.refused(3, command(&["cat"])).await;
    assert_eq!(refused.errno, Errno::ESRCH);
    assert!(refused.detail.contains("restart Penstock"), "{}", refused.detail);
    leg.write_all(b"x").expect("it reads");
    leg.read_exact(&mut [0]).expect("it answers");
    drop(leg);
    rig.ended(record(1, None)).await;
    assert_eq!(rig.logged().await, (1, None));
}

#[tokio::test]
async fn the_last_records_are_written_before_the_end() {
    let rig = rig(Some(spawner()));
    let _leg = rig.open(1, command(&["sh", "-c", "echo bye >&2; exec sleep 1000"])).await;
    rig.ended(record(1, None)).await;
    finish(rig.finish, rig.opener).await;
    let record = rig.records.next().expect("written");
    assert_eq!(record.detail.as_deref(), Some("sh: bye"));
}

/// What is said by whom the door leads to, after `words` and our end.
async fn conversation(descriptor: OwnedFd, words: &'static str) -> String {
    let mut stream = stream(descriptor);
    let talk = tokio::task::spawn_blocking(move || {
        stream.write_all(words.as_bytes()).expect("room");
        stream.shutdown(std::net::Shutdown::Write).expect("open");
        let mut all = String::new();
        stream.read_to_string(&mut all).expect("an orderly end");
        all
    });
    talk.await.expect("no panic")
}

fn web(web: Web) -> Door {
    Door::Web { web: Arc::new(web), cut: Cut::default() }
}

#[tokio::test]
async fn pages_are_a_connection_of_http() {
    let rig = rig(None);
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("vnc.html"), "page").expect("room");
    let request = "GET /vnc.html HTTP/1.1\r\nHost: h\r\n\r\n";
    let door = web(Web::Directory(folder.path().to_owned()));
    let said = conversation(rig.open(1, door).await, request).await;
    assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with("\r\n\r\npage"), "{said}");
    let demo = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let said = conversation(rig.open(2, web(Web::Demo)).await, demo).await;
    assert!(said.contains("<h1>Penstock</h1>"), "{said}");
    assert_eq!(rig.counts.opened[0].load(Relaxed), 2);
}

#[tokio::test]
async fn the_demo_console_knows_its_session() {
    let rig = rig(None);
    let said = conversation(rig.open(7, Door::Demo).await, "who\r").await;
    assert!(said.contains("you are on session 0-7-9\r\n"), "{said}");
}
