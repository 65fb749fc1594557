//! A client's frames opened where they lie: one that fills a large buffer, many that make a conversation; and what a plain copy
//! of the same bytes takes, beside which the first has to stand.

use std::hint::black_box;

use penstock_proto::websocket::{Opcode, Payload, Receiver, header, unmask};

use super::{Subject, Work};

pub(super) const SUBJECTS: &[Subject] = &[
    Subject { name: "websocket/64 KiB, unmasked in place", elements: BULK, prepare: || bulk(0) },
    Subject { name: "websocket/64 KiB, unmasked and moved", elements: BULK, prepare: || bulk(14) },
    Subject { name: "websocket/64 KiB, copied", elements: BULK, prepare: copied },
    Subject { name: "websocket/64 KiB, one frame", elements: BULK, prepare: || frames(1, 65_536) },
    Subject { name: "websocket/1000 key presses", elements: 1000, prepare: || frames(1000, 8) },
];

const BULK: u64 = 65_536;

fn bulk(gap: usize) -> Work {
    let mut memory = vec![7; BULK as usize + gap];
    let mut key = [1, 2, 3, 4];
    Box::new(move || {
        let end = memory.len();
        unmask(black_box(&mut memory), gap..end, 0, &mut key);
    })
}

fn copied() -> Work {
    let from = vec![7u8; BULK as usize];
    let mut to = from.clone();
    Box::new(move || black_box(&mut to).copy_from_slice(black_box(&from)))
}

/// Each call opens a fresh copy: payload is written over the headers.
fn frames(count: usize, length: usize) -> Work {
    let mut stream = Vec::new();
    for _ in 0..count {
        let mut head = header(length as u64, Opcode::Binary).to_vec();
        head[1] |= 0x80;
        stream.extend_from_slice(&head);
        stream.resize(stream.len() + 4 + length, 0);
    }
    let mut memory = stream.clone();
    Box::new(move || {
        memory.copy_from_slice(&stream);
        let arrived = 0..memory.len();
        let mut receiver = Receiver::new(Payload::Binary);
        let received = receiver.receive(black_box(&mut memory), arrived, &mut Vec::new());
        assert_eq!(received.plain.len(), count * length);
    })
}
