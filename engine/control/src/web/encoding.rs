//! Which of a file's compressed siblings a browser takes (RFC 9110, 12.5.3).

use hyper::header::{ACCEPT_ENCODING, HeaderMap};

/// How a file may be stored beside itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Coding {
    /// As HTTP has it.
    pub(super) name: &'static str,
    /// At the end of the sibling's name.
    pub(super) suffix: &'static str,
}

/// The smaller one first.
const CODINGS: [Coding; 2] =
    [Coding { name: "br", suffix: ".br" }, Coding { name: "gzip", suffix: ".gz" }];

/// Those that are accepted, the better ones first.
pub(super) fn accepted(headers: &HeaderMap) -> impl Iterator<Item = Coding> {
    let mut weighed = CODINGS.map(|coding| (weight(headers, coding.name), coding));
    // Stable: of two that are liked as much, the smaller one.
    weighed.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    weighed.into_iter().filter(|(weight, _)| *weight > 0).map(|(_, coding)| coding)
}

/// Thousandths, as accepted by name, else by `*`, else not at all.
fn weight(headers: &HeaderMap, coding: &str) -> u16 {
    let lines = headers.get_all(ACCEPT_ENCODING).into_iter().filter_map(|line| line.to_str().ok());
    let mut found = None;
    let mut any = None;
    for item in lines.flat_map(|line| line.split(',')) {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        let name = name.trim();
        let is_it = name.eq_ignore_ascii_case(coding)
            || coding == "gzip" && name.eq_ignore_ascii_case("x-gzip");
        match name {
            "*" => any = Some(quality(parameters)),
            _ if is_it => found = Some(quality(parameters)),
            _ => {}
        }
    }
    found.or(any).unwrap_or(0)
}

/// `q=0.5` is 500; what can't be understood is a no.
fn quality(parameters: &str) -> u16 {
    let parameters = parameters.trim();
    if parameters.is_empty() {
        return 1000;
    }
    let value = parameters.strip_prefix(['q', 'Q']).and_then(|rest| rest.trim().strip_prefix('='));
    let value = value.and_then(|value| value.trim().parse::<f32>().ok());
    value.filter(|value| (0.0..=1.0).contains(value)).map_or(0, |value| (value * 1e3) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_taken_in_the_order_that_is_asked_for() {
        let accepted = |header: &str| {
            let headers = [(ACCEPT_ENCODING, header.parse().expect("a header"))];
            accepted(&headers.into_iter().collect()).map(|coding| coding.name).collect::<Vec<_>>()
        };
        assert_eq!(accepted("gzip, deflate, br, zstd"), ["br", "gzip"]);
        assert_eq!(accepted("gzip"), ["gzip"]);
        assert_eq!(accepted("X-GZip;q=0.1"), ["gzip"]);
        assert_eq!(accepted("br;q=0.5, gzip;q=0.8"), ["gzip", "br"]);
        assert_eq!(accepted("br;q=0, *"), ["gzip"]);
        assert_eq!(accepted("*;q=0, gzip"), ["gzip"]);
        assert_eq!(accepted("identity"), [""; 0]);
        assert_eq!(accepted("br;q=2, gzip;level=9"), [""; 0]);
        assert_eq!(super::accepted(&HeaderMap::new()).count(), 0);
    }
}
