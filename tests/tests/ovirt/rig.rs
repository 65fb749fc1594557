//! An engine that signs, a proxy that has its certificate, and a browser's end.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use penstock_tests::connect::{PATIENCE, Reply, be_patient};
use penstock_tests::pki::{Folder, Wanted};
use penstock_tests::process::{self, Process};
use penstock_tests::tls::TlsClient;
use penstock_tests::web_socket::{Client, request};
use penstock_tests::{Driver, loopback, setup, wait};
use serde_json::Value;
use tempfile::TempDir;

/// An engine: what it signs tickets with.
pub(crate) struct Engine(TempDir);

/// Options of OpenSSL's for what oVirt signs with.
pub(crate) const LONGEST: [&str; 3] =
    ["rsa_padding_mode:pss", "rsa_pss_saltlen:max", "rsa_mgf1_md:sha256"];

impl Engine {
    pub(crate) fn new() -> Engine {
        let dir = process::directory();
        let line = "req -x509 -newkey rsa:2048 -nodes -keyout engine.key -out engine.cer -subj /CN=engine -days 2";
        openssl(&dir, &line.split(' ').collect::<Vec<_>>());
        Engine(dir)
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.0.path().join("engine.cer")
    }

    /// Has oVirt's own program judge tickets, or make some with a key and a span.
    pub(crate) fn peer(&self, lines: &[String], makes: bool) -> Vec<String> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ovirt/decode.py");
        let mut command = process::command("/usr/bin/python3");
        command.arg(script).arg(self.certificate());
        if makes {
            command.arg(self.0.path().join("engine.key")).arg("120");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("Python is there");
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8(output.stdout).expect("text");
        let verdicts: Vec<String> = said.lines().map(str::to_owned).collect();
        assert_eq!(verdicts.len(), lines.len(), "{said}");
        verdicts
    }

    fn sign(&self, message: &str, digest: &str, options: &[&str]) -> Vec<u8> {
        fs::write(self.0.path().join("message"), message).expect("our directory");
        let mut line = vec!["dgst", digest, "-sign", "engine.key", "-out", "signature"];
        line.extend(options.iter().flat_map(|option| ["-sigopt", option]));
        line.push("message");
        openssl(&self.0, &line);
        fs::read(self.0.path().join("signature")).expect("signed")
    }
}

fn openssl(dir: &TempDir, line: &[&str]) {
    process::run(Command::new("openssl").args(line).current_dir(dir.path()));
}

/// A ticket, before or after it was signed.
#[derive(Clone, Debug)]
pub(crate) struct Ticket(pub(crate) Vec<(String, String)>);

/// The order in which Java's hash map has them.
pub(crate) const ORDER: &str = "salt,data,validTo,validFrom";

impl Ticket {
    /// One for a console, good from now on for two minutes.
    pub(crate) fn new(data: &Value) -> Ticket {
        let fields = [
            ("salt", "AAECAwQFBgc=".to_owned()),
            ("data", encoded(&data.to_string())),
            ("validFrom", stamp(-1)),
            ("validTo", stamp(120)),
        ];
        Ticket(fields.map(|(name, value)| (name.to_owned(), value)).into())
    }

    /// For a console at that address.
    pub(crate) fn to(address: SocketAddr, secured: bool) -> Ticket {
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        Ticket::new(&serde_json::json!({ "host": host, "port": port, "ssl_target": secured }))
    }

    #[must_use]
    pub(crate) fn set(mut self, name: &str, value: impl Into<String>) -> Ticket {
        let value = value.into();
        match self.0.iter_mut().find(|(other, _)| other == name) {
            Some(field) => field.1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
        self
    }

    #[must_use]
    pub(crate) fn without(mut self, name: &str) -> Ticket {
        self.0.retain(|(other, _)| other != name);
        self
    }

    pub(crate) fn field(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str()).expect("a field")
    }

    /// As oVirt signs.
    #[must_use]
    pub(crate) fn signed(self, by: &Engine) -> Ticket {
        self.signed_so(by, ORDER, "-sha256", &LONGEST)
    }

    #[must_use]
    pub(crate) fn signed_so(
        self,
        by: &Engine,
        order: &str,
        digest: &str,
        options: &[&str],
    ) -> Ticket {
        let message: String = order.split(',').map(|name| self.field(name)).collect();
        let signature = BASE64_STANDARD.encode(by.sign(&message, digest, options));
        let certificate = fs::read_to_string(by.certificate()).expect("it was made");
        let ticket = self.set("signedFields", order).set("v2_signature", signature);
        ticket.set("certificate", certificate)
    }

    /// The members as JSON, in their order.
    pub(crate) fn json(&self) -> String {
        let text = |text: &str| Value::from(text).to_string();
        let members = self.0.iter().map(|(name, value)| format!("{}:{}", text(name), text(value)));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }

    pub(crate) fn text(&self) -> String {
        BASE64_STANDARD.encode(self.json())
    }

    pub(crate) fn path(&self) -> String {
        format!("/{}", self.text())
    }
}

/// As Java's URLEncoder has it, for what is in tickets.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'*' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// So many seconds from now.
pub(crate) fn stamp(seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let at = now.checked_add_signed(seconds).expect("a time");
    let said =
        process::run(Command::new("date").args(["-u", "-d", &format!("@{at}"), "+%Y%m%d%H%M%S"]));
    said.trim().to_owned()
}

/// A running proxy. It is killed when this is dropped.
pub(crate) struct Proxy {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) pki: Folder,
    tls: Option<TlsClient>,
}

/// What a proxy is started with.
pub(crate) struct Plan<'e> {
    driver: Driver,
    engine: &'e Engine,
    lines: String,
    arguments: Vec<String>,
    pki: Folder,
    tls: bool,
}

impl<'e> Plan<'e> {
    pub(crate) fn new(driver: Driver, engine: &'e Engine) -> Plan<'e> {
        let (lines, pki) = (String::new(), Folder::new());
        let arguments = vec![format!("--ca={}", pki.authority_file().display())];
        Plan { driver, engine, lines, arguments, pki, tls: false }
    }

    pub(crate) fn arguments(mut self, arguments: &[&str]) -> Plan<'e> {
        self.arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        self
    }

    pub(crate) fn argument(mut self, argument: &str) -> Plan<'e> {
        self.arguments.push(argument.to_owned());
        self
    }

    /// With the certificate of setup's making, and nothing in the clear.
    pub(crate) fn tls(mut self) -> Plan<'e> {
        self.tls = true;
        self
    }

    /// Starts it, and waits until it listens.
    pub(crate) fn start(self) -> Proxy {
        let Plan { driver, engine, mut lines, arguments, pki, tls } = self;
        let address = SocketAddr::from((loopback::address(), 6100));
        let (dir, ip) = (process::directory(), address.ip());
        if tls {
            pki.pair("proxy", &Wanted::server(ip));
            let [cert, key] = ["proxy.pem", "proxy.key"].map(|name| pki.path(name));
            lines += &format!(
                "SSL_CERTIFICATE={}\nSSL_KEY={}\nSSL_ONLY=True\n",
                cert.display(),
                key.display()
            );
        }
        let cert = engine.certificate();
        let lines =
            format!("PROXY_PORT=6100\nCERT_FOR_DATA_VERIFICATION={}\n{lines}", cert.display());
        let folder = dir.path().join("ovirt-websocket-proxy.conf.d");
        fs::create_dir(&folder).expect("our directory");
        // What the package says counts less than what setup has written.
        fs::write(
            dir.path().join("ovirt-websocket-proxy.conf"),
            format!("PROXY_HOST={ip}\nPROXY_PORT=1\n"),
        )
        .expect("our directory");
        fs::write(folder.join("10-setup.conf"), lines).expect("our directory");
        let mut command = process::command(setup::program());
        command.arg("ovirt-websocket-proxy").arg("--config-dir").arg(dir.path());
        command.arg("--systemd=notify").args(arguments).arg("start").current_dir(dir.path());
        setup::clean(&mut command).stdin(Stdio::null());
        if driver == Driver::Epoll {
            command.env("PENSTOCK_MASK", "uring");
        }
        let mut process = Process::start(&mut command, dir);
        wait::until_true("it is ready", PATIENCE, || {
            let ended = process.ended();
            assert!(ended.is_none(), "ended with {ended:?}: {}", process.text("errors"));
            process.text("errors").contains("ready")
        });
        let tls = tls.then(|| TlsClient::new(&pki.authority, None));
        Proxy { process, address, pki, tls }
    }
}

impl Proxy {
    pub(crate) fn browser(&self) -> Client {
        Client::dial(self.address, self.tls.as_ref()).expect("it listens")
    }

    /// The answer to who asks for a console by that path.
    pub(crate) fn ask(&self, path: &str) -> Reply {
        self.browser().ask(&request(self.address, path, "")).expect("an answer")
    }

    /// A console, opened by a ticket.
    pub(crate) fn open(&self, ticket: &Ticket) -> Client {
        let mut browser = self.browser();
        browser.upgrade(&request(
            self.address,
            &ticket.path(),
            "Origin: https://engine.example\r\nSec-WebSocket-Protocol: binary\r\n",
        ));
        browser
    }

    /// What it said until now, records of connections among them.
    pub(crate) fn said(&self) -> String {
        self.process.text("errors") + &self.process.text("output")
    }

    /// Records of connections that have ended, so many at least.
    pub(crate) fn records(&self, count: usize) -> Vec<Value> {
        let parsed = || -> Vec<Value> {
            let text = self.process.text("output");
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
        };
        wait::until_true("connections have ended", PATIENCE, || parsed().len() >= count);
        parsed()
    }
}

/// A target that says a few bytes first, as VNC does, and gives back what it gets.
pub(crate) fn echo(greeting: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream, greeting));
        }
    });
    address
}

fn answer(mut stream: TcpStream, greeting: &[u8]) {
    give_back(&mut stream, greeting);
}

/// Says something, and gives back what it gets.
pub(crate) fn give_back(stream: &mut (impl Read + Write), greeting: &[u8]) {
    let mut bytes = [0; 4096];
    if stream.write_all(greeting).is_err() {
        return;
    }
    while let Ok(length @ 1..) = stream.read(&mut bytes) {
        if stream.write_all(&bytes[..length]).is_err() {
            return;
        }
    }
}

/// A connection from another address of this host.
pub(crate) fn from_elsewhere(address: SocketAddr) -> Client {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    socket.bind(&SocketAddr::from((loopback::address(), 0)).into()).expect("an address of ours");
    socket.connect(&address.into()).expect("it listens");
    let stream = TcpStream::from(socket);
    be_patient(&stream).expect("a socket");
    Client::over(stream)
}

/// How long nothing may come until it counts as never.
pub(crate) const MOMENT: Duration = Duration::from_millis(100);
