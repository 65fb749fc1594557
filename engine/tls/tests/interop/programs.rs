//! The programs of OpenSSL and GnuTLS, with what they need: certificates, ports, something to read their output.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use penstock_tls::{
    Allowed, Ca, Client, ClientAuth, ClientFiles, Implementation, MinVersion, Server, ServerFiles,
    Verify,
};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tempfile::TempDir;

use crate::line::PATIENCE;

/// The subject of the client's certificate.
pub(crate) const SUBJECT: &str = "O=Lab,CN=client";

/// A CA, a server and a client, as files.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Folder {
        let folder = Folder(TempDir::new().unwrap());
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "Lab CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        folder.put("ca.pem", &params.self_signed(&key).unwrap().pem());
        let issuer = Issuer::new(params, key);
        for (name, hosts) in [("server", &["localhost", "127.0.0.1"][..]), ("client", &[])] {
            let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
            let mut params = CertificateParams::new(hosts).unwrap();
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::OrganizationName, "Lab");
            params.distinguished_name.push(DnType::CommonName, name);
            params.key_usages =
                vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
            let key = KeyPair::generate().unwrap();
            folder.put(&format!("{name}.pem"), &params.signed_by(&key, &issuer).unwrap().pem());
            folder.put(&format!("{name}.key"), &key.serialize_pem());
        }
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn server(&self, client_auth: ClientAuth) -> Server {
        let files = ServerFiles {
            cert: vec![self.path("server.pem")],
            key: vec![self.path("server.key")],
            key_password_file: None,
            client_ca: Some(self.path("ca.pem")),
            crl: None,
            client_auth,
            allowed: Some(Allowed::new([SUBJECT])),
            min_version: MinVersion::Tls12,
            alpn: Vec::new(),
            tickets: true,
            implementation: Implementation::AwsLc,
        };
        files.load().unwrap()
    }

    pub(crate) fn client(&self) -> Client {
        let files = ClientFiles {
            ca: Some(Ca::File(self.path("ca.pem"))),
            cert: Some(self.path("client.pem")),
            key: Some(self.path("client.key")),
            key_password_file: None,
            crl: None,
            verify: Verify::Name,
            min_version: MinVersion::Tls12,
            alpn: Vec::new(),
            implementation: Implementation::Ring,
            by_common_name: Arc::default(),
        };
        files.load().unwrap()
    }
}

/// A program that runs, and what it has said so far.
pub(crate) struct Program {
    child: Child,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Program {
    /// Starts `words`, the first of which is the program, in the folder.
    pub(crate) fn start(folder: &Folder, words: &str) -> Program {
        let mut words = words.split_whitespace();
        let program = words.next().unwrap();
        let mut child = Command::new(program)
            .args(words)
            .current_dir(folder.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program} (openssl, gnutls-bin): {error}"));
        let said = Arc::new(Mutex::new(Vec::new()));
        listen(child.stdout.take().unwrap(), Arc::clone(&said));
        listen(child.stderr.take().unwrap(), Arc::clone(&said));
        Program { child, said }
    }

    /// Has it say something to its peer.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        let input = self.child.stdin.as_mut().expect("it has not been hushed");
        input.write_all(bytes).and_then(|()| input.flush()).expect("a program that listens");
    }

    /// The same, alone: what is said next is not read together with it.
    pub(crate) fn say_alone(&mut self, bytes: &[u8]) {
        let before = self.has_read();
        self.say(bytes);
        let end = Instant::now() + PATIENCE;
        while self.has_read() < before + bytes.len() as u64 {
            assert!(Instant::now() < end, "it does not listen: {}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Bytes, from wherever.
    fn has_read(&self) -> u64 {
        let path = format!("/proc/{}/io", self.child.id());
        let text = fs::read_to_string(path).expect("it lives");
        let line = text.lines().find_map(|line| line.strip_prefix("rchar: "));
        line.and_then(|number| number.parse().ok()).expect("a number")
    }

    /// Ends its input.
    pub(crate) fn hush(&mut self) {
        self.child.stdin = None;
    }

    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }

    /// Waits until it has said `text`, and forgets that it has.
    pub(crate) fn wait_for(&self, text: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.take(text.as_bytes()) {
            let said = self.said();
            let tail = said.char_indices().rev().nth(3000).map_or(0, |(at, _)| at);
            assert!(Instant::now() < end, "not a word of {text:.60}: {}", &said[tail..]);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn take(&self, text: &[u8]) -> bool {
        let mut said = self.said.lock().unwrap();
        let at = said.windows(text.len()).position(|window| window == text);
        at.map(|at| said.drain(at..at + text.len()).count()).is_some()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(mut from: impl Read + Send + 'static, said: Arc<Mutex<Vec<u8>>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            said.lock().unwrap().extend_from_slice(&buffer[..length]);
        }
    });
}

/// A listener of ours, and its port.
pub(crate) fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A port that nobody else takes: by the process id, below those that the kernel gives to whoever asks for any.
pub(crate) fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + (std::process::id() % 312) as u16 * 64;
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let mut fresh = (0..64).map(|_| NEXT.fetch_add(1, Relaxed)).take_while(|n| *n < 64);
    fresh.find_map(|n| Some(first + n).filter(is_free)).expect("a port")
}

/// Connects as soon as somebody listens.
pub(crate) fn connect(port: u16, program: &Program) -> TcpStream {
    let end = Instant::now() + PATIENCE;
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < end, "{error}: {}", program.said()),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
