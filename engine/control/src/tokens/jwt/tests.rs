//! Claims and times, with tokens signed here. Those of other libraries, in every algorithm, are in the tests of the whole.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use penstock_core::control::Place;

use super::*;

const SECRET: &[u8] = b"a secret of our own";

fn signed(header: &str, claims: &str) -> String {
    let [header, claims] = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
    let text = format!("{header}.{claims}");
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), text.as_bytes());
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
