//! What a daemon is started with: its configuration as a test wants it, its environment, its user.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::connect::PATIENCE;
use crate::peers::helper_program;
use crate::penstock::Penstock;
use crate::private::{self, Processes};
use crate::process::{self, Process};
use crate::{http, loopback, names, wait};

/// How the daemon talks to the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Driver {
    /// io_uring.
    Uring,
    /// epoll(7).
    Epoll,
}

impl Driver {
    /// As in `--engine=` and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Driver::Uring => "uring",
            Driver::Epoll => "epoll",
        }
    }
}

/// What a daemon is to be started with.
#[derive(Clone, Debug)]
pub struct Setup {
    address: IpAddr,
    arguments: Vec<String>,
    expected: Option<Driver>,
    values: BTreeMap<(&'static str, String), String>,
    listeners: Vec<String>,
    text: Option<String>,
    environment: BTreeMap<&'static str, String>,
    user: Option<u32>,
    seccomp: bool,
    descriptors: Option<u32>,
    mounts: Vec<(PathBuf, &'static str)>,
}

/// The tables of a configuration, in the order in which they are written.
const TABLES: [(&str, &str); 5] = [
    ("engine", "[engine]"),
    ("log", "[log]"),
    ("admin", "[admin]"),
    ("acl", "[acl]"),
    ("listen", "[[listen]]"),
];

impl Setup {
    /// A SPICE proxy on an address of its own, with the rules of the documentation and defaults for the rest.
    pub fn new(driver: Driver) -> Setup {
        let setup = Setup::without_listeners(driver);
        let address = setup.address;
        setup
            .set("log", "access", "{ path = \"access.log\", format = \"squid\" }")
            .set("acl", "safe_ports", "{ port = [\"80\", \"443\", \"1025-65535\"] }")
            .set("acl", "lab", "{ dst = [\"127.0.0.0/8\", \"::1\"] }")
            .set("listen", "name", "\"spice-proxy\"")
            .set("listen", "address", &format!("[\"{address}:3128\"]"))
            .set("listen", "service", "\"connect\"")
            .set("listen", "access", "[\"deny !safe_ports\", \"allow lab\", \"deny all\"]")
    }

    /// Nothing but an admin page and an access log of JSON, on an address of its own: see [`Setup::listener`].
    pub fn without_listeners(driver: Driver) -> Setup {
        let address = loopback::address();
        let setup = Setup {
            address: address.into(),
            arguments: vec![format!("--engine={}", driver.name())],
            expected: Some(driver),
            values: BTreeMap::new(),
            listeners: Vec::new(),
            text: None,
            environment: BTreeMap::new(),
            user: None,
            seccomp: false,
            descriptors: None,
            mounts: Vec::new(),
        };
        setup.set("log", "access", "{ path = \"access.log\", format = \"json\" }").set(
            "admin",
            "listen",
            &format!("\"{address}:9128\""),
        )
    }

    /// Adds a listener, of lines in TOML.
    #[must_use]
    pub fn listener(mut self, lines: &str) -> Setup {
        self.listeners.push(lines.to_owned());
        self
    }

    /// Sets one key of one table to a value in TOML.
    ///
    /// # Panics
    /// When there is no such table.
    #[must_use]
    pub fn set(mut self, table: &str, key: &str, value: &str) -> Setup {
        let (table, _) = TABLES.iter().find(|(name, _)| *name == table).expect("a table");
        self.values.insert((table, key.to_owned()), value.to_owned());
        self
    }

    /// Sets the timeouts of the listener to the defaults, with some of them changed.
    #[must_use]
    pub fn timeouts(self, changed: &[(&str, &str)]) -> Setup {
        let mut all = BTreeMap::from([
            ("handshake", "10s"),
            ("connect", "10s"),
            ("idle", "15m"),
            ("lifetime", "off"),
        ]);
        all.extend(changed.iter().copied());
        let all: Vec<String> =
            all.iter().map(|(key, value)| format!("{key} = \"{value}\"")).collect();
        self.set("listen", "timeouts", &format!("{{ {} }}", all.join(", ")))
    }

    /// Hides features of the kernel, as in `PENSTOCK_MASK`.
    #[must_use]
    pub fn mask(self, features: &str) -> Setup {
        self.environment("PENSTOCK_MASK", features)
    }

    /// Sets a variable of the daemon's environment.
    #[must_use]
    pub fn environment(mut self, name: &'static str, value: &str) -> Setup {
        self.environment.insert(name, value.to_owned());
        self
    }

    /// Leaves the choice of the driver to the daemon, which must come to this one.
    #[must_use]
    pub fn auto(mut self, expected: Driver) -> Setup {
        self.arguments.clear();
        self.expected = Some(expected);
        self
    }

    /// Runs the daemon as another user.
    #[must_use]
    pub fn user(mut self, user: u32) -> Setup {
        self.user = Some(user);
        self
    }

    /// Runs the daemon under a filter that refuses io_uring.
    #[must_use]
    pub fn without_uring(mut self) -> Setup {
        self.seccomp = true;
        self
    }

    /// Lets the daemon have no more descriptors than that.
    #[must_use]
    pub fn descriptors(mut self, limit: u32) -> Setup {
        self.descriptors = Some(limit);
        self
    }

    /// Lets the daemon see a file or a folder where another one is.
    #[must_use]
    pub fn seeing(mut self, path: &Path, place: &'static str) -> Setup {
        self.mounts.push((path.to_owned(), place));
        self
    }

    /// Takes this text for the whole configuration.
    #[must_use]
    pub fn replace_text(mut self, text: &str) -> Setup {
        self.text = Some(text.to_owned());
        self
    }

    /// The address that is the daemon's own.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The configuration as text.
    pub fn text(&self) -> String {
        if let Some(text) = &self.text {
            return text.clone();
        }
        let mut text = String::new();
        for (table, title) in TABLES {
            let mut values = self.values.iter().filter(|((t, _), _)| *t == table).peekable();
            // A listener without keys would be a mistake; any other table may be empty.
            if table != "listen" || values.peek().is_some() {
                text += &format!("{title}\n");
            }
            for ((_, key), value) in values {
                text += &format!("{key} = {value}\n");
            }
        }
        for lines in &self.listeners {
            text += &format!("[[listen]]\n{lines}\n");
        }
        text
    }

    /// Starts the daemon and waits until it is ready.
    ///
    /// # Panics
    /// When it isn't ready within twice [`PATIENCE`] or took another driver than expected.
    pub fn start(&self) -> Penstock {
        let mut penstock = self.launch();
        wait::until_true("the daemon is ready", PATIENCE, || {
            let ended = penstock.process().ended();
            assert!(ended.is_none(), "ended with {ended:?}");
            http::get(penstock.admin(), "/ready").is_ok_and(|(status, _)| status == 200)
        });
        // The kernel queues for a worker that has yet to take over its listeners; its descriptors still change.
        wait::until_true("every worker listens", PATIENCE, || {
            penstock.metrics().values(names::LEGS, &[]).iter().all(|legs| *legs >= 1.0)
        });
        if let Some(driver) = self.expected {
            let used = penstock.metrics().sum(names::DRIVER, &[("driver", driver.name())]);
            assert!(used >= 1.0, "the driver in use is not {}", driver.name());
        }
        penstock
    }

    /// Starts the daemon and leaves it at that.
    ///
    /// # Panics
    /// When there is no such program.
    pub fn launch(&self) -> Penstock {
        let dir = process::directory();
        fs::write(dir.path().join("penstock.toml"), self.text()).expect("our directory");
        let program = self.program(&dir);
        let mut command = match self.user {
            Some(user) => process::command_as(user, program),
            None if self.seccomp => {
                let mut command = process::command(helper_program());
                command.arg("without-uring").arg(program);
                command
            }
            None if let Some(limit) = self.descriptors => {
                let mut command = process::command("prlimit");
                command.arg(format!("--nofile={limit}")).arg(program);
                command
            }
            None if !self.mounts.is_empty() => {
                let mut command = private::command(&self.mounts, Processes::Shared);
                command.arg(program);
                command
            }
            None => process::command(program),
        };
        command.arg("--config").arg(dir.path().join("penstock.toml")).args(&self.arguments);
        command.current_dir(dir.path()).stdin(Stdio::null());
        clean(&mut command).envs(&self.environment);
        Penstock::new(Process::start(&mut command, dir), self.address)
    }

    /// Another user may not be able to reach the place where cargo puts programs.
    fn program(&self, dir: &TempDir) -> PathBuf {
        if self.user.is_none() {
            return program().to_owned();
        }
        let copy = dir.path().join("penstock");
        // Not by this process: a child that another test starts meanwhile would hold the copy open for writing, and what
        // is being written can't be executed.
        process::run(Command::new("cp").args([program(), &copy]));
        copy
    }
}

/// Takes away what the environment of the tests would tell a daemon.
pub fn clean(command: &mut Command) -> &mut Command {
    command.env_remove("PENSTOCK_MASK").env_remove("NOTIFY_SOCKET").env_remove("RUST_LOG")
}

/// The daemon's program: `PENSTOCK_PROGRAM`, or what `cargo build --release -p penstock` makes.
///
/// # Panics
/// When it can't be built.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| std::env::var_os("PENSTOCK_PROGRAM").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--package", "penstock", "--message-format", "json"]);
    let messages = process::run(cargo.current_dir(env!("CARGO_MANIFEST_DIR")));
    let mut programs = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message.get("executable")?.as_str().map(PathBuf::from)
    });
    programs.next_back().expect("cargo names the program it built")
}
