//! Every case of nova's table that concerns us, and the tricks of those who'd like to be somebody else.

use super::*;
use crate::Progress::Done;
use crate::http::request::RequestHead;
use alloc::format;

fn same_host(origin: &str, host: &str) -> Result<(), OriginError> {
    Origins::same_host().judge(Some(origin.as_bytes()), Some(host.as_bytes()), None)
}

fn listed(list: &[&str], origin: &str) -> Result<(), OriginError> {
    let origins = Origins::listed(list).expect("a list");
    // What Host says doesn't count.
    origins.judge(Some(origin.as_bytes()), Some(b"evil.example"), Some(b"https"))
}

#[test]
fn pages_of_the_same_host_may_on_whatever_port() {
    for (origin, host) in [
        ("https://portal.example", "portal.example"),
        ("https://portal.example", "portal.example:6080"),
        ("http://portal.example:8080", "portal.example:6080"),
        ("https://PORTAL.example", "portal.EXAMPLE"),
        ("HTTPS://portal.example", "portal.example"),
        ("https://[::1]:8443", "[::1]:6080"),
        ("https://[::1]", "::1"),
        ("https://[2001:db8::1]", "[2001:DB8:0::1]"),
        ("https://10.0.0.1", "10.0.0.1:6080"),
        ("https://portal", "portal"),
    ] {
        assert_eq!(same_host(origin, host), Ok(()), "{origin} {host}");
    }
}

#[test]
fn pages_of_other_hosts_may_not_whatever_they_are_called() {
    for origin in [
        "https://evil.example",
        "https://portal.example.evil.example",
        "https://evilportal.example",
        "https://portal.example-evil",
        "https://x.portal.example",
        "https://example",
        "https://portal.examp",
        "https://127.0.0.1",
        "https://[::1]",
    ] {
        assert_eq!(same_host(origin, "portal.example"), Err(OriginError::OtherHost), "{origin}");
        assert_eq!(
            listed(&["https://portal.example"], origin),
            Err(OriginError::Unlisted),
            "{origin}"
        );
    }
}

#[test]
fn what_is_no_origin_is_nobodys() {
    for origin in [
        "null",
        "",
        " ",
        "portal.example",
        "//portal.example",
        "://portal.example",
        "https:portal.example",
        "https://",
        "https://:443",
        "https://portal.example/",
        "https://portal.example/path",
        "https://portal.example?x",
        "https://portal.example#x",
        "https://portal.example@evil.example",
        "https://evil.example@portal.example",
        "https://portal.example https://evil.example",
        "https://evil.example, https://portal.example",
        "https://portal.example\\evil.example",
        "https://portal.example:",
        "https://portal.example:x",
        "https://portal.example:443:443",
        "https://::1",
        "https://[portal.example]",
        "ht tps://portal.example",
        "1https://portal.example",
        "file://",
        "https://portal.ex\u{e4}mple",
    ] {
        let same = same_host(origin, "portal.example");
        assert!(matches!(same, Err(OriginError::Invalid)), "{same:?} for {origin:?}");
        assert_eq!(listed(&["https://portal.example"], origin), Err(OriginError::Invalid));
    }
    let not_text = Origins::same_host().judge(Some(b"https://\xff"), Some(b"\xff"), None);
    assert_eq!(not_text, Err(OriginError::Invalid));
}

#[test]
fn the_same_host_has_to_be_named_and_well() {
    let origin = Some(&b"https://portal.example"[..]);
    for (host, error) in [
        (None, OriginError::OtherHost),
        (Some(&b"portal.example:http"[..]), OriginError::Host),
        (Some(b""), OriginError::Host),
        (Some(b"portal.example, evil.example"), OriginError::Host),
        (Some(b"\xff"), OriginError::Host),
    ] {
        let judged = Origins::same_host().judge(origin, host, None);
        assert_eq!(judged, Err(error), "{host:?}");
    }
    assert_eq!((OriginError::Host.status(), OriginError::OtherHost.status()), (400, 403));
    for host in [None, Some(&b"null"[..])] {
        let judged = Origins::same_host().judge(Some(b"null"), host, Some(b"https"));
        assert_eq!(judged, Err(OriginError::Invalid));
    }
}

#[test]
fn where_the_protocol_is_known_the_page_has_to_have_come_by_it() {
    for (origin, proto, expected) in [
        ("https://h", "https", Ok(())),
        ("https://h", "WSS", Ok(())),
        ("http://h", "http", Ok(())),
        ("http://h", "ws", Ok(())),
        ("http://h", "https", Err(OriginError::OtherProtocol)),
        ("https://h", "http", Err(OriginError::OtherProtocol)),
        ("https://h", "https,http", Err(OriginError::OtherProtocol)),
        ("https://h", "", Err(OriginError::OtherProtocol)),
        ("ftp://h", "https", Err(OriginError::OtherProtocol)),
    ] {
        let judged =
            Origins::same_host().judge(Some(origin.as_bytes()), Some(b"h"), Some(proto.as_bytes()));
        assert_eq!(judged, expected, "{origin} by {proto}");
    }
    assert_eq!(same_host("ftp://h", "h"), Err(OriginError::OtherProtocol));
}

#[test]
fn in_a_list_scheme_host_and_port_count() {
    let list = ["https://portal.example", "http://[::1]:8080", "moz-extension://abc"];
    for origin in [
        "https://portal.example",
        "https://portal.example:443",
        "HTTPS://Portal.Example",
        "http://[::1]:8080",
        "http://[0:0::1]:8080",
        "moz-extension://abc",
    ] {
        assert_eq!(listed(&list, origin), Ok(()), "{origin}");
    }
    for origin in [
        "http://portal.example",
        "https://portal.example:8443",
        "http://portal.example:443",
        "http://[::1]",
        "https://evil.example",
        "moz-extension://abcd",
    ] {
        assert_eq!(listed(&list, origin), Err(OriginError::Unlisted), "{origin}");
    }
    assert_eq!(listed(&[], "https://evil.example"), Err(OriginError::Unlisted));
}

#[test]
fn a_star_stands_for_all_pages() {
    for origin in ["https://anybody", "null", "nonsense"] {
        assert_eq!(listed(&["https://portal.example", "*"], origin), Ok(()));
    }
}

#[test]
fn lists_of_what_are_no_origins_are_refused() {
    for text in ["portal.example", "https://portal.example/", "https://*.example", "", "null"] {
        assert_eq!(Origins::listed([text]), Err(ListError(text.into())), "{text}");
    }
}

#[test]
fn who_sends_no_origin_is_no_browser_unless_one_is_required() {
    for origins in [Origins::same_host(), Origins::listed(["https://h"]).expect("a list")] {
        assert_eq!(origins.judge(None, None, None), Ok(()));
        assert_eq!(origins.required().judge(None, None, None), Err(OriginError::Missing));
    }
}

#[test]
fn requests_are_judged_by_all_that_they_say() {
    let judged = |lines: &str, trusts| {
        let head = format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
        match RequestHead::new().receive(&mut head.as_bytes(), &mut Vec::new()) {
            Ok(Done(request)) => Origins::same_host().judge_request(&request, trusts),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(judged("Origin: http://h\r\n", false), Ok(()));
    assert_eq!(judged("Origin: http://h\r\nX-Forwarded-Proto: https\r\n", false), Ok(()));
    let by_proxy = judged("Origin: http://h\r\nX-Forwarded-Proto: https\r\n", true);
    assert_eq!(by_proxy, Err(OriginError::OtherProtocol));
    let two = judged("Origin: http://h\r\nOrigin: http://evil\r\n", false);
    assert_eq!(two, Err(OriginError::Repeated));
    assert_eq!(judged("Origin:\r\n", false), Err(OriginError::Invalid));
}

/// Browsers tell pages of `host` from those of `host.`, and nobody else should not.
#[test]
fn a_dot_at_the_end_makes_another_host() {
    let same = |origin: &str, host: &str| {
        Origins::same_host().judge(Some(origin.as_bytes()), Some(host.as_bytes()), None)
    };
    assert_eq!(same("https://a.example.", "a.example"), Err(OriginError::OtherHost));
    assert_eq!(same("https://a.example", "a.example.:6080"), Err(OriginError::OtherHost));
    assert_eq!(same("https://a.example.", "a.example.:6080"), Ok(()));
    let listed = Origins::listed(["https://a.example"]).expect("an origin");
    let judged = listed.judge(Some(b"https://a.example."), None, None);
    assert_eq!(judged, Err(OriginError::Unlisted));
}

#[test]
fn where_tokens_know_protocols_hosts_are_all_that_counts() {
    let nova = Origins::hosts(["portal.example", "[2001:db8::7]", "10.0.0.9"]).expect("hosts");
    let judged = |origin: Option<&str>, host: Option<&str>, proto: Option<&str>| {
        nova.judge(origin.map(str::as_bytes), host.map(str::as_bytes), proto.map(str::as_bytes))
    };
    for (origin, host) in [
        ("https://gate.example", "gate.example:6080"),
        ("http://gate.example:8080", "gate.example"),
        ("ws://gate.example", "gate.example"),
        ("https://gate.example", "GATE.example"),
        ("https://GATE.example", "gate.example"),
        ("https://[::1]:1", "[::1]:6080"),
        ("https://[::1]", "::1"),
        ("https://portal.example:8443", "gate.example"),
        ("http://PORTAL.example", "gate.example:6080"),
        ("https://[2001:DB8::7]", "gate.example"),
        ("https://10.0.0.9", "gate.example"),
    ] {
        assert_eq!(judged(Some(origin), Some(host), None), Ok(()), "{origin} {host}");
        assert_eq!(judged(Some(origin), Some(host), Some("https,http")), Ok(()), "{origin}");
    }
    assert_eq!(judged(None, Some("gate.example"), None), Ok(()), "who is no page");
    for origin in ["null", "", "https://", "gate.example"] {
        for proto in [None, Some("https")] {
            let refused = judged(Some(origin), Some("gate.example"), proto);
            assert_eq!(refused, Err(OriginError::Invalid), "{origin}");
            assert_eq!(judged(Some(origin), None, proto), Err(OriginError::Invalid), "{origin}");
        }
    }
    for origin in ["https://evil.example", "https://x.portal.example", "https://portal.example."] {
        let refused = judged(Some(origin), Some("gate.example"), None);
        assert_eq!(refused, Err(OriginError::OtherHost), "{origin}");
    }
    let gate = Some("https://gate.example");
    assert_eq!(judged(gate, None, None), Err(OriginError::OtherHost), "Host is not there");
    for host in ["gate.example:http", "gate example", ""] {
        let refused = judged(gate, Some(host), None);
        assert_eq!(refused.map_err(OriginError::status), Err(400), "{host}");
    }
    for wrong in ["https://portal.example", "*", "", "portal.example/", "portal example"] {
        assert_eq!(Origins::hosts([wrong]), Err(ListError(wrong.into())), "{wrong}");
    }
}
