//! The document as Markdown, plots left out. Whatever a record says stays text: nothing of it becomes markup.

use super::document::{Block, Line, Span, Style, Table};

pub(super) fn render(blocks: &[Block]) -> String {
    let mut text = String::new();
    for block in blocks {
        render_block(&mut text, block);
    }
    text
}

fn render_block(text: &mut String, block: &Block) {
    match block {
        Block::Heading { level, text: heading, anchor } => {
            if let Some(anchor) = anchor {
                *text += &format!("<a id=\"{}\"></a>\n\n", escape(anchor));
            }
            *text += &format!("{} {}\n\n", "#".repeat(*level), escape(heading));
        }
        Block::Paragraph(content) => *text += &format!("{}\n\n", line(content)),
        Block::List(items) => {
            for item in items {
                *text += &format!("- {}\n", line(item));
            }
            text.push('\n');
        }
        Block::Table(content) => *text += &table(content),
        Block::Code(code) => {
            let fence = fence(code, 3);
            *text += &format!("{fence}\n{}\n{fence}\n\n", code.trim_end());
        }
        Block::Plot(_) => {}
        Block::Folded { title, blocks } => {
            *text += &format!("{}:\n\n", line(title));
            for block in blocks {
                render_block(text, block);
            }
        }
    }
}

fn table(table: &Table) -> String {
    let cells = |cells: &mut dyn Iterator<Item = String>| {
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let mut text = cells(&mut table.columns.iter().map(|column| escape(&column.head)));
    text += &cells(
        &mut table.columns.iter().map(|c| if c.is_number { "---:" } else { "---" }.to_owned()),
    );
    for row in &table.rows {
        let missing = table.columns.len().saturating_sub(row.cells.len());
        let empty = std::iter::repeat_n(String::new(), missing);
        text += &cells(&mut row.cells.iter().map(in_table).chain(empty));
    }
    text + "\n"
}

fn in_table(line: &Line) -> String {
    let spans = line.0.iter().map(|span| match &span.style {
        // A table's cells are cut before code is recognised.
        Style::Code => code(&span.text).replace('|', "\\|"),
        _ => inline(span),
    });
    spans.collect()
}

fn line(line: &Line) -> String {
    line.0.iter().map(inline).collect()
}

fn inline(span: &Span) -> String {
    match &span.style {
        Style::Plain => escape(&span.text),
        Style::Strong | Style::Verdict(_) => format!("**{}**", escape(&span.text)),
        Style::Code => code(&span.text),
        Style::Link(anchor) => format!("[{}](#{})", escape(&span.text), escape(anchor)),
    }
}

fn code(text: &str) -> String {
    let (text, fence) = (one_line(text), fence(text, 1));
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// More backticks than stand together in `text`.
fn fence(text: &str, least: usize) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    "`".repeat(least.max(longest + 1))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    let mut before = ' ';
    let mut following = text.chars().skip(1);
    for c in text.chars() {
        let after = following.next().unwrap_or(' ');
        match c {
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '&' => escaped += "&amp;",
            '\n' | '\r' => escaped.push(' '),
            // Inside a word an underscore is only that.
            '_' if before.is_alphanumeric() && after.is_alphanumeric() => escaped.push(c),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' => escaped.extend(['\\', c]),
            _ => escaped.push(c),
        }
        before = c;
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_never_becomes_markup() {
        assert_eq!(escape("a|b <i>&*c* io_uring _d_"), r"a\|b &lt;i&gt;&amp;\*c\* io_uring \_d\_");
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`"), "`` ` ``");
        let mut content = Table::new(&["one", "#two"]);
        content.row(false, vec![Line::default().code("x|y"), "1".into()]);
        content.row(false, vec!["only".into()]);
        let expected = "| one | two |\n| --- | ---: |\n| `x\\|y` | 1 |\n| only |  |\n\n";
        assert_eq!(table(&content), expected);
    }

    #[test]
    fn a_fence_holds_what_it_fences() {
        let block = [Block::Code("```\nx".into())];
        assert_eq!(render(&block), "````\n```\nx\n````\n\n");
    }
}
