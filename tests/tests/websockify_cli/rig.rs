//! Either program with a command line, a target behind it, and a browser's end: Python's `websockets`.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use penstock_tests::process::{self, Process};
use penstock_tests::{loopback, setup, wait};

/// Where websockify is Debian's.
const THEIRS: &str = "/usr/bin/websockify";
/// How long a busy machine may take for one thing.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
const PORT: u16 = 6080;

/// Whose program runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whose {
    Websockify,
    Penstock,
}

pub(crate) const BOTH: [Whose; 2] = [Whose::Websockify, Whose::Penstock];

impl Whose {
    /// The program, and what stands between its name and the command line.
    pub(crate) fn program(self) -> (PathBuf, &'static [&'static str]) {
        match self {
            Whose::Websockify => (THEIRS.into(), &[]),
            Whose::Penstock => (setup::program().to_owned(), &["websockify"]),
        }
    }

    /// Runs it to its end: exit code, and all that it said.
    pub(crate) fn run(self, dir: &Path, arguments: &[&str]) -> (Option<i32>, String) {
        let (program, first) = self.program();
        let mut command = process::command("timeout");
        command.arg(LIMIT.as_secs().to_string()).arg(program).args(first).args(arguments);
        command.current_dir(dir).stdin(Stdio::null());
        let output = setup::clean(&mut command).output().expect("it can be started");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }
}

/// A running server. It is killed when this is dropped.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    whose: Whose,
}

/// A place that no other test listens on.
pub(crate) fn fresh() -> SocketAddr {
    (loopback::address(), PORT).into()
}

impl Server {
    /// Starts it on an address of its own, `{}` in the command line, and waits until it listens there.
    pub(crate) fn start(whose: Whose, arguments: &str) -> Server {
        let address = fresh();
        let line = arguments.replace("{}", &address.to_string());
        let server = Server::launch(whose, address, &line);
        wait::until_true("it listens", LIMIT, || is_listened_on(address));
        server
    }

    /// Starts it and leaves it at that.
    pub(crate) fn launch(whose: Whose, address: SocketAddr, line: &str) -> Server {
        let (program, first) = whose.program();
        let mut command = process::command(program);
        Server::spawn(whose, address, command.args(first).args(line.split_whitespace()))
    }

    pub(crate) fn spawn(whose: Whose, address: SocketAddr, command: &mut Command) -> Server {
        let dir = process::directory();
        command.current_dir(dir.path());
        setup::clean(command);
        if command.get_program() != "sh" {
            command.stdin(Stdio::null());
        }
        Server { process: Process::start(command, dir), address, whose }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    pub(crate) fn tls_url(&self) -> String {
        format!("wss://{}/", self.address)
    }

    /// Waits for its end.
    pub(crate) fn ends(&mut self) -> ExitStatus {
        self.process.wait(LIMIT)
    }

    /// What it said until now.
    pub(crate) fn said(&self) -> String {
        let whose = self.whose;
        format!("{whose:?}: {}{}", self.process.text("output"), self.process.text("errors"))
    }
}

/// Whether somebody listens there, without a connection that would be counted.
pub(crate) fn is_listened_on(address: SocketAddr) -> bool {
    let SocketAddr::V4(v4) = address else { return false };
    let number = u32::from_ne_bytes(v4.ip().octets());
    let line = format!("{number:08X}:{:04X} 00000000:0000 0A", v4.port());
    fs::read_to_string("/proc/net/tcp").expect("Linux").contains(&line)
}

/// A target that gives back what it gets, for as long as the test runs.
pub(crate) fn echo() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || listener.incoming().flatten().for_each(serve));
    address
}

/// The same at a UNIX socket.
pub(crate) fn echo_at(path: &Path) {
    let listener = UnixListener::bind(path).expect("our directory");
    std::thread::spawn(move || listener.incoming().flatten().for_each(serve));
}

fn serve(mut stream: impl Read + Write + Send + 'static) {
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut bytes) {
            if stream.write_all(&bytes[..length]).is_err() {
                break;
            }
        }
    });
}

/// A browser's end.
pub(crate) struct Browser {
    process: Process,
    input: std::process::ChildStdin,
}

impl Browser {
    /// Asks for a console, with options of `browser.py`; what it said first: that it is open, or why not.
    pub(crate) fn ask(url: &str, options: &[&str]) -> (String, Browser) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/websockify_cli/browser.py");
        let mut command = process::command("/usr/bin/python3");
        command.args([script, url]).args(options);
        let (reader, writer) = std::io::pipe().expect("descriptors");
        command.stdin(reader);
        let mut process = Process::start(&mut command, process::directory());
        drop(command);
        let said = wait::until("the browser says something", LIMIT, || {
            let text = process.text("output");
            let line = text.split_once('\n').map(|(line, _)| line.to_owned());
            if line.is_none() && process.ended().is_some() {
                panic!("it ended: {}", process.text("errors"));
            }
            line
        });
        let input = std::os::fd::OwnedFd::from(writer).into();
        (said, Browser { process, input })
    }

    /// The same, of one that gets its console.
    pub(crate) fn open(url: &str, options: &[&str]) -> Browser {
        let (said, browser) = Browser::ask(url, options);
        assert_eq!(said, "open", "{url}");
        browser
    }

    /// The same, of one that doesn't: why.
    pub(crate) fn refused(url: &str, options: &[&str]) -> String {
        let (said, _) = Browser::ask(url, options);
        said.strip_prefix("refused ").unwrap_or_else(|| panic!("{said}, {url}")).trim().to_owned()
    }

    /// Sends a line there and back.
    pub(crate) fn says(&mut self, text: &str) {
        self.input.write_all(format!("{text}\n").as_bytes()).expect("it reads");
        wait::until_true(text, LIMIT, || {
            self.process.text("output").ends_with(&format!("{text}\n"))
        });
    }

    /// Leaves; the close code that it got.
    pub(crate) fn leaves(self) -> String {
        drop(self.input);
        code(self.process)
    }

    /// Waits until it is left; the close code that it got.
    pub(crate) fn leave(mut self) -> String {
        wait::until_true("the server closes", LIMIT, || self.process.ended().is_some());
        code(self.process)
    }
}

fn code(mut process: Process) -> String {
    process.wait(LIMIT);
    let text = process.text("output");
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("closed ").unwrap_or_else(|| panic!("{text}")).to_owned()
}

/// All that a plain HTTP request gets.
pub(crate) fn answer(address: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a socket");
    stream.write_all(head.as_bytes()).expect("sent");
    let mut said = Vec::new();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}
