//! A target in words, for `penstock check`.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{Flow, Parity, Serial, Target};
use crate::libvirt::{self, Surroundings, WayError};

impl Target {
    /// What would be done to reach it, line by line. `readonly` is for daemons of libvirt alone.
    ///
    /// # Errors
    /// As [`libvirt::explain`].
    pub fn explain(
        &self,
        surroundings: &Surroundings,
        readonly: bool,
        exists: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<String>, WayError> {
        let missing = |path: &str| if exists(path) { "" } else { " (missing)" };
        Ok(match self {
            Self::Tcp(address) => vec![format!("TCP in the clear to {address}")],
            Self::Tls(address) => vec![format!("TLS to {address}")],
            Self::Unix(path) => vec![format!("UNIX socket {path}{}", missing(path))],
            Self::Serial(serial) => {
                vec![format!("device {}{}", serial.device, missing(&serial.device)), line(serial)]
            }
            Self::Libvirt(uri) => libvirt::explain(uri, surroundings, readonly, exists)?,
        })
    }
}

/// A line, as it is written on the back of a terminal: `9600 7E1`.
fn line(serial: &Serial) -> String {
    let Serial { baud, bits, stop, .. } = serial;
    let parity = match serial.parity {
        Parity::None => 'N',
        Parity::Even => 'E',
        Parity::Odd => 'O',
    };
    let flow = match serial.flow {
        Flow::None => "no flow control",
        Flow::RtsCts => "flow control by RTS and CTS",
        Flow::XonXoff => "flow control by XON and XOFF, which then can't be data",
    };
    format!("line {baud} {bits}{parity}{stop}, {flow}; a pty has no line and ignores this")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let target = Target::parse(text).unwrap();
        let there = |path: &str| path == "/dev/ttyS0";
        target.explain(&Surroundings::default(), false, &there).unwrap().join("; ")
    }

    #[test]
    fn each_kind_is_told() {
        assert_eq!(told("tcp://H:1"), "TCP in the clear to h:1");
        assert_eq!(told("tls://[::1]:1"), "TLS to [::1]:1");
        assert_eq!(told("unix:/x"), "UNIX socket /x (missing)");
        let line = "line 115200 8N1, no flow control; a pty has no line and ignores this";
        assert_eq!(told("serial:/dev/ttyS0"), ["device /dev/ttyS0; ", line].concat());
        let odd = told("serial:/dev/ttyS1?baud=9600&bits=7&parity=odd&stop=2&flow=xonxoff");
        assert!(odd.contains("/dev/ttyS1 (missing); line 9600 7O2, flow control by XON"), "{odd}");
        assert!(told("qemu+tcp://h/").starts_with("TCP in the clear to h, port 16509"));
    }
}
