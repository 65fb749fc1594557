//! A running daemon, and all that can be asked of it from outside.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::access_log::Line;
use crate::connect::PATIENCE;
use crate::metrics::Metrics;
use crate::process::Process;
use crate::{Stopwatch, connect, http, names, procfs, wait};

/// A running daemon. It is killed when this value is dropped.
#[derive(Debug)]
pub struct Penstock {
    process: Process,
    address: IpAddr,
}

impl Penstock {
    pub(crate) fn new(process: Process, address: IpAddr) -> Penstock {
        Penstock { process, address }
    }

    /// Where clients connect.
    pub fn proxy(&self) -> SocketAddr {
        SocketAddr::new(self.address, 3128)
    }

    /// Where its metrics are.
    pub fn admin(&self) -> SocketAddr {
        SocketAddr::new(self.address, 9128)
    }

    /// The two ends of a new tunnel: the client's and the target's. Neither waits for ever.
    ///
    /// # Panics
    /// When there is no tunnel.
    pub fn pair(&self) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let target = listener.local_addr().expect("a bound address");
        let client = connect::tunnel(self.proxy(), target);
        let (server, _) = listener.accept().expect("the proxy connects");
        connect::be_patient(&server).expect("a socket");
        (client, server)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its metrics now.
    pub fn metrics(&self) -> Metrics {
        Metrics::scrape(self.admin())
    }

    /// Waits until a metric has come to that value: what a peer has seen may have yet to be counted.
    ///
    /// # Panics
    /// When it has another one after [`PATIENCE`].
    pub fn wait_for_metric(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.wait_for(&format!("{name}{labels:?}"), value, |metrics| metrics.sum(name, labels));
    }

    /// Waits until so many connections have ended for a reason with these labels; see [`Metrics::closed`].
    ///
    /// # Panics
    /// When it is another number after [`PATIENCE`].
    pub fn wait_for_closed(&self, labels: &[(&str, &str)], count: f64) {
        self.wait_for(&format!("ends of {labels:?}"), count, |metrics| metrics.closed(labels));
    }

    fn wait_for(&self, what: &str, value: f64, count: impl Fn(&Metrics) -> f64) {
        let mut last = f64::NAN;
        let watch = Stopwatch::start();
        while last != value {
            assert!(watch.elapsed() < PATIENCE, "{what}: {last}, not {value}");
            last = count(&self.metrics());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// One metric now; see [`Metrics::sum`].
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.metrics().sum(name, labels)
    }

    /// The live connections, as `/tunnels` lists them.
    ///
    /// # Panics
    /// When the page isn't there, isn't JSON, or has no list.
    pub fn tunnels(&self) -> Vec<serde_json::Value> {
        let (status, text) = http::get(self.admin(), "/tunnels").expect("the page of tunnels");
        assert_eq!(status, 200, "{text}");
        let mut page: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        match page["tunnels"].take() {
            serde_json::Value::Array(list) => list,
            other => panic!("{other} is no list of tunnels"),
        }
    }

    /// Whether anything answers where it was told to listen.
    pub fn listens(&self) -> bool {
        [self.proxy(), self.admin()].iter().any(|address| TcpStream::connect(address).is_ok())
    }

    /// Waits for its end; how it ended, and what it said on standard error.
    ///
    /// # Panics
    /// When it still runs after [`PATIENCE`].
    pub fn outcome(&mut self) -> (Option<i32>, String) {
        let status = self.process.wait(PATIENCE);
        (status.code(), self.process.text("errors"))
    }

    /// Waits until the access log has `count` lines, and returns them.
    ///
    /// # Panics
    /// When there are more, or still less after [`PATIENCE`].
    pub fn access_log(&self, count: usize) -> Vec<Line> {
        wait::until(&format!("{count} lines in the access log"), PATIENCE, || {
            let text = self.process.text("access.log");
            let lines: Vec<Line> = text.lines().map(Line::parse).collect();
            assert!(lines.len() <= count, "more than {count} lines: {text}");
            (text.ends_with('\n') && lines.len() == count).then_some(lines)
        })
    }

    /// Waits until the access log, in JSON, has `count` records or more, and returns them.
    ///
    /// # Panics
    /// When it hasn't after [`PATIENCE`], or a line isn't JSON.
    pub fn records(&self, count: usize) -> Vec<serde_json::Value> {
        wait::until(&format!("{count} records in the access log"), PATIENCE, || {
            let text = self.process.text("access.log");
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let records = whole.lines().map(|line| serde_json::from_str(line).expect("JSON"));
            Some(records.collect::<Vec<_>>()).filter(|records| records.len() >= count)
        })
    }

    /// What it said on standard error so far.
    pub fn said(&self) -> String {
        self.process.text("errors")
    }

    /// Handshakes that succeeded with that side, `client` or `target`.
    pub fn handshakes(&self, side: &str) -> f64 {
        let metrics = self.metrics();
        let of = |kind| metrics.sum(names::HANDSHAKES, &[("side", side), ("kind", kind)]);
        of("full") + of("resumed")
    }

    /// Asks it to end as a service manager does, and waits.
    ///
    /// # Panics
    /// When it runs on for longer than [`PATIENCE`].
    pub fn stop(mut self) -> ExitStatus {
        self.process.signal(Signal::SIGTERM);
        self.process.wait(PATIENCE)
    }

    /// What it holds, as soon as that stands still.
    ///
    /// # Panics
    /// When it doesn't within [`PATIENCE`].
    pub fn holdings(&self) -> Holdings {
        let mut last = self.holdings_now();
        wait::until("holdings that stand still", PATIENCE, || {
            // The last scrape was a connection: it is gone by now.
            std::thread::sleep(Duration::from_millis(100));
            let now = self.holdings_now();
            (now == std::mem::replace(&mut last, now.clone())).then_some(now)
        })
    }

    /// Waits until it holds what it held before.
    ///
    /// # Panics
    /// When it still holds something else after 5 s, of which pauses of the machine are no part.
    pub fn assert_holds(&self, before: &Holdings) {
        let watch = Stopwatch::start();
        loop {
            let now = self.holdings_now();
            if now == *before {
                return;
            }
            let open = || procfs::descriptors(self.pid());
            let is_soon = watch.elapsed() < Duration::from_secs(5);
            assert!(is_soon, "held {before:?}, holds {now:?}: {:?}", open());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn holdings_now(&self) -> Holdings {
        // Before the scrape, which is a connection too.
        let descriptors = procfs::descriptors(self.pid()).len();
        let metrics = self.metrics();
        let pooled = 2 * metrics.sum(names::PIPES, &[]) as usize;
        Holdings {
            // The pool keeps its pipes for the next bulk transfer.
            descriptors: descriptors.saturating_sub(pooled),
            gauges: names::HELD.map(|name| (name, metrics.sum(name, &[]) as u64)),
        }
    }
}

/// Everything a daemon holds that must come back: descriptors, tunnels, slots, buffers, pipes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holdings {
    /// Open descriptors, without those of pipes at rest in the pool.
    pub descriptors: usize,
    /// Gauges by their names.
    pub gauges: [(&'static str, u64); names::HELD.len()],
}
