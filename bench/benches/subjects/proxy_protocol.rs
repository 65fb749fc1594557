//! PROXY headers of both versions, read and written.

use std::hint::black_box;

use penstock_proto::Progress::Done;
use penstock_proto::proxy_protocol::{Endpoints, HeaderV2, Origin, Receiver, encode_v1};

use super::{Subject, Work};

pub(super) const SUBJECTS: &[Subject] = &[
    Subject { name: "proxy/v1, read", elements: 1, prepare: || read(v1()) },
    Subject { name: "proxy/v1, written", elements: 1, prepare: || written(write_v1) },
    Subject { name: "proxy/v2, read", elements: 1, prepare: || read(v2(PLAIN)) },
    Subject { name: "proxy/v2, written", elements: 1, prepare: || written(write_plain) },
    Subject { name: "proxy/v2 with extras, read", elements: 1, prepare: || read(v2(EXTRAS)) },
    Subject {
        name: "proxy/v2 with extras, written",
        elements: 1,
        prepare: || written(write_extras),
    },
];

const PLAIN: HeaderV2<'_> =
    HeaderV2 { endpoints: None, authority: None, unique_id: None, checksum: false };

const EXTRAS: HeaderV2<'_> = HeaderV2 {
    endpoints: None,
    authority: Some("node-17.example.com"),
    unique_id: Some(b"0123456789abcdef"),
    checksum: true,
};

fn endpoints() -> Option<Endpoints> {
    Some(Endpoints {
        source: ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 56324).into(),
        destination: ([0x2001, 0xdb8, 0, 0, 0, 0, 0xffff, 2], 3128).into(),
    })
}

fn v1() -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_v1(endpoints(), &mut bytes);
    bytes
}

fn v2(header: HeaderV2<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(header, &mut bytes);
    bytes
}

fn read(stream: Vec<u8>) -> Work {
    Box::new(move || {
        let input = &mut black_box(stream.as_slice());
        let verdict = Receiver::new().receive(input, &mut Vec::new());
        let Ok(Done(header)) = verdict else { panic!("refused") };
        assert!(matches!(header.origin, Origin::Stream(_)) && input.is_empty());
    })
}

/// Into a buffer that need not grow, as a session's doesn't.
fn written(write: fn(&mut Vec<u8>)) -> Work {
    let mut output = Vec::with_capacity(4096);
    Box::new(move || {
        output.clear();
        write(black_box(&mut output));
        assert!(output.len() > 50);
    })
}

fn write_v1(output: &mut Vec<u8>) {
    encode_v1(endpoints(), output);
}

fn write_plain(output: &mut Vec<u8>) {
    write(PLAIN, output);
}

fn write_extras(output: &mut Vec<u8>) {
    write(EXTRAS, output);
}

fn write(header: HeaderV2<'_>, output: &mut Vec<u8>) {
    let header = HeaderV2 { endpoints: endpoints(), ..header };
    header.encode(output).expect("it is short");
}
