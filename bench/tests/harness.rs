//! The harness as a program: contestants from a file, one that runs already, and what is left when it is interrupted.
//!
//! The daemon is not built by these tests: where a contestant has to be Penstock, a few lines here answer for its counters.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

const BENCH: &str = env!("CARGO_BIN_EXE_penstock-bench");
/// All of them pin themselves to the same cores.
static ALONE: Mutex<()> = Mutex::new(());

/// `run` in a folder where temporary files go. Within this window, a busy machine lets every client get something through.
fn bench(folder: &Path, arguments: &[&str]) -> Command {
    bench_for("400", folder, arguments)
}

/// The same for so many milliseconds.
fn bench_for(window: &str, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(BENCH);
    command.arg("run").args(arguments).args(["--rounds", "1", "--window", window]);
    command.env("TMPDIR", folder).stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = String::from_utf8([stdout, stderr].concat()).unwrap();
    (status.code().unwrap(), text)
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_example_of_the_readme_is_the_tested_one() {
    let readme = include_str!("../README.md");
    let tested = include_str!("contestants.toml").split_once("\n\n").unwrap().1;
    assert!(readme.contains(tested), "README.md differs from tests/contestants.toml");
}

#[test]
fn a_contestant_from_a_file_is_measured_where_it_asked_to_be() {
    let _alone = ALONE.lock();
    let folder = tempfile::tempdir().unwrap();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/contestants.toml");
    let json = folder.path().join("run.json");
    let json_name = json.to_str().unwrap();
    let scenarios = ["setup", "pingpong-64", "messages-open", "tls-handshake", "ws-64-16"];
    let names = "my-relay,bare-copy,my-terminator,bare-tls,my-bridge,bare-ws";
    let only = ["--only", names, "--contestants", file, "--json", json_name];
    let (code, text) = run(&mut bench(folder.path(), &[&scenarios[..], &only].concat()));
    assert_eq!(code, 0, "{text}");

    let record: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let rows = |name: &str| -> Vec<&Value> {
        let scenarios = record["scenarios"].as_array().unwrap();
        let scenario = scenarios.iter().find(|s| s["name"] == name).unwrap();
        scenario["rows"].as_array().unwrap().iter().collect()
    };
    for (scenario, contestants) in [
        ("setup", 2),
        ("pingpong-64", 2),
        ("messages-open", 1),
        ("tls-handshake", 2),
        ("ws-64-16", 2),
    ] {
        let rows = rows(scenario);
        assert_eq!(rows.len(), contestants, "{scenario}");
        for row in rows {
            let round = &row["rounds"][0];
            assert!(round["figure"].as_f64().unwrap() > 0.0, "{row}");
            assert!(round["resident_bytes"].as_u64().unwrap() > 100_000, "{row}");
            assert!(!row["latencies"].as_array().unwrap().is_empty(), "{row}");
        }
    }
    let contestants = record["contestants"].as_array().unwrap();
    let mine = contestants.iter().find(|c| c["name"] == "my-relay").unwrap();
    assert_eq!((&mine["version"], &mine["family"]), (&"1.0".into(), &"peer".into()));
    assert_eq!(mine["command"][1], "relay");
}

#[test]
fn a_run_has_a_network_of_its_own_unless_told_otherwise() {
    let _alone = ALONE.lock();
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("run.json");
    let outside = fs::read_to_string(CONGESTION_CONTROL).unwrap();
    let network = |flags: &[&str]| -> Value {
        let start = ["pingpong-64", "--only", "bare-copy", "--json", json.to_str().unwrap()];
        let (code, text) = run(&mut bench(folder.path(), &[&start[..], flags].concat()));
        assert_eq!(code, 0, "{text}");
        let record: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
        record["machine"]["network"].clone()
    };
    let own = network(&[]);
    match own["machines"].as_str() {
        None => {
            let set = own["congestion_control"].as_str();
            assert!(set.is_some_and(|set| ["cubic", "reno"].contains(&set)), "{own}");
        }
        Some(reason) => assert!(reason.contains("the kernel grants no other"), "{reason}"),
    }
    let host = network(&["--network=host"]);
    assert_eq!(host["machines"], "asked for");
    assert_eq!(host["congestion_control"], outside.trim());
    assert_eq!(fs::read_to_string(CONGESTION_CONTROL).unwrap(), outside);
}

const CONGESTION_CONTROL: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

/// A relay that runs already, in front of fixed origins, and an administrator that says what it is told.
struct Elsewhere {
    relay: Child,
    file: PathBuf,
}

impl Elsewhere {
    fn start(folder: &Path, admin: SocketAddr) -> Elsewhere {
        let [listen, listen_flood, echo, flood] = free_addresses();
        let forwards = [format!("{listen}={echo}"), format!("{listen_flood}={flood}")];
        let relay = Command::new(BENCH).args(["relay", "copy"]).args(forwards).spawn().unwrap();
        wait_until("the relay listens", || TcpStream::connect(listen).is_ok());
        let pid = relay.id();
        let text = format!(
            "[[contestant]]\nname = \"elsewhere\"\nkind = \"tcp\"\npid = {pid}\naddress = \"{listen}\"\n\
             address_flood = \"{listen_flood}\"\necho = \"{echo}\"\nflood = \"{flood}\"\n\
             penstock = true\nadmin = \"{admin}\"\n"
        );
        let file = folder.join("elsewhere.toml");
        fs::write(&file, text).unwrap();
        Elsewhere { relay, file }
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = self.relay.kill();
        let _ = self.relay.wait();
    }
}

/// Those that nobody else takes, by the process id.
fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    static NEXT: AtomicU16 = AtomicU16::new(2000);
    let pid = std::process::id();
    let address = Ipv4Addr::new(127, 1 + (pid >> 8) as u8 % 255, pid as u8, 1);
    [(); N].map(|()| SocketAddr::from((address, NEXT.fetch_add(1, Relaxed))))
}

/// Answers each scrape with more bytes of one mover.
fn start_admin(mover: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (scrape, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(&stream).lines();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let bytes = scrape * 1000;
            let body = format!("penstock_bytes_total{{mover=\"{mover}\"}} {bytes}\n");
            stream.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{body}").as_bytes()).unwrap();
        }
    });
    address
}

#[test]
fn one_that_runs_already_is_measured_by_its_counters_and_lives_on() {
    let _alone = ALONE.lock();
    let folder = tempfile::tempdir().unwrap();
    for (mover, code, said) in
        [("copy", 0, "copied 0.00 MB"), ("splice", 1, "100.0 % of the bytes were spliced")]
    {
        let mut elsewhere = Elsewhere::start(folder.path(), start_admin(mover));
        let file = elsewhere.file.to_str().unwrap();
        let arguments = ["pingpong-64", "--only", "elsewhere", "--contestants", file];
        let (ended, text) = run(&mut bench(folder.path(), &arguments));
        assert_eq!(ended, code, "{text}");
        assert!(text.contains(said), "{text}");
        assert!(text.contains("the machine's network: elsewhere runs in it already"), "{text}");
        assert!(elsewhere.relay.try_wait().unwrap().is_none(), "it was stopped");
    }
}

/// One contestant whose command is a shell that starts the copying relay as RELAY.
fn shell(folder: &Path, script: &str) -> PathBuf {
    let relay = "{bench} relay copy {listen}={echo} {listen_flood}={flood}";
    let script = script.replace("RELAY", relay);
    let text = format!(
        "[[contestant]]\nname = \"shell\"\nkind = \"tcp\"\ncommand = [\"sh\", \"-c\", {script:?}]\n"
    );
    let file = folder.join("shell.toml");
    fs::write(&file, text).unwrap();
    file
}

#[test]
fn who_goes_to_the_background_is_told_to_stay() {
    let _alone = ALONE.lock();
    let folder = tempfile::tempdir().unwrap();
    // Before anybody answers, at about that time, and while it is measured.
    for script in ["(sleep 0.1; exec RELAY) & exit", "RELAY & exit", "RELAY & sleep 0.15"] {
        let file = shell(folder.path(), script);
        let arguments = ["pingpong-64", "--only", "shell", "--contestants", file.to_str().unwrap()];
        let (code, text) = run(&mut bench(folder.path(), &arguments));
        assert_eq!(code, 1, "{text}");
        assert!(text.contains("it must stay in the foreground"), "{script}: {text}");
    }
}

#[test]
fn what_is_meant_for_the_users_penstock_does_not_reach_contestants() {
    let _alone = ALONE.lock();
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("environment");
    let file = shell(folder.path(), &format!("env >{}; exec RELAY", told.display()));
    let arguments = ["pingpong-64", "--only", "shell", "--contestants", file.to_str().unwrap()];
    let mut command = bench(folder.path(), &arguments);
    let (code, text) = run(command.env("PENSTOCK_MASK", "splice").env("OF_OTHERS", "stays"));
    assert_eq!(code, 0, "{text}");
    let told = fs::read_to_string(&told).unwrap();
    assert!(told.contains("OF_OTHERS=stays") && !told.contains("PENSTOCK_"), "{told}");
}

/// Itself and whatever it started, by their parents.
fn descendants(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while next < found.len() {
        let path = format!("/proc/{0}/task/{0}/children", found[next]);
        let children = fs::read_to_string(path).unwrap_or_default();
        found.extend(children.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()));
        next += 1;
    }
    found
}

/// Waits for its children, sends a signal, and says how it ended once none of them is left.
fn interrupt(folder: &Path, signal: Signal) -> (Option<i32>, String) {
    let arguments = ["pingpong-64", "--only", "bare-copy,tokio", "--window", "60000"];
    let mut command = Command::new(BENCH);
    command.arg("run").args(arguments).args(["--rounds", "1"]).env("TMPDIR", folder);
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
    wait_until("two relays run", || descendants(child.id()).len() == 3);
    // setpriv has asked to be told once it has become the relay; before that, the child is called like its parent.
    wait_until("they are relays", || {
        descendants(child.id())[1..].iter().all(|pid| {
            fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|words| words.split('\0').nth(1) == Some("relay"))
        })
    });
    let all = descendants(child.id());
    // Of a lost terminal both the kernel and the shell tell.
    for _ in 0..if signal == Signal::SIGHUP { 3 } else { 1 } {
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        thread::sleep(Duration::from_millis(1));
    }
    let mut status = None;
    wait_until("it ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    wait_until("nobody is left", || {
        all.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists())
    });
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    (status.and_then(|status| status.code()), text)
}

#[test]
fn interrupted_it_leaves_nothing_behind() {
    let _alone = ALONE.lock();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let folder = tempfile::tempdir().unwrap();
        let (code, text) = interrupt(folder.path(), signal);
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains("interrupted"), "{text}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "files are left");
    }
}

#[test]
fn under_nohup_a_lost_terminal_is_ignored() {
    let _alone = ALONE.lock();
    let folder = tempfile::tempdir().unwrap();
    // Long enough for it to be seen.
    let bench = bench_for("4000", folder.path(), &["pingpong-64", "--only", "bare-copy"]);
    let mut command = Command::new("nohup");
    command.arg(BENCH).args(bench.get_args()).env("TMPDIR", folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    wait_until("a relay runs", || descendants(child.id()).len() == 2);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGHUP).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn killed_it_leaves_no_process_behind() {
    let _alone = ALONE.lock();
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(interrupt(folder.path(), Signal::SIGKILL).0, None);
}
