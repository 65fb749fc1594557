//! websockify, which brings consoles to browsers today: a process for each of them, with numpy, without which it unmasks byte by byte. And its
//! class over our engine, in one process of Python.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Cores, Kind, Launch, Recipe, Site, Source, Version, find};
use crate::record::Family;

const PROGRAM: &str = "websockify";
/// Debian's, as websockify is.
const PYTHON: &str = "/usr/bin/python3";
const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ffi/hosts/python");
const PREFIX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/prefix");

pub(super) fn recipes() -> Vec<Recipe> {
    vec![
        recipe("websockify", "one process per console, with numpy", Kind::WebSocket),
        recipe(
            "websockify-tls",
            "TLS 1.3; one process per console, with numpy",
            Kind::WebSocketByTls,
        ),
        recipe(
            "websockify-vnc",
            "VNC in the clear to the origin; one process per console, with numpy",
            Kind::VncPassed,
        ),
        hosted(),
    ]
}

fn recipe(name: &str, setting: &str, kind: Kind) -> Recipe {
    Recipe {
        name: name.into(),
        family: Family::Peer,
        setting: setting.into(),
        kind,
        source: Source::Start {
            build: Box::new(move |site| launch(site, kind)),
            user: None,
            cores: Cores::Own,
        },
        expected: None,
        version: Version::Examined(PROGRAM.into(), versions),
        guest_of: None,
    }
}

/// Its counters are in that process, which shows them to nobody.
fn hosted() -> Recipe {
    let prefix = std::env::var("PENSTOCK_PREFIX").unwrap_or_else(|_| PREFIX.into());
    let library = format!("{prefix}/lib/libpenstock.so");
    let with = [
        "env".to_owned(),
        "PYTHONDONTWRITEBYTECODE=1".to_owned(),
        format!("PYTHONPATH={PACKAGE}"),
        format!("PENSTOCK_LIBRARY={library}"),
        PYTHON.to_owned(),
        "-m".to_owned(),
        "penstock.websockify".to_owned(),
    ];
    Recipe {
        name: "websockify-penstock".into(),
        family: Family::Penstock,
        setting: "websockify's class over the engine, in one process of Python".into(),
        kind: Kind::WebSocket,
        source: Source::Start {
            build: Box::new(move |site| {
                let addresses = [site.listen.to_string(), site.echo.to_string()];
                Ok(Launch { argv: with.iter().cloned().chain(addresses).collect(), config: None })
            }),
            user: None,
            cores: Cores::Own,
        },
        expected: None,
        version: Version::Examined(library, versions_over),
        guest_of: None,
    }
}

/// Of the library, and of what it is loaded into.
fn versions_over(library: &Path) -> Result<String> {
    let mut python = Command::new(PYTHON);
    python.args(["-c", ASK_LIBRARY]).env("PYTHONPATH", PACKAGE).env("PENSTOCK_LIBRARY", library);
    let output = python.output()?;
    let reason = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", reason.lines().last().unwrap_or_default());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn launch(site: &Site, kind: Kind) -> Result<Launch> {
    let Site { listen, echo, keys, .. } = site;
    versions(&find(PROGRAM).context("it is not installed")?)?;
    let mut argv = vec![PROGRAM.to_owned()];
    if kind == Kind::WebSocketByTls {
        let (certificate, key) = (keys.certificate.display(), keys.key.display());
        argv.extend([format!("--cert={certificate}"), format!("--key={key}"), "--ssl-only".into()]);
    }
    argv.extend([listen.to_string(), echo.to_string()]);
    Ok(Launch { argv, config: None })
}

/// Of all that decides how fast it is, as its own interpreter finds them.
fn versions(program: &Path) -> Result<String> {
    let script = std::fs::read_to_string(program).context("it is no script")?;
    let first = script.lines().next().unwrap_or_default();
    let mut words = first.strip_prefix("#!").context("it names no interpreter")?.split_whitespace();
    let interpreter = words.next().context("it names no interpreter")?;
    let output = Command::new(interpreter).args(words).args(["-c", ASK]).output()?;
    let reason = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "it must not be measured without numpy (bench/setup installs both): {}",
        reason.lines().last().unwrap_or_default()
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

const ASK: &str = "import importlib.metadata as m, platform
print('websockify', m.version('websockify') + ', numpy', m.version('numpy') + ', Python', platform.python_version())";

const ASK_LIBRARY: &str = "import importlib.metadata as m, penstock, platform
print('penstock', penstock.version() + ', websockify', m.version('websockify') + ', Python', platform.python_version())";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_numpy_it_is_refused() {
        let script = tempfile::NamedTempFile::new().unwrap();
        let asked = |first: &str| {
            std::fs::write(script.path(), format!("{first}\nimport websockify\n")).unwrap();
            versions(script.path()).map_err(|error| error.to_string())
        };
        assert!(asked("#!/bin/false").unwrap_err().contains("without numpy"));
        assert!(asked("#!/usr/bin/env echo").unwrap().starts_with("-c import"));
        assert_eq!(asked("import sys").unwrap_err(), "it names no interpreter");
    }
}
