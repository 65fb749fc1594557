//! Who may have a console: judged by what the head says, and by what its token names.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use penstock_proto::http::request::Request;
use penstock_proto::websocket::Upgrade;
use penstock_ring::Kernel;

use crate::close::{Cause, Side};
use crate::config::{Auth, Door};
use crate::control::{Found, Place, TokenFault, TokenRefusal};
use crate::session::opening::Stage;
use crate::session::{Session, State};
use crate::turn::{Step, Turn};

impl Session {
    /// Takes what proxies before us say of the client: of this request's, since they have requests of others on one connection.
    pub(super) fn believe_proxies(&mut self, request: &Request) {
        let trusted = |ip: IpAddr| self.listener().trusted_proxies.contains(ip);
        let Some(peer) = self.peer().filter(|peer| trusted(*peer)) else { return };
        match forwarded_for(request, peer, trusted) {
            Some(ip) => {
                self.facts.unusual().peer = Some(peer);
                self.facts.client = Some(SocketAddr::new(ip, 0));
            }
            None if self.facts.peer().is_some() => {
                self.facts.unusual().peer = None;
                self.facts.client = Some(SocketAddr::new(peer, 0));
            }
            None => {}
        }
    }

    /// Who connected: the client, or a proxy before us.
    fn peer(&self) -> Option<IpAddr> {
        let client = || self.facts.client.map(|client| client.ip());
        self.facts.peer().or_else(client)
    }

    /// Whether what is said of the client may be believed.
    pub(super) fn is_from_trusted_proxy(&self) -> bool {
        self.peer().is_some_and(|ip| self.listener().trusted_proxies.contains(ip))
    }

    /// Whether the page that asks may, and who asks.
    pub(super) fn judge_browser(&mut self, request: &Request) -> Result<(), Cause> {
        let Some(console) = self.console() else { return Ok(()) };
        let for_console = Upgrade::is_asked_for(request);
        let trusted = self.is_from_trusted_proxy();
        if for_console && let Err(error) = console.origins.judge_request(request, trusted) {
            self.facts.detail = Some(error.to_string().into());
            return Err(Cause::OriginRefused);
        }
        if !for_console && !console.web_auth {
            return Ok(());
        }
        let shown = match &console.auth {
            None => Ok(()),
            Some(Auth::Basic(basic)) => {
                let judged = basic.judge(request.header("authorization"));
                judged.map_err(|error| (error.to_string(), error.status() == 401))
            }
            Some(Auth::CommonName(names)) => self.judge_name(names).map_err(|error| (error, false)),
        };
        shown.map_err(|(error, may_try_again)| {
            self.facts.detail = Some(error.into());
            if may_try_again { Cause::Unauthorized } else { Cause::AccessDenied }
        })
    }

    fn judge_name(&self, names: &[Box<str>]) -> Result<(), String> {
        let agreed = self.facts.tls.client.as_ref();
        let name = agreed.and_then(|agreed| agreed.common_name.as_deref());
        match name {
            Some(name) if names.iter().any(|one| **one == *name) => Ok(()),
            Some(name) => Err(format!("expected a certificate's name that is listed, came {name}")),
            None => Err("expected a certificate with a common name, came none".to_owned()),
        }
    }

    /// The answer of control about a token.
    pub(in crate::session) fn token_judged<K: Kernel>(
        &mut self,
        result: Result<Found, TokenRefusal>,
        turn: &mut Turn<K>,
    ) -> Step {
        match result {
            Ok(found) => self.go_to(found, turn),
            Err(TokenRefusal { why, detail }) => {
                self.facts.detail = Some(detail);
                let (side, cause) = match why {
                    TokenFault::Unavailable => (Side::Penstock, Cause::TokenLookupFailed),
                    TokenFault::NoPlace => (Side::Penstock, Cause::TokenRefused),
                    TokenFault::OtherPage => (Side::Client, Cause::OriginRefused),
                    TokenFault::Unknown | TokenFault::Expired | TokenFault::Used => {
                        (Side::Client, Cause::TokenRefused)
                    }
                };
                self.refuse(side, cause, None, turn)
            }
        }
    }

    /// What was looked up, or the host, says where to.
    pub(in crate::session) fn go_to<K: Kernel>(
        &mut self,
        found: Found,
        turn: &mut Turn<K>,
    ) -> Step {
        let Found { place, terms } = found;
        if let Some(lifetime) = terms.as_ref().and_then(|terms| terms.lifetime) {
            self.facts.unusual().lifetime_end = Some(turn.now + lifetime);
        }
        let deadline = turn.now + self.listener().timeouts.connect;
        let State::AwaitTarget(mut opening) = std::mem::replace(&mut self.state, State::Between)
        else {
            return Step::Continue(());
        };
        (opening.stage, opening.deadline) = (Stage::Name, deadline);
        (opening.requested_at, opening.terms) = (turn.now, terms);
        match place {
            Place::Network(target) => {
                self.facts.target = Some(target.to_string().into());
                opening.target = Some(target);
            }
            Place::Unix(path) => {
                self.facts.target = Some(format!("unix:{}", path.display()).into());
                opening.door = Some(Arc::new(Door::Unix(vec![path])));
            }
            Place::Within { folder, name } => {
                // Its name is the token.
                self.facts.target = Some(format!("unix:{}/***", folder.display()).into());
                opening.door = Some(Arc::new(Door::Within { folder, name }));
            }
            Place::KubeVirt { target, path, token } => {
                self.facts.target = Some(target.to_string().into());
                opening.door = self.kube_virt(target.clone(), path, token);
                opening.target = Some(target);
                if opening.door.is_none() {
                    self.state = State::AwaitTarget(opening);
                    return self.refuse_kube_virt(turn);
                }
            }
        }
        self.admit(opening, turn)
    }
}

/// Whom a request comes from, by what proxies say that are trusted: the last address that is none of theirs (as Squid's
/// `follow_x_forwarded_for`). Names and ports that nobody can read end the search.
fn forwarded_for(
    request: &Request,
    peer: IpAddr,
    trusted: impl Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    let said: Vec<&[u8]> = request
        .headers("x-forwarded-for")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .collect();
    let mut last = peer;
    for text in said.iter().rev() {
        if !trusted(last) {
            break;
        }
        let Some(ip) = std::str::from_utf8(text).ok().and_then(|text| address(text.trim())) else {
            break;
        };
        last = ip;
    }
    (last != peer).then_some(last)
}

/// An address, with a port or brackets perhaps.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(with_port).map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use penstock_proto::Progress::Done;
    use penstock_proto::http::request::RequestHead;

    use super::*;

    #[test]
    fn only_what_trusted_proxies_say_counts() {
        let found = |lines: &str, peer: &str| {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
            let Ok(Done(request)) =
                RequestHead::new().receive(&mut head.as_bytes(), &mut Vec::new())
            else {
                panic!("a whole head");
            };
            let trusted = |ip: IpAddr| ip.to_string().starts_with("10.");
            let peer = peer.parse().expect("an address");
            forwarded_for(&request, peer, trusted).map(|ip| ip.to_string())
        };
        let said = "X-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nX-Forwarded-For: 10.0.0.9\r\n";
        assert_eq!(found(said, "10.0.0.1").as_deref(), Some("2.2.2.2"), "the last of a stranger");
        assert_eq!(found(said, "192.0.2.1"), None, "the peer is a stranger");
        assert_eq!(found("", "10.0.0.1"), None);
        assert_eq!(found("X-Forwarded-For: unknown\r\n", "10.0.0.1"), None);
        let v6 = "X-Forwarded-For: [2001:db8::1]:443\r\n";
        assert_eq!(found(v6, "10.0.0.1").as_deref(), Some("2001:db8::1"));
        let mapped = "X-Forwarded-For: ::ffff:3.3.3.3\r\n";
        assert_eq!(found(mapped, "10.0.0.1").as_deref(), Some("3.3.3.3"));
    }
}
