//! Frames of the RFC, frames that break its rules, and any frames in any pieces.

use super::*;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

/// Everything that a caller can observe of one run.
#[derive(Clone, PartialEq, Debug, Default)]
struct Seen {
    plain: Vec<u8>,
    output: Vec<u8>,
    close: Option<Close>,
    broken: Option<Error>,
    pongs: u32,
    idle_frames: u32,
}

/// Room in front of what arrives, which nobody may touch.
const FRONT: usize = 5;

fn run<'p>(payload: Payload, pieces: impl Iterator<Item = &'p [u8]>) -> Seen {
    let (mut receiver, mut seen) = (Receiver::new(payload), Seen::default());
    for piece in pieces {
        let mut memory = [&[0xEE; FRONT], piece, &[0xEE; FRONT]].concat();
        let arrived = FRONT..FRONT + piece.len();
        let was_over = receiver.is_over();
        let received = receiver.receive(&mut memory, arrived.clone(), &mut seen.output);
        assert!(arrived.start <= received.plain.start && received.plain.end <= arrived.end);
        assert!(memory[..FRONT].iter().chain(&memory[arrived.end..]).all(|byte| *byte == 0xEE));
        if was_over {
            let nothing = Received { plain: FRONT..FRONT, ..Received::default() };
            assert_eq!(received, nothing);
        }
        seen.plain.extend_from_slice(&memory[received.plain]);
        seen.close = seen.close.or(received.close);
        seen.broken = seen.broken.or(received.broken);
        seen.pongs += received.pongs;
        seen.idle_frames += received.idle_frames;
    }
    assert_eq!(receiver.is_over(), seen.close.is_some() || seen.broken.is_some());
    seen
}

/// In two pieces at every point, and in equal pieces of every size.
fn any_split(payload: Payload, stream: &[u8]) -> Seen {
    let whole = run(payload, core::iter::once(stream));
    for at in 0..stream.len() {
        let (head, tail) = stream.split_at(at);
        assert_eq!(run(payload, [head, tail].into_iter()), whole, "split at {at}");
        assert_eq!(run(payload, stream.chunks(at + 1)), whole, "in pieces of {}", at + 1);
    }
    whole
}

fn binary(stream: &[u8]) -> Seen {
    any_split(Payload::Binary, stream)
}

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A client's frame, its first byte as given.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(payload.len() as u64, Opcode::Binary).to_vec();
    frame[0] = first;
    frame[1] |= 0x80;
    frame.extend_from_slice(&KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

fn broken(stream: &[u8]) -> Error {
    let before = frame(0x82, b"before");
    let seen = binary(&[&before, stream, &frame(0x82, b"after")].concat());
    assert_eq!(seen.plain, b"before");
    seen.broken.expect("a broken rule")
}

#[test]
fn the_examples_of_the_rfc_are_understood() {
    let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(frame(0x81, b"Hello"), hello);
    assert_eq!(broken(&hello), Error::Text);
    let mut as_binary = hello;
    as_binary[0] = 0x82;
    assert_eq!(binary(&as_binary).plain, b"Hello");
    let mut as_ping = hello;
    as_ping[0] = 0x89;
    let seen = binary(&as_ping);
    assert_eq!((seen.output.as_slice(), seen.idle_frames), (&b"\x8a\x05Hello"[..], 1));
    assert_eq!(broken(b"\x81\x05Hello"), Error::Unmasked);
}

#[test]
fn the_examples_of_the_rfc_are_written() {
    assert_eq!(*header(5, Opcode::Text), [0x81, 5]);
    assert_eq!(*header(125, Opcode::Binary), [0x82, 125]);
    assert_eq!(*header(126, Opcode::Binary), [0x82, 126, 0, 126]);
    assert_eq!(*header(256, Opcode::Binary), [0x82, 0x7e, 0x01, 0x00]);
    assert_eq!(*header(65535, Opcode::Binary), [0x82, 126, 0xff, 0xff]);
    assert_eq!(*header(65536, Opcode::Binary), [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
    let largest = [0x82, 0x7f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(*header(u64::MAX >> 1, Opcode::Binary), largest);
    let mut output = Vec::new();
    ping(&mut output);
    pong(b"Hello", &mut output);
    assert_eq!(output, b"\x89\0\x8a\x05Hello");
}

#[test]
fn payload_is_put_together_over_the_headers_between() {
    let stream = [
        frame(0x02, b"one"),
        frame(0x89, b"now?"),
        frame(0x00, b""),
        frame(0x80, b" two"),
        frame(0x8a, b"unasked"),
        frame(0x82, b""),
        frame(0x82, &[b' '; 300]),
    ]
    .concat();
    let seen = binary(&stream);
    assert_eq!(seen.plain, [&b"one two"[..], &[b' '; 300]].concat());
    assert_eq!(seen.output, b"\x8a\x04now?");
    assert_eq!((seen.pongs, seen.idle_frames, seen.broken), (1, 4, None));
}

#[test]
fn each_control_frame_has_its_own_payload() {
    let stream = [
        frame(0x8a, b"unasked"),
        frame(0x89, b"one"),
        frame(0x89, b""),
        frame(0x8a, &[0; 125]),
        frame(0x88, b"\x03\xe8bye"),
    ]
    .concat();
    let seen = binary(&stream);
    assert_eq!(seen.output, b"\x8a\x03one\x8a\0");
    assert_eq!(seen.close, Some(Close { code: Some(1000), reason: "bye".into() }));
}

#[test]
fn a_single_frame_is_unmasked_where_it_lies() {
    let mut memory = frame(0x82, b"in its place");
    let arrived = 0..memory.len();
    let received = Receiver::new(Payload::Binary).receive(&mut memory, arrived, &mut Vec::new());
    assert_eq!(received.plain, 6..18);
    assert_eq!(&memory[6..], b"in its place");
}

#[test]
fn an_empty_first_fragment_may_be_continued() {
    let seen = binary(&[frame(0x02, b""), frame(0x80, b"after all")].concat());
    assert_eq!((seen.plain.as_slice(), seen.broken), (&b"after all"[..], None));
    assert_eq!(broken(&[frame(0x02, b""), frame(0x82, b"")].concat()), Error::Interleaved);
}

#[test]
fn lengths_may_be_longer_than_they_need_to_be() {
    let mut stream = b"\x82\xfe\0\x05".to_vec();
    stream.extend_from_slice(&frame(0x82, b"Hello")[2..]);
    stream.extend_from_slice(b"\x82\xff\0\0\0\0\0\0\0\x05");
    stream.extend_from_slice(&frame(0x82, b"Hello")[2..]);
    assert_eq!(binary(&stream).plain, b"HelloHello");
}

#[test]
fn each_broken_rule_has_its_name_and_its_code() {
    let long_close = frame(0x88, &[0; 126]);
    let unfinished = frame(0x02, b"");
    let table: &[(&[u8], Error, u16)] = &[
        (b"\x82\x01x", Error::Unmasked, 1002),
        (&frame(0xc2, b"deflated"), Error::Reserved, 1002),
        (&frame(0xa2, b""), Error::Reserved, 1002),
        (&frame(0x92, b""), Error::Reserved, 1002),
        (&frame(0x81, b"text"), Error::Text, 1003),
        (&frame(0x01, b""), Error::Text, 1003),
        (&frame(0x83, b""), Error::Opcode(3), 1003),
        (&frame(0x8f, b""), Error::Opcode(15), 1003),
        (&frame(0x08, b""), Error::FragmentedControl, 1003),
        (&frame(0x09, b""), Error::FragmentedControl, 1003),
        (&frame(0x0a, b""), Error::FragmentedControl, 1003),
        (&frame(0x80, b"more"), Error::Continuation, 1002),
        (&frame(0x00, b"more"), Error::Continuation, 1002),
        (&[unfinished.as_slice(), &frame(0x82, b"new")].concat(), Error::Interleaved, 1002),
        (&[unfinished.as_slice(), &frame(0x02, b"new")].concat(), Error::Interleaved, 1002),
        (&frame(0x89, &[0; 126]), Error::LongControl, 1002),
        (&long_close, Error::LongControl, 1002),
        (b"\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0", Error::Length, 1002),
        (b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", Error::Length, 1002),
        (&frame(0x88, b"\x03"), Error::CloseLength, 1002),
        (&frame(0x88, b"\x03\xe8\xff"), Error::CloseReason, 1002),
        (&frame(0x88, b"\x03\xed"), Error::CloseCode(1005), 1002),
    ];
    for (stream, error, code) in table {
        assert_eq!(broken(stream), *error, "{stream:02x?}");
        assert_eq!(error.close_code(), *code, "{error}");
        assert!(error.to_string().starts_with("expected "), "{error}");
    }
}

#[test]
fn only_codes_that_may_be_sent_are_taken() {
    for code in 0..=u16::MAX {
        let stream = frame(0x88, &code.to_be_bytes());
        let seen = run(Payload::Binary, core::iter::once(stream.as_slice()));
        let may = [1000..=1003, 1007..=1014, 3000..=4999].iter().any(|range| range.contains(&code));
        assert_eq!(seen.close.is_some(), may, "{code}");
        assert_eq!(seen.broken, (!may).then_some(Error::CloseCode(code)));
    }
}

#[test]
fn the_last_frame_is_reported_with_code_and_reason_and_ends_everything() {
    let bye = [&1001u16.to_be_bytes()[..], "tschüss".as_bytes()].concat();
    let stream = [frame(0x82, b"last"), frame(0x88, &bye), frame(0x89, b"?"), vec![0; 20]].concat();
    let seen = binary(&stream);
    assert_eq!(seen.plain, b"last");
    assert_eq!(seen.close, Some(Close { code: Some(1001), reason: "tschüss".into() }));
    assert_eq!((seen.output.len(), seen.idle_frames), (0, 1));
    let nothing_said = binary(&frame(0x88, b"")).close;
    assert_eq!(nothing_said, Some(Close { code: None, reason: "".into() }));
}

#[test]
fn a_reason_is_cut_between_two_characters() {
    for (reason, length) in
        [("x".repeat(200), 123), ("ü".repeat(100), 122), ("x".into(), 1), ("".into(), 0)]
    {
        let mut output = Vec::new();
        close(Some(1011), &reason, &mut output);
        assert_eq!(output[..4], [0x88, length + 2, 0x03, 0xf3]);
        assert_eq!(&output[4..], &reason.as_bytes()[..usize::from(length)]);
    }
    let mut output = Vec::new();
    close(None, "nobody reads this", &mut output);
    assert_eq!(output, [0x88, 0]);
}

#[test]
fn what_is_left_of_a_connection_is_small() {
    let mut receiver = Receiver::new(Payload::Binary);
    assert!(size_of_val(&receiver) <= 80, "{} bytes", size_of_val(&receiver));
    let mut endless = b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0".to_vec();
    endless.resize(1 << 20, b'x');
    for _ in 0..64 {
        let received = receiver.receive(&mut endless, 0..1 << 20, &mut Vec::new());
        assert!(received.plain.len() >= (1 << 20) - 14 && received.broken.is_none());
    }
}

#[test]
fn base64_is_decoded_across_fragments_and_padded_by_message() {
    let stream = [
        frame(0x01, b"aGV"),
        frame(0x89, b""),
        frame(0x00, b"sb"),
        frame(0x80, b"G8="),
        frame(0x81, b""),
        frame(0x81, b"IQ=="),
    ]
    .concat();
    let seen = any_split(Payload::Base64, &stream);
    assert_eq!((seen.plain.as_slice(), seen.broken), (&b"hello!"[..], None));
}

#[test]
fn what_is_no_base64_is_refused_and_what_came_before_is_delivered() {
    for (text, before) in [
        ("aGVs!", "hel"),
        ("aGVsbA", "hell"),
        ("aGVsb", "hel"),
        ("aGVs=", "hel"),
        ("aGVsbA=", "hell"),
        ("aGVsbA===", "hell"),
        ("aGVsbA==bG8=", "hell"),
        ("aGVsbG8==", "hello"),
        ("aGVsbB==", "hell"),
        ("aGVs\r\n", "hel"),
        ("aGVs_-", "hel"),
    ] {
        let seen = any_split(Payload::Base64, &frame(0x81, text.as_bytes()));
        assert_eq!((seen.plain.as_slice(), seen.broken), (before.as_bytes(), Some(Error::Base64)));
    }
    let seen = any_split(Payload::Base64, &frame(0x82, b"aGVs"));
    assert_eq!(seen.broken, Some(Error::Binary));
}

/// A frame as any client might send it, and some that none should.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        20 => prop::sample::select(vec![0x02u8, 0x00, 0x80, 0x82, 0x82, 0x89, 0x8a]),
        1 => any::<u8>(),
        1 => Just(0x88),
    ];
    let payload = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..10),
        1 => prop::collection::vec(any::<u8>(), 0..400),
    ];
    (first, payload).prop_map(|(first, payload)| frame(first, &payload))
}

proptest! {
    #[test]
    fn any_frames_in_any_pieces_are_the_same(
        frames in prop::collection::vec(any_frame(), 0..20),
        cuts in prop::collection::vec(1usize..60, 1..40),
        is_base64 in any::<bool>(),
    ) {
        let payload = if is_base64 { Payload::Base64 } else { Payload::Binary };
        let stream = frames.concat();
        let whole = run(payload, core::iter::once(stream.as_slice()));
        let mut rest = stream.as_slice();
        let pieces = cuts.iter().cycle().map_while(|cut| {
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            rest = after;
            (!piece.is_empty()).then_some(piece)
        });
        prop_assert_eq!(run(payload, pieces), whole);
    }

    #[test]
    fn unmasking_is_the_same_wherever_it_goes(
        payload in prop::collection::vec(any::<u8>(), 0..400),
        key in any::<[u8; 4]>(),
        gap in 0usize..200,
        cut in 0usize..400,
    ) {
        let masked = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
        let mut memory: Vec<u8> = core::iter::repeat_n(0, gap).chain(masked).collect();
        let (mut turned, cut, end) = (key, gap + cut.min(payload.len()), memory.len());
        unmask(&mut memory, gap..cut, 0, &mut turned);
        unmask(&mut memory, cut..end, cut - gap, &mut turned);
        prop_assert_eq!(&memory[..payload.len()], payload.as_slice());
    }

    #[test]
    fn base64_comes_back_as_it_went(plain in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut sent = Vec::new();
        encode(&plain, &mut sent);
        let text = sent[2 + 2 * usize::from(sent[1] == 126)..].to_vec();
        let stream = frame(0x81, &text);
        prop_assert_eq!(run(Payload::Base64, stream.chunks(7)).plain, plain);
    }
}
