//! What sources name, as text: a host and a port, or where the operator wrote it a UNIX socket. Nothing else can be read out of it.

use penstock_core::control::Place;
use penstock_core::http::{Host, Target};
use serde_json::Value;

/// What is wrong with a text that should name a place. It says nothing of the text itself.
pub(super) type Fault = Box<str>;

/// In place of a host: what follows is the path of a UNIX socket.
const UNIX: &str = "unix_socket";

/// A line's target as websockify reads it: the last colon stands before the port, whatever is before that is the host.
pub(super) fn of_operator(text: &str) -> Result<Place, Fault> {
    let path = text.strip_prefix(UNIX).and_then(|rest| rest.strip_prefix(':'));
    match path.filter(|path| !path.contains(':')) {
        Some(path) if path.starts_with('/') => Ok(Place::Unix(path.into())),
        Some(_) => Err("expected an absolute path behind unix_socket".into()),
        None => place(text, Target::parse(text, false)),
    }
}

/// The text `host:port`; IPv6 has to stand in brackets.
pub(super) fn of_text(text: &str) -> Result<Place, Fault> {
    place(text, Target::parse(text, true))
}

/// A host, and a port that is a number or the text of one.
pub(super) fn of_values(host: &Value, port: &Value) -> Result<Place, Fault> {
    let host = host.as_str().ok_or("expected a text for host")?;
    let port = match port {
        Value::String(port) => port.clone(),
        Value::Number(port) => port.to_string(),
        _ => return Err("expected a number for port".into()),
    };
    // IPv6, with and without brackets. A colon more in either makes neither an address.
    let text = match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    of_text(&text)
}

fn place<E: ToString>(text: &str, parsed: Result<Target, E>) -> Result<Place, Fault> {
    if text.contains("://") {
        return Err("expected host:port, came a URI".into());
    }
    let target = parsed.map_err(|error| error.to_string())?;
    match &target.host {
        // What resolvers take is more than what hosts are called.
        Host::Name(name) if name == UNIX || !name.bytes().all(is_of_name) => {
            Err("expected a host name or address before the port".into())
        }
        _ => Ok(Place::Network(target)),
    }
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-_".contains(&byte)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(place: Result<Place, Fault>) -> String {
        match place {
            Ok(Place::Network(target)) => target.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn hosts_and_ports_are_read_in_every_form_that_websockify_reads() {
        for (line, expected) in [
            ("10.0.0.1:5900", "10.0.0.1:5900"),
            ("Host-7.example:1", "host-7.example:1"),
            ("::1:5900", "[::1]:5900"),
            ("[::1]:5900", "[::1]:5900"),
            ("vm_7:65535", "vm_7:65535"),
        ] {
            assert_eq!(text(of_operator(line)), expected);
        }
        assert_eq!(text(of_text("[::1]:5900")), "[::1]:5900");
        assert_eq!(text(of_values(&json!("h"), &json!(5900))), "h:5900");
        assert_eq!(text(of_values(&json!("::1"), &json!("5900"))), "[::1]:5900");
        assert_eq!(text(of_values(&json!("[::1]"), &json!(5900))), "[::1]:5900");
    }

    #[test]
    fn nothing_but_a_host_and_a_port_is_read() {
        let refused = [
            "qemu+ext:///tmp/x",
            "tcp://host:5900",
            "unix:/run/x",
            "unix:///run/x:1",
            "/run/x:1",
            "host",
            "host:",
            ":5900",
            "host:0",
            "host:65536",
            "host:-1",
            "host:5900x",
            "host:http",
            "h ost:1",
            "h\0st:1",
            "h\nst:1",
            "$(reboot):1",
            "`id`:1",
            "a;b:1",
            "a|b:1",
            "u@h:1",
            "ü:1",
            "",
            "::",
            "exec:ls",
            "file:///dev/ttyS0",
            "host:5900:1",
            "*:1",
            "a%00:1",
            "~:1",
        ];
        for text in refused {
            assert!(of_text(text).is_err(), "{text}");
            assert!(of_operator(text).is_err(), "{text}");
        }
        for text in ["::1:5900", "unix_socket:/run/x", "unix_socket:5900"] {
            assert!(of_text(text).is_err(), "{text}");
        }
        for (host, port) in [
            (json!("h"), json!(5900.5)),
            (json!("h"), json!(0)),
            (json!("h"), json!(-1)),
            (json!("h"), json!(65536)),
            (json!("h"), json!(null)),
            (json!("h"), json!([5900])),
            (json!("h:1"), json!(5900)),
            (json!("unix_socket"), json!("/run/x")),
            (json!("unix_socket"), json!(5900)),
            (json!("[::1"), json!(5900)),
            (json!("::1]"), json!(5900)),
            (json!(7), json!(5900)),
            (json!(""), json!(5900)),
        ] {
            assert!(of_values(&host, &port).is_err(), "{host} {port}");
        }
    }

    #[test]
    fn a_socket_is_named_by_operators_alone_and_by_its_whole_path() {
        assert_eq!(of_operator("unix_socket:/run/x"), Ok(Place::Unix("/run/x".into())));
        for text in ["unix_socket:run/x", "unix_socket:", "unix_socket:/a:b", "unix_socket"] {
            assert!(of_operator(text).is_err(), "{text}");
        }
    }

    #[test]
    fn faults_do_not_repeat_what_they_are_about() {
        for text in ["canary", "canary:0", "canary://canary:1", "canary canary:1", "c:c:1"] {
            let fault = of_text(text).expect_err("no place");
            assert!(!fault.contains("canary"), "{fault}");
        }
    }
}
