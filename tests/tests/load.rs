//! Many tunnels at once: what thousands of quiet ones cost, and what slow ones cost the others.
//!
//! These tests measure, so each of them has the machine for itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use penstock_tests::connect::tunnel;
use penstock_tests::peers::Helper;
use penstock_tests::{Driver, Setup, both_drivers, loopback, names, procfs};

both_drivers! {
    five_thousand_quiet_tunnels_cost_next_to_nothing,
    slow_readers_stay_in_their_bytes_and_out_of_others_way,
}

const SECOND: Duration = Duration::from_secs(1);

/// One at a time; the configuration of nextest says the same about the processes it starts.
static ALONE: Mutex<()> = Mutex::new(());

fn five_thousand_quiet_tunnels_cost_next_to_nothing(driver: Driver) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let penstock = Setup::new(driver).start();
    let origin = Helper::start(&["origin", &loopback::address().to_string()], None);
    let hold = |count: &str| {
        let proxy = penstock.proxy().to_string();
        Helper::start(&["tunnels", &proxy, origin.said(), count, "1048576"], None)
    };
    // The pool is memory that was configured: it is touched before anything is measured.
    drop(hold("300"));
    wait_for_tunnels(&penstock, 0.0);
    let before = (penstock.holdings(), procfs::private_dirty(penstock.pid()));

    let herd = hold("5000");
    sleep(SECOND);
    wait_for_tunnels(&penstock, 5000.0);
    let window = if std::env::var_os("PENSTOCK_LONG").is_some() { 60 } else { 20 };
    let (cpu, start) = (procfs::cpu(penstock.pid()), Instant::now());
    sleep(window * SECOND);
    let load = (procfs::cpu(penstock.pid()) - cpu).as_secs_f64() / start.elapsed().as_secs_f64();
    let each = procfs::private_dirty(penstock.pid()).saturating_sub(before.1) / 5000;
    println!("{}: {each} bytes each, {:.3} % of a core", driver.name(), load * 100.0);
    assert!(each <= 1024, "{each} bytes each");
    assert!(load <= 0.005, "{:.2} % of a core", load * 100.0);
    wait_for_tunnels(&penstock, 5000.0);
    drop(herd);
    wait_for_tunnels(&penstock, 0.0);
    penstock.assert_holds(&before.0);
}

fn slow_readers_stay_in_their_bytes_and_out_of_others_way(driver: Driver) {
    const MEMORY: u64 = 8 << 20;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let setup =
        Setup::new(driver).set("engine", "workers", "1").set("engine", "memory", "\"8MiB\"");
    let penstock = setup.start();
    let before = (penstock.holdings(), procfs::private_dirty(penstock.pid()));
    let origin = Helper::start(&["origin", &loopback::address().to_string()], None);
    let origin: SocketAddr = origin.said().parse().expect("an address");
    let mut ratios: Vec<f64> = (0..3)
        .map(|_| {
            let alone = speed(penstock.proxy(), origin);
            let slow = SlowReaders::start(penstock.proxy(), origin);
            sleep(SECOND);
            let beside = speed(penstock.proxy(), origin);
            wait_for_tunnels(&penstock, 200.0);
            let grown = procfs::private_dirty(penstock.pid()).saturating_sub(before.1);
            assert!(grown <= MEMORY + (1 << 20), "grown by {grown} bytes");
            drop(slow);
            wait_for_tunnels(&penstock, 0.0);
            beside / alone
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    println!("{}: {ratios:.2?} of the speed alone", driver.name());
    assert!(ratios[1] >= 0.8, "{ratios:.2?} of the speed alone");
    penstock.assert_holds(&before.0);
}

fn wait_for_tunnels(penstock: &penstock_tests::Penstock, count: f64) {
    penstock_tests::wait::until_true("that number of tunnels", 10 * SECOND, || {
        penstock.metric(names::TUNNELS_OPEN, &[]) == count
    });
}

/// Bytes a second through four tunnels that read a flood as fast as they can.
fn speed(proxy: SocketAddr, origin: SocketAddr) -> f64 {
    let streams: Vec<TcpStream> = (0..4).map(|_| flood(proxy, origin)).collect();
    let start = Instant::now();
    let bytes: usize = thread::scope(|scope| {
        let readers = streams.into_iter().map(|mut stream| {
            scope.spawn(move || {
                let (mut buffer, mut bytes) = (vec![0; 256 << 10], 0);
                while start.elapsed() < 2 * SECOND {
                    bytes += stream.read(&mut buffer).expect("a flood");
                }
                bytes
            })
        });
        let readers: Vec<_> = readers.collect();
        readers.into_iter().map(|reader| reader.join().expect("a reader")).sum()
    });
    bytes as f64 / start.elapsed().as_secs_f64()
}

fn flood(proxy: SocketAddr, origin: SocketAddr) -> TcpStream {
    let mut stream = tunnel(proxy, origin);
    stream.write_all(b"flood\n").expect("an open tunnel");
    stream
}

/// 200 clients that take 1 KiB a second of a flood.
struct SlowReaders {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl SlowReaders {
    fn start(proxy: SocketAddr, origin: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let mut streams: Vec<TcpStream> = (0..200).map(|_| flood(proxy, origin)).collect();
        let thread = thread::spawn(move || {
            while !told.load(Relaxed) {
                for stream in &mut streams {
                    stream.read_exact(&mut [0; 1024]).expect("a flood");
                }
                sleep(SECOND);
            }
        });
        SlowReaders { stop, thread: Some(thread) }
    }
}

impl Drop for SlowReaders {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        let ended = self.thread.take().map(thread::JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))), "a slow reader was cut off");
    }
}
