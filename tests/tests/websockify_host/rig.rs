//! websockify's command line over the engine, targets behind it, and a browser's end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use penstock_tests::process::{self, Process};
use penstock_tests::web_socket::{BINARY, CLOSE, Client, close, frame, request};
use penstock_tests::{loopback, procfs, python_host, wait};

/// What users' own modules are found in.
const MODULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/websockify_host");
/// How long a busy machine may take for one thing.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
const PORT: u16 = 6080;

/// A Python that knows the package, and modules of a user's.
pub(crate) fn python() -> Command {
    python_host::command(MODULES)
}

/// A running server. It is killed when this is dropped.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

/// What became of a browser that asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Became {
    /// It has its console.
    Served,
    /// It was told this status.
    Told(u16),
    /// Its WebSocket was closed at once, by this code.
    Closed(Option<u16>),
}

/// A place that no other test listens on.
pub(crate) fn fresh() -> SocketAddr {
    (loopback::address(), PORT).into()
}

impl Server {
    /// Starts `python3 -m penstock.websockify` on an address of its own, `{}` in the command line, and waits until it listens there.
    pub(crate) fn start(arguments: &str) -> Server {
        Server::start_at(fresh(), arguments)
    }

    /// The same at that address.
    pub(crate) fn start_at(address: SocketAddr, arguments: &str) -> Server {
        let mut command = python();
        let line = arguments.replace("{}", &address.to_string());
        command.args(["-m", "penstock.websockify"]).args(line.split_whitespace());
        Server::spawn(address, &mut command)
    }

    /// The same with any program.
    pub(crate) fn spawn(address: SocketAddr, command: &mut Command) -> Server {
        let dir = process::directory();
        let mut server =
            Server { process: Process::start(command.current_dir(dir.path()), dir), address };
        wait::until_true("it listens", LIMIT, || {
            assert!(server.process.ended().is_none(), "it has ended: {}", server.said());
            procfs::listens(address)
        });
        server
    }

    /// A browser that asks for this path, with more lines of its head.
    pub(crate) fn browse(&self, path: &str, lines: &str) -> (Client, u16, String) {
        self.browse_by(Client::dial(self.address, None).expect("it listens"), path, lines)
    }

    /// The same by a connection that there is already.
    pub(crate) fn browse_by(
        &self,
        mut client: Client,
        path: &str,
        lines: &str,
    ) -> (Client, u16, String) {
        client.patience(LIMIT);
        let reply = client.ask(&request(self.address, path, lines));
        let reply = reply.unwrap_or_else(|error| panic!("{error}: {}", self.said()));
        (client, reply.status, reply.head)
    }

    /// What becomes of a browser that asks.
    pub(crate) fn ask(&self, path: &str, lines: &str) -> Became {
        let (mut client, status, _) = self.browse(path, lines);
        match status {
            101 => echoes(&mut client),
            status => Became::Told(status),
        }
    }

    /// A console that is open.
    pub(crate) fn open(&self, path: &str) -> Client {
        let (mut client, status, head) = self.browse(path, "");
        assert_eq!(status, 101, "{head}: {}", self.said());
        assert_eq!(echoes(&mut client), Became::Served, "{}", self.said());
        client
    }

    /// Waits for its end.
    pub(crate) fn ends(&mut self) -> ExitStatus {
        self.process.wait(LIMIT)
    }

    /// What it said until now.
    pub(crate) fn said(&self) -> String {
        self.process.text("output") + &self.process.text("errors")
    }

    /// Its processes, beside itself.
    pub(crate) fn children(&self) -> String {
        let tasks =
            std::fs::read_dir(format!("/proc/{}/task", self.process.pid())).expect("it lives");
        let children = tasks.flatten().map(|task| task.path().join("children"));
        children.filter_map(|path| std::fs::read_to_string(path).ok()).collect()
    }
}

/// Whether what is said there comes back.
pub(crate) fn echoes(client: &mut Client) -> Became {
    client.say(&frame(BINARY, b"is anybody there?"));
    let came = client.frame().expect("a frame");
    if came.first == CLOSE {
        return Became::Closed(came.close().0);
    }
    let mut data = came.payload;
    while data.len() < 17 {
        data.extend(client.frame().expect("a frame").payload);
    }
    assert_eq!(data, b"is anybody there?");
    Became::Served
}

/// Leaves in order.
pub(crate) fn leave(mut client: Client) {
    client.say(&close(1000, ""));
    assert_eq!(client.closed().0, Some(1000));
}

/// A target that gives back what it gets, for as long as the test runs.
pub(crate) fn echo() -> SocketAddr {
    let listener = TcpListener::bind((loopback::address(), 5900)).expect("an address of ours");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || listener.incoming().flatten().for_each(serve));
    address
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
