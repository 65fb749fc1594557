//! Contestants of somebody else's, from a TOML file. Its keys and an example: bench/README.md.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::{Cores, Expected, Kind, Launch, Legs, Programs, Recipe, Site, Source, Version};
use crate::record::Family;
use crate::run;
use crate::scenario::{SCENARIOS, Scenario, Special};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    contestant: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    kind: Protocol,
    #[serde(default)]
    setting: String,
    #[serde(default)]
    version: String,
    /// It counts as Penstock, not as a rival, and its path counters are read.
    #[serde(default)]
    penstock: bool,
    /// What the names of scenarios begin with; none: every scenario that asks for no special setting.
    #[serde(default)]
    scenarios: Vec<String>,
    command: Option<Vec<String>>,
    config: Option<String>,
    pid: Option<i32>,
    /// Where one that runs already listens.
    address: Option<SocketAddr>,
    address_flood: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    /// Where the origins listen for it.
    echo: Option<SocketAddr>,
    flood: Option<SocketAddr>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Protocol {
    Tcp,
    Connect,
    Tls,
    ToTls,
    Websocket,
    WebsocketTls,
    Vnc,
    Vencrypt,
}

pub(super) fn read(path: &Path, programs: &Programs) -> Result<Vec<Recipe>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    parse(&text, programs).with_context(|| path.display().to_string())
}

fn parse(text: &str, programs: &Programs) -> Result<Vec<Recipe>> {
    let file: File = toml::from_str(text)?;
    file.contestant
        .into_iter()
        .map(|entry| {
            let name = entry.name.clone();
            entry.into_recipe(programs).with_context(|| format!("contestant {name:?}"))
        })
        .collect()
}

impl Entry {
    fn into_recipe(self, programs: &Programs) -> Result<Recipe> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        ensure!(
            !self.name.is_empty() && self.name.chars().all(is_plain),
            "a name is made of letters, digits, '-', '_' and '.'"
        );
        let kind = match self.kind {
            Protocol::Tcp => Kind::Tcp,
            Protocol::Connect => Kind::Connect,
            Protocol::Tls => Kind::FromTls,
            Protocol::ToTls => Kind::ToTls,
            Protocol::Websocket => Kind::WebSocket,
            Protocol::WebsocketTls => Kind::WebSocketByTls,
            Protocol::Vnc => Kind::VncPassed,
            Protocol::Vencrypt => Kind::VncByTls,
        };
        self.scenarios.iter().try_for_each(|name| check_scenario(name, kind))?;
        let source = match (&self.command, self.pid) {
            (Some(command), None) => self.to_start(command, programs)?,
            (None, Some(pid)) => self.running(pid, kind)?,
            _ => bail!("either a command or a pid"),
        };
        let is_ours = self.command.iter().flatten().any(|word| word == OUR_DAEMON);
        ensure!(self.penstock || !is_ours, "it starts {OUR_DAEMON}: then say penstock = true");
        Ok(Recipe {
            family: if self.penstock { Family::Penstock } else { Family::Peer },
            kind,
            source,
            expected: self.penstock.then_some(Expected::UNKNOWN),
            version: if is_ours && self.version.is_empty() {
                Version::Asked(programs.penstock.display().to_string(), "--version")
            } else {
                Version::Told(self.version)
            },
            setting: self.setting,
            guest_of: Some(self.scenarios),
            name: self.name,
        })
    }

    fn to_start(&self, command: &[String], programs: &Programs) -> Result<Source> {
        ensure!(!command.is_empty(), "the command is empty");
        let is_running = self.address.is_some()
            || self.address_flood.is_some()
            || self.admin.is_some()
            || self.echo.is_some()
            || self.flood.is_some();
        ensure!(
            !is_running,
            "with a command, addresses are chosen here: write {{listen}}, {{listen_flood}}, {{admin}}, {{echo}}, {{flood}}"
        );
        let has_admin = command.iter().chain(&self.config).any(|text| text.contains("{admin"));
        ensure!(
            has_admin || !self.penstock,
            "penstock = true needs {{admin}} in the command or in the config: its path counters are read there"
        );
        let (command, config, programs) =
            (command.to_owned(), self.config.clone(), programs.clone());
        let build = move |site: &Site| {
            let fill_in = |text: &String| fill_in(text, site, &programs);
            Ok(Launch {
                argv: command.iter().map(fill_in).collect(),
                config: config.as_ref().map(fill_in),
            })
        };
        Ok(Source::Start { build: Box::new(build), user: None, cores: Cores::Own })
    }

    fn running(&self, pid: i32, kind: Kind) -> Result<Source> {
        ensure!(self.config.is_none(), "a program that runs already takes no config");
        let address = self.address.context("pid needs an address")?;
        ensure!(
            matches!(kind.legs(), Legs::Plain | Legs::WebSocket),
            "keys are made anew for each run, and one that runs already can't know them: give its command"
        );
        let address_flood = match kind {
            Kind::Tcp => self.address_flood.context("kind \"tcp\" needs address_flood")?,
            _ => address,
        };
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let has_flood = self.flood.is_some() || kind != Kind::Tcp;
        let fixed = kind == Kind::Connect || self.echo.is_some() && has_flood;
        ensure!(fixed, "where it forwards to is needed: echo and, of kind \"tcp\", flood");
        ensure!(
            self.admin.is_some() == self.penstock,
            "penstock = true and admin need each other: path counters are read of a Penstock alone, and there"
        );
        Ok(Source::Running {
            pid,
            addresses: [address, address_flood],
            admin: self.admin,
            origins: [self.echo.unwrap_or(any), self.flood.unwrap_or(any)],
        })
    }
}

/// In a command: the daemon that this run measures.
const OUR_DAEMON: &str = "{penstock}";

/// That a guest of this kind may join one of the scenarios so called.
fn check_scenario(name: &str, kind: Kind) -> Result<()> {
    let called = run::choose(&[name.to_owned()]).unwrap_or_default();
    let why_closed = |scenario: &Scenario| why_closed(scenario, kind);
    if called.iter().any(|scenario| why_closed(scenario).is_none()) {
        return Ok(());
    }
    let open = SCENARIOS.iter().filter(|scenario| why_closed(scenario).is_none());
    let open = open.map(|scenario| scenario.name).collect::<Vec<_>>().join(", ");
    match called.iter().find_map(|scenario| why_closed(scenario)) {
        Some(why) => {
            bail!("no guest can join scenario {name:?}, since {why}; open to guests: {open}")
        }
        None => bail!("there is no scenario {name:?}; open to guests: {open}"),
    }
}

fn why_closed(scenario: &Scenario, kind: Kind) -> Option<&'static str> {
    match scenario.special {
        Special::None if scenario.legs == kind.legs() => None,
        Special::None => Some(match scenario.legs {
            Legs::Plain => "both legs there are plain TCP",
            Legs::TlsFromClient => "clients there speak TLS (kind \"tls\")",
            Legs::TlsToOrigin => "the origin there speaks TLS (kind \"to-tls\")",
            Legs::WebSocket => "clients there speak WebSocket (kind \"websocket\")",
            Legs::WebSocketByTls => "clients there speak WebSocket by TLS (kind \"websocket-tls\")",
            Legs::Vnc => "consoles there are of VNC (kind \"vnc\" or \"vencrypt\")",
        }),
        Special::Unprivileged { .. } => Some("everybody there runs as a user without privileges"),
        Special::Fresh => Some("each round there starts a fresh process"),
        Special::Closed => Some("it compares those alone whom it names"),
    }
}

/// Each address also as its port alone: `{listen_port}`.
fn fill_in(text: &str, site: &Site, programs: &Programs) -> String {
    let addresses = [
        ("listen", site.listen),
        ("listen_flood", site.listen_flood),
        ("admin", site.admin),
        ("echo", site.echo),
        ("flood", site.flood),
    ];
    let filled = addresses.iter().fold(text.to_owned(), |text, (name, address)| {
        text.replace(&format!("{{{name}}}"), &address.to_string())
            .replace(&format!("{{{name}_port}}"), &address.port().to_string())
    });
    let paths = [
        ("{config}", site.config.as_path()),
        ("{keys}", site.keys.folder()),
        ("{authority}", &site.keys.authority),
        ("{certificate}", &site.keys.certificate),
        ("{key}", &site.keys.key),
        ("{both}", &site.keys.both),
        (OUR_DAEMON, &programs.penstock),
        ("{bench}", &programs.itself),
    ];
    paths.iter().fold(filled, |text, (name, path)| text.replace(name, &path.display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::KeyFiles;

    fn programs() -> Programs {
        Programs {
            penstock: "/tmp/a/penstock".into(),
            itself: "/tmp/a/penstock-bench".into(),
            nginx_module: "/tmp/a/module.so".into(),
        }
    }

    /// Of a contestant named x.
    fn recipe(lines: &str) -> Result<Recipe> {
        let text = format!("[[contestant]]\nname = \"x\"\n{lines}\n");
        Ok(parse(&text, &programs())?.remove(0))
    }

    fn assert_refused(lines: &str, said: &str) {
        let refusal = format!("{:#}", recipe(lines).err().expect("a refusal"));
        assert!(refusal.contains(said), "{lines}: {refusal}");
    }

    const RELAY: &str = "kind = \"tcp\"\ncommand = [\"x\"]";

    #[test]
    fn what_is_wrong_is_said() {
        let running = "kind = \"tcp\"\npid = 1\naddress = \"127.0.0.1:1\"";
        let proxy = "kind = \"connect\"\npid = 1\naddress = \"127.0.0.1:1\"";
        for (lines, said) in [
            ("kind = \"tls\"\npid = 1\naddress = \"127.0.0.1:1\"", "keys are made anew"),
            ("kind = \"websocket-tls\"\npid = 1\naddress = \"127.0.0.1:1\"", "keys are made anew"),
            ("kind = \"websocket\"\npid = 1\naddress = \"127.0.0.1:1\"", "needed: echo"),
            ("kind = \"udp\"\ncommand = [\"x\"]", "unknown variant `udp`"),
            ("kind = \"tcp\"", "either a command or a pid"),
            ("kind = \"tcp\"\ncommand = []", "the command is empty"),
            (&format!("{RELAY}\npid = 1"), "either a command or a pid"),
            (&format!("{RELAY}\necho = \"127.0.0.1:1\""), "chosen here"),
            (&format!("{RELAY}\nprot = 1"), "unknown field `prot`"),
            (&format!("{RELAY}\npenstock = true"), "needs {admin}"),
            ("kind = \"connect\"\ncommand = [\"{penstock}\"]", "then say penstock = true"),
            ("kind = \"connect\"\npid = 1", "needs an address"),
            (running, "needs address_flood"),
            (&format!("{running}\naddress_flood = \"127.0.0.1:2\""), "echo and, of kind"),
            (&format!("{proxy}\npenstock = true"), "need each other"),
            (&format!("{proxy}\nadmin = \"127.0.0.1:2\""), "need each other"),
        ] {
            assert_refused(lines, said);
        }
        let name = parse("[[contestant]]\nname = \"../x\"\nkind = \"tcp\"", &programs());
        assert!(format!("{:#}", name.err().unwrap()).contains("a name"));
    }

    #[test]
    fn a_scenario_must_be_there_and_open_to_guests() {
        let at = |scenario: &str| format!("{RELAY}\nscenarios = [\"setup\", \"{scenario}\"]");
        for open in ["bulk", "bulk-1", "messages-open", "pingpong"] {
            recipe(&at(open)).unwrap();
        }
        for (closed, said) in [
            ("setpu", "there is no scenario \"setpu\"; open to guests: setup, "),
            ("idle", "fresh process; open to guests: setup, "),
            ("lone", "names; open"),
            ("workers", "names; open"),
            ("message-16k", "without privileges; open"),
            ("tls-bulk", "clients there speak TLS"),
            ("to-tls-bulk", "the origin there speaks TLS"),
            ("ws-bulk", "clients there speak WebSocket (kind"),
            ("wss-bulk", "clients there speak WebSocket by TLS"),
        ] {
            assert_refused(&at(closed), said);
        }
        let refusal = format!("{:#}", recipe(&at("idle")).err().unwrap());
        let open = refusal.split_once("open to guests").unwrap().1;
        assert!(open.contains("bulk-8") && !open.contains("workers"), "{open}");
        assert!(!open.contains("tls") && !open.contains("ws"), "{open}");
        for (kind, scenario) in [
            ("tls", "tls-bulk"),
            ("to-tls", "to-tls-bulk"),
            ("websocket", "ws-bulk"),
            ("websocket-tls", "wss-bulk"),
            ("vnc", "vnc-login"),
            ("vencrypt", "vnc-64-64"),
        ] {
            let lines =
                format!("kind = \"{kind}\"\ncommand = [\"x\"]\nscenarios = [\"{scenario}\"]");
            recipe(&lines).unwrap();
            assert_refused(&lines.replace(scenario, "bulk"), "both legs there are plain TCP");
        }
    }

    #[test]
    fn a_guest_joins_those_who_speak_what_it_does() {
        for (kind, joined) in [
            ("tcp", "bulk-8"),
            ("tls", "tls-bulk-8"),
            ("to-tls", "to-tls-bulk-8"),
            ("websocket", "ws-bulk-8"),
        ] {
            let guest = [recipe(&format!("kind = \"{kind}\"\ncommand = [\"x\"]")).unwrap()];
            for name in [
                "bulk-8",
                "tls-bulk-8",
                "to-tls-bulk-8",
                "ws-bulk-8",
                "wss-bulk-8",
                "tls-idle-1000",
            ] {
                let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap();
                let takes_part = !run::field(scenario, &guest, false).is_empty();
                assert_eq!(takes_part, name == joined, "{kind} in {name}");
            }
        }
    }

    #[test]
    fn only_who_says_so_is_a_penstock() {
        let envoy = "kind = \"connect\"\ncommand = [\"x\", \"{config}\"]\nconfig = \"{admin}\"";
        let penstock = format!("{envoy}\npenstock = true");
        for (lines, family) in [(&penstock[..], Family::Penstock), (envoy, Family::Peer)] {
            let recipe = recipe(lines).unwrap();
            assert_eq!(
                (recipe.family, recipe.expected.is_some()),
                (family, family == Family::Penstock)
            );
        }
    }

    #[test]
    fn placeholders_are_filled_in() {
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let site = Site {
            folder: "/tmp/a".into(),
            config: "/tmp/a/config".into(),
            listen: address(1),
            listen_flood: address(2),
            admin: address(3),
            echo: address(4),
            flood: address(5),
            keys: KeyFiles::within("/tmp/a".as_ref()),
        };
        let lines =
            "kind = \"connect\"\npenstock = true\ncommand = [\"{penstock}\", \"{bench} {config}\", \"{key}\"]
            config = \"{listen} {listen_flood_port} {admin} {echo_port} {flood}\"";
        let recipe = recipe(lines).unwrap();
        let Source::Start { build, .. } = recipe.source else { panic!("it runs already") };
        let Launch { argv, config } = build(&site).unwrap();
        assert_eq!(
            argv,
            ["/tmp/a/penstock", "/tmp/a/penstock-bench /tmp/a/config", "/tmp/a/key.pem"]
        );
        assert_eq!(config.unwrap(), "127.0.0.1:1 2 127.0.0.1:3 4 127.0.0.1:5");
        assert!(matches!(recipe.version, Version::Asked(path, _) if path == "/tmp/a/penstock"));
    }
}
