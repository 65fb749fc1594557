//! What passes of a client that may only look: the same as a second reader finds, who knows nothing of the engine's.

use penstock_proto::rfb::ViewOnly;

use super::{Ending, same_in_pieces};

/// The first byte says whether ClientInit has passed already; what a client says follows.
pub(super) fn passes(data: &[u8]) -> Ending {
    let Some((kind, said)) = data.split_first() else { return Ending::Waiting };
    let is_initialised = kind % 2 == 1;
    let (passed, verdict) = same_in_pieces(said, |piece| {
        let (mut filter, mut passed) = (ViewOnly::new(is_initialised), Vec::new());
        for bytes in said.chunks(piece) {
            let mut bytes = bytes.to_vec();
            let (kept, verdict) = filter.filter(&mut bytes);
            passed.extend_from_slice(&bytes[..kept]);
            if verdict.is_err() {
                assert_eq!(filter.filter(&mut [3]), (0, verdict), "nothing passes behind it");
                return (passed, verdict);
            }
        }
        (passed, Ok(()))
    });
    let (looks, unknown) = looks(said, is_initialised);
    assert_eq!((passed.escape_ascii().to_string(), verdict.err()), (looks, unknown));
    match (verdict, passed.len() < said.len()) {
        (Err(_), _) => Ending::Refused,
        (Ok(()), true) => Ending::Accepted,
        (Ok(()), false) => Ending::Waiting,
    }
}

/// What looks only of what a client says, and what nobody knows.
fn looks(said: &[u8], is_initialised: bool) -> (String, Option<u8>) {
    let (mut at, mut passed) = (usize::from(!is_initialised).min(said.len()), Vec::new());
    let mut marks_pointers = false;
    passed.extend(&said[..at]);
    while let Some(kind) = said.get(at).copied() {
        let message = &said[at..];
        let Some(length) = length(message, marks_pointers) else {
            return (passed.escape_ascii().to_string(), Some(kind));
        };
        let whole = &message[..message.len().min(length.unwrap_or(usize::MAX))];
        if kind == 2 && length.is_some_and(|length| length <= message.len()) {
            let mut encodings = whole[4..].chunks(4);
            marks_pointers = encodings.any(|encoding| encoding == [0xff, 0xff, 0xfe, 0xc4]);
        }
        if [0, 2, 3, 150, 248].contains(&kind) {
            passed.extend(whole);
        }
        at += whole.len();
    }
    (passed.escape_ascii().to_string(), None)
}

/// How long a message is: none, if nobody knows it; none within, if that is yet to come.
fn length(message: &[u8], marks_pointers: bool) -> Option<Option<usize>> {
    let byte = |at: usize| message.get(at).map(|byte| usize::from(*byte));
    let short = |at: usize| Some(byte(at)? << 8 | byte(at + 1)?);
    let word = |at: usize| Some((short(at)? << 16 | short(at + 2)?) as u32 as i32);
    Some(match message[0] {
        0 => Some(20),
        2 => short(2).map(|count| 4 + 4 * count),
        3 | 150 => Some(10),
        4 => Some(8),
        5 => byte(1).map(|buttons| if marks_pointers && buttons >= 128 { 7 } else { 6 }),
        6 => word(4).map(|length| 8 + length.unsigned_abs() as usize),
        248 => byte(8).map(|length| 9 + length),
        250 => Some(4),
        251 => byte(7).filter(|_| message.len() >= 8).and(byte(6)).map(|screens| 8 + 16 * screens),
        253 => match (byte(1), byte(2), byte(3)) {
            (Some(kind), Some(a), Some(b)) if kind >= 128 => Some(4 + (a << 8 | b)),
            (Some(_), Some(a), Some(b)) => Some(4 + (b << 8 | a)),
            _ => None,
        },
        255 => match (byte(1), byte(2), byte(3)) {
            (Some(0), Some(_), Some(_)) => Some(12),
            (Some(1), Some(0), Some(0 | 1)) => Some(4),
            (Some(1), Some(0), Some(2)) => Some(10),
            (_, _, Some(_)) => return None,
            _ => None,
        },
        _ => return None,
    })
}
