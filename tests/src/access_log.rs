//! One line of an access log in Squid's native format.

/// The fields of a line, in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Completion, in seconds since 1970, with milliseconds.
    pub time: f64,
    /// Milliseconds from accept to completion.
    pub elapsed: u64,
    /// The client's address.
    pub client: String,
    /// `TCP_TUNNEL/200` and the like.
    pub code: String,
    /// Bytes sent to the client, the reply's own included.
    pub size: u64,
    /// The request's method.
    pub method: String,
    /// `host:port`, an IPv6 host in brackets.
    pub url: String,
    /// The user, or `-`.
    pub user: String,
    /// `HIER_DIRECT/address` and the like.
    pub hierarchy: String,
    /// The content type of a reply that isn't a tunnel, or `-`.
    pub content_type: String,
}

impl Line {
    /// Reads one line.
    ///
    /// # Panics
    /// When it isn't exactly `%ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %[un %Sh/%<a %mt`: ten fields, single spaces.
    pub fn parse(text: &str) -> Line {
        Line::read(text).unwrap_or_else(|| panic!("no access log line: {text:?}"))
    }

    fn read(text: &str) -> Option<Line> {
        let (time, rest) = text.split_once(' ')?;
        // Elapsed is padded on the left to six characters; nothing else is padded.
        let elapsed = rest.trim_start_matches(' ').split(' ').next()?;
        let (padded, rest) = rest.split_at_checked(elapsed.len().max(6))?;
        let fields: Vec<&str> = rest.strip_prefix(' ')?.split(' ').collect();
        let [client, code, size, method, url, user, hierarchy, content_type] = fields[..] else {
            return None;
        };
        let milliseconds = time.split_once('.')?.1;
        (padded.trim_start() == elapsed && milliseconds.len() == 3).then_some(())?;
        Some(Line {
            time: time.parse().ok()?,
            elapsed: elapsed.parse().ok()?,
            client: client.into(),
            code: code.into(),
            size: size.parse().ok()?,
            method: method.into(),
            url: url.into(),
            user: user.into(),
            hierarchy: hierarchy.into(),
            content_type: content_type.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squids_own_line_is_read_and_a_ragged_one_is_not() {
        let text = "1700000000.123  54321 10.0.0.5 TCP_TUNNEL/200 482133 CONNECT 10.1.2.3:5901 - HIER_DIRECT/10.1.2.3 -";
        let line = Line::parse(text);
        assert_eq!(
            (line.elapsed, line.size, line.code.as_str()),
            (54321, 482_133, "TCP_TUNNEL/200")
        );
        assert_eq!(Line::read(&text.replace("  54321", " 54321")), None);
        assert_eq!(Line::read(&text.replace(" - ", "  - ")), None);
        assert_eq!(Line::read(&text.replace(".123", ".12")), None);
    }
}
