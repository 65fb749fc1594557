//! Bytes both ways at once through every pair of legs, in records of every size: each byte in its place, and counted once.

use std::io::Read;
use std::thread;
use std::time::Duration;

use penstock_tests::{Driver, Penstock, Stopwatch, both_drivers, names};
use rustls::SupportedProtocolVersion;

use crate::end::{End, Ending};
use crate::gateway::{Gateway, Leg, Plan};

both_drivers! {
    from_the_clear_to_tls,
    from_tls_to_the_clear,
    from_tls_to_tls,
    from_a_unix_socket_to_tls,
    records_of_one_byte,
    both_versions,
    records_are_no_larger_than_asked_for,
    keystrokes_do_not_wait,
    keys_may_change_in_the_middle,
}

const MIB: usize = 1 << 20;
const ONLY_12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
const ONLY_13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// Both ways at once, then an end in order.
fn exchange(gateway: &Gateway, length: usize) {
    let (mut client, mut target) = gateway.ends();
    thread::scope(|scope| {
        let client = &mut client;
        scope.spawn(move || client.exchange(1, 2, length));
        target.exchange(2, 1, length);
    });
    client.finish();
    assert_eq!(target.rest(), (Vec::new(), Ending::InOrder));
    target.finish();
    assert_eq!(client.rest(), (Vec::new(), Ending::InOrder));
}

fn assert_exact(plan: Plan, length: usize, handshakes: [f64; 2]) {
    let gateway = plan.start();
    let before = gateway.penstock.holdings();
    exchange(&gateway, length);
    let penstock = &gateway.penstock;
    penstock.assert_holds(&before);
    for direction in ["client_to_target", "target_to_client"] {
        assert_eq!(carried(penstock, direction, "copy"), length as f64, "{direction}");
        assert_eq!(carried(penstock, direction, "splice"), 0.0, "{direction}");
    }
    assert_eq!(["client", "target"].map(|side| penstock.handshakes(side)), handshakes);
    let record = penstock.records(1).remove(0);
    let bytes = ["bytes_to_client", "bytes_to_target"].map(|key| record[key].as_u64());
    assert_eq!(bytes, [Some(length as u64); 2], "{record}");
    assert_eq!(record["cause"], "finished", "{record}");
}

fn carried(penstock: &Penstock, direction: &str, mover: &str) -> f64 {
    penstock.metric(names::BYTES, &[("direction", direction), ("mover", mover)])
}

fn from_the_clear_to_tls(driver: Driver) {
    for record in ["max_record = 4096", "max_record = 16384"] {
        let plan = Plan::new(driver, [Leg::Tcp, Leg::Tls]).upstream(record);
        assert_exact(plan, 8 * MIB, [0.0, 1.0]);
    }
}

fn from_tls_to_the_clear(driver: Driver) {
    assert_exact(Plan::new(driver, [Leg::Tls, Leg::Tcp]), 8 * MIB, [1.0, 0.0]);
}

fn from_tls_to_tls(driver: Driver) {
    for record in ["max_record = 4096", "max_record = 16384"] {
        let plan = Plan::new(driver, [Leg::Tls, Leg::Tls]).upstream(record);
        assert_exact(plan, 8 * MIB, [1.0, 1.0]);
    }
    // Where there is no memory for large buffers, records come in pieces.
    let plan = Plan::new(driver, [Leg::Tls, Leg::Tls]).engine("memory", "\"1MiB\"");
    assert_exact(plan, 8 * MIB, [1.0, 1.0]);
}

fn from_a_unix_socket_to_tls(driver: Driver) {
    let plan = Plan::new(driver, [Leg::Unix, Leg::Tls]).upstream("max_record = 4096");
    assert_exact(plan, 8 * MIB, [0.0, 1.0]);
}

fn records_of_one_byte(driver: Driver) {
    let plan = Plan::new(driver, [Leg::Tcp, Leg::Tls]).upstream("max_record = 1");
    assert_exact(plan, MIB, [0.0, 1.0]);
    let plan = Plan::new(driver, [Leg::Tls, Leg::Tls]).upstream("max_record = 7");
    assert_exact(plan, MIB, [1.0, 1.0]);
}

fn both_versions(driver: Driver) {
    for versions in [ONLY_12, ONLY_13] {
        let plan = Plan { versions, ..Plan::new(driver, [Leg::Tls, Leg::Tls]) };
        assert_exact(plan, 4 * MIB, [1.0, 1.0]);
    }
}

fn records_are_no_larger_than_asked_for(driver: Driver) {
    for most in [1, 100, 4096, 16_384] {
        let key = format!("max_record = {most}");
        let gateway = Plan::new(driver, [Leg::Tcp, Leg::Tls]).upstream(&key).start();
        let (mut client, mut target) = gateway.ends();
        let length = (most * 300).min(MIB);
        thread::scope(|scope| {
            scope.spawn(|| client.say(&vec![7; length]));
            let mut plain = 0;
            while plain < length {
                let sealed = record(&mut target);
                // A tag of 16 bytes, and one for the type.
                assert!(sealed <= most + 17, "{sealed} bytes in a record of {most}");
                plain += sealed - 17;
            }
            assert_eq!(plain, length);
        });
    }
}

fn keys_may_change_in_the_middle(driver: Driver) {
    let gateway = Plan::new(driver, [Leg::Tls, Leg::Tls]).start();
    let (mut client, mut target) = gateway.ends();
    for round in 0..20 {
        // Either asks for a new key of the other side, who tells so before it says more.
        for end in [&mut client, &mut target] {
            let connection = end.tls.as_mut().expect("TLS");
            connection.refresh_traffic_keys().expect("TLS 1.3");
        }
        thread::scope(|scope| {
            let client = &mut client;
            scope.spawn(move || client.exchange(round, round + 1, 300_000));
            target.exchange(round + 1, round, 300_000);
        });
    }
    client.finish();
    assert_eq!(target.rest(), (Vec::new(), Ending::InOrder));
}

/// Takes the next record of data as it is; how long it is.
fn record(end: &mut End) -> usize {
    let mut header = [0; 5];
    end.socket.read_exact(&mut header).expect("a record");
    assert_eq!(header[..3], [23, 3, 3], "of application data");
    let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
    end.socket.read_exact(&mut vec![0; length]).expect("a record");
    length
}

fn keystrokes_do_not_wait(driver: Driver) {
    let gateway = Plan::new(driver, [Leg::Tls, Leg::Tls]).start();
    let (mut client, mut target) = gateway.ends();
    // After bulk, too, which has the buffers changed.
    for bulk in [0, 4 * MIB] {
        thread::scope(|scope| {
            let client = &mut client;
            scope.spawn(move || client.exchange(1, 2, bulk));
            target.exchange(2, 1, bulk);
        });
        let watch = Stopwatch::start();
        for stroke in 0..200u8 {
            client.say(&[stroke; 9]);
            assert_eq!(target.hear(9), [stroke; 9]);
            target.say(&[stroke]);
            assert_eq!(client.hear(1), [stroke]);
        }
        // Of 400 messages that wait for an acknowledgment that is delayed by 40 ms, it would be 16 s.
        assert!(watch.elapsed() < Duration::from_secs(4), "after {bulk}: {:?}", watch.real());
    }
}
