//! Where messages go: standard error, a file, a server of system messages.
//!
//! In: a line at a time, as the log writes it. Out: the same, or a datagram of RFC 5424, or of the protocol before it. A server that
//! is not there loses messages, and holds up nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use penstock_config::websockify::{Syslog, SyslogPlace};

use crate::failure::Failure;

/// As the syslog of old has it.
const USER: u8 = 1;
const DAEMON: u8 = 3;
/// By which messages are known there; scripts look for it.
const NAME: &str = "websockify";

/// All places together.
pub(super) struct Sinks {
    file: Option<File>,
    server: Option<Server>,
}

struct Server {
    to: Connected,
    facility: u8,
    legacy: bool,
    host: String,
}

enum Connected {
    Unix(UnixDatagram, PathBuf),
    Udp(UdpSocket),
}

/// Opens them.
pub(super) fn of(
    file: Option<&Path>,
    syslog: Option<&Syslog>,
    daemon: bool,
) -> Result<Sinks, Failure> {
    let opened = |path: &Path| OpenOptions::new().create(true).append(true).open(path);
    let file = file.map(|path| opened(path).map_err(|e| Failure::LogFile(path.to_owned(), e)));
    let server = syslog.map(|syslog| Server::connect(syslog, daemon));
    let unreachable = |error| Failure::System("can't reach the server of --syslog", error);
    Ok(Sinks { file: file.transpose()?, server: server.transpose().map_err(unreachable)? })
}

impl Write for Sinks {
    /// Whoever of them can take it gets it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().write_all(line);
        if let Some(server) = &self.server {
            server.send(&String::from_utf8_lossy(line));
        }
        match &mut self.file {
            Some(file) => file.write_all(line).map(|()| line.len()),
            None => Ok(line.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Server {
    fn connect(syslog: &Syslog, daemon: bool) -> io::Result<Server> {
        let to = match &syslog.to {
            SyslogPlace::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_nonblocking(true)?;
                Connected::Unix(socket, path.clone())
            }
            SyslogPlace::Udp(host, port) => {
                let v4 = UdpSocket::bind(("0.0.0.0", 0))?;
                let socket = match v4.connect((host.as_str(), *port)) {
                    Ok(()) => v4,
                    Err(_) => {
                        let v6 = UdpSocket::bind(("::", 0))?;
                        v6.connect((host.as_str(), *port))?;
                        v6
                    }
                };
                Connected::Udp(socket)
            }
        };
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host: String = host.chars().filter(char::is_ascii_graphic).collect();
        let host = if host.is_empty() { "-".to_owned() } else { host };
        let facility = if daemon { DAEMON } else { USER };
        Ok(Server { to, facility, legacy: syslog.legacy, host })
    }

    fn send(&self, line: &str) {
        let message = self.message(line);
        match &self.to {
            Connected::Udp(socket) => {
                let _ = socket.send(&message);
            }
            Connected::Unix(socket, path) => {
                // One that was started anew has another socket.
                if socket.send(&message).is_err() && socket.connect(path).is_ok() {
                    let _ = socket.send(&message);
                }
            }
        }
    }

    /// Of a line such as `2026-11-22T10:00:00.5Z  INFO ready`.
    fn message(&self, line: &str) -> Vec<u8> {
        let line = line.trim();
        let (time, rest) = line.split_once(' ').unwrap_or(("", line));
        let (level, text) = rest.trim_start().split_once(' ').unwrap_or(("", rest));
        let severity = match level {
            "ERROR" => 3,
            "WARN" => 4,
            "DEBUG" | "TRACE" => 7,
            _ => 6,
        };
        let (priority, pid) = (self.facility * 8 + severity, std::process::id());
        let head = match self.legacy {
            true => format!("<{priority}>{NAME}[{pid}]: "),
            false => format!("<{priority}>1 {time} {} {NAME} {pid} - - ", self.host),
        };
        // RFC 5424 §6.4: text that is not ASCII says that it is UTF-8.
        let mark = if text.is_ascii() { "" } else { "\u{feff}" };
        format!("{head}{mark}{}", text.replace('\n', " ")).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_a_message_of_either_protocol() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("log");
        let receiver = UnixDatagram::bind(&path).expect("our directory");
        let server = |legacy, daemon| {
            let syslog = Syslog { to: SyslogPlace::Unix(path.clone()), legacy };
            Server {
                host: "h".to_owned(),
                ..Server::connect(&syslog, daemon).expect("it is there")
            }
        };
        let heard = |server: &Server, line: &str| {
            server.send(line);
            let mut bytes = [0; 512];
            let length = receiver.recv(&mut bytes).expect("it was sent");
            String::from_utf8(bytes[..length].to_vec()).expect("text")
        };
        let (time, pid) = ("2026-11-22T10:00:00.5Z", std::process::id());
        assert_eq!(
            heard(&server(false, false), &format!("{time}  WARN two words\n")),
            format!("<12>1 {time} h websockify {pid} - - two words")
        );
        assert_eq!(
            heard(&server(true, true), &format!("{time} ERROR a\nb\n")),
            format!("<27>websockify[{pid}]: a b")
        );
        let marked = heard(&server(false, false), &format!("{time}  INFO ä\n"));
        assert!(marked.ends_with("- - \u{feff}ä"), "{marked}");
    }
}
