//! The token of a console: a request in, the token out.
//!
//! ```text
//! ?token= of any path ── none ──▶ %3Ftoken%3D within the path ── none ──▶ Cookie: token=
//! ```

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::host;
use crate::http::request::Request;
use crate::percent;

const NAME: &str = "token";

/// What gives its bearer a console. `Debug` hides it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Token(pub String);

impl Token {
    /// The secret itself: for look-ups alone.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl From<String> for Token {
    fn from(text: String) -> Token {
        Token(text)
    }
}

/// Which of several tokens in one query counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Choice {
    /// As websockify has it.
    #[default]
    First,
    /// As nova has it.
    Last,
}

/// The token of a request, wherever it is.
///
/// Arguments are decoded as forms are: `+` is a blank, what is no UTF-8 is replaced. A blank value counts as none; line ends at its end don't
/// count. Of cookies the last one counts.
pub fn token_of(request: &Request, choice: Choice) -> Option<Token> {
    let of_query = || argument(request.query()?, choice);
    of_query()
        .or_else(|| within_path(request.path(), choice))
        .or_else(|| cookie(request))
        .map(Token)
}

/// All of the path behind its first `/`, for who has nothing else there. What stands behind percent signs is decoded, and a `+` is a plus.
/// A request with a query has none.
pub fn path_token(request: &Request) -> Option<Token> {
    let path = request.path().strip_prefix('/').filter(|_| request.query().is_none())?;
    (!path.is_empty()).then(|| Token(lossy(percent::decode_leniently(path.as_bytes()))))
}

/// The name by which the client calls this host, for who has consoles told apart by that. In lower case, IPv6 without brackets.
pub fn host_token(request: &Request) -> Option<Token> {
    let text = core::str::from_utf8(request.header("host")?).ok()?;
    let (name, _) = host::split(text)?;
    (!name.is_empty()).then(|| Token(name.to_ascii_lowercase()))
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// Value of the argument `token` of a query.
fn argument(query: &str, choice: Choice) -> Option<String> {
    let mut values = query.split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (form_decoded(name) == NAME && !value.is_empty()).then_some(value)
    });
    let value = match choice {
        Choice::First => values.next(),
        Choice::Last => values.next_back(),
    };
    let value = form_decoded(value?);
    let value = value.trim_end_matches('\n');
    (!value.is_empty()).then(|| value.to_owned())
}

/// Some proxies encode the question mark, and all that follows, once more.
fn within_path(path: &str, choice: Choice) -> Option<String> {
    let encoded = path.as_bytes().windows(3).position(|w| w.eq_ignore_ascii_case(b"%3f"))?;
    let query = lossy(percent::decode_leniently(&path.as_bytes()[encoded + 3..]));
    argument(&query, choice)
}

/// Value of the last cookie `token`. Quotes around it don't count.
fn cookie(request: &Request) -> Option<String> {
    let of_header = |value: &[u8]| {
        let text = String::from_utf8_lossy(value).into_owned();
        let mut values = text.split(';').filter_map(|pair| pair.trim().split_once('='));
        let last = values.rfind(|(name, _)| name.trim() == NAME)?;
        Some(last.1.trim().to_owned())
    };
    let value = request.headers("cookie").filter_map(of_header).last()?;
    let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(&value);
    (!bare.is_empty()).then(|| bare.to_owned())
}

fn form_decoded(text: &str) -> String {
    lossy(percent::decode_leniently(text.replace('+', " ").as_bytes()))
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Progress::Done;
    use crate::http::request::RequestHead;
    use alloc::format;

    fn request(target: &str, lines: &str) -> Request {
        let head = format!("GET {target} HTTP/1.1\r\n{lines}\r\n");
        match RequestHead::new().receive(&mut head.as_bytes(), &mut Vec::new()) {
            Ok(Done(request)) => request,
            other => panic!("{other:?} for {head}"),
        }
    }

    fn of_target(target: &str) -> Option<String> {
        token_of(&request(target, ""), Choice::First).map(|token| token.0)
    }

    #[test]
    fn the_token_is_an_argument_of_any_path() {
        for target in
            ["/?token=X", "/websockify?token=X", "/a/b.html?x=1&token=X&y", "http://h/?token=X"]
        {
            assert_eq!(of_target(target).as_deref(), Some("X"), "{target}");
        }
        for target in
            ["/", "/token=X", "/?tokens=X", "/?Token=X", "/?token", "/?xtoken=X", "/?a#token=X"]
        {
            assert_eq!(of_target(target), None, "{target}");
        }
    }

    #[test]
    fn arguments_are_decoded_as_forms_are() {
        for (query, expected) in [
            ("token=a%2Bb+c%20d", Some("a+b c d")),
            ("%74oken=X", Some("X")),
            ("token=a=b", Some("a=b")),
            ("token=%C3%BC", Some("ü")),
            ("token=%FF", Some("\u{fffd}")),
            ("token=100%", Some("100%")),
            ("token=%zz%4", Some("%zz%4")),
            ("token=X%0A%0a", Some("X")),
            ("token=X#fragment", Some("X")),
            ("token=", None),
            ("token=%0A", None),
            ("token=&token=X", Some("X")),
        ] {
            assert_eq!(of_target(&format!("/?{query}")).as_deref(), expected, "{query}");
        }
    }

    #[test]
    fn of_several_tokens_the_choice_decides() {
        let request = request("/?token=first&token=&token=last", "");
        assert_eq!(token_of(&request, Choice::First), Some(Token("first".into())));
        assert_eq!(token_of(&request, Choice::Last), Some(Token("last".into())));
    }

    #[test]
    fn an_encoded_question_mark_introduces_arguments_too() {
        for target in [
            "/websockify%3Ftoken%3DX",
            "/websockify%3ftoken=X",
            "/%3Ftoken%3DX%26more%3D1",
            "/%3Fmore%3D1%26token%3DX?unrelated=1",
        ] {
            assert_eq!(of_target(target).as_deref(), Some("X"), "{target}");
        }
        assert_eq!(of_target("/%3Ftoken%3Da%252Bb").as_deref(), Some("a+b"));
        assert_eq!(of_target("/%3Ftoken%3Dpath?token=query").as_deref(), Some("query"));
        assert_eq!(of_target("/%3F"), None);
    }

    #[test]
    fn a_cookie_is_the_last_resort_and_the_last_one_counts() {
        for (lines, expected) in [
            ("Cookie: token=X\r\n", Some("X")),
            ("Cookie: a=1; token=\"X\" ; b\r\n", Some("X")),
            ("Cookie: token=first; token=X\r\n", Some("X")),
            ("Cookie: token=first\r\nCookie: =; ;token=X;\r\n", Some("X")),
            ("Cookie: token=first\r\nCookie: a=1\r\n", Some("first")),
            ("Cookie: xtoken=X; Token=X; token\r\n", None),
            ("Cookie: token=\r\n", None),
        ] {
            let of_cookie = token_of(&request("/", lines), Choice::First);
            assert_eq!(of_cookie.map(|token| token.0).as_deref(), expected, "{lines}");
            let of_query = token_of(&request("/?token=query", lines), Choice::First);
            assert_eq!(of_query, Some(Token("query".into())));
        }
    }

    #[test]
    fn the_path_can_be_the_token() {
        for (target, expected) in [
            ("/eyJ+/a==", Some("eyJ+/a==")),
            ("/eyJ%2B%2fa%3D%3d", Some("eyJ+/a==")),
            ("//a", Some("/a")),
            ("http://h/a/b", Some("a/b")),
            ("/a%zz", Some("a%zz")),
            ("/%FF", Some("\u{fffd}")),
            ("/a#b", Some("a")),
            ("/a?token=X", None),
            ("/a?", None),
            ("/", None),
            ("*", None),
        ] {
            let token = path_token(&request(target, "Cookie: token=X\r\n"));
            assert_eq!(token.map(|token| token.0).as_deref(), expected, "{target}");
        }
    }

    #[test]
    fn the_host_can_be_the_token() {
        for (host, expected) in [
            ("Guest-1.Example:6080", Some("guest-1.example")),
            ("guest", Some("guest")),
            ("[2001:DB8::1]:6080", Some("2001:db8::1")),
            ("", None),
            (":80", None),
            ("guest:x", None),
        ] {
            let token = host_token(&request("/", &format!("Host: {host}\r\n")));
            assert_eq!(token.map(|token| token.0).as_deref(), expected, "{host}");
        }
        assert_eq!(host_token(&request("/", "")), None);
    }

    #[test]
    fn tokens_are_not_shown() {
        assert_eq!(format!("{:?}", Token("SECRET".into())), "Token(hidden)");
    }
}
