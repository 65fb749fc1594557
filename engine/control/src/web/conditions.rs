//! What a browser knows of a file already, and which part of it is wanted (RFC 9110, 13 and 14).
//!
//! Single ranges are served as such; who asks for several gets all, as for what can't be understood.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::{fmt_http_date, parse_http_date};
use hyper::header::{
    HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE,
};

/// By what a file's state is told from every other one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Version {
    /// With its quotes; strong: another content is another modification, size or file.
    pub(super) tag: String,
    /// To the second.
    modified: SystemTime,
}

/// What is to be answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Whole,
    /// From the first byte to before the second.
    Part(u64, u64),
    NotModified,
    PreconditionFailed,
    NotSatisfiable,
}

impl Version {
    pub(super) fn of(file: &Metadata) -> Version {
        let nanoseconds = i128::from(file.mtime()) * 1_000_000_000 + i128::from(file.mtime_nsec());
        let tag = format!("\"{nanoseconds:x}-{:x}-{:x}\"", file.len(), file.ino());
        let seconds = Duration::from_secs(file.mtime().try_into().unwrap_or(0));
        Version { tag, modified: UNIX_EPOCH + seconds }
    }

    pub(super) fn last_modified(&self) -> String {
        fmt_http_date(self.modified)
    }

    /// What a GET, or else a HEAD, of `length` bytes is to be answered with.
    pub(super) fn judge(&self, headers: &HeaderMap, is_get: bool, length: u64) -> Verdict {
        let date = |name| text(headers, name).and_then(|text| parse_http_date(text).ok());
        let fails = match list(headers, IF_MATCH) {
            Some(tags) => !self.is_in(&tags, false),
            None => date(IF_UNMODIFIED_SINCE).is_some_and(|date| self.modified > date),
        };
        if fails {
            return Verdict::PreconditionFailed;
        }
        let is_known = match list(headers, IF_NONE_MATCH) {
            Some(tags) => self.is_in(&tags, true),
            None => date(IF_MODIFIED_SINCE).is_some_and(|date| self.modified <= date),
        };
        if is_known {
            return Verdict::NotModified;
        }
        let range = text(headers, RANGE).filter(|_| is_get && self.holds(headers));
        range.and_then(|range| part(range, length)).unwrap_or(Verdict::Whole)
    }

    /// Whether a part would belong to what the browser has: what If-Range says.
    fn holds(&self, headers: &HeaderMap) -> bool {
        if !headers.contains_key(IF_RANGE) {
            return true;
        }
        let is_it = |text: &str| {
            text == self.tag || parse_http_date(text).is_ok_and(|date| date == self.modified)
        };
        text(headers, IF_RANGE).is_some_and(is_it)
    }

    fn is_in(&self, tags: &str, or_weak: bool) -> bool {
        tags.split(',').map(str::trim).any(|tag| {
            let tag = if or_weak { tag.strip_prefix("W/").unwrap_or(tag) } else { tag };
            tag == "*" || tag == self.tag
        })
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// All lines of a header, as one.
fn list(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let lines: Vec<_> =
        headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect();
    Some(lines.join(",")).filter(|_| !lines.is_empty())
}

/// A single range of bytes; none: all of it.
fn part(range: &str, length: u64) -> Option<Verdict> {
    let (unit, range) = range.split_once('=')?;
    let (first, last) = range.split_once('-')?;
    let number = |text: &str| {
        let text = text.trim();
        // A number with a sign is none; one that is too large is larger than any file.
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (start, end) = match (first.trim(), last.trim()) {
        ("", last) => (length.saturating_sub(number(last)?), length),
        (first, "") => (number(first)?, length),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            // A range that ends before it begins is none.
            (first, last.checked_sub(first).map(|_| last.saturating_add(1).min(length))?)
        }
    };
    Some(if start < end { Verdict::Part(start, end) } else { Verdict::NotSatisfiable })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> Version {
        Version { tag: "\"v\"".to_owned(), modified: UNIX_EPOCH + Duration::from_secs(1_000_000) }
    }

    fn judge(headers: &[(HeaderName, &str)]) -> Verdict {
        let headers =
            headers.iter().map(|(name, value)| (name.clone(), value.parse().expect("text")));
        version().judge(&headers.collect(), true, 100)
    }

    const BEFORE: &str = "Mon, 12 Jan 1970 13:46:39 GMT";
    const THEN: &str = "Mon, 12 Jan 1970 13:46:40 GMT";
    const AFTER: &str = "Monday, 12-Jan-70 13:46:41 GMT";

    #[test]
    fn what_is_known_is_not_sent_again() {
        for tag in ["\"v\"", "W/\"v\"", "*", "\"a\", \"v\"", "\"a\",W/\"v\""] {
            assert_eq!(judge(&[(IF_NONE_MATCH, tag)]), Verdict::NotModified, "{tag}");
        }
        for date in [THEN, AFTER] {
            assert_eq!(judge(&[(IF_MODIFIED_SINCE, date)]), Verdict::NotModified);
        }
        assert_eq!(judge(&[(IF_MODIFIED_SINCE, BEFORE)]), Verdict::Whole);
        assert_eq!(judge(&[(IF_MODIFIED_SINCE, "yesterday")]), Verdict::Whole);
        // Tags are better than dates.
        assert_eq!(judge(&[(IF_NONE_MATCH, "\"w\""), (IF_MODIFIED_SINCE, AFTER)]), Verdict::Whole);
    }

    #[test]
    fn preconditions_come_first() {
        assert_eq!(judge(&[(IF_MATCH, "\"a\", \"v\"")]), Verdict::Whole);
        assert_eq!(judge(&[(IF_MATCH, "*")]), Verdict::Whole);
        let failed = Verdict::PreconditionFailed;
        assert_eq!(judge(&[(IF_MATCH, "W/\"v\"")]), failed);
        assert_eq!(judge(&[(IF_MATCH, "\"w\""), (IF_NONE_MATCH, "\"v\"")]), failed);
        assert_eq!(judge(&[(IF_UNMODIFIED_SINCE, BEFORE)]), failed);
        assert_eq!(judge(&[(IF_UNMODIFIED_SINCE, THEN)]), Verdict::Whole);
        assert_eq!(judge(&[(IF_MATCH, "\"v\""), (IF_UNMODIFIED_SINCE, BEFORE)]), Verdict::Whole);
    }

    #[test]
    fn ranges_are_cut_to_the_file() {
        let part = |range: &str| judge(&[(RANGE, range)]);
        assert_eq!(part("bytes=0-0"), Verdict::Part(0, 1));
        assert_eq!(part("Bytes = 10 - 19"), Verdict::Part(10, 20));
        assert_eq!(part("bytes=90-"), Verdict::Part(90, 100));
        assert_eq!(part("bytes=90-18446744073709551616"), Verdict::Part(90, 100));
        assert_eq!(part("bytes=-10"), Verdict::Part(90, 100));
        assert_eq!(part("bytes=-1000"), Verdict::Part(0, 100));
        for range in ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=99999999999999999999-"] {
            assert_eq!(part(range), Verdict::NotSatisfiable, "{range}");
        }
        for range in ["bytes=0-1,5-6", "bytes=5-4", "bytes=-", "bytes=+1-2", "lines=0-1", "0-1"] {
            assert_eq!(part(range), Verdict::Whole, "{range}");
        }
    }

    #[test]
    fn a_range_of_another_version_is_no_range() {
        let with = |value| judge(&[(RANGE, "bytes=0-0"), (IF_RANGE, value)]);
        assert_eq!(with("\"v\""), Verdict::Part(0, 1));
        assert_eq!(with(THEN), Verdict::Part(0, 1));
        for other in ["\"w\"", "W/\"v\"", BEFORE, AFTER, "nonsense"] {
            assert_eq!(with(other), Verdict::Whole, "{other}");
        }
    }

    #[test]
    fn a_head_has_no_parts() {
        let headers = [(RANGE, "bytes=0-0".parse().expect("text"))].into_iter().collect();
        assert_eq!(version().judge(&headers, false, 100), Verdict::Whole);
    }

    #[test]
    fn an_empty_file_has_no_parts() {
        let headers = |range: &str| [(RANGE, range.parse().expect("text"))].into_iter().collect();
        for range in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
            let verdict = version().judge(&headers(range), true, 0);
            assert_eq!(verdict, Verdict::NotSatisfiable, "{range}");
        }
    }
}
