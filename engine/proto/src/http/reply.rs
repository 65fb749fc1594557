//! Replies of the proxy: facts in, the bytes of one reply out.
//!
//! Header fields and error names are Squid's, so that tools which read them keep working. Has no
//! clock: the date comes in as text. Credentials have no field here, and must not be put into one.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Display, Write};

/// The whole reply to a CONNECT that succeeded, the same for HTTP/1.0 clients.
pub const ESTABLISHED: &[u8; 39] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// An error reply that closes the connection. All texts are escaped where they are shown.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// HTTP status, 300 to 599.
    pub status: u16,
    /// Error name in the manner of Squid, such as `ERR_CONNECT_FAIL`.
    pub error: &'static str,
    /// errno of the failed call, or 0.
    pub errno: i32,
    /// Who caused it: `client`, `upstream` or `penstock`.
    pub side: &'a str,
    /// Where the session stood.
    pub phase: &'a str,
    /// What should have come.
    pub expected: &'a str,
    /// What came instead.
    pub came: &'a str,
    /// What the reader can do about it.
    pub advice: &'a str,
    /// Now, as an HTTP date (RFC 9110 §5.6.7).
    pub date: &'a str,
    /// Seconds, for a load that may pass.
    pub retry_after: Option<u32>,
    /// Methods to offer with a 405.
    pub allow: Option<&'static str>,
    /// Further header fields, as whole lines: [`Fields`](super::fields::Fields), or nothing.
    pub fields: &'a str,
}

impl Refusal<'_> {
    /// Appends the reply to `output`.
    pub fn write(&self, output: &mut Vec<u8>) {
        let body = self.body();
        output.extend_from_slice(self.head(body.len()).as_bytes());
        output.extend_from_slice(body.as_bytes());
    }

    fn head(&self, body_length: usize) -> String {
        let Self { status, error, errno, date, .. } = self;
        let reason = reason(*status);
        let mut head = format!(
            "HTTP/1.1 {status} {reason}\r\n\
             Server: penstock\r\n\
             Mime-Version: 1.0\r\n\
             Date: {date}\r\n\
             Content-Type: text/html;charset=utf-8\r\n\
             Content-Length: {body_length}\r\n\
             X-Squid-Error: {error} {errno}\r\n"
        );
        if let Some(methods) = self.allow {
            push(&mut head, format_args!("Allow: {methods}\r\n"));
        }
        if let Some(seconds) = self.retry_after {
            push(&mut head, format_args!("Retry-After: {seconds}\r\n"));
        }
        head.push_str(self.fields);
        head.push_str("Connection: close\r\n\r\n");
        head
    }

    fn body(&self) -> String {
        let Self { status, error, .. } = self;
        let reason = reason(*status);
        let mut body = format!(
            "<!DOCTYPE html>\n<html><head><title>{status} {reason}</title></head><body>\n\
             <h1>{status} {reason}</h1>\n<p>{error}</p>\n<dl>\n"
        );
        let rows = [
            ("Side", self.side),
            ("Phase", self.phase),
            ("Expected", self.expected),
            ("Came", self.came),
            ("What to do", self.advice),
        ];
        for (name, text) in rows {
            push(&mut body, format_args!("<dt>{name}</dt><dd>{}</dd>\n", Escaped(text)));
        }
        body.push_str("</dl>\n</body></html>\n");
        body
    }
}

/// The reason phrase of RFC 9110, RFC 4918 and RFC 6585.
pub(super) fn reason(status: u16) -> &'static str {
    match status {
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        414 => "URI Too Long",
        423 => "Locked",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}

fn push(text: &mut String, arguments: fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to a String cannot fail");
}

/// Text that HTML shows literally; control characters become spaces.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                control if control.is_control() => f.write_char(' ')?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: Refusal<'static> = Refusal {
        status: 503,
        error: "ERR_CONNECT_FAIL",
        errno: 111,
        side: "upstream",
        phase: "connect",
        expected: "a connection to 127.0.0.1:1",
        came: "<b>\"Connection\" & 'refused'\r\n",
        advice: "start the guest",
        date: "Sun, 06 Nov 1994 08:49:37 GMT",
        retry_after: None,
        allow: None,
        fields: "",
    };

    fn written(refusal: &Refusal<'_>) -> String {
        let mut output = Vec::new();
        refusal.write(&mut output);
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn the_head_is_exact_and_counts_the_body() {
        let reply = written(&REFUSED);
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        let expected = format!(
            "HTTP/1.1 503 Service Unavailable\r\nServer: penstock\r\nMime-Version: 1.0\r\n\
             Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/html;charset=utf-8\r\n\
             Content-Length: {}\r\nX-Squid-Error: ERR_CONNECT_FAIL 111\r\nConnection: close",
            body.len()
        );
        assert_eq!(head, expected);
    }

    #[test]
    fn the_body_says_all_and_escapes_it() {
        let reply = written(&REFUSED);
        for fact in [
            "<dd>upstream</dd>",
            "<dd>connect</dd>",
            "<dd>a connection to 127.0.0.1:1</dd>",
            "<dd>&lt;b&gt;&quot;Connection&quot; &amp; &#39;refused&#39;  </dd>",
            "<dd>start the guest</dd>",
        ] {
            assert!(reply.contains(fact), "{fact} is missing in {reply}");
        }
    }

    #[test]
    fn optional_fields_stand_before_connection_close() {
        let fields = "A: b\r\nC: d\r\n";
        let refusal = Refusal { retry_after: Some(5), allow: Some("CONNECT"), fields, ..REFUSED };
        let reply = written(&refusal);
        assert!(reply.contains(
            "\r\nAllow: CONNECT\r\nRetry-After: 5\r\nA: b\r\nC: d\r\nConnection: close\r\n\r\n"
        ));
    }

    #[test]
    fn every_status_of_a_head_error_has_its_phrase() {
        for status in [400, 405, 414, 431, 501, 505] {
            assert_ne!(reason(status), "Error", "{status}");
        }
    }
}
