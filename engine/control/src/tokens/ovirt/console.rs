//! What a ticket's `data` says of a console: where it is, and whether TLS is spoken there.
//!
//! In: JSON within percent signs. Out: a host and a port, or a virtual machine behind a Kubernetes API. It refuses whatever is neither.

use penstock_core::Secret;
use penstock_core::control::{Found, Place, Terms};
use penstock_core::percent;
use serde::Deserialize;
use serde_json::Value;

use super::super::{object, place};

/// What is wrong with the data, without a word of it.
type Fault = Box<str>;

#[derive(Deserialize)]
struct Console {
    host: Value,
    port: Value,
    ssl_target: bool,
    path: Option<String>,
    token: Option<String>,
}

pub(super) fn found(data: &str) -> Result<Found, Fault> {
    // A `+` is a plus: the engine writes no blanks.
    let (json, rest) = percent::decode(data.as_bytes());
    let json = if rest.is_empty() { json } else { Vec::new() };
    let console: Console = object(&json).ok_or(
        "expected a JSON object with host, port and ssl_target, each once, within percent signs",
    )?;
    let place = place::of_values(&console.host, &console.port)?;
    match (console.path.filter(|path| !path.is_empty()), console.token) {
        (None, _) => {
            let terms = Terms { secured: Some(console.ssl_target), ..Terms::default() };
            Ok(Found { place, terms: Some(Box::new(terms)) })
        }
        (Some(path), Some(token)) => kube_virt(place, &path, token),
        (Some(_), None) => Err("there is a path of KubeVirt's, and no token for it".into()),
    }
}

/// Behind the API, the stream is the console's own.
fn kube_virt(place: Place, path: &str, token: String) -> Result<Found, Fault> {
    let Place::Network(target) = place else {
        return Err("expected the host and port of a Kubernetes API".into());
    };
    // It becomes a part of a request.
    let is_path = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_path {
        return Err("expected a path of KubeVirt's that begins with `/`, without blanks".into());
    }
    let (path, token) = (path.into(), Secret::from(token));
    Ok(Place::KubeVirt { target, path, token }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(data: &str) -> Result<String, Fault> {
        found(data).map(|Found { place, terms }| {
            let secured = terms.and_then(|terms| terms.secured);
            match place {
                Place::Network(target) => format!("{target} {secured:?}"),
                other => format!("{other:?} {secured:?}"),
            }
        })
    }

    #[test]
    fn a_console_is_a_host_a_port_and_whether_tls_is_spoken() {
        for (data, expected) in [
            (
                "%7B%22host%22%3A%2210.0.0.7%22%2C%22port%22%3A%225900%22%2C%22ssl_target%22%3Afalse%7D",
                "10.0.0.7:5900 Some(false)",
            ),
            (r#"{"ssl_target":true,"port":"5901","host":"fd00::7"}"#, "[fd00::7]:5901 Some(true)"),
            (
                r#"{"ssl_target":true,"port":5901,"host":"node-7","more":1}"#,
                "node-7:5901 Some(true)",
            ),
            (
                r#"{"host":"h","port":"1","ssl_target":true,"path":"","token":"t"}"#,
                "h:1 Some(true)",
            ),
            (r#"{"host":"h","port":"1","ssl_target":true,"path":null}"#, "h:1 Some(true)"),
        ] {
            assert_eq!(text(data).as_deref(), Ok(expected), "{data}");
        }
    }

    #[test]
    fn with_a_path_it_is_behind_an_api_and_its_token_is_shown_to_nobody() {
        let data = r#"{"host":"api","port":"6443","ssl_target":false,"path":"/a/b%2Fc?x=1","token":"canary"}"#;
        let shown = text(&data.replace('%', "%25")).expect("a console");
        assert!(shown.contains("/a/b%2Fc?x=1") && shown.ends_with("None"), "{shown}");
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn nothing_else_is_a_console() {
        for data in [
            "",
            "%7B%7D",
            r#"{"host":"h","port":"1"}"#,
            r#"{"host":"h","port":"1","ssl_target":"true"}"#,
            r#"{"host":"h","port":"1","ssl_target":null}"#,
            r#"{"host":"h","ssl_target":true}"#,
            r#"{"port":"1","ssl_target":true}"#,
            r#"["h","1",true]"#,
            r#"{"host":"h","port":"0","ssl_target":true}"#,
            r#"{"host":"h","port":"70000","ssl_target":true}"#,
            r#"{"host":"h /x","port":"1","ssl_target":true}"#,
            r#"{"host":"unix_socket","port":"/x","ssl_target":true}"#,
            r#"{"host":"h","host":"i","port":"1","ssl_target":true}"#,
            r#"{"host":"h","port":"1","ssl_target":true}%"#,
            r#"{"host":"h","port":"1","ssl_target":true}+"#,
            r#"{"host":"h","port":"1","ssl_target":true,"path":"/x"}"#,
            r#"{"host":"h","port":"1","ssl_target":true,"path":"x","token":"t"}"#,
            r#"{"host":"h","port":"1","ssl_target":true,"path":"/a b","token":"t"}"#,
            r#"{"host":"h","port":"1","ssl_target":true,"path":"/a\r\nb","token":"t"}"#,
            r#"{"host":"h","port":"1","ssl_target":true,"path":"/ü","token":"t"}"#,
        ] {
            assert!(found(data).is_err(), "{data}");
        }
    }
}
