//! A cell's database with tokens in it, and the programs that serve its consoles.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use penstock_tests::process::{self, Process};
use penstock_tests::web_socket::{BINARY, Client, request};
use penstock_tests::{loopback, python_host, setup, wait};
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

/// nova is Debian's, and so is its Python.
const PYTHON: &str = "/usr/bin/python3";
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/nova");
/// How long a busy machine may take for one thing of nova's.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Whose program runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whose {
    Nova,
    Penstock,
    /// nova's class over the engine, in Python.
    Hosted,
}

pub(crate) const ALL: [Whose; 3] = [Whose::Nova, Whose::Penstock, Whose::Hosted];

/// One of nova's proxies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Proxy {
    Novnc,
    Spice,
    Serial,
}

/// A token as nova is asked for it.
#[derive(Clone)]
pub(crate) struct Wish {
    pub(crate) console_type: &'static str,
    pub(crate) at: SocketAddr,
    pub(crate) base: &'static str,
    /// Seconds; negative ones are over.
    pub(crate) ttl: i32,
    pub(crate) deleted: bool,
    /// What has to be asked for first, at the place where it is.
    pub(crate) path: Option<&'static str>,
}

impl Wish {
    pub(crate) fn new(console_type: &'static str, at: SocketAddr) -> Wish {
        let (base, ttl, deleted) = ("ws://gate.example/", 600, false);
        Wish { console_type, at, base, ttl, deleted, path: None }
    }
}

/// What nova made of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Made {
    pub(crate) token: String,
    /// What it tells the user.
    pub(crate) url: String,
    pub(crate) name: String,
}

pub(crate) struct Cell {
    dir: TempDir,
}

impl Cell {
    /// In that database; none: in a file.
    pub(crate) fn new(url: Option<&str>, rest: &str) -> Cell {
        let dir = process::directory();
        let here = dir.path().display();
        let file = format!("sqlite:///{here}/nova.sqlite");
        let connection = url.unwrap_or(&file);
        let config = format!(
            "[DEFAULT]\nstate_path = {here}\nweb = {here}\n\
             [database]\nconnection = {connection}\n\
             [oslo_concurrency]\nlock_path = $state_path\n\
             [console]\nallowed_origins = portal.example\n{rest}"
        );
        fs::write(dir.path().join("nova.conf"), config).expect("our folder");
        fs::write(dir.path().join("page.html"), "a page").expect("our folder");
        let cell = Cell { dir };
        cell.run("--sync", &[]);
        cell
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("nova.conf")
    }

    /// Writes something else in the place of what is in its file.
    pub(crate) fn rewrite(&self, what: &str, into: &str) {
        let text = fs::read_to_string(self.config()).expect("our folder");
        assert!(text.contains(what), "{text}");
        fs::write(self.config(), text.replace(what, into)).expect("our folder");
    }

    /// Tokens, by nova itself.
    pub(crate) fn authorize(&self, wishes: &[Wish]) -> Vec<Made> {
        self.run("", wishes)
    }

    fn run(&self, option: &str, wishes: &[Wish]) -> Vec<Made> {
        let wishes: Vec<_> = wishes
            .iter()
            .map(|wish| {
                json!({ "type": wish.console_type, "host": wish.at.ip().to_string(), "port": wish.at.port(),
                    "base": wish.base, "ttl": wish.ttl, "deleted": wish.deleted, "path": wish.path })
            })
            .collect();
        let mut command = process::command(PYTHON);
        command.arg(format!("{SCRIPTS}/cell.py")).arg(self.config());
        command.args(Some(option).filter(|option| !option.is_empty()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("nova is installed");
        let input = json!(wishes).to_string();
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// Starts any of the programs with the same file, and waits until it listens.
    pub(crate) fn serve(&self, whose: Whose, proxy: Proxy) -> Server {
        let (module, program, host, port) = match proxy {
            Proxy::Novnc => ("novncproxy", "nova-novncproxy", "vnc-novncproxy_host", 6080),
            Proxy::Spice => {
                ("spicehtml5proxy", "nova-spicehtml5proxy", "spice-html5proxy_host", 6082)
            }
            Proxy::Serial => {
                ("serialproxy", "nova-serialproxy", "serial_console-serialproxy_host", 6083)
            }
        };
        // nova's children outlive it, and go on listening.
        let address = loopback::address();
        let mut command = match whose {
            Whose::Nova => {
                let mut command = process::command(PYTHON);
                command.arg(format!("{SCRIPTS}/proxy.py")).arg(module);
                command
            }
            Whose::Penstock => {
                let mut command = process::command(setup::program());
                command.arg(program);
                command
            }
            Whose::Hosted => {
                let mut command = python_host::command(SCRIPTS);
                command.arg(format!("{SCRIPTS}/hosted.py")).arg(module);
                command
            }
        };
        let dir = process::directory();
        command.arg("--config-file").arg(self.config()).current_dir(dir.path());
        command.arg(format!("--{host}={address}"));
        command.stdin(Stdio::null());
        let process = Process::start(setup::clean(&mut command), dir);
        let server = Server { process, address: (address, port).into(), whose };
        wait::until_true("it listens", LIMIT, || is_listened_on(server.address));
        server
    }
}

/// Whether somebody listens there, without a connection that would be counted.
fn is_listened_on(address: SocketAddr) -> bool {
    let SocketAddr::V4(v4) = address else { return false };
    let number = u32::from_ne_bytes(v4.ip().octets());
    let line = format!("{number:08X}:{:04X} 00000000:0000 0A", v4.port());
    fs::read_to_string("/proc/net/tcp").expect("Linux").contains(&line)
}

/// A running proxy. It is killed when this is dropped.
pub(crate) struct Server {
    process: Process,
    pub(crate) address: SocketAddr,
    whose: Whose,
}

/// What became of a browser that asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Became {
    /// It has its console.
    Served,
    /// It was told this status.
    Told(u16),
    /// It had its WebSocket, and then no more.
    Dropped,
}

impl Server {
    /// Asks for a console as a browser does, with more lines of its head, and sees whether what is said there comes back.
    pub(crate) fn ask(&self, path: &str, lines: &str) -> Became {
        let mut client = Client::dial(self.address, None).expect("it listens");
        // nova is slow to drop who is not let in.
        client.patience(LIMIT);
        let reply = client.ask(&request("gate.example:6083", path, lines)).expect("an answer");
        if reply.status != 101 {
            return Became::Told(reply.status);
        }
        let said = penstock_tests::web_socket::frame(BINARY, b"is anybody there?");
        if client.try_say(&said).is_err() {
            return Became::Dropped;
        }
        match client.frame() {
            Ok(frame) if frame.first == BINARY => {
                assert_eq!(frame.payload, b"is anybody there?", "{}", self.said());
                Became::Served
            }
            _ => Became::Dropped,
        }
    }

    /// What it said until now.
    pub(crate) fn said(&self) -> String {
        let whose = self.whose;
        format!("{whose:?}: {}{}", self.process.text("output"), self.process.text("errors"))
    }
}

/// A console that gives back what it gets, for as long as the test runs.
pub(crate) fn echo() -> SocketAddr {
    echo_behind("", b"")
}

/// The same for who asks for it by `request`, and gets `answer`.
pub(crate) fn echo_behind(request: &'static str, answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind((loopback::address(), 10001)).expect("an address of ours");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut asked = vec![0; request.len()];
                let is_right = stream.read_exact(&mut asked).is_ok() && asked == request.as_bytes();
                if !is_right || stream.write_all(answer).is_err() {
                    return;
                }
                let mut bytes = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut bytes) {
                    if stream.write_all(&bytes[..length]).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}
