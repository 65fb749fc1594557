//! Penstock itself: as it comes, on either driver, and with single settings changed.

use super::{
    Cores, Driver, Expected, Kind, Launch, Programs, Recipe, Site, Source, Splicing, Version,
    Waiting,
};
use crate::record::Family;

/// What differs from the default configuration.
struct Variant {
    name: &'static str,
    setting: &'static str,
    driver: Driver,
    splicing: Splicing,
    waiting: Waiting,
    workers: u32,
    cores: Cores,
    kind: Kind,
    /// Further lines of `[engine]`.
    engine: &'static str,
}

const VARIANTS: &[Variant] = &[
    DEFAULT,
    Variant {
        name: "penstock-epoll",
        setting: "CONNECT, epoll, default configuration, no log",
        driver: Driver::Epoll,
        ..DEFAULT
    },
    Variant {
        name: "penstock-uring-ring",
        setting: "CONNECT, io_uring, splice = \"ring\"",
        splicing: Splicing::Ring,
        engine: "splice = \"ring\"",
        ..DEFAULT
    },
    Variant {
        name: "penstock-uring-copy",
        setting: "CONNECT, io_uring, splice = \"off\"",
        splicing: Splicing::Off,
        engine: "splice = \"off\"",
        ..DEFAULT
    },
    Variant {
        name: "penstock-uring-ungathered",
        setting: "CONNECT, io_uring, gather = \"off\"",
        waiting: Waiting::Ungathered,
        engine: "gather = \"off\"",
        ..DEFAULT
    },
    Variant {
        name: "penstock-uring-busy",
        setting: "CONNECT, io_uring, busy_poll = \"50us\"",
        waiting: Waiting::Busy,
        engine: "busy_poll = \"50us\"",
        ..DEFAULT
    },
    Variant {
        name: "penstock-uring-2",
        setting: "CONNECT, io_uring, two workers on two cores",
        workers: 2,
        cores: Cores::Two,
        ..DEFAULT
    },
    Variant {
        name: "penstock-uring-other",
        setting: "CONNECT, io_uring, one worker on the other of the two cores",
        cores: Cores::Other,
        ..DEFAULT
    },
    FROM_TLS,
    Variant {
        name: "penstock-tls-epoll",
        setting: "TLS from the client, epoll, default configuration, no log",
        driver: Driver::Epoll,
        ..FROM_TLS
    },
    TO_TLS,
    Variant {
        name: "penstock-to-tls-epoll",
        setting: "TLS to the origin, its certificate checked; epoll, default configuration, no log",
        driver: Driver::Epoll,
        ..TO_TLS
    },
    WEBSOCKET,
    Variant {
        name: "penstock-ws-epoll",
        setting: "WebSocket, epoll, default configuration, no log",
        driver: Driver::Epoll,
        ..WEBSOCKET
    },
    Variant {
        name: "penstock-ws-copy",
        setting: "WebSocket, io_uring, splice = \"off\"",
        splicing: Splicing::Off,
        engine: "splice = \"off\"",
        ..WEBSOCKET
    },
    Variant {
        name: "penstock-wss",
        setting: "WebSocket by TLS, io_uring, default configuration, no log",
        kind: Kind::WebSocketByTls,
        ..WEBSOCKET
    },
    VNC,
    Variant {
        name: "penstock-vnc-epoll",
        setting: "WebSocket; VeNCrypt X509None to the origin, its certificate checked; epoll, default configuration, no log",
        driver: Driver::Epoll,
        ..VNC
    },
];

const DEFAULT: Variant = Variant {
    name: "penstock-uring",
    setting: "CONNECT, io_uring, default configuration, no log",
    driver: Driver::Uring,
    splicing: Splicing::Inline,
    waiting: Waiting::Sleeping,
    workers: 1,
    cores: Cores::Own,
    kind: Kind::Connect,
    engine: "",
};

const FROM_TLS: Variant = Variant {
    name: "penstock-tls",
    setting: "TLS from the client, io_uring, default configuration, no log",
    kind: Kind::FromTls,
    ..DEFAULT
};

const TO_TLS: Variant = Variant {
    name: "penstock-to-tls",
    setting: "TLS to the origin, its certificate checked; io_uring, default configuration, no log",
    kind: Kind::ToTls,
    ..DEFAULT
};

const WEBSOCKET: Variant = Variant {
    name: "penstock-ws",
    setting: "WebSocket, io_uring, default configuration, no log",
    kind: Kind::WebSocket,
    // Behind a header, a run waits until the browser has taken the one before: whoever is slower than we leaves nothing to gather.
    waiting: Waiting::Unknown,
    ..DEFAULT
};

const VNC: Variant = Variant {
    name: "penstock-vnc",
    setting: "WebSocket; VeNCrypt X509None to the origin, its certificate checked; io_uring, default configuration, no log",
    kind: Kind::VncByTls,
    ..WEBSOCKET
};

pub(super) fn recipes(programs: &Programs) -> Vec<Recipe> {
    VARIANTS.iter().map(|variant| recipe(variant, programs)).collect()
}

fn recipe(variant: &'static Variant, programs: &Programs) -> Recipe {
    let program = programs.penstock.display().to_string();
    let version = Version::Asked(program.clone(), "--version");
    Recipe {
        name: variant.name.into(),
        family: Family::Penstock,
        setting: variant.setting.into(),
        kind: variant.kind,
        source: Source::Start {
            build: Box::new(move |site| Ok(launch(site, variant, &program))),
            user: None,
            cores: variant.cores,
        },
        expected: Some(Expected {
            driver: Some(variant.driver),
            splicing: variant.splicing,
            waiting: variant.waiting,
            workers: variant.workers,
        }),
        version,
        guest_of: None,
    }
}

fn launch(site: &Site, variant: &Variant, program: &str) -> Launch {
    let Variant { driver, workers, engine, kind, .. } = variant;
    let Site { admin, listen, .. } = site;
    let service = service(site, *kind);
    let config = format!(
        r#"[engine]
workers = {workers}
{engine}

[log]
level = "warn"

[admin]
listen = "{admin}"

[acl]
origin = {{ dst = ["127.0.0.0/8"] }}

[[listen]]
name = "bench"
address = ["{listen}"]
{service}access = ["allow origin", "deny all"]
"#
    );
    let argv = [
        program.to_owned(),
        "--config".into(),
        site.config.display().to_string(),
        format!("--engine={}", driver.name()),
    ];
    Launch { argv: argv.into(), config: Some(config) }
}

/// What the listener does, line by line.
fn service(site: &Site, kind: Kind) -> String {
    let Site { echo, keys, .. } = site;
    let forward = "service = \"forward\"\nunauthenticated = true\n";
    let from_tls = || {
        let (certificate, key) = (keys.certificate.display(), keys.key.display());
        format!("tls = {{ cert = \"{certificate}\", key = \"{key}\" }}\n")
    };
    let console = || {
        format!(
            "service = \"console\"\ntarget = \"tcp://{echo}\"\ntimeouts = {{ idle = \"off\", lifetime = \"off\" }}\n"
        )
    };
    let to_tls = || {
        let authority = keys.authority.display();
        format!("upstream_tls = {{ ca = \"{authority}\", server_name = \"localhost\" }}\n")
    };
    match kind {
        Kind::Tcp | Kind::Connect => "service = \"connect\"\n".into(),
        Kind::FromTls => format!("{forward}target = \"tcp://{echo}\"\n{}", from_tls()),
        Kind::WebSocket => console(),
        Kind::VncPassed => console(),
        Kind::WebSocketByTls => console() + &from_tls(),
        Kind::VncByTls => {
            console() + "unauthenticated = true\nvnc = { mode = \"authenticate\" }\n" + &to_tls()
        }
        Kind::ToTls => format!("{forward}target = \"tls://{echo}\"\n{}", to_tls()),
    }
}
