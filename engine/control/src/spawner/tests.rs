//! The spawner with real programs. It is a process of its own here, too: this one, run once more for one test alone.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use penstock_core::control::SessionId;
use penstock_core::ring::{Errno, processes};

use super::message::{Answer, End, Request};
use super::*;

/// Patience of the tests.
const LIMIT: Duration = Duration::from_secs(60);

/// This test's executable, as a spawner.
pub(crate) fn spawner() -> Spawner {
    Spawner::start_as(this_test("spawner::tests::the_process_itself")).expect("it starts")
}

/// This test's executable, for one test that is none by itself.
pub(crate) fn this_test(name: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args([name, "--exact", "--ignored", "--nocapture"]);
    command
}

#[test]
#[ignore = "it is the process that other tests start"]
fn the_process_itself() {
    serve().expect("it serves");
}

struct Rig(Spawner);

/// A program as its owner has it.
struct Program {
    stream: UnixStream,
    errors: io::PipeReader,
}

fn id(slot: u32) -> SessionId {
    SessionId { worker: 0, slot, generation: 1 }
}

impl Rig {
    fn new() -> Rig {
        Rig(spawner())
    }

    fn run(&self, slot: u32, line: &[&str]) -> Program {
        let (stream, theirs) = UnixStream::pair().expect("made");
        let (errors, their_errors) = io::pipe().expect("made");
        let line = line.iter().map(|part| (*part).to_owned()).collect();
        let environment = ["PATH", "HOME"].map(str::to_owned).to_vec();
        let request = Request::Run { id: id(slot), line, environment }.encode();
        processes::send(self.0.socket.as_fd(), &request, &[theirs.as_fd(), their_errors.as_fd()])
            .expect("sent");
        Program { stream, errors }
    }

    fn end(&self, slot: u32) {
        let request = Request::End { id: id(slot) }.encode();
        processes::send(self.0.socket.as_fd(), &request, &[]).expect("sent");
    }

    fn answer(&self) -> Answer {
        let mut memory = [0; 64];
        let socket = UnixStream::from(self.0.socket.try_clone().expect("a descriptor"));
        socket.set_read_timeout(Some(LIMIT)).expect("a socket");
        let socket: OwnedFd = socket.into();
        let (length, _) = processes::receive(socket.as_fd(), &mut memory).expect("an answer");
        Answer::decode(&memory[..length]).expect("an answer")
    }

    fn expect_started(&self, slot: u32) {
        assert_eq!(self.answer(), Answer::Started { id: id(slot) });
    }

    fn expect_end(&self, slot: u32, end: End) {
        assert_eq!(self.answer(), Answer::Ended { id: id(slot), end });
    }
}

impl Program {
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.stream.set_read_timeout(Some(LIMIT)).expect("a socket");
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).expect("a line");
            line.push(byte[0]);
        }
        String::from_utf8(line).expect("text").trim().to_owned()
    }

    /// A number that it says.
    fn pid(&mut self) -> i32 {
        self.line().parse().expect("a number")
    }
}

fn lives(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None).is_ok()
}

#[track_caller]
fn wait_for_death(pid: i32) {
    let end = Instant::now() + LIMIT;
    while lives(pid) {
        assert!(Instant::now() < end, "{pid} lives on");
        sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_program_speaks_through_one_socket_and_ends_with_it() {
    let rig = Rig::new();
    let mut program = rig.run(1, &["cat"]);
    rig.expect_started(1);
    let sent: Vec<u8> = (0..1 << 20).map(|n: u32| (n * 7 / 3) as u8).collect();
    let mut writer = program.stream.try_clone().expect("a descriptor");
    let bytes = sent.clone();
    let writing = std::thread::spawn(move || writer.write_all(&bytes));
    let mut back = vec![0; sent.len()];
    program.stream.read_exact(&mut back).expect("all of it");
    writing.join().expect("it ended").expect("all of it");
    assert!(back == sent, "not what was sent");
    drop(program);
    rig.expect_end(1, End::Exit(0));
}

#[test]
fn what_cannot_be_run_is_refused_with_the_systems_word() {
    let rig = Rig::new();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("script");
    fs::write(&file, "no program").expect("written");
    let file = file.to_str().expect("text");
    for (slot, line, errno) in [
        (1, vec!["/nonexistent/ssh"], Errno::ENOENT),
        (2, vec!["no-such-program-anywhere"], Errno::ENOENT),
        (3, vec![file], Errno::EACCES),
        (4, vec![], Errno::EINVAL),
        (5, vec!["cat", "a\0b"], Errno::EINVAL),
    ] {
        let _program = rig.run(slot, &line);
        assert_eq!(rig.answer(), Answer::Failed { id: id(slot), errno }, "{line:?}");
    }
}

#[test]
fn every_end_is_told_once_with_its_status() {
    let rig = Rig::new();
    let programs: Vec<Program> = (0..20)
        .map(|slot| rig.run(slot, &["sh", "-c", &format!("echo no >&2; exit {}", 100 + slot)]))
        .collect();
    let mut ended = Vec::new();
    for _ in 0..2 * programs.len() {
        match rig.answer() {
            Answer::Started { .. } => {}
            Answer::Ended { id, end: End::Exit(status) } => {
                assert_eq!(status, 100 + id.slot.cast_signed());
                ended.push(id.slot);
            }
            other => panic!("{other:?}"),
        }
    }
    ended.sort_unstable();
    assert!(ended.into_iter().eq(0..20));
    for mut program in programs {
        let mut text = String::new();
        program.errors.read_to_string(&mut text).expect("a pipe");
        assert_eq!(text, "no\n");
    }
    let _program = rig.run(20, &["sh", "-c", "kill -SEGV $$"]);
    rig.expect_started(20);
    rig.expect_end(20, End::Signal(Signal::SIGSEGV as i32));
}

#[test]
fn a_program_that_ignores_its_end_is_killed_and_so_is_what_it_has_started() {
    let rig = Rig::new();
    let stubborn = "trap '' TERM; sh -c 'trap \"\" TERM; while :; do sleep 1; done' & \
                    echo $!; while :; do sleep 1; done";
    let mut program = rig.run(1, &["sh", "-c", stubborn]);
    rig.expect_started(1);
    let grandchild = program.pid();
    let begun = Instant::now();
    rig.end(1);
    rig.expect_end(1, End::Signal(Signal::SIGKILL as i32));
    let took = begun.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(20)).contains(&took), "{took:?}");
    wait_for_death(grandchild);
}

#[test]
fn a_program_that_only_misses_its_end_is_asked_to() {
    let rig = Rig::new();
    let mut program =
        rig.run(1, &["sh", "-c", "trap 'exit 7' TERM; echo $$; while :; do sleep 0.1; done"]);
    rig.expect_started(1);
    program.pid();
    rig.end(1);
    rig.expect_end(1, End::Exit(7));
}

#[test]
fn what_a_program_leaves_behind_goes_with_it() {
    let rig = Rig::new();
    let mut program = rig.run(1, &["sh", "-c", "sleep 1000 & echo $!"]);
    rig.expect_started(1);
    let left = program.pid();
    rig.expect_end(1, End::Exit(0));
    wait_for_death(left);
}

#[test]
fn a_program_inherits_nothing_but_its_streams_and_what_is_named() {
    // As if the daemon had been started with nohup, by something careless with its descriptors, and blocked signals.
    let mut careless = Command::new("sh");
    careless.env("PENSTOCK_SECRET", "hunter2").args([
        "-c",
        "trap '' HUP INT; exec 7</proc/version; exec \"$@\"",
        "sh",
    ]);
    let itself = this_test("spawner::tests::the_process_itself");
    careless.arg(fs::read_link("/proc/self/exe").expect("a path")).args(itself.get_args());
    let blocked: SigSet = [Signal::SIGTERM, Signal::SIGUSR1].into_iter().collect();
    blocked.thread_block().expect("ours");
    let rig = Rig(Spawner::start_as(careless).expect("it starts"));
    blocked.thread_unblock().expect("ours");
    let look = "grep -E '^Sig(Blk|Ign)' /proc/self/status | tr -d '\\t'; ls /proc/self/fd | wc -l; env | sort; \
                ps -o pgid= -p $$ | tr -d ' '; echo $$; cat /proc/$PPID/stat | cut -d' ' -f6";
    let mut program = rig.run(1, &["sh", "-c", look]);
    rig.expect_started(1);
    for name in ["SigBlk:", "SigIgn:"] {
        let line = program.line();
        let mask = line.strip_prefix(name).map(|mask| u64::from_str_radix(mask, 16));
        // Those behind the first 31 are nobody's but the C library's.
        assert!(matches!(mask, Some(Ok(mask)) if mask & 0x7fff_ffff == 0), "{line}");
    }
    // Standard input, output, error, and the folder that ls reads.
    assert_eq!(program.line(), "4");
    let mut environment = Vec::new();
    let group = loop {
        match program.line() {
            line if line.contains('=') => environment.push(line),
            line => break line,
        }
    };
    let names: Vec<&str> = environment.iter().filter_map(|line| line.split('=').next()).collect();
    // The shell adds its own.
    let given: Vec<&str> =
        names.into_iter().filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name)).collect();
    assert_eq!(given, ["HOME", "LC_ALL", "PATH"]);
    assert_eq!(group, program.line(), "it leads a group of its own");
    let session = program.line();
    assert_ne!(session, std::process::id().to_string());
    assert_eq!(session, rig.0.process.id().to_string(), "away from our terminal");
}

#[test]
fn signals_for_the_daemon_do_not_end_its_spawner() {
    let rig = Rig::new();
    let _program = rig.run(1, &["cat"]);
    rig.expect_started(1);
    let spawner = Pid::from_raw(rig.0.process.id().cast_signed());
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1] {
        kill(spawner, signal).expect("it lives");
    }
    let mut program = rig.run(2, &["cat"]);
    rig.expect_started(2);
    program.stream.write_all(b"still here\n").expect("it reads");
    assert_eq!(program.line(), "still here");
}

#[test]
fn a_daemon_that_is_killed_leaves_nothing() {
    // The daemon's part is played by another run of this test, which says who its children are.
    let mut command = this_test("spawner::tests::a_daemon_to_be_killed");
    let mut daemon = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut output = daemon.stdout.take().expect("a pipe");
    let mut text = String::new();
    let mut pids = Vec::new();
    while pids.len() < 3 {
        let mut bytes = [0; 256];
        let length = output.read(&mut bytes).expect("a pipe");
        assert!(length > 0, "{text}");
        text += &String::from_utf8_lossy(&bytes[..length]);
        let said = text.split_once("children:").and_then(|(_, said)| said.split_once('\n'));
        if let Some((said, _)) = said {
            pids = said.split_whitespace().map(|pid| pid.parse().expect("a number")).collect();
        }
    }
    assert!(pids.iter().all(|pid| lives(*pid)), "{text}");
    daemon.kill().expect("ours");
    daemon.wait().expect("ours");
    pids.into_iter().for_each(wait_for_death);
}

#[test]
#[ignore = "it is the process that another test starts"]
fn a_daemon_to_be_killed() {
    let rig = Rig::new();
    let mut heeds = rig.run(1, &["sh", "-c", "echo $$; exec cat"]);
    rig.expect_started(1);
    let mut ignores = rig.run(2, &["sh", "-c", "trap '' TERM; echo $$; while :; do sleep 1; done"]);
    rig.expect_started(2);
    println!("children: {} {} {}", rig.0.process.id(), heeds.pid(), ignores.pid());
    sleep(2 * LIMIT);
}

#[test]
fn by_hand_it_says_whom_it_is_for() {
    let mut command = this_test("spawner::tests::the_process_itself");
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let said = [output.stdout, output.stderr].concat();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&said).contains("not by hand"));
}
