//! Consoles of OpenStack's compute service: what its database or its API says of a token, and what is made of that.
//!
//! Tokens lead to a host and a port, and perhaps to a path to be asked for there.

pub(super) mod api;
pub(super) mod database;
mod keystone;
mod link;
mod row;

use penstock_core::control::{Place, TokenFault, TokenRefusal};
use serde_json::Value;

use super::{no_place, place, refusal};

/// Of a text and a number, as both ways have them.
fn place_of(host: &str, port: i64) -> Result<Place, TokenRefusal> {
    let place = place::of_values(&Value::from(host), &Value::from(port));
    place.map_err(|fault| no_place(format!("of its row: {fault}")))
}

/// What may stand in a request's line; an empty one is none. Whoever has consoles of this type speaks to them by himself.
fn access_path(path: Option<&str>, console_type: &str) -> Result<Option<Box<str>>, TokenRefusal> {
    let path = path.filter(|path| !path.is_empty() && console_type != "webmks");
    match path {
        Some(path) if !path.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(no_place("its internal_access_path is none that can be asked for"))
        }
        path => Ok(path.map(Into::into)),
    }
}

/// Whether a page of that protocol may use what was given out for a URL that begins like that. Serial consoles are given out as ws:// and wss://.
fn judge_page(page: Option<&str>, url: Option<&str>) -> Result<(), TokenRefusal> {
    let Some(page) = page else { return Ok(()) };
    let of_url = url.and_then(|url| url.split_once(':')).map(|(scheme, _)| scheme);
    let Some(of_url) = of_url else {
        return Err(other_page("its row has no access_url_base, by which pages are judged"));
    };
    let of_url = of_url.to_ascii_lowercase();
    let also = match of_url.as_str() {
        "ws" => "http",
        "wss" => "https",
        other => other,
    };
    match [of_url.as_str(), also].iter().any(|scheme| page.eq_ignore_ascii_case(scheme)) {
        true => Ok(()),
        false => Err(other_page(format!(
            "expected a page of {also}, for which the token was given out, came another: is the public URL of the consoles in nova's configuration (base_url) that of the page?"
        ))),
    }
}

fn other_page(detail: impl Into<Box<str>>) -> TokenRefusal {
    refusal(TokenFault::OtherPage, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_the_protocol_of_the_url_that_was_given_out() {
        let judged = |page, url| judge_page(page, url).map_err(|refusal| refusal.why);
        for (page, url) in [
            ("http", "http://h/vnc.html"),
            ("https", "https://h/"),
            ("HTTPS", "HTTPS://h/"),
            ("ws", "ws://h/"),
            ("http", "ws://h/"),
            ("wss", "wss://h/"),
            ("https", "wss://h/"),
        ] {
            assert_eq!(judged(Some(page), Some(url)), Ok(()), "{page} {url}");
        }
        for (page, url) in [
            ("https", Some("http://h/")),
            ("http", Some("https://h/")),
            ("https", Some("ws://h/")),
            ("http", Some("wss://h/")),
            ("ws", Some("http://h/")),
            ("https,http", Some("https://h/")),
            ("", Some("https://h/")),
            ("https", Some("h")),
            ("https", None),
        ] {
            assert_eq!(judged(Some(page), url), Err(TokenFault::OtherPage), "{page} {url:?}");
        }
        assert_eq!(judged(None, None), Ok(()), "who is no page is no page's victim");
    }

    #[test]
    fn a_path_is_asked_for_if_it_can_be_asked_for() {
        assert_eq!(access_path(Some("/console?u=1"), "novnc"), Ok(Some("/console?u=1".into())));
        for none in [None, Some("")] {
            assert_eq!(access_path(none, "novnc"), Ok(None));
        }
        assert_eq!(access_path(Some("{\"ticket\": \"x\"}"), "webmks"), Ok(None));
        for wrong in ["/a b", "/a\r\nHost: b", "/ü"] {
            assert!(access_path(Some(wrong), "novnc").is_err(), "{wrong}");
        }
    }
}
