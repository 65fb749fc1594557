//! Who is measured. Each contestant is one running process, reached by a route, with origins of its own behind it.

mod peers;
mod penstock;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::load::{Origin, Route, Via};
use crate::process::Process;
pub(crate) use penstock::Paths;

pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    /// What makes it what it is, for the report.
    pub(crate) setting: String,
    pub(crate) process: Process,
    pub(crate) origin: Origin,
    pub(crate) route: Route,
    /// Where its path counters can be read: Penstock's own.
    pub(crate) admin: Option<SocketAddr>,
}

/// How to start a contestant, before anything runs.
struct Recipe {
    name: &'static str,
    setting: &'static str,
    kind: Kind,
    /// Configuration file, if it takes one, and the command line.
    build: fn(&Site) -> (Option<String>, Vec<String>),
    /// Squid refuses to run as root.
    user: Option<&'static str>,
}

/// How a client gets to its target through a contestant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Two ports, each forwarded to one origin.
    Tcp,
    /// One port that takes CONNECT; and where Penstock answers its administrator.
    Connect,
}

/// Addresses and files of one contestant.
struct Site {
    folder: PathBuf,
    /// Where its configuration will be written.
    config: PathBuf,
    /// TCP: in front of the echo origin. CONNECT: the proxy.
    first: SocketAddr,
    /// TCP: in front of the flood origin. CONNECT: the admin address.
    second: SocketAddr,
    echo: SocketAddr,
    flood: SocketAddr,
    penstock: PathBuf,
}

/// What the command line says about contestants.
pub(crate) struct Choice {
    /// Only these; everybody if empty.
    pub(crate) only: Vec<String>,
    pub(crate) penstock: PathBuf,
    /// The core on which every contestant runs.
    pub(crate) core: usize,
}

/// Starts everybody chosen who is installed. The rest are named with the reason.
pub(crate) fn start_all(choice: &Choice, folder: &Path) -> Result<(Vec<Contestant>, Vec<String>)> {
    let recipes = || penstock::RECIPES.iter().chain(peers::RECIPES);
    for name in &choice.only {
        let known = || recipes().map(|r| r.name).collect::<Vec<_>>().join(", ");
        ensure!(recipes().any(|r| r.name == name), "no contestant {name}; known: {}", known());
    }
    let (mut running, mut absent) = (Vec::new(), Vec::new());
    let mut ports = free_ports();
    for recipe in
        recipes().filter(|r| choice.only.is_empty() || choice.only.iter().any(|n| n == r.name))
    {
        let origin = Origin::bind()?;
        let site = Site::new(recipe, choice, folder, &origin, &mut ports)?;
        let (config, argv) = (recipe.build)(&site);
        if !is_installed(&argv[0]) {
            absent.push(format!(
                "{}: {} is not there; {}",
                recipe.name,
                argv[0],
                recipe.how_to_get()
            ));
            continue;
        }
        running
            .push(recipe.start(choice, site, config, argv, origin).with_context(|| recipe.name)?);
    }
    Ok((running, absent))
}

impl Recipe {
    fn how_to_get(&self) -> &'static str {
        if self.name.starts_with("penstock") {
            "cargo build --release makes it"
        } else {
            "bench/setup installs it"
        }
    }

    fn start(
        &self,
        choice: &Choice,
        site: Site,
        config: Option<String>,
        argv: Vec<String>,
        origin: Origin,
    ) -> Result<Contestant> {
        if let Some(text) = config {
            fs::write(&site.config, text)?;
        }
        let user = self.user.filter(|_| nix::unistd::geteuid().is_root());
        if user.is_some() {
            open_to_all(&site.folder)?;
        }
        let mut process = Process::start(&argv, choice.core, user, site.folder.join("output"))?;
        wait_for_port(site.first, &mut process)?;
        Ok(Contestant {
            name: self.name,
            setting: self.setting.to_owned(),
            process,
            origin,
            route: self.route(&site),
            admin: (argv[0] == site.penstock.to_string_lossy()).then_some(site.second),
        })
    }

    fn route(&self, site: &Site) -> Route {
        match self.kind {
            Kind::Tcp => Route {
                echo: Via { dial: site.first, request: None },
                flood: Via { dial: site.second, request: None },
            },
            Kind::Connect => Route {
                echo: Via { dial: site.first, request: Some(connect_request(site.echo)) },
                flood: Via { dial: site.first, request: Some(connect_request(site.flood)) },
            },
        }
    }
}

impl Site {
    fn new(
        recipe: &Recipe,
        choice: &Choice,
        folder: &Path,
        origin: &Origin,
        ports: &mut impl Iterator<Item = SocketAddr>,
    ) -> Result<Site> {
        let folder = folder.join(recipe.name);
        fs::create_dir(&folder)?;
        let mut port = || ports.next().context("no free port below the ephemeral ones");
        Ok(Site {
            config: folder.join("config"),
            first: port()?,
            second: port()?,
            echo: origin.echo.local_addr()?,
            flood: origin.flood.local_addr()?,
            penstock: choice.penstock.clone(),
            folder,
        })
    }
}

fn connect_request(target: SocketAddr) -> Vec<u8> {
    format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").into_bytes()
}

/// Loopback addresses nobody listens on, below the range from which the kernel takes ports for outgoing connections.
fn free_ports() -> impl Iterator<Item = SocketAddr> {
    let first = 20_000 + (std::process::id() % 1000) as u16 * 10;
    let addresses = (first..32_000).map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    addresses.filter(|address| TcpListener::bind(address).is_ok())
}

fn is_installed(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    folders.extend(["/usr/sbin".into(), "/sbin".into()]);
    // Joining an absolute path gives that path.
    folders.iter().any(|folder| folder.join(program).is_file())
}

fn open_to_all(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777))?;
    let parent = folder.parent().context("the folder of a contestant has a parent")?;
    Ok(fs::set_permissions(parent, fs::Permissions::from_mode(0o755))?)
}

fn wait_for_port(address: SocketAddr, process: &mut Process) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).is_err() {
        if process.has_ended() {
            bail!("it ended at once{}", process.last_words());
        }
        ensure!(
            Instant::now() < deadline,
            "it never listened on {address}{}",
            process.last_words()
        );
        sleep(Duration::from_millis(20));
    }
    Ok(())
}
