//! Squid's native format: `time elapsed client code/status bytes method target - hierarchy/address type`.
//!
//! As the default `logformat squid` of Squid 5 and later. What the client sent is escaped, so that nobody writes
//! fields or lines of his own.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use penstock_core::close::{Cause, Phase};
use penstock_core::control::Record;

pub(super) fn write(record: &Record, at: SystemTime, to: &mut Vec<u8>) {
    let at = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (at.as_secs(), at.subsec_millis());
    let elapsed = record.elapsed.as_millis();
    let client = match record.client {
        Some(client) => client.ip().to_canonical().to_string(),
        None => "-".to_owned(),
    };
    let (code, status, bytes) = (code(record), record.status, record.bytes_to_client);
    let method = record.method.as_deref().map_or("-".to_owned(), escaped);
    let target = record.target.as_deref().map_or(no_target(record).to_owned(), escaped);
    let hierarchy = match record.connected {
        Some(server) => format!("HIER_DIRECT/{}", server.ip().to_canonical()),
        None => "HIER_NONE/-".to_owned(),
    };
    let content = if code == TUNNEL || status == 0 { "-" } else { "text/html" };
    // Writing into a Vec can't fail.
    let _ = writeln!(
        to,
        "{seconds:9}.{millis:03} {elapsed:6} {client} {code}/{status:03} {bytes} {method} {target} - {hierarchy} {content}"
    );
}

const TUNNEL: &str = "TCP_TUNNEL";

fn code(record: &Record) -> &'static str {
    match (record.status, record.reason.phase) {
        (403 | 407, _) => "TCP_DENIED",
        (_, Phase::Page) => "TCP_MISS",
        (200, _) | (_, Phase::Admission | Phase::Connect | Phase::Login | Phase::Relay) => TUNNEL,
        (_, Phase::Tls) if record.target.is_some() => TUNNEL,
        (_, Phase::ProxyHeader | Phase::Tls | Phase::Request) => "NONE_NONE",
    }
}

/// Squid's words for requests without a target.
fn no_target(record: &Record) -> &'static str {
    match record.reason.cause {
        Cause::BadRequest | Cause::TooLarge | Cause::MethodRefused => "error:invalid-request",
        _ => "error:transaction-end-before-headers",
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'!'..=b'~' if byte != b'%' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use penstock_core::close::{CloseReason, Side};
    use penstock_core::control::SessionId;

    use super::*;

    fn record() -> Record {
        Record {
            id: SessionId { worker: 0, slot: 1, generation: 1 },
            tag: None,
            cookie: 0,
            listener: 0,
            client: "10.0.0.5:4000".parse().ok(),
            method: Some("CONNECT".into()),
            target: Some("10.1.2.3:5901".into()),
            status: 200,
            connected: "10.1.2.3:5901".parse().ok(),
            bytes_to_client: 482_133,
            bytes_to_target: 99,
            bytes_spliced: 7,
            elapsed: Duration::from_millis(54_321),
            reason: CloseReason::new(Side::Client, Phase::Relay, Cause::Finished),
            detail: None,
            tls: Default::default(),
        }
    }

    fn refused(phase: Phase, cause: Cause, status: u16, bytes: u64, target: &str) -> Record {
        Record {
            status,
            connected: None,
            bytes_to_client: bytes,
            target: (!target.is_empty()).then(|| target.into()),
            elapsed: Duration::ZERO,
            reason: CloseReason::new(Side::Penstock, phase, cause),
            ..record()
        }
    }

    fn line(record: &Record) -> String {
        let mut line = Vec::new();
        write(record, UNIX_EPOCH + Duration::from_millis(1_700_000_000_123), &mut line);
        String::from_utf8(line).expect("text")
    }

    #[track_caller]
    fn tail(record: &Record, expected: &str) {
        assert_eq!(
            line(record).strip_prefix("1700000000.123      0 10.0.0.5 "),
            Some(&*format!("{expected}\n"))
        );
    }

    #[test]
    fn a_tunnel_to_the_byte() {
        assert_eq!(
            line(&record()),
            "1700000000.123  54321 10.0.0.5 TCP_TUNNEL/200 482133 CONNECT 10.1.2.3:5901 - HIER_DIRECT/10.1.2.3 -\n"
        );
    }

    #[test]
    fn refusals_by_the_rules() {
        tail(
            &refused(Phase::Admission, Cause::AccessDenied, 403, 3871, "10.1.2.3:22"),
            "TCP_DENIED/403 3871 CONNECT 10.1.2.3:22 - HIER_NONE/- text/html",
        );
        tail(
            &refused(Phase::Admission, Cause::LocalTarget, 403, 5, "[::1]:22"),
            "TCP_DENIED/403 5 CONNECT [::1]:22 - HIER_NONE/- text/html",
        );
    }

    #[test]
    fn failed_connects_keep_the_last_address() {
        let failed = Record {
            connected: "[::1]:18081".parse().ok(),
            ..refused(Phase::Connect, Cause::ConnectRefused, 503, 300, "[::1]:18081")
        };
        tail(&failed, "TCP_TUNNEL/503 300 CONNECT [::1]:18081 - HIER_DIRECT/::1 -");
        tail(
            &refused(Phase::Admission, Cause::NameNotFound, 503, 300, "nohost.invalid:5900"),
            "TCP_TUNNEL/503 300 CONNECT nohost.invalid:5900 - HIER_NONE/- -",
        );
    }

    #[test]
    fn requests_that_were_none() {
        tail(
            &refused(Phase::Request, Cause::BadRequest, 400, 3575, "::1:18080"),
            "NONE_NONE/400 3575 CONNECT ::1:18080 - HIER_NONE/- text/html",
        );
        let bogus = Record {
            method: Some("BOGUS".into()),
            ..refused(Phase::Request, Cause::BadRequest, 400, 3379, "")
        };
        tail(&bogus, "NONE_NONE/400 3379 BOGUS error:invalid-request - HIER_NONE/- text/html");
        let silent = Record { method: None, ..refused(Phase::Request, Cause::HungUp, 0, 0, "") };
        tail(&silent, "NONE_NONE/000 0 - error:transaction-end-before-headers - HIER_NONE/- -");
        let large = Record { method: None, ..refused(Phase::Request, Cause::TooLarge, 431, 9, "") };
        tail(&large, "NONE_NONE/431 9 - error:invalid-request - HIER_NONE/- text/html");
    }

    #[test]
    fn mapped_addresses_are_shown_as_what_they_are() {
        let mapped = Record {
            client: "[::ffff:10.0.0.5]:1".parse().ok(),
            connected: "[::ffff:10.1.2.3]:5901".parse().ok(),
            ..record()
        };
        assert_eq!(line(&mapped), line(&record()));
    }

    #[test]
    fn nobody_writes_fields_or_lines_of_his_own() {
        let forged = Record {
            method: Some("GET x".into()),
            target: Some("a\n1.000 0 - %41é".into()),
            ..refused(Phase::Request, Cause::BadRequest, 400, 1, "")
        };
        tail(
            &forged,
            "NONE_NONE/400 1 GET%20x a%0A1.000%200%20-%20%2541%C3%A9 - HIER_NONE/- text/html",
        );
    }
}
