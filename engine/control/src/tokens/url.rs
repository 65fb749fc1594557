//! URLs with `%s` in the token's place.
//!
//! In: what the operator wrote. Out: where to connect, and for a token what to ask for there. A token can only be part of the path or the query,
//! with everything encoded that could end such a part.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::Uri;
use penstock_core::http::{Host, Target};
use penstock_core::percent::decode_leniently;

/// Where to connect, and what to say there of oneself.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) is_secure: bool,
    pub(super) host: Host,
    pub(super) port: u16,
    /// As it stands in the URL, without credentials.
    pub(super) authority: Box<str>,
    /// A header's value, made of the URL's credentials.
    pub(super) authorization: Option<Box<str>>,
}

/// See the module.
pub(super) struct Template {
    pub(super) site: Site,
    /// What stands between tokens: at least two.
    pieces: Vec<String>,
    /// Parts of the path that lead up, or nowhere, as the operator wrote them.
    ways: usize,
}

impl Site {
    /// And what stands behind the authority, without the fragment.
    ///
    /// # Errors
    /// What is wrong with the URL, without a word of it.
    pub(super) fn of(url: &str) -> Result<(Site, &str), &'static str> {
        let (scheme, rest) = url.split_once("://").ok_or("expected http:// or https://")?;
        let is_secure = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err("expected http:// or https://"),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (credentials, authority) = match authority.rsplit_once('@') {
            Some((credentials, authority)) => (Some(credentials), authority),
            None => (None, authority),
        };
        let has_port = authority.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
        let port = if is_secure { 443 } else { 80 };
        let whole = if has_port { authority.to_owned() } else { format!("{authority}:{port}") };
        let Target { host, port } =
            Target::parse(&whole, true).map_err(|_| "expected a host, and perhaps a port")?;
        if authority.contains('%') {
            return Err("expected a host, and no percent sign in it");
        }
        let authorization = credentials.map(basic);
        let authority = authority.into();
        Ok((Site { is_secure, host, port, authority, authorization }, path))
    }
}

impl Template {
    /// # Errors
    /// What is wrong with it, without a word of it.
    pub(super) fn parse(url: &str) -> Result<Template, &'static str> {
        let (site, path) = Site::of(url)?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let pieces = pieces(&path);
        if pieces.len() < 2 {
            return Err("expected %s behind the host, in the token's place");
        }
        let ways = ways(&pieces.join("x"));
        let template = Template { site, pieces, ways };
        template.of("x").ok_or("expected a URL without spaces and such")?;
        Ok(template)
    }

    /// Path and query for a token. None: no URL can hold it.
    pub(super) fn of(&self, token: &str) -> Option<Uri> {
        let path = self.pieces.join(&encoded(token));
        // No token makes another one of them, alone or with what stands beside it.
        if ways(&path) == self.ways { path.parse().ok() } else { None }
    }
}

/// How many parts of the path servers would take for ways up, however they are written.
fn ways(path: &str) -> usize {
    let path = path.split('?').next().unwrap_or_default();
    let parts = path.split('/').map(|part| part.to_ascii_lowercase().replace("%2e", "."));
    parts.filter(|part| [".", ".."].contains(&part.as_str())).count()
}

/// As Python's `%` reads it: `%s` is the token, and `%%` is one percent sign.
fn pieces(path: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let (before, from) = rest.split_at(at);
        let last = pieces.len() - 1;
        pieces[last].push_str(before);
        if from.starts_with("%s") {
            pieces.push(String::new());
        } else {
            pieces[last].push('%');
        }
        let is_pair = from.starts_with("%s") || from.starts_with("%%");
        rest = &from[if is_pair { 2 } else { 1 }..];
    }
    let last = pieces.len() - 1;
    pieces[last].push_str(rest);
    pieces
}

/// All but what has no meaning anywhere in a URL (RFC 3986 §2.3).
fn encoded(token: &str) -> String {
    let mut text = String::new();
    for byte in token.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

fn basic(credentials: &str) -> Box<str> {
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let pair = [user, password].map(|part| decode_leniently(part.as_bytes())).join(&b':');
    format!("Basic {}", BASE64_STANDARD.encode(pair)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(url: &str, token: &str) -> String {
        let template = Template::parse(url).expect("a URL");
        template.of(token).expect("it can be asked").to_string()
    }

    #[test]
    fn a_token_is_part_of_path_or_query_and_can_t_be_more() {
        assert_eq!(asked("http://h/t/%s", "a-b_c.~1"), "/t/a-b_c.~1");
        assert_eq!(asked("http://h/t/%s/x", "../../admin"), "/t/..%2F..%2Fadmin/x");
        assert_eq!(asked("http://h?t=%s", "a&b=c#d e"), "/?t=a%26b%3Dc%23d%20e");
        assert_eq!(asked("http://h/%s", "ä\r\n%"), "/%C3%A4%0D%0A%25");
        assert_eq!(asked("http://h/a%%20b/%s#x", "t"), "/a%20b/t");
        assert_eq!(asked("http://h/a%20b/%s", "t"), "/a%20b/t");
        let template = Template::parse("http://h/t/%s").expect("a URL");
        assert!(template.of(".").is_none() && template.of("..").is_none());
        for url in ["http://h/.%s", "http://h/%2E%s", "http://h/a/%s%s", "http://h/../%s/b"] {
            let template = Template::parse(url).expect("a URL");
            assert!(template.of(".").is_none() && template.of("a").is_some(), "{url}");
        }
        assert_eq!(asked("http://h/../a?t=%s", ".."), "/../a?t=..");
    }

    #[test]
    fn where_to_connect_is_the_operator_s_to_say() {
        let parsed = |url: &str| {
            let Site { is_secure, host, port, authority, .. } = Template::parse(url)?.site;
            Ok::<_, &str>((is_secure, host.to_string(), port, authority.to_string()))
        };
        let expect = |is_secure, host: &str, port, authority: &str| {
            Ok((is_secure, host.to_owned(), port, authority.to_owned()))
        };
        assert_eq!(parsed("http://h/%s"), expect(false, "h", 80, "h"));
        assert_eq!(parsed("HTTPS://H:8443/%s"), expect(true, "h", 8443, "H:8443"));
        assert_eq!(parsed("https://[::1]/%s"), expect(true, "[::1]", 443, "[::1]"));
        assert_eq!(parsed("http://u:p@[::1]:81?%s"), expect(false, "[::1]", 81, "[::1]:81"));
        for url in [
            "ftp://h/%s",
            "h/%s",
            "http:///%s",
            "http://%s/x",
            "http://%s.example/%s",
            "http://h/",
            "http://h:0/%s",
            "http://h/ %s",
            "http://h%2f/%s",
            "",
            "file:///%s",
        ] {
            assert!(Template::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn credentials_become_a_header() {
        let of = |url: &str| Template::parse(url).expect("a URL").site.authorization;
        assert_eq!(of("http://user:p%40ss@h/%s").as_deref(), Some("Basic dXNlcjpwQHNz"));
        assert_eq!(of("http://u%3Aser:100%@h/%s").as_deref(), Some("Basic dTpzZXI6MTAwJQ=="));
        assert_eq!(of("http://user@h/%s").as_deref(), Some("Basic dXNlcjo="));
        assert_eq!(of("http://h/%s"), None);
    }
}
