//! The path of a request, taken strictly: what could mean two things means nothing.
//!
//! In: a request's target. Out: a path below some root, made of plain names only. Refused: a path that begins with two slashes (a browser
//! would take a redirect to it for another host), backslashes and control characters, written out or not, an encoded slash, `.` and `..`,
//! a percent sign that encodes nothing, and what is no UTF-8.

use std::path::PathBuf;

use hyper::Uri;
use penstock_core::percent;

/// It means nothing here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Refusal;

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Wanted {
    /// Below the root, empty for the root itself.
    pub(super) file: PathBuf,
    /// It ends with a slash.
    pub(super) is_folder: bool,
    /// The path, decoded.
    pub(super) decoded: String,
    /// Where it is found if it is a folder: path and query as they came, with a slash between them.
    pub(super) as_folder: String,
}

pub(super) fn parse(uri: &Uri) -> Result<Wanted, Refusal> {
    let path = uri.path();
    if !path.starts_with('/') || path.starts_with("//") {
        return Err(Refusal);
    }
    let mut file = PathBuf::new();
    let mut decoded = String::new();
    for name in path[1..].split('/') {
        let name = decode(name)?;
        if matches!(&*name, "." | "..") {
            return Err(Refusal);
        }
        decoded.push('/');
        decoded.push_str(&name);
        if !name.is_empty() {
            file.push(name);
        }
    }
    let query = uri.query().map_or(String::new(), |query| format!("?{query}"));
    let as_folder = format!("{path}/{query}");
    Ok(Wanted { file, is_folder: path.ends_with('/'), decoded, as_folder })
}

/// One name of a path.
fn decode(name: &str) -> Result<String, Refusal> {
    let (decoded, rest) = percent::decode(name.as_bytes());
    let decoded = String::from_utf8(decoded).ok().filter(|_| rest.is_empty()).ok_or(Refusal)?;
    let means_nothing = |c: char| c.is_control() || matches!(c, '/' | '\\');
    if decoded.contains(means_nothing) { Err(Refusal) } else { Ok(decoded) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(target: &str) -> Result<Wanted, Refusal> {
        parse(&target.parse().map_err(|_| Refusal)?)
    }

    #[test]
    fn names_are_decoded_and_slashes_counted_once() {
        let wanted = parsed("/a%20b//%C3%A4.html?x=%2e%2e").expect("a path");
        assert_eq!(wanted.file, PathBuf::from("a b/ä.html"));
        assert!(!wanted.is_folder && wanted.as_folder == "/a%20b//%C3%A4.html/?x=%2e%2e");
        let top = parsed("/").expect("a path");
        assert!(top.is_folder && top.file == PathBuf::new());
        assert!(parsed("/a/").expect("a path").is_folder);
        assert!(parsed("http://host/a").is_ok_and(|wanted| wanted.file.as_os_str() == "a"));
        assert!(parsed("/...").is_ok_and(|wanted| wanted.file.as_os_str() == "..."));
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        let refused = [
            "//evil.example",
            "//evil.example/%2e%2e",
            "/\\evil.example",
            "/a\\b",
            "/%5Cevil",
            "/%5c",
            "/a/../b",
            "/..",
            "/%2e%2e/etc/passwd",
            "/.%2E",
            "/a/./b",
            "/a%2Fb",
            "/%2f%2fevil",
            "/a%00.html",
            "/%0d%0aX:y",
            "/%7f",
            "/%C2%85",
            "/%ff",
            "/%C3",
            "/%",
            "/%4",
            "/%g0",
            "/%+1",
            "*",
        ];
        for target in refused {
            assert_eq!(parsed(target), Err(Refusal), "{target}");
        }
    }
}
