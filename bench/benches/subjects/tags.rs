//! What the ring carries from a submission to its completions, encoded and decoded.

use std::hint::black_box;

use penstock_ring::Leg;

use super::tag::{Operation, Tag};
use super::{Subject, Work};

pub(super) const SUBJECTS: &[Subject] = &[
    Subject { name: "tag/encoded", elements: TAGS, prepare: encoded },
    Subject { name: "tag/decoded", elements: TAGS, prepare: decoded },
];

const TAGS: u64 = 1000;

fn tags() -> Vec<Tag> {
    let operations = Operation::ALL.into_iter().cycle();
    let legs =
        (0..TAGS as u32).map(|slot| Leg { slot, generation: slot.wrapping_mul(7919) & 0xff_ffff });
    operations.zip(legs).map(|(operation, leg)| Tag::new(operation, leg)).collect()
}

fn encoded() -> Work {
    let tags = tags();
    Box::new(move || {
        for tag in &tags {
            black_box(black_box(tag).encode());
        }
    })
}

fn decoded() -> Work {
    let words: Vec<u64> = tags().into_iter().map(Tag::encode).collect();
    Box::new(move || {
        for word in &words {
            assert!(black_box(Tag::decode(black_box(*word))).is_some());
        }
    })
}
