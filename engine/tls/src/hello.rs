//! What a client says of itself before anything is agreed on, for logs and errors.
//!
//! In: the records of its first flight. Out: the name that it asks for, and the newest version that it offers. It judges nothing: rustls
//! reads the same bytes, and what it makes of them counts.

use rustls::ContentType;

use crate::aead::HEADER;

/// A client's hello.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Hello {
    /// The server that it wants (RFC 6066 §3).
    pub(crate) name: Option<Box<str>>,
    /// The newest version that it offers, as it is on the wire.
    pub(crate) newest: u16,
}

/// Gathers a hello that may be spread over records.
pub(crate) enum Gathering {
    Begun(Vec<u8>),
    Ended(Hello),
}

/// No hello of any use is larger; rustls takes up to 64 KiB.
const HELLO_MAX: usize = 1 << 16;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const SUPPORTED_VERSIONS: u16 = 43;

impl Gathering {
    /// Takes a whole record.
    pub(crate) fn take(&mut self, record: &[u8]) {
        let Gathering::Begun(bytes) = self else { return };
        if record.first() == Some(&ContentType::Handshake.into()) {
            bytes.extend_from_slice(&record[HEADER..]);
        }
        let hello = match whole(bytes) {
            _ if bytes.len() > HELLO_MAX => Hello::default(),
            Some(body) => read(body).unwrap_or_default(),
            None => return,
        };
        *self = Gathering::Ended(hello);
    }

    pub(crate) fn hello(&self) -> Option<&Hello> {
        match self {
            Gathering::Begun(_) => None,
            Gathering::Ended(hello) => Some(hello),
        }
    }
}

/// The body of the handshake message that `bytes` begin with.
fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let (&[_, a, b, c], rest) = bytes.split_first_chunk::<4>()?;
    rest.get(..u32::from_be_bytes([0, a, b, c]) as usize).filter(|_| bytes[0] == CLIENT_HELLO)
}

/// RFC 8446 §4.1.2. None if it ends too early.
fn read(body: &[u8]) -> Option<Hello> {
    let mut rest = body;
    let mut newest = number(&mut rest)?;
    take(&mut rest, 32)?;
    list::<1>(&mut rest)?;
    list::<2>(&mut rest)?;
    list::<1>(&mut rest)?;
    let mut name = None;
    let mut extensions = match rest {
        [] => &[],
        _ => list::<2>(&mut rest)?,
    };
    while !extensions.is_empty() {
        let kind = number(&mut extensions)?;
        let content = list::<2>(&mut extensions)?;
        match kind {
            SERVER_NAME => name = server_name(content),
            SUPPORTED_VERSIONS => newest = newest_of(content).unwrap_or(newest),
            _ => {}
        }
    }
    Some(Hello { name, newest })
}

/// The first name, if it consists of what names consist of.
fn server_name(mut content: &[u8]) -> Option<Box<str>> {
    let mut names = list::<2>(&mut content)?;
    let [0] = take(&mut names, 1)? else { return None };
    let name = str::from_utf8(list::<2>(&mut names)?).ok()?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let fits = (1..=255).contains(&name.len()) && name.bytes().all(is_name);
    fits.then(|| name.to_ascii_lowercase().into())
}

/// Values made of one and the same byte, twice, keep others from relying on what is there (RFC 8701).
fn newest_of(mut content: &[u8]) -> Option<u16> {
    let (versions, _) = list::<1>(&mut content)?.as_chunks::<2>();
    let is_grease = |[high, low]: &[u8; 2]| high == low && high & 0xf == 0xa;
    let real = versions.iter().filter(|version| !is_grease(version));
    real.map(|version| u16::from_be_bytes(*version)).max()
}

fn number(rest: &mut &[u8]) -> Option<u16> {
    take(rest, 2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// What has its length in the `LENGTH` bytes before it.
fn list<'b, const LENGTH: usize>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = take(rest, LENGTH)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    take(rest, length)
}

fn take<'b>(rest: &mut &'b [u8], length: usize) -> Option<&'b [u8]> {
    let (taken, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
        let length = (content.len() as u16).to_be_bytes();
        [&kind.to_be_bytes()[..], &length, content].concat()
    }

    fn name(name: &[u8]) -> Vec<u8> {
        let (list, length) = (name.len() as u16 + 3, name.len() as u16);
        let head = [&list.to_be_bytes()[..], &[0], &length.to_be_bytes()].concat();
        extension(SERVER_NAME, &[&head, name].concat())
    }

    /// The hello of a client of TLS 1.2 with these extensions.
    fn hello(extensions: &[u8]) -> Vec<u8> {
        let fixed = [&[3, 3][..], &[9; 32], &[2, 8, 8], &[0, 4, 0x13, 1, 0x13, 2], &[1, 0]];
        let length = (extensions.len() as u16).to_be_bytes();
        [&fixed.concat()[..], &length, extensions].concat()
    }

    fn named(bytes: &[u8]) -> Option<Box<str>> {
        read(&hello(&name(bytes))).unwrap().name
    }

    #[test]
    fn names_are_told_if_they_are_some() {
        assert_eq!(named(b"Host-1.a_b.example").as_deref(), Some("host-1.a_b.example"));
        for other in [&b""[..], b"a b", b"a\nb", b"\xff", "z\u{fc}rich".as_bytes(), &[b'x'; 256]] {
            assert_eq!(named(other), None, "{other:?}");
        }
        let of_another_kind = extension(SERVER_NAME, &[0, 4, 1, 0, 1, b'a']);
        assert_eq!(read(&hello(&of_another_kind)).unwrap().name, None);
    }

    #[test]
    fn the_newest_version_is_one_that_there_is() {
        let newest =
            |content: &[u8]| read(&hello(&extension(SUPPORTED_VERSIONS, content))).unwrap().newest;
        assert_eq!(newest(&[4, 3, 4, 3, 3]), 0x0304);
        assert_eq!(newest(&[6, 0xfa, 0xfa, 3, 2, 3, 1]), 0x0302);
        assert_eq!(newest(&[0]), 0x0303, "then the one of the hello itself counts");
        assert_eq!(read(&hello(&[])).unwrap().newest, 0x0303);
        assert_eq!(read(&hello(&[])[..45]).unwrap().newest, 0x0303, "no extensions at all");
    }

    #[test]
    fn what_ends_too_early_says_nothing() {
        let whole =
            hello(&[name(b"a.example"), extension(SUPPORTED_VERSIONS, &[2, 3, 4])].concat());
        assert_eq!(read(&whole).unwrap().newest, 0x0304);
        for cut in (0..whole.len()).filter(|cut| *cut != 45) {
            assert_eq!(read(&whole[..cut]), None, "{cut} bytes");
        }
    }
}
