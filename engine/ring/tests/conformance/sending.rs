//! Sending: order, accounts, backpressure, failures.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use penstock_ring::{Arrival, Chunk, Close, Errno, Group, Leg, Outcome, Queued, Sent};
use socket2::SockRef;

use crate::Driver;
use crate::pattern::Pattern;
use crate::rig::{PATIENCE, Rig, reset, tcp_pair};

pub fn small_chunks_arrive_in_order(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let (leg, peer) = rig.tcp();
    let (mut pattern, mut owed) = (Pattern::default(), 0);
    for size in 0..300 {
        let chunk = Bytes::from_static(pattern.next(size));
        let len = chunk.len();
        match rig.kernel.send(leg, Chunk::Bytes(chunk)) {
            Sent::Done => {}
            Sent::Queued => owed += len,
            Sent::Failed(errno) => panic!("can't send: {errno}"),
        }
        assert_eq!(rig.kernel.queued(leg), Queued { bytes: owed, memory: owed });
    }
    rig.accepted(leg, owed);
    assert_eq!(rig.kernel.queued(leg), Queued::default());
    rig.kernel.shutdown(leg);
    let mut read = Pattern::default();
    read.read_to_end(peer).expect("read");
    assert_eq!(read.at, pattern.at);
    rig.finish();
}

/// What the caller of the slow reader's test lets a leg hold.
const LIMIT: usize = 64 << 10;

pub fn a_slow_reader_costs_what_the_caller_queues(driver: &Driver) {
    const BYTES: usize = 8 << 20;
    let mut rig = Rig::new(driver);
    let (leg, mut peer) = rig.tcp();
    let reader = thread::spawn(move || {
        let (mut pattern, mut space) = (Pattern::default(), vec![0; 128 << 10]);
        loop {
            thread::sleep(Duration::from_millis(2));
            match peer.read(&mut space).expect("read") {
                0 => return pattern.at,
                n => pattern.check(&space[..n]),
            }
        }
    });
    let (mut pattern, mut accepted, mut was_full) = (Pattern::default(), 0, false);
    while accepted < BYTES {
        while pattern.at < BYTES && rig.kernel.queued(leg).memory < LIMIT {
            let chunk = Bytes::from_static(pattern.next((BYTES - pattern.at).min(4096)));
            let len = chunk.len();
            match rig.kernel.send(leg, Chunk::Bytes(chunk)) {
                Sent::Done => accepted += len,
                Sent::Queued => {}
                Sent::Failed(errno) => panic!("can't send: {errno}"),
            }
            assert_eq!(rig.kernel.queued(leg).bytes, pattern.at - accepted);
        }
        was_full |= rig.kernel.queued(leg).memory >= LIMIT;
        if accepted < BYTES {
            // One turn may bring several, and the kernel counts with all of them.
            let mut outcome = Some(rig.next(leg));
            while let Some(told) = outcome {
                match told {
                    Outcome::Sent(n) => accepted += n,
                    other => panic!("it is to send, not {other:?}"),
                }
                outcome = rig.backlog.pop_front().map(|event| event.outcome);
            }
            assert_eq!(rig.kernel.queued(leg).bytes, pattern.at - accepted);
        }
    }
    assert!(was_full, "the reader was never too slow");
    assert_eq!(rig.kernel.queued(leg), Queued::default());
    rig.kernel.shutdown(leg);
    assert_eq!(reader.join().expect("no panic"), BYTES);
    rig.finish();
}

pub fn a_slow_readers_progress_is_told(driver: &Driver) {
    const BYTES: usize = 256 << 10;
    const STEP: usize = 4 << 10;
    let mut rig = Rig::new(driver);
    let (ours, mut peer) = tcp_pair();
    SockRef::from(&ours).set_send_buffer_size(16 << 10).expect("set");
    SockRef::from(&peer).set_recv_buffer_size(16 << 10).expect("set");
    let leg = rig.adopt(ours);
    // Queued at once, so that nothing but progress is a reason for an outcome.
    let sent = rig.kernel.send(leg, Chunk::Bytes(Bytes::from(vec![7; BYTES])));
    assert_eq!(sent, Sent::Queued);
    peer.set_nonblocking(true).expect("set");
    let (mut read, mut told) = (0, 0);
    let end = Instant::now() + PATIENCE;
    while rig.kernel.queued(leg).bytes > 0 {
        assert!(Instant::now() < end, "stuck after {read} bytes");
        read += peer.read(&mut [0; STEP]).unwrap_or(0);
        rig.turn(Duration::from_millis(1));
        for event in rig.backlog.drain(..) {
            assert!(matches!(event.outcome, Outcome::Sent(1..)), "{:?}", event.outcome);
            told += 1;
        }
    }
    assert!(told >= 8, "told of progress {told} times while {read} bytes were read");
    rig.finish();
}

pub fn pooled_buffers_go_back_when_accepted(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let (sink, mut reader) = rig.unix();
    queue_ten_buffers(&mut rig, sink);
    reader.set_nonblocking(true).expect("set");
    rig.until("an empty queue", |rig| {
        let mut space = [0; 65_536];
        while reader.read(&mut space).is_ok_and(|n| n > 0) {}
        rig.kernel.queued(sink) == Queued::default()
    });
    rig.until("free buffers", |rig| {
        rig.give_back();
        rig.count("buffers_free") == rig.count("buffers_total")
    });
    rig.finish();
}

pub fn pooled_buffers_go_back_when_their_leg_is_closed(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let (sink, _reader) = rig.unix();
    queue_ten_buffers(&mut rig, sink);
    rig.kernel.close(sink, Close::Normal);
    assert_eq!(rig.kernel.queued(sink), Queued::default());
    rig.finish();
}

/// Fills a sink whose reader doesn't read until it holds ten pooled buffers.
fn queue_ten_buffers(rig: &mut Rig, sink: Leg) {
    let (source, mut writer) = rig.tcp();
    rig.kernel.receive(source, Group::Record);
    rig.until("ten queued buffers", |rig| {
        writer.write_all(&[5; 18_000]).expect("written");
        for event in std::mem::take(&mut rig.backlog) {
            if let Outcome::Received(buffer) = event.outcome {
                let sent = rig.kernel.send(sink, Chunk::Pool(buffer));
                assert!(matches!(sent, Sent::Done | Sent::Queued), "{sent:?}");
            }
        }
        let queued = rig.kernel.queued(sink);
        assert_eq!(queued.memory % Group::Record.stride(), 0, "a buffer counts whole");
        assert!(queued.bytes <= queued.memory);
        queued.memory >= 10 * Group::Record.stride()
    });
    rig.kernel.close(source, Close::Normal);
    rig.turn(Duration::ZERO);
    assert!(rig.count("buffers_free") + 10 <= rig.count("buffers_total"));
}

pub fn half_closed_streams_still_carry_the_other_way(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let (leg, mut peer) = rig.tcp();
    rig.kernel.receive(leg, Group::Small);
    peer.write_all(b"question").expect("written");
    peer.shutdown(Shutdown::Write).expect("ended");
    assert_eq!(rig.read_to_end(leg), (b"question".to_vec(), Arrival::Ended));
    rig.send(leg, b"answer");
    rig.kernel.shutdown(leg);
    let mut answer = String::new();
    peer.read_to_string(&mut answer).expect("read");
    assert_eq!(answer, "answer");

    let (leg, mut peer) = rig.unix();
    rig.send(leg, b"question");
    rig.kernel.shutdown(leg);
    let mut question = String::new();
    peer.read_to_string(&mut question).expect("read");
    peer.write_all(b"answer").expect("we still read");
    rig.kernel.receive(leg, Group::Small);
    assert_eq!((question.as_str(), &rig.read(leg, 6)[..]), ("question", &b"answer"[..]));
    rig.finish();
}

pub fn sending_to_a_gone_peer_fails(driver: &Driver) {
    let mut rig = Rig::new(driver);
    let (ours, peer) = tcp_pair();
    let looks = ours.try_clone().expect("a descriptor");
    let leg = rig.adopt(ours);
    reset(peer);
    let mut gone = [PollFd::new(looks.as_fd(), PollFlags::empty())];
    assert_eq!(
        poll(&mut gone, PollTimeout::try_from(PATIENCE).expect("a minute")),
        Ok(1),
        "no news"
    );
    drop(looks);
    let errno = match rig.kernel.send(leg, Chunk::Bytes(Bytes::from_static(b"hello?"))) {
        Sent::Failed(errno) => errno,
        Sent::Queued => match rig.next(leg) {
            Outcome::SendFailed(errno) => errno,
            outcome => panic!("it is to fail, not {outcome:?}"),
        },
        Sent::Done => panic!("nobody is there"),
    };
    assert!(matches!(errno, Errno::ECONNRESET | Errno::EPIPE), "{errno}");
    assert_eq!(rig.kernel.queued(leg), Queued::default());
    // Whichever way the news came first, a broken connection doesn't end cleanly.
    rig.kernel.receive(leg, Group::Small);
    let (bytes, arrival) = rig.read_to_end(leg);
    assert!(bytes.is_empty() && matches!(arrival, Arrival::Failed(_)), "{arrival:?}");
    rig.finish();
}

pub fn a_terminal_accepts_what_it_can(driver: &Driver) {
    const BYTES: usize = 256 << 10;
    let mut rig = Rig::new(driver);
    let pty = nix::pty::openpty(None, None).expect("made");
    let mut raw = tcgetattr(&pty.slave).expect("asked");
    cfmakeraw(&mut raw);
    tcsetattr(&pty.slave, SetArg::TCSANOW, &raw).expect("set");
    let leg = rig.adopt(pty.master);
    let (mut pattern, mut owed) = (Pattern::default(), 0);
    while pattern.at < BYTES {
        let chunk = Bytes::from_static(pattern.next((BYTES - pattern.at).min(10_000)));
        let len = chunk.len();
        match rig.kernel.send(leg, Chunk::Bytes(chunk)) {
            Sent::Done => {}
            Sent::Queued => owed += len,
            Sent::Failed(errno) => panic!("can't send: {errno}"),
        }
    }
    assert!(owed > 0, "a terminal holds 4 KiB; it must have blocked");
    let mut slave = std::fs::File::from(pty.slave);
    let reader = thread::spawn(move || {
        let (mut pattern, mut space) = (Pattern::default(), vec![0; 4096]);
        while pattern.at < BYTES {
            let n = slave.read(&mut space).expect("read");
            pattern.check(&space[..n]);
        }
        slave
    });
    rig.accepted(leg, owed);
    drop(reader.join().expect("no panic"));
    rig.finish();
}
