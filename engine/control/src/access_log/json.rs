//! One JSON object with everything known about a connection. Key order is stable; times are seconds, sizes bytes.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use penstock_core::control::Record;
use penstock_core::tls::Agreed;
use serde::Serialize;

#[derive(Serialize)]
struct Line<'r> {
    /// Unix time of the end.
    time: f64,
    elapsed: f64,
    id: String,
    listener: &'r str,
    client: Option<SocketAddr>,
    method: Option<&'r str>,
    target: Option<&'r str>,
    connected: Option<SocketAddr>,
    status: u16,
    bytes_to_client: u64,
    bytes_to_target: u64,
    bytes_spliced: u64,
    side: &'static str,
    phase: &'static str,
    cause: &'static str,
    detail: Option<&'r str>,
    client_tls: Option<Tls<'r>>,
    target_tls: Option<Tls<'r>>,
}

/// What was agreed on with one side.
#[derive(Serialize)]
struct Tls<'r> {
    version: &'static str,
    suite: &'r str,
    alpn: Option<Cow<'r, str>>,
    resumed: bool,
    /// The name that was asked for.
    server_name: Option<&'r str>,
    /// Of the peer's certificate, if it has shown one.
    subject: Option<&'r str>,
}

impl<'r> Tls<'r> {
    fn of(agreed: &'r Agreed) -> Tls<'r> {
        Tls {
            version: agreed.version(),
            suite: &agreed.suite,
            alpn: agreed.alpn.as_deref().map(String::from_utf8_lossy),
            resumed: agreed.resumed,
            server_name: agreed.server_name.as_deref(),
            subject: agreed.subject.as_deref(),
        }
    }
}

pub(super) fn write(record: &Record, at: SystemTime, listeners: &[Box<str>], to: &mut Vec<u8>) {
    let at = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let line = Line {
        time: at.as_millis() as f64 / 1e3,
        elapsed: record.elapsed.as_millis() as f64 / 1e3,
        id: record.id.to_string(),
        listener: listeners.get(usize::from(record.listener)).map_or("-", |name| name),
        client: record.client,
        method: record.method.as_deref(),
        target: record.target.as_deref(),
        connected: record.connected,
        status: record.status,
        bytes_to_client: record.bytes_to_client,
        bytes_to_target: record.bytes_to_target,
        bytes_spliced: record.bytes_spliced,
        side: record.reason.side.label(),
        phase: record.reason.phase.label(),
        cause: record.reason.cause.label(),
        detail: record.detail.as_deref(),
        client_tls: record.tls.client.as_deref().map(Tls::of),
        target_tls: record.tls.target.as_deref().map(Tls::of),
    };
    // Neither a map key nor a writer of ours can fail.
    let _ = serde_json::to_writer(&mut *to, &line);
    to.push(b'\n');
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use penstock_core::close::{Cause, CloseReason, Phase, Side};
    use penstock_core::control::{AgreedTls, SessionId};

    use super::*;

    fn record() -> Record {
        Record {
            id: SessionId { worker: 1, slot: 2, generation: 3 },
            tag: None,
            cookie: 0,
            listener: 0,
            client: "[fd00::1]:4000".parse().ok(),
            method: Some("CONNECT".into()),
            target: Some("a\"\nb:1".into()),
            status: 503,
            connected: None,
            bytes_to_client: 1,
            bytes_to_target: 2,
            bytes_spliced: 3,
            elapsed: Duration::from_millis(1500),
            reason: CloseReason::new(Side::Target, Phase::Connect, Cause::ConnectRefused),
            detail: Some("ECONNREFUSED".into()),
            tls: Default::default(),
        }
    }

    #[test]
    fn everything_is_there_on_one_line() {
        let record = record();
        let mut line = Vec::new();
        let at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        write(&record, at, &["spice".into()], &mut line);
        let expected = concat!(
            r#"{"time":1700000000.123,"elapsed":1.5,"id":"1-2-3","listener":"spice","client":"[fd00::1]:4000","#,
            r#""method":"CONNECT","target":"a\"\nb:1","connected":null,"status":503,"bytes_to_client":1,"#,
            r#""bytes_to_target":2,"bytes_spliced":3,"side":"target","phase":"connect","#,
            r#""cause":"connect_refused","detail":"ECONNREFUSED","client_tls":null,"target_tls":null}"#,
            "\n"
        );
        assert_eq!(String::from_utf8_lossy(&line), expected);
    }

    #[test]
    fn tls_is_told_of_either_side() {
        let client = Agreed {
            tls13: true,
            suite: "TLS_AES_128_GCM_SHA256".to_owned(),
            alpn: Some(b"http/1.1".to_vec()),
            resumed: true,
            server_name: Some("proxy.example".into()),
            common_name: Some("viewer".into()),
            subject: Some(r#"O=Lab\, \"Inc\",CN=viewer"#.into()),
        };
        let target = Agreed { suite: "TLS_X".to_owned(), ..Agreed::default() };
        let both = AgreedTls { client: Some(client.into()), target: Some(target.into()) };
        let record = Record { tls: both, ..record() };
        let mut line = Vec::new();
        write(&record, UNIX_EPOCH, &["spice".into()], &mut line);
        let expected = concat!(
            r#","client_tls":{"version":"TLSv1.3","suite":"TLS_AES_128_GCM_SHA256","alpn":"http/1.1","resumed":true,"#,
            r#""server_name":"proxy.example","subject":"O=Lab\\, \\\"Inc\\\",CN=viewer"},"#,
            r#""target_tls":{"version":"TLSv1.2","suite":"TLS_X","alpn":null,"resumed":false,"#,
            r#""server_name":null,"subject":null}}"#,
            "\n"
        );
        let line = String::from_utf8_lossy(&line);
        assert!(line.ends_with(expected), "{line}");
    }
}
