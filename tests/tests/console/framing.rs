//! The rules of frames (RFC 6455 §5), each with the close code that websockify has for it.

use std::io::Write;
use std::time::Duration;

use penstock_tests::web_socket::{
    BINARY, CLOSE, Client, End, Frame, PING, PONG, TEXT, close, frame, head_of,
};
use penstock_tests::{Driver, both_drivers};

use crate::rig::{House, Plan, WIRES, all, some};

both_drivers! {
    broken_rules_end_the_console_with_their_code,
    what_came_before_a_broken_rule_is_delivered,
    fragments_are_one_stream,
    an_empty_first_fragment_may_be_continued,
    empty_messages_are_legal_and_forward_nothing,
    pings_are_answered_with_their_payload_between_fragments_too,
    pongs_are_ignored,
    lengths_in_longer_forms_than_needed_are_understood,
    close_codes_are_echoed,
    an_empty_close_is_answered_by_an_empty_close,
    closes_that_break_the_rules_are_1002,
    nothing_is_understood_behind_a_close,
}

/// A final frame without a mask.
fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, payload.len() as u8], payload].concat()
}

/// A browser says that and nothing else: what it hears, and what the target does.
fn after(house: &House, bytes: &[u8]) -> (Vec<Frame>, End, Vec<u8>) {
    let (mut browser, mut target) = house.open();
    browser.say(bytes);
    let (frames, end) = browser.rest();
    drop(browser);
    (frames, end, all(&mut target))
}

/// The code of the only frame that is heard.
fn code(house: &House, what: &str, bytes: &[u8]) -> (Option<u16>, Vec<u8>) {
    let (frames, end, came) = after(house, bytes);
    assert_eq!((frames.len(), end), (1, End::InOrder), "{what}: {frames:?}");
    assert!(!frames[0].masked, "{what}");
    (frames[0].close().0, came)
}

/// What breaks a rule, and the code.
fn broken() -> Vec<(&'static str, Vec<u8>, u16)> {
    let begun = frame(0x02, b"abc");
    vec![
        ("unmasked", unmasked(BINARY, b"abc"), 1002),
        ("unmasked and empty", unmasked(BINARY, b""), 1002),
        ("an unmasked ping", unmasked(PING, b""), 1002),
        ("text", frame(TEXT, b"abc"), 1003),
        ("text in fragments", frame(0x01, b"abc"), 1003),
        ("RSV1", frame(0xc2, b"abc"), 1002),
        ("RSV2", frame(0xa2, b"abc"), 1002),
        ("RSV3", frame(0x92, b"abc"), 1002),
        ("opcode 3", frame(0x83, b"abc"), 1003),
        ("opcode 7", frame(0x87, b"abc"), 1003),
        ("opcode 11", frame(0x8b, b"abc"), 1003),
        ("opcode 15", frame(0x8f, b"abc"), 1003),
        ("a fragmented ping", frame(0x09, b"abc"), 1003),
        ("a fragmented pong", frame(0x0a, b"abc"), 1003),
        ("a fragmented close", frame(0x08, &[3, 0xe8]), 1003),
        ("a stray continuation", frame(0x00, b"abc"), 1002),
        ("a stray last continuation", frame(0x80, b"abc"), 1002),
        ("a message within another", [begun.clone(), frame(BINARY, b"abc")].concat(), 1002),
        ("its beginning within another", [begun.clone(), frame(0x02, b"abc")].concat(), 1002),
        ("text within another", [begun, frame(TEXT, b"abc")].concat(), 1003),
        ("a long ping", frame(PING, &[1; 126]), 1002),
        ("a long pong", frame(PONG, &[1; 126]), 1002),
        ("a long close", frame(CLOSE, &[3; 126]), 1002),
        ("2^63 bytes", head_of(BINARY, 1 << 63), 1002),
        ("2^64 - 1 bytes", head_of(BINARY, u64::MAX), 1002),
    ]
}

fn broken_rules_end_the_console_with_their_code(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        for (what, bytes, expected) in broken() {
            let (code, came) = code(&house, what, &bytes);
            assert_eq!(code, Some(expected), "{what}");
            assert!(came.is_empty() || came == b"abc", "{what}: {came:?}");
        }
        let causes = house.daemon.records(broken().len());
        assert!(causes.iter().all(|record| record["cause"] == "bad_frame"), "{causes:?}");
        house.is_empty();
    }
}

fn what_came_before_a_broken_rule_is_delivered(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        for (what, bytes, expected) in broken() {
            let sent = [frame(BINARY, b"before"), bytes].concat();
            let (code, came) = code(&house, what, &sent);
            assert_eq!(code, Some(expected), "{what}");
            assert!(came.starts_with(b"before"), "{what}: {came:?}");
        }
    }
}

fn fragments_are_one_stream(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        let (mut browser, mut target) = house.open();
        browser.say(&frame(0x02, b"one "));
        assert_eq!(some(&mut target, 4), b"one ", "a message need not be whole");
        browser.say(&[frame(0x00, b"two "), frame(0x00, b""), frame(0x80, b"three")].concat());
        assert_eq!(some(&mut target, 9), b"two three");
        browser.say(&frame(BINARY, b"four"));
        assert_eq!(some(&mut target, 4), b"four");
    }
}

fn an_empty_first_fragment_may_be_continued(driver: Driver) {
    let house = Plan::new(driver).start();
    let (mut browser, mut target) = house.open();
    browser.say(&[frame(0x02, b""), frame(0x00, b"ab"), frame(0x80, b"c")].concat());
    assert_eq!(some(&mut target, 3), b"abc");
}

fn empty_messages_are_legal_and_forward_nothing(driver: Driver) {
    let house = Plan::new(driver).start();
    let (mut browser, mut target) = house.open();
    browser.say(&frame(BINARY, b"").repeat(10));
    browser.say(&frame(BINARY, b"x"));
    assert_eq!(some(&mut target, 1), b"x");
    browser.say(&close(1000, ""));
    assert!(all(&mut target).is_empty());
}

fn pong(payload: &[u8]) -> Result<Frame, End> {
    Ok(Frame { first: PONG, masked: false, header: 2, payload: payload.to_vec() })
}

fn pings_are_answered_with_their_payload_between_fragments_too(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        let (mut browser, mut target) = house.open();
        for payload in [&b""[..], b"x", &[0; 125], &[0xff; 124]] {
            browser.say(&frame(PING, payload));
            assert_eq!(browser.frame(), pong(payload));
        }
        browser.say(&[frame(0x02, b"ab"), frame(PING, b"1"), frame(0x00, b"cd")].concat());
        browser.say(&[frame(PING, b"2"), frame(0x80, b"ef")].concat());
        assert_eq!((browser.frame(), browser.frame()), (pong(b"1"), pong(b"2")));
        assert_eq!(some(&mut target, 6), b"abcdef");
        target.write_all(b"still there").expect("an open stream");
        assert_eq!(browser.data(11), b"still there");
    }
}

fn pongs_are_ignored(driver: Driver) {
    let house = Plan::new(driver).start();
    let (mut browser, mut target) = house.open();
    browser.say(&[frame(PONG, b""), frame(PONG, &[1; 125]), frame(BINARY, b"x")].concat());
    assert_eq!(some(&mut target, 1), b"x");
    assert!(browser.is_silent(Duration::from_millis(100)));
}

fn lengths_in_longer_forms_than_needed_are_understood(driver: Driver) {
    let house = Plan::new(driver).start();
    let (mut browser, mut target) = house.open();
    let key = [0; 4];
    browser.say(&[&[BINARY, 0x80 | 126, 0, 3][..], &key, b"abc"].concat());
    browser.say(&[&[BINARY, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 3][..], &key, b"def"].concat());
    assert_eq!(some(&mut target, 6), b"abcdef");
}

/// What a browser that leaves so is told.
fn left(house: &House, bytes: &[u8]) -> (Option<u16>, String) {
    let (mut browser, mut target) = house.open();
    browser.say(bytes);
    let said = browser.closed();
    drop(browser);
    assert!(all(&mut target).is_empty());
    said
}

fn close_codes_are_echoed(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver).secure(is_secure).start();
        for code in [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4999] {
            assert_eq!(left(&house, &close(code, "bye")).0, Some(code));
        }
    }
}

fn an_empty_close_is_answered_by_an_empty_close(driver: Driver) {
    let house = Plan::new(driver).start();
    assert_eq!(left(&house, &frame(CLOSE, b"")), (None, String::new()));
}

fn closes_that_break_the_rules_are_1002(driver: Driver) {
    let house = Plan::new(driver).start();
    assert_eq!(left(&house, &frame(CLOSE, &[3])).0, Some(1002), "half a code");
    let latin1 = [&[3, 0xe8][..], b"\xe9t\xe9"].concat();
    assert_eq!(left(&house, &frame(CLOSE, &latin1)).0, Some(1002), "no UTF-8");
    for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535] {
        assert_eq!(left(&house, &close(code, "")).0, Some(1002), "{code} may not be sent");
    }
}

fn nothing_is_understood_behind_a_close(driver: Driver) {
    let house = Plan::new(driver).start();
    let sent = [close(1000, ""), frame(BINARY, b"late"), frame(PING, b""), close(1001, "")];
    assert_eq!(left(&house, &sent.concat()).0, Some(1000));
    let browser: Client = house.browser();
    browser.vanish(false);
}
