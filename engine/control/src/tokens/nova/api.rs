//! nova: the compute API, which tells where a token leads to.
//!
//! In: tokens. Out: the console's host and port, and a path to be asked for there. When a token ends, for which type and which page it was given
//! out, the API doesn't tell: the operator does. Nothing is kept of any answer.

use hyper::Request;
use hyper::header::ACCEPT;
use penstock_core::config::NovaApi;
use penstock_core::control::{Found, Terms, TokenRefusal};
use penstock_core::tls::Implementation;
use serde::Deserialize;

use super::super::fetch::{Http, Reply, headed};
use super::super::secure::Secure;
use super::super::threads::Threads;
use super::super::url::Site;
use super::super::{Answer, no_place, object, unavailable, unknown};
use super::keystone::{Keystone, Ticket};
use super::{access_path, other_page, place_of};

/// A catalogue of a large cloud has some tens of KiB.
const BODY_MAX: usize = 1 << 20;
/// The type of consoles for native viewers of SPICE, told from this version on.
const SPICE_DIRECT: &str = "spice-direct";

pub(in crate::tokens) struct NovaRest {
    nova: NovaApi,
    keystone: Keystone,
    http: Http,
}

#[derive(Deserialize)]
struct Shown {
    console: Console,
}

#[derive(Deserialize)]
struct Console {
    host: String,
    port: Option<i64>,
    tls_port: Option<i64>,
    internal_access_path: Option<String>,
}

impl NovaRest {
    pub(in crate::tokens) fn new(
        nova: &NovaApi,
        threads: Threads,
        ciphers: Option<Implementation>,
    ) -> NovaRest {
        let secure = Secure::of(ciphers, nova.ca.clone());
        let http = Http { threads, secure, body_max: BODY_MAX };
        NovaRest { nova: nova.clone(), keystone: Keystone::new(nova), http }
    }

    pub(in crate::tokens) async fn look_up(&self, token: &str, page: Option<&str>) -> Answer {
        self.judge_page(page)?;
        // They are UUIDs, and part of a path.
        if !token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(unknown("it is not asked for what can't be a token of its own"));
        }
        let ticket = self.keystone.ticket(&self.http, None).await?;
        let mut reply = self.ask(&ticket, token).await?;
        if reply.status == 401 {
            let ticket = self.keystone.ticket(&self.http, Some(&ticket)).await?;
            reply = self.ask(&ticket, token).await?;
        }
        judge_status(reply.status)?;
        let Shown { console } = object(&reply.body)
            .ok_or_else(|| unavailable("expected a console in JSON, came something else"))?;
        self.found(&console)
    }

    fn judge_page(&self, page: Option<&str>) -> Result<(), TokenRefusal> {
        let expected = &self.nova.expected_origin_schemes;
        let is_expected = |page: &str| expected.iter().any(|one| one.eq_ignore_ascii_case(page));
        match expected.is_empty() || page.is_none_or(is_expected) {
            true => Ok(()),
            false => Err(other_page("the page's protocol is not in `expected_origin_schemes`")),
        }
    }

    async fn ask(&self, ticket: &Ticket, token: &str) -> Result<Reply, TokenRefusal> {
        let url = ticket.endpoint.trim_end_matches('/');
        let (site, path) = Site::of(url).map_err(|fault| {
            unavailable(format!("the URL of the compute API can't be used ({fault})"))
        })?;
        let version = if &*self.nova.console_type == SPICE_DIRECT { "2.99" } else { "2.31" };
        let request = headed(Request::get(format!("{path}/os-console-auth-tokens/{token}")), &site)
            .header(ACCEPT, "application/json")
            .header("x-auth-token", ticket.secret.reveal())
            .header("openstack-api-version", format!("compute {version}"))
            .header("x-openstack-nova-api-version", version)
            .body(Default::default())
            .map_err(|_| unavailable("the URL of the compute API can't be asked for"))?;
        self.http.ask(&site, request).await
    }

    fn found(&self, console: &Console) -> Answer {
        let Console { host, port, tls_port, internal_access_path } = console;
        let tls_port = tls_port.filter(|_| &*self.nova.console_type == SPICE_DIRECT);
        let port = tls_port.or(*port).ok_or_else(|| no_place("its answer has no port"))?;
        let terms = Terms {
            secured: tls_port.map(|_| true),
            access_path: access_path(internal_access_path.as_deref(), &self.nova.console_type)?,
            lifetime: self.nova.max_session,
            ..Terms::default()
        };
        let terms = Some(terms).filter(|terms| *terms != Terms::default()).map(Box::new);
        Ok(Found { place: place_of(host, port)?, terms })
    }
}

fn judge_status(status: u16) -> Result<(), TokenRefusal> {
    match status {
        200 => Ok(()),
        404 => Err(unknown("it knows no such token, or not any more")),
        400 => Err(unavailable(
            "it refuses the question (400): is it of OpenStack Newton or newer (2.31; 2.99 for spice-direct)?",
        )),
        401 => Err(unavailable("it refuses our tickets, even new ones (401)")),
        403 => Err(unavailable(
            "it may not tell us (403): os_compute_api:os-console-auth-tokens of its policy asks for another role",
        )),
        300..=399 => Err(unavailable(format!(
            "it points elsewhere ({status}): write the final URL as `endpoint`"
        ))),
        _ => Err(unavailable(format!("it answered {status}: see its own log"))),
    }
}

#[cfg(test)]
mod tests;
