//! The document as one HTML file that needs nothing else: style and plots are inside, there are no scripts.

use super::document::{Block, Line, Span, Style, Table, TableRow, Tone};
use super::plot;

const STYLE: &str = include_str!("style.css");

pub(super) fn render(title: &str, blocks: &[Block]) -> String {
    let mut text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n\
         <style>\n{STYLE}{}</style>\n</head>\n<body>\n<main>\n",
        escape(title),
        plot::dark_style()
    );
    for block in blocks {
        render_block(&mut text, block);
    }
    text + "</main>\n</body>\n</html>\n"
}

fn render_block(text: &mut String, block: &Block) {
    match block {
        Block::Heading { level, text: heading, anchor } => {
            let id = anchor.as_ref().map(|anchor| format!(" id=\"{}\"", escape(anchor)));
            let (id, heading) = (id.unwrap_or_default(), escape(heading));
            *text += &format!("<h{level}{id}>{heading}</h{level}>\n");
        }
        Block::Paragraph(content) => *text += &format!("<p>{}</p>\n", line(content)),
        Block::List(items) => {
            let items = items.iter().map(|item| format!("<li>{}</li>\n", line(item)));
            *text += &format!("<ul>\n{}</ul>\n", items.collect::<String>());
        }
        Block::Table(content) => *text += &table(content),
        Block::Code(code) => *text += &format!("<pre>{}</pre>\n", escape(code.trim_end())),
        Block::Plot(plot) => {
            *text += &format!(
                "<figure>\n<figcaption>{}</figcaption>\n{}</figure>\n",
                escape(&plot.caption),
                plot.svg()
            );
        }
        Block::Folded { title, blocks } => {
            *text += &format!("<details>\n<summary>{}</summary>\n", line(title));
            for block in blocks {
                render_block(text, block);
            }
            *text += "</details>\n";
        }
    }
}

fn table(table: &Table) -> String {
    let class = |is_number| if is_number { " class=\"number\"" } else { "" };
    let is_prose = table.columns.iter().all(|column| !column.is_number);
    let heads = table.columns.iter().map(|column| {
        format!("<th scope=\"col\"{}>{}</th>", class(column.is_number), escape(&column.head))
    });
    let mut text = format!(
        "<div class=\"wide\">\n<table{}>\n<thead><tr>{}</tr></thead>\n<tbody>\n",
        if is_prose { " class=\"prose\"" } else { "" },
        heads.collect::<String>()
    );
    for row in &table.rows {
        text += &table_row(table, row);
    }
    text + "</tbody>\n</table>\n</div>\n"
}

fn table_row(table: &Table, row: &TableRow) -> String {
    let mut text = String::from(if row.is_ours { "<tr class=\"ours\">" } else { "<tr>" });
    let missing = table.columns.len().saturating_sub(row.cells.len());
    for (place, (cell, column)) in row.cells.iter().zip(&table.columns).enumerate() {
        let content = line(cell);
        let is_last = place + 1 == row.cells.len();
        text += &match (place, is_last && missing > 0, column.is_number) {
            (0, _, _) => format!("<th scope=\"row\">{content}</th>"),
            (_, true, _) => format!("<td colspan=\"{}\">{content}</td>", missing + 1),
            (_, false, true) => format!("<td class=\"number\">{content}</td>"),
            (_, false, false) => {
                format!("<td data-head=\"{}\">{content}</td>", escape(&column.head))
            }
        };
    }
    text + "</tr>\n"
}

fn line(line: &Line) -> String {
    line.0.iter().map(inline).collect()
}

fn inline(span: &Span) -> String {
    let text = escape(&span.text);
    match &span.style {
        Style::Plain => text,
        Style::Strong => format!("<strong>{text}</strong>"),
        Style::Code => format!("<code>{text}</code>"),
        Style::Link(anchor) => format!("<a href=\"#{}\">{text}</a>", escape(anchor)),
        Style::Verdict(tone) => {
            let class = match tone {
                Tone::Good => "good",
                Tone::Bad => "bad",
                Tone::Open => "open",
            };
            format!("<strong class=\"{class}\">{text}</strong>")
        }
    }
}

pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '&' => escaped += "&amp;",
            '"' => escaped += "&quot;",
            _ => escaped.push(c),
        }
    }
    escaped
}
