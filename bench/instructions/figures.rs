//! Figures as a text file, and two sets of them compared.
//!
//! In: what is committed and what was counted. Out: a table, and whether it may pass.

use std::fmt;
use std::str::FromStr;

/// How to make the committed figures those that were counted.
pub(crate) const ACCEPT: &str = "cargo bench -p penstock-bench --bench instructions -- --accept";

/// By how many per cent a figure may rise.
const BOUND: f64 = 5.0;
/// The same when compiler or C library are not those that the figures were made with.
const BOUND_ELSEWHERE: f64 = 25.0;

const MADE_WITH: &str = "made with: ";

/// Instructions of every subject.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figures {
    /// Compiler, target and C library.
    pub(crate) made_with: String,
    pub(crate) figures: Vec<Figure>,
}

/// Instructions for one head, request, tag or timer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) instructions: f64,
}

/// What became of the figures; shown as a table with its conclusions.
pub(crate) struct Comparison {
    table: String,
    complaints: Vec<String>,
}

impl Figures {
    /// `self` is what is committed.
    pub(crate) fn compare(&self, counted: &Figures) -> Comparison {
        let is_same = self.made_with == counted.made_with;
        let bound = if is_same { BOUND } else { BOUND_ELSEWHERE };
        let mut table = format!("{:>12} {:>12}\n", "committed", "counted");
        let mut complaints = Vec::new();
        let mut has_improved = false;
        for Figure { name, instructions: now } in &counted.figures {
            let Some(before) = self.get(name) else {
                table += &format!("{:>12} {now:>12.1}           {name}\n", "-");
                complaints.push(format!("{name}: has no committed figure"));
                continue;
            };
            let change = (now / before - 1.0) * 100.0;
            table += &format!("{before:>12.1} {now:>12.1} {change:>+8.1} % {name}\n");
            has_improved |= change < -BOUND;
            if change > bound {
                complaints.push(format!(
                    "{name}: {change:.1} % more instructions ({before:.1} before, now {now:.1}; allowed: {bound} %)"
                ));
            }
        }
        let gone = self.figures.iter().filter(|figure| counted.get(&figure.name).is_none());
        complaints.extend(gone.map(|Figure { name, .. }| format!("{name}: is no longer counted")));
        if !is_same {
            let (before, now) = (&self.made_with, &counted.made_with);
            table += &format!(
                "the figures were made with\n  {before}, this is\n  {now}:\nonly more than {bound} % fails\n"
            );
        }
        if has_improved && is_same {
            table += &format!("cheaper by more than {BOUND} %; to keep it: {ACCEPT}\n");
        }
        Comparison { table, complaints }
    }

    fn get(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.name == name).map(|figure| figure.instructions)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Instructions for one head, request, tag or timer. Written by")?;
        writeln!(f, "# {ACCEPT}")?;
        writeln!(f, "{MADE_WITH}{}", self.made_with)?;
        for Figure { name, instructions } in &self.figures {
            writeln!(f, "{instructions:>12.1} {name}")?;
        }
        Ok(())
    }
}

impl FromStr for Figures {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let made_with = lines.next().and_then(|line| line.strip_prefix(MADE_WITH));
        let figure = |line: &str| {
            let (number, name) = line.trim().split_once(' ')?;
            Some(Figure { name: name.to_owned(), instructions: number.parse().ok()? })
        };
        let figures = lines.map(|line| figure(line).ok_or(format!("`{line}` is no figure")));
        Ok(Figures {
            made_with: made_with.ok_or(format!("no line begins with `{MADE_WITH}`"))?.to_owned(),
            figures: figures.collect::<Result<_, _>>()?,
        })
    }
}

impl Comparison {
    /// Whether nothing rose too far, appeared or vanished.
    pub(crate) fn is_good(&self) -> bool {
        self.complaints.is_empty()
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table)?;
        for complaint in &self.complaints {
            writeln!(f, "FAILED {complaint}")?;
        }
        if !self.is_good() {
            writeln!(f, "if this is what it should cost, commit what this writes: {ACCEPT}")?;
        }
        Ok(())
    }
}
