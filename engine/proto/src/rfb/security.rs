//! Security types: their numbers, the few that are ours, and names for the log.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// No security at all.
pub(super) const NONE: u8 = 1;
/// A password's challenge.
pub(super) const VNC: u8 = 2;
/// TLS within RFB.
pub(super) const VENCRYPT: u8 = 19;
/// SASL, in the clear.
pub(super) const SASL: u8 = 20;

/// Security towards a server, the strongest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Scheme {
    /// TLS with certificates, and within it whatever the server asks for.
    VeNCrypt,
    /// A password's challenge, in the clear.
    Vnc,
    /// Nothing at all.
    None,
}

/// Which scheme is taken of several that are offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SchemeOrder {
    /// The strongest.
    Strongest,
    /// The first of the server's list, as nova does.
    Server,
}

impl Scheme {
    /// Its number on the wire.
    pub fn number(self) -> u8 {
        match self {
            Scheme::VeNCrypt => VENCRYPT,
            Scheme::Vnc => VNC,
            Scheme::None => NONE,
        }
    }

    /// The one that is taken of what a server offers.
    pub(super) fn chosen(allowed: &[Scheme], order: SchemeOrder, offered: &[u8]) -> Option<Scheme> {
        match order {
            SchemeOrder::Strongest => {
                let common = allowed.iter().filter(|scheme| offered.contains(&scheme.number()));
                common.min().copied()
            }
            SchemeOrder::Server => offered.iter().find_map(|number| {
                allowed.iter().find(|scheme| scheme.number() == *number).copied()
            }),
        }
    }
}

/// Names of what a server offers, for the log.
pub(super) fn names<N: Into<u32> + Copy>(offered: &[N]) -> String {
    let names: Vec<String> = offered.iter().map(|number| name((*number).into())).collect();
    if names.is_empty() { String::from("nothing") } else { names.join(", ") }
}

fn name(number: u32) -> String {
    let known = match number {
        1 => "None",
        2 => "VNC",
        5 => "RA2",
        6 => "RA2ne",
        16 => "Tight",
        17 => "Ultra",
        18 => "TLS",
        19 => "VeNCrypt",
        20 => "SASL",
        22 => "xvp",
        30 => "Apple DH",
        113 => "MSLogonII",
        129 => "RSA-AES",
        256 => "Plain",
        257 => "TLSNone",
        258 => "TLSVnc",
        259 => "TLSPlain",
        260 => "X509None",
        261 => "X509Vnc",
        262 => "X509Plain",
        263 => "X509SASL",
        264 => "TLSSASL",
        _ => return format!("{number}"),
    };
    format!("{known} ({number})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_is_taken_or_the_servers_first_and_never_what_is_not_allowed() {
        use Scheme::{None as Nothing, VeNCrypt, Vnc};
        let chosen =
            |allowed: &[Scheme], order, offered: &[u8]| Scheme::chosen(allowed, order, offered);
        let all = [Nothing, Vnc, VeNCrypt];
        assert_eq!(chosen(&all, SchemeOrder::Strongest, &[1, 2, 19]), Some(VeNCrypt));
        assert_eq!(chosen(&all, SchemeOrder::Server, &[7, 1, 2, 19]), Some(Nothing));
        assert_eq!(chosen(&[VeNCrypt], SchemeOrder::Server, &[1, 2, 19]), Some(VeNCrypt));
        assert_eq!(chosen(&[VeNCrypt], SchemeOrder::Strongest, &[1, 2]), None);
        assert_eq!(chosen(&all, SchemeOrder::Strongest, &[]), None);
    }

    #[test]
    fn numbers_have_names() {
        assert_eq!(names(&[1u8, 19, 77]), "None (1), VeNCrypt (19), 77");
        assert_eq!(names::<u32>(&[]), "nothing");
    }
}
