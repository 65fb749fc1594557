//! A daemon with consoles, and the two ends of one: a browser's, and the target's.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use penstock_tests::connect::{PATIENCE, Reply, be_patient};
use penstock_tests::pki::{Folder, Wanted};
use penstock_tests::tls::TlsClient;
use penstock_tests::web_socket::{Client, request};
use penstock_tests::{Driver, Penstock, Setup, loopback, wait};

/// Both wires that browsers have: in the clear, and over TLS.
pub(crate) const WIRES: [bool; 2] = [false, true];

/// What is to be started.
pub(crate) struct Plan {
    setup: Setup,
    pki: Option<Folder>,
    lines: String,
    target: Option<String>,
    /// More keys of the table `tls`, each behind a comma.
    tls: String,
}

/// See the module.
pub(crate) struct House {
    pub(crate) daemon: Penstock,
    pub(crate) address: SocketAddr,
    pub(crate) pki: Option<Folder>,
    pub(crate) tls: Option<TlsClient>,
    pub(crate) target: TcpListener,
}

impl Plan {
    /// Consoles of one target, which is the test's.
    pub(crate) fn new(driver: Driver) -> Plan {
        let setup = Setup::without_listeners(driver)
            .set("acl", "lab", "{ dst = [\"127.0.0.0/8\"] }")
            .set("acl", "far", "{ dst = [\"192.0.2.0/24\"] }")
            .set("log", "level", "\"debug\"");
        Plan { setup, pki: None, lines: String::new(), target: None, tls: String::new() }
    }

    /// Over TLS, if that is wanted.
    pub(crate) fn secure(mut self, is_secure: bool) -> Plan {
        self.pki = is_secure.then(Folder::new);
        self
    }

    /// Who has signed the certificates.
    pub(crate) fn authority_file(&self) -> String {
        self.pki.as_ref().expect("TLS").authority_file().display().to_string()
    }

    /// Adds a key of the table `tls`.
    pub(crate) fn tls(mut self, key: &str) -> Plan {
        self.tls += &format!(", {key}");
        self
    }

    /// Adds a line to the listener.
    pub(crate) fn line(mut self, line: &str) -> Plan {
        self.lines += line;
        self.lines += "\n";
        self
    }

    /// Another target than the test's, or `tokens`, as a line of the listener.
    pub(crate) fn to(mut self, line: &str) -> Plan {
        self.target = Some(line.to_owned());
        self
    }

    pub(crate) fn engine(mut self, key: &str, value: &str) -> Plan {
        self.setup = self.setup.set("engine", key, value);
        self
    }

    pub(crate) fn set(mut self, table: &str, key: &str, value: &str) -> Plan {
        self.setup = self.setup.set(table, key, value);
        self
    }

    pub(crate) fn start(self) -> House {
        let target = TcpListener::bind((loopback::address(), 0)).expect("a free port");
        self.start_with(target)
    }

    pub(crate) fn start_with(self, target: TcpListener) -> House {
        let Plan { setup, pki, lines, target: to, tls } = self;
        let address = SocketAddr::new(setup.address(), 6080);
        let own = || format!("target = \"tcp://{}\"", target.local_addr().expect("bound"));
        let mut listener = format!(
            "name = \"consoles\"\naddress = [\"{address}\"]\nservice = \"console\"\n{}\n\
             access = [\"deny far\", \"allow lab\", \"allow all\"]\n{lines}",
            to.unwrap_or_else(own)
        );
        if let Some(pki) = &pki {
            let pair = pki.pair("listener", &Wanted::server(address.ip()));
            listener += &format!("tls = {{ {pair}{tls} }}\n");
        }
        let daemon = setup.listener(&listener).start();
        let tls = pki.as_ref().map(|pki| TlsClient::new(&pki.authority, None));
        House { daemon, address, pki, tls, target }
    }
}

impl House {
    /// A browser that has said nothing yet.
    pub(crate) fn browser(&self) -> Client {
        Client::dial(self.address, self.tls.as_ref()).expect("it listens")
    }

    /// The target's end of the next console.
    pub(crate) fn accept(&self) -> TcpStream {
        let (stream, _) = self.target.accept().expect("it connects");
        be_patient(&stream).expect("a socket");
        stream
    }

    /// Both ends of a new console that carries bytes already.
    pub(crate) fn open(&self) -> (Client, TcpStream) {
        let (mut browser, mut target) = self.open_with("/", "");
        target.write_all(b".").expect("an open stream");
        assert_eq!(browser.data(1), b".");
        (browser, target)
    }

    /// Both ends of a new console, asked for by that path and with these lines. The daemon may have yet to hear that it is connected.
    pub(crate) fn open_with(&self, path: &str, lines: &str) -> (Client, TcpStream) {
        let mut browser = self.browser();
        browser.upgrade(&request(self.address, path, lines));
        (browser, self.accept())
    }

    /// The answer to a request on a connection of its own.
    pub(crate) fn ask(&self, head: &str) -> Reply {
        self.browser().ask(head).expect("an answer")
    }

    /// Status for a console asked for by that path and with these lines. One that is given is let go.
    pub(crate) fn status(&self, path: &str, lines: &str) -> u16 {
        self.ask(&request(self.address, path, lines)).status
    }

    /// Nobody has connected to the target, nor does within a moment.
    pub(crate) fn nobody_came(&self) {
        self.target.set_nonblocking(true).expect("a socket");
        std::thread::sleep(Duration::from_millis(50));
        assert!(self.target.accept().is_err(), "somebody was led to the target");
        self.target.set_nonblocking(false).expect("a socket");
    }

    /// The record of the console that ended as the `count`th.
    pub(crate) fn record(&self, count: usize) -> serde_json::Value {
        self.daemon.records(count).swap_remove(count - 1)
    }

    /// Waits until no connection is open but the one that asks.
    pub(crate) fn is_empty(&self) {
        wait::until_true("nobody is there", PATIENCE, || self.daemon.tunnels().is_empty());
    }
}

/// All that comes at the target, until its end.
pub(crate) fn all(target: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    target.read_to_end(&mut all).expect("an end in order");
    all
}

/// What comes next at the target.
pub(crate) fn some(target: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    target.read_exact(&mut bytes).expect("that much");
    bytes
}
