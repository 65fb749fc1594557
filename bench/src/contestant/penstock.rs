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
];

const DEFAULT: Variant = Variant {
    name: "penstock-uring",
    setting: "CONNECT, io_uring, default configuration, no log",
    driver: Driver::Uring,
    splicing: Splicing::Inline,
    waiting: Waiting::Sleeping,
    workers: 1,
    cores: Cores::Own,
    engine: "",
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
        kind: Kind::Connect,
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
    let Variant { driver, workers, engine, .. } = variant;
    let config = format!(
        r#"[engine]
workers = {workers}
{engine}

[log]
level = "warn"

[admin]
listen = "{}"

[acl]
origin = {{ dst = ["127.0.0.0/8"] }}

[[listen]]
name = "bench"
address = ["{}"]
service = "connect"
access = ["allow origin", "deny all"]
"#,
        site.admin, site.listen
    );
    let argv = [
        program.to_owned(),
        "--config".into(),
        site.config.display().to_string(),
        format!("--engine={}", driver.name()),
    ];
    Launch { argv: argv.into(), config: Some(config) }
}
