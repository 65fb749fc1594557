//! Where a configuration is wrong, and what to put there.

use std::fmt;
use std::ops::Range;

/// Something wrong in a configuration, shown as `file:line:column: what was expected and what came`, with the line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    file: String,
    message: String,
    place: Option<Place>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Place {
    line: usize,
    column: usize,
    width: usize,
    text: String,
}

/// What is wrong, before file and line are known.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Bytes of the source; none: the whole.
    pub(crate) range: Option<Range<usize>>,
    pub(crate) message: String,
}

impl Fault {
    /// One at a range of bytes.
    pub(crate) fn at(range: Range<usize>, message: impl Into<String>) -> Fault {
        Fault { range: Some(range), message: message.into() }
    }
}

impl Error {
    /// One that concerns the file as a whole.
    pub(crate) fn of_file(file: &str, message: impl Into<String>) -> Error {
        Error { file: file.to_owned(), message: message.into(), place: None }
    }

    /// One at a range of bytes of `source`.
    pub(crate) fn at(file: &str, source: &str, range: Range<usize>, message: String) -> Error {
        let start = boundary(source, range.start);
        let before = &source[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let text = source[line_start..].lines().next().unwrap_or_default();
        let column = before[line_start..].chars().count() + 1;
        let end = boundary(source, range.end).max(start);
        let width = source[start..end].lines().next().unwrap_or_default().chars().count().max(1);
        let line = before.matches('\n').count() + 1;
        let place = Place { line, column, width, text: text.to_owned() };
        Error { file: file.to_owned(), message, place: Some(place) }
    }

    /// Line and column, from 1, if the error has a place.
    pub fn position(&self) -> Option<(usize, usize)> {
        self.place.as_ref().map(|place| (place.line, place.column))
    }
}

/// The last character boundary that is not behind `index`.
fn boundary(source: &str, index: usize) -> usize {
    let index = index.min(source.len());
    (0..=index).rev().find(|i| source.is_char_boundary(*i)).unwrap_or(0)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Error { file, message, place } = self;
        let Some(Place { line, column, width, text }) = place else {
            return write!(f, "{file}: {message}");
        };
        let (number, marks) = (line.to_string(), "^".repeat(*width));
        let (gutter, indent) = (number.len(), column - 1);
        writeln!(f, "{file}:{line}:{column}: {message}")?;
        writeln!(f, "  {number} | {text}")?;
        write!(f, "  {:gutter$} | {:indent$}{marks}", "", "")
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_counted_in_characters_and_shown() {
        let source = "a = 1\nbé = \"x\"\n";
        let start = source.find('"').expect("is there");
        let error = Error::at("f.toml", source, start..start + 3, "no".to_owned());
        assert_eq!(error.position(), Some((2, 6)));
        let shown = "f.toml:2:6: no\n  2 | bé = \"x\"\n    |      ^^^";
        assert_eq!(error.to_string(), shown);
    }

    #[test]
    fn the_end_of_the_file_is_a_place() {
        assert_eq!(Error::at("f", "a\n", 2..2, String::new()).position(), Some((2, 1)));
        assert_eq!(Error::at("f", "", 0..9, String::new()).position(), Some((1, 1)));
    }
}
