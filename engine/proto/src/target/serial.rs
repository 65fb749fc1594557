//! A character device and how its line is set: `/dev/ttyS0?baud=115200&bits=8&parity=none&stop=1&flow=none`.
//!
//! All settings have a default: 115200 8N1 without flow control. A pty has no line, so there they mean nothing.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;

/// Rates that Linux knows by name (termios(3)).
const RATES: &[u32] = &[
    50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19_200, 38_400, 57_600,
    115_200, 230_400, 460_800, 500_000, 576_000, 921_600, 1_000_000, 1_152_000, 1_500_000,
    2_000_000, 2_500_000, 3_000_000, 3_500_000, 4_000_000,
];

/// A character device and its line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Serial {
    /// Its path.
    pub device: String,
    /// Bits per second, one of those that Linux knows by name.
    pub baud: u32,
    /// Data bits, 5 to 8.
    pub bits: u8,
    /// The bit that checks them.
    pub parity: Parity,
    /// Stop bits, 1 or 2.
    pub stop: u8,
    /// How a side that is too fast is stopped.
    pub flow: Flow,
}

/// The bit that checks a character.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parity {
    /// There is none.
    None,
    /// Ones are even.
    Even,
    /// Ones are odd.
    Odd,
}

/// How a side that is too fast is stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// It is not.
    None,
    /// By wires.
    RtsCts,
    /// By two characters, which then can't be data.
    XonXoff,
}

/// What is wrong with a device or its settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SerialError {
    /// No path from the root.
    Path(String),
    /// No setting of this name.
    Setting(String),
    /// A setting that stands there twice.
    Twice(&'static str),
    /// A value that it can't have.
    Value {
        /// Of this setting.
        setting: &'static str,
        /// What it can have.
        expected: &'static str,
        /// What it was given.
        came: String,
    },
}

impl Serial {
    /// A device with the line that most have.
    fn new(device: &str) -> Serial {
        let device = device.to_owned();
        Serial { device, baud: 115_200, bits: 8, parity: Parity::None, stop: 1, flow: Flow::None }
    }

    pub(super) fn parse(text: &str) -> Result<Serial, SerialError> {
        let (device, settings) = text.split_once('?').unwrap_or((text, ""));
        if !device.starts_with('/') || device.starts_with("//") || device.contains('\0') {
            return Err(SerialError::Path(device.to_owned()));
        }
        let mut serial = Serial::new(device);
        let mut seen = [false; NAMES.len()];
        for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            let known = NAMES.iter().position(|(known, _)| *known == name);
            let place = known.ok_or_else(|| SerialError::Setting(name.to_owned()))?;
            let (setting, expected) = NAMES[place];
            if core::mem::replace(&mut seen[place], true) {
                return Err(SerialError::Twice(setting));
            }
            let wrong = || SerialError::Value { setting, expected, came: value.to_owned() };
            serial.set(setting, value).ok_or_else(wrong)?;
        }
        Ok(serial)
    }

    /// None if the setting can't have this value.
    fn set(&mut self, setting: &str, value: &str) -> Option<()> {
        let number = || value.parse().ok().filter(|_| !value.starts_with('+'));
        match setting {
            "baud" => self.baud = number().filter(|rate| RATES.contains(rate))?,
            "bits" => self.bits = u8::try_from(number()?).ok().filter(|n| (5..=8).contains(n))?,
            "stop" => self.stop = u8::try_from(number()?).ok().filter(|n| (1..=2).contains(n))?,
            "parity" => self.parity = named(&PARITIES, value)?,
            _ => self.flow = named(&FLOWS, value)?,
        }
        Some(())
    }
}

/// Settings, and what they may be.
const NAMES: [(&str, &str); 5] = [
    ("baud", "a rate that Linux knows, such as 9600 or 115200"),
    ("bits", "5 to 8"),
    ("parity", "none, even or odd"),
    ("stop", "1 or 2"),
    ("flow", "none, rtscts or xonxoff"),
];

const PARITIES: [(&str, Parity); 3] =
    [("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)];
const FLOWS: [(&str, Flow); 3] =
    [("none", Flow::None), ("rtscts", Flow::RtsCts), ("xonxoff", Flow::XonXoff)];

fn named<T: Copy>(all: &[(&str, T)], name: &str) -> Option<T> {
    all.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

fn name_of<T: Copy + PartialEq>(all: &[(&'static str, T)], value: T) -> &'static str {
    all.iter().find(|(_, known)| *known == value).map_or("", |(name, _)| name)
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Serial { device, baud, bits, parity, stop, flow } = self;
        let (parity, flow) = (name_of(&PARITIES, *parity), name_of(&FLOWS, *flow));
        write!(f, "serial:{device}?baud={baud}&bits={bits}&parity={parity}&stop={stop}&flow={flow}")
    }
}

impl fmt::Display for SerialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(came) => {
                write!(f, "expected serial:/device, a path from the root, got `{came}`")
            }
            Self::Setting(came) => {
                write!(f, "expected baud, bits, parity, stop or flow behind the `?`, got `{came}`")
            }
            Self::Twice(setting) => write!(f, "`{setting}` stands there twice; leave one out"),
            Self::Value { setting, expected, came } => {
                write!(f, "`{setting}`: expected {expected}, got `{came}`")
            }
        }
    }
}

impl core::error::Error for SerialError {}
