//! Contestants of somebody else's, from a TOML file. Its keys and an example: bench/README.md.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::{Cores, Expected, Kind, Launch, Recipe, Site, Source, Splicing, Version, Waiting};
use crate::record::Family;

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
#[serde(rename_all = "lowercase")]
enum Protocol {
    Tcp,
    Connect,
    Tls,
    Websocket,
}

pub(super) fn read(path: &Path) -> Result<Vec<Recipe>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    parse(&text).with_context(|| path.display().to_string())
}

fn parse(text: &str) -> Result<Vec<Recipe>> {
    let file: File = toml::from_str(text)?;
    file.contestant
        .into_iter()
        .map(|entry| {
            let name = entry.name.clone();
            entry.into_recipe().with_context(|| format!("contestant {name:?}"))
        })
        .collect()
}

impl Entry {
    fn into_recipe(self) -> Result<Recipe> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        ensure!(
            !self.name.is_empty() && self.name.chars().all(is_plain),
            "a name is made of letters, digits, '-', '_' and '.'"
        );
        let kind = match self.kind {
            Protocol::Tcp => Kind::Tcp,
            Protocol::Connect => Kind::Connect,
            Protocol::Tls => bail!("no scenario measures kind \"tls\" yet"),
            Protocol::Websocket => bail!("no scenario measures kind \"websocket\" yet"),
        };
        let (source, has_counters) = self.source(kind)?;
        let counters =
            Expected { driver: None, splicing: Splicing::Unknown, waiting: Waiting::Unknown };
        Ok(Recipe {
            family: if has_counters { Family::Penstock } else { Family::Peer },
            kind,
            source,
            expected: has_counters.then_some(counters),
            version: Version::Told(self.version),
            setting: self.setting,
            guest_of: Some(self.scenarios),
            name: self.name,
        })
    }

    /// And whether its path counters can be read.
    fn source(&self, kind: Kind) -> Result<(Source, bool)> {
        match (&self.command, self.pid) {
            (Some(command), None) => {
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
                let texts: Vec<String> = command.iter().chain(&self.config).cloned().collect();
                let has_admin = texts.iter().any(|text| text.contains("{admin"));
                let (command, config) = (command.clone(), self.config.clone());
                let build = move |site: &Site| {
                    let argv = command.iter().map(|word| fill_in(word, site)).collect();
                    Ok(Launch { argv, config: config.as_ref().map(|text| fill_in(text, site)) })
                };
                let source =
                    Source::Start { build: Box::new(build), user: None, cores: Cores::Own };
                Ok((source, has_admin))
            }
            (None, Some(pid)) => {
                ensure!(self.config.is_none(), "a program that runs already takes no config");
                let address = self.address.context("pid needs an address")?;
                let address_flood = match kind {
                    Kind::Tcp => self.address_flood.context("kind \"tcp\" needs address_flood")?,
                    Kind::Connect => address,
                };
                let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                let fixed = kind == Kind::Connect || self.echo.is_some() && self.flood.is_some();
                ensure!(fixed, "kind \"tcp\" needs echo and flood: where it forwards to");
                let origins = [self.echo.unwrap_or(any), self.flood.unwrap_or(any)];
                let addresses = [address, address_flood];
                Ok((
                    Source::Running { pid, addresses, admin: self.admin, origins },
                    self.admin.is_some(),
                ))
            }
            _ => bail!("either a command or a pid"),
        }
    }
}

/// Each address also as its port alone: `{listen_port}`.
fn fill_in(text: &str, site: &Site) -> String {
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
    filled.replace("{config}", &site.config.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        format!("{:#}", parse(text).err().expect("a refusal"))
    }

    fn contestant(lines: &str) -> String {
        format!("[[contestant]]\nname = \"x\"\n{lines}\n")
    }

    #[test]
    fn what_is_wrong_is_said() {
        let running = "kind = \"tcp\"\npid = 1\naddress = \"127.0.0.1:1\"";
        for (lines, said) in [
            ("kind = \"tls\"\ncommand = [\"x\"]", "no scenario measures kind \"tls\" yet"),
            ("kind = \"websocket\"\ncommand = [\"x\"]", "no scenario measures kind \"websocket\""),
            ("kind = \"udp\"\ncommand = [\"x\"]", "unknown variant `udp`"),
            ("kind = \"tcp\"", "either a command or a pid"),
            ("kind = \"tcp\"\ncommand = []", "the command is empty"),
            ("kind = \"tcp\"\ncommand = [\"x\"]\npid = 1", "either a command or a pid"),
            ("kind = \"tcp\"\ncommand = [\"x\"]\necho = \"127.0.0.1:1\"", "chosen here"),
            ("kind = \"connect\"\npid = 1", "needs an address"),
            (running, "needs address_flood"),
            (&format!("{running}\naddress_flood = \"127.0.0.1:2\""), "needs echo and flood"),
            ("kind = \"tcp\"\ncommand = [\"x\"]\nprot = 1", "unknown field `prot`"),
        ] {
            let refusal = refusal(&contestant(lines));
            assert!(refusal.contains(said), "{lines}: {refusal}");
        }
        assert!(refusal("[[contestant]]\nname = \"../x\"\nkind = \"tcp\"").contains("a name"));
    }

    #[test]
    fn counters_are_read_where_there_is_an_administrator() {
        let with = "kind = \"connect\"\ncommand = [\"x\", \"{config}\"]\nconfig = \"{admin}\"";
        let without = "kind = \"connect\"\ncommand = [\"x\", \"{config}\"]\nconfig = \"{listen}\"";
        for (lines, family) in [(with, Family::Penstock), (without, Family::Peer)] {
            let recipe = parse(&contestant(lines)).unwrap().remove(0);
            assert_eq!(
                (recipe.family, recipe.expected.is_some()),
                (family, family == Family::Penstock)
            );
        }
    }
}
