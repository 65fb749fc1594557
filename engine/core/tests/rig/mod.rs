//! An engine of one worker on loopback, whose records are kept.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use penstock_core::config::{self, Address, Config, HalfClose, IdleScope, Listener, Service};
use penstock_core::control::{Command, Outside, Piece, Question, Record, SessionId, WallTime};
use penstock_core::engine::{Engine, Plan, bind};
use penstock_core::policy::{AccessLists, Rules};
use penstock_ring::{Driver, Mask};

/// Keeps the records, takes every question, and answers none.
pub(crate) struct Keeper(pub(crate) Sender<Record>);

impl Outside for Keeper {
    fn wall_time(&self) -> WallTime {
        WallTime::default()
    }

    fn ask(&mut self, _question: Question) -> Result<(), Question> {
        Ok(())
    }

    fn records(&mut self, _id: SessionId, _listener: u16) {}

    fn recorded(&mut self, _piece: Piece) {}

    fn finished(&mut self, record: Record) {
        let _ = self.0.send(record);
    }
}

/// Starts it with the default limits; its address, and where the records come.
pub(crate) fn start(
    driver: Driver,
    rules: &[&str],
    half_close: HalfClose,
) -> (Engine, SocketAddr, Receiver<Record>) {
    start_with(driver, config::Engine::default(), rules, half_close)
}

/// The same with limits of one's own.
pub(crate) fn start_with(
    driver: Driver,
    limits: config::Engine,
    rules: &[&str],
    half_close: HalfClose,
) -> (Engine, SocketAddr, Receiver<Record>) {
    let rules = Rules::parse(rules, &AccessLists::new()).expect("well-formed rules");
    let addresses = vec![Address::Tcp(([127, 0, 0, 1], 0).into())];
    let listener = Listener {
        half_close,
        idle_scope: IdleScope::Tunnel,
        ..Listener::new("test", addresses, Service::Connect, rules)
    };
    start_listener(driver, limits, listener)
}

/// The same with a listener of one's own, that listens on one port.
pub(crate) fn start_listener(
    driver: Driver,
    limits: config::Engine,
    listener: Listener,
) -> (Engine, SocketAddr, Receiver<Record>) {
    let (engine, addresses, records) = start_engine(driver, limits, listener);
    (engine, addresses[0].tcp().expect("a TCP port"), records)
}

/// The same with one that may listen nowhere.
pub(crate) fn start_engine(
    driver: Driver,
    limits: config::Engine,
    listener: Listener,
) -> (Engine, Vec<Address>, Receiver<Record>) {
    let config = Arc::new(Config { engine: limits, listeners: vec![listener] });
    start_plan(Plan { config, ..plan(driver) })
}

/// One worker and room for 64, of which nothing listens.
pub(crate) fn plan(driver: Driver) -> Plan {
    Plan {
        config: Arc::new(Config { engine: config::Engine::default(), listeners: Vec::new() }),
        driver,
        mask: Mask::default(),
        workers: 1,
        max_tunnels: 64,
        pipes_per_worker: 8,
        turned_away_per_worker: 64,
        pinned: false,
        at_rest: None,
    }
}

/// The same with a plan of one's own.
pub(crate) fn start_plan(plan: Plan) -> (Engine, Vec<Address>, Receiver<Record>) {
    let bound = bind(plan).expect("a free port");
    let addresses = bound.addresses().to_vec();
    let (records, kept) = channel();
    let engine = bound.start(&mut |_, _| Box::new(Keeper(records.clone()))).expect("a worker");
    (engine, addresses, kept)
}

/// Stops it, and sees that nothing is left.
pub(crate) fn stop(engine: Engine) {
    let (counters, stats) = (Arc::clone(&engine.counters()[0]), Arc::clone(&engine.stats()[0]));
    engine.mailboxes()[0].post(Command::Stop).expect("room");
    engine.join();
    assert_eq!((counters.sessions.get(), counters.tunnels.get()), (0, 0));
    assert_eq!(stats.pipes_in_use.get(), 0);
}

/// A tunnel through the proxy.
pub(crate) fn connect(proxy: SocketAddr, target: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(proxy).expect("the proxy listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
    write!(stream, "CONNECT {target} HTTP/1.1\r\n\r\n").expect("written");
    let mut reply = [0; 39];
    stream.read_exact(&mut reply).expect("a reply");
    assert_eq!(&reply, b"HTTP/1.1 200 Connection established\r\n\r\n");
    stream
}
