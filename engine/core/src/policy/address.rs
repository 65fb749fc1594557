//! Sets of addresses: Squid's notations in, membership out.
//!
//! IPv4-mapped IPv6 is IPv4, in the values and in the questions. Host names are no values.

use super::error::{Problem, ValueError, each};
use super::ranges::RangeSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// A set of addresses of both families.
#[derive(Debug, Default)]
pub struct AddressSet {
    v4: Family,
    v6: Family,
}

/// The part of one family, with IPv4 addresses at the high end of the keys.
#[derive(Debug, Default)]
struct Family {
    /// `all`, `ipv4`, `0.0.0.0/0` and the like.
    every: bool,
    ranges: RangeSet,
}

impl AddressSet {
    /// Reads `a`, `a/length`, `a/mask`, `a-b`, `all`, `ipv4` and `ipv6`.
    ///
    /// # Errors
    /// Names the first value that is none of these.
    pub fn parse<V: AsRef<str>>(values: &[V]) -> Result<Self, ValueError> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        each(values, |value| {
            let (first, last) = match value {
                "all" => {
                    v4.push(EVERY);
                    v6.push(EVERY);
                    return Ok(());
                }
                "ipv4" => (IpAddr::from([0; 4]), IpAddr::from([255; 4])),
                "ipv6" => (IpAddr::from([0; 16]), IpAddr::from([255; 16])),
                other => parse_range(other)?,
            };
            match first.is_ipv4() {
                true => v4.push(first_key(first)..=last_key(last)),
                false => v6.push(first_key(first)..=last_key(last)),
            }
            Ok(())
        })?;
        Ok(Self { v4: Family::new(v4), v6: Family::new(v6) })
    }

    /// Whether the address is in.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (family, key) = self.locate(address);
        family.every || family.ranges.contains(key)
    }

    /// As [`contains`](Self::contains); `None` if that depends on an address that is not known.
    pub(super) fn matches(&self, address: Option<IpAddr>) -> Option<bool> {
        match address {
            Some(address) => Some(self.contains(address)),
            None => (self.v4.every && self.v6.every).then_some(true),
        }
    }

    /// Whether the address is in by a value that doesn't take in its whole family.
    pub(super) fn names(&self, address: IpAddr) -> bool {
        let (family, key) = self.locate(address);
        family.ranges.contains(key)
    }

    fn locate(&self, address: IpAddr) -> (&Family, u128) {
        let address = address.to_canonical();
        let family = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        (family, first_key(address))
    }
}

impl Family {
    fn new(mut ranges: Vec<RangeInclusive<u128>>) -> Self {
        let count = ranges.len();
        ranges.retain(|range| *range != EVERY);
        Self { every: ranges.len() < count, ranges: RangeSet::new(ranges) }
    }
}

/// A whole family.
const EVERY: RangeInclusive<u128> = 0..=u128::MAX;

/// The low bits that an IPv4 address leaves free in a key.
const V4_FREE: u32 = 96;

fn first_key(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << V4_FREE,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn last_key(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(_) => first_key(address) | u128::MAX >> (u128::BITS - V4_FREE),
        IpAddr::V6(_) => first_key(address),
    }
}

/// First and last address, of one family and in order.
fn parse_range(value: &str) -> Result<(IpAddr, IpAddr), Problem> {
    let address = |text: &str| text.parse::<IpAddr>().map_err(|_| Problem::Address);
    if let Some((first, last)) = value.split_once('-') {
        let (first, last) = (address(first)?.to_canonical(), address(last)?.to_canonical());
        return match first.is_ipv4() == last.is_ipv4() {
            false => Err(Problem::Families),
            true if last < first => Err(Problem::Backwards),
            true => Ok((first, last)),
        };
    }
    match value.split_once('/') {
        None => address(value).map(|address| (address.to_canonical(), address.to_canonical())),
        Some((first, mask)) => prefix(address(first)?, mask),
    }
}

fn prefix(address: IpAddr, mask: &str) -> Result<(IpAddr, IpAddr), Problem> {
    let width = if address.is_ipv4() { 32 } else { 128 };
    let length = prefix_length(mask, address.is_ipv4()).filter(|length| *length <= width);
    let length = length.ok_or(Problem::Mask)?;
    // A prefix inside ::ffff:0:0/96 is one of IPv4.
    let (address, length) = match address.to_canonical() {
        v4 @ IpAddr::V4(_) if width == 128 => (v4, length.checked_sub(96).ok_or(Problem::Mask)?),
        as_it_is => (as_it_is, length),
    };
    let free = u128::MAX.checked_shr(length).unwrap_or(0);
    let key = first_key(address);
    let (first, last) = (of_key(key & !free, address), of_key(key | free, address));
    match first == address {
        true => Ok((first, last)),
        false => {
            let readings = format!("{first}/{length} or {address}");
            Err(Problem::HostBits(readings.into()))
        }
    }
}

/// From `/24` or a contiguous `/255.255.255.0`.
fn prefix_length(mask: &str, is_v4: bool) -> Option<u32> {
    if !mask.is_empty() && mask.bytes().all(|byte| byte.is_ascii_digit()) {
        return mask.parse().ok();
    }
    let mask = mask.parse::<IpAddr>().ok().filter(|mask| mask.is_ipv4() == is_v4)?;
    let bits = first_key(mask);
    let length = bits.leading_ones();
    (bits.count_ones() == length).then_some(length)
}

/// The address of a key, in the family of `model`.
fn of_key(key: u128, model: IpAddr) -> IpAddr {
    match model {
        IpAddr::V4(_) => IpAddr::V4(((key >> V4_FREE) as u32).into()),
        IpAddr::V6(_) => IpAddr::V6(key.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(values: &[&str]) -> AddressSet {
        AddressSet::parse(values).unwrap()
    }

    fn has(set: &AddressSet, address: &str) -> bool {
        set.contains(address.parse().unwrap())
    }

    #[test]
    fn every_notation_has_its_edges() {
        for (value, inside, outside) in [
            ("10.0.0.7", &["10.0.0.7", "::ffff:10.0.0.7"][..], &["10.0.0.6", "10.0.0.8"][..]),
            ("10.0.0.0/8", &["10.0.0.0", "10.255.255.255"], &["9.255.255.255", "11.0.0.0"]),
            ("10.0.0.0/255.0.0.0", &["10.255.255.255"], &["11.0.0.0"]),
            ("10.0.0.8/29", &["10.0.0.8", "10.0.0.15"], &["10.0.0.7", "10.0.0.16"]),
            ("10.0.0.9-10.0.1.3", &["10.0.0.9", "10.0.1.3"], &["10.0.0.8", "10.0.1.4"]),
            ("0.0.0.1-0.255.255.255", &["0.0.0.1", "0.255.255.255"], &["0.0.0.0", "1.0.0.0"]),
            ("2001:db8::/32", &["2001:db8:ffff::1"], &["2001:db9::", "2001:db7:ffff::"]),
            ("::1", &["::1"], &["::", "::2", "0.0.0.1"]),
            ("fe80::/ffc0::", &["febf::1"], &["fec0::"]),
            ("::ffff:10.0.0.0/104", &["10.1.2.3", "::ffff:10.1.2.3"], &["11.0.0.0"]),
            ("all", &["1.2.3.4", "::1"], &[]),
            ("ipv4", &["1.2.3.4", "::ffff:1.2.3.4"], &["::1"]),
            ("ipv6", &["::1"], &["1.2.3.4", "::ffff:1.2.3.4"]),
            ("0.0.0.0/0", &["255.255.255.255"], &["::"]),
            ("::/0", &["::"], &["0.0.0.0"]),
        ] {
            let set = set(&[value]);
            inside.iter().for_each(|address| assert!(has(&set, address), "{value} {address}"));
            outside.iter().for_each(|address| assert!(!has(&set, address), "{value} {address}"));
        }
    }

    #[test]
    fn each_problem_names_its_value() {
        for (value, problem) in [
            ("", Problem::Address),
            ("host.example", Problem::Address),
            ("10.0.0", Problem::Address),
            ("010.0.0.1", Problem::Address),
            ("10.0.0.1/", Problem::Mask),
            ("10.0.0.0/33", Problem::Mask),
            ("10.0.0.0/+8", Problem::Mask),
            ("::/129", Problem::Mask),
            ("10.0.0.0/255.0.255.0", Problem::Mask),
            ("10.0.0.0/ff00::", Problem::Mask),
            ("::ffff:10.0.0.0/95", Problem::Mask),
            ("10.0.0.9-10.0.0.8", Problem::Backwards),
            ("10.0.0.9-::1", Problem::Families),
            ("10.0.0.1-10.0.0.9/24", Problem::Address),
        ] {
            let error = AddressSet::parse(&["::1", value]).unwrap_err();
            assert_eq!((error.index, &*error.value, error.problem), (1, value, problem));
        }
        assert_eq!(AddressSet::parse::<&str>(&[]).unwrap_err().problem, Problem::Empty);
    }

    #[test]
    fn host_bits_are_an_error_that_gives_both_readings() {
        for (value, text) in [
            (
                "10.0.0.1/8",
                "`10.0.0.1/8` has bits set behind its prefix; write 10.0.0.0/8 or 10.0.0.1",
            ),
            ("::1/64", "`::1/64` has bits set behind its prefix; write ::/64 or ::1"),
        ] {
            assert_eq!(AddressSet::parse(&[value]).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn a_whole_family_names_no_address() {
        let loopback = "127.0.0.1".parse().unwrap();
        for whole in ["all", "ipv4", "0.0.0.0/0", "0.0.0.0-255.255.255.255", "::ffff:0.0.0.0/96"] {
            let set = set(&[whole]);
            assert!(set.contains(loopback) && !set.names(loopback), "{whole}");
        }
        assert!(set(&["all", "127.0.0.0/8"]).names(loopback));
    }
}
