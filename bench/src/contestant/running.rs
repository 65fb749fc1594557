//! Starts contestants for a group of scenarios, all at once, and says how each is reached.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{Cores, Kind, Launch, Legs, Recipe, SYSTEM_FOLDERS, Site, Source, find};
use crate::interrupt;
use crate::load::{Origin, Request, Route, Speech, Via};
use crate::process::Process;
use crate::tls::{self, KeyFiles, Keys};

pub(crate) struct Contestant {
    pub(crate) process: Process,
    pub(crate) origin: Origin,
    pub(crate) route: Route,
    /// Where its path counters can be read: Penstock's own.
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) command: Vec<String>,
    pub(crate) configuration: Option<String>,
}

/// Where and as whom contestants run.
pub(crate) struct Stage {
    /// As taskset(1) reads it.
    pub(crate) own_core: String,
    other_core: String,
    folder: PathBuf,
    keys: Keys,
    key_files: KeyFiles,
    /// Folders made so far.
    count: usize,
    next_port: u16,
}

impl Stage {
    /// Makes the keys of this run.
    pub(crate) fn new(own_core: usize, other_core: usize, folder: PathBuf) -> Result<Self> {
        let next_port = PORT_MIN + (std::process::id() % 400) as u16 * 20;
        let (own_core, other_core) = (own_core.to_string(), other_core.to_string());
        let (keys, key_files) = (Keys::generate()?, KeyFiles::within(&folder));
        keys.write(&key_files).context("the keys of this run")?;
        Ok(Stage { own_core, other_core, folder, keys, key_files, count: 0, next_port })
    }

    fn cores(&self, cores: Cores) -> String {
        match cores {
            Cores::Own => self.own_core.clone(),
            Cores::Other => self.other_core.clone(),
            Cores::Two => format!("{},{}", self.other_core, self.own_core),
        }
    }

    /// The output of a helper.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A folder of its own for a contestant.
    fn new_folder(&mut self, name: &str) -> Result<PathBuf> {
        self.count += 1;
        let folder = self.folder.join(format!("{}-{name}", self.count));
        fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// A loopback address nobody listens on, below the range from which the kernel takes ports for outgoing connections.
    fn free_port(&mut self) -> Result<SocketAddr> {
        for _ in PORT_MIN..PORT_MAX {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.next_port));
            self.next_port =
                if self.next_port + 1 == PORT_MAX { PORT_MIN } else { self.next_port + 1 };
            if TcpListener::bind(address).is_ok() {
                return Ok(address);
            }
        }
        bail!("no free port below the ephemeral ones")
    }
}

const PORT_MIN: u16 = 20_000;
const PORT_MAX: u16 = 32_000;

/// Starts all of them, then waits for each to listen. `user`: everybody runs as this one.
pub(crate) fn start_all(
    recipes: &[&Recipe],
    stage: &mut Stage,
    user: Option<&str>,
) -> Vec<Result<Contestant>> {
    let started: Vec<_> = recipes.iter().map(|recipe| recipe.start(stage, user)).collect();
    started.into_iter().map(|contestant| contestant.and_then(Contestant::wait)).collect()
}

impl Recipe {
    fn start(&self, stage: &mut Stage, user: Option<&str>) -> Result<Contestant> {
        match &self.source {
            Source::Running { pid, addresses: [echo, flood], admin, origins } => {
                let origin = Origin::bind_to(origins[0], origins[1])?;
                let targets = [origin.echo.local_addr()?, origin.flood.local_addr()?];
                let route = self.route([*echo, *flood], targets, &stage.keys)?;
                let process = Process::attach(*pid)?;
                let command = vec![format!("process {pid}, which ran already")];
                Ok(Contestant {
                    process,
                    origin,
                    route,
                    admin: *admin,
                    command,
                    configuration: None,
                })
            }
            Source::Start { build, user: own_user, cores } => {
                let mut origin = Origin::bind()?;
                origin.speech = self.kind.speech(&stage.keys)?;
                let site = Site::new(&self.name, stage, &origin)?;
                let Launch { mut argv, config } = build(&site)?;
                argv[0] = path_of(&argv[0])?;
                if let Some(text) = &config {
                    fs::write(&site.config, text)?;
                }
                let user = user.or(*own_user).filter(|_| nix::unistd::geteuid().is_root());
                if user.is_some() {
                    open_to_all(&site.folder)?;
                }
                let process =
                    Process::start(&argv, &stage.cores(*cores), user, site.folder.join("output"))?;
                let (dial, targets) = ([site.listen, site.listen_flood], [site.echo, site.flood]);
                let route = self.route(dial, targets, &stage.keys)?;
                let admin = self.expected.map(|_| site.admin);
                Ok(Contestant {
                    process,
                    origin,
                    route,
                    admin,
                    command: argv,
                    configuration: config,
                })
            }
        }
    }

    fn route(&self, dial: [SocketAddr; 2], targets: [SocketAddr; 2], keys: &Keys) -> Result<Route> {
        let one = Via::plain(dial[0]);
        Ok(match self.kind {
            Kind::Tcp => Route { echo: one, flood: Via::plain(dial[1]) },
            Kind::Connect => {
                let via = |target| Via { request: Some(Request::tunnel(target)), ..one.clone() };
                Route { echo: via(targets[0]), flood: via(targets[1]) }
            }
            kind => {
                let tls = kind.is_dialed_by_tls().then(|| tls::Client::new(keys)).transpose()?;
                let request = kind.is_web().then(|| Request::upgrade(one.dial));
                let via = Via { tls, request, vnc: kind.legs() == Legs::Vnc, asks: true, ..one };
                Route { echo: via.clone(), flood: via }
            }
        })
    }
}

impl Kind {
    /// Of the echo origin.
    fn speech(self, keys: &Keys) -> Result<Speech> {
        Ok(match self {
            Kind::ToTls => Speech::Tls(tls::Server::new(keys)?),
            Kind::VncByTls => Speech::Vnc(Some(tls::Server::new(keys)?)),
            Kind::VncPassed => Speech::Vnc(None),
            _ => Speech::Plain,
        })
    }
}

impl Site {
    fn new(name: &str, stage: &mut Stage, origin: &Origin) -> Result<Site> {
        let folder = stage.new_folder(name)?;
        Ok(Site {
            config: folder.join("config"),
            listen: stage.free_port()?,
            listen_flood: stage.free_port()?,
            admin: stage.free_port()?,
            echo: origin.echo.local_addr()?,
            flood: origin.flood.local_addr()?,
            keys: stage.key_files.clone(),
            folder,
        })
    }
}

impl Contestant {
    fn wait(mut self) -> Result<Contestant> {
        let address = self.route.echo.dial;
        let answers = || TcpStream::connect(address).is_ok();
        let deadline = Instant::now() + Duration::from_secs(20);
        while !answers() {
            interrupt::check()?;
            if self.process.has_ended() {
                // Whoever was left in the background may need a moment.
                sleep(BACKGROUND);
                ensure!(!answers(), in_background(address));
                bail!("it ended at once{}", self.process.last_words());
            }
            ensure!(
                Instant::now() < deadline,
                "it never listened on {address}{}",
                self.process.last_words()
            );
            sleep(Duration::from_millis(10));
        }
        ensure!(!self.process.has_ended(), in_background(address));
        Ok(self)
    }
}

const BACKGROUND: Duration = Duration::from_millis(500);

fn in_background(address: SocketAddr) -> String {
    format!(
        "the process that was started has ended, but {address} answers: it must stay in the foreground, or it can't be \
         measured; what it left behind may still run"
    )
}

/// The one whose version was asked: setpriv(1) would look in PATH alone.
fn path_of(program: &str) -> Result<String> {
    let path = find(program).with_context(|| match program.contains('/') {
        true => format!("there is no program {program}"),
        false => {
            format!("there is no program {program} in PATH or {}", SYSTEM_FOLDERS.join(" or "))
        }
    })?;
    Ok(path.display().to_string())
}

/// A folder and everything in it.
fn open_to_all(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777))?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            open_to_all(&path)?;
        } else {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o666))
                .with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_started_by_their_paths() {
        for name in ["sh", "/bin/sh"] {
            assert!(path_of(name).unwrap().ends_with("/sh"), "{name}");
            assert!(Path::new(&path_of(name).unwrap()).is_absolute(), "{name}");
        }
        let refusal = |name| format!("{:#}", path_of(name).unwrap_err());
        assert!(refusal("no-such-program").ends_with("in PATH or /usr/sbin or /sbin"));
        assert!(refusal("/bin/no-such-program").ends_with("no program /bin/no-such-program"));
    }
}
