//! What a VNC client says that may only look, and what of that may pass: messages of every sort, whole, up to one that nobody knows.

use std::sync::Arc;

use crate::sim::random::Random;

/// A type of message that nobody knows.
const UNKNOWN: u8 = 77;
/// By this encoding a client says that its pointer messages may be longer.
const LONG_POINTER: [u8; 4] = (-316_i32).to_be_bytes();

/// See the module.
#[derive(Debug, Default)]
pub struct Looks {
    /// All that is said.
    pub said: Vec<u8>,
    /// All that passes of it.
    pub passed: Vec<u8>,
    /// Where messages begin, and what of those before has passed.
    begins: Vec<(usize, usize)>,
    /// Where the message begins that nobody knows.
    pub unknown: Option<usize>,
}

impl Looks {
    /// A seed's choice, of so many bytes at least.
    pub fn of(total: usize, fair: bool, random: &mut Random) -> Arc<Looks> {
        let mut looks = Looks::default();
        let unknown = (!fair && random.percent(20)).then(|| random.below(total + 1));
        let mut marks_pointers = false;
        while looks.said.len() < total {
            if unknown.is_some_and(|at| looks.said.len() >= at) && looks.unknown.is_none() {
                looks.unknown = Some(looks.said.len());
                looks.begins.push((looks.said.len(), looks.passed.len()));
                looks.said.push(UNKNOWN);
            }
            let (message, passes) = message(&mut marks_pointers, random);
            looks.add(&message, passes);
        }
        Arc::new(looks)
    }

    fn add(&mut self, message: &[u8], passes: bool) {
        let passes = passes && self.unknown.is_none();
        self.begins.push((self.said.len(), self.passed.len()));
        self.said.extend_from_slice(message);
        if passes {
            self.passed.extend_from_slice(message);
        }
    }

    /// How many bytes pass of so many that were said.
    pub fn passing(&self, said: u64) -> u64 {
        let said = said as usize;
        let index = self.begins.partition_point(|(begin, _)| *begin < said);
        let Some((begin, passed)) = index.checked_sub(1).map(|last| self.begins[last]) else {
            return 0;
        };
        let next = self.begins.get(index).map_or(self.passed.len(), |(_, passed)| *passed);
        passed as u64 + if next > passed { (said - begin) as u64 } else { 0 }
    }
}

/// A message, and whether it only looks.
fn message(marks_pointers: &mut bool, random: &mut Random) -> (Vec<u8>, bool) {
    let some = |length: usize, random: &mut Random| -> Vec<u8> {
        (0..length).map(|_| random.bits() as u8).collect()
    };
    let with = |head: &[u8], length: usize, random: &mut Random| {
        [head.to_vec(), some(length, random)].concat()
    };
    match random.below(13) {
        0 => (with(&[0], 19, random), true),
        1 => {
            let count = random.below(20);
            let mut message = with(&[2, 0, 0, count as u8], 4 * count, random);
            *marks_pointers = count > 0 && random.percent(50);
            if *marks_pointers {
                let at = 4 + 4 * random.below(count);
                message[at..at + 4].copy_from_slice(&LONG_POINTER);
            }
            (message, true)
        }
        2 | 3 => (with(&[3], 9, random), true),
        4 => (with(&[150], 9, random), true),
        5 => {
            let length = random.below(65);
            let head = with(&[248], 7, random);
            (with(&[head, vec![length as u8]].concat(), length, random), true)
        }
        6 => (with(&[4], 7, random), false),
        7 => {
            let is_long = *marks_pointers && random.percent(50);
            let (buttons, rest) = if is_long { (0x81, 5) } else { (0x01, 4) };
            (with(&[5, buttons], rest, random), false)
        }
        8 => {
            let length = random.part(3_000);
            let told = if random.percent(50) { length as i32 } else { -(length as i32) };
            (with(&[&[6, 0, 0, 0][..], &told.to_be_bytes()].concat(), length, random), false)
        }
        9 => (with(&[250], 3, random), false),
        10 => {
            let screens = random.below(4);
            (with(&[251, 0, 9, 9, 9, 9, screens as u8, 0], 16 * screens, random), false)
        }
        11 => {
            let length = random.below(300) as u16;
            let (is_big, bytes) = match random.percent(50) {
                true => (0x80, length.to_be_bytes()),
                false => (0, length.to_le_bytes()),
            };
            (with(&[253, is_big | 2, bytes[0], bytes[1]], length.into(), random), false)
        }
        _ if random.percent(50) => (with(&[255, 0], 10, random), false),
        _ => (with(&[255, 1, 0, 2], 6, random), false),
    }
}
