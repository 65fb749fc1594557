//! An nginx with the module: its configuration, its processes, its logs; and the two ends of a session.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use penstock_tests::connect::{PATIENCE, be_patient, dial};
use penstock_tests::peers::helper_program;
use penstock_tests::private::{self, Processes};
use penstock_tests::process::{self, Process};
use penstock_tests::{Driver, loopback, procfs, wait};
use tempfile::TempDir;

use super::module::module;
use super::program;

/// What an nginx is to be started with.
pub(crate) struct Setup {
    pub(crate) address: IpAddr,
    module: PathBuf,
    before: String,
    main: String,
    stream: String,
    servers: String,
    without_uring: bool,
    preload: Option<PathBuf>,
}

/// In the order of the log's fields.
const FIELDS: [&str; 11] = [
    "penstock",
    "status",
    "bytes_received",
    "bytes_sent",
    "session_time",
    "upstream_addr",
    "upstream_bytes_sent",
    "upstream_bytes_received",
    "upstream_connect_time",
    "upstream_session_time",
    "upstream_first_byte_time",
];

impl Setup {
    /// `penstock on` for all servers, on an address of its own, by that driver.
    pub(crate) fn new(driver: Driver) -> Setup {
        Setup::without_penstock()
            .stream("penstock on;")
            .stream(&format!("penstock_driver {};", driver.name()))
    }

    /// The module is loaded, and nothing is said of it.
    pub(crate) fn without_penstock() -> Setup {
        Setup {
            address: loopback::address().into(),
            module: module(),
            before: String::new(),
            main: String::new(),
            stream: String::new(),
            servers: String::new(),
            without_uring: false,
            preload: None,
        }
    }

    pub(crate) fn module(mut self, module: PathBuf) -> Setup {
        self.module = module;
        self
    }

    /// Loads another module before.
    pub(crate) fn module_before(mut self, module: &str) -> Setup {
        self.before = format!("load_module {module}; ");
        self
    }

    /// Adds directives outside of all blocks.
    pub(crate) fn main(mut self, lines: &str) -> Setup {
        self.main += lines;
        self
    }

    /// Adds directives for all servers.
    pub(crate) fn stream(mut self, lines: &str) -> Setup {
        self.stream += &format!("  {lines}\n");
        self
    }

    /// The kernel refuses io_uring to it.
    pub(crate) fn without_uring(mut self) -> Setup {
        self.without_uring = true;
        self
    }

    /// This library answers before libpenstock.
    pub(crate) fn preload(mut self, library: PathBuf) -> Setup {
        self.preload = Some(library);
        self
    }

    /// Adds a server on that port; it stands alone on its line. The lines may begin with parameters of its `listen`.
    pub(crate) fn server(mut self, port: u16, lines: &str) -> Setup {
        let is_parameter = ["rcvbuf=", "ssl;"].iter().any(|word| lines.starts_with(word));
        let end = if is_parameter { " " } else { "; " };
        self.servers += &format!("  server {{ listen {}:{port}{end}{lines} }}\n", self.address);
        self
    }

    /// One server on [`PORT`], in front of `target`.
    pub(crate) fn in_front_of(self, target: SocketAddr) -> Setup {
        self.server(PORT, &format!("proxy_pass {target};"))
    }

    fn text(&self, dir: &TempDir) -> String {
        let (dir, module) = (dir.path().display(), self.module.display());
        let format = FIELDS.map(|field| format!("${field}")).join("|");
        // As root its workers would become a user who may not read our files; nobody else hears "user".
        format!(
            "{}\n{}load_module {module};\n\
             user root; daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log info;\n{}\n\
             events {{ worker_connections 512; }}\n\
             stream {{\n  log_format numbers '{format}'; access_log {dir}/access.log numbers;\n{}{}}}\n",
            program::stream_module(),
            self.before,
            self.main,
            self.stream,
            self.servers
        )
    }

    /// Writes the configuration, and asks nginx what it says of it.
    pub(crate) fn check(&self) -> Output {
        let dir = process::directory();
        let config = dir.path().join("nginx.conf");
        fs::write(&config, self.text(&dir)).expect("our directory");
        let mut command = self.command();
        command.args(["-e", "stderr", "-t", "-p"]).arg(dir.path()).arg("-c").arg(config);
        command.output().expect("nginx is installed")
    }

    /// What it says of a configuration that is wrong.
    pub(crate) fn refusal(&self) -> String {
        let output = self.check();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "it is content: {said}");
        said
    }

    fn command(&self) -> Command {
        if self.without_uring {
            let mut command = Command::new(helper_program());
            command.arg("without-uring").arg(program::program());
            return command;
        }
        if let Some(library) = &self.preload {
            let mut command = Command::new("env");
            command.arg(format!("LD_PRELOAD={}", library.display())).arg(program::program());
            return command;
        }
        Command::new(program::program())
    }

    /// Starts nginx and waits until its worker serves.
    pub(crate) fn start(&self) -> Nginx {
        let dir = process::directory();
        let config = dir.path().join("nginx.conf");
        fs::write(&config, self.text(&dir)).expect("our directory");
        let inner = self.command();
        // All of its processes have to end with the test, however that ends.
        let mut command = private::command(&[], Processes::Own);
        command.arg(inner.get_program()).args(inner.get_args());
        command.args(["-e", "stderr", "-p"]).arg(dir.path()).arg("-c").arg(config);
        let process = Process::start(&mut command, dir);
        let mut nginx = Nginx { process, address: (self.address, PORT).into() };
        wait::until_true("nginx serves", PATIENCE, || {
            if let Some(status) = nginx.process.ended() {
                panic!("ended with {status}: {}", nginx.errors());
            }
            nginx.errors().contains("start worker process ") && procfs::listens(nginx.address)
        });
        nginx
    }
}

/// Where the first server listens.
pub(crate) const PORT: u16 = 5900;

/// A running nginx with one worker.
pub(crate) struct Nginx {
    process: Process,
    pub(crate) address: SocketAddr,
}

/// A line of the access log, by the names of nginx's variables.
pub(crate) type Line = BTreeMap<&'static str, String>;

impl Nginx {
    fn children(pid: u32) -> Vec<u32> {
        let path = format!("/proc/{pid}/task/{pid}/children");
        let text = fs::read_to_string(path).unwrap_or_default();
        text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// As the tests see it: within, it is the first process of its own.
    pub(crate) fn master(&self) -> u32 {
        wait::until("a master", PATIENCE, || Nginx::children(self.process.pid()).first().copied())
    }

    /// All of its workers, those that are to leave among them.
    pub(crate) fn workers(&self) -> Vec<u32> {
        Nginx::children(self.master())
    }

    pub(crate) fn worker(&self) -> u32 {
        let workers = self.workers();
        assert_eq!(workers.len(), 1, "{workers:?}");
        workers[0]
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.master().cast_signed()), signal).expect("a running nginx");
    }

    /// Gives it another configuration, and waits until somebody else serves.
    pub(crate) fn reload(&self) {
        let before = self.workers();
        self.signal(Signal::SIGHUP);
        wait::until_true("a new worker", PATIENCE, || {
            self.workers().iter().any(|pid| !before.contains(pid))
        });
        // The old one lets go of the port only when it has heard of it.
        wait::until_true("the old worker hears of it", PATIENCE, || {
            self.errors().matches("gracefully shutting down").count() >= 1
        });
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.ended().is_some()
    }

    pub(crate) fn errors(&self) -> String {
        self.process.text("error.log") + &self.process.text("errors")
    }

    /// Waits for so many lines of the access log.
    pub(crate) fn lines(&self, count: usize) -> Vec<Line> {
        let text = wait::until(&format!("{count} lines of the log"), PATIENCE, || {
            let text = self.process.text("access.log");
            (text.lines().count() >= count && text.ends_with('\n')).then_some(text)
        });
        let lines = text.lines().map(|line| {
            let values: Vec<&str> = line.split('|').collect();
            assert_eq!(values.len(), FIELDS.len(), "{line}");
            FIELDS.into_iter().zip(values.into_iter().map(str::to_owned)).collect()
        });
        lines.collect()
    }

    /// The only line of the access log.
    pub(crate) fn line(&self) -> Line {
        let lines = self.lines(1);
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.into_iter().next().expect("one")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- nginx: {}\n{}", self.errors(), self.process.text("access.log"));
        }
        private::end(&mut self.process);
    }
}

/// A target that does as the test says.
pub(crate) fn target() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((loopback::address(), 0)).expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    (listener, address)
}

/// Both ends of a session: the client's and the target's.
pub(crate) fn session(nginx: &Nginx, target: &TcpListener) -> (TcpStream, TcpStream) {
    let client = dial(nginx.address).expect("nginx listens");
    let (accepted, _) = target.accept().expect("nginx connects");
    be_patient(&accepted).expect("a socket");
    (client, accepted)
}

/// Numbers of a line that are no text.
pub(crate) fn number(line: &Line, field: &str) -> u64 {
    line[field].parse().unwrap_or_else(|_| panic!("{field} is {}", line[field]))
}
