//! The version that either side says first: twelve bytes, `RFB 003.008` and a line feed.

/// Bytes of it.
pub(super) const LENGTH: usize = 12;

/// What differs between versions is how a security type is agreed on, and whether a refusal has a reason.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Version {
    /// The server decides on the security type.
    V3_3,
    /// The client chooses one; a refusal has no reason.
    V3_7,
    /// The client chooses one; whatever was chosen has a result, and a refusal a reason.
    V3_8,
}

impl Version {
    /// Reads it. Versions that nobody has defined are taken for their nearest neighbours, as servers do: Apple's 3.889 for 3.8, UltraVNC's
    /// 3.4 for 3.3, RealVNC's 4 and 5 for 3.8. None: it is no version, or that of a repeater, which wants to be told a name first.
    pub fn read(bytes: &[u8]) -> Option<Version> {
        let digits = bytes.strip_prefix(b"RFB ")?.strip_suffix(b"\n")?;
        let [major @ .., b'.', a, b, c] = digits else { return None };
        let minor = [*a, *b, *c];
        let is_number = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
        if major.len() != 3 || !is_number(major) || !is_number(&minor) || major < b"003" {
            return None;
        }
        Some(match (major, &minor) {
            (b"003", b"007") => Version::V3_7,
            (b"003", minor) if *minor < *b"007" => Version::V3_3,
            _ => Version::V3_8,
        })
    }

    /// As it is said.
    pub fn bytes(self) -> &'static [u8; LENGTH] {
        match self {
            Version::V3_3 => b"RFB 003.003\n",
            Version::V3_7 => b"RFB 003.007\n",
            Version::V3_8 => b"RFB 003.008\n",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_versions_are_their_nearest_neighbours() {
        let cases: [(&[u8], Option<Version>); 14] = [
            (b"RFB 003.003\n", Some(Version::V3_3)),
            (b"RFB 003.004\n", Some(Version::V3_3)),
            (b"RFB 003.005\n", Some(Version::V3_3)),
            (b"RFB 003.006\n", Some(Version::V3_3)),
            (b"RFB 003.007\n", Some(Version::V3_7)),
            (b"RFB 003.008\n", Some(Version::V3_8)),
            (b"RFB 003.889\n", Some(Version::V3_8)),
            (b"RFB 004.001\n", Some(Version::V3_8)),
            (b"RFB 005.000\n", Some(Version::V3_8)),
            (b"RFB 000.000\n", None),
            (b"RFB 002.002\n", None),
            (b"RFB 003.00x\n", None),
            (b"RFB 003.0080", None),
            (b"SSH-2.0-Open", None),
        ];
        for (bytes, version) in cases {
            assert_eq!(Version::read(bytes), version, "{}", bytes.escape_ascii());
        }
        for version in [Version::V3_3, Version::V3_7, Version::V3_8] {
            assert_eq!(Version::read(version.bytes()), Some(version));
        }
    }
}
