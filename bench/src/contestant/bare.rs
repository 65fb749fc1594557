//! The relays of this program: plain loops, and what a programmer would write.

use super::{Cores, Kind, Launch, Programs, Recipe, Site, Source, Version};
use crate::record::Family;

pub(super) fn recipes(programs: &Programs) -> Vec<Recipe> {
    let (plain, from, to, web) = (Kind::Tcp, Kind::FromTls, Kind::ToTls, Kind::WebSocket);
    [
        ("tokio", "plain relay, copy_bidirectional", "tokio", plain),
        ("tokio-uring", "plain relay, 64 KiB each way", "tokio-uring", plain),
        ("bare-copy", "epoll, recv and send, 64 KiB", "copy", plain),
        ("bare-copy-busy", "epoll, recv and send, 64 KiB, never asleep", "copy-busy", plain),
        ("bare-splice", "epoll, splice(2), pipes of 1 MiB", "splice", plain),
        ("bare-tls", "epoll, recv and send, 128 KiB; TLS 1.3 from the client", "tls", from),
        ("bare-to-tls", "epoll, recv and send, 128 KiB; TLS 1.3 to the origin", "to-tls", to),
        ("bare-ws", "epoll, recv and send, 64 KiB; WebSocket from the client", "ws", web),
        (
            "bare-ws-splice",
            "epoll; WebSocket from the client, recv and send; to it header and splice(2), pipes of 1 MiB",
            "ws-splice",
            web,
        ),
    ]
    .map(|(name, setting, relay, kind)| recipe(name, setting, relay, kind, programs))
    .into()
}

fn recipe(
    name: &str,
    setting: &str,
    relay: &'static str,
    kind: Kind,
    programs: &Programs,
) -> Recipe {
    let itself = programs.itself.display().to_string();
    let launch = move |site: &Site| {
        let Site { listen, listen_flood, echo, flood, keys, .. } = site;
        let mut argv = vec![itself.clone(), "relay".into(), relay.into()];
        argv.push(format!("{listen}={echo}"));
        match kind {
            Kind::Tcp | Kind::Connect => argv.push(format!("{listen_flood}={flood}")),
            Kind::FromTls | Kind::ToTls => argv.push(format!("--keys={}", keys.folder().display())),
            Kind::WebSocket | Kind::WebSocketByTls | Kind::VncByTls | Kind::VncPassed => {}
        }
        Ok(Launch { argv, config: None })
    };
    Recipe {
        name: name.into(),
        family: Family::Plain,
        setting: setting.into(),
        kind,
        source: Source::Start { build: Box::new(launch), user: None, cores: Cores::Own },
        expected: None,
        version: Version::Told(format!("of penstock-bench {}", env!("CARGO_PKG_VERSION"))),
        guest_of: None,
    }
}
