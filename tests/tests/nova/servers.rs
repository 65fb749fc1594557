//! Servers of databases that belong to one test: MariaDB and PostgreSQL, in a folder of their own, as a user who is nobody else.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use penstock_tests::pki::{Folder, Wanted};
use penstock_tests::process::{self, Process};
use penstock_tests::{loopback, setup, wait};
use tempfile::TempDir;

use crate::cell::LIMIT;

/// Neither server runs as root, and PostgreSQL's wants a user that has a name: nobody.
const USER: u32 = 65_534;
/// A password that has to be encoded in a URL, and as it stands there.
const PASSWORD: &str = "p@s:s/w%rd";
const ENCODED: &str = "p%40s%3As%2Fw%25rd";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    MariaDb,
    Postgres,
}

/// A server of one kind, running or not, with what it knows.
pub(crate) struct Database {
    kind: Kind,
    place: TempDir,
    address: Ipv4Addr,
    process: Option<Process>,
    /// Nobody comes in without TLS, if there is one.
    authority: Option<Folder>,
}

impl Kind {
    fn port(self) -> u16 {
        match self {
            Kind::MariaDb => 3306,
            Kind::Postgres => 5432,
        }
    }
}

impl Database {
    /// One with an empty database `nova` for a user of that name.
    pub(crate) fn start(kind: Kind, authority: Option<Folder>) -> Database {
        let (place, address, process) = (process::directory(), loopback::address(), None);
        let mut database = Database { kind, place, address, process, authority };
        database.certify();
        let data = database.path("data");
        match kind {
            Kind::MariaDb => {
                let mut command = process::command_as(USER, "mariadb-install-db");
                command.arg("--no-defaults").arg(format!("--datadir={}", data.display()));
                run(command.args(["--auth-root-authentication-method=normal", "--skip-test-db"]));
            }
            Kind::Postgres => {
                let mut command = process::command_as(USER, of_postgres("initdb"));
                command.arg("-D").arg(&data).args([
                    "-U",
                    "root",
                    "-A",
                    "scram-sha-256",
                    "--no-sync",
                ]);
                let file = database.path("password");
                fs::write(&file, "root").expect("our folder");
                run(command.arg(format!("--pwfile={}", file.display())));
                let host = if database.authority.is_some() { "hostssl" } else { "host" };
                let access =
                    format!("local all all scram-sha-256\n{host} all all all scram-sha-256\n");
                fs::write(data.join("pg_hba.conf"), access).expect("we are root, or it is ours");
            }
        }
        database.resume();
        database.create();
        database
    }

    pub(crate) fn authority(&self) -> &Folder {
        self.authority.as_ref().expect("it was started with one")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// A certificate, which its user alone can read.
    fn certify(&self) {
        let Some(authority) = &self.authority else { return };
        let (certificate, key) = (self.path("server.pem"), self.path("server.key"));
        authority.authority.issue(&Wanted::server(self.address)).write(&certificate, &key);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("our file");
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&key, Some(USER), Some(USER)).expect("we are root");
        }
    }

    /// As nova.conf has it.
    pub(crate) fn url(&self) -> String {
        let (address, port) = (self.address, self.kind.port());
        let ca = self.authority.as_ref().map(|folder| folder.authority_file());
        let ca = ca.map(|path| path.display().to_string());
        match self.kind {
            Kind::MariaDb => {
                let tls = ca.map(|ca| format!("&ssl_ca={ca}")).unwrap_or_default();
                format!("mysql+pymysql://nova:{ENCODED}@{address}:{port}/nova?charset=utf8{tls}")
            }
            Kind::Postgres => {
                let tls = ca.map(|ca| format!("?sslmode=verify-full&sslrootcert={ca}"));
                let tls = tls.unwrap_or_default();
                format!("postgresql+psycopg2://nova:{ENCODED}@{address}:{port}/nova{tls}")
            }
        }
    }

    /// Starts it again with what it knew.
    pub(crate) fn resume(&mut self) {
        let (data, here) = (self.path("data"), self.place.path().display().to_string());
        let (address, port) = (self.address.to_string(), self.kind.port().to_string());
        let mut command = match self.kind {
            Kind::MariaDb => {
                let mut command = process::command_as(USER, "/usr/sbin/mariadbd");
                command.arg("--no-defaults").arg(format!("--datadir={}", data.display()));
                command.arg(format!("--bind-address={address}")).arg(format!("--port={port}"));
                command.arg(format!("--socket={here}/socket"));
                command.args(["--skip-log-bin", "--innodb-flush-log-at-trx-commit=0"]);
                command
            }
            Kind::Postgres => {
                let mut command = process::command_as(USER, of_postgres("postgres"));
                command.arg("-D").arg(&data).args(["-h", &address, "-p", &port, "-k", &here, "-F"]);
                command
            }
        };
        if self.authority.is_some() {
            let (certificate, key) = (format!("{here}/server.pem"), format!("{here}/server.key"));
            match self.kind {
                Kind::MariaDb => {
                    command.args([format!("--ssl-cert={certificate}"), format!("--ssl-key={key}")])
                }
                Kind::Postgres => command
                    .args(["-c", "ssl=on", "-c", &format!("ssl_cert_file={certificate}")])
                    .args(["-c", &format!("ssl_key_file={key}")]),
            };
        }
        command.stdin(Stdio::null());
        self.process = Some(Process::start(setup::clean(&mut command), process::directory()));
        // It listens before it answers.
        let answers = || self.client("SELECT 1").output().is_ok_and(|o| o.status.success());
        wait::until_true("the database answers", LIMIT, answers);
    }

    /// Says something to it, as who may do all.
    fn client(&self, statement: &str) -> Command {
        let here = self.place.path().display().to_string();
        let mut command = match self.kind {
            Kind::MariaDb => {
                let mut command = process::command("mariadb");
                command.args(["--no-defaults", "-u", "root", "-e", statement]);
                command.arg(format!("--socket={here}/socket"));
                command
            }
            Kind::Postgres => {
                let mut command = process::command(of_postgres("psql"));
                command.env("PGPASSWORD", "root").args(["-U", "root", "-d", "postgres", "-q"]);
                command.args(["-h", &here, "-c", statement]);
                command
            }
        };
        command.stdin(Stdio::null());
        command
    }

    /// Ends it. What it knows stays.
    pub(crate) fn pause(&mut self) {
        if let Some(mut process) = self.process.take() {
            // PostgreSQL's quick way, without waiting for clients; MariaDB dumps nothing by it.
            let signal = if self.kind == Kind::Postgres { Signal::SIGINT } else { Signal::SIGTERM };
            process.signal(signal);
            process.wait(LIMIT);
        }
    }

    fn create(&self) {
        let statements = match self.kind {
            Kind::MariaDb => {
                let ssl = if self.authority.is_some() { "REQUIRE SSL" } else { "" };
                [
                    "CREATE DATABASE nova CHARACTER SET utf8".to_owned(),
                    format!("CREATE USER nova IDENTIFIED BY '{PASSWORD}' {ssl}"),
                    "GRANT ALL ON nova.* TO nova".to_owned(),
                ]
            }
            Kind::Postgres => [
                format!("CREATE USER nova PASSWORD '{PASSWORD}'"),
                "CREATE DATABASE nova OWNER nova".to_owned(),
                "GRANT ALL ON DATABASE nova TO nova".to_owned(),
            ],
        };
        statements.iter().for_each(|statement| run(&mut self.client(statement)));
    }
}

fn of_postgres(program: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let programs = versions.flatten().map(|version| version.path().join("bin").join(program));
    programs.filter(|program| program.exists()).max().expect("a version of it")
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("it is installed");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}
