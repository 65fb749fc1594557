//! Configuration files of oVirt's services: lines in the manner of a shell, a later one counts more.
//!
//! In: files, each with a folder of more beside it. Out: values by name, or the first line that is none. Words end at a blank or a `#` outside double
//! quotes, a backslash takes the next letter as it is, `${NAME}` is what that was set to before, and single quotes are letters. As oVirt's own reader
//! has it, whatever is not closed ends with the line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// What files say.
#[derive(Debug, Default)]
pub(super) struct Values(BTreeMap<String, String>);

/// What is wrong with a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    NoAssignment,
    NoVariable,
}

impl Values {
    /// Reads a file, and then those in the folder `FILE.d` whose names end with `.conf`, by name. What is not there says nothing.
    pub(super) fn load(&mut self, file: &Path) -> Result<(), String> {
        let mut folder = file.as_os_str().to_owned();
        folder.push(".d");
        for file in [vec![file.to_owned()], listed(Path::new(&folder))?].concat() {
            let shown = file.display();
            match fs::read_to_string(&file) {
                Ok(text) => self.take(&text).map_err(|message| format!("{shown}, {message}"))?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("can't read {shown}: {error}")),
            }
        }
        Ok(())
    }

    pub(super) fn take(&mut self, text: &str) -> Result<(), String> {
        for (index, line) in text.replace("\r\n", "\n").split(['\n', '\r']).enumerate() {
            let read = self.read(line);
            read.map_err(|fault| format!("line {}: {}", index + 1, fault.message()))?;
        }
        Ok(())
    }

    /// A value that is not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        let text = self.text(name).unwrap_or_default().to_lowercase();
        ["t", "true", "y", "yes", "1"].contains(&&*text)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    fn read(&mut self, line: &str) -> Result<(), Fault> {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let is_of_name = |letter: char| letter.is_alphanumeric() || letter == '_';
        let (name, value) = line.split_once('=').ok_or(Fault::NoAssignment)?;
        if name.is_empty() || !name.chars().all(is_of_name) {
            return Err(Fault::NoAssignment);
        }
        let value = self.expand(value)?;
        self.0.insert(name.to_owned(), value);
        Ok(())
    }

    fn expand(&self, text: &str) -> Result<String, Fault> {
        let (mut value, mut quoted, mut rest) = (String::new(), false, text.chars());
        while let Some(letter) = rest.next() {
            match letter {
                '\\' => value.extend(rest.next()),
                '$' => {
                    let (name, behind) = rest
                        .as_str()
                        .strip_prefix('{')
                        .and_then(|text| text.split_once('}'))
                        .ok_or(Fault::NoVariable)?;
                    value.push_str(self.0.get(name).map_or("", String::as_str));
                    rest = behind.chars();
                }
                '"' => quoted = !quoted,
                ' ' | '#' if !quoted => break,
                other => value.push(other),
            }
        }
        Ok(value)
    }
}

impl Fault {
    fn message(self) -> &'static str {
        match self {
            Fault::NoAssignment => "expected NAME=value",
            Fault::NoVariable => {
                "expected ${NAME} behind the dollar sign, or a backslash in front of it"
            }
        }
    }
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("can't list {}: {error}", folder.display())),
    };
    let is_meant = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".conf") && !name.starts_with('.')
    };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_meant).collect();
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Option<String> {
        let mut values = Values::default();
        values.take(text).unwrap_or_else(|message| panic!("{message}"));
        values.0.get("A").cloned()
    }

    #[test]
    fn values_are_read_as_ovirt_reads_them() {
        for (text, expected) in [
            ("A=1", "1"),
            ("  A=1", "1"),
            ("A=1 2", "1"),
            ("A=\"1 2\"", "1 2"),
            ("A=1#2", "1"),
            ("A=\"1#2\" # 3", "1#2"),
            ("A= 1", ""),
            ("A=", ""),
            ("A=a=b", "a=b"),
            ("A=\"a\"'b'", "a'b'"),
            ("A=\"a", "a"),
            ("A=a\\ b\\\"c\\$\\\\", "a b\"c$\\"),
            ("A=a\\", "a"),
            ("A=\"a\\nb\"", "anb"),
            ("A=a\tb", "a\tb"),
            ("B=b\nA=${B}/c", "b/c"),
            ("B=b\nA=\"x ${B} y\"", "x b y"),
            ("A=x${none}y", "xy"),
            ("A=1\nA=2", "2"),
            ("A=1\nA=${A}2", "12"),
            ("\n  \n# A=3\n  # \nA=1\r\n", "1"),
            ("A=1\r\nA=2\r\n", "2"),
        ] {
            assert_eq!(value(text).as_deref(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn lines_that_are_none_are_told_by_number() {
        for (text, expected) in [
            ("A=1\nB", "line 2: expected NAME=value"),
            ("A=1\r\nB\r\n", "line 2: expected NAME=value"),
            ("A =1", "line 1: expected NAME=value"),
            ("export A=1", "line 1: expected NAME=value"),
            ("=1", "line 1: expected NAME=value"),
            ("A-B=1", "line 1: expected NAME=value"),
            ("\nA=$B", "line 2: expected ${NAME}"),
            ("A=$", "line 1: expected ${NAME}"),
            ("A=${B", "line 1: expected ${NAME}"),
        ] {
            let message = Values::default().take(text).expect_err(text);
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn a_folder_beside_a_file_says_more_in_the_order_of_names() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("ours");
        let file = dir.path().join("proxy.conf");
        let read = || {
            let mut values = Values::default();
            values.load(&file).map(|()| values.text("A").map(str::to_owned))
        };
        assert_eq!(read(), Ok(None), "there is neither");
        write("proxy.conf", "A=1\n");
        assert_eq!(read(), Ok(Some("1".to_owned())));
        fs::create_dir(dir.path().join("proxy.conf.d")).expect("ours");
        write("proxy.conf.d/20-b.conf", "A=${A}3\n");
        write("proxy.conf.d/10-a.conf", "A=${A}2\n");
        write("proxy.conf.d/15-a.conf", "A=${A}-\n");
        write("proxy.conf.d/30-c.conf.rpmsave", "A=4\n");
        write("proxy.conf.d/.40-d.conf", "A=5\n");
        assert_eq!(read(), Ok(Some("12-3".to_owned())));
        write("proxy.conf.d/50-e.conf", "A=1\nwrong\n");
        let message = read().expect_err("a wrong line");
        assert!(message.contains("50-e.conf, line 2: expected NAME=value"), "{message}");
        fs::write(dir.path().join("proxy.conf.d/50-e.conf"), b"A=\xff\n").expect("ours");
        assert!(read().is_err_and(|message| message.contains("can't read")));
    }

    #[test]
    fn what_is_true_is_one_of_five_words() {
        for (text, expected) in [
            ("A=True", true),
            ("A=YES", true),
            ("A=t", true),
            ("A=\"1\"", true),
            ("A=on", false),
            ("A=False", false),
            ("A=", false),
            ("", false),
        ] {
            let mut values = Values::default();
            values.take(text).expect("lines");
            assert_eq!(values.flag("A"), expected, "{text}");
        }
    }
}
