//! What both renderings are made from: blocks of lines of spans. It knows neither HTML nor Markdown, so that nothing is
//! escaped here.

use super::plot::Plot;

pub(super) enum Block {
    /// Level 1 is the title. `anchor` is what links point at.
    Heading {
        level: usize,
        text: String,
        anchor: Option<String>,
    },
    Paragraph(Line),
    List(Vec<Line>),
    Table(Table),
    /// Shell commands or a configuration file.
    Code(String),
    /// Where pictures can be shown.
    Plot(Plot),
    /// Detail that is closed where a page can be folded.
    Folded {
        title: Line,
        blocks: Vec<Block>,
    },
}

#[derive(Default)]
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<TableRow>,
}

pub(super) struct Column {
    pub(super) head: String,
    pub(super) is_number: bool,
}

pub(super) struct TableRow {
    /// Fewer than columns: the last one stands for the rest.
    pub(super) cells: Vec<Line>,
    pub(super) is_ours: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Line(pub(super) Vec<Span>);

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) text: String,
    pub(super) style: Style,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Style {
    Plain,
    Strong,
    Code,
    Verdict(Tone),
    /// To an anchor of this document.
    Link(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Bad,
    Open,
}

impl Block {
    pub(super) fn heading(level: usize, text: impl Into<String>) -> Block {
        Block::Heading { level, text: text.into(), anchor: None }
    }

    pub(super) fn paragraph(line: impl Into<Line>) -> Block {
        Block::Paragraph(line.into())
    }
}

impl Table {
    /// Numbers are those whose head begins with '#'.
    pub(super) fn new(heads: &[&str]) -> Table {
        let column = |head: &&str| Column {
            head: head.trim_start_matches('#').to_owned(),
            is_number: head.starts_with('#'),
        };
        Table { columns: heads.iter().map(column).collect(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, is_ours: bool, cells: Vec<Line>) {
        self.rows.push(TableRow { cells, is_ours });
    }
}

impl Line {
    pub(super) fn text(self, text: impl Into<String>) -> Line {
        self.with(text, Style::Plain)
    }

    pub(super) fn strong(self, text: impl Into<String>) -> Line {
        self.with(text, Style::Strong)
    }

    pub(super) fn code(self, text: impl Into<String>) -> Line {
        self.with(text, Style::Code)
    }

    pub(super) fn verdict(self, tone: Tone, text: impl Into<String>) -> Line {
        self.with(text, Style::Verdict(tone))
    }

    pub(super) fn link(self, anchor: &str, text: impl Into<String>) -> Line {
        self.with(text, Style::Link(anchor.to_owned()))
    }

    fn with(mut self, text: impl Into<String>, style: Style) -> Line {
        self.0.push(Span { text: text.into(), style });
        self
    }
}

impl<T: Into<String>> From<T> for Line {
    fn from(text: T) -> Line {
        Line::default().text(text)
    }
}
