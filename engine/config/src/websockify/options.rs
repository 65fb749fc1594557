//! A command line in the manner of Python's optparse, which websockify reads its own with.
//!
//! In: arguments. Out: options and what stands between them, in their order, or the first that is none. Long names may be shortened as long
//! as they are clear, short ones joined, values may begin with a dash, and of an option that is given twice the last one counts.

use super::Refusal;

/// One option.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) long: &'static str,
    short: Option<char>,
    kind: Kind,
    /// websockify does not know it, and may have shortened names that begin like it.
    is_ours: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Flag,
    Text,
    Number,
    Choice(&'static [&'static str]),
}

/// One of the things that a command line consists of.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Option(&'static Known, Option<String>),
    Word(String),
    /// `--`: what follows is no option.
    Dashes,
}

/// All of a command line.
#[derive(Debug)]
pub(super) struct Given(pub(super) Vec<Item>);

const fn flag(long: &'static str) -> Known {
    Known { long, short: None, kind: Kind::Flag, is_ours: false }
}

const fn short(long: &'static str, short: char) -> Known {
    Known { long, short: Some(short), kind: Kind::Flag, is_ours: false }
}

const fn text(long: &'static str) -> Known {
    Known { long, short: None, kind: Kind::Text, is_ours: false }
}

const fn ours(long: &'static str) -> Known {
    Known { is_ours: true, ..text(long) }
}

const fn number(long: &'static str) -> Known {
    Known { long, short: None, kind: Kind::Number, is_ours: false }
}

const fn choice(long: &'static str, of: &'static [&'static str]) -> Known {
    Known { long, short: None, kind: Kind::Choice(of), is_ours: false }
}

/// websockify's (0.10, and three of later versions), and in the end ours.
pub(super) const KNOWN: [Known; 40] = [
    short("help", 'h'),
    short("verbose", 'v'),
    flag("traffic"),
    text("record"),
    short("daemon", 'D'),
    flag("run-once"),
    number("timeout"),
    number("idle-timeout"),
    text("cert"),
    text("key"),
    text("key-password"),
    flag("ssl-only"),
    flag("ssl-target"),
    flag("verify-client"),
    text("cafile"),
    choice("ssl-version", &["default", "tlsv1_1", "tlsv1_2", "tlsv1_3"]),
    text("ssl-ciphers"),
    text("unix-listen"),
    text("unix-listen-mode"),
    text("unix-target"),
    flag("inetd"),
    text("web"),
    flag("web-auth"),
    flag("file-only"),
    choice("wrap-mode", &["exit", "ignore", "respawn"]),
    short("prefer-ipv6", '6'),
    flag("libserver"),
    text("target-config"),
    text("token-plugin"),
    text("token-source"),
    flag("host-token"),
    text("auth-plugin"),
    text("auth-source"),
    number("heartbeat"),
    text("log-file"),
    text("syslog"),
    flag("legacy-syslog"),
    ours("key-password-file"),
    ours("token-source-file"),
    ours("auth-source-file"),
];

impl Given {
    /// # Errors
    /// The first argument that is no option, or an option whose value is none.
    pub(super) fn parse(arguments: &[String]) -> Result<Given, Refusal> {
        let mut items = Vec::new();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if argument == "--" {
                items.push(Item::Dashes);
                items.extend(rest.by_ref().cloned().map(Item::Word));
            } else if let Some(long) = argument.strip_prefix("--") {
                items.push(long_option(long, &mut rest)?);
            } else if let Some(letters) = argument.strip_prefix('-').filter(|rest| !rest.is_empty())
            {
                for letter in letters.chars() {
                    let known = KNOWN.iter().find(|known| known.short == Some(letter));
                    let known = known
                        .ok_or_else(|| Refusal::usage(format!("no such option: -{letter}")))?;
                    items.push(Item::Option(known, None));
                }
            } else {
                items.push(Item::Word(argument.clone()));
            }
        }
        Ok(Given(items))
    }

    fn last(&self, long: &str) -> Option<&Item> {
        let is_it = |item: &&Item| matches!(item, Item::Option(known, _) if known.long == long);
        self.0.iter().rev().find(is_it)
    }

    pub(super) fn flag(&self, long: &str) -> bool {
        self.last(long).is_some()
    }

    /// A value that is not empty.
    pub(super) fn text(&self, long: &str) -> Option<&str> {
        match self.last(long) {
            Some(Item::Option(_, Some(value))) => Some(value.as_str()).filter(|v| !v.is_empty()),
            _ => None,
        }
    }

    /// A number of seconds; zero is none.
    pub(super) fn seconds(&self, long: &str) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.text(long) else { return Ok(None) };
        let wrong = || {
            Refusal::usage(format!(
                "option --{long}: expected a number of seconds from 0 on, got {text}"
            ))
        };
        let seconds = integer(text).and_then(|number| u64::try_from(number).ok());
        seconds.filter(|seconds| *seconds <= u64::from(u32::MAX)).ok_or_else(wrong).map(nonzero)
    }

    /// What is no option, in front of `--`.
    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|item| match item {
            Item::Word(word) => Some(word.as_str()),
            _ => None,
        })
    }

    /// Whether there is a `--`.
    pub(super) fn has_dashes(&self) -> bool {
        self.0.iter().any(|item| matches!(item, Item::Dashes))
    }
}

fn nonzero(number: u64) -> Option<u64> {
    Some(number).filter(|number| *number > 0)
}

fn long_option<'a>(
    argument: &str,
    rest: &mut impl Iterator<Item = &'a String>,
) -> Result<Item, Refusal> {
    let (name, joined) = match argument.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (argument, None),
    };
    let known = by_name(name)?;
    match (known.kind, joined) {
        (Kind::Flag, None) => Ok(Item::Option(known, None)),
        (Kind::Flag, Some(_)) => {
            Err(Refusal::usage(format!("--{} option does not take a value", known.long)))
        }
        (kind, joined) => {
            let value = joined.or_else(|| rest.next().cloned());
            let value = value.ok_or_else(|| {
                Refusal::usage(format!("--{} option requires 1 argument", known.long))
            })?;
            judge(known.long, kind, &value)?;
            Ok(Item::Option(known, Some(value)))
        }
    }
}

/// The option of that name, or the only one of websockify's whose name begins so.
fn by_name(name: &str) -> Result<&'static Known, Refusal> {
    if let Some(known) = KNOWN.iter().find(|known| known.long == name) {
        return Ok(known);
    }
    let fits = |known: &&Known| known.long.starts_with(name) && !known.is_ours;
    let fit: Vec<_> = KNOWN.iter().filter(fits).collect();
    match fit.as_slice() {
        [] => Err(Refusal::usage(format!("no such option: --{name}"))),
        [one] => Ok(one),
        several => {
            let names: Vec<String> =
                several.iter().map(|known| format!("--{}", known.long)).collect();
            Err(Refusal::usage(format!("ambiguous option: --{name} ({}?)", names.join(", "))))
        }
    }
}

fn judge(long: &str, kind: Kind, value: &str) -> Result<(), Refusal> {
    match kind {
        Kind::Number if integer(value).is_none() => {
            Err(Refusal::usage(format!("option --{long}: invalid integer value: '{value}'")))
        }
        Kind::Choice(of) if !of.contains(&value) => {
            let of = of.join(", ");
            Err(Refusal::usage(format!(
                "option --{long}: invalid choice: '{value}' (choose from {of})"
            )))
        }
        _ => Ok(()),
    }
}

/// As optparse reads it: in decimal, or with `0x`, `0b` or a zero in front.
fn integer(text: &str) -> Option<i64> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    let radix = |prefix: &str, radix| {
        lower.strip_prefix(prefix).map(|digits| i64::from_str_radix(digits, radix).ok())
    };
    if let Some(number) = radix("0x", 16).or_else(|| radix("0b", 2)) {
        return number;
    }
    match lower.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => i64::from_str_radix(octal, 8).ok(),
        _ => text.parse().ok(),
    }
}
