//! A client's messages: the beginning of one in, what it is and how long out.
//!
//! Those of RFB 3.8 and the extensions that today's clients use (rfbproto, confirmed with QEMU).

/// Most bytes that have to be known of a message to tell how long it is.
pub(super) const HEAD_LIMIT: usize = 9;

/// The pseudo-encoding by which a client says that it may send long pointer messages.
pub(super) const LONG_POINTER: i32 = -316;

/// A message whose head is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Message {
    /// Somebody pressed a key, or moved a pointer.
    pub(super) is_event: bool,
    pub(super) rest: Rest,
}

/// What follows the head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rest {
    /// So many bytes that say nothing.
    Bytes(u64),
    /// So many encodings of four bytes.
    Encodings(u16),
}

/// How many bytes the head of a message has that begins with `kind`; 1 if that is unknown.
pub(super) fn head_length(kind: u8) -> usize {
    match kind {
        5 => 2,
        2 | 253 | 255 => 4,
        6 | 251 => 8,
        248 => 9,
        _ => 1,
    }
}

/// Reads a head of [`head_length`] bytes. None if no such message is known.
pub(super) fn read(head: &[u8], knows_long_pointer: bool) -> Option<Message> {
    let bytes = |length| Some(Message { is_event: false, rest: Rest::Bytes(length) });
    let event = |length| Some(Message { is_event: true, rest: Rest::Bytes(length) });
    match *head {
        // SetPixelFormat, SetEncodings, FramebufferUpdateRequest.
        [0] => bytes(19),
        [2, _, high, low] => {
            let rest = Rest::Encodings(u16::from_be_bytes([high, low]));
            Some(Message { is_event: false, rest })
        }
        [3] => bytes(9),
        // KeyEvent, PointerEvent. A client that knows the longer one marks it by a button that it otherwise leaves alone.
        [4] => event(7),
        [5, buttons] if knows_long_pointer && buttons & 0x80 != 0 => event(5),
        [5, _] => event(4),
        // ClientCutText; a negative length is that of an extended one.
        [6, _, _, _, a, b, c, d] => bytes(i32::from_be_bytes([a, b, c, d]).unsigned_abs().into()),
        // EnableContinuousUpdates, ClientFence, xvp.
        [150] => bytes(9),
        [248, .., length] => bytes(length.into()),
        [250] => bytes(3),
        // SetDesktopSize.
        [251, _, _, _, _, _, screens, _] => bytes(16 * u64::from(screens)),
        // gii: its length is in the byte order that it says.
        [253, kind, a, b] => {
            let length = if kind & 0x80 == 0 { [b, a] } else { [a, b] };
            let length = u16::from_be_bytes(length).into();
            if kind & 0x7f == 0 { event(length) } else { bytes(length) }
        }
        // QEMU: a key with its scan code; audio, of which only the format has more.
        [255, 0, _, _] => event(8),
        [255, 1, 0, 2] => bytes(6),
        [255, 1, 0, 0 | 1] => bytes(0),
        _ => None,
    }
}
