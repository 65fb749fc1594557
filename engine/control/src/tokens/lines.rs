//! Lines `token: host:port`, as websockify reads them.
//!
//! In: the bytes of a file. Out: tokens with the text of their targets, and how many lines were none. A token ends at its first colon that
//! white space follows, and there may be only one such colon. White space is what Python takes for it.

/// A line that names a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Line<'t> {
    /// From one on.
    pub(super) number: usize,
    pub(super) token: &'t str,
    /// Not yet read any further.
    pub(super) target: &'t str,
}

/// Every line that names a token or should; those that do not, by their number.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = Result<Line<'_>, usize>> {
    let ended = text.split_inclusive(|byte| matches!(byte, b'\n' | b'\r'));
    // The line feed of a pair ends nothing that the carriage return has not.
    let mut after_return = false;
    let whole = ended.filter(move |line| {
        let pair = after_return && *line == b"\n";
        after_return = line.ends_with(b"\r");
        !pair
    });
    whole.zip(1..).filter_map(|(line, number)| {
        let Ok(line) = str::from_utf8(line) else { return Some(Err(number)) };
        let line = strip(line);
        let is_said = !line.is_empty() && !line.starts_with('#');
        is_said.then(|| split(line, number).ok_or(number))
    })
}

fn split(line: &str, number: usize) -> Option<Line<'_>> {
    let mut parts = line.match_indices(':').filter_map(|(at, _)| {
        let space = line[at + 1..].chars().next().filter(|c| is_space(*c))?;
        Some((at, at + 1 + space.len_utf8()))
    });
    let (end, start) = parts.next()?;
    let is_only = parts.next().is_none();
    is_only.then(|| Line { number, token: &line[..end], target: strip(&line[start..]) })
}

/// Without white space at either end.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Result<(usize, &str, &str), usize>> {
        lines(text.as_bytes())
            .map(|line| line.map(|Line { number, token, target }| (number, token, target)))
            .collect()
    }

    #[test]
    fn tokens_and_targets_are_split_where_websockify_splits_them() {
        for (line, token, target) in [
            ("a: h:1", "a", "h:1"),
            ("  a:\th:1  ", "a", "h:1"),
            ("a:   ::1:5900", "a", "::1:5900"),
            ("a b : h:1", "a b ", "h:1"),
            ("a:b: h:1", "a:b", "h:1"),
            (": h:1", "", "h:1"),
            ("a:\u{a0}h:1\x1f", "a", "h:1"),
            ("a: unix_socket:/run/x y", "a", "unix_socket:/run/x y"),
        ] {
            assert_eq!(read(line), [Ok((1, token, target))], "{line:?}");
        }
    }

    #[test]
    fn lines_that_say_nothing_are_counted_and_those_that_can_t_be_read_are_told() {
        let text = "# a: h:1\n\na: h:1\r\nno colon\rb:h:2\r\n\r\n  #c\nd: h: 3\ne: h:5";
        assert_eq!(read(text), [Ok((3, "a", "h:1")), Err(4), Err(5), Err(8), Ok((9, "e", "h:5"))]);
        assert_eq!(lines(b"a: h:1\n\xff: h:2\nb: h:3").filter(Result::is_err).count(), 1);
    }
}
