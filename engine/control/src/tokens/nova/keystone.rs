//! The identity service of OpenStack (v3): who we are, and where the compute API is.
//!
//! In: a login. Out: a ticket for the API, renewed before its time is over, or when somebody was refused with it. However many wait for one, one of
//! them asks; what went wrong is told to all who waited, and asked again a second later.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use chrono::DateTime;
use hyper::Request;
use hyper::header::{ACCEPT, CONTENT_TYPE};
use penstock_core::Secret;
use penstock_core::config::{KeystoneLogin, NovaApi};
use penstock_core::control::TokenRefusal;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::super::fetch::{Http, Reply, headed};
use super::super::url::Site;
use super::super::{object, unavailable};

/// So long before its end a ticket is not used any more.
const MARGIN: Duration = Duration::from_secs(60);
/// How long a ticket is used whose end is not understood.
const UNDATED: Duration = Duration::from_secs(300);
/// How long a fault is told again instead of being looked for.
const FAULT: Duration = Duration::from_secs(1);

/// What opens the API.
pub(super) struct Ticket {
    pub(super) secret: Secret,
    /// The API's URL.
    pub(super) endpoint: Box<str>,
    ends: SystemTime,
}

pub(super) struct Keystone {
    nova: NovaApi,
    last: Mutex<Option<Last>>,
}

enum Last {
    Ticket(Arc<Ticket>),
    Fault(TokenRefusal, Instant),
}

#[derive(Deserialize)]
struct Granted {
    token: Grant,
}

#[derive(Deserialize)]
struct Grant {
    #[serde(default)]
    expires_at: String,
    #[serde(default)]
    catalog: Vec<Service>,
}

#[derive(Deserialize)]
struct Service {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    interface: String,
    url: String,
    region_id: Option<String>,
    region: Option<String>,
}

impl Keystone {
    pub(super) fn new(nova: &NovaApi) -> Keystone {
        Keystone { nova: nova.clone(), last: Mutex::default() }
    }

    /// One that is not `refused`.
    pub(super) async fn ticket(
        &self,
        http: &Http,
        refused: Option<&Arc<Ticket>>,
    ) -> Result<Arc<Ticket>, TokenRefusal> {
        let mut last = self.last.lock().await;
        match &*last {
            Some(Last::Ticket(ticket))
                if ticket.is_fresh() && refused.is_none_or(|old| !Arc::ptr_eq(old, ticket)) =>
            {
                return Ok(ticket.clone());
            }
            Some(Last::Fault(fault, at)) if at.elapsed() < FAULT => return Err(fault.clone()),
            _ => {}
        }
        let ticket = self.log_in(http).await.map(Arc::new);
        *last = Some(match &ticket {
            Ok(ticket) => Last::Ticket(ticket.clone()),
            Err(fault) => Last::Fault(fault.clone(), Instant::now()),
        });
        ticket
    }

    async fn log_in(&self, http: &Http) -> Result<Ticket, TokenRefusal> {
        let url = self.nova.auth_url.trim_end_matches('/');
        let (site, path) = Site::of(url)
            .map_err(|fault| unavailable(format!("`auth_url` can't be used ({fault}): mend it")))?;
        let path = path.strip_suffix("/v3").unwrap_or(path);
        let login = self.nova.login.clone();
        let body = http.threads.run(move || body(&login)).await?;
        let request = headed(Request::post(format!("{path}/v3/auth/tokens")), &site)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json")
            .body(body.into())
            .map_err(|_| unavailable("`auth_url` can't be asked for"))?;
        let reply = http.ask(&site, request).await.map_err(of_identity)?;
        self.granted(&reply).map_err(of_identity)
    }

    fn granted(&self, reply: &Reply) -> Result<Ticket, TokenRefusal> {
        match reply.status {
            200 | 201 => {}
            401 => return Err(unavailable("it refuses our name or our secret (401)")),
            300..=399 => {
                return Err(unavailable("it points elsewhere: put the final URL into `auth_url`"));
            }
            404 => return Err(unavailable("it has no /v3/auth/tokens (404): mend `auth_url`")),
            status => return Err(unavailable(format!("it answered {status}: see its own log"))),
        }
        let secret = reply.headers.get("x-subject-token").and_then(|value| value.to_str().ok());
        let secret = secret.ok_or_else(|| unavailable("its answer has no X-Subject-Token"))?;
        let Granted { token } = object(&reply.body)
            .ok_or_else(|| unavailable("expected a token in JSON, came something else"))?;
        let ends = DateTime::parse_from_rfc3339(&token.expires_at).ok().map(SystemTime::from);
        Ok(Ticket {
            secret: secret.into(),
            endpoint: self.endpoint(&token.catalog)?,
            ends: ends.unwrap_or_else(|| SystemTime::now() + UNDATED + MARGIN),
        })
    }

    fn endpoint(&self, catalog: &[Service]) -> Result<Box<str>, TokenRefusal> {
        if let Some(endpoint) = &self.nova.endpoint {
            return Ok(endpoint.clone());
        }
        let of_region = |endpoint: &&Endpoint| match &self.nova.region {
            None => true,
            Some(region) => [&endpoint.region_id, &endpoint.region]
                .into_iter()
                .flatten()
                .any(|name| **name == **region),
        };
        let compute = catalog.iter().filter(|service| service.kind == "compute");
        let endpoints: Vec<&Endpoint> =
            compute.flat_map(|service| &service.endpoints).filter(of_region).collect();
        let of =
            |interface: &str| endpoints.iter().find(|endpoint| endpoint.interface == interface);
        let found = match &self.nova.interface {
            Some(interface) => of(interface),
            None => of("internal").or_else(|| of("public")),
        };
        found.map(|endpoint| endpoint.url.as_str().into()).ok_or_else(|| {
            unavailable("its catalogue has no compute API for us: mend `interface` and `region`, or write `endpoint`")
        })
    }
}

impl Ticket {
    fn is_fresh(&self) -> bool {
        SystemTime::now() + MARGIN < self.ends
    }
}

fn of_identity(refusal: TokenRefusal) -> TokenRefusal {
    TokenRefusal { detail: format!("the identity service: {}", refusal.detail).into(), ..refusal }
}

/// What is sent to log in.
fn body(login: &KeystoneLogin) -> Result<String, TokenRefusal> {
    let body: Value = match login {
        KeystoneLogin::Password {
            username,
            user_domain,
            project,
            project_domain,
            password_file,
        } => {
            let password = secret(password_file)?;
            json!({ "auth": {
                "identity": { "methods": ["password"], "password": { "user": {
                    "name": username, "domain": { "name": user_domain }, "password": password,
                } } },
                "scope": { "project": { "name": project, "domain": { "name": project_domain } } },
            } })
        }
        KeystoneLogin::ApplicationCredential { id, secret_file } => {
            let secret = secret(secret_file)?;
            json!({ "auth": { "identity": {
                "methods": ["application_credential"],
                "application_credential": { "id": id, "secret": secret },
            } } })
        }
    };
    Ok(body.to_string())
}

fn secret(path: &Path) -> Result<String, TokenRefusal> {
    let text = fs::read_to_string(path);
    let text = text
        .map_err(|error| unavailable(format!("can't read {}: {}", path.display(), error.kind())))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
