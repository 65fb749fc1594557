//! BaseTokenAPI, JSONTokenApi: a service that is asked for a URL and answers with a place.
//!
//! In: tokens. Out: the place that the answer names: as the text `host:port`, or as JSON with `host` and `port`, and a `password` perhaps. Answers that point elsewhere
//! are not followed, and proxies of the environment are not used: what is asked is what the operator wrote.

use penstock_core::control::{Found, Terms, TokenRefusal};
use penstock_core::tls::Implementation;
use serde::Deserialize;
use serde_json::Value;

use super::fetch::{Fetcher, Reply};
use super::lines::strip;
use super::threads::Threads;
use super::url::Template;
use super::{Answer, no_place, object, place, unavailable, unknown};

pub(super) struct Api {
    fetcher: Result<Fetcher, &'static str>,
    json: bool,
}

#[derive(Deserialize)]
struct Named {
    host: Value,
    port: Value,
    /// What the console's server asks for; websockify knows none.
    #[serde(default)]
    password: Option<String>,
}

impl Api {
    pub(super) fn new(
        url: &str,
        json: bool,
        threads: Threads,
        ciphers: Option<Implementation>,
    ) -> Api {
        let template = Template::parse(url);
        let fetcher = template.map(|template| Fetcher::new(template, threads, ciphers));
        Api { fetcher, json }
    }

    /// Host and port, if the URL has one.
    pub(super) fn authority(&self) -> Option<&str> {
        self.fetcher.as_ref().ok().map(Fetcher::authority)
    }

    pub(super) async fn look_up(&self, token: &str) -> Answer {
        let fetcher = self.fetcher.as_ref().map_err(|fault| {
            unavailable(format!("its URL can't be used ({fault}): mend `source`"))
        })?;
        let accept = if self.json { "application/json" } else { "text/plain, */*;q=0.5" };
        let Some(fetched) = fetcher.fetch(token, accept).await else {
            return Err(unknown("the token can't be part of a URL"));
        };
        let Reply { status, body, .. } = fetched?;
        judge_status(status)?;
        let body = String::from_utf8(body).map_err(|_| no_place("its answer is no text"))?;
        let found = match self.json {
            true => object::<Named>(body.as_bytes())
                .ok_or("expected a JSON object with host and port".into())
                .and_then(|named: Named| {
                    let place = place::of_values(&named.host, &named.port)?;
                    Ok(Found { place, terms: named.password.map(with_password) })
                }),
            false => place::of_text(strip(&body)).map(Found::from),
        };
        found.map_err(|fault| no_place(format!("of its answer: {fault}")))
    }
}

fn with_password(password: String) -> Box<Terms> {
    Box::new(Terms { password: Some(password.into()), ..Terms::default() })
}

/// Words of HTTP for what is known, unknown, and not to be known now.
fn judge_status(status: u16) -> Result<(), TokenRefusal> {
    match status {
        200..=299 => Ok(()),
        300..=399 => Err(unavailable(format!(
            "it answered {status}, which points elsewhere and is not followed: put the final URL into `source`"
        ))),
        407 | 408 | 425 | 429 => Err(unavailable(format!("it answered {status}: ask it why"))),
        400..=499 => Err(unknown(format!(
            "it answered {status}: it does not know the token, or not who asks"
        ))),
        _ => Err(unavailable(format!("it answered {status}: see its own log"))),
    }
}
