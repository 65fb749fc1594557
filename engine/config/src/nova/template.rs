//! What instances are called: nova's `instance_name_template`, in the manner of Python's `%`.

use penstock_core::config::{NamePiece, NameTemplate};

/// # Errors
/// What is wrong with it.
pub(crate) fn parse(text: &str) -> Result<NameTemplate, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('%') {
        push_text(&mut pieces, before);
        rest = match behind.strip_prefix('%') {
            Some(rest) => {
                push_text(&mut pieces, "%");
                rest
            }
            None => {
                let (piece, rest) = placeholder(behind)?;
                pieces.push(piece);
                rest
            }
        };
    }
    push_text(&mut pieces, rest);
    if pieces.iter().all(|piece| matches!(piece, NamePiece::Text(_))) {
        return Err(
            "all instances would have one name: expected `%08x` or `%(uuid)s` in it".to_owned()
        );
    }
    Ok(NameTemplate(pieces))
}

fn push_text(pieces: &mut Vec<NamePiece>, text: &str) {
    if !text.is_empty() {
        pieces.push(NamePiece::Text(text.into()));
    }
}

/// What is behind a percent sign: `08x`, `(id)d`, `(uuid)s`.
fn placeholder(text: &str) -> Result<(NamePiece, &str), String> {
    let (name, text) = match text.strip_prefix('(') {
        Some(named) => named.split_once(')').ok_or("a parenthesis has no other")?,
        None => ("id", text),
    };
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (width, text) = text.split_at(digits);
    let mut letters = text.chars();
    let kind = letters.next().unwrap_or_default();
    let number = width.trim_start_matches('0').parse().unwrap_or(0).min(64);
    let piece = match (name, kind) {
        ("uuid", 's') if width.is_empty() => NamePiece::Uuid,
        ("id", 'd' | 'i' | 'u' | 's') => NamePiece::Decimal(number),
        ("id", 'x') => NamePiece::Hexadecimal(number),
        _ => {
            return Err(format!(
                "expected `%08x`, `%d`, `%(id)d` or `%(uuid)s`, came `%({name}){width}{kind}`"
            ));
        }
    };
    Ok((piece, letters.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_as_python_makes_them() {
        for (template, name) in [
            ("instance-%08x", "instance-0000001f"),
            ("%x", "1f"),
            ("i-%d-%%", "i-31-%"),
            ("%(id)05d", "00031"),
            ("vm-%(uuid)s.x", "vm-u.x"),
        ] {
            let parsed = parse(template).expect(template);
            assert_eq!(&*parsed.name(31, "u"), name, "{template}");
        }
        for wrong in ["instance", "%%", "%", "%(uuid)", "%(uuid", "%(display_name)s", "%q"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
