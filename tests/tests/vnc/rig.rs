//! A daemon with listeners for VNC, an authority that has signed everybody, and what is left of connections.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use penstock_tests::penstock::Holdings;
use penstock_tests::pki::{Folder, Wanted};
use penstock_tests::tls::TlsClient;
use penstock_tests::vnc::client::{Console, Failure, Login};
use penstock_tests::vnc::server;
use penstock_tests::vnc::wire::{Faults, Messages, Wire};
use penstock_tests::web_socket::{Client, request};
use penstock_tests::{Driver, Penstock, Setup};
use rustls::ServerConfig;
use serde_json::Value;

/// How clients come to a listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Front {
    /// By WebSocket.
    Console,
    /// By WebSocket within TLS.
    SecureConsole,
    /// By TCP.
    Forward,
    /// By TCP, with the listener's certificate at hand for VeNCrypt.
    Native,
}

/// What is to be started.
pub(crate) struct Plan {
    setup: Setup,
    pub(crate) pki: Folder,
    pair: String,
    /// By which a browser may know the listeners' certificate.
    pub(crate) key: Vec<u8>,
    fronts: Vec<(String, Front)>,
}

impl Plan {
    pub(crate) fn new(driver: Driver) -> Plan {
        let (setup, pki) = (Setup::without_listeners(driver), Folder::new());
        let (pair, key) = pki.known_pair("listener", &Wanted::server(setup.address()));
        Plan { setup, pki, pair, key, fronts: Vec::new() }
    }

    /// The daemon's own address.
    pub(crate) fn address(&self) -> IpAddr {
        self.setup.address()
    }

    /// A file for the configuration to name.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.pki.path(name);
        fs::write(&path, text).expect("our directory");
        format!("\"{}\"", path.display())
    }

    /// The keys of `upstream_tls`: our authority is trusted, and more lines.
    fn trusting(&self, more: &str) -> String {
        let ca = self.pki.authority_file();
        let comma = if more.is_empty() { "" } else { ", " };
        format!("upstream_tls = {{ ca = \"{}\"{comma}{more} }}", ca.display())
    }

    /// Lines about VNC, of keys of `upstream_tls` and of `vnc`. Who comes to these listeners is nobody's worry here.
    pub(crate) fn vnc(&self, upstream: &str, keys: &str) -> String {
        let mut lines = format!("vnc = {{ {keys} }}\n");
        // Where no TLS can be spoken, nothing may be said of it.
        if !keys.contains("schemes") || keys.contains("\"vencrypt\"") {
            lines += &self.trusting(upstream);
        }
        if keys.contains("\"authenticate\"") {
            lines += "\nunauthenticated = true";
        }
        lines
    }

    /// What a server of that address speaks TLS with.
    pub(crate) fn server(&self, address: IpAddr) -> Arc<ServerConfig> {
        server::config(&self.pki.authority.issue(&Wanted::server(address)), None)
    }

    pub(crate) fn set(mut self, table: &str, key: &str, value: &str) -> Plan {
        self.setup = self.setup.set(table, key, value);
        self
    }

    /// Adds a listener before a target, or a table of those who know tokens. Ports count from 5901, so that every client can say them.
    pub(crate) fn listener(mut self, name: &str, front: Front, target: &str, more: &str) -> Plan {
        let address = SocketAddr::new(self.address(), 5901 + self.fronts.len() as u16);
        let service = match front {
            Front::Console | Front::SecureConsole => {
                "service = \"console\"\nweb = \"/usr/share/novnc\""
            }
            Front::Forward | Front::Native => "service = \"forward\"",
        };
        let tls = match front {
            Front::SecureConsole | Front::Native => format!("tls = {{ {} }}", self.pair),
            Front::Console | Front::Forward => String::new(),
        };
        let to = match target.starts_with('{') {
            true => format!("tokens = {target}"),
            false => format!("target = \"{target}\""),
        };
        self.setup = self.setup.listener(&format!(
            "name = \"{name}\"\naddress = \"{address}\"\n{service}\n{to}\n{tls}\n{more}"
        ));
        self.fronts.push((name.to_owned(), front));
        self
    }

    pub(crate) fn start(self) -> House {
        let daemon = self.setup.start();
        let before = daemon.holdings();
        let tls = TlsClient::new(&self.pki.authority, None);
        House { address: self.address(), daemon, before, tls, fronts: self.fronts, pki: self.pki }
    }
}

/// A running daemon.
pub(crate) struct House {
    pub(crate) daemon: Penstock,
    pub(crate) pki: Folder,
    pub(crate) tls: TlsClient,
    address: IpAddr,
    before: Holdings,
    fronts: Vec<(String, Front)>,
}

impl House {
    /// Where a listener is.
    pub(crate) fn at(&self, name: &str) -> SocketAddr {
        let place = self.fronts.iter().position(|(known, _)| known == name);
        SocketAddr::new(self.address, 5901 + place.expect("a listener") as u16)
    }

    fn front(&self, name: &str) -> Front {
        self.fronts.iter().find(|(known, _)| known == name).expect("a listener").1
    }

    /// Logs in at a listener.
    pub(crate) fn open(&self, name: &str, login: &Login) -> Result<Console, Failure> {
        self.open_with(name, login, Faults::default())
    }

    /// The same over a connection with faults.
    pub(crate) fn open_with(
        &self,
        name: &str,
        login: &Login,
        faults: Faults,
    ) -> Result<Console, Failure> {
        match self.front(name) {
            Front::Console => login.browse(self.at(name), None, "/websockify", faults),
            Front::SecureConsole => {
                login.browse(self.at(name), Some(&self.tls), "/websockify", faults)
            }
            Front::Forward | Front::Native => login.open_with(self.at(name), faults),
        }
    }

    /// A browser that has said nothing but that it is one.
    pub(crate) fn browse(&self, name: &str) -> Wire {
        let address = self.at(name);
        let mut client = Client::dial(address, None).expect("a browser comes in");
        client.upgrade(&request(address, "/websockify", "Sec-WebSocket-Protocol: binary\r\n"));
        Wire::new(Messages::new(client), Faults::default())
    }

    /// A client of TLS within VeNCrypt at a listener.
    pub(crate) fn vencrypt(&self, name: &str, subtype: u32) -> Login {
        Login::vencrypt(subtype, &self.tls, self.at(name))
    }

    /// The record of the connection that ended as the `count`th.
    pub(crate) fn record(&self, count: usize) -> Value {
        self.daemon.records(count).swap_remove(count - 1)
    }

    /// Nothing may be left of anybody.
    pub(crate) fn is_empty(&self) {
        self.daemon.assert_holds(&self.before);
    }
}

/// Side, phase and cause of an end, and the words for the operator.
pub(crate) fn told(record: &Value) -> (String, String) {
    let word = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
    (format!("{} {} {}", word("side"), word("phase"), word("cause")), word("detail"))
}
