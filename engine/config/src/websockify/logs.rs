//! Where a command line has messages and connections written.

use std::path::PathBuf;

use super::options::Given;
use super::places::absolute;
use super::{Refusal, Syslog, SyslogPlace};
use crate::{AccessFormat, AccessLog};

/// Connections are told where messages are: in the log file, or on standard output if somebody may read that.
pub(super) fn access(given: &Given) -> Option<AccessLog> {
    let is_seen = !given.flag("daemon") && !given.flag("inetd");
    let path = match given.text("log-file") {
        Some(file) => absolute(file),
        None if is_seen => PathBuf::from("-"),
        None => return None,
    };
    Some(AccessLog { path, format: AccessFormat::Json })
}

pub(super) fn syslog(given: &Given) -> Result<Option<Syslog>, Refusal> {
    let Some(text) = given.text("syslog") else { return Ok(None) };
    let legacy = given.flag("legacy-syslog");
    let to = match text.rsplit_once(':') {
        None => SyslogPlace::Unix(absolute(text)),
        Some((host, port)) => {
            let port = port.trim().parse().map_err(|_| {
                Refusal::usage(format!("Error parsing syslog port: expected host:port, got {text}"))
            })?;
            SyslogPlace::Udp(host.trim_matches(['[', ']']).to_owned(), port)
        }
    };
    Ok(Some(Syslog { to, legacy }))
}
