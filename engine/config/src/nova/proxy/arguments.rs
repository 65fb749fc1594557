//! Command lines of nova's programs, in the manner of Python's argparse.
//!
//! In: arguments. Out: which files are read, and what is said in their place, or what is no argument. Long names may be shortened as long as
//! they are clear.

use std::path::PathBuf;

use super::{Program, Refusal};

/// A command line.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// In their order; none: those that are looked for.
    pub(super) sources: Vec<Source>,
    /// Section, key and value, the last one counts.
    pub(super) values: Vec<(&'static str, &'static str, String)>,
    /// Arguments that mean something for Python's logging alone.
    pub(super) ignored: Vec<&'static str>,
    pub(super) help: bool,
    pub(super) version: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Source {
    File(PathBuf),
    Folder(PathBuf),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Flag,
    Value,
    File,
    Folder,
    Ignored,
    IgnoredFlag,
    Help,
    Version,
}

/// Name, what it is, and the section and key that it stands for.
type Known = (&'static str, Kind, &'static str, &'static str);

const DEFAULT: &str = "DEFAULT";

/// Of all programs.
const KNOWN: [Known; 28] = [
    ("help", Kind::Help, "", ""),
    ("version", Kind::Version, "", ""),
    ("config-file", Kind::File, "", ""),
    ("config-dir", Kind::Folder, "", ""),
    ("cert", Kind::Value, DEFAULT, "cert"),
    ("key", Kind::Value, DEFAULT, "key"),
    ("web", Kind::Value, DEFAULT, "web"),
    ("record", Kind::Value, DEFAULT, "record"),
    ("daemon", Kind::Flag, DEFAULT, "daemon"),
    ("ssl_only", Kind::Flag, DEFAULT, "ssl_only"),
    ("source_is_ipv6", Kind::Flag, DEFAULT, "source_is_ipv6"),
    ("debug", Kind::Flag, DEFAULT, "debug"),
    ("log-file", Kind::Value, DEFAULT, "log_file"),
    ("logfile", Kind::Value, DEFAULT, "log_file"),
    ("log-dir", Kind::Value, DEFAULT, "log_dir"),
    ("logdir", Kind::Value, DEFAULT, "log_dir"),
    ("use-syslog", Kind::Flag, DEFAULT, "use_syslog"),
    ("syslog-log-facility", Kind::Ignored, "", ""),
    ("log-config-append", Kind::Ignored, "", ""),
    ("log-config", Kind::Ignored, "", ""),
    ("log_config", Kind::Ignored, "", ""),
    ("log-date-format", Kind::Ignored, "", ""),
    ("use-journal", Kind::IgnoredFlag, "", ""),
    ("use-json", Kind::IgnoredFlag, "", ""),
    ("watch-log-file", Kind::IgnoredFlag, "", ""),
    ("remote_debug-host", Kind::Ignored, "", ""),
    ("remote_debug-port", Kind::Ignored, "", ""),
    ("log-format", Kind::Ignored, "", ""),
];

const OF_NOVNC: &[Known] = &[
    ("vnc-auth_schemes", Kind::Value, "vnc", "auth_schemes"),
    ("vnc-novncproxy_host", Kind::Value, "vnc", "novncproxy_host"),
    ("vnc-novncproxy_port", Kind::Value, "vnc", "novncproxy_port"),
    ("vnc-vencrypt_ca_certs", Kind::Value, "vnc", "vencrypt_ca_certs"),
    ("vnc-vencrypt_client_cert", Kind::Value, "vnc", "vencrypt_client_cert"),
    ("vnc-vencrypt_client_key", Kind::Value, "vnc", "vencrypt_client_key"),
];
const OF_SPICE: &[Known] = &[
    ("spice-html5proxy_host", Kind::Value, "spice", "html5proxy_host"),
    ("spice-html5proxy_port", Kind::Value, "spice", "html5proxy_port"),
];
const OF_SERIAL: &[Known] = &[
    ("serial_console-serialproxy_host", Kind::Value, "serial_console", "serialproxy_host"),
    ("serial_console-serialproxy_port", Kind::Value, "serial_console", "serialproxy_port"),
];

impl Given {
    /// # Errors
    /// The first argument that is none.
    pub(super) fn parse(program: Program, arguments: &[String]) -> Result<Given, Refusal> {
        let mut given = Given::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let long = match argument.as_str() {
                "-h" => "help",
                "-d" => "debug",
                long => long.strip_prefix("--").ok_or_else(|| {
                    Refusal::usage(program, format!("unrecognized arguments: {argument}"))
                })?,
            };
            let (name, joined) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let (known, is_not) = by_name(program, name)?;
            let takes_none =
                matches!(known.1, Kind::Flag | Kind::IgnoredFlag | Kind::Help | Kind::Version);
            let value = match (takes_none, joined) {
                (true, None) => if is_not { "false" } else { "true" }.to_owned(),
                (true, Some(_)) => {
                    let message = format!("argument --{}: ignored explicit argument", known.0);
                    return Err(Refusal::usage(program, message));
                }
                (false, joined) => joined.or_else(|| rest.next().cloned()).ok_or_else(|| {
                    Refusal::usage(
                        program,
                        format!("argument --{}: expected one argument", known.0),
                    )
                })?,
            };
            given.take(known, value);
        }
        Ok(given)
    }

    fn take(&mut self, known: &Known, value: String) {
        let (name, kind, section, key) = *known;
        match kind {
            Kind::Flag | Kind::Value => self.values.push((section, key, value)),
            Kind::File => self.sources.push(Source::File(value.into())),
            Kind::Folder => self.sources.push(Source::Folder(value.into())),
            Kind::Ignored | Kind::IgnoredFlag => self.ignored.push(name),
            Kind::Help => self.help = true,
            Kind::Version => self.version = true,
        }
    }
}

/// And whether its opposite is meant.
fn by_name(program: Program, name: &str) -> Result<(&'static Known, bool), Refusal> {
    let own = match program {
        Program::Novnc => OF_NOVNC,
        Program::SpiceHtml5 => OF_SPICE,
        Program::Serial => OF_SERIAL,
    };
    let known = || KNOWN.iter().chain(own);
    let is_flag = |kind| matches!(kind, Kind::Flag | Kind::IgnoredFlag);
    let opposite = name
        .strip_prefix("no")
        .and_then(|rest| known().find(|(long, kind, ..)| *long == rest && is_flag(*kind)));
    if let Some(opposite) = opposite {
        return Ok((opposite, true));
    }
    if let Some(known) = known().find(|(long, ..)| *long == name) {
        return Ok((known, false));
    }
    let fits: Vec<_> = known().filter(|(long, ..)| long.starts_with(name)).collect();
    match fits[..] {
        [one] => Ok((one, false)),
        [] => Err(Refusal::usage(program, format!("unrecognized arguments: --{name}"))),
        _ => {
            let names: Vec<String> = fits.iter().map(|(long, ..)| format!("--{long}")).collect();
            let message = format!("ambiguous option: --{name} could match {}", names.join(", "));
            Err(Refusal::usage(program, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(arguments: &[&str]) -> Result<Given, String> {
        let arguments: Vec<String> = arguments.iter().map(|text| text.to_string()).collect();
        Given::parse(Program::Novnc, &arguments).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn arguments_are_read_as_nova_s_programs_read_them() {
        let arguments = [
            "--config-file",
            "/a",
            "--config-dir=/b",
            "--ssl_only",
            "--nodaemon",
            "-d",
            "--vnc-novncproxy_p",
            "1",
        ];
        let all = given(&arguments).expect("right");
        assert_eq!(all.sources, [Source::File("/a".into()), Source::Folder("/b".into())]);
        let value = |key: &str| all.values.iter().find(|(_, k, _)| *k == key).map(|v| v.2.as_str());
        assert_eq!((value("ssl_only"), value("daemon")), (Some("true"), Some("false")));
        assert_eq!((value("debug"), value("novncproxy_port")), (Some("true"), Some("1")));
        assert_eq!(given(&["--use-json", "--nouse-journal"]).expect("right").ignored.len(), 2);
        for (arguments, says) in [
            (&["word"][..], "unrecognized"),
            (&["--frob"], "unrecognized"),
            (&["--cert"], "expected one argument"),
            (&["--daemon=yes"], "ignored explicit argument"),
            (&["--spice-html5proxy_port", "1"], "unrecognized"),
            (&["--vnc-vencrypt", "x"], "could match"),
        ] {
            let refused = given(arguments).expect_err(says);
            assert!(refused.contains(says), "{refused}");
        }
    }
}
