//! Which files are read, and what they say together.
//!
//! In: what a command line names, or nothing; the environment. Out: values of options, with those of others in the place of `$name`; or which file can't be
//! used, and why. Values are never part of a message.

use std::fs;
use std::path::{Path, PathBuf};

use super::arguments::{Given, Source};
use super::ini::Values;
use super::{Environment, Program, Refusal};

/// The option that a variable of the environment is, if it is one: `OS_VNC__NOVNCPROXY_PORT`.
fn option_of(variable: &str) -> Option<(&str, &str)> {
    let is_upper = !variable.contains(|letter: char| letter.is_ascii_lowercase());
    variable.strip_prefix("OS_").filter(|_| is_upper)?.split_once("__")
}

/// References to options within options that refer to others.
const DEPTH_MAX: usize = 8;

/// Options, from wherever they are said.
#[derive(Debug)]
pub(super) struct Options {
    program: Program,
    values: Values,
    /// What was read.
    pub(super) files: Vec<PathBuf>,
}

impl Options {
    /// As oslo.config ranks them: files, above them the environment, above that the command line.
    pub(super) fn read(
        program: Program,
        given: &Given,
        environment: Environment<'_>,
    ) -> Result<Options, Refusal> {
        let mut options = Options { program, values: Values::default(), files: Vec::new() };
        let is_file = |source: &Source| matches!(source, Source::File(_));
        let (files, folders) = sought(program);
        if !given.sources.iter().any(is_file) {
            files.iter().try_for_each(|file| options.read_file(file))?;
        }
        if given.sources.iter().all(is_file) {
            folders.iter().try_for_each(|folder| options.read_folder(folder))?;
        }
        for source in &given.sources {
            match source {
                Source::File(file) => options.read_file(file)?,
                Source::Folder(folder) => options.read_folder(folder)?,
            }
        }
        for (name, value) in environment {
            if let Some((section, key)) = option_of(name) {
                options.values.set(section, key, value);
            }
        }
        for (section, key, value) in &given.values {
            options.values.set(section, key, value);
        }
        Ok(options)
    }

    fn read_file(&mut self, path: &Path) -> Result<(), Refusal> {
        let shown = path.display();
        let text = fs::read_to_string(path);
        let text = text.map_err(|error| {
            Refusal::unusable(self.program, format!("can't read {shown}: {error}"))
        })?;
        self.values.read(&text).map_err(|wrong| {
            let message = format!("{shown}:{}: {}", wrong.line, wrong.what);
            Refusal::unusable(self.program, message)
        })?;
        self.files.push(path.to_owned());
        Ok(())
    }

    fn read_folder(&mut self, path: &Path) -> Result<(), Refusal> {
        let unreadable = |error| {
            Refusal::unusable(self.program, format!("can't read {}: {error}", path.display()))
        };
        let entries = fs::read_dir(path).map_err(unreadable)?;
        let mut files: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|file| is_of_folder(file)).collect();
        files.sort();
        files.iter().try_for_each(|file| self.read_file(file))
    }

    /// The value of an option, if it is said anywhere. An empty one is none.
    pub(super) fn text(&self, section: &str, key: &str) -> Result<Option<String>, Refusal> {
        let Some(value) = self.values.get(section, key) else { return Ok(None) };
        let value = self.substituted(section, value, DEPTH_MAX).ok_or_else(|| {
            let message = "a `$` refers to an option that none of the files has: write its value, or `$$` for a dollar sign";
            self.wrong(section, key, message)
        })?;
        Ok(Some(value).filter(|value| !value.is_empty()))
    }

    pub(super) fn flag(&self, section: &str, key: &str) -> Result<bool, Refusal> {
        let Some(text) = self.text(section, key)? else { return Ok(false) };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(self.wrong(section, key, "expected true or false")),
        }
    }

    pub(super) fn port(&self, section: &str, key: &str, usual: u16) -> Result<u16, Refusal> {
        let text = self.text(section, key)?;
        let port = text.map(|text| text.trim().parse()).transpose();
        let port = port.map_err(|_| self.wrong(section, key, "expected a port, 0 to 65535"))?;
        Ok(port.unwrap_or(usual))
    }

    /// What stands between commas.
    pub(super) fn list(&self, section: &str, key: &str) -> Result<Option<Vec<String>>, Refusal> {
        let text = self.text(section, key)?;
        Ok(text.map(|text| {
            let bare = |item: &str| item.trim().trim_matches(['"', '\'']).to_owned();
            text.split(',').map(bare).filter(|item| !item.is_empty()).collect()
        }))
    }

    /// What is wrong with an option.
    pub(super) fn wrong(&self, section: &str, key: &str, message: &str) -> Refusal {
        Refusal::unusable(self.program, format!("[{section}] {key}: {message}"))
    }

    /// With values in the place of `$name`, `${name}` and `${section.name}`; `$$` and `\$` are a dollar sign.
    fn substituted(&self, section: &str, text: &str, depth: usize) -> Option<String> {
        let (mut result, mut rest) = (String::new(), text);
        while let Some((before, behind)) = rest.split_once('$') {
            if let Some(before) = before.strip_suffix('\\') {
                result += &format!("{before}$");
                rest = behind;
                continue;
            }
            result += before;
            rest = match behind.strip_prefix('$') {
                Some(rest) => {
                    result.push('$');
                    rest
                }
                None => {
                    let (name, rest) = reference(behind)?;
                    result += &self.referred(section, name, depth.checked_sub(1)?)?;
                    rest
                }
            };
        }
        Some(result + rest)
    }

    fn referred(&self, section: &str, name: &str, depth: usize) -> Option<String> {
        let (section, key) = name.split_once('.').unwrap_or((section, name));
        let of_all = || Some(("DEFAULT", self.values.get("DEFAULT", key)?));
        let own = self.values.get(section, key).map(|value| (section, value));
        let (section, value) = own.or_else(of_all)?;
        self.substituted(section, value, depth)
    }
}

/// The name behind a dollar sign, and what follows it.
fn reference(text: &str) -> Option<(&str, &str)> {
    if let Some(braced) = text.strip_prefix('{') {
        return braced.split_once('}');
    }
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let end = text.find(|c| !is_of_name(c)).unwrap_or(text.len());
    let end = text[..end].trim_end_matches('.').len();
    (end > 0).then(|| text.split_at(end))
}

/// As Python's `*.conf` has it.
fn is_of_folder(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".conf") && !name.starts_with('.')
}

/// Files and folders that are read where none are named: of each the first that is there.
fn sought(program: Program) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let own = home.iter().flat_map(|home| [home.join(".nova"), home.clone()]);
    let places: Vec<PathBuf> = own.chain(["/etc/nova".into(), "/etc".into()]).collect();
    let first = |name: String| places.iter().map(|place| place.join(&name)).find(|p| p.exists());
    let of = |ending: &str| {
        ["nova", program.name()]
            .iter()
            .filter_map(|name| first(format!("{name}{ending}")))
            .collect()
    };
    (of(".conf"), of(".conf.d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(files: &[(&str, &str)], arguments: &[&str]) -> Result<Options, String> {
        let place = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(place.path().join(name), text).expect("our folder");
        }
        let here = place.path().display().to_string();
        let arguments: Vec<String> =
            arguments.iter().map(|text| text.replace("HERE", &here)).collect();
        let given = Given::parse(Program::Serial, &arguments).expect("right");
        Options::read(Program::Serial, &given, &[]).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn later_files_win_and_arguments_win_over_files() {
        let files = [
            ("one", "[DEFAULT]\nweb = one\nkey = one\ncert = one\nrecord = one"),
            ("b.conf", "[DEFAULT]\nkey = b\ncert = b"),
            ("a.conf", "[DEFAULT]\nkey = a\ncert = a\nrecord = a"),
            ("c.txt", "[DEFAULT]\nkey = c"),
        ];
        let arguments = ["--config-file=HERE/one", "--config-dir=HERE", "--cert", "own"];
        let options = options(&files, &arguments).expect("right");
        let text = |key: &str| options.text("DEFAULT", key).expect("right").unwrap_or_default();
        assert_eq!(
            [text("web"), text("record"), text("key"), text("cert")],
            ["one", "a", "b", "own"]
        );
        assert_eq!(options.files.len(), 3);
    }

    #[test]
    fn values_may_refer_to_others() {
        let text = "[DEFAULT]\nmy_ip = 10.0.0.1\nstate = /s\nlog_dir = $state/log\nloop = $loop\n[vnc]\na = ${my_ip}:1\nb = $my_ip.\nc = ${DEFAULT.log_dir}\nd = 5$$ \\$x\ne = $canary\nf = 100%s\nyes = On\nlist = a, 'b' ,,c\nport = x";
        let options = options(&[("f", text)], &["--config-file=HERE/f"]).expect("right");
        let value = |key: &str| options.text("vnc", key).expect(key).expect(key);
        for (key, expected) in [
            ("a", "10.0.0.1:1"),
            ("b", "10.0.0.1."),
            ("c", "/s/log"),
            ("d", "5$ $x"),
            ("f", "100%s"),
        ] {
            assert_eq!(value(key), expected);
        }
        assert!(options.flag("vnc", "yes").expect("right"));
        assert_eq!(
            options.list("vnc", "list").expect("right"),
            Some(vec!["a".into(), "b".into(), "c".into()])
        );
        let refused = options.text("vnc", "e").expect_err("no such option").to_string();
        assert!(refused.contains("[vnc] e") && !refused.contains("canary"), "{refused}");
        assert!(options.text("DEFAULT", "loop").is_err(), "it has no end");
        assert!(options.port("vnc", "port", 1).is_err() && options.flag("vnc", "a").is_err());
    }

    #[test]
    fn a_file_that_can_t_be_used_is_named() {
        let missing = options(&[], &["--config-file=HERE/none"]).expect_err("it is not there");
        assert!(missing.contains("/none: "), "{missing}");
        let wrong = options(&[("f", "[a]\nconnection canary")], &["--config-file=HERE/f"]);
        let wrong = wrong.expect_err("no value");
        assert!(wrong.contains("/f:2: ") && !wrong.contains("canary"), "{wrong}");
    }
}
