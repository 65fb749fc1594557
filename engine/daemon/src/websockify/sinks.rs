//! Where messages go: standard error, a file, a server of system messages.
//!
//! In: a line at a time, as the log writes it. Out: the same, or a datagram of RFC 5424, or of the protocol before it. A server that
//! is not there, or does not read, loses messages, and holds up nothing.

use std::io::{self, ErrorKind, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use penstock_config::websockify::{Syslog, SyslogPlace};

use super::log_file::LogFile;
use crate::failure::Failure;

/// As the syslog of old has it.
const USER: u8 = 1;
const DAEMON: u8 = 3;
/// By which messages are known there; scripts look for it.
const NAME: &str = "websockify";

/// All places together.
pub(super) struct Sinks {
    file: Option<LogFile>,
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

/// Opens them. `moved` says when the file has been moved away.
pub(super) fn of(
    file: Option<&Path>,
    moved: Arc<AtomicBool>,
    syslog: Option<&Syslog>,
    daemon: bool,
) -> Result<Sinks, Failure> {
    let opened = |path: &Path| {
        LogFile::open(path, moved).map_err(|error| Failure::LogFile(path.to_owned(), error))
    };
    let file = file.map(opened);
    let server = syslog.map(|syslog| Server::connect(syslog, daemon));
    let unreachable = |error| Failure::System("can't reach the server of --syslog", error);
    Ok(Sinks { file: file.transpose()?, server: server.transpose().map_err(unreachable)? })
}

impl Sinks {
    /// What the operator should know.
    pub(super) fn warning(&self) -> Option<String> {
        match &self.server.as_ref()?.to {
            Connected::Unix(socket, path) if socket.peer_addr().is_err() => Some(format!(
                "--syslog: nobody listens at {} yet, and messages are lost until somebody does",
                path.display()
            )),
            Connected::Unix(..) | Connected::Udp(_) => None,
        }
    }
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
                match socket.connect(path).map_err(|error| (error.kind(), error)) {
                    // At boot it may come after us.
                    Ok(()) | Err((ErrorKind::NotFound | ErrorKind::ConnectionRefused, _)) => {}
                    Err((_, error)) => return Err(error),
                }
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

    #[test]
    fn a_server_may_come_later_and_be_started_anew() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("log");
        let syslog = Syslog { to: SyslogPlace::Unix(path.clone()), legacy: true };
        let mut sinks = of(None, Arc::default(), Some(&syslog), false).expect("it may come later");
        assert!(sinks.warning().is_some_and(|text| text.contains("nobody listens")));
        for _ in 0..2 {
            sinks.write_all(b"t INFO lost").expect("nothing is held up");
            let receiver = UnixDatagram::bind(&path).expect("our directory");
            sinks.write_all(b"t INFO heard").expect("nothing is held up");
            assert!(sinks.warning().is_none());
            let mut bytes = [0; 512];
            let length = receiver.recv(&mut bytes).expect("it was sent");
            assert!(bytes[..length].ends_with(b": heard"));
            std::fs::remove_file(&path).expect("our directory");
        }
    }

    #[test]
    fn a_server_that_does_not_read_holds_up_nothing() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("log");
        let _receiver = UnixDatagram::bind(&path).expect("our directory");
        let syslog = Syslog { to: SyslogPlace::Unix(path.clone()), legacy: true };
        let mut sinks = of(None, Arc::default(), Some(&syslog), false).expect("it is there");
        for _ in 0..1000 {
            sinks.write_all(b"t INFO x\n").expect("nothing is held up");
        }
    }
}
