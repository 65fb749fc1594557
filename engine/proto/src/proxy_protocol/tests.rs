//! Headers of both versions as proxies send them, well or badly, in any pieces.

use super::*;
use crate::Progress::{self, Done, Wait};
use crate::testing::{Fed, any_split, feed};
use alloc::format;
use alloc::vec::Vec;
use proptest::prelude::*;

/// The verdict of every split of `stream`.
fn receive(stream: impl AsRef<[u8]>) -> Fed<Header, Error> {
    any_split(stream.as_ref(), Receiver::new, Receiver::receive)
}

fn verdict(stream: impl AsRef<[u8]>) -> Result<Progress<Header>, Error> {
    receive(stream).verdict
}

fn accepted(stream: impl AsRef<[u8]>) -> Header {
    match verdict(stream) {
        Ok(Done(header)) => header,
        other => panic!("{other:?}"),
    }
}

fn refused(stream: impl AsRef<[u8]>) -> Error {
    verdict(stream).unwrap_err()
}

fn ends(source: &str, destination: &str) -> Endpoints {
    Endpoints { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

fn binary(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = (block.len() as u16).to_be_bytes();
    [&v2::SIGNATURE, [command, family].as_slice(), &length, block].concat()
}

/// Addresses 1.2.3.4:258 and 5.6.7.8:772.
const INET: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4];

fn inet_with(tlvs: &[u8]) -> Vec<u8> {
    binary(v2::PROXY, v2::TCP4, &[INET, tlvs].concat())
}

#[test]
fn lines_are_read_and_the_payload_left_alone() {
    let v4 = receive("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nGET /\r\n");
    let expected = Origin::Stream(ends("192.0.2.1:56324", "198.51.100.2:443"));
    assert_eq!(v4.verdict, Ok(Done(Header { origin: expected, tlvs: Tlvs::default() })));
    assert_eq!((v4.output.len(), v4.rest.as_slice()), (0, b"GET /\r\n".as_slice()));

    let v6 = accepted("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n");
    assert_eq!(v6.origin, Origin::Stream(ends("[2001:db8::1]:0", "[::1]:65535")));
    for rest in [&b""[..], b" ", b" ::1 \0\xff"] {
        let line = [b"PROXY UNKNOWN", rest, b"\r\n"].concat();
        assert_eq!(accepted(&line).origin, Origin::Unknown, "{line:?}");
    }
}

#[test]
fn broken_lines_are_refused() {
    for line in [
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1  2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
        "PROXY TCP4 1.2.3.4\t1.2.3.4 1 2\r\n",
        "PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP6 [::1] ::1 1 2\r\n",
        "PROXY TCP6 fe80::1%1 ::1 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\nX\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\0\r\n",
    ] {
        assert_eq!(refused(line), Error::Line, "{line:?}");
    }
}

#[test]
fn a_line_may_have_107_bytes_and_not_one_more() {
    let line_of = |size: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(size - 16));
    assert_eq!(accepted(line_of(107)).origin, Origin::Unknown);
    assert_eq!(refused(line_of(108)), Error::LineTooLong);
    assert_eq!(verdict(&line_of(108)[..106]), Ok(Wait));
}

#[test]
fn what_is_no_header_is_refused_at_its_first_wrong_byte() {
    for stream in ["CONNECT h:1 HTTP/1.1\r\n", "\x16\x03\x01", "PRI", "PROXY\t", "\r\n\r\n\0\r\nQ "]
    {
        assert_eq!(refused(stream), Error::NotProxy, "{stream:?}");
    }
    for stream in ["", "P", "PROXY", "\r", "\r\n\r\n\0\r\nQUIT\n", "\r\n\r\n\0\r\nQUIT\n\x21\x11"] {
        assert_eq!(verdict(stream), Ok(Wait), "{stream:?}");
    }
}

#[test]
fn binary_families_are_read() {
    let v4 = ends("1.2.3.4:258", "5.6.7.8:772");
    assert_eq!(accepted(binary(0x21, 0x11, INET)).origin, Origin::Stream(v4));
    assert_eq!(accepted(binary(0x21, 0x12, INET)).origin, Origin::Datagram(v4));

    let block = [&[0; 15], [1].as_slice(), &[0; 15], &[2, 0, 80, 1, 187]].concat();
    let v6 = ends("[::1]:80", "[::2]:443");
    assert_eq!(accepted(binary(0x21, 0x21, &block)).origin, Origin::Stream(v6));
    assert_eq!(accepted(binary(0x21, 0x22, &block)).origin, Origin::Datagram(v6));

    let mut block = [0; 216];
    block[..4].copy_from_slice(b"/run");
    block[108..112].copy_from_slice(b"\0abs");
    let paths = Origin::Unix {
        source: UnixPath(b"/run".to_vec()),
        destination: UnixPath(b"\0abs".to_vec()),
    };
    assert_eq!(accepted(binary(0x21, 0x31, &block)).origin, paths);
    assert_eq!(accepted(binary(0x21, 0x32, &block)).origin, paths);
}

#[test]
fn without_a_known_origin_the_block_is_skipped() {
    let local = receive([binary(0x20, 0x11, b"?").as_slice(), b"rest"].concat());
    let skipped = |origin| Ok(Done(Header { origin, tlvs: Tlvs::default() }));
    assert_eq!((local.verdict, local.rest), (skipped(Origin::Local), b"rest".to_vec()));
    assert_eq!(verdict(binary(0x20, 0xff, b"")), skipped(Origin::Local));
    assert_eq!(verdict(binary(0x21, 0x00, b"\x03\xff")), skipped(Origin::Unknown));
}

#[test]
fn broken_binary_headers_are_refused() {
    for command in [0x00, 0x11, 0x22, 0x2f, 0x31] {
        assert_eq!(refused(binary(command, 0x11, INET)), Error::Command(command));
    }
    for family in [0x01, 0x10, 0x13, 0x20, 0x30, 0x41, 0xff] {
        assert_eq!(refused(binary(0x21, family, INET)), Error::Family(family));
    }
    for (family, needed) in [(0x11, 12), (0x12, 12), (0x21, 36), (0x22, 36), (0x31, 216)] {
        let block = alloc::vec![0; needed];
        assert!(matches!(verdict(binary(0x21, family, &block)), Ok(Done(_))));
        let short = binary(0x21, family, &block[1..]);
        assert_eq!(refused(short), Error::TooShort(needed as u16 - 1));
    }
}

#[test]
fn a_binary_header_may_have_4096_bytes_and_not_one_more() {
    let run = |stream: &[u8]| {
        let mut machine = Receiver::new();
        feed(stream.chunks(1000), |input, output| machine.receive(input, output)).verdict
    };
    assert!(matches!(run(&binary(0x20, 0, &[0; 4080])), Ok(Done(_))));
    assert_eq!(run(&binary(0x20, 0, &[0; 4080])[..4095]), Ok(Wait));
    assert_eq!(run(&binary(0x20, 0, &[0; 4081])[..16]), Err(Error::TooLong(4081)));
}

#[test]
fn tlvs_are_listed_and_checked() {
    let header = accepted(inet_with(b"\x02\0\x02vm\x04\0\0\xe0\0\x01x\x05\0\x02id"));
    let kinds: Vec<u8> = header.tlvs.iter().map(|tlv| tlv.kind).collect();
    assert_eq!(kinds, [0x02, 0x04, 0xe0, 0x05]);
    assert_eq!(header.tlvs.authority(), Some("vm"));
    assert_eq!(header.tlvs.get(UNIQUE_ID), Some(b"id".as_slice()));
    assert_eq!(header.tlvs.get(0x20), None);

    for broken in [&b"\xe0"[..], b"\xe0\0", b"\xe0\0\x01", b"\x04\0\0\xe0\0\x02x"] {
        assert_eq!(refused(inet_with(broken)), Error::Tlv(0xe0), "{broken:?}");
    }
    assert_eq!(refused(inet_with(b"\x02\0\x01\xff")), Error::Tlv(AUTHORITY));
    assert_eq!(refused(inet_with(b"\x03\0\x03abc")), Error::Tlv(CRC32C));
    let twice = b"\x03\0\x04\0\0\0\0\x03\0\x04\0\0\0\0";
    assert_eq!(refused(inet_with(twice)), Error::Tlv(CRC32C));
}

#[test]
fn a_unique_id_may_have_128_bytes_and_not_one_more() {
    let id_of =
        |size: usize| inet_with(&[[5, 0, size as u8].as_slice(), &[7; 129][..size]].concat());
    assert_eq!(accepted(id_of(128)).tlvs.get(UNIQUE_ID).unwrap().len(), 128);
    assert_eq!(refused(id_of(129)), Error::Tlv(UNIQUE_ID));
}

/// The sum is over the whole header wherever it stands, with its own field as zero.
#[test]
fn the_checksum_is_verified_wherever_it_stands() {
    let mut header = inet_with(b"\x03\0\x04\0\0\0\0\x04\0\x01n");
    let sum = crc32c::checksum([header.as_slice()]).to_be_bytes();
    header[31..35].copy_from_slice(&sum);
    assert_eq!(accepted(&header).tlvs.get(CRC32C), Some(sum.as_slice()));
    // Addresses, the sum itself, and what stands behind it.
    for position in (16..28).chain(31..35).chain([38]) {
        let mut flipped = header.clone();
        flipped[position] ^= 1;
        assert_eq!(refused(&flipped), Error::Checksum, "byte {position}");
    }
}

#[test]
fn encoded_headers_are_exact() {
    let v4 = ends("192.0.2.1:56324", "198.51.100.2:443");
    let line = |ends| {
        let mut output = Vec::new();
        encode_v1(ends, &mut output);
        output
    };
    assert_eq!(line(None), b"PROXY UNKNOWN\r\n");
    assert_eq!(line(Some(v4)), b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n");

    let mut output = b"before".to_vec();
    HeaderV2 { authority: Some("vm"), unique_id: Some(b"id"), ..HeaderV2::default() }
        .encode(&mut output)
        .unwrap();
    let expected = [b"before", binary(0x20, 0, b"\x02\0\x02vm\x05\0\x02id").as_slice()].concat();
    assert_eq!(output, expected);
}

#[test]
fn mapped_addresses_become_what_they_mean() {
    let mapped = ends("[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:2");
    let mixed = ends("[::ffff:192.0.2.1]:1", "[2001:db8::1]:2");
    let origin_of = |endpoints| {
        let mut line = Vec::new();
        encode_v1(Some(endpoints), &mut line);
        accepted(line).origin
    };
    assert_eq!(origin_of(mapped), Origin::Stream(ends("192.0.2.1:1", "192.0.2.2:2")));
    assert_eq!(origin_of(mixed), Origin::Stream(mixed));
}

#[test]
fn what_does_not_fit_is_not_encoded() {
    let mut output = b"before".to_vec();
    let long = "a".repeat(4096);
    for header in [
        HeaderV2 { unique_id: Some(&[0; 129]), ..HeaderV2::default() },
        HeaderV2 { authority: Some(&long), ..HeaderV2::default() },
    ] {
        assert_eq!(header.encode(&mut output), Err(TooLong));
    }
    assert_eq!(output, b"before");
    let id = HeaderV2 { unique_id: Some(&[0; 128]), ..HeaderV2::default() };
    assert_eq!(id.encode(&mut output), Ok(()));
}

proptest! {
    #[test]
    fn what_is_encoded_is_received(
        addresses in any::<([u8; 16], [u8; 16], u16, u16, bool)>(),
        authority in prop::option::of("[a-z.]{0,40}"),
        unique_id in prop::option::of(prop::collection::vec(any::<u8>(), 0..129)),
        checksum: bool,
        piece in 1usize..80,
    ) {
        let (source, destination, from, to, is_v4) = addresses;
        let address = |bytes: [u8; 16]| match is_v4 {
            true => core::net::IpAddr::from(*bytes.first_chunk::<4>().unwrap()),
            false => core::net::IpAddr::from(bytes).to_canonical(),
        };
        let endpoints = Endpoints {
            source: SocketAddr::new(address(source), from),
            destination: SocketAddr::new(address(destination), to),
        };
        let header = HeaderV2 {
            endpoints: Some(endpoints),
            authority: authority.as_deref(),
            unique_id: unique_id.as_deref(),
            checksum,
        };
        let run = |bytes: &[u8]| {
            let mut machine = Receiver::new();
            feed(bytes.chunks(piece), |input, output| machine.receive(input, output)).verdict
        };

        let mut bytes = Vec::new();
        header.encode(&mut bytes).unwrap();
        let Ok(Done(received)) = run(&bytes) else { panic!("{:?}", run(&bytes)) };
        prop_assert_eq!(&received.origin, &Origin::Stream(endpoints));
        prop_assert_eq!(received.tlvs.authority(), authority.as_deref());
        prop_assert_eq!(received.tlvs.get(UNIQUE_ID), unique_id.as_deref());
        prop_assert_eq!(received.tlvs.get(CRC32C).is_some(), checksum);

        let mut line = Vec::new();
        encode_v1(Some(endpoints), &mut line);
        let Ok(Done(received)) = run(&line) else { panic!("{:?}", run(&line)) };
        prop_assert_eq!(received.origin, Origin::Stream(endpoints));
    }

    #[test]
    fn random_bytes_give_one_verdict(
        tail in prop::collection::vec(any::<u8>(), 0..60),
        start in 0usize..3,
        piece in 1usize..20,
    ) {
        let start: &[u8] = [b"PROXY TCP4 ".as_slice(), &v2::SIGNATURE, b""][start];
        let stream = [start, &tail].concat();
        let run = |piece| {
            let mut machine = Receiver::new();
            feed(stream.chunks(piece), |input, output| machine.receive(input, output))
        };
        prop_assert_eq!(run(piece), run(stream.len().max(1)));
    }
}
