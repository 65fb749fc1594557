//! The part of Redis' protocol (RESP2) that a look-up needs: commands out, one reply in.
//!
//! In: bytes, however they come. Out: a value, none, an error's code. It refuses values beyond 64 KiB before they are read, and replies of
//! other kinds.

/// Of a value.
const VALUE_MAX: usize = 64 << 10;
/// Of a line.
const LINE_MAX: usize = 4096;

/// What came back.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Reply {
    /// It was done.
    Done,
    Value(Vec<u8>),
    /// There is none.
    Nothing,
    /// The word that errors begin with.
    Refused(String),
}

/// Why a reply is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// Of another kind, or of no form that RESP has.
    Garbled,
    TooLarge,
}

/// A command and its arguments.
pub(super) fn command(parts: &[&[u8]], to: &mut Vec<u8>) {
    to.extend_from_slice(format!("*{}\r\n", parts.len()).as_bytes());
    for part in parts {
        to.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        to.extend_from_slice(part);
        to.extend_from_slice(b"\r\n");
    }
}

/// The first reply of what has come and its length; none if it is not whole.
pub(super) fn reply(bytes: &[u8]) -> Result<Option<(Reply, usize)>, Fault> {
    let Some(end) = bytes.windows(2).take(LINE_MAX).position(|pair| pair == b"\r\n") else {
        return if bytes.len() > LINE_MAX { Err(Fault::Garbled) } else { Ok(None) };
    };
    let (line, behind) = (&bytes[..end], end + 2);
    let (kind, rest) = line.split_first().ok_or(Fault::Garbled)?;
    let whole = match kind {
        b'+' | b':' => Reply::Done,
        b'-' => Reply::Refused(code(rest)),
        b'$' if rest == b"-1" => Reply::Nothing,
        b'_' if rest.is_empty() => Reply::Nothing,
        b'$' => return value(&bytes[behind..], rest, behind),
        _ => return Err(Fault::Garbled),
    };
    Ok(Some((whole, behind)))
}

fn value(bytes: &[u8], length: &[u8], before: usize) -> Result<Option<(Reply, usize)>, Fault> {
    let is_number = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
    let text = str::from_utf8(length).ok().filter(|_| is_number).ok_or(Fault::Garbled)?;
    let length = text.parse().ok().filter(|length| *length <= VALUE_MAX).ok_or(Fault::TooLarge)?;
    match (bytes.get(..length), bytes.get(length..length + 2)) {
        (Some(value), Some(b"\r\n")) => {
            Ok(Some((Reply::Value(value.to_vec()), before + length + 2)))
        }
        (_, Some(_)) => Err(Fault::Garbled),
        _ => Ok(None),
    }
}

/// What comes behind it may repeat what was sent.
fn code(text: &[u8]) -> String {
    let word = text.iter().take_while(|byte| byte.is_ascii_uppercase()).take(24);
    word.map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(bytes: &[u8]) -> Reply {
        Reply::Value(bytes.to_vec())
    }

    #[test]
    fn replies_are_read_once_they_are_whole() {
        for (bytes, expected) in [
            (&b"+OK\r\n"[..], Reply::Done),
            (b":1\r\n", Reply::Done),
            (b"$-1\r\n", Reply::Nothing),
            (b"_\r\n", Reply::Nothing),
            (b"$0\r\n\r\n", value(b"")),
            (b"$4\r\n\r\n:1\r\n", value(b"\r\n:1")),
            (b"-NOAUTH Authentication required: canary\r\n", Reply::Refused("NOAUTH".into())),
            (b"-\r\n", Reply::Refused(String::new())),
        ] {
            for end in 0..bytes.len() {
                assert_eq!(reply(&bytes[..end]), Ok(None), "{end} of {bytes:?}");
            }
            let more = [bytes, b"+more"].concat();
            assert_eq!(reply(&more), Ok(Some((expected, bytes.len()))));
        }
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_comes() {
        assert_eq!(reply(b"$65537\r\n"), Err(Fault::TooLarge));
        assert_eq!(reply(b"$99999999999999999999999\r\n"), Err(Fault::TooLarge));
        assert_eq!(reply(b"$65536\r\n"), Ok(None));
        assert_eq!(reply(&[b'+'; LINE_MAX + 2]), Err(Fault::Garbled));
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"*1\r\n",
            b"\r\n",
            b"$x\r\n",
            b"$-2\r\n",
            b"$+1\r\na\r\n",
            b"$1\r\nabc",
            b"$\r\n",
        ] {
            assert_eq!(reply(bytes), Err(Fault::Garbled), "{bytes:?}");
        }
    }

    #[test]
    fn commands_are_arrays_of_strings() {
        let mut bytes = Vec::new();
        command(&[b"GET", b"a\r\n"], &mut bytes);
        assert_eq!(bytes, b"*2\r\n$3\r\nGET\r\n$3\r\na\r\n\r\n");
    }
}
