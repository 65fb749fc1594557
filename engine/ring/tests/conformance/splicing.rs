//! Splicing: exactness, and each way to have no pipe.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::{Uid, geteuid, setresuid};
use penstock_ring::{
    Buffer, Chunk, Close, Errno, Event, Feature, Group, Intake, Interest, Leg, NoPipe, Options,
    Outcome, Sent, Splice, SpliceMode,
};

use crate::Driver;
use crate::alone::alone;
use crate::pattern::Pattern;
use crate::rig::{Rig, reset};

impl Driver {
    fn splices(&self) -> bool {
        self.splice != SpliceMode::Off && !self.hidden.contains(&Feature::Splice)
    }
}

/// Asks for a hint of a leg, and waits for it.
#[track_caller]
fn ready(rig: &mut Rig, leg: Leg, interest: Interest) {
    rig.kernel.watch(leg, interest, true);
    match rig.next(leg) {
        Outcome::Ready(_) => {}
        outcome => panic!("{leg:?} is to be ready, not {outcome:?}"),
    }
}

#[track_caller]
fn splice_in(rig: &mut Rig, source: Leg, limit: usize) -> Splice {
    let result = rig.kernel.splice_in(source, limit);
    ended(rig, source, result)
}

#[track_caller]
fn splice_out(rig: &mut Rig, source: Leg, sink: Leg) -> Splice {
    let result = rig.kernel.splice_out(source, sink);
    ended(rig, source, result)
}

/// The result of a splice, that of the ring too.
#[track_caller]
fn ended(rig: &mut Rig, source: Leg, result: Splice) -> Splice {
    if result != Splice::Later {
        return result;
    }
    match rig.next(source) {
        Outcome::SplicedIn(result) | Outcome::SplicedOut(result) => result,
        outcome => panic!("{source:?} is to splice, not {outcome:?}"),
    }
}

pub fn a_spliced_stream_is_exact(driver: &Driver) {
    const BYTES: usize = 64 << 20;
    if !driver.splices() {
        return;
    }
    let mut rig = Rig::new(driver);
    let (source, writer) = rig.tcp();
    let (sink, reader) = rig.tcp();
    let writer = thread::spawn(move || Pattern::default().write(writer, BYTES));
    let reader = thread::spawn(move || {
        let mut pattern = Pattern::default();
        pattern.read_to_end(reader).expect("read");
        pattern.at
    });
    rig.kernel.pipe_open(source).expect("a pipe");
    assert_eq!((rig.count("pipes"), rig.count("pipes_in_use")), (1, 1));
    assert_eq!(pump(&mut rig, source, sink), BYTES);
    rig.kernel.pipe_close(source);
    rig.kernel.shutdown(sink);
    assert_eq!(reader.join().expect("no panic"), BYTES);
    writer.join().expect("no panic").expect("all written");
    let path = if rig.count("splice_ring") > 0 { SpliceMode::Ring } else { SpliceMode::Inline };
    let expected =
        if driver.name.starts_with("epoll") { SpliceMode::Inline } else { driver.splice };
    assert_eq!(path, expected);
    assert!(rig.count("splice_ring") + rig.count("splice_inline") > 1);
    assert_eq!((rig.count("received_bytes"), rig.count("pipes_in_use")), (0, 0));
    rig.finish();
}

pub fn what_is_sent_ahead_comes_first_and_together_with_what_follows(driver: &Driver) {
    if !driver.splices() {
        return;
    }
    let mut rig = Rig::new(driver);
    let (source, mut writer) = rig.tcp();
    let (sink, mut reader) = rig.tcp();
    reader.set_nonblocking(true).expect("a socket");
    rig.kernel.pipe_open(source).expect("a pipe");
    for round in 0..100 {
        writer.write_all(b"payload").expect("written");
        ready(&mut rig, source, Interest::Readable);
        assert_eq!(splice_in(&mut rig, source, 1 << 20), Splice::Moved(7));
        assert_eq!(rig.kernel.send_ahead(sink, Bytes::from_static(b"head ")), Sent::Done);
        let alone = reader.read(&mut [0; 64]).map_err(|error| error.kind());
        assert_eq!(alone, Err(ErrorKind::WouldBlock), "round {round}: it waits for the rest");
        assert_eq!(splice_out(&mut rig, source, sink), Splice::Moved(7));
        let mut read = [0; 64];
        let length = loop {
            match reader.read(&mut read) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
                other => break other.expect("read"),
            }
        };
        assert_eq!(&read[..length], b"head payload", "round {round}");
    }
    rig.finish();
}

/// Splices until the source ends; how many bytes.
fn pump(rig: &mut Rig, source: Leg, sink: Leg) -> usize {
    let mut total = 0;
    loop {
        match splice_in(rig, source, 1 << 20) {
            Splice::Moved(n) => total += n,
            Splice::Blocked => ready(rig, source, Interest::Readable),
            Splice::Ended => return total,
            result => panic!("{result:?}"),
        }
        while rig.kernel.pipe_level(source) > 0 {
            match splice_out(rig, source, sink) {
                Splice::Moved(_) => {}
                Splice::Blocked => ready(rig, sink, Interest::Writable),
                result => panic!("{result:?}"),
            }
        }
    }
}

pub fn the_room_of_a_sink_is_told(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let (leg, mut peer) = rig.tcp();
    let room = rig.kernel.room(leg).expect("nothing is queued").get();
    assert!((4096..usize::MAX).contains(&room), "{room} bytes");
    rig.kernel.send(leg, Chunk::Bytes(vec![1; 32 << 20].into()));
    rig.until("a full socket", |rig| rig.kernel.room(leg).is_none());
    // Asked for only now: nobody was refused since.
    rig.backlog.clear();
    rig.kernel.watch(leg, Interest::Writable, true);
    let reader = thread::spawn(move || {
        let mut bytes = vec![0; 32 << 20];
        peer.read_exact(&mut bytes).expect("read");
        peer
    });
    rig.until("all to be sent", |rig| rig.kernel.queued(leg).bytes == 0);
    let is_hint = |event: &Event| matches!(event.outcome, Outcome::Ready(_));
    rig.until("a hint", |rig| rig.backlog.iter().any(is_hint));
    rig.until("room", |rig| rig.kernel.room(leg).is_some());
    drop(reader.join().expect("no panic"));
    rig.kernel.close(leg, Close::Normal);
    assert_eq!(rig.kernel.room(leg), Some(NonZeroUsize::MAX), "what is closed says so elsewhere");
    rig.finish();
}

pub fn the_pipe_pool_is_bounded(driver: &Driver) {
    if !driver.splices() {
        return;
    }
    let mut rig = Rig::with(driver, Options { pipes: 2, ..Options::default() });
    let [a, b, c] = [(); 3].map(|()| rig.tcp());
    assert_eq!((rig.kernel.pipe_open(a.0), rig.kernel.pipe_open(b.0)), (Ok(()), Ok(())));
    assert_eq!(rig.kernel.pipe_open(a.0), Ok(()), "it has one already");
    assert_eq!(rig.kernel.pipe_open(c.0), Err(NoPipe::PoolEmpty));
    assert_eq!(rig.count("pipe_pool_empty"), 1);
    rig.kernel.pipe_close(a.0);
    assert_eq!(rig.kernel.pipe_open(c.0), Ok(()));
    assert_eq!((rig.count("pipes"), rig.count("pipe_destroyed")), (2, 0), "reused");
    rig.finish();
}

pub fn a_pipe_with_bytes_is_destroyed(driver: &Driver) {
    if !driver.splices() {
        return;
    }
    let mut rig = Rig::with(driver, Options { pipes: 1, ..Options::default() });
    for how in ["pipe_close", "close"] {
        let (secret, mut writer) = rig.tcp();
        rig.kernel.pipe_open(secret).expect("a pipe");
        writer.write_all(b"secret").expect("written");
        fill(&mut rig, secret, 6);
        let destroyed = rig.count("pipe_destroyed");
        match how {
            "pipe_close" => rig.kernel.pipe_close(secret),
            _ => rig.kernel.close(secret, Close::Normal),
        }
        rig.until("a destroyed pipe", |rig| rig.count("pipe_destroyed") == destroyed + 1);
        assert_eq!((rig.count("pipes"), rig.kernel.pipe_level(secret)), (0, 0));

        let (other, mut writer) = rig.tcp();
        let (sink, reader) = rig.tcp();
        rig.kernel.pipe_open(other).expect("another pipe");
        writer.write_all(b"public").expect("written");
        fill(&mut rig, other, 6);
        assert_eq!(splice_out(&mut rig, other, sink), Splice::Moved(6));
        let mut read = [0; 6];
        std::io::Read::read_exact(&mut &reader, &mut read).expect("read");
        assert_eq!(&read, b"public");
        rig.kernel.pipe_close(other);
    }
    rig.finish();
}

/// Splices in until so many bytes are in the pipe.
#[track_caller]
fn fill(rig: &mut Rig, source: Leg, count: usize) {
    while rig.kernel.pipe_level(source) < count {
        match splice_in(rig, source, 1 << 20) {
            Splice::Moved(_) => {}
            Splice::Blocked => ready(rig, source, Interest::Readable),
            result => panic!("{result:?}"),
        }
    }
}

pub fn a_used_up_quota_means_copy(driver: &Driver) {
    if !driver.splices() {
        return;
    }
    alone(driver, "a_used_up_quota_means_copy", || {
        const NOBODY: Uid = Uid::from_raw(65_534);
        // Root has no quota.
        if geteuid().is_root() {
            setresuid(NOBODY, NOBODY, NOBODY).expect("root may");
        }
        let mut rig = Rig::with(driver, Options { pipes: 4096, ..Options::default() });
        let mut legs: Vec<(Leg, TcpStream)> = Vec::new();
        let refusal = loop {
            assert!(legs.len() < 4096, "the quota is never used up");
            legs.push(rig.tcp());
            if let Err(why) = rig.kernel.pipe_open(legs[legs.len() - 1].0) {
                break why;
            }
        };
        assert_eq!((refusal, rig.count("pipe_quota")), (NoPipe::Quota, 1));
        assert_eq!(rig.count("pipes"), legs.len() as u64 - 1, "the small one was given up");
        let (leg, peer) = legs.pop().expect("the one without a pipe");
        assert_eq!(rig.kernel.pipe_open(leg), Err(NoPipe::Quota));
        assert_eq!(rig.count("pipe_quota"), 2);
        rig.echo(leg, peer);
        rig.finish();
    });
}

pub fn without_splice_there_are_no_pipes(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let (socket, _peer) = rig.tcp();
    let pty = nix::pty::openpty(None, None).expect("made");
    let terminal = rig.adopt(pty.master);
    assert_eq!(rig.kernel.pipe_open(terminal), Err(NoPipe::Off), "a terminal can't splice");
    assert_eq!(rig.count("pipe_off"), 1);
    assert_eq!(rig.kernel.pipe_open(socket).is_ok(), driver.splices());
    rig.finish();

    for (splice, mask) in [
        (SpliceMode::Off, penstock_ring::Mask::default()),
        (SpliceMode::Inline, penstock_ring::Mask::default().hide(Feature::Splice)),
    ] {
        let options = Options { splice, mask, ..Options::default() };
        let mut kernel = (driver.make)(&options).expect("the driver starts");
        let (ours, _theirs) = crate::rig::tcp_pair();
        let leg = kernel.adopt(ours.into(), crate::rig::OWNER).expect("adopted");
        assert_eq!(kernel.pipe_open(leg), Err(NoPipe::Off));
        assert_eq!((kernel.stats().pipe_off.get(), kernel.pipe_level(leg)), (1, 0));
        kernel.receive(leg, Group::Small);
        kernel.close(leg, Close::Normal);
    }
}

pub fn a_broken_sink_is_told_apart_from_a_full_one(driver: &Driver) {
    if !driver.splices() {
        return;
    }
    let mut rig = Rig::new(driver);
    let (source, writer) = rig.tcp();
    let (sink, reader) = rig.tcp();
    rig.kernel.pipe_open(source).expect("a pipe");
    writer.set_nonblocking(true).expect("set");
    // Nobody reads: the sink fills, then the pipe.
    rig.until("a full sink", |rig| {
        let _ = (&writer).write(&[1; 65_536]);
        splice_in(rig, source, 1 << 20);
        matches!(splice_out(rig, source, sink), Splice::Blocked)
            && rig.kernel.pipe_level(source) > 0
    });
    reset(reader);
    rig.until("news", |rig| matches!(splice_out(rig, source, sink), Splice::Failed(_)));
    rig.finish();
}

/// A sink that does not read leaves bytes in the pipe; taken out and queued, they come first, and nothing is missing.
pub fn a_stuck_pipe_is_taken_out(driver: &Driver) {
    if !driver.splices() || driver.splice == SpliceMode::Ring {
        return;
    }
    let mut rig = Rig::new(driver);
    let (source, mut writer) = rig.tcp();
    let (sink, reader) = rig.tcp();
    let writer = thread::spawn(move || {
        let mut sent = 0;
        while let Ok(n @ 1..) = writer.write(&[9; 4096]) {
            sent += n;
        }
        sent
    });
    rig.kernel.pipe_open(source).expect("a pipe");
    assert!(rig.kernel.pipe_take(source).is_none(), "an empty pipe has nothing to take");
    let mut moved = 0;
    // Ends when neither side moves: the socket buffers are bounded.
    loop {
        let filled = rig.kernel.splice_in(source, 64 << 10);
        match rig.kernel.splice_out(source, sink) {
            Splice::Moved(n) => moved += n,
            Splice::Blocked if rig.kernel.pipe_level(source) > 0 => break,
            _ if filled == Splice::Blocked => ready(&mut rig, source, Interest::Readable),
            _ => {}
        }
    }
    let level = rig.kernel.pipe_level(source);
    let buffers = rig.kernel.pipe_take(source).expect("the pool is free");
    assert_eq!(buffers.iter().map(Buffer::len).sum::<usize>(), level);
    assert!(buffers.iter().all(|buffer| buffer.group() == Group::Record));
    assert_eq!(rig.kernel.pipe_level(source), 0);
    rig.kernel.pipe_close(source);
    assert_eq!(rig.kernel.stats().pipe_destroyed.get(), 0, "an empty pipe is kept");
    for buffer in buffers {
        let sent = rig.kernel.send(sink, Chunk::Pool(buffer));
        assert_ne!(sent, Sent::Failed(Errno::EPIPE));
    }
    let reader = thread::spawn(move || {
        let (mut reader, mut bytes) = (reader, Vec::new());
        reader.read_to_end(&mut bytes).expect("an end in order");
        bytes
    });
    while rig.kernel.queued(sink).bytes > 0 {
        rig.turn(Duration::from_millis(10));
    }
    // Closes both.
    drop(rig);
    let (got, sent) = (reader.join().expect("read"), writer.join().expect("written"));
    assert_eq!((got.len(), got.iter().all(|byte| *byte == 9)), (moved + level, true));
    assert!(sent >= moved + level);
}

/// How often this thread has gone to sleep.
fn sleeps() -> i64 {
    getrusage(UsageWho::RUSAGE_THREAD).expect("asked").voluntary_context_switches()
}

/// Splices what has come, without having asked for a hint, twice: after that, a driver knows that nobody waits for this
/// source.
fn by_the_clock(driver: &Driver) -> (Rig, Leg, TcpStream) {
    let mut rig = Rig::new(driver);
    let (source, mut writer) = rig.tcp();
    rig.kernel.pipe_open(source).expect("a pipe");
    for _ in 0..3 {
        writer.write_all(b"bytes").expect("written");
        rig.turn(Duration::from_millis(10));
        assert_eq!(rig.kernel.splice_in(source, 1000), Splice::Moved(5));
    }
    (rig, source, writer)
}

/// Splices what has come, and takes it out with what was in the pipe before: each write may have filled a slot of it.
fn moved(rig: &mut Rig, source: Leg) -> usize {
    let mut all = 0;
    while let Splice::Moved(_) = rig.kernel.splice_in(source, 1000) {
        for buffer in rig.kernel.pipe_take(source).expect("the pool is free") {
            all += buffer.len();
            rig.kernel.release(buffer);
        }
    }
    all
}

pub fn who_splices_by_the_clock_sleeps_undisturbed(driver: &Driver) {
    // A splice of the ring would wait for bytes by itself.
    if !driver.splices() || driver.splice == SpliceMode::Ring {
        return;
    }
    let (mut rig, source, mut writer) = by_the_clock(driver);
    let writing = thread::spawn(move || {
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(1));
            writer.write_all(b"bytes").expect("written");
        }
        writer
    });
    let (until, before) = (rig.kernel.refresh() + Duration::from_millis(80), sleeps());
    let mut events = Vec::new();
    rig.kernel.wait(Some(until), &mut events);
    assert!(rig.kernel.now() >= until && events.is_empty(), "it was told");
    // The kernel may wake the thread and tell it nothing.
    assert!(sleeps() - before < 10, "it was woken {} times", sleeps() - before);
    let mut writer = writing.join().expect("written");
    assert_eq!(moved(&mut rig, source), 3 * 5 + 100);
    // Who asks is told, each time.
    rig.silent(source);
    for _ in 0..2 {
        writer.write_all(b"bytes").expect("written");
        ready(&mut rig, source, Interest::Readable);
        assert_eq!(rig.kernel.splice_in(source, 1000), Splice::Moved(5));
        assert_eq!(rig.kernel.splice_in(source, 1000), Splice::Blocked);
    }
    // Who copies again receives what came before and after.
    let (mut rig, source, mut writer) = by_the_clock(driver);
    writer.write_all(b"before").expect("written");
    rig.turn(Duration::from_millis(5));
    rig.kernel.pipe_close(source);
    rig.kernel.receive(source, Group::Small);
    assert_eq!(rig.read(source, 6), b"before");
    writer.write_all(b"after").expect("written");
    assert_eq!(rig.read(source, 5), b"after");
    // An end is found by the next splice.
    let (mut rig, source, writer) = by_the_clock(driver);
    drop(writer);
    rig.turn(Duration::from_millis(5));
    assert_eq!(rig.kernel.splice_in(source, 1000), Splice::Ended);
}

pub fn the_intake_of_a_source_is_told(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let stream = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    let (mut peer, _) = listener.accept().expect("connected");
    let socket = socket2::SockRef::from(&stream);
    socket.set_recv_buffer_size(100_000).expect("set");
    // Linux doubles it for what it keeps besides the bytes.
    assert_eq!(socket.recv_buffer_size().expect("asked"), 200_000);
    let leg = rig.adopt(stream);
    assert_eq!(rig.kernel.intake(leg), Intake { unread: 0, window: 100_000 });
    peer.write_all(&[1; 10_000]).expect("written");
    let unread = rig.kernel.intake(leg).unread;
    assert!((10_000..40_000).contains(&unread), "{unread}");
    rig.kernel.close(leg, Close::Normal);
    assert_eq!(rig.kernel.intake(leg), Intake::default());
    let (leg, _peer) = rig.unix();
    assert_eq!(rig.kernel.intake(leg), Intake::default(), "nobody can tell");
    rig.finish();
}
