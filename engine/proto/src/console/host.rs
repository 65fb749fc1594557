//! `host[:port]` as the Host header and origins have it: text in, its two parts out.

/// Host, without the brackets of an IPv6 address, and port. None if what follows the host is no port. Several colons
/// without brackets are an IPv6 address that has none, as nova has it.
pub(super) fn split(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => match text.split_once(':') {
            Some((_, rest)) if rest.contains(':') => (text, ""),
            Some((host, _)) => text.split_at(host.len()),
            None => (text, ""),
        },
    };
    match rest.strip_prefix(':') {
        // RFC 3986 §3.2.3 lets the digits be missing.
        Some("") => Some((host, None)),
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some((host, Some(port.parse().ok()?)))
        }
        None if rest.is_empty() => Some((host, None)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_end_where_ports_begin() {
        for (text, expected) in [
            ("host", Some(("host", None))),
            ("host:80", Some(("host", Some(80)))),
            ("host:", Some(("host", None))),
            ("[::1]:80", Some(("::1", Some(80)))),
            ("[::1]", Some(("::1", None))),
            ("::1", Some(("::1", None))),
            ("fe80::1:80", Some(("fe80::1:80", None))),
            ("", Some(("", None))),
            ("host:http", None),
            ("host:+80", None),
            ("host:65536", None),
            ("[::1", None),
            ("[::1]80", None),
            ("[::1]x:80", None),
        ] {
            assert_eq!(split(text), expected, "{text}");
        }
    }
}
