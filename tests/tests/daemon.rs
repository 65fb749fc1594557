//! The life of a running daemon: what it shows, how it logs, how it ends.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::thread::sleep;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use penstock_tests::access_log::Line;
use penstock_tests::connect::{PATIENCE, tunnel};
use penstock_tests::stream::Pattern;
use penstock_tests::{
    Driver, Penstock, Setup, Stopwatch, both_drivers, http, names, origin, process, procfs, wait,
};

both_drivers! {
    it_shows_health_and_tunnels,
    each_worker_has_a_core_and_the_others_have_all,
    a_thousand_tunnels_are_listed_once_each,
    a_stop_lets_tunnels_end_by_themselves,
    a_stop_ends_when_its_time_is_over,
    a_second_signal_ends_it_now,
    clients_in_the_queue_of_a_stop_are_not_reset,
    the_log_moves_to_a_new_file_on_request,
    the_log_can_be_json_or_standard_output,
    a_service_manager_hears_of_start_and_stop,
    a_full_disk_stalls_nobody,
    a_reader_of_the_log_that_sleeps_stalls_nobody,
}

const SECOND: Duration = Duration::from_secs(1);

fn echo(stream: &mut TcpStream) {
    stream.write_all(b"hello").expect("an open tunnel");
    let mut back = [0; 5];
    stream.read_exact(&mut back).expect("the echo");
    assert_eq!(&back, b"hello");
}

fn echoing(penstock: &Penstock) -> TcpStream {
    let mut stream = tunnel(penstock.proxy(), origin::start());
    stream.write_all(b"echo\n").expect("an open tunnel");
    echo(&mut stream);
    stream
}

/// Waits until nobody answers new clients any more.
fn wait_for_closed_listeners(penstock: &Penstock) {
    wait::until_true("closed listeners", PATIENCE, || {
        TcpStream::connect(penstock.proxy())
            .is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused)
    });
}

/// Lines of tunnels in the log of a daemon that has ended.
fn tunnels_logged(penstock: &mut Penstock) -> usize {
    let text = penstock.process().text("access.log");
    text.lines().map(Line::parse).filter(|line| line.code == "TCP_TUNNEL/200").count()
}

fn it_shows_health_and_tunnels(driver: Driver) {
    let penstock = Setup::new(driver).start();
    assert_eq!(http::get(penstock.admin(), "/health").expect("a page").0, 200);
    assert_eq!(http::get(penstock.admin(), "/nonsense").expect("a page").0, 404);
    assert_eq!(penstock.tunnels().len(), 0);
    let (mut client, mut server) = penstock.pair();
    Pattern::new(1).send(&mut client, 1000).expect("an open tunnel");
    Pattern::new(1).receive(&mut server, 1000).expect("all of it");
    Pattern::new(2).send(&mut server, 7).expect("an open tunnel");
    Pattern::new(2).receive(&mut client, 7).expect("all of it");
    sleep(SECOND);
    let list = penstock.tunnels();
    assert_eq!(list.len(), 1, "{list:?}");
    let shown = &list[0];
    assert_eq!(shown["client"], client.local_addr().expect("a socket").to_string(), "{list:?}");
    assert_eq!(shown["target"], server.local_addr().expect("a socket").to_string(), "{list:?}");
    assert_eq!(shown["client_to_target"]["bytes"], 1000, "{list:?}");
    assert_eq!(shown["target_to_client"]["bytes"], 7, "{list:?}");
    assert_eq!(shown["client_to_target"]["mover"], "copy", "{list:?}");
    for clock in ["age_seconds", "idle_seconds"] {
        let seconds = shown[clock].as_f64().expect("a number of seconds");
        assert!((0.9..10.0).contains(&seconds), "{list:?}");
    }
    assert!(shown["id"].as_str().is_some_and(|id| !id.is_empty()), "{list:?}");
}

fn each_worker_has_a_core_and_the_others_have_all(driver: Driver) {
    let cores = |set: &CpuSet| -> Vec<usize> {
        (0..CpuSet::count()).filter(|core| set.is_set(*core) == Ok(true)).collect()
    };
    let ours = cores(&sched_getaffinity(Pid::from_raw(0)).expect("asked"));
    let penstock = Setup::new(driver).set("engine", "workers", &ours.len().to_string()).start();
    let (workers, others): (Vec<_>, Vec<_>) = procfs::threads(penstock.pid())
        .into_iter()
        .partition(|(name, _)| name.starts_with("worker-"));
    let mut taken: Vec<_> = workers.iter().flat_map(|(_, set)| cores(set)).collect();
    taken.sort_unstable();
    assert_eq!((workers.len(), &taken), (ours.len(), &ours), "{workers:?}");
    // The kernel's own threads of a ring go where their worker is.
    let free = others.iter().filter(|(name, _)| !name.starts_with("iou-"));
    for (name, set) in free {
        assert_eq!(cores(set), ours, "{name}");
    }
}

fn a_thousand_tunnels_are_listed_once_each(driver: Driver) {
    let penstock = Setup::new(driver).start();
    let origin = origin::start();
    let held: Vec<_> = (0..1000).map(|_| tunnel(penstock.proxy(), origin)).collect();
    let list = penstock.tunnels();
    let mut ids: Vec<_> = list.iter().filter_map(|tunnel| tunnel["id"].as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), held.len());
    assert_eq!(penstock.metric(names::TUNNELS_OPEN, &[]), 1000.0);
}

fn a_stop_lets_tunnels_end_by_themselves(driver: Driver) {
    let mut penstock = Setup::new(driver).start();
    let mut living = echoing(&penstock);
    penstock.process().signal(Signal::SIGTERM);
    wait_for_closed_listeners(&penstock);
    assert!(!http::get(penstock.admin(), "/ready").is_ok_and(|(status, _)| status == 200));
    sleep(SECOND / 2);
    echo(&mut living);
    assert_eq!(penstock.process().ended(), None);
    drop(living);
    let watch = Stopwatch::start();
    assert_eq!(penstock.outcome().0, Some(0));
    assert!(watch.elapsed() < 2 * SECOND, "{:?} after the last tunnel", watch.real());
    assert_eq!(tunnels_logged(&mut penstock), 1);
}

fn a_stop_ends_when_its_time_is_over(driver: Driver) {
    let mut penstock = Setup::new(driver).set("engine", "drain_timeout", "\"2s\"").start();
    let mut living = echoing(&penstock);
    let watch = Stopwatch::start();
    penstock.process().signal(Signal::SIGINT);
    assert_eq!(penstock.outcome().0, Some(0));
    assert!(watch.is_within(SECOND * 3 / 2..4 * SECOND), "{:?}", watch.real());
    assert!(matches!(living.read(&mut [0]), Ok(0) | Err(_)));
    assert_eq!(tunnels_logged(&mut penstock), 1);
}

fn a_second_signal_ends_it_now(driver: Driver) {
    let mut penstock = Setup::new(driver).start();
    let _living = echoing(&penstock);
    penstock.process().signal(Signal::SIGTERM);
    wait_for_closed_listeners(&penstock);
    let watch = Stopwatch::start();
    penstock.process().signal(Signal::SIGTERM);
    assert_eq!(penstock.outcome().0, Some(0));
    assert!(watch.elapsed() < SECOND, "{:?}", watch.real());
}

fn clients_in_the_queue_of_a_stop_are_not_reset(driver: Driver) {
    for _ in 0..5 {
        let mut penstock = Setup::new(driver).start();
        let origin = origin::start();
        // While the daemon sleeps, all of them stay in the queue: each was promised an answer by the kernel.
        penstock.process().signal(Signal::SIGSTOP);
        let clients: Vec<_> =
            (0..40).map(|_| TcpStream::connect(penstock.proxy()).expect("a listener")).collect();
        penstock.process().signal(Signal::SIGTERM);
        penstock.process().signal(Signal::SIGCONT);
        for mut client in clients {
            penstock_tests::connect::be_patient(&client).expect("a socket");
            client
                .write_all(penstock_tests::connect::request(origin).as_bytes())
                .expect("no reset");
            let reply =
                penstock_tests::connect::reply(&mut client).expect("an answer, not a reset");
            assert!([200, 503].contains(&reply.status), "{}", reply.head);
        }
        assert_eq!(penstock.outcome().0, Some(0));
    }
}

fn the_log_moves_to_a_new_file_on_request(driver: Driver) {
    let mut penstock = Setup::new(driver).start();
    drop(echoing(&penstock));
    penstock.access_log(1);
    let (log, old) =
        (penstock.process().path("access.log"), penstock.process().path("access.log.1"));
    fs::rename(&log, &old).expect("our directory");
    penstock.process().signal(Signal::SIGUSR1);
    wait::until_true("a new log", 5 * SECOND, || log.exists());
    drop(echoing(&penstock));
    assert_eq!(penstock.access_log(1)[0].size, 39 + 5);
    let old = fs::read_to_string(old).expect("the old log");
    assert_eq!(old.lines().map(Line::parse).count(), 1);
}

fn the_log_can_be_json_or_standard_output(driver: Driver) {
    let log = "{ path = \"-\", format = \"json\" }";
    let mut penstock = Setup::new(driver).set("log", "access", log).start();
    drop(echoing(&penstock));
    let record: serde_json::Value = wait::until("a line of JSON", 5 * SECOND, || {
        let text = penstock.process().text("output");
        text.lines().find_map(|line| serde_json::from_str(line).ok())
    });
    assert_eq!(record["status"], 200, "{record}");
    assert!(record["client"].as_str().is_some_and(|c| c.starts_with("127.0.0.1:")), "{record}");
}

fn a_service_manager_hears_of_start_and_stop(driver: Driver) {
    let dir = process::directory();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("our directory");
    socket.set_read_timeout(Some(5 * SECOND)).expect("a socket");
    let hear = |word: &str| {
        let mut message = [0; 512];
        loop {
            let n = socket.recv(&mut message).unwrap_or_else(|e| panic!("no {word}: {e}"));
            if String::from_utf8_lossy(&message[..n]).lines().any(|line| line == word) {
                return;
            }
        }
    };
    let setup = Setup::new(driver).environment("NOTIFY_SOCKET", path.to_str().expect("ASCII"));
    let mut penstock = setup.start();
    hear("READY=1");
    penstock.process().signal(Signal::SIGTERM);
    hear("STOPPING=1");
    assert_eq!(penstock.outcome().0, Some(0));
}

fn a_full_disk_stalls_nobody(driver: Driver) {
    let log = "{ path = \"/dev/full\", format = \"squid\" }";
    let penstock = Setup::new(driver).set("log", "access", log).start();
    let origin = origin::start();
    let mut living = echoing(&penstock);
    let mut slowest = Duration::ZERO;
    for _ in 0..200 {
        drop(tunnel(penstock.proxy(), origin));
        let watch = Stopwatch::start();
        echo(&mut living);
        slowest = slowest.max(watch.elapsed());
    }
    assert!(slowest < SECOND, "{slowest:?}");
    wait::until_true("a count of lost lines", 5 * SECOND, || {
        penstock.metric(names::LOG_DROPPED, &[("log", "access")]) >= 200.0
    });
}

fn a_reader_of_the_log_that_sleeps_stalls_nobody(driver: Driver) {
    let dir = process::directory();
    let path = dir.path().join("log");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("our directory");
    // Open for both, so that the daemon finds a reader, who will never read.
    let _sleeper = File::options().read(true).write(true).open(&path).expect("a pipe");
    let log = format!("{{ path = {path:?}, format = \"squid\" }}");
    let penstock = Setup::new(driver).set("log", "access", &log).start();
    let origin = origin::start();
    let mut living = echoing(&penstock);
    let mut slowest = Duration::ZERO;
    // A pipe holds 64 KiB, a queue somewhat more; a line is about a hundred bytes.
    for round in 0..10_000 {
        drop(tunnel(penstock.proxy(), origin));
        if round % 100 == 0 {
            let watch = Stopwatch::start();
            echo(&mut living);
            slowest = slowest.max(watch.elapsed());
        }
    }
    assert!(slowest < SECOND, "{slowest:?}");
    assert!(
        penstock.metric(names::LOG_DROPPED, &[("log", "access")]) > 0.0,
        "nothing was lost: was the log ever stuck?"
    );
}
