//! The link message that opens each channel: a client's first bytes in, which channel it is out.
//!
//! Takes no more than the 22 bytes that say so. Capabilities are for the two ends.

use crate::known::Known;

/// The header's magic.
const MAGIC: &[u8; 4] = b"REDQ";
/// The generation that is spoken today, in the order of SPICE.
const MAJOR: [u8; 4] = 2u32.to_le_bytes();
/// Header, connection, type and number of a channel.
const LENGTH: usize = 22;

/// Follows a client's first bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Follower(Known<LENGTH>);

/// What these bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// Too few to tell.
    Wait,
    /// The beginning of a channel.
    Link(Link),
    /// Something else than SPICE.
    Other,
}

/// One channel, as its client announces it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    /// 0 for a new session; else the one that the server named in another channel of the same session.
    pub connection: u32,
    /// What it is for.
    pub channel: Channel,
    /// Its number among those of its kind.
    pub number: u8,
}

/// What a channel is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Channel {
    /// The session itself.
    Main,
    /// One or several screens.
    Display,
    /// Keyboard and mouse.
    Inputs,
    /// Shapes of the pointer.
    Cursor,
    /// Sound of the guest.
    Playback,
    /// Sound for the guest.
    Record,
    /// Smart cards.
    Smartcard,
    /// USB devices.
    UsbRedirection,
    /// Ports that programs agree on.
    Port,
    /// Shared folders.
    Webdav,
    /// A kind by its number that has no name here.
    Other(u8),
}

impl Follower {
    /// A follower from the first byte on.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the client's next bytes. Once they are enough, the answer remains.
    pub fn follow(&mut self, bytes: &[u8]) -> Seen {
        self.0.fill(LENGTH, bytes);
        let known = self.0.bytes();
        let expected = MAGIC.iter().chain(&MAJOR);
        if known.iter().zip(expected).any(|(came, expected)| came != expected) {
            return Seen::Other;
        }
        match *known {
            [.., a, b, c, d, kind, number] if known.len() == LENGTH => Seen::Link(Link {
                connection: u32::from_le_bytes([a, b, c, d]),
                channel: Channel::of(kind),
                number,
            }),
            _ => Seen::Wait,
        }
    }
}

impl Channel {
    fn of(kind: u8) -> Self {
        match kind {
            1 => Self::Main,
            2 => Self::Display,
            3 => Self::Inputs,
            4 => Self::Cursor,
            5 => Self::Playback,
            6 => Self::Record,
            8 => Self::Smartcard,
            9 => Self::UsbRedirection,
            10 => Self::Port,
            11 => Self::Webdav,
            other => Self::Other(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Inputs channel 0 of session 0x01020304, as spice-gtk opens it.
    const INPUTS: &[u8] = b"REDQ\x02\0\0\0\x02\0\0\0\x1a\0\0\0\x04\x03\x02\x01\x03\x00\
        \x01\0\0\0\x01\0\0\0\x12\0\0\0\x0b\0\0\0\0\0\0\0";

    #[test]
    fn a_channel_is_known_once_its_22_bytes_have_come() {
        let link = Link { connection: 0x0102_0304, channel: Channel::Inputs, number: 0 };
        for piece in 1..=INPUTS.len() {
            let (mut follower, mut come) = (Follower::new(), 0);
            for bytes in INPUTS.chunks(piece) {
                come += bytes.len();
                let expected = if come >= 22 { Seen::Link(link) } else { Seen::Wait };
                assert_eq!(follower.follow(bytes), expected, "{come} bytes");
            }
        }
    }

    #[test]
    fn what_is_no_spice_is_known_by_its_first_wrong_byte() {
        for (stream, at) in [
            (&b"RFB 003.008\n"[..], 2),
            (b"\x16\x03\x01\x02", 1),
            (b"GET / HTTP/1.1\r\n", 1),
            (b"REDQ\x01\0\0\0", 5),
        ] {
            let mut follower = Follower::new();
            for (n, byte) in stream.iter().enumerate() {
                let expected = if n + 1 >= at { Seen::Other } else { Seen::Wait };
                assert_eq!(follower.follow(&[*byte]), expected, "{stream:?} at {n}");
            }
        }
    }

    #[test]
    fn every_kind_of_channel_has_its_name_or_its_number() {
        let seen = |kind| {
            let mut stream = INPUTS.to_vec();
            stream[20..22].copy_from_slice(&[kind, 7]);
            match Follower::new().follow(&stream) {
                Seen::Link(Link { channel, number: 7, .. }) => channel,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!([1, 2, 4].map(seen), [Channel::Main, Channel::Display, Channel::Cursor]);
        assert_eq!([5, 6, 8].map(seen), [Channel::Playback, Channel::Record, Channel::Smartcard]);
        assert_eq!(
            [9, 10, 11].map(seen),
            [Channel::UsbRedirection, Channel::Port, Channel::Webdav]
        );
        assert_eq!([0, 7, 255].map(seen), [0, 7, 255].map(Channel::Other));
    }
}
