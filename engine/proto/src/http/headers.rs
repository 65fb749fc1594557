//! Header lines: a block with its final empty line in, names and values or one refusal out.

use super::error::Error;

/// Most header lines in one head.
pub const HEADER_LIMIT: usize = 100;

/// Room for all of a head's.
pub(super) type Storage<'b> = [httparse::Header<'b>; HEADER_LIMIT];

/// None yet.
pub(super) const EMPTY: Storage<'static> = [httparse::EMPTY_HEADER; HEADER_LIMIT];

/// Reads header lines that mean the same to every reader.
pub(super) fn read<'b, 's>(
    block: &'b [u8],
    storage: &'s mut Storage<'b>,
) -> Result<&'s [httparse::Header<'b>], Error> {
    let headers = match httparse::parse_headers(block, storage) {
        // Both readers must see the same end, or one of them is being fooled.
        Ok(httparse::Status::Complete((length, headers))) if length == block.len() => headers,
        Err(httparse::Error::TooManyHeaders) => return Err(Error::TooManyHeaders),
        _ => return Err(Error::Header),
    };
    check_framing(headers)?;
    Ok(headers)
}

/// Values of the headers of that name, in whatever case.
pub(super) fn values<'h>(
    headers: &'h [httparse::Header<'_>],
    name: &'static str,
) -> impl Iterator<Item = &'h [u8]> {
    headers.iter().filter(move |h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value)
}

/// CONNECT has no body (RFC 9110 §9.3.6), so lengths are ignored, unless they could only have been
/// written to mean different things to different readers.
fn check_framing(headers: &[httparse::Header<'_>]) -> Result<(), Error> {
    let mut lengths = values(headers, "content-length");
    let first = lengths.next();
    let is_number = |value: &[u8]| !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let is_coded = values(headers, "transfer-encoding").next().is_some();
    match first {
        Some(value) if is_coded || !is_number(value) || lengths.any(|other| other != value) => {
            Err(Error::Framing)
        }
        _ => Ok(()),
    }
}
