//! Frames in pieces of every size, frames that break the rules, and two ends over a socket.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use super::frame::{BINARY, PONG, header, mask};
use super::*;
use crate::tls;

/// All payload, whatever pieces the bytes come in.
fn read(reader: &mut Reader, bytes: &[u8], piece: usize) -> anyhow::Result<Vec<u8>> {
    let mut payload = Vec::new();
    for part in bytes.chunks(piece) {
        let (mut part, mut taken) = (part.to_vec(), 0);
        while taken < part.len() {
            match reader.take(&mut part[taken..])? {
                Piece::Own(length) => taken += length,
                Piece::Payload(length) => {
                    payload.extend(&part[taken..taken + length]);
                    taken += length;
                }
            }
        }
    }
    Ok(payload)
}

fn frame(key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(BINARY, payload.len(), key);
    let start = frame.len();
    frame.extend(payload);
    mask(&mut frame[start..], key.unwrap_or_default());
    frame
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 % 251) as u8).collect()
}

#[test]
fn payload_of_every_length_comes_back_from_any_pieces() {
    let lengths = [0, 1, 125, 126, 300, 65_535, 65_536];
    for key in [None, Some([1, 2, 3, 250])] {
        let all: Vec<u8> = lengths.iter().flat_map(|length| pattern(*length)).collect();
        let frames: Vec<u8> =
            lengths.iter().flat_map(|length| frame(key, &pattern(*length))).collect();
        for piece in [1, 2, 3, 7, 1000, usize::MAX] {
            let mut reader = if key.is_some() { Reader::of_client() } else { Reader::of_server() };
            assert!(read(&mut reader, &frames, piece).unwrap() == all, "{key:?} by {piece}");
            assert_eq!(reader.left(), 0);
        }
    }
}

#[test]
fn the_examples_of_the_rfc_are_understood() {
    // Section 5.7, their text frames made binary; a ping amid a message of two frames.
    let masked = [0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(read(&mut Reader::of_client(), &masked, 3).unwrap(), b"Hello");
    let mut reader = Reader::of_server();
    let bytes = [b"\x02\x03Hel".as_slice(), b"\x89\x05Hello", b"\x8a\x00", b"\x80\x02lo"].concat();
    assert_eq!(read(&mut reader, &bytes, 4).unwrap(), b"Hello");
    assert_eq!(reader.take_ping(), Some(b"Hello".to_vec()));
    assert_eq!(reader.take_ping(), None);
}

#[test]
fn what_breaks_the_rules_is_told() {
    for (bytes, said) in [
        (b"\xc2\x00".as_slice(), "reserved"),
        (b"\x81\x00", "opcode 1"),
        (b"\x80\x00", "opcode 0"),
        (b"\x02\x00\x82\x00", "opcode 2"),
        (b"\x8b\x00", "opcode 11"),
        (b"\x82\x80\x00\x00\x00\x00", "masked"),
        (b"\x09\x00", "control frame"),
        (b"\x82\x7e\x00\x7d", "at more length"),
        (b"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", "at more length"),
        (b"\x88\x06\x03\xf3full", "closed: 1011 full"),
        (b"\x88\x00", "was closed"),
    ] {
        let told = read(&mut Reader::of_server(), bytes, 1).unwrap_err().to_string();
        assert!(told.contains(said), "{bytes:?}: {told}");
    }
    let told = read(&mut Reader::of_client(), b"\x82\x00", 1).unwrap_err().to_string();
    assert!(told.contains("masked"), "{told}");
}

#[test]
fn a_byte_lost_or_doubled_shows_at_the_next_header() {
    let stream = [frame(None, &[b'.'; 1000]), frame(None, &[b'.'; 1000])].concat();
    let (lost, doubled) = ([&stream[..500], &stream[501..]], [&stream[..500], &stream[499..]]);
    for damaged in [lost, doubled] {
        read(&mut Reader::of_server(), &damaged.concat(), usize::MAX).unwrap_err();
    }
}

#[test]
fn only_the_answer_to_the_request_is_taken() {
    let head = REPLY.strip_suffix("\r\n\r\n").unwrap();
    check_reply(head.as_bytes()).unwrap();
    for (from, to, said) in [
        ("101 Switching Protocols", "403 Forbidden", "answered with HTTP/1.1 403 Forbidden"),
        ("+xOo=", "+xOO=", "Sec-WebSocket-Accept is"),
        ("Protocol: binary", "Protocol: base64", "Sec-WebSocket-Protocol is base64"),
        ("Sec-WebSocket-Protocol", "X-Protocol", "has no Sec-WebSocket-Protocol"),
        ("binary", "binary\r\nsec-websocket-extensions: permessage-deflate", "extensions"),
    ] {
        let told = check_reply(head.replace(from, to).as_bytes()).unwrap_err().to_string();
        assert!(told.contains(said), "{told}");
    }
}

/// A browser's end and the bare socket of a server.
fn ends() -> (Stream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    near.set_nonblocking(true).unwrap();
    let mut near = Stream::over(tls::Stream::plain(near));
    near.upgrade(&mut Vec::new()).unwrap();
    let far = listener.accept().unwrap().0;
    far.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    (near, far)
}

/// Until something comes.
fn wait(mut attempt: impl FnMut() -> std::io::Result<usize>) -> std::io::Result<usize> {
    loop {
        match attempt() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => return other,
        }
    }
}

#[test]
fn what_is_sent_is_masked_and_each_time_differently() {
    let (mut near, mut far) = ends();
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for _ in 0..2 {
        near.send(b"a key was pressed").unwrap();
        let mut bytes = [0; 23];
        far.read_exact(&mut bytes).unwrap();
        let clear = read(&mut Reader::of_client(), &bytes, 5).unwrap();
        assert_eq!(clear, b"a key was pressed");
        seen.push(bytes.to_vec());
    }
    assert!(seen[0] != seen[1] && !seen[0].ends_with(b"pressed"));
}

#[test]
fn a_flood_is_whole_frames_however_little_the_socket_takes() {
    let (mut near, mut far) = ends();
    let mut scratch = vec![0; 1 << 20];
    let mut sent = 0;
    let (mut reader, mut received, mut bytes) = (Reader::of_client(), 0, vec![0; 1 << 20]);
    far.set_nonblocking(true).unwrap();
    while sent < 32 << 20 || received < sent {
        if sent < 32 << 20 {
            sent += near.send_anything(128 << 10, &mut scratch).unwrap_or(0);
        } else {
            near.flush().unwrap();
        }
        // Slower than it is sent, at first.
        let Ok(length) = far.read(&mut bytes[..100_000]) else { continue };
        received += read(&mut reader, &bytes[..length], usize::MAX).unwrap().len();
    }
    assert_eq!((received, reader.left()), (sent, 0));
}

#[test]
fn all_payload_of_a_flood_is_counted_and_none_of_the_headers() {
    let (mut near, far) = ends();
    let lengths = [1, 100, 511, 512, 513, 600, 16_384, 70_000, 300_000, 3];
    let frames: Vec<u8> =
        lengths.iter().flat_map(|length| frame(None, &pattern(*length))).collect();
    let server = std::thread::spawn(move || {
        for _ in 0..10 {
            (&far).write_all(&frames).unwrap();
        }
        far
    });
    let (mut scratch, mut counted) = (vec![0; 1 << 20], 0);
    let all = 10 * lengths.iter().sum::<usize>();
    while counted < all {
        counted += wait(|| near.discard(&mut scratch)).unwrap();
    }
    assert_eq!(counted, all);
    drop(server.join().unwrap());
    assert_eq!(wait(|| near.discard(&mut scratch)).unwrap(), 0);
}

#[test]
fn pings_are_answered_and_are_no_payload() {
    let (mut near, mut far) = ends();
    far.write_all(b"\x89\x02hi\x82\x01x").unwrap();
    let mut scratch = [0; 1000];
    assert_eq!(wait(|| near.receive(&mut scratch)).unwrap(), 1);
    assert_eq!(scratch[0], b'x');
    let mut pong = [0; 8];
    far.read_exact(&mut pong).unwrap();
    assert_eq!(pong[..2], [0x80 | PONG, 0x82]);
    let key = [pong[2], pong[3], pong[4], pong[5]];
    mask(&mut pong[6..], key);
    assert_eq!(&pong[6..], b"hi");
    far.write_all(b"\x88\x02\x03\xf0").unwrap();
    let told = wait(|| near.receive(&mut scratch)).unwrap_err().to_string();
    assert!(told.contains("closed: 1008"), "{told}");
}
