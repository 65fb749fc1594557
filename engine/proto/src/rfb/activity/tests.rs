//! Clients of every version, with every message, in any pieces.

use super::*;
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

/// A client that chose no authentication, up to ClientInit.
const BEGUN: &[u8] = b"RFB 003.008\n\x01\x01";

/// All that is told of a stream, which must not depend on its pieces.
fn follow(stream: &[u8], piece: usize) -> Activity {
    let mut follower = Follower::new();
    let mut sum = 0;
    for bytes in stream.chunks(piece) {
        match follower.follow(bytes) {
            Activity::Events(events) => sum += events,
            Activity::Unknown => return Activity::Unknown,
        }
    }
    Activity::Events(sum)
}

fn any_split(stream: &[u8]) -> Activity {
    let whole = follow(stream, stream.len());
    for piece in 1..stream.len() {
        assert_eq!(follow(stream, piece), whole, "in pieces of {piece}");
    }
    whole
}

fn of_messages(messages: &[&[u8]]) -> Activity {
    any_split(&[BEGUN, &messages.concat()].concat())
}

const KEY: &[u8] = &[4, 1, 0, 0, 0, 0, 0xff, 0x0d];
const POINTER: &[u8] = &[5, 0x81, 0, 10, 0, 20];
const LONG_POINTER: &[u8] = &[5, 0x81, 0, 10, 0, 20, 1];
const QEMU_KEY: &[u8] = &[255, 0, 0, 1, 0, 0, 0, 0x61, 0, 0, 0, 0x1e];

/// With bytes of key events within, which are none there.
fn filled(head: &[u8], length: usize) -> Vec<u8> {
    let mut message = head.to_vec();
    message.resize(length, 4);
    message
}

fn encodings(list: &[i32]) -> Vec<u8> {
    let mut message = vec![2, 0, 0, list.len() as u8];
    message.extend(list.iter().flat_map(|encoding| encoding.to_be_bytes()));
    message
}

fn messages() -> Vec<(Vec<u8>, u32)> {
    vec![
        (KEY.to_vec(), 1),
        (POINTER.to_vec(), 1),
        (QEMU_KEY.to_vec(), 1),
        (filled(&[0], 20), 0),
        (encodings(&[]), 0),
        (encodings(&[0, 7, -223, -258]), 0),
        (filled(&[3], 10), 0),
        (filled(&[6, 0, 0, 0, 0, 0, 0, 0], 8), 0),
        (filled(&[6, 0, 0, 0, 0, 0, 0, 9], 17), 0),
        (filled(&[6, 0, 0, 0, 0xff, 0xff, 0xff, 0xf0], 24), 0),
        (filled(&[150], 10), 0),
        (filled(&[248, 0, 0, 0, 0, 0, 0, 1, 0], 9), 0),
        (filled(&[248, 0, 0, 0, 0, 0, 0, 1, 64], 73), 0),
        (filled(&[250, 0, 1, 2], 4), 0),
        (filled(&[251, 0, 0, 0, 0, 0, 2, 0], 40), 0),
        (filled(&[253, 0x81, 0, 4], 8), 0),
        (filled(&[253, 0x01, 4, 0], 8), 0),
        (filled(&[253, 0x80, 0, 4], 8), 1),
        (vec![255, 1, 0, 0], 0),
        (vec![255, 1, 0, 1], 0),
        (filled(&[255, 1, 0, 2], 10), 0),
    ]
}

#[test]
fn every_message_is_passed_over_by_its_length() {
    for (message, events) in messages() {
        let stream = [KEY, &message, KEY, POINTER, QEMU_KEY];
        assert_eq!(of_messages(&stream), Activity::Events(4 + events), "{message:?}");
    }
}

#[test]
fn pointers_are_longer_where_the_client_knows_the_longer_ones() {
    let knows = encodings(&[0, -316, 1]);
    let short = [5, 0x01, 0, 10, 0, 20];
    assert_eq!(of_messages(&[&knows, LONG_POINTER, &short, KEY]), Activity::Events(3));
    assert_eq!(of_messages(&[&encodings(&[0]), POINTER, KEY]), Activity::Events(2));
    let no_longer = encodings(&[0]);
    assert_eq!(of_messages(&[&knows, &no_longer, POINTER, KEY]), Activity::Events(2));
}

#[test]
fn what_is_not_known_is_unknown_for_good() {
    for message in [&[1u8][..], &[7], &[252], &[255, 2, 0, 0], &[255, 1, 0, 3], &[255, 1, 1, 0]] {
        assert_eq!(of_messages(&[KEY, message, KEY]), Activity::Unknown, "{message:?}");
    }
    for stream in [
        &b"RFB 003.008\n\x13"[..],
        b"RFB 003.008\n\x00",
        b"RFB 004.001\n",
        b"RFB 000.000\n",
        b"RFB 003.0x8\n",
        b"RFB 003.008\r",
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00",
    ] {
        assert_eq!(any_split(stream), Activity::Unknown, "{stream:?}");
    }
    let mut follower = Follower::new();
    assert_eq!(follower.follow(&[BEGUN, &[7]].concat()), Activity::Unknown);
    assert_eq!(follower.follow(KEY), Activity::Unknown);
}

#[test]
fn each_version_gets_to_its_messages_in_its_own_way() {
    for version in ["003.007", "003.008", "003.889"] {
        let begin = ["RFB ", version, "\n"].concat().into_bytes();
        assert_eq!(any_split(&[&begin[..], &[1, 1], KEY].concat()), Activity::Events(1));
        assert_eq!(
            any_split(&[&begin[..], &[2], &[4; 16], &[1], KEY].concat()),
            Activity::Events(1)
        );
    }
}

#[test]
fn in_version_3_3_the_server_has_chosen() {
    let run = |server: &[u8], client: &[u8], piece: usize| {
        let mut follower = Follower::new();
        server.chunks(piece).for_each(|bytes| follower.server(bytes));
        client.chunks(piece).map(|bytes| follower.follow(bytes)).last()
    };
    for piece in [1, 3, 100] {
        for version in ["003.003", "003.004", "003.005"] {
            let begin = ["RFB ", version, "\n"].concat().into_bytes();
            let none = [&begin[..], &[1], KEY].concat();
            let vnc = [&begin[..], &[4; 16], &[1], KEY].concat();
            let server = |kind| [b"RFB 003.008\n\0\0\0", &[kind][..], b"more"].concat();
            let is_followed = |end| matches!(end, Some(Activity::Events(_)));
            assert!(is_followed(run(&server(1), &none, piece)));
            assert!(is_followed(run(&server(2), &vnc, piece)));
            assert_eq!(run(&server(0), &none, piece), Some(Activity::Unknown));
            assert_eq!(run(&server(19), &none, piece), Some(Activity::Unknown));
            assert_eq!(run(b"RFB 003.008\n\0\0\0", &none, piece), Some(Activity::Unknown));
        }
    }
    assert_eq!(run(b"RFB 003.003\n\0\0\0\x01", &[b"RFB 003.003\n\x01", KEY].concat(), 99), {
        Some(Activity::Events(1))
    });
}

#[test]
fn the_server_is_wanted_as_long_as_it_may_matter() {
    let mut follower = Follower::new();
    assert!(follower.wants_server());
    follower.server(b"RFB 003.003\n");
    assert_eq!(follower.follow(b"RFB 003.003\n"), Activity::Events(0));
    assert!(follower.wants_server());
    follower.server(&[0, 0, 0, 1, 1, 1, 1]);
    assert!(!follower.wants_server());
    assert_eq!(follower.follow(&[&[1], KEY].concat()), Activity::Events(1));
    let mut follower = Follower::new();
    follower.follow(b"RFB 003.008\n");
    assert!(!follower.wants_server());
}

proptest! {
    #[test]
    fn any_messages_in_any_pieces_count_the_same(
        chosen in prop::collection::vec(0..messages().len(), 0..20),
        piece in 1usize..50,
    ) {
        let all = messages();
        let stream: Vec<u8> = chosen.iter().flat_map(|n| all[*n].0.clone()).collect();
        let events = chosen.iter().map(|n| all[*n].1).sum();
        let whole = [BEGUN, &stream].concat();
        prop_assert_eq!(follow(&whole, piece), Activity::Events(events));
    }

    #[test]
    fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 1..200), piece in 1usize..50) {
        let whole = [BEGUN, &bytes].concat();
        prop_assert_eq!(follow(&whole, piece), follow(&whole, whole.len()));
    }
}
