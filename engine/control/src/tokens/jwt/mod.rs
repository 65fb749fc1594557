//! JWTTokenApi: tokens that say themselves where they lead, signed by whoever has the key.
//!
//! ```text
//!  a.b.c      JWS ────────────────────▶ signature ──▶ nbf, exp ──▶ host, port
//!  a.b.c.d.e  JWE ──▶ decrypted: a JWS ─▶
//! ```
//!
//! In: tokens, and the file of the key, which is read anew when it has changed. Out: the place of the claims `host` and `port`. The kind of the
//! key says which algorithms there are, never the token: a public key checks no MAC, and `none` is no algorithm.

mod jwe;
mod jws;
mod key;

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use penstock_core::control::{TokenFault, TokenRefusal};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::file::{read, unreadable};
use super::kept::Kept;
use super::{Judged, no_place, object, place, refusal, unavailable, unknown};
use key::Key;

/// Of the key's file.
const KEY_MAX: u64 = 1 << 20;
/// How far clocks may be apart, in seconds.
const LEEWAY: f64 = 60.0;

/// Why a token is not worth reading on, without a word of it.
type Fault = &'static str;

pub(super) struct Jwt {
    key: Kept<Key>,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    host: Value,
    #[serde(default)]
    port: Value,
    #[serde(default, deserialize_with = "there")]
    nbf: Option<Value>,
    #[serde(default, deserialize_with = "there")]
    exp: Option<Value>,
}

/// A claim that is there, and be it null.
fn there<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

impl Jwt {
    pub(super) fn new(path: &Path) -> Jwt {
        Jwt { key: Kept::new(path) }
    }

    /// Waits for the file system.
    pub(super) fn look_up(&self, token: &str) -> Judged {
        let key = self.key()?;
        judge(&key, token, SystemTime::now())
    }

    fn key(&self) -> Result<Arc<Key>, TokenRefusal> {
        self.key.get(|path| {
            let text = read(path, KEY_MAX).map_err(|error| unreadable(&error))?;
            Key::parse(&text).map_err(|fault| {
                unavailable(format!(
                    "the key in its file can't be used ({fault}): put another one there"
                ))
            })
        })
    }
}

fn judge(key: &Key, token: &str, now: SystemTime) -> Judged {
    let not_ours = |fault| unknown(format!("{fault}: see who made it, and with which key"));
    let claims = match token.split('.').count() {
        5 => {
            let inner = jwe::decrypt(key, token).map_err(not_ours)?;
            let inner = str::from_utf8(&inner).map_err(|_| not_ours("what it hides is no JWS"))?;
            jws::verify(key, inner).map_err(not_ours)?
        }
        _ => jws::verify(key, token).map_err(not_ours)?,
    };
    let claims: Claims =
        object(&claims).ok_or_else(|| not_ours("its claims are no JSON object"))?;
    in_time(&claims, now)?;
    place::of_values(&claims.host, &claims.port)
        .map_err(|fault| no_place(format!("of its claims: {fault}")))
}

fn in_time(claims: &Claims, now: SystemTime) -> Result<(), TokenRefusal> {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let time = |claim: &Option<Value>| match claim {
        None => Ok(None),
        Some(value) => {
            value.as_f64().map(Some).ok_or_else(|| unknown("its nbf or exp is no number"))
        }
    };
    let early = time(&claims.nbf)?.filter(|from| now < from - LEEWAY);
    let late = time(&claims.exp)?.filter(|until| now > until + LEEWAY);
    let compare = "see the clocks of both machines";
    match (early, late) {
        (Some(from), _) => Err(refusal(
            TokenFault::Expired,
            format!("its time comes in {:.0} s (nbf): {compare}", from - now),
        )),
        (_, Some(until)) => Err(refusal(
            TokenFault::Expired,
            format!("its time ended {:.0} s ago (exp): make a new one, or {compare}", now - until),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
