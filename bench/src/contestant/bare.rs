//! The relays of this program: plain loops, and what a programmer would write.

use super::{Cores, Kind, Launch, Programs, Recipe, Site, Source, Version};
use crate::record::Family;

pub(super) fn recipes(programs: &Programs) -> Vec<Recipe> {
    [
        ("tokio", "plain relay, copy_bidirectional", "tokio"),
        ("tokio-uring", "plain relay, 64 KiB each way", "tokio-uring"),
        ("bare-copy", "epoll, recv and send, 64 KiB", "copy"),
        ("bare-copy-busy", "epoll, recv and send, 64 KiB, never asleep", "copy-busy"),
        ("bare-splice", "epoll, splice(2), pipes of 1 MiB", "splice"),
    ]
    .map(|(name, setting, kind)| recipe(name, setting, kind, programs))
    .into()
}

fn recipe(name: &str, setting: &str, kind: &'static str, programs: &Programs) -> Recipe {
    let itself = programs.itself.display().to_string();
    let launch = move |site: &Site| {
        let argv = [
            itself.clone(),
            "relay".into(),
            kind.into(),
            format!("{}={}", site.listen, site.echo),
            format!("{}={}", site.listen_flood, site.flood),
        ];
        Ok(Launch { argv: argv.into(), config: None })
    };
    Recipe {
        name: name.into(),
        family: Family::Plain,
        setting: setting.into(),
        kind: Kind::Tcp,
        source: Source::Start { build: Box::new(launch), user: None, cores: Cores::Own },
        expected: None,
        version: Version::Told(format!("of penstock-bench {}", env!("CARGO_PKG_VERSION"))),
        guest_of: None,
    }
}
