//! Files in the manner of oslo.config: sections, `key = value`, and values that go on in lines that begin with a blank.
//!
//! In: the text of a file. Out: its values, added to those of the files before, which later ones replace; or the number of the line that is none.

use std::collections::HashMap;

/// Values by section and key, both in lower case.
#[derive(Debug, Default)]
pub(super) struct Values(HashMap<(String, String), String>);

/// A line that is neither, by its number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Wrong {
    pub(super) line: usize,
    pub(super) what: &'static str,
}

/// A value that may go on.
struct Open {
    key: String,
    lines: Vec<String>,
}

impl Values {
    /// As it stands in the file.
    pub(super) fn get(&self, section: &str, key: &str) -> Option<&str> {
        self.0.get(&(section.to_ascii_lowercase(), key.to_ascii_lowercase())).map(String::as_str)
    }

    pub(super) fn set(&mut self, section: &str, key: &str, value: &str) {
        let place = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
        self.0.insert(place, value.to_owned());
    }

    /// # Errors
    /// The first line that is none of a configuration.
    pub(super) fn read(&mut self, text: &str) -> Result<(), Wrong> {
        let (mut section, mut open): (Option<String>, Option<Open>) = (None, None);
        for (number, line) in text.lines().enumerate() {
            let wrong = |what| Wrong { line: number + 1, what };
            let line = line.trim_end();
            if line.starts_with([' ', '\t']) && !line.trim_start().is_empty() {
                let open = open.as_mut().ok_or(wrong("a value goes on that has not begun"))?;
                open.lines.push(line.trim_start().to_owned());
                continue;
            }
            self.close(section.as_deref(), open.take());
            if let Some(name) = line.strip_prefix('[') {
                let name = name.strip_suffix(']').filter(|name| !name.is_empty());
                section = Some(name.ok_or(wrong("expected a section such as [vnc]"))?.to_owned());
            } else if !line.is_empty() && !line.starts_with(['#', ';']) {
                if section.is_none() {
                    return Err(wrong("expected a section such as [DEFAULT] before the first key"));
                }
                open = Some(assignment(line).ok_or(wrong("expected `key = value`"))?);
            }
        }
        self.close(section.as_deref(), open);
        Ok(())
    }

    fn close(&mut self, section: Option<&str>, open: Option<Open>) {
        if let (Some(section), Some(Open { key, lines })) = (section, open) {
            self.set(section, &key, &lines.join("\n"));
        }
    }
}

/// Whichever of `=` and `:` comes first divides.
fn assignment(line: &str) -> Option<Open> {
    let (key, value) = line.split_at(line.find(['=', ':'])?);
    let (key, value) = (key.trim(), value[1..].trim());
    let quoted = ["\"", "'"]
        .iter()
        .find_map(|quote| value.strip_prefix(quote).and_then(|value| value.strip_suffix(quote)));
    let lines = vec![quoted.unwrap_or(value).to_owned()];
    (!key.is_empty()).then(|| Open { key: key.to_owned(), lines })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_oslo_config_reads_them() {
        let mut values = Values::default();
        let first = "# all\n[DEFAULT]\n; note\nweb = /a\nkey:/k\nempty =\n[vnc]\nauth_schemes = vencrypt,\n   none\n\nnovncproxy_host = \"::1\"\n[Database]\nconnection = mysql://u:100%@h/n?charset=utf8\n";
        values.read(first).expect("right");
        values.read("[DEFAULT]\nWeb = '/b'\n[vnc]\n").expect("right");
        let found = [
            ("DEFAULT", "web", "/b"),
            ("DEFAULT", "key", "/k"),
            ("DEFAULT", "empty", ""),
            ("vnc", "auth_schemes", "vencrypt,\nnone"),
            ("vnc", "novncproxy_host", "::1"),
            ("database", "connection", "mysql://u:100%@h/n?charset=utf8"),
        ];
        for (section, key, value) in found {
            assert_eq!(values.get(section, key), Some(value), "{section} {key}");
        }
        assert_eq!(values.get("vnc", "web"), None);
        for (text, line) in [
            ("web = /a", 1),
            ("[a]\n\n b", 3),
            ("[a\n", 1),
            ("[]", 1),
            ("[a]\nword", 2),
            ("[a]\n= x", 2),
        ] {
            let wrong = Values::default().read(text).expect_err(text);
            assert_eq!(wrong.line, line, "{text}: {}", wrong.what);
        }
    }
}
