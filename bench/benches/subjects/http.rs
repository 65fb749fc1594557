//! The head of a CONNECT request: a usual one and the largest allowed, whole and byte by byte.

use std::hint::black_box;

use penstock_proto::Progress::{Done, Wait};
use penstock_proto::http::{HEAD_LIMIT, HEADER_LIMIT, Head, Options};

use super::{Subject, Work};

pub(super) const SUBJECTS: &[Subject] = &[
    Subject { name: "head/usual", elements: 1, prepare: || whole(USUAL.into()) },
    Subject { name: "head/usual, byte by byte", elements: 1, prepare: || bytes(USUAL.into()) },
    Subject { name: "head/largest", elements: 1, prepare: || whole(largest()) },
    Subject { name: "head/largest, byte by byte", elements: 1, prepare: || bytes(largest()) },
];

/// As spice-gtk writes it.
const USUAL: &[u8] =
    b"CONNECT node-17.example.com:5901 HTTP/1.0\r\nHost: node-17.example.com:5901\r\n\
    Proxy-Connection: keep-alive\r\nUser-Agent: GLib/2.74\r\n\
    Proxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n";

fn largest() -> Vec<u8> {
    let mut head = b"CONNECT node-17.example.com:5901 HTTP/1.1\r\n".to_vec();
    let lines_end = HEAD_LIMIT - 2;
    for left in (1..=HEADER_LIMIT).rev() {
        let length = (lines_end - head.len()) / left;
        let (name, end) = (format!("x-{left}: "), "\r\n");
        head.extend_from_slice(name.as_bytes());
        head.resize(head.len() + length - name.len() - end.len(), b'v');
        head.extend_from_slice(end.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    assert_eq!(head.len(), HEAD_LIMIT);
    head
}

fn whole(stream: Vec<u8>) -> Work {
    Box::new(move || {
        let mut head = Head::new(Options::default());
        let verdict = head.receive(&mut black_box(stream.as_slice()), &mut Vec::new());
        assert!(matches!(verdict, Ok(Done(request)) if request.length == stream.len()));
    })
}

/// The caller offers again, with the next byte, what the machine has left over: all of it, here.
fn bytes(stream: Vec<u8>) -> Work {
    Box::new(move || {
        let mut head = Head::new(Options::default());
        let mut output = Vec::new();
        for end in 1..stream.len() {
            let verdict = head.receive(&mut black_box(&stream[..end]), &mut output);
            assert!(matches!(verdict, Ok(Wait)));
        }
        let verdict = head.receive(&mut black_box(stream.as_slice()), &mut output);
        assert!(matches!(verdict, Ok(Done(_))));
    })
}
