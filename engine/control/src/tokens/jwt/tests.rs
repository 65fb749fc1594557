//! Claims and times, with tokens signed here. Those of other libraries, in every algorithm, are in the tests of the whole.

use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use penstock_core::control::Place;

use super::*;

const SECRET: &[u8] = b"a secret of our own";

fn signed(header: &str, claims: &str) -> String {
    signed_with(SECRET, header, claims)
}

fn signed_with(secret: &[u8], header: &str, claims: &str) -> String {
    let [header, claims] = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
    let text = format!("{header}.{claims}");
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
    format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac.as_ref()))
}

fn at(second: u64, header: &str, claims: &str) -> Result<String, TokenFault> {
    let now = UNIX_EPOCH + Duration::from_secs(second);
    let key = Key::Secret(SECRET.to_vec());
    match judge(&key, &signed(header, claims), now) {
        Ok(Place::Network(target)) => Ok(target.to_string()),
        Ok(other) => panic!("{other:?}"),
        Err(refused) => Err(refused.why),
    }
}

#[test]
fn a_token_is_good_from_nbf_to_exp_and_a_minute_more_either_way() {
    let claims = r#"{"host":"h","port":1,"nbf":1000,"exp":2000.5}"#;
    for (second, expected) in [
        (939, Err(TokenFault::Expired)),
        (940, Ok("h:1".to_owned())),
        (1500, Ok("h:1".to_owned())),
        (2060, Ok("h:1".to_owned())),
        (2061, Err(TokenFault::Expired)),
    ] {
        assert_eq!(at(second, r#"{"alg":"HS256"}"#, claims), expected, "{second}");
    }
}

#[test]
fn times_that_are_none_are_not_passed_over() {
    for claims in [
        r#"{"host":"h","port":1,"exp":"2000"}"#,
        r#"{"host":"h","port":1,"nbf":[]}"#,
        r#"{"host":"h","port":1,"exp":1,"exp":99999}"#,
        r#"{"host":"h","port":1,"exp":null}"#,
    ] {
        assert_eq!(at(100, r#"{"alg":"HS256"}"#, claims), Err(TokenFault::Unknown), "{claims}");
    }
}

#[test]
fn a_header_says_everything_once() {
    let claims = r#"{"host":"h","port":1}"#;
    assert_eq!(at(0, r#"{"alg":"HS256","typ":"JWT","kid":"x"}"#, claims), Ok("h:1".to_owned()));
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":["HS256"]}"#,
        r#"["HS256",null]"#,
        r#"{}"#,
        "",
    ] {
        assert_eq!(at(0, header, claims), Err(TokenFault::Unknown), "{header}");
    }
}

/// Has this secret in its file.
fn write(path: &Path, secret: &[u8]) {
    std::fs::write(path, BASE64_URL_SAFE_NO_PAD.encode(secret)).expect("written");
}

#[test]
fn a_key_that_is_replaced_is_used_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key");
    let jwt = Jwt::new(&path);
    let judged = |secret: &[u8]| {
        let token = signed_with(secret, r#"{"alg":"HS256"}"#, r#"{"host":"h","port":1}"#);
        jwt.look_up(&token).map(drop).map_err(|refused| refused.why)
    };
    assert_eq!(judged(b"key 100"), Err(TokenFault::Unavailable));
    // The same length, and again and again in the same moment of the file system's clock.
    for n in 100..300 {
        let secret = format!("key {n}").into_bytes();
        write(&path, &secret);
        assert_eq!(judged(&secret), Ok(()), "{n}");
        assert_eq!(judged(b"key 099"), Err(TokenFault::Unknown));
    }
    std::fs::write(&path, "no key").expect("written");
    assert_eq!(judged(b"key 299"), Err(TokenFault::Unavailable), "the one before is none any more");
}

#[test]
fn a_key_that_looks_the_same_is_not_read_again_once_it_is_old_enough() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key");
    // Where the machine stands still meanwhile, it may be old enough by then.
    let jwt = loop {
        let begun = Instant::now();
        write(&path, SECRET);
        let jwt = Jwt::new(&path);
        let [one, other] = [(); 2].map(|()| jwt.key().expect("a key"));
        if begun.elapsed() < Duration::from_secs(2) {
            assert!(!Arc::ptr_eq(&one, &other), "another one might have been put there meanwhile");
            break jwt;
        }
    };
    std::thread::sleep(Duration::from_millis(3100));
    let [one, other] = [(); 2].map(|()| jwt.key().expect("a key"));
    assert!(Arc::ptr_eq(&one, &other), "it was read again");
    write(&path, b"another one");
    assert!(!Arc::ptr_eq(&one, &jwt.key().expect("a key")));
}
