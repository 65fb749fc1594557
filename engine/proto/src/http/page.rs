//! Answers for people: a status, a few words, and the number under which the operator finds the rest.
//!
//! Has no clock: the date comes in as text. Nothing of the request is shown: there may be a token in it.

use alloc::format;
use alloc::vec::Vec;

use super::reply::{Escaped, reason};

/// An answer that closes the connection. Its words are escaped.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// HTTP status, 300 to 599.
    pub status: u16,
    /// What is wrong, and what to do, in one or two sentences.
    pub words: &'a str,
    /// The session's id.
    pub session: &'a str,
    /// Now, as an HTTP date (RFC 9110 §5.6.7).
    pub date: &'a str,
    /// Seconds, for a load that may pass.
    pub retry_after: Option<u32>,
    /// Methods to offer with a 405.
    pub allow: Option<&'static str>,
    /// What a user name and a password are for, with a 401.
    pub realm: Option<&'static str>,
    /// Further header fields, as whole lines: [`Fields`](super::fields::Fields), or nothing.
    pub fields: &'a str,
}

impl<'a> Page<'a> {
    /// One that says so much, and no more; session and date are still to come.
    pub fn new(status: u16, words: &'a str) -> Page<'a> {
        Page {
            status,
            words,
            session: "",
            date: "",
            retry_after: None,
            allow: None,
            realm: None,
            fields: "",
        }
    }

    /// Appends the answer to `output`; without its body for who has asked by HEAD.
    pub fn write(&self, with_body: bool, output: &mut Vec<u8>) {
        let Self { status, words, session, date, .. } = self;
        let (reason, words) = (reason(*status), Escaped(words));
        let body = format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{status} {reason}</title></head><body>\n\
             <h1>{reason}</h1>\n<p>{words}</p>\n<p>Session {session}</p>\n</body></html>\n"
        );
        let length = body.len();
        let mut head = format!(
            "HTTP/1.1 {status} {reason}\r\nServer: penstock\r\nDate: {date}\r\n\
             Content-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\n\
             Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n"
        );
        if let Some(methods) = self.allow {
            head.push_str(&format!("Allow: {methods}\r\n"));
        }
        if let Some(realm) = self.realm {
            head.push_str(&format!("WWW-Authenticate: Basic realm=\"{realm}\"\r\n"));
        }
        if let Some(seconds) = self.retry_after {
            head.push_str(&format!("Retry-After: {seconds}\r\n"));
        }
        head.push_str(self.fields);
        head.push_str("Connection: close\r\n\r\n");
        output.extend_from_slice(head.as_bytes());
        if with_body {
            output.extend_from_slice(body.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    #[test]
    fn a_page_has_all_that_a_browser_and_an_operator_need() {
        let mut output = Vec::new();
        let page = Page {
            status: 401,
            words: "Say <who> you are.",
            fields: "A: b\r\n",
            session: "0-1-2",
            date: "Sun, 06 Nov 1994 08:49:37 GMT",
            retry_after: Some(5),
            allow: Some("GET"),
            realm: Some("Penstock"),
        };
        page.write(true, &mut output);
        let text = String::from_utf8(output).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{head}");
        for line in
            ["Allow: GET", "Retry-After: 5", "A: b", "Connection: close", "Cache-Control: no-store"]
        {
            assert!(head.lines().any(|found| found == line), "{line} in {head}");
        }
        assert!(head.contains("WWW-Authenticate: Basic realm=\"Penstock\"\r\n"));
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
        let mut bare = Vec::new();
        page.write(false, &mut bare);
        assert_eq!(bare, &text.as_bytes()[..text.len() - body.len()], "the same, as HEAD has it");
        assert!(
            body.contains("Say &lt;who&gt; you are.") && body.contains("Session 0-1-2"),
            "{body}"
        );
    }
}
